//! Which blocks a walk has visited.

use std::collections::BTreeMap;

use ipfs_kit_blockstore::cid::Cid;
use rustc_hash::FxHashMap;

/// Blocks by the first 128 bits of their digest, with the depth at which they were visited.
///
/// A DAG of a terabyte has millions of blocks, and this takes a third of the memory that whole CIDs
/// would. To make a walk overlook a block, one would have to find a second digest that begins like
/// it, which takes 2^128 attempts. Identity digests can be chosen freely and are kept whole.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hashed: FxHashMap<u128, u64>,
    whole: BTreeMap<Cid, u64>,
}

impl Seen {
    /// Notes a visit, and gives the smallest depth of those before.
    pub(super) fn visit(&mut self, cid: &Cid, depth: u64) -> Option<u64> {
        let slot = match fingerprint(cid) {
            Some(key) => self.hashed.insert(key, depth),
            None => self.whole.insert(cid.clone(), depth),
        };
        let before = slot?;
        if before < depth {
            match fingerprint(cid) {
                Some(key) => self.hashed.insert(key, before),
                None => self.whole.insert(cid.clone(), before),
            };
        }
        Some(before)
    }

    pub(super) fn contains(&self, cid: &Cid) -> bool {
        match fingerprint(cid) {
            Some(key) => self.hashed.contains_key(&key),
            None => self.whole.contains_key(cid),
        }
    }
}

/// The same bytes can be linked with two codecs and then have different links, and version 0 is
/// printed differently from version 1: the fingerprint tells them apart.
fn fingerprint(cid: &Cid) -> Option<u128> {
    let hash = cid.hash();
    if hash.is_identity() {
        return None;
    }
    let digest = u128::from_le_bytes(*hash.digest().first_chunk()?);
    let version = u128::from(cid.version() as u8);
    Some(digest ^ (u128::from(cid.codec()) << 64) ^ (u128::from(hash.code()) << 1) ^ version)
}
