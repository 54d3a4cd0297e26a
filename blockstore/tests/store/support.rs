//! Blocks, disks and random numbers for the tests here.

use std::sync::Arc;

use bytes::Bytes;
use ipfs_kit_blockstore::Block;
use ipfs_kit_blockstore::cid::{Cid, Multihash, Version};
use ipfs_kit_blockstore::codec;
use ipfs_kit_blockstore::codec::dag_pb::{PbLink, PbNode};
use ipfs_kit_blockstore::hash::{HashFunction, HashSpec};
use ipfs_kit_blockstore::store::disk::{Image, Recorded};
use ipfs_kit_blockstore::store::{BlockStore, SegmentOptions, StoreError};

/// SplitMix64: the same numbers for the same seed, everywhere.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn bytes(&mut self, len: usize) -> Bytes {
        let mut out = Vec::with_capacity(len + 8);
        while out.len() < len {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(len);
        out.into()
    }
}

/// The seed of a test run: `STORE_SEED`, or one for each test.
pub fn seed(default: u64) -> u64 {
    std::env::var("STORE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(default)
}

/// How many times more a test does than usual: `STORE_EFFORT`.
pub fn effort() -> u64 {
    std::env::var("STORE_EFFORT")
        .ok()
        .and_then(|effort| effort.parse().ok())
        .unwrap_or(1)
}

pub fn sha256() -> HashSpec {
    HashSpec::new(HashFunction::SHA2_256, None).unwrap()
}

pub fn raw(data: impl Into<Bytes>) -> Block {
    Block::new(Version::V1, codec::RAW, sha256(), data.into()).unwrap()
}

/// A block of `len` random bytes.
pub fn random_block(random: &mut Random, len: usize) -> Block {
    raw(random.bytes(len))
}

/// A dag-pb block that links to others.
pub fn node(children: &[Block]) -> Block {
    let links = children.iter().map(|child| PbLink {
        cid: child.cid().clone(),
        name: None,
        tsize: Some(child.data().len() as u64),
    });
    let data = PbNode {
        links: links.collect(),
        data: None,
    }
    .encode();
    Block::new(Version::V1, codec::DAG_PB, sha256(), data.into()).unwrap()
}

pub fn hash(block: &Block) -> Multihash {
    block.cid().hash().clone()
}

/// Options that make everything happen with a few blocks, in this thread.
pub fn tiny() -> SegmentOptions {
    SegmentOptions {
        segment_size: 2_048,
        staging: 512,
        merge_after: 12,
        background: false,
        reserve: 512,
        index_cache: 16 << 10,
        ..SegmentOptions::default()
    }
}

pub fn open(disk: &Recorded, options: &SegmentOptions) -> Result<BlockStore, StoreError> {
    BlockStore::open_on(Arc::new(disk.clone()), options.clone())
}

pub fn empty_disk() -> Recorded {
    Recorded::new(Image::default())
}

/// A CID of the same multihash with another codec.
pub fn with_codec(block: &Block, codec: u64) -> Block {
    Block::trusted(Cid::v1(codec, hash(block)), block.data().clone())
}
