//! The directories that are open, in memory. No IO: what is not there is asked for, and nothing has happened then.
//!
//! A directory that is being filled stays open with what of its trie was needed, and is encoded only when somebody wants
//! its CID. The entry of a changed directory in its parent is brought up to date at that moment, so a thousand new files
//! cost one new block of each directory above them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use ipfs_kit_blockstore::Block;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec::{self, dag_pb::PbNode};
use ipfs_kit_blockstore::store::Guard;
use ipfs_kit_unixfs::directory::{Directory, DirectoryError, Progress, Target};
use ipfs_kit_unixfs::{CidSpec, DirectoryOptions, Kind, Mtime, Root, UnixFs};
use rustc_hash::FxBuildHasher;

use super::error::MfsError;
use super::table::Put;
use crate::error::{Error, Result};

/// Open directories that need not be open; more are closed.
const MAX_DIRS: usize = 4096;

/// Operations on one directory after which it is closed and loaded anew, so that what of its trie was touched does not
/// pile up.
const MAX_TOUCHED: u64 = 262_144;

/// Blocks that an operation has got so far.
#[derive(Default)]
pub struct Blocks {
    got: HashMap<Cid, Bytes>,
    /// One was asked for that is not here, and is not waited for.
    pub absent: bool,
}

impl Blocks {
    fn get(&self, cid: &Cid) -> Option<&Bytes> {
        self.got.get(cid)
    }

    /// Takes one that was asked for.
    pub fn insert(&mut self, cid: Cid, block: Bytes) {
        self.got.insert(cid, block);
    }
}

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
    pub logged: u64,
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

    /// Adds an empty directory, open.
    ///
    /// # Errors
    /// As [`Tree::insert`].
    pub fn make_dir(
        &mut self,
        id: DirId,
        name: &str,
        spec: CidSpec,
        out: &mut Vec<Block>,
        blocks: &Blocks,
    ) -> Result<Progress<DirId>> {
        let options = DirectoryOptions {
            cid: spec,
            ..self.defaults.clone()
        };
        let mut made = Directory::new(options);
        let start = out.len();
        let Root { cid, tsize, .. } = made.write(&mut |block| out.push(block))?;
        match self.insert(id, name, &Target { cid, tsize }, blocks)? {
            Progress::Need(missing) => {
                out.truncate(start);
                Ok(Progress::Need(missing))
            }
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

    /// Whether anything differs from what was last encoded.
    pub fn is_dirty(&self) -> bool {
        self.dirs.get(&self.root).is_some_and(|dir| dir.dirty)
    }

    /// Whether anything is to be committed.
    pub fn has_changes(&self) -> bool {
        self.is_dirty() || !self.guards.is_empty()
    }

    /// Encodes what has changed at and below a directory; its block.
    ///
    /// # Errors
    /// Directories that cannot be read or encoded.
    pub fn write(
        &mut self,
        id: DirId,
        out: &mut Vec<Block>,
        blocks: &Blocks,
    ) -> Result<Progress<Target>> {
        // Not by recursion: how deep a tree goes is for whoever makes it to say.
        let mut path = vec![id];
        while let Some(&at) = path.last() {
            if let Some(name) = self.dir(at)?.stale.first().cloned() {
                match self.dir(at)?.open.get(&name) {
                    Some(&below) => path.push(below),
                    None => drop(self.dir_mut(at)?.stale.remove(&name)),
                }
                continue;
            }
            let target = self.encode(at, out)?;
            path.pop();
            let Some(&above) = path.last() else {
                return Ok(Progress::Done(target));
            };
            if let Progress::Need(missing) = self.update_first(above, &target, blocks)? {
                return Ok(Progress::Need(missing));
            }
        }
        Err(Error::Internal("a directory was encoded without an end"))
    }

    /// Brings the first entry that is out of date up to date.
    fn update_first(
        &mut self,
        id: DirId,
        target: &Target,
        blocks: &Blocks,
    ) -> Result<Progress<()>> {
        let dir = self.dir_mut(id)?;
        let Some(name) = dir.stale.first().cloned() else {
            return Ok(Progress::Done(()));
        };
        let put = ask(&mut dir.directory, blocks, |directory| {
            directory.insert(&name, target.clone())
        })?;
        let put = match put {
            // Whether it should be one block again is not told without all its shards.
            Progress::Need(_) if blocks.absent => ask(&mut dir.directory, blocks, |directory| {
                directory.replace(&name, target.clone())
            })?,
            Progress::Need(missing) => Progress::Need(missing),
            Progress::Done(_) => Progress::Done(()),
        };
        if matches!(put, Progress::Done(())) {
            dir.stale.remove(&name);
        }
        Ok(put)
    }

    fn encode(&mut self, id: DirId, out: &mut Vec<Block>) -> Result<Target> {
        let dir = self.dir_mut(id)?;
        let start = out.len();
        let written = match dir.directory.write(&mut |block| out.push(block)) {
            Err(DirectoryError::Hash(_)) => {
                // It has grown beyond what an identity CID can hold.
                out.truncate(start);
                dir.directory.set_cid_spec(CidSpec::V1);
                dir.directory.write(&mut |block| out.push(block))
            }
            written => written,
        };
        let Root { cid, tsize, .. } = written?;
        dir.dirty = false;
        Ok(Target { cid, tsize })
    }

    /// Closes directories that have not been used for the longest time, if there are many, and those that hold much.
    /// What is dirty, or has something open below, stays.
    pub fn close_idle(&mut self) {
        let crowded = self.dirs.len() > MAX_DIRS;
        let mut idle: Vec<(u64, DirId)> = self
            .dirs
            .iter()
            .filter(|(_, dir)| {
                let leaf = dir.parent.is_some() && !dir.dirty && dir.open.is_empty();
                leaf && (crowded || dir.touched > MAX_TOUCHED)
            })
            .map(|(id, dir)| (dir.used, *id))
            .collect();
        idle.sort_unstable();
        let over = self.dirs.len().saturating_sub(MAX_DIRS / 2);
        for (nth, (_, id)) in idle.into_iter().enumerate() {
            let large = self
                .dirs
                .get(&id)
                .is_some_and(|dir| dir.touched > MAX_TOUCHED);
            if large || nth < over {
                self.close(id);
            }
        }
    }

    /// Puts another block in the place of the root.
    ///
    /// # Errors
    /// A block that is no directory.
    pub fn reload_root(&mut self, directory: Directory) {
        let root = self.root;
        self.dirs.clear();
        self.dirs.insert(root, Dir::new(directory, None));
    }

    /// Whether the root holds so much that it should be loaded anew, and what it is.
    pub fn root_to_reload(&self) -> Option<CidSpec> {
        let root = self.dirs.get(&self.root)?;
        let large = root.touched > MAX_TOUCHED && !root.dirty && root.open.is_empty();
        large.then(|| root.directory.options().cid)
    }

    fn open(&mut self, parent: DirId, name: &[u8], directory: Directory) -> Result<DirId> {
        let id = DirId(self.next);
        self.next += 1;
        let clock = self.clock;
        let name = Bytes::copy_from_slice(name);
        self.dir_mut(parent)?.open.insert(name.clone(), id);
        let mut dir = Dir::new(directory, Some((parent, name)));
        dir.used = clock;
        dir.settled = clock;
        self.dirs.insert(id, dir);
        Ok(id)
    }

    /// Forgets what is open under a name that no longer stands for it.
    fn close_below(&mut self, id: DirId, name: &[u8]) {
        let Some(dir) = self.dirs.get_mut(&id) else {
            return;
        };
        dir.stale.remove(name);
        let mut closing: Vec<DirId> = dir.open.remove(name).into_iter().collect();
        while let Some(id) = closing.pop() {
            if let Some(dir) = self.dirs.remove(&id) {
                closing.extend(dir.open.into_values());
            }
        }
    }

    fn close(&mut self, id: DirId) {
        if let Some(dir) = self.dirs.remove(&id)
            && let Some((parent, name)) = dir.parent
            && let Some(parent) = self.dirs.get_mut(&parent)
        {
            parent.open.remove(&name);
        }
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

/// A directory with this first block.
///
/// # Errors
/// A block that is no directory.
pub fn load(defaults: &DirectoryOptions, cid: &Cid, block: &Bytes) -> Result<Directory> {
    let mut spec = CidSpec::of(cid)?;
    if spec.is_inlined(usize::MAX) {
        // It may grow beyond what a CID can hold.
        spec = CidSpec::V1;
    }
    let options = DirectoryOptions {
        cid: spec,
        ..defaults.clone()
    };
    Ok(Directory::load(options, cid, block)?)
}

/// What a block is, by its CID or its bytes.
fn kind_of(cid: &Cid, blocks: &Blocks) -> Result<Progress<Kind>> {
    match cid.codec() {
        codec::RAW => return Ok(Progress::Done(Kind::Raw)),
        codec::DAG_PB => {}
        _ => return Err(MfsError::NotUnixFs.into()),
    }
    let Some(block) = blocks.get(cid) else {
        return Ok(Progress::Need(vec![cid.clone()]));
    };
    let node = PbNode::decode(block).map_err(DirectoryError::from)?;
    let message = node.data.unwrap_or_default();
    let unixfs = UnixFs::decode(&message).map_err(DirectoryError::from)?;
    Ok(Progress::Done(unixfs.kind))
}

/// Runs an operation of a directory as far as `blocks` go.
fn ask<T>(
    directory: &mut Directory,
    blocks: &Blocks,
    mut operation: impl FnMut(&mut Directory) -> Result<Progress<T>, DirectoryError>,
) -> Result<Progress<T>> {
    loop {
        let needed = match operation(directory)? {
            Progress::Done(done) => return Ok(Progress::Done(done)),
            Progress::Need(needed) => needed,
        };
        let missing: Vec<Cid> = needed
            .iter()
            .filter(|cid| blocks.get(cid).is_none())
            .cloned()
            .collect();
        if !missing.is_empty() {
            return Ok(Progress::Need(missing));
        }
        for (cid, block) in needed
            .iter()
            .filter_map(|cid| Some((cid, blocks.get(cid)?)))
        {
            directory.supply(cid, block)?;
        }
    }
}
