//! Files and directories: add, read, list.

use std::io::Write;
use std::path::Path;

use ipfs_kit_blockstore::cid::Cid;

use crate::error::{Emit, Result};
use crate::fetch::Reach;
use crate::node::Node;

mod add;
mod ahead;
mod get;
mod list;
mod options;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use add::import_settings;
pub use add::{LocalItem, LocalWalk};
pub use options::{AddEvent, AddOptions, AddReport, AddedRoot, Source, StreamedEntry, TreeStream};
pub use stream::FileStream;

/// Verbs on files and directories, from [`Node::files`].
pub struct Files<'a> {
    pub(crate) node: &'a Node,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file, as UnixFS or a raw block.
    File,
    /// A directory, basic or sharded.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Not looked up, or not UnixFS.
    Unknown,
}

/// Options of [`Files::ls`].
#[derive(Clone, Debug)]
pub struct LsOptions {
    /// Read each child's first block to learn its kind.
    pub resolve_type: bool,
    /// Read each child's first block to learn its size.
    pub size: bool,
}

impl Default for LsOptions {
    fn default() -> Self {
        Self {
            resolve_type: true,
            size: true,
        }
    }
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LsEntry {
    /// Its name; bytes that are no UTF-8 are replaced.
    pub name: String,
    /// Its CID.
    pub cid: Cid,
    /// What it is.
    pub kind: EntryKind,
    /// Length of a file's content in bytes; zero for directories and where not looked up.
    pub size: u64,
    /// Where a symbolic link points.
    pub target: Option<String>,
    /// POSIX mode bits, where stored.
    pub mode: Option<u32>,
    /// Modification time in seconds and nanoseconds, where stored.
    pub mtime: Option<(i64, u32)>,
}

/// Answer of [`Files::stat`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// Its CID.
    pub cid: Cid,
    /// What it is.
    pub kind: EntryKind,
    /// Length of a file's content in bytes, zero for a directory.
    pub size: u64,
    /// Size of the DAG as its links tell it.
    pub cumulative_size: u64,
    /// Number of links of the first block.
    pub child_blocks: u64,
    /// Where a symbolic link points.
    pub target: Option<Vec<u8>>,
    /// POSIX mode bits, where stored.
    pub mode: Option<u32>,
    /// Modification time in seconds and nanoseconds, where stored.
    pub mtime: Option<(i64, u32)>,
}

impl Files<'_> {
    /// Adds files and directories. Each source gives one root, or all of them one with
    /// [`AddOptions::wrap`]. `Added` events come after their blocks are durable, files in the order of the walk,
    /// then the directories of the root from the leaves up. When anything fails nothing is pinned.
    pub fn add(
        &self,
        sources: Vec<Source>,
        options: &AddOptions,
        emit: Emit<'_, AddEvent>,
    ) -> Result<AddReport> {
        add::add(self.node, sources, options, emit)
    }

    /// A reader over the file a path leads to.
    pub fn cat(&self, path: &str) -> Result<FileStream> {
        let root = self.node.resolve(path)?;
        let node = self.node.fetching(Reach::Ahead(vec![root.clone()]));
        FileStream::open(&node, root)
    }

    /// Lists a directory, or a file as one unnamed set of its blocks, as `ls` does. Entries stream.
    pub fn ls(&self, path: &str, options: &LsOptions, emit: Emit<'_, LsEntry>) -> Result<Cid> {
        list::ls(self.node, path, options, emit)
    }

    /// What a path leads to.
    pub fn stat(&self, path: &str) -> Result<FileStat> {
        list::stat(self.node, path)
    }

    /// [`Files::stat`] of a node whose CID is known.
    pub fn stat_of(&self, cid: &Cid) -> Result<FileStat> {
        list::stat_of(self.node, cid)
    }

    /// Writes what a path leads to below or at `target` on the local disk; nothing is ever written outside it.
    /// `emit` gets the content bytes written so far.
    pub fn get(&self, path: &str, target: &Path, emit: Emit<'_, u64>) -> Result<()> {
        get::to_disk(self.node, path, target, emit)
    }

    /// Writes what a path leads to as a tar stream whose top entry is `name` (the path's last segment by default).
    /// `gzip` is the compression level, 0 to 9.
    pub fn get_tar(
        &self,
        path: &str,
        name: Option<&str>,
        gzip: Option<u32>,
        output: &mut dyn Write,
        emit: Emit<'_, u64>,
    ) -> Result<()> {
        get::as_tar(self.node, path, name, gzip, output, emit)
    }

    /// Writes the file a path leads to, gzip-compressed without tar (`get -C` of a single file).
    pub fn get_gzip(
        &self,
        path: &str,
        level: u32,
        output: &mut dyn Write,
        emit: Emit<'_, u64>,
    ) -> Result<()> {
        get::as_gzip(self.node, path, level, output, emit)
    }
}
