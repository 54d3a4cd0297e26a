//! A block: bytes and the CID that they have.

use bytes::Bytes;
use thiserror::Error;

use crate::cid::{Cid, CidError, Version};
use crate::hash::{self, HashError, HashSpec};

/// The largest block that the network carries, in bytes (2 MiB). Larger ones are stored only when
/// asked for by name.
pub const MAX_BLOCK_LEN: usize = 2 << 20;

/// Why bytes are not the block that a CID names.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The CID may not name stored data.
    #[error(transparent)]
    Cid(#[from] CidError),
    /// The data cannot be hashed as asked.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The bytes are not the ones that the CID names.
    #[error("block data does not match its cid {0}")]
    Mismatch(Cid),
}

/// Bytes together with their CID. Every constructor but [`Block::trusted`] has hashed the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    cid: Cid,
    data: Bytes,
}

impl Block {
    /// Hashes `data` and names it.
    ///
    /// # Errors
    /// [`BlockError::Hash`] when `data` does not fit an identity hash, [`BlockError::Cid`] when
    /// version 0 is asked for with another hash than sha2-256.
    pub fn new(
        version: Version,
        codec: u64,
        hash: HashSpec,
        data: Bytes,
    ) -> Result<Self, BlockError> {
        let hash = hash.digest(&data)?;
        let cid = match version {
            Version::V0 => Cid::v0(hash)?,
            Version::V1 => Cid::v1(codec, hash),
        };
        Ok(Self { cid, data })
    }

    /// A block from bytes that claim to be what `cid` names.
    ///
    /// # Errors
    /// [`BlockError::Cid`] when the CID's hash is not allowed, [`BlockError::Mismatch`] when the
    /// bytes have another hash.
    pub fn verified(cid: Cid, data: Bytes) -> Result<Self, BlockError> {
        hash::verify(&cid, &data)?;
        Ok(Self { cid, data })
    }

    /// A block whose CID the caller has just computed from these very bytes.
    #[inline]
    #[must_use]
    pub const fn trusted(cid: Cid, data: Bytes) -> Self {
        Self { cid, data }
    }

    /// The CID.
    #[inline]
    #[must_use]
    pub const fn cid(&self) -> &Cid {
        &self.cid
    }

    /// The bytes.
    #[inline]
    #[must_use]
    pub const fn data(&self) -> &Bytes {
        &self.data
    }

    /// The CID and the bytes.
    #[must_use]
    pub fn into_parts(self) -> (Cid, Bytes) {
        (self.cid, self.data)
    }
}
