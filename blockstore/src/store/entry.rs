//! What a table knows of a block, and what a block says of itself before it is stored.

use super::StoreError;
use super::key::{Key, fingerprint};
use super::types::{BlockInfo, Kind, Position};
use crate::block::Block;
use crate::car::MAX_SECTION_LEN;
use crate::cid::Multihash;
use crate::{codec, varint};

const LEN_BITS: u32 = 26;
const LEN_MASK: u32 = (1 << LEN_BITS) - 1;
const LEAF: u32 = 1 << 30;
const BAD: u32 = 1 << 31;

/// Where a block stands and what it must look like: 16 bytes in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The frame.
    pub(crate) position: Position,
    /// Bits 0-25 the length of the data, 26-29 the [`Kind`], 30 leaf, 31 quarantined.
    meta: u32,
    /// CRC32C of the data.
    pub(crate) crc: u32,
}

impl Entry {
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn new(position: Position, len: u32, kind: Kind, leaf: bool, crc: u32) -> Self {
        debug_assert!(len <= LEN_MASK);
        let leaf = if leaf { LEAF } else { 0 };
        Self {
            position,
            meta: len | kind.bits() << LEN_BITS | leaf,
            crc,
        }
    }

    /// The length of the data, in bytes.
    #[inline]
    pub(crate) const fn len(&self) -> u32 {
        self.meta & LEN_MASK
    }

    pub(crate) const fn kind(&self) -> Kind {
        Kind::from_bits(self.meta >> LEN_BITS)
    }

    pub(crate) const fn is_leaf(&self) -> bool {
        self.meta & LEAF != 0
    }

    pub(crate) const fn is_bad(&self) -> bool {
        self.meta & BAD != 0
    }

    pub(crate) const fn quarantined(mut self) -> Self {
        self.meta |= BAD;
        self
    }

    pub(crate) const fn at(mut self, position: Position) -> Self {
        self.position = position;
        self
    }

    /// The length of the frame that holds this block, in bytes.
    pub(crate) fn frame_len(&self, hash: &Multihash) -> u32 {
        let body = self.kind().cid_prefix_len() + hash.encoded_len() + self.len() as usize;
        (varint::len(body as u64) + body) as u32
    }

    pub(crate) const fn info(&self) -> BlockInfo {
        BlockInfo {
            len: self.len(),
            leaf: self.is_leaf(),
            quarantined: self.is_bad(),
            position: self.position,
            kind: self.kind(),
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..4].copy_from_slice(&self.position.segment.to_le_bytes());
        out[4..8].copy_from_slice(&self.position.offset.to_le_bytes());
        out[8..12].copy_from_slice(&self.meta.to_le_bytes());
        out[12..].copy_from_slice(&self.crc.to_le_bytes());
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Self {
            position: Position::new(word(0), word(4)),
            meta: word(8),
            crc: word(12),
        }
    }
}

/// Everything about a block that can be computed before any lock is taken.
pub(crate) struct Described<'a> {
    pub(crate) block: &'a Block,
    pub(crate) key: Key,
    /// Its position is not known yet.
    pub(crate) entry: Entry,
    /// Fingerprints of the blocks it links to, sorted, each once.
    pub(crate) children: Box<[u64]>,
}

impl<'a> Described<'a> {
    /// # Errors
    /// [`StoreError::BlockTooLarge`], [`StoreError::Cid`].
    pub(crate) fn of(block: &'a Block) -> Result<Self, StoreError> {
        let (cid, data) = (block.cid(), block.data());
        cid.check()?;
        let limit = MAX_SECTION_LEN - cid.encoded_len();
        if data.len() > limit {
            return Err(StoreError::BlockTooLarge {
                len: data.len(),
                limit,
            });
        }
        let (leaf, children) = links_of(cid.codec(), data);
        let crc = crc32c::crc32c(data);
        let entry = Entry::new(Position::MIN, data.len() as u32, Kind::of(cid), leaf, crc);
        Ok(Self {
            block,
            key: Key::new(cid.hash().clone()),
            entry,
            children,
        })
    }
}

impl Described<'_> {
    /// Whether this block is to be stored although its hash is known already: what is there is
    /// damaged, or was put with a codec that does not show the links it has with this one.
    pub(crate) fn replaces(&self, stored: &Entry) -> bool {
        let blind = !stored.kind().reads_as(self.block.cid().codec());
        stored.is_bad() || (blind && !self.entry.is_leaf() && !self.children.is_empty())
    }
}

/// Whether the block has no links, and the fingerprints of those it has. A malformed block is no
/// leaf, so that whoever walks over it reads it and sees; it has no children.
pub(crate) fn links_of(codec: u64, data: &[u8]) -> (bool, Box<[u64]>) {
    let mut children = Vec::new();
    let mut identities = false;
    let read = codec::links(codec, data, &mut |cid| {
        if cid.hash().is_identity() {
            identities = true;
        } else {
            children.push(fingerprint(cid.hash()));
        }
    });
    if read.is_err() {
        return (false, Box::default());
    }
    children.sort_unstable();
    children.dedup();
    (
        children.is_empty() && !identities,
        children.into_boxed_slice(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::car::frame_prefix;
    use crate::cid::Cid;
    use crate::hash;

    #[test]
    fn entry_knows_the_length_of_its_frame() {
        let hash = hash::digest(0x12, 32, b"x").unwrap();
        let mut cids = vec![Cid::v0(hash.clone()).unwrap()];
        let codecs = [
            0x55,
            0x70,
            0x71,
            0x0129,
            0x51,
            0x0200,
            0x72,
            0x30_0000,
            u64::MAX >> 1,
        ];
        cids.extend(codecs.map(|codec| Cid::v1(codec, hash.clone())));
        for cid in cids {
            for len in [0, 1, 80, 90, 100, 16_000, 16_350, 2_097_152] {
                let mut prefix = Vec::new();
                frame_prefix(&cid, len, &mut prefix);
                let entry = Entry::new(Position::MIN, len as u32, Kind::of(&cid), true, 7);
                let entry = Entry::from_bytes(&entry.quarantined().to_bytes());
                assert_eq!(
                    entry.frame_len(cid.hash()) as usize,
                    prefix.len() + len,
                    "{cid}"
                );
                assert!(entry.is_leaf() && entry.is_bad() && entry.crc == 7);
                assert_eq!(entry.len() as usize, len);
            }
        }
    }
}
