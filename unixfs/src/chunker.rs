//! Cuts a byte stream into chunks. The names and the cuts are those of Kubo:
//! `size-N`, `rabin`, `rabin-AVG`, `rabin-MIN-AVG-MAX` and `buzhash`.
//!
//! A [`Splitter`] never owns data: the driver shows it a window that starts at the next chunk, and
//! it answers how long that chunk is, or that it must see more. How the stream is split into windows
//! never changes the cuts.

mod buzhash;
mod parse;
mod rabin;

pub use parse::ChunkerError;

use buzhash::Buzhash;
use rabin::Rabin;

/// The chunk size of `size` and the average of plain `rabin`, in bytes.
pub const DEFAULT_CHUNK_SIZE: u32 = 262_144;

/// The longest chunk that may be asked for, in bytes: 2 MiB less 256 bytes for the frame of a
/// dag-pb leaf, so that every leaf fits the block size that Bitswap carries.
pub const MAX_CHUNK_SIZE: u32 = 2 * 1024 * 1024 - 256;

/// How to cut a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Chunker {
    /// Chunks of this many bytes, the last one shorter; 1 to [`MAX_CHUNK_SIZE`].
    Size(u32),
    /// Cuts where the Rabin fingerprint of the last 16 bytes has enough zero bits.
    Rabin {
        /// No chunk but the last is shorter. Below 16 the file is never cut, as in Kubo.
        min: u32,
        /// The average aimed at; its power of two below decides the number of zero bits.
        avg: u32,
        /// No chunk is longer.
        max: u32,
    },
    /// Cuts between 128 and 512 KiB where the buzhash of the last 32 bytes has 17 zero bits.
    Buzhash,
}

impl Default for Chunker {
    fn default() -> Self {
        Self::Size(DEFAULT_CHUNK_SIZE)
    }
}

impl Chunker {
    /// A splitter for one stream.
    pub fn splitter(&self) -> Splitter {
        match *self {
            Self::Size(size) => Splitter(Cutter::Size(size as usize)),
            Self::Rabin { min, avg, max } => Splitter(Cutter::Rabin(Rabin::new(min, avg, max))),
            Self::Buzhash => Splitter(Cutter::Buzhash(Buzhash::new())),
        }
    }

    /// The longest chunk this chunker can give, or `None` if it has no limit. A window of this
    /// many bytes always gives a cut.
    pub fn max_len(&self) -> Option<usize> {
        match *self {
            Self::Size(size) => Some(size as usize),
            Self::Rabin { min, max, .. } => (min as usize >= rabin::WINDOW).then_some(max as usize),
            Self::Buzhash => Some(buzhash::MAX),
        }
    }
}

/// Finds the cuts of one stream.
#[derive(Debug, Clone)]
pub struct Splitter(Cutter);

#[derive(Debug, Clone)]
enum Cutter {
    Size(usize),
    Rabin(Rabin),
    Buzhash(Buzhash),
}

impl Splitter {
    /// The length of the chunk that starts at the beginning of `window`, or `None` if more bytes
    /// are needed to tell.
    ///
    /// `at_end` says that the stream ends with the window; then every non-empty window gives a
    /// chunk and an empty one gives `None`. After an answer the next window must start right behind
    /// that chunk; after `None` it must start where this one did and be longer. Work done on bytes
    /// already seen is not repeated.
    pub fn next(&mut self, window: &[u8], at_end: bool) -> Option<usize> {
        let cut = match &mut self.0 {
            Cutter::Size(size) => (window.len() >= *size).then_some(*size),
            Cutter::Rabin(rabin) => rabin.next(window),
            Cutter::Buzhash(buzhash) => buzhash.next(window),
        };
        if cut.is_some() || !at_end || window.is_empty() {
            return cut;
        }
        *self = self.restarted();
        Some(window.len())
    }

    fn restarted(&self) -> Self {
        let mut fresh = self.clone();
        match &mut fresh.0 {
            Cutter::Size(_) => {}
            Cutter::Rabin(rabin) => rabin.restart(),
            Cutter::Buzhash(buzhash) => buzhash.restart(),
        }
        fresh
    }
}

#[cfg(test)]
mod tests;
