//! The mutable file system: one tree of directories whose root is kept in `repo.redb`.
//!
//! Changes are made in memory ([`tree`]) and become blocks when somebody wants a CID; a flush puts them, syncs the store
//! and commits the root in one transaction ([`state`]). Files are cut and hashed outside of every lock of the tree; a
//! writer waits only for others of the same file. What is in the tree and not in the committed root is kept by guards,
//! which end with the commit; the committed root is a root of garbage collection.

mod added;
mod error;
mod locality;
pub mod path;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ipfs_kit_blockstore::cid::{Cid, Version};
use ipfs_kit_blockstore::store::{BlockInfo, Guard};
use ipfs_kit_blockstore::{HashFunction, HashSpec};
use ipfs_kit_unixfs::directory::{Progress, Target};
use ipfs_kit_unixfs::{
    CidSpec, DirectoryEntry, DirectoryReader, ImportOptions, Kind, Mtime, NodeStat, edit, run,
};

use crate::error::{Emit, Error, Result};
use crate::files::{AddOptions, FileStream, import_settings};
use crate::gc::mark::Mark;
use crate::node::Node;
use crate::walk::{Visitor, walk};
use state::Open;
use tree::{Blocks, DirId, Found, Tree};

pub(crate) use added::put_added;
pub use error::MfsError;
pub(crate) use state::MfsState;
pub use write::MfsWrite;

/// Kubo's limit of operations without a flush.
const DEFAULT_UNFLUSHED: u64 = 256;

/// Verbs on the mutable file system, from [`Node::mfs`]. Paths are absolute. A verb that changes something is visible when
/// it returns and durable after the next [`Mfs::flush`].
pub struct Mfs<'a> {
    pub(crate) node: &'a Node,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MfsEntry {
    /// Its CID.
    pub cid: Cid,
    /// Whether it is a directory; a symbolic link is none.
    pub directory: bool,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MfsListed {
    /// Its name; bytes that are no UTF-8 are replaced.
    pub name: String,
    /// Whether it is a directory; only looked up for a long listing.
    pub directory: bool,
    /// Bytes of a file's content; only looked up for a long listing.
    pub size: u64,
    /// Its CID.
    pub cid: Cid,
}

/// How new nodes are named. What is left out is as the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MfsNaming {
    /// CID version.
    pub version: Option<i64>,
    /// Hash function by name.
    pub hash: Option<String>,
}

impl MfsNaming {
    /// What was asked for; `None` when nothing was.
    fn asked(&self) -> Result<Option<CidSpec>> {
        if self.version.is_none() && self.hash.is_none() {
            return Ok(None);
        }
        let version = match (self.version.unwrap_or(0), &self.hash) {
            (0, Some(_)) | (1, _) => Version::V1,
            (0, None) => Version::V0,
            (other, _) => return Err(MfsError::CidVersion(other).into()),
        };
        let hash = match &self.hash {
            None => HashSpec::SHA2_256,
            Some(name) => {
                let function = HashFunction::from_name(&name.to_lowercase())
                    .map_err(|_| MfsError::HashFunction(name.clone()))?;
                HashSpec::new(function, None)?
            }
        };
        Ok(Some(CidSpec::new(version, hash, None)?))
    }
}

/// The import settings of the configuration, or with another naming.
fn import(node: &Node, naming: Option<&MfsNaming>) -> Result<ImportOptions> {
    let mut import = import_settings(node.config(), &AddOptions::default())?;
    if let Some(spec) = naming.map(MfsNaming::asked).transpose()?.flatten() {
        import.cid = spec;
    }
    Ok(import)
}

impl Mfs<'_> {
    /// What a path leads to. The CID of a directory is that of everything in it, flushed or not.
    ///
    /// # Errors
    /// [`MfsError::NotFound`], [`MfsError::Through`], and blocks that cannot be read.
    pub fn entry(&self, path: &str) -> Result<MfsEntry> {
        let open = self.open()?;
        let names = path::names(path);
        match open.run(self.node, |tree, blocks| tree.lookup(&names, blocks))? {
            Found::File(target) => Ok(MfsEntry {
                cid: target.cid,
                directory: false,
            }),
            Found::Dir(_) => Ok(MfsEntry {
                cid: open
                    .snapshot(self.node, &|tree, blocks| lookup_dir(tree, path, blocks))?
                    .cid,
                directory: true,
            }),
        }
    }

    /// Whether a path leads to a directory.
    ///
    /// # Errors
    /// As [`Mfs::entry`].
    pub fn is_directory(&self, path: &str) -> Result<bool> {
        Ok(matches!(self.look(path)?, Found::Dir(_)))
    }

    /// The entries of a directory in its own order. `long` looks up what they are.
    ///
    /// # Errors
    /// As [`Mfs::entry`]; [`Error::Output`].
    pub fn list(&self, path: &str, long: bool, emit: Emit<'_, MfsListed>) -> Result<()> {
        let root = self.entry(path)?.cid;
        run::<_, Error>(
            &mut DirectoryReader::new(root),
            |cid| {
                self.node.cancel().check()?;
                self.node.block(cid)
            },
            |entry| emit(self.describe(entry, long)?).map_err(Error::Output),
        )
    }

    fn describe(&self, entry: DirectoryEntry, long: bool) -> Result<MfsListed> {
        let mut listed = MfsListed {
            name: String::from_utf8_lossy(&entry.name).into_owned(),
            directory: false,
            size: 0,
            cid: entry.cid,
        };
        if long {
            let stat = self.stat_of(&listed.cid)?;
            listed.directory = stat.is_directory();
            listed.size = stat.size;
        }
        Ok(listed)
    }

    /// Content bytes of a file, target bytes of a symbolic link.
    ///
    /// # Errors
    /// A block that cannot be read.
    pub fn size(&self, cid: &Cid) -> Result<u64> {
        Ok(self.stat_of(cid)?.size)
    }

    fn stat_of(&self, cid: &Cid) -> Result<NodeStat> {
        Ok(NodeStat::of(cid, self.node.block(cid)?)?)
    }

    /// Whether a DAG is here whole, and the bytes of its blocks that are; one that is linked twice counts twice.
    ///
    /// # Errors
    /// Blocks that cannot be decoded.
    pub fn locality(&self, root: &Cid) -> Result<(bool, u64)> {
        locality::of(&self.node.offline(), root)
    }

    /// A reader over a file.
    ///
    /// # Errors
    /// As [`Mfs::entry`]; [`MfsError::NotAFile`], [`MfsError::Symlink`].
    pub fn read(&self, path: &str) -> Result<FileStream> {
        let Found::File(target) = self.look(path)? else {
            return Err(MfsError::NotAFile(path.to_owned()).into());
        };
        if self.stat_of(&target.cid)?.kind == Kind::Symlink {
            return Err(MfsError::Symlink.into());
        }
        self.node.files().cat(&target.cid.to_string())
    }

    /// Makes a directory, with `parents` also those above it, and then it may be there already.
    ///
    /// # Errors
    /// [`MfsError::Exists`], [`MfsError::RootExists`], [`MfsError::NotFound`], [`MfsError::WasNotDirectory`].
    pub fn mkdir(&self, path: &str, parents: bool, naming: &MfsNaming) -> Result<()> {
        let names = path::names(path);
        if names.is_empty() {
            return if parents {
                Ok(())
            } else {
                Err(MfsError::RootExists.into())
            };
        }
        self.node.check_writable()?;
        let spec = import(self.node, Some(naming))?.cid;
        let open = self.open()?;
        let guard = open.guard(self.node);
        let mut made = Vec::new();
        open.change(self.node, &guard, |tree, blocks| {
            make_dirs(tree, &names, parents, spec, &mut made, blocks)
        })?;
        self.node.put(&guard, &made)
    }

    /// Makes the directories above a path that are not there.
    ///
    /// # Errors
    /// As [`Mfs::mkdir`].
    pub fn make_parents(&self, path: &str, naming: &MfsNaming) -> Result<()> {
        self.mkdir(&path::parent(path), true, naming)
    }

    /// Puts a DAG at a path where nothing is. Only its first block has to be here; a garbage collection keeps what is
    /// here of the rest.
    ///
    /// # Errors
    /// [`MfsError::EntryExists`], [`MfsError::EmptyName`], [`MfsError::NotADirectory`], and blocks that cannot be read.
    pub fn put(&self, path: &str, root: &Cid) -> Result<()> {
        self.node.check_writable()?;
        let open = self.open()?;
        let guard = open.guard(self.node);
        let state = self.node.mfs_state();
        state.hold(root);
        let put = self.put_held(&open, &guard, path, root);
        if put.is_err() {
            state.release(root);
        }
        put
    }

    fn put_held(&self, open: &Open, guard: &Arc<Guard>, path: &str, root: &Cid) -> Result<()> {
        // A collection that begins now sees the root among those that are held. One that runs may be past that.
        if self.node.store().is_sweeping() {
            touch_below(self.node, guard, root)?;
        }
        guard.touch(root.hash())?;
        let stat = self.stat_of(root)?;
        let (dir, name) = path::split(path);
        if name.is_empty() {
            return Err(MfsError::EmptyName.into());
        }
        let target = Target {
            cid: root.clone(),
            tsize: stat.cumulative_size,
        };
        open.change(self.node, guard, |tree, blocks| {
            let id = match lookup_dir(tree, dir, blocks)? {
                Progress::Done(id) => id,
                Progress::Need(missing) => return Ok(Progress::Need(missing)),
            };
            match tree.child(id, name.as_bytes(), blocks)? {
                Progress::Need(missing) => return Ok(Progress::Need(missing)),
                Progress::Done(Some(_)) => return Err(MfsError::EntryExists.into()),
                Progress::Done(None) => {}
            }
            let done = tree.insert_file((id, name), path, &target, blocks)?;
            if matches!(done, Progress::Done(())) {
                tree.held.push(root.clone());
            }
            Ok(done)
        })
    }

    /// Moves an entry, into the destination if that is a directory, over it if it is a file.
    ///
    /// # Errors
    /// [`MfsError::NotFound`], [`MfsError::NotADirectory`], [`MfsError::EntryExists`].
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.node.check_writable()?;
        let open = self.open()?;
        let guard = open.guard(self.node);
        let (from_dir, from_name) = path::split(from);
        let (to_dir, mut to_name) = match to.ends_with('/') {
            true => (to, from_name),
            false => path::split(to),
        };
        let mut to_dir = to_dir.to_owned();
        open.run(self.node, |tree, blocks| lookup_dir(tree, &to_dir, blocks))?;
        let target = match self
            .child(&open, from_dir, from_name)?
            .ok_or(MfsError::NotFound)?
        {
            Found::File(target) => target,
            Found::Dir(_) => {
                let find = |tree: &mut Tree, blocks: &Blocks| lookup_dir(tree, from, blocks);
                open.snapshot(self.node, &find)?
            }
        };
        match self.child(&open, &to_dir, to_name)? {
            None => {}
            Some(Found::File(_)) => drop(self.drop_entry(&open, &guard, &to_dir, to_name)?),
            Some(Found::Dir(_)) => {
                to_dir = format!("{}/{to_name}", to_dir.trim_end_matches('/'));
                to_name = from_name;
                if self.child(&open, &to_dir, to_name)?.is_some() {
                    return Err(MfsError::EntryExists.into());
                }
            }
        }
        open.change(self.node, &guard, |tree, blocks| {
            match lookup_dir(tree, &to_dir, blocks)? {
                Progress::Need(missing) => Ok(Progress::Need(missing)),
                Progress::Done(id) => tree.insert(id, to_name, &target, blocks),
            }
        })?;
        if (path::clean(from_dir), from_name) != (path::clean(&to_dir), to_name) {
            self.drop_entry(&open, &guard, from_dir, from_name)?;
        }
        Ok(())
    }

    fn child(&self, open: &Open, dir: &str, name: &str) -> Result<Option<Found>> {
        open.run(self.node, |tree, blocks| {
            match lookup_dir(tree, dir, blocks)? {
                Progress::Need(missing) => Ok(Progress::Need(missing)),
                Progress::Done(id) => tree.child(id, name.as_bytes(), blocks),
            }
        })
    }

    /// Removes an entry; whether there was one.
    fn drop_entry(&self, open: &Open, guard: &Arc<Guard>, dir: &str, name: &str) -> Result<bool> {
        open.change(self.node, guard, |tree, blocks| {
            match lookup_dir(tree, dir, blocks)? {
                Progress::Need(missing) => Ok(Progress::Need(missing)),
                Progress::Done(id) => tree.remove(id, name, blocks),
            }
        })
    }

    /// Removes an entry of a directory, whatever it is, also one that cannot be read.
    ///
    /// # Errors
    /// [`MfsError::NotFound`], [`MfsError::ParentNotDirectory`].
    pub fn unlink(&self, path: &str) -> Result<()> {
        self.node.check_writable()?;
        let open = self.open()?;
        let guard = open.guard(self.node);
        let (dir, name) = path::split(path);
        match self.drop_entry(&open, &guard, dir, name) {
            Ok(true) => Ok(()),
            Ok(false) => Err(MfsError::NotFound.into()),
            Err(Error::Mfs(MfsError::NotADirectory(_))) => Err(MfsError::ParentNotDirectory.into()),
            Err(error) => Err(error),
        }
    }

    /// Names the blocks of a directory in another way; nothing when no way is asked for.
    ///
    /// # Errors
    /// [`MfsError::OnlyDirectories`], and as [`Mfs::entry`].
    pub fn rename_blocks(&self, path: &str, naming: &MfsNaming) -> Result<()> {
        let Some(spec) = naming.asked()? else {
            return Ok(());
        };
        self.node.check_writable()?;
        let open = self.open()?;
        let guard = open.guard(self.node);
        let names = path::names(path);
        open.change(self.node, &guard, |tree, blocks| {
            match tree.lookup(&names, blocks)? {
                Progress::Need(missing) => Ok(Progress::Need(missing)),
                Progress::Done(Found::File(_)) => Err(MfsError::OnlyDirectories.into()),
                Progress::Done(Found::Dir(id)) => Ok(Progress::Done(tree.set_spec(id, spec)?)),
            }
        })
    }

    /// Gives what a path leads to another mode; 0 is none.
    ///
    /// # Errors
    /// As [`Mfs::entry`].
    pub fn set_mode(&self, path: &str, mode: u32) -> Result<()> {
        self.set_attributes(path, &mut |old, _| {
            let kept = old.unwrap_or(0) & !0o7777;
            *old = Some(kept | (mode & 0o7777)).filter(|mode| *mode != 0);
        })
    }

    /// Gives what a path leads to another modification time.
    ///
    /// # Errors
    /// As [`Mfs::entry`].
    pub fn set_mtime(&self, path: &str, seconds: i64, nanos: u32) -> Result<()> {
        self.set_attributes(path, &mut |_, old| *old = Some(Mtime { seconds, nanos }))
    }

    fn set_attributes(
        &self,
        path: &str,
        change: &mut dyn FnMut(&mut Option<u32>, &mut Option<Mtime>),
    ) -> Result<()> {
        self.node.check_writable()?;
        let open = self.open()?;
        let guard = open.guard(self.node);
        let names = path::names(path);
        let Found::File(old) = self.look(path)? else {
            return open.change(self.node, &guard, |tree, blocks| {
                match tree.lookup(&names, blocks)? {
                    Progress::Need(missing) => Ok(Progress::Need(missing)),
                    Progress::Done(Found::File(_)) => Err(MfsError::NotFound.into()),
                    Progress::Done(Found::Dir(id)) => {
                        Ok(Progress::Done(tree.set_attributes(id, change)?))
                    }
                }
            });
        };
        let block = self.node.block(&old.cid)?;
        let (root, block) = edit::set_attributes(&old.cid, block, change)?;
        self.node.put(&guard, block.as_slice())?;
        let new = Target {
            cid: root.cid,
            tsize: root.tsize,
        };
        write::replace(self.node, &open, &guard, path, Some(&old), &new).map(drop)
    }

    /// What is below a directory counts its growth anew, as after a flush of Kubo.
    ///
    /// # Errors
    /// As [`Mfs::entry`].
    pub fn settle(&self, path: &str) -> Result<()> {
        let open = self.open()?;
        let names = path::names(path);
        open.run(self.node, |tree, blocks| {
            match tree.lookup(&names, blocks)? {
                Progress::Need(missing) => Ok(Progress::Need(missing)),
                Progress::Done(Found::File(_)) => Ok(Progress::Done(())),
                Progress::Done(Found::Dir(id)) => Ok(Progress::Done(tree.settle(id)?)),
            }
        })
    }

    /// Makes everything that was done so far durable, and what is below a directory count its growth anew, as Kubo's
    /// flush of a path does.
    ///
    /// # Errors
    /// As [`Mfs::entry`]; what the disk says.
    pub fn flush(&self, path: &str) -> Result<()> {
        self.settle(path)?;
        self.commit()
    }

    /// Makes everything that was done so far durable.
    ///
    /// # Errors
    /// What the disk says.
    pub fn commit(&self) -> Result<()> {
        let open = self.open()?;
        open.commit(self.node)
    }

    /// Counts an operation, which is flushed or not.
    ///
    /// # Errors
    /// [`MfsError::Unflushed`] when there were too many.
    pub fn count(&self, flush: bool) -> Result<()> {
        let unflushed = &self.node.mfs_state().unflushed;
        if flush {
            unflushed.store(0, Ordering::Relaxed);
            return Ok(());
        }
        let configured = self.node.config().signed("Internal.MFSNoFlushLimit");
        let limit = configured.unwrap_or(DEFAULT_UNFLUSHED as i64);
        let one_more = |count: u64| {
            let full = limit > 0 && count >= limit as u64;
            (!full).then_some(count + 1)
        };
        unflushed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .map(drop)
            .map_err(|_| MfsError::Unflushed(limit as u64).into())
    }

    /// The committed root; `None` when nothing was ever committed.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn committed_root(&self) -> Result<Option<Cid>> {
        Ok(table::root(self.node.database())?)
    }

    /// Makes a directory that is here the root, an empty one without a CID; what was changed and not flushed is lost. The
    /// root before it, and the new one.
    ///
    /// # Errors
    /// [`MfsError::NewRootMissing`], [`MfsError::NewRootKind`], [`MfsError::NewRootInvalid`].
    pub fn set_root(&self, root: Option<&Cid>) -> Result<(Option<Cid>, Cid)> {
        self.node.check_writable()?;
        let guard = self.node.store().guard();
        let empty = empty_dir(self.node, &guard)?;
        let new = root.unwrap_or(&empty);
        if new != &empty {
            write::check_new_root(self.node, &guard, new)?;
        }
        self.node.store().sync()?;
        let old = table::root(self.node.database())?;
        table::set_root(self.node.database(), new)?;
        self.node.mfs_state().close();
        Ok((old, new.clone()))
    }

    fn open(&self) -> Result<Arc<Open>> {
        self.node.mfs_state().opened(self.node)
    }

    fn look(&self, path: &str) -> Result<Found> {
        let names = path::names(path);
        self.open()?
            .run(self.node, |tree, blocks| tree.lookup(&names, blocks))
    }
}

fn lookup_dir(tree: &mut Tree, path: &str, blocks: &Blocks) -> Result<Progress<DirId>> {
    match tree.lookup(&path::names(path), blocks)? {
        Progress::Need(missing) => Ok(Progress::Need(missing)),
        Progress::Done(Found::Dir(id)) => Ok(Progress::Done(id)),
        Progress::Done(Found::File(_)) => Err(MfsError::NotADirectory(path.to_owned()).into()),
    }
}

/// Makes directories; those that are there already stay as they are.
fn make_dirs(
    tree: &mut Tree,
    names: &[&str],
    parents: bool,
    spec: CidSpec,
    made: &mut Vec<ipfs_kit_blockstore::Block>,
    blocks: &Blocks,
) -> Result<Progress<()>> {
    let mut at = tree.root();
    for (depth, name) in names.iter().enumerate() {
        let last = depth + 1 == names.len();
        let found = match tree.child(at, name.as_bytes(), blocks)? {
            Progress::Need(missing) => return Ok(Progress::Need(missing)),
            Progress::Done(found) => found,
        };
        at = match found {
            Some(_) if last && !parents => return Err(MfsError::Exists.into()),
            Some(Found::Dir(id)) => id,
            Some(Found::File(_)) if last => return Err(MfsError::Exists.into()),
            Some(Found::File(_)) => {
                return Err(MfsError::WasNotDirectory(names[..depth].join("/")).into());
            }
            None if !last && !parents => return Err(MfsError::NotFound.into()),
            None => match tree.make_dir(at, name, spec, made, blocks)? {
                Progress::Need(missing) => return Ok(Progress::Need(missing)),
                Progress::Done(id) => id,
            },
        };
    }
    Ok(Progress::Done(()))
}

/// The directory without entries, which Kubo has without a block; stored here.
fn empty_dir(node: &Node, guard: &Guard) -> Result<Cid> {
    let mut blocks = Vec::new();
    let mut empty = ipfs_kit_unixfs::directory::Directory::new(Default::default());
    let root = empty.write(&mut |block| blocks.push(block))?;
    node.put(guard, &blocks)?;
    Ok(root.cid)
}

/// Keeps what is here of a DAG from a garbage collection that runs already.
fn touch_below(node: &Node, guard: &Guard, root: &Cid) -> Result<()> {
    struct Touching<'a>(&'a Guard);
    impl Visitor for Touching<'_> {
        fn look(&mut self, node: &Node, cid: &Cid) -> Result<Option<BlockInfo>> {
            self.0.touch(cid.hash())?;
            Ok(node
                .store()
                .info(cid.hash())?
                .filter(|info| !info.quarantined))
        }

        fn found(&mut self, _: &Cid, _: &BlockInfo) -> Result<()> {
            Ok(())
        }

        fn bad(&mut self, _: &Cid, _: Error) -> Result<()> {
            Ok(())
        }
    }
    let mut mark = Mark::new();
    mark.add_root(root.clone(), true);
    walk(node, &mut mark, &mut Touching(guard))
}
