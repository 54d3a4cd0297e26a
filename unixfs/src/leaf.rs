//! The leaf around one chunk of a file.
//!
//! A raw leaf is the chunk itself. A dag-pb leaf is the chunk between a few bytes of frame; a driver
//! that reads chunks into a buffer with [`HEADROOM`] before and [`TAILROOM`] behind writes the frame
//! around them in place, so no chunk is ever copied.

use bytes::{BufMut, Bytes, BytesMut};
use ipfs_kit_blockstore::hash::HashError;
use ipfs_kit_blockstore::{Block, Cid, MAX_BLOCK_LEN, codec};

use crate::links::Root;
use crate::node::{Kind, Mtime, attributes_len, put_attributes};
use crate::options::{CidSpec, FileOptions, Layout};
use crate::proto::{bytes_field_len, put_bytes_header, put_varint_field, varint_len};

/// Most bytes of frame in front of a chunk.
pub const HEADROOM: usize = 16;

/// Most bytes of frame behind a chunk.
pub const TAILROOM: usize = 48;

/// A chunk or a file that cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A chunk beyond what any peer accepts, which only an uncut `rabin-N` file reaches.
    #[error(
        "object size limit exceeded: a chunk of {0} bytes is above {MAX_BLOCK_LEN}; \
         choose a chunker that cuts smaller chunks"
    )]
    ChunkTooLong(usize),
    /// The hash function cannot name this block.
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// Makes the leaves of one file.
#[derive(Debug, Clone)]
pub struct LeafEncoder {
    spec: CidSpec,
    /// UnixFS type of dag-pb leaves, `None` for raw ones.
    kind: Option<Kind>,
    /// What a leaf that is the whole file carries.
    mode: Option<u32>,
    mtime: Option<Mtime>,
}

/// The bytes around one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafFrame {
    bytes: [u8; HEADROOM + TAILROOM],
    head: usize,
    tail: usize,
}

impl LeafFrame {
    /// What stands in front of the chunk, at most [`HEADROOM`] bytes.
    pub fn head(&self) -> &[u8] {
        &self.bytes[..self.head]
    }

    /// What stands behind the chunk, at most [`TAILROOM`] bytes.
    pub fn tail(&self) -> &[u8] {
        &self.bytes[self.head..self.head + self.tail]
    }
}

impl LeafEncoder {
    /// An encoder for the leaves of a file with these options.
    pub fn new(options: &FileOptions) -> Self {
        let kind = match options.layout {
            _ if options.raw_leaves => None,
            Layout::Balanced => Some(Kind::File),
            Layout::Trickle => Some(Kind::Raw),
        };
        // Only the leaf that is the root of a balanced tree carries the file's attributes.
        let at_root = kind == Some(Kind::File);
        Self {
            spec: options.cid,
            kind,
            mode: options.stored_mode().filter(|_| at_root),
            mtime: options.mtime.filter(|_| at_root),
        }
    }

    /// Whether a leaf that is the whole file differs from the same chunk as one of many. If so the
    /// driver must know that the input ends before it encodes the first leaf.
    pub fn sole_differs(&self) -> bool {
        self.mode.is_some() || self.mtime.is_some()
    }

    /// Codec of the leaves: raw or dag-pb.
    pub fn codec(&self) -> u64 {
        match self.kind {
            None => codec::RAW,
            Some(_) => codec::DAG_PB,
        }
    }

    /// How leaves get their CIDs.
    pub fn cid_spec(&self) -> &CidSpec {
        &self.spec
    }

    /// The frame around a chunk; `sole` says that it is the whole file.
    ///
    /// # Errors
    /// [`FileError::ChunkTooLong`].
    pub fn frame(&self, chunk_len: usize, sole: bool) -> Result<LeafFrame, FileError> {
        if chunk_len > MAX_BLOCK_LEN {
            return Err(FileError::ChunkTooLong(chunk_len));
        }
        let mut frame = LeafFrame {
            bytes: [0; HEADROOM + TAILROOM],
            head: 0,
            tail: 0,
        };
        let Some(kind) = self.kind else {
            return Ok(frame);
        };
        let (mode, mtime) = if sole {
            (self.mode, self.mtime)
        } else {
            (None, None)
        };
        let data_len = if chunk_len == 0 {
            0
        } else {
            bytes_field_len(chunk_len)
        };
        let message_len =
            2 + data_len + 1 + varint_len(chunk_len as u64) + attributes_len(mode, mtime);

        let mut bytes = Vec::with_capacity(HEADROOM + TAILROOM);
        put_bytes_header(&mut bytes, 1, message_len);
        put_varint_field(&mut bytes, 1, kind as u64);
        if chunk_len > 0 {
            put_bytes_header(&mut bytes, 2, chunk_len);
        }
        frame.head = bytes.len();
        put_varint_field(&mut bytes, 3, chunk_len as u64);
        put_attributes(&mut bytes, mode, mtime);
        frame.tail = bytes.len() - frame.head;
        frame.bytes[..bytes.len()].copy_from_slice(&bytes);
        Ok(frame)
    }

    /// What the file builder must know of a leaf whose CID the driver computed. `block_len` counts
    /// the frame.
    pub fn root(&self, cid: Cid, chunk_len: usize, block_len: usize) -> Root {
        Root {
            cid,
            file_size: chunk_len as u64,
            tsize: block_len as u64,
        }
    }

    /// Encodes and names one leaf. There is no block if it is inlined into its CID. A raw leaf
    /// shares the chunk's buffer, a dag-pb leaf copies it.
    ///
    /// # Errors
    /// [`FileError::ChunkTooLong`], and [`FileError::Hash`] if the hash function is identity and the
    /// leaf is longer than a CID may hold.
    pub fn leaf(&self, chunk: Bytes, sole: bool) -> Result<(Root, Option<Block>), FileError> {
        let chunk_len = chunk.len();
        let frame = self.frame(chunk_len, sole)?;
        let block = if frame.head == 0 {
            chunk
        } else {
            let mut block = BytesMut::with_capacity(frame.head + chunk_len + frame.tail);
            block.put_slice(frame.head());
            block.put_slice(&chunk);
            block.put_slice(frame.tail());
            block.freeze()
        };
        let cid = self.spec.cid(self.codec(), &block)?;
        let root = self.root(cid.clone(), chunk_len, block.len());
        let stored = (!cid.hash().is_identity()).then(|| Block::trusted(cid, block));
        Ok((root, stored))
    }
}

#[cfg(test)]
mod tests;
