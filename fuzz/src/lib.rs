//! What the targets over the store share: blocks, and which panics are no finding.

use bytes::Bytes;
use ipfs_kit_blockstore::codec::dag_pb::{PbLink, PbNode};
use ipfs_kit_blockstore::store::disk::Recorded;
use ipfs_kit_blockstore::store::{BlockStore, SegmentOptions, StoreError};
use ipfs_kit_blockstore::{Block, Cid, HashSpec, Version, codec};
use std::sync::Arc;

/// Blocks with data that a number decides.
pub fn raw(number: u64, len: usize) -> Block {
    let word = |at: u64| (number ^ at << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let data: Vec<u8> = (0..len as u64).map(|at| (word(at) >> 56) as u8).collect();
    new(codec::RAW, data.into())
}

/// A dag-pb block that links to others.
pub fn node(children: &[Block]) -> Block {
    let links = children.iter().map(|child| PbLink {
        cid: child.cid().clone(),
        name: None,
        tsize: None,
    });
    let node = PbNode {
        links: links.collect(),
        data: None,
    };
    new(codec::DAG_PB, node.encode().into())
}

/// The same bytes under another codec.
pub fn with_codec(block: &Block, codec: u64) -> Block {
    let hash = block.cid().hash().clone();
    Block::trusted(Cid::v1(codec, hash), block.data().clone())
}

fn new(codec: u64, data: Bytes) -> Block {
    Block::new(Version::V1, codec, HashSpec::SHA2_256, data).expect("sha2-256")
}

/// Options that make everything happen with a few blocks, in this thread.
pub fn options() -> SegmentOptions {
    SegmentOptions {
        segment_size: 2_048,
        merge_after: 24,
        background: false,
        reserve: 512,
        index_cache: 16 << 10,
        ..SegmentOptions::default()
    }
}

/// Opens the store on a disk in memory.
pub fn open(disk: &Recorded, options: &SegmentOptions) -> Result<BlockStore, StoreError> {
    BlockStore::open_on(Arc::new(disk.clone()), options.clone())
}

/// The store takes a panic of redb over damaged bytes for a damaged index, so that one must not
/// end the run as every other panic does.
pub fn let_redb_panic() {
    let abort = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let in_redb = |place: &std::panic::Location<'_>| place.file().contains("/redb-");
        if !panic.location().is_some_and(in_redb) {
            abort(panic);
        }
    }));
}
