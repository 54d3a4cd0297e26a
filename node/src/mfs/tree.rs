//! The directories that are open, in memory. No IO: what is not there is asked for, and nothing has happened then.
//!
//! A directory that is being filled stays open with what of its trie was needed, and is encoded only when somebody wants
//! its CID. The entry of a changed directory in its parent is brought up to date at that moment, so a thousand new files
//! cost one new block of each directory above them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::store::Guard;
use ipfs_kit_unixfs::directory::{Directory, Progress, Target};
use ipfs_kit_unixfs::{CidSpec, DirectoryOptions, Kind, Mtime, Root};
use rustc_hash::FxBuildHasher;

use super::error::MfsError;
use super::log::Put;
use crate::error::Result;

mod blocks;
mod encode;
mod opened;
mod rename;

pub use blocks::{Blocks, load};
use blocks::{ask, kind_of};

/// Names an open directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirId(u64);

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// An open directory.
    Dir(DirId),
    /// Anything else.
    File(Target),
}

/// What is open, and what keeps the blocks of changes that are not committed.
pub struct Tree {
    dirs: HashMap<DirId, Dir, FxBuildHasher>,
    next: u64,
    root: DirId,
    /// Counts flushes and looks.
    clock: u64,
    /// Settings that no block tells.
    defaults: DirectoryOptions,
    /// Guards of what is in the tree and not in the committed root.
    pub guards: Vec<Arc<Guard>>,
    /// Roots that are in the tree and were put there whole.
    pub held: Vec<Cid>,
    /// Files that were put into the tree since the last commit.
    pub files: Vec<Put>,
    /// Whether there was another change than those since the last commit, or blocks were made that only the tree knows.
    pub whole: bool,
    /// Files that were committed one by one since the root was.
    pub logged: usize,
}

struct Dir {
    directory: Directory,
    parent: Option<(DirId, Bytes)>,
    open: HashMap<Bytes, DirId, FxBuildHasher>,
    /// Open directories below whose entries here are out of date.
    stale: BTreeSet<Bytes>,
    dirty: bool,
    /// When what is open below was settled last, as after Kubo's flush of a directory.
    flushed: u64,
    settled: u64,
    used: u64,
    touched: u64,
}

impl Tree {
    /// A tree with nothing open but its root.
    pub fn new(root: Directory, defaults: DirectoryOptions) -> Self {
        let id = DirId(0);
        Self {
            dirs: HashMap::from_iter([(id, Dir::new(root, None))]),
            next: 1,
            root: id,
            clock: 0,
            defaults,
            guards: Vec::new(),
            held: Vec::new(),
            files: Vec::new(),
            whole: false,
            logged: 0,
        }
    }

    /// The top directory.
    pub const fn root(&self) -> DirId {
        self.root
    }

    /// Follows names from the root as far as directories go.
    ///
    /// # Errors
    /// [`MfsError::NotFound`], [`MfsError::Through`], and entries that cannot be read.
    pub fn lookup(&mut self, names: &[&str], blocks: &Blocks) -> Result<Progress<Found>> {
        self.clock += 1;
        let mut at = self.root;
        let mut flushed = 0;
        for (depth, name) in names.iter().enumerate() {
            flushed = flushed.max(self.dir(at)?.flushed);
            match self.child(at, name.as_bytes(), blocks)? {
                Progress::Need(missing) => return Ok(Progress::Need(missing)),
                Progress::Done(None) => return Err(MfsError::NotFound.into()),
                Progress::Done(Some(Found::Dir(id))) => at = id,
                Progress::Done(Some(file)) if depth + 1 == names.len() => {
                    return Ok(Progress::Done(file));
                }
                Progress::Done(Some(_)) => {
                    return Err(MfsError::Through(names[..depth + 2].join("/")).into());
                }
            }
            let clock = self.clock;
            let dir = self.dir_mut(at)?;
            dir.used = clock;
            if flushed > dir.settled {
                dir.directory.forget_changes();
                dir.settled = flushed;
            }
        }
        Ok(Progress::Done(Found::Dir(at)))
    }

    /// An entry of a directory; a directory is opened.
    ///
    /// # Errors
    /// Entries that cannot be read.
    pub fn child(
        &mut self,
        id: DirId,
        name: &[u8],
        blocks: &Blocks,
    ) -> Result<Progress<Option<Found>>> {
        let dir = self.dir_mut(id)?;
        if let Some(open) = dir.open.get(name) {
            return Ok(Progress::Done(Some(Found::Dir(*open))));
        }
        let target = match ask(&mut dir.directory, blocks, |directory| directory.get(name))? {
            Progress::Need(missing) => return Ok(Progress::Need(missing)),
            Progress::Done(None) => return Ok(Progress::Done(None)),
            Progress::Done(Some(target)) => target,
        };
        let kind = match kind_of(&target.cid, blocks)? {
            Progress::Need(missing) => return Ok(Progress::Need(missing)),
            Progress::Done(kind) => kind,
        };
        match kind {
            Kind::Directory | Kind::HamtShard => {}
            Kind::File | Kind::Raw | Kind::Symlink => {
                return Ok(Progress::Done(Some(Found::File(target))));
            }
            Kind::Metadata => return Err(MfsError::Metadata.into()),
        }
        let Some(block) = blocks.get(&target.cid) else {
            return Ok(Progress::Need(vec![target.cid]));
        };
        let directory = load(&self.defaults, &target.cid, block)?;
        Ok(Progress::Done(Some(Found::Dir(
            self.open(id, name, directory)?,
        ))))
    }

    /// Adds an entry, or replaces one.
    ///
    /// # Errors
    /// Names that no path could reach, and directories that may not grow.
    pub fn insert(
        &mut self,
        id: DirId,
        name: &str,
        target: &Target,
        blocks: &Blocks,
    ) -> Result<Progress<()>> {
        let dir = self.dir_mut(id)?;
        let done = ask(&mut dir.directory, blocks, |directory| {
            directory.insert(name.as_bytes(), target.clone())
        })?;
        if let Progress::Need(missing) = done {
            return Ok(Progress::Need(missing));
        }
        self.close_below(id, name.as_bytes());
        self.mark(id)?;
        Ok(Progress::Done(()))
    }

    /// As [`Tree::insert`] for a file at `path`, which can be committed by itself.
    ///
    /// # Errors
    /// As [`Tree::insert`].
    pub fn insert_file(
        &mut self,
        (id, name): (DirId, &str),
        path: &str,
        target: &Target,
        blocks: &Blocks,
    ) -> Result<Progress<()>> {
        let whole = self.whole;
        let done = self.insert(id, name, target, blocks)?;
        if matches!(done, Progress::Done(())) {
            self.whole = whole;
            self.files.push(Put {
                path: path.to_owned(),
                target: target.clone(),
            });
        }
        Ok(done)
    }

    /// Removes an entry; whether there was one.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn remove(&mut self, id: DirId, name: &str, blocks: &Blocks) -> Result<Progress<bool>> {
        let dir = self.dir_mut(id)?;
        let removed = ask(&mut dir.directory, blocks, |directory| {
            directory.remove(name.as_bytes())
        })?;
        match removed {
            Progress::Need(missing) => Ok(Progress::Need(missing)),
            Progress::Done(None) => Ok(Progress::Done(false)),
            Progress::Done(Some(_)) => {
                self.close_below(id, name.as_bytes());
                self.mark(id)?;
                Ok(Progress::Done(true))
            }
        }
    }

    /// Adds an empty directory, open. Its block has to be stored already.
    ///
    /// # Errors
    /// As [`Tree::insert`].
    pub fn make_dir(
        &mut self,
        id: DirId,
        name: &str,
        spec: CidSpec,
        blocks: &Blocks,
    ) -> Result<Progress<DirId>> {
        let options = DirectoryOptions {
            cid: spec,
            ..self.defaults.clone()
        };
        let mut made = Directory::new(options);
        let Root { cid, tsize, .. } = made.write(&mut drop)?;
        match self.insert(id, name, &Target { cid, tsize }, blocks)? {
            Progress::Need(missing) => Ok(Progress::Need(missing)),
            Progress::Done(()) => Ok(Progress::Done(self.open(id, name.as_bytes(), made)?)),
        }
    }

    /// Names the blocks of a directory in another way.
    ///
    /// # Errors
    /// None that can happen.
    pub fn set_spec(&mut self, id: DirId, spec: CidSpec) -> Result<()> {
        self.dir_mut(id)?.directory.set_cid_spec(spec);
        self.mark(id)
    }

    /// Gives a directory another mode and time.
    ///
    /// # Errors
    /// None that can happen.
    pub fn set_attributes(
        &mut self,
        id: DirId,
        change: &mut dyn FnMut(&mut Option<u32>, &mut Option<Mtime>),
    ) -> Result<()> {
        let directory = &mut self.dir_mut(id)?.directory;
        let (mut mode, mut mtime) = (directory.options().mode, directory.options().mtime);
        change(&mut mode, &mut mtime);
        directory.set_attributes(mode, mtime);
        directory.forget_changes();
        self.mark(id)
    }

    /// What is open below a directory counts its changes from here on.
    ///
    /// # Errors
    /// None that can happen.
    pub fn settle(&mut self, id: DirId) -> Result<()> {
        self.clock += 1;
        let clock = self.clock;
        self.dir_mut(id)?.flushed = clock;
        Ok(())
    }

    /// Whether anything is to be committed.
    pub fn has_changes(&self) -> bool {
        self.is_dirty() || !self.guards.is_empty()
    }

    /// Whether anything differs from what was last encoded.
    pub fn is_dirty(&self) -> bool {
        self.dirs.get(&self.root).is_some_and(|dir| dir.dirty)
    }

    /// A directory has changed: its entry above, and those above that, are out of date.
    fn mark(&mut self, id: DirId) -> Result<()> {
        self.whole = true;
        let dir = self.dir_mut(id)?;
        dir.dirty = true;
        dir.touched += 1;
        let mut above = dir.parent.clone();
        while let Some((parent, name)) = above {
            let dir = self.dir_mut(parent)?;
            if !dir.stale.insert(name) && dir.dirty {
                break;
            }
            dir.dirty = true;
            above = dir.parent.clone();
        }
        Ok(())
    }

    fn dir(&self, id: DirId) -> Result<&Dir> {
        let dir = self.dirs.get(&id);
        dir.ok_or_else(|| MfsError::NotFound.into())
    }

    fn dir_mut(&mut self, id: DirId) -> Result<&mut Dir> {
        let dir = self.dirs.get_mut(&id);
        dir.ok_or_else(|| MfsError::NotFound.into())
    }
}

impl Dir {
    fn new(directory: Directory, parent: Option<(DirId, Bytes)>) -> Self {
        Self {
            directory,
            parent,
            open: HashMap::default(),
            stale: BTreeSet::new(),
            dirty: false,
            flushed: 0,
            settled: 0,
            used: 0,
            touched: 0,
        }
    }
}
