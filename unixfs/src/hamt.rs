//! The hash array mapped trie of large directories: what its nodes look like.
//!
//! Spec: <https://specs.ipfs.tech/unixfs/#dag-pb-hamtdirectory>. Building is in
//! [`crate::directory`]; this module holds the rules that readers and writers share: which fan-outs
//! exist, how a name's hash is consumed, how link names and the bitfield are written, and the strict
//! decoding of one shard.

mod bitfield;
mod shard;

pub use bitfield::Bitfield;
pub use shard::{Child, Shard};

use crate::murmur3::murmur3_x64_64;

/// Multicodec of the only hash function that UnixFS directories use.
pub const HASH_MURMUR3_X64_64: u64 = 0x22;

/// The widest shard that any implementation accepts.
pub const MAX_FANOUT: u16 = 1024;

/// A shard that breaks the rules of the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HamtError {
    /// Not a power of two from 8 to 1024.
    #[error("HAMT fan-out must be a power of 2 between 8 and 1024, not {0}")]
    Fanout(u64),
    /// No fan-out field.
    #[error("the directory shard does not state its fan-out")]
    NoFanout,
    /// Another hash function than murmur3-x64-64.
    #[error("the directory shard uses hash function {0:#x}; only murmur3-x64-64 (0x22) is defined")]
    HashFunction(u64),
    /// More bitfield bytes than the fan-out has bits for.
    #[error("the shard's bitfield of {bytes} bytes is too long for its fan-out of {fanout}")]
    BitfieldTooLong {
        /// Bytes found.
        bytes: usize,
        /// Fan-out stated.
        fanout: u16,
    },
    /// The bitfield names another number of children than there are links.
    #[error("the shard's bitfield names {bits} children, but it has {links} links")]
    LinkCount {
        /// Bits set.
        bits: usize,
        /// Links found.
        links: usize,
    },
    /// A link name does not start with the number of the slot it stands in.
    #[error("link {name:?} does not start with its slot number {expected:?}")]
    LinkName {
        /// The name found, lossily.
        name: String,
        /// The prefix it must have.
        expected: String,
    },
    /// A sub-shard with another fan-out than its parent.
    #[error("a sub-shard has the fan-out {found}, its parent {expected}")]
    MixedFanout {
        /// Fan-out of the parent.
        expected: u16,
        /// Fan-out of the child.
        found: u16,
    },
    /// Two names whose 64-bit hashes are equal in every bit that the trie can use.
    #[error("the directory is too deep: names share all usable bits of their hash")]
    TooDeep,
}

/// Number of slots in every shard of one directory: a power of two from 8 to 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fanout(u16);

impl Fanout {
    /// 256, Kubo's default.
    pub const DEFAULT: Fanout = Fanout(256);

    /// Checks a fan-out that came from a setting or from a block.
    ///
    /// # Errors
    /// [`HamtError::Fanout`] if it is not a power of two from 8 to 1024.
    pub fn new(slots: u64) -> Result<Self, HamtError> {
        if slots.is_power_of_two() && (8..=u64::from(MAX_FANOUT)).contains(&slots) {
            Ok(Self(slots as u16))
        } else {
            Err(HamtError::Fanout(slots))
        }
    }

    /// Number of slots.
    pub const fn slots(self) -> usize {
        self.0 as usize
    }

    /// Bits of the hash that one level consumes, 3 to 10.
    pub const fn bits(self) -> u32 {
        self.0.trailing_zeros()
    }

    /// Hexadecimal digits of a slot number in a link name: 1 to 3.
    pub const fn prefix_len(self) -> usize {
        (self.bits() as usize).div_ceil(4)
    }

    /// Levels that 64 bits of hash allow, the root included.
    pub const fn max_depth(self) -> u32 {
        64 / self.bits()
    }

    /// Slot of a name's hash at `depth` (0 is the root), or `None` below the deepest level.
    pub const fn slot(self, hash: u64, depth: u32) -> Option<usize> {
        if depth >= self.max_depth() {
            return None;
        }
        let from_top = depth * self.bits();
        Some(((hash << from_top) >> (64 - self.bits())) as usize)
    }

    /// Writes a slot number as link names start with it: upper-case hexadecimal, zero padded.
    pub fn put_prefix(self, slot: usize, out: &mut Vec<u8>) {
        for digit in (0..self.prefix_len()).rev() {
            out.push(b"0123456789ABCDEF"[(slot >> (4 * digit)) & 0xf]);
        }
    }
}

/// The hash that places `name` in a directory.
pub fn name_hash(name: &[u8]) -> u64 {
    murmur3_x64_64(name)
}

#[cfg(test)]
mod tests;
