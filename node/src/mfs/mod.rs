//! The mutable file system: one tree of directories whose root is kept in `repo.redb`.
//!
//! Changes are made in memory ([`tree`]) and become blocks when somebody wants a CID; a flush puts them, syncs the store
//! and commits the root in one transaction ([`state`]). Files are cut and hashed outside of every lock of the tree; a
//! writer waits only for others of the same file. What is in the tree and not in the committed root is kept by guards,
//! which end with the commit; the committed root is a root of garbage collection.

mod added;
mod change;
mod commit;
mod error;
mod locality;
mod log;
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
use ipfs_kit_blockstore::store::Guard;
use ipfs_kit_blockstore::{HashFunction, HashSpec};
use ipfs_kit_unixfs::directory::Progress;
use ipfs_kit_unixfs::{
    CidSpec, DirectoryEntry, DirectoryOptions, DirectoryReader, ImportOptions, Kind, NodeStat, run,
};

use crate::error::{Emit, Error, Result};
use crate::files::{AddOptions, FileStream, import_settings};
use crate::node::Node;
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

    /// Whether nothing is in it.
    ///
    /// # Errors
    /// As [`Mfs::entry`].
    pub fn is_empty(&self) -> Result<bool> {
        let mut any = false;
        let listed = self.list("/", false, &mut |_| {
            any = true;
            Err(std::io::ErrorKind::Interrupted.into())
        });
        match listed {
            Err(Error::Output(_)) if any => Ok(false),
            listed => listed.map(|()| true),
        }
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
        let empty = empty_dir(self.node, &guard, DirectoryOptions::default())?;
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

/// The directory without entries, which Kubo has without a block; stored here.
fn empty_dir(node: &Node, guard: &Guard, options: DirectoryOptions) -> Result<Cid> {
    let mut blocks = Vec::new();
    let mut empty = ipfs_kit_unixfs::directory::Directory::new(options);
    let root = empty.write(&mut |block| blocks.push(block))?;
    node.put(guard, &blocks)?;
    Ok(root.cid)
}
