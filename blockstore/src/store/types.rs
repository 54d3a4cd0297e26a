//! Small values that go in and out of a store.

use std::fmt;

use crate::cid::{Cid, Multihash, Version};
use crate::codec;

/// Where a block was appended. Later appends have greater positions, in every store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Position {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

impl Position {
    /// Before every block.
    pub const MIN: Self = Self {
        segment: 0,
        offset: 0,
    };
    /// After every block.
    pub const MAX: Self = Self {
        segment: u32::MAX,
        offset: u32::MAX,
    };

    pub(crate) const fn new(segment: u32, offset: u32) -> Self {
        Self { segment, offset }
    }

    pub(crate) const fn from_u64(value: u64) -> Self {
        Self {
            segment: (value >> 32) as u32,
            offset: value as u32,
        }
    }

    pub(crate) const fn as_u64(self) -> u64 {
        (self.segment as u64) << 32 | self.offset as u64
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.offset)
    }
}

/// What is known of a stored block without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockInfo {
    /// The length of the data, in bytes.
    pub len: u32,
    /// Whether the block had no links when it was put, read with the codec of its CID then. The
    /// same bytes may be named with another codec later: ask [`BlockInfo::is_leaf_as`].
    pub leaf: bool,
    /// Whether the stored bytes were found damaged: the block is listed, but not served.
    pub quarantined: bool,
    /// Where the block was appended.
    pub position: Position,
    pub(crate) kind: Kind,
}

impl BlockInfo {
    /// Whether reading the block with `codec` is known to find no links. False means: read it.
    #[must_use]
    pub const fn is_leaf_as(&self, codec: u64) -> bool {
        match codec {
            codec::DAG_PB | codec::DAG_CBOR | codec::DAG_JSON => {
                self.leaf && self.kind.reads_as(codec)
            }
            _ => true,
        }
    }

    pub(crate) const fn identity(len: u32) -> Self {
        Self {
            len,
            leaf: false,
            quarantined: false,
            position: Position::MAX,
            kind: Kind::other(1),
        }
    }
}

/// What the CID of a stored frame adds to its multihash, in four bits: enough to know the length
/// of the frame and the codec it was put with, where that codec can have links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind(u8);

impl Kind {
    const V0: Self = Self(0);
    const RAW: Self = Self(1);
    const DAG_PB: Self = Self(2);
    const DAG_CBOR: Self = Self(3);
    const DAG_JSON: Self = Self(4);
    const BITS: u32 = 4;

    pub(crate) fn of(cid: &Cid) -> Self {
        match (cid.version(), cid.codec()) {
            (Version::V0, _) => Self::V0,
            (_, codec::RAW) => Self::RAW,
            (_, codec::DAG_PB) => Self::DAG_PB,
            (_, codec::DAG_CBOR) => Self::DAG_CBOR,
            (_, codec::DAG_JSON) => Self::DAG_JSON,
            (_, other) => Self::other(crate::varint::len(other)),
        }
    }

    pub(crate) const fn other(codec_len: usize) -> Self {
        Self(4 + codec_len as u8)
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self((bits & ((1 << Self::BITS) - 1)) as u8)
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0 as u32
    }

    /// Whether the links of the block were read with `codec`.
    pub(crate) const fn reads_as(self, codec: u64) -> bool {
        match codec {
            codec::DAG_PB => matches!(self, Self::V0 | Self::DAG_PB),
            codec::DAG_CBOR => matches!(self, Self::DAG_CBOR),
            codec::DAG_JSON => matches!(self, Self::DAG_JSON),
            _ => false,
        }
    }

    /// What the CID has before its multihash, in bytes.
    pub(crate) const fn cid_prefix_len(self) -> usize {
        match self {
            Self::V0 => 0,
            Self::RAW | Self::DAG_PB | Self::DAG_CBOR => 2,
            Self::DAG_JSON => 3,
            Self(other) => other as usize - 3,
        }
    }
}

/// What a put stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PutReport {
    /// Blocks that were not there before.
    pub new_blocks: u64,
    /// Their data, in bytes.
    pub new_bytes: u64,
}

/// What became of a block that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Deleted,
    /// It was not there, or no longer at the position that was named.
    NotFound,
    /// A guard, or being newer than the sweep, keeps it.
    InUse,
}

/// Counts that a store keeps; asking for them costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Stored blocks.
    pub blocks: u64,
    /// Their data, in bytes.
    pub bytes: u64,
    /// What deleted blocks still take on disk, in bytes.
    pub dead_bytes: u64,
    /// What the files of the store take, in bytes.
    pub disk_bytes: u64,
    /// Segment files.
    pub segments: u64,
    /// Blocks that are listed but not served because their bytes are damaged.
    pub quarantined: u64,
    /// The limit on `disk_bytes`.
    pub capacity: Option<u64>,
}

/// What a pass over all blocks found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Blocks read and hashed.
    pub blocks: u64,
    /// Their data, in bytes.
    pub bytes: u64,
    /// Blocks whose bytes do not match their hash; they are quarantined.
    pub bad: u64,
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompactReport {
    /// Segment files removed.
    pub segments: u64,
    /// What they took on disk, in bytes.
    pub freed_bytes: u64,
    /// What of that had to be written again, in bytes.
    pub moved_bytes: u64,
}

/// A hash and where its block stands: what a sweep deletes.
pub(crate) type Victim<'a> = (&'a Multihash, Option<Position>);
