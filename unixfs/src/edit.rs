//! Edits of a file that is a DAG already: bytes written over it, put behind it or cut off, without reading or writing
//! more than the leaves that change and the nodes on the way to them.
//!
//! What comes out has the CID that boxo `ipld/unixfs/mod` gives: what grows is laid out as a trickle tree whatever the
//! file was, holes are chunks of 4,096 zeros, a file cut to a chunk's end keeps an empty leaf behind it, and a file of
//! one raw leaf is that leaf.

mod append;
mod node;
mod overwrite;
#[cfg(test)]
mod tests;
mod truncate;

use bytes::Bytes;
use ipfs_kit_blockstore::hash::HashError;
use ipfs_kit_blockstore::{Block, Cid};

use crate::ReadError;
use crate::chunker::Chunker;
use crate::leaf::FileError;
use crate::links::Root;
use crate::node::{Kind, Mtime, UnixFs};
use crate::options::CidSpec;
use crate::read_error::FileFault;
use append::Feed;
use node::Part;
pub(crate) use node::spec_of;

/// A DAG deeper than this is not one that any importer made.
const MAX_DEPTH: usize = 64;

/// What a hole is filled with, in bytes of zeros.
const HOLE_CHUNK: usize = 4096;

/// A file that cannot be edited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The DAG is not that of a file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What is to be written cannot be stored.
    #[error(transparent)]
    File(#[from] FileError),
    /// A UnixFS node of another kind.
    #[error("not a file but a {0:?} node")]
    NotAFile(Kind),
    /// Deeper than any file.
    #[error("the DAG of the file is more than {MAX_DEPTH} blocks deep")]
    TooDeep,
    /// The file would be longer than its format can say.
    #[error("the file would be longer than {} bytes", i64::MAX)]
    TooLong,
}

impl From<HashError> for EditError {
    fn from(error: HashError) -> Self {
        Self::File(error.into())
    }
}

/// Where an editor reads blocks and puts new ones.
pub trait BlockAccess {
    /// Why a block cannot be had or put.
    type Error: From<EditError>;

    /// The bytes of a block.
    ///
    /// # Errors
    /// When it cannot be had.
    fn get(&mut self, cid: &Cid) -> Result<Bytes, Self::Error>;

    /// Takes a new block.
    ///
    /// # Errors
    /// When it cannot be stored.
    fn put(&mut self, block: Block) -> Result<(), Self::Error>;
}

/// How a file is edited.
#[derive(Debug, Clone)]
pub struct EditOptions {
    /// Whether new leaves are raw. `None`: if the file's CID has version 1.
    pub raw_leaves: Option<bool>,
    /// How what is put behind the file is cut.
    pub chunker: Chunker,
    /// Most leaves of a node.
    pub max_links: usize,
    /// The time that a file which has one gets by an edit.
    pub now: Mtime,
}

/// A file that is being edited. Its root is in memory; everything below is read when an edit gets there.
#[derive(Debug, Clone)]
pub struct FileEditor {
    root: Part,
    /// How new nodes are named: as the file's root was.
    spec: CidSpec,
    raw_leaves: bool,
    chunker: Chunker,
    max_links: usize,
    now: Mtime,
}

impl FileEditor {
    /// Opens the file with this first block.
    ///
    /// # Errors
    /// [`EditError::Read`] when it is no file.
    pub fn open(cid: &Cid, block: Bytes, options: &EditOptions) -> Result<Self, EditError> {
        let spec = spec_of(cid)?;
        let version_1 = spec.version() == ipfs_kit_blockstore::Version::V1;
        Ok(Self {
            root: Part::decode(cid, block)?,
            spec,
            raw_leaves: options.raw_leaves.unwrap_or(version_1),
            chunker: options.chunker,
            max_links: options.max_links.max(2),
            now: options.now,
        })
    }

    /// Length of the content in bytes.
    pub fn size(&self) -> u64 {
        self.root.size()
    }

    /// Writes at an offset; a hole before it is filled with zeros. What goes behind the end is cut into chunks of its
    /// own, from the first byte there to the end of `data`.
    ///
    /// # Errors
    /// [`EditError`], and what the blocks' place says. The editor is of no more use then.
    pub fn write<S: BlockAccess>(
        &mut self,
        store: &mut S,
        offset: u64,
        data: Bytes,
    ) -> Result<(), S::Error> {
        let end = offset.checked_add(data.len() as u64);
        if end.is_none_or(|end| end > i64::MAX as u64) {
            return Err(EditError::TooLong.into());
        }
        if offset > self.size() {
            self.set_len(store, offset)?;
        }
        let over = (self.size() - offset).min(data.len() as u64) as usize;
        let mut over_data = &data[..over];
        let root = self.root.clone();
        self.root = self.overwrite(store, root, offset, &mut over_data, 0)?;
        if over < data.len() {
            let mut feed = Feed::bytes(data.slice(over..), &self.chunker);
            self.append(store, &mut feed)?;
        }
        Ok(())
    }

    /// Cuts the file off, or lengthens it with zeros.
    ///
    /// # Errors
    /// As [`FileEditor::write`].
    pub fn set_len<S: BlockAccess>(&mut self, store: &mut S, len: u64) -> Result<(), S::Error> {
        if len > i64::MAX as u64 {
            return Err(EditError::TooLong.into());
        }
        let size = self.size();
        if len > size {
            return self.append(store, &mut Feed::zeros(len - size));
        }
        if len < size {
            let root = self.root.clone();
            self.root = self.cut(store, root, len, 0)?;
        }
        Ok(())
    }

    /// Puts the root and tells what it is. The file may be edited further.
    ///
    /// # Errors
    /// As [`FileEditor::write`].
    pub fn finish<S: BlockAccess>(&mut self, store: &mut S) -> Result<Root, S::Error> {
        if let Some(only) = self.root.sole_raw_leaf().filter(|_| self.raw_leaves) {
            return Ok(only);
        }
        self.root.write(store)
    }

    fn load<S: BlockAccess>(
        &self,
        store: &mut S,
        child: &Root,
        depth: usize,
    ) -> Result<Part, S::Error> {
        if depth >= MAX_DEPTH {
            return Err(EditError::TooDeep.into());
        }
        let block = store.get(&child.cid)?;
        let part = Part::decode(&child.cid, block)?;
        let (declared, actual) = (child.file_size, part.size());
        if declared != actual {
            let (cid, fault) = (child.cid.clone(), FileFault::ChildSize { declared, actual });
            return Err(EditError::from(ReadError::File { cid, fault }).into());
        }
        Ok(part)
    }

    /// The time of an edit, for a node that has a time.
    fn touch(&self, message: &mut UnixFs) {
        if message.mtime.is_some() {
            message.mtime = Some(self.now);
        }
    }
}

/// Gives a file or symbolic link another mode and time. The link stays what it is; a raw leaf, which has no place for
/// them, becomes a node of version 0, as in boxo.
///
/// # Errors
/// [`EditError::Read`] when the block is neither.
pub fn set_attributes(
    cid: &Cid,
    block: Bytes,
    change: &mut dyn FnMut(&mut Option<u32>, &mut Option<Mtime>),
) -> Result<(Root, Option<Block>), EditError> {
    node::with_attributes(cid, block, change)
}
