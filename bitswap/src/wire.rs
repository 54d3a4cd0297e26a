//! Bitswap messages, decoded from and encoded to bytes. No IO.
//!
//! A message on the wire is a varint length and a protobuf body. Blocks are slices of the bytes
//! they came in, and go out as the bytes they are: no block is copied here.
//!
//! Spec: <https://specs.ipfs.tech/bitswap-protocol/>. Limits: 4 MiB a message, 2 MiB a block,
//! 168 bytes a CID (boxo).

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use ipfs_kit_blockstore::varint::{self, VarintError};
use ipfs_kit_blockstore::{Cid, Version};
use thiserror::Error;

/// The longest message body, in bytes.
pub const MAX_MESSAGE_LEN: usize = 4 << 20;
/// The longest CID that may be wanted, in bytes; boxo's limit.
pub const MAX_CID_LEN: usize = 168;
/// Want list entries of a message that are read; the rest is skipped. A peer's ledger keeps fewer.
pub const MAX_WANTS: usize = 4096;
/// Blocks in a message.
pub const MAX_BLOCKS: usize = 8192;
/// Presences in a message.
pub const MAX_PRESENCES: usize = 8192;

/// Why bytes are not a Bitswap message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WireError {
    /// The message ended inside a field.
    #[error("message is cut short")]
    Truncated,
    /// A varint has more than ten bytes or more than 64 bits.
    #[error("overlong varint in a message")]
    Varint,
    /// The length before the message is no valid varint.
    #[error("invalid message length: {0}")]
    Length(#[from] VarintError),
    /// The message is longer than [`MAX_MESSAGE_LEN`].
    #[error("message of {0} bytes, at most {MAX_MESSAGE_LEN} are allowed")]
    TooLong(u64),
    /// A field has another wire type than the schema says, or one that does not exist.
    #[error("field {0} has a wrong wire type")]
    WireType(u64),
    /// A CID or prefix is malformed or too long.
    #[error("malformed cid in a message")]
    Cid,
    /// A block is longer than 2 MiB.
    #[error("block of {0} bytes in a message")]
    BlockTooLong(usize),
    /// There are more blocks or presences than [`MAX_BLOCKS`] or [`MAX_PRESENCES`], or more of the same small blocks
    /// than there can be different ones.
    #[error("too many entries in a message")]
    TooMany,
}

/// The version of the protocol that a stream negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// `/ipfs/bitswap/1.0.0`: blocks are CIDv0 only.
    V1_0,
    /// `/ipfs/bitswap/1.1.0`: blocks carry their prefix.
    V1_1,
    /// `/ipfs/bitswap/1.2.0`: peers tell what they have and have not.
    V1_2,
}

impl Protocol {
    /// All of them, the preferred first.
    pub const ALL: [Self; 3] = [Self::V1_2, Self::V1_1, Self::V1_0];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1_0 => "/ipfs/bitswap/1.0.0",
            Self::V1_1 => "/ipfs/bitswap/1.1.0",
            Self::V1_2 => "/ipfs/bitswap/1.2.0",
        }
    }
}

/// What is wanted of a CID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantKind {
    /// The block.
    Block,
    /// To know who has it.
    Have,
}

/// One entry of a want list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantEntry {
    /// The CID.
    pub cid: Cid,
    /// Higher is more urgent.
    pub priority: i32,
    /// The CID is not wanted any more.
    pub cancel: bool,
    /// The block, or to know of it.
    pub kind: WantKind,
    /// Whether to answer when the block is not there.
    pub send_dont_have: bool,
}

/// What a block's CID is made of, besides the hash of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// The version of the CID.
    pub version: Version,
    /// The codec.
    pub codec: u64,
    /// The code of the hash function.
    pub hash: u64,
    /// The length of the digest, in bytes.
    pub digest_len: u8,
}

/// A block as it came: its CID is not known before its bytes are hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawBlock {
    /// How to name it.
    pub prefix: Prefix,
    /// The bytes.
    pub data: Bytes,
}

/// A decoded message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The want list replaces what was sent before.
    pub full: bool,
    /// The want list, without entries that no node could serve (identity and forbidden hashes).
    pub wants: Vec<WantEntry>,
    /// Blocks.
    pub blocks: Vec<RawBlock>,
    /// What the peer has (`true`) and has not, without those that no node could have.
    pub presences: Vec<(Cid, bool)>,
    /// Bytes that the peer has still to send.
    pub pending_bytes: i32,
}

/// A message to be sent. Blocks come with the CID they were wanted by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// The want list replaces what was sent before.
    pub full: bool,
    /// The want list.
    pub wants: Vec<WantEntry>,
    /// Blocks.
    pub blocks: Vec<(Cid, Bytes)>,
    /// What we have (`true`) and have not.
    pub presences: Vec<(Cid, bool)>,
    /// Bytes that are still to be sent.
    pub pending_bytes: i32,
}

impl Outgoing {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.full && self.wants.is_empty() && self.blocks.is_empty() && self.presences.is_empty()
    }
}

/// Reads the length before a message. `Ok(None)`: more bytes are needed.
///
/// # Errors
/// [`WireError::Length`], and [`WireError::TooLong`] above [`MAX_MESSAGE_LEN`].
pub fn read_len(bytes: &[u8]) -> Result<Option<(usize, usize)>, WireError> {
    match varint::read(bytes) {
        Ok((len, _)) if len > MAX_MESSAGE_LEN as u64 => Err(WireError::TooLong(len)),
        Ok((len, read)) => Ok(Some((len as usize, read))),
        // Four bytes hold every length up to the limit.
        Err(VarintError::Truncated) if bytes.len() < 4 => Ok(None),
        Err(VarintError::Truncated) => Err(WireError::Length(VarintError::TooLong)),
        Err(error) => Err(error.into()),
    }
}
