//! Cuts what can only be read in order: pipes, standard input, and files whose cuts depend on their content.

use std::io::{self, Read};
use std::sync::Arc;

use ipfs_kit_blockstore::MAX_BLOCK_LEN;
use ipfs_kit_unixfs::{Chunker, FileOptions, Splitter};

use super::buffers::BufferPool;
use super::slots::{ROOM, Slots};
use super::worker::BATCH_BYTES;
use crate::error::{Error, Result};

/// A reader and the splitter that cuts it.
pub struct Stream<'r> {
    reader: Box<dyn Read + Send + 'r>,
    chunker: Chunker,
    splitter: Splitter,
    /// Read but not yet cut: `window[start..end]`.
    window: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    batches: u64,
}

/// Chunks that were read.
pub struct Batch {
    pub slots: Slots,
    /// The one chunk in it is the whole stream.
    pub sole: bool,
}

/// Bytes asked from the reader at once.
const READ_BYTES: usize = 256 << 10;

impl<'r> Stream<'r> {
    /// Nothing is read yet.
    pub fn new(reader: Box<dyn Read + Send + 'r>, options: &FileOptions) -> Self {
        let splitter = options.chunker.splitter();
        Self {
            reader,
            chunker: options.chunker,
            splitter,
            window: Vec::new(),
            start: 0,
            end: 0,
            at_end: false,
            batches: 0,
        }
    }

    /// The next chunks, or `None` at the end.
    ///
    /// # Errors
    /// [`Error::Input`].
    pub fn fill(&mut self, pool: &Arc<BufferPool>) -> Result<Option<Batch>> {
        let longest = self.chunker.max_len().unwrap_or(MAX_BLOCK_LEN + 1);
        let mut slots = Slots::new(pool.take(longest + ROOM));
        let mut content = 0;
        while content < BATCH_BYTES && slots.fits(longest) {
            let Some(len) = self.next_chunk(&mut slots, longest)? else {
                break;
            };
            content += len;
        }
        if slots.len() == 0 {
            return Ok(None);
        }
        self.batches += 1;
        let alone = self.batches == 1 && slots.len() == 1;
        let sole = alone && self.ends_here()?;
        Ok(Some(Batch { slots, sole }))
    }

    fn next_chunk(&mut self, slots: &mut Slots, longest: usize) -> Result<Option<usize>> {
        if let Chunker::Size(size) = self.chunker {
            return self.next_equal_chunk(slots, size as usize);
        }
        loop {
            let seen = &self.window[self.start..self.end];
            // A chunker without a limit never cuts; what no block can hold is refused when it is framed.
            let cut = self
                .splitter
                .next(seen, self.at_end)
                .or((seen.len() >= longest).then_some(longest));
            if let Some(len) = cut {
                slots
                    .next(len)
                    .copy_from_slice(&self.window[self.start..][..len]);
                slots.commit(len);
                self.start += len;
                return Ok(Some(len));
            }
            if self.at_end {
                return Ok(None);
            }
            self.read_more()?;
        }
    }

    /// Equal chunks are read where they stay.
    fn next_equal_chunk(&mut self, slots: &mut Slots, size: usize) -> Result<Option<usize>> {
        let place = slots.next(size);
        let ahead = (self.end - self.start).min(size);
        place[..ahead].copy_from_slice(&self.window[self.start..][..ahead]);
        self.start += ahead;
        let mut len = ahead;
        while len < size && !self.at_end {
            match read(&mut self.reader, &mut place[len..])? {
                0 => self.at_end = true,
                read => len += read,
            }
        }
        if len > 0 {
            slots.commit(len);
        }
        Ok((len > 0).then_some(len))
    }

    fn ends_here(&mut self) -> Result<bool> {
        if self.start == self.end && !self.at_end {
            self.read_more()?;
        }
        Ok(self.start == self.end)
    }

    fn read_more(&mut self) -> Result<()> {
        if self.start > 0 {
            self.window.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.window.len() < self.end + READ_BYTES {
            self.window.resize(self.end + READ_BYTES, 0);
        }
        match read(&mut self.reader, &mut self.window[self.end..])? {
            0 => self.at_end = true,
            read => self.end += read,
        }
        Ok(())
    }
}

fn read(reader: &mut dyn Read, place: &mut [u8]) -> Result<usize> {
    loop {
        match reader.read(place) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done.map_err(Error::Input),
        }
    }
}
