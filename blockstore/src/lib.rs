//! Blocks, CIDs, codecs, CAR files and the crash-safe segment store of ipfs-kit.
//!
//! The pure parts are [`cid`], [`hash`], [`codec`] and [`car`]: bytes in, values out, with strict
//! rules and bounded memory whatever the bytes are.

pub mod block;
pub mod car;
pub mod cid;
pub mod codec;
pub mod hash;
pub mod store;
pub mod varint;

pub use block::{Block, BlockError, MAX_BLOCK_LEN};
pub use cid::{Cid, CidError, Multihash, Version};
pub use hash::{HashFunction, HashSpec};
pub use store::{BlockInfo, BlockStore, StoreError};
