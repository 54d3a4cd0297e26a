//! Writing CARv1.

use std::io::{self, Write};

use crate::block::Block;
use crate::cid::Cid;

use super::{frame_prefix, header_v1};

/// Writes blocks as CARv1. Nothing is buffered: give it a [`io::BufWriter`] or large blocks.
#[derive(Debug)]
pub struct CarWriter<W> {
    out: W,
    prefix: Vec<u8>,
}

impl<W: Write> CarWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// Whatever `out` returns.
    pub fn new(mut out: W, roots: &[Cid]) -> io::Result<Self> {
        out.write_all(&header_v1(roots))?;
        Ok(Self {
            out,
            prefix: Vec::new(),
        })
    }

    /// Writes one block. The same block may be written again: the caller knows whether it wants
    /// that.
    ///
    /// # Errors
    /// Whatever the writer returns.
    pub fn put(&mut self, cid: &Cid, data: &[u8]) -> io::Result<()> {
        self.prefix.clear();
        frame_prefix(cid, data.len(), &mut self.prefix);
        self.out.write_all(&self.prefix)?;
        self.out.write_all(data)
    }

    /// Writes one block.
    ///
    /// # Errors
    /// Whatever the writer returns.
    pub fn put_block(&mut self, block: &Block) -> io::Result<()> {
        self.put(block.cid(), block.data())
    }

    /// Flushes and gives the writer back.
    ///
    /// # Errors
    /// Whatever the writer returns.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
