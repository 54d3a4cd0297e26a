//! What is reachable: a walk over DAGs that reads inner nodes only. A plain state machine that does no IO.
//!
//! A driver takes the next block from [`Mark::next_look`], looks it up and tells [`Mark::handle_info`]; when the answer is to
//! read it, the block's bytes go to [`Mark::handle_block`]. A block that is not there is simply not told about: what
//! hangs below it is unknown, everything else is still found.
//!
//! Blocks are remembered by their place in the store, eight bytes each. The same bytes may be linked under two codecs, one
//! with links and one without, so what was read is remembered with its codec.

use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec::{self, CodecError};
use ipfs_kit_blockstore::store::{BlockInfo, Position};
use rustc_hash::FxHashSet;

/// The walk and what it has found.
#[derive(Debug, Default)]
pub struct Mark {
    /// Still to look at, the next one last; `false` for blocks whose links do not count.
    pending: Vec<(Cid, bool)>,
    marked: FxHashSet<Position>,
    read: FxHashSet<(Position, u64)>,
}

/// What to do with a block that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// It was not found before.
    pub new: bool,
    /// Its links are wanted: read it and call [`Mark::handle_block`].
    pub read: bool,
}

/// A block to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The block.
    pub cid: Cid,
    /// Whether what it links to counts.
    pub deep: bool,
}

impl Mark {
    /// Nothing is found yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts another walk at `root`: over its whole DAG, or only that block.
    pub fn add_root(&mut self, root: Cid, deep: bool) {
        self.pending.push((root, deep));
    }

    /// The next block to look up, or `None` when everything reachable was found.
    pub fn next_look(&mut self) -> Option<Look> {
        self.pending.pop().map(|(cid, deep)| Look { cid, deep })
    }

    /// Takes what the store knows of a block.
    pub fn handle_info(&mut self, look: &Look, info: &BlockInfo) -> Found {
        let codec = look.cid.codec();
        // An identity CID is its own block: it has no place, and it is read again wherever it is linked.
        if look.cid.hash().is_identity() {
            return Found {
                new: true,
                read: look.deep && has_links(codec),
            };
        }
        let new = self.marked.insert(info.position);
        let leaf = !look.deep || info.is_leaf_as(codec);
        Found {
            new,
            read: !leaf && self.read.insert((info.position, codec)),
        }
    }

    /// Takes the bytes of a block and goes on with what it links to, first link first.
    ///
    /// # Errors
    /// [`CodecError`] when the bytes are malformed; links found until then count.
    pub fn handle_block(&mut self, cid: &Cid, data: &[u8]) -> Result<(), CodecError> {
        let start = self.pending.len();
        let read = codec::links(cid.codec(), data, &mut |link| {
            self.pending.push((link, true))
        });
        self.pending[start..].reverse();
        read
    }

    /// Whether the block at this place was found.
    pub fn is_marked(&self, position: Position) -> bool {
        self.marked.contains(&position)
    }

    /// Number of distinct stored blocks found.
    pub fn len(&self) -> usize {
        self.marked.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.marked.is_empty()
    }
}

fn has_links(codec: u64) -> bool {
    matches!(codec, codec::DAG_PB | codec::DAG_CBOR | codec::DAG_JSON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipfs_kit_blockstore::block::Block;
    use ipfs_kit_blockstore::codec::dag_pb::{PbLink, PbNode};
    use ipfs_kit_blockstore::store::{BlockStore, MemoryOptions};
    use ipfs_kit_blockstore::{HashSpec, Version};

    fn block(codec: u64, data: Vec<u8>) -> Block {
        Block::new(Version::V1, codec, HashSpec::SHA2_256, data.into()).unwrap()
    }

    #[test]
    fn a_block_found_as_raw_is_still_read_as_a_node() {
        let leaf = block(codec::RAW, b"leaf".to_vec());
        let link = PbLink {
            cid: leaf.cid().clone(),
            name: None,
            tsize: None,
        };
        let inner = block(
            codec::DAG_PB,
            PbNode {
                links: vec![link],
                data: None,
            }
            .encode(),
        );
        let store = BlockStore::memory(MemoryOptions::default());
        store.put_many(&[leaf.clone(), inner.clone()]).unwrap();
        let mut mark = Mark::new();
        mark.add_root(inner.cid().clone(), true);
        mark.add_root(Cid::v1(codec::RAW, inner.cid().hash().clone()), true);
        mark.add_root(inner.cid().clone(), false);
        let mut read = 0;
        while let Some(look) = mark.next_look() {
            let info = store.info(look.cid.hash()).unwrap().unwrap();
            if mark.handle_info(&look, &info).read {
                read += 1;
                mark.handle_block(&look.cid, &store.get(look.cid.hash()).unwrap().unwrap())
                    .unwrap();
            }
        }
        assert_eq!(
            (mark.len(), read),
            (2, 1),
            "alone first, then raw, then the node and its leaf"
        );
        assert!(mark.is_marked(store.info(leaf.cid().hash()).unwrap().unwrap().position));
    }
}
