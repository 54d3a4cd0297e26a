//! The local blocks, as the server side sees them.

use bytes::Bytes;
use ipfs_kit_blockstore::Cid;

/// Where blocks to serve come from. Both calls come from blocking threads, never from an async
/// task, and in batches; what cannot be read is answered with `None`.
pub trait Blocks: Send + Sync + 'static {
    /// The length of each block in bytes, `None` where the block is not here or may not be served.
    /// One answer for each CID, in order.
    fn sizes(&self, cids: &[Cid]) -> Vec<Option<u32>>;

    /// The bytes of each block. One answer for each CID, in order.
    fn get(&self, cids: &[Cid]) -> Vec<Option<Bytes>>;
}
