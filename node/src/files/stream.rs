//! Reading a file's content.

use std::io::{self, Read, Seek, SeekFrom, Write};

use bytes::{Buf, Bytes};
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_unixfs::{FileReader, Step, Steps};

use super::ahead::Ahead;
use crate::error::{Error, Result};
use crate::fetch::Reach;
use crate::node::Node;

/// Smaller files are read before a thread could help.
const READ_AHEAD_FROM: u64 = 2 << 20;

/// Reads a file's content; blocks are fetched as they are needed and checked before any byte is returned. What is read is
/// a view of the blocks themselves: copied once, into the reader's buffer, or not at all with [`FileStream::copy_to`].
pub struct FileStream {
    node: Node,
    reader: FileReader,
    size: u64,
    position: u64,
    /// Read from the blocks and not yet handed on.
    piece: Bytes,
    ahead: Option<Ahead>,
}

impl FileStream {
    /// Opens the file at `root`.
    ///
    /// # Errors
    /// [`Error::Read`] when it is no file, [`Error::NotFound`] when its first block is not there.
    pub(super) fn open(node: &Node, root: Cid) -> Result<Self> {
        let mut reader = FileReader::new(root);
        let mut piece = Bytes::new();
        while reader.size().is_none() {
            match reader.step()? {
                Step::Need(cid) => reader.supply(&cid, node.block(&cid)?)?,
                Step::Item(bytes) => {
                    piece = bytes;
                    break;
                }
                Step::Done => break,
            }
        }
        let size = reader.size().unwrap_or(piece.len() as u64);
        Ok(Self {
            node: node.clone(),
            reader,
            size,
            position: 0,
            piece,
            ahead: None,
        })
    }

    /// Length of the whole content in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Copies `length` bytes (all that is left when `None`) from the current position without an extra copy.
    ///
    /// # Errors
    /// [`Error::Output`] when `output` fails, and whatever reading a block can end with.
    pub fn copy_to(&mut self, output: &mut dyn Write, length: Option<u64>) -> Result<u64> {
        let wanted = length.unwrap_or(u64::MAX);
        let mut copied = 0;
        while copied < wanted && self.fill()? {
            let len = self
                .piece
                .len()
                .min(usize::try_from(wanted - copied).unwrap_or(usize::MAX));
            output
                .write_all(&self.piece[..len])
                .map_err(Error::Output)?;
            self.advance(len);
            copied += len as u64;
        }
        Ok(copied)
    }

    /// Makes sure that there is a piece to hand on; `false` at the end.
    fn fill(&mut self) -> Result<bool> {
        while self.piece.is_empty() {
            match self.reader.step()? {
                Step::Item(piece) => self.piece = piece,
                Step::Done => return Ok(false),
                Step::Need(cid) => {
                    self.node.cancel().check()?;
                    let block = self.fetch(&cid)?;
                    self.reader.supply(&cid, block)?;
                }
            }
        }
        Ok(true)
    }

    fn fetch(&mut self, cid: &Cid) -> Result<Bytes> {
        if self.size < READ_AHEAD_FROM {
            return self.node.block(cid);
        }
        let ahead = self.ahead.get_or_insert_with(|| Ahead::new(&self.node));
        ahead.ask(&self.reader);
        match ahead.take(cid) {
            Some(block) => block,
            None => self.node.block(cid),
        }
    }

    fn advance(&mut self, len: usize) {
        self.piece.advance(len);
        self.position += len as u64;
    }
}

impl Read for FileStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || !self.fill().map_err(io::Error::other)? {
            return Ok(0);
        }
        let len = self.piece.len().min(buffer.len());
        buffer[..len].copy_from_slice(&self.piece[..len]);
        self.advance(len);
        Ok(len)
    }
}

impl Seek for FileStream {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        let target = target.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "seek to before the start of the file",
            )
        })?;
        if target != self.position {
            self.piece.clear();
            self.ahead = None;
            self.node = self
                .node
                .fetching(Reach::From(self.reader.root().clone(), target));
            self.reader.seek(target);
            self.position = target;
        }
        Ok(target)
    }
}
