//! Which blocks of a DAG to ask for next. A plain state machine that does no IO.
//!
//! It walks depth first, as readers do, but goes on where a block is still on its way: its children come to the front when
//! it arrives. So the leaves of one parent are asked for while the next parents are fetched.

use std::hash::{Hash, Hasher};

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec::{self, dag_pb::PbNode};
use ipfs_kit_unixfs::UnixFs;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

/// CIDs remembered as still to ask for. What does not fit is fetched when it is read.
const PENDING_MAX: usize = 1 << 20;

/// Blocks remembered as asked for, eight bytes each.
const SEEN_MAX: usize = 16 << 20;

/// The walk.
#[derive(Debug, Default)]
pub struct Plan {
    /// Still to ask for, the next one last.
    pending: Vec<Cid>,
    /// Fingerprints: a collision costs a block that is fetched late, no more.
    seen: FxHashSet<u64>,
    expands: bool,
    leaves: bool,
    /// Files that are not read from their start: the bytes to leave out. One node a level at most.
    skips: FxHashMap<Cid, u64>,
}

impl Plan {
    /// Everything below these roots, the first one first; nothing when there are none.
    pub fn new(roots: &[Cid]) -> Self {
        Self {
            pending: roots.iter().rev().cloned().collect(),
            seen: FxHashSet::default(),
            expands: !roots.is_empty(),
            leaves: true,
            skips: FxHashMap::default(),
        }
    }

    /// The file below `root` from a byte on.
    pub fn from(root: &Cid, start: u64) -> Self {
        let mut plan = Self::new(std::slice::from_ref(root));
        plan.skips.insert(root.clone(), start);
        plan
    }

    /// The same without raw leaves.
    pub fn inner(roots: &[Cid]) -> Self {
        Self {
            leaves: false,
            ..Self::new(roots)
        }
    }

    /// The next block, each once.
    pub fn poll_next(&mut self) -> Option<Cid> {
        while let Some(cid) = self.pending.pop() {
            if self.seen.len() < SEEN_MAX && self.seen.insert(fingerprint(&cid)) {
                return Some(cid);
            }
        }
        None
    }

    /// A block is there: what it links to comes next.
    pub fn handle_block(&mut self, cid: &Cid, data: &Bytes) {
        if let Some(skip) = self.skips.remove(cid) {
            self.handle_part(data, skip);
            return;
        }
        if !self.expands || cid.codec() == codec::RAW || self.pending.len() >= PENDING_MAX {
            return;
        }
        let start = self.pending.len();
        // A malformed block is the reader's to complain about; what was read of it may be right.
        let _ = codec::links(cid.codec(), data, &mut |link| {
            if self.leaves || link.codec() != codec::RAW {
                self.pending.push(link);
            }
        });
        self.pending.truncate(PENDING_MAX);
        self.pending[start..].reverse();
    }

    /// Goes on with the children of a file's node that lie behind the first `skip` bytes. A malformed one is the
    /// reader's to complain about.
    fn handle_part(&mut self, data: &Bytes, skip: u64) {
        let Ok(node) = PbNode::decode(data) else {
            return;
        };
        let sizes = node
            .data
            .as_ref()
            .and_then(|data| UnixFs::decode(data).ok());
        let sizes = sizes.map(|file| file.block_sizes).unwrap_or_default();
        let start = self.pending.len();
        let mut begin = 0_u64;
        for (link, size) in node.links.into_iter().zip(sizes) {
            let end = begin.saturating_add(size);
            if end > skip {
                if begin < skip && link.cid.codec() != codec::RAW {
                    self.skips.insert(link.cid.clone(), skip - begin);
                }
                self.pending.push(link.cid);
            }
            begin = end;
        }
        self.pending.truncate(PENDING_MAX);
        self.pending[start..].reverse();
    }
}

fn fingerprint(cid: &Cid) -> u64 {
    let mut hasher = FxHasher::default();
    Hash::hash(cid, &mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipfs_kit_blockstore::block::Block;
    use ipfs_kit_blockstore::codec::dag_pb::{PbLink, PbNode};
    use ipfs_kit_blockstore::{HashSpec, Version};

    fn leaf(n: u8) -> Block {
        Block::new(Version::V1, codec::RAW, HashSpec::SHA2_256, vec![n].into()).unwrap()
    }

    fn parent(children: &[&Block]) -> Block {
        let links = children.iter().map(|child| PbLink {
            cid: child.cid().clone(),
            name: None,
            tsize: None,
        });
        let node = PbNode {
            links: links.collect(),
            data: None,
        };
        let data = node.encode().into();
        Block::new(Version::V1, codec::DAG_PB, HashSpec::SHA2_256, data).unwrap()
    }

    #[test]
    fn goes_on_across_parents_and_puts_children_first() {
        let leaves: Vec<Block> = (0..4).map(leaf).collect();
        let left = parent(&[&leaves[0], &leaves[1], &leaves[0]]);
        let right = parent(&[&leaves[2], &leaves[3]]);
        let root = parent(&[&left, &right]);
        let mut plan = Plan::new(std::slice::from_ref(root.cid()));
        assert_eq!(plan.poll_next().as_ref(), Some(root.cid()));
        assert_eq!(plan.poll_next(), None);
        plan.handle_block(root.cid(), root.data());
        assert_eq!(plan.poll_next().as_ref(), Some(left.cid()));
        assert_eq!(
            plan.poll_next().as_ref(),
            Some(right.cid()),
            "beside the first"
        );
        plan.handle_block(left.cid(), left.data());
        plan.handle_block(right.cid(), right.data());
        let mut rest: Vec<Cid> = std::iter::from_fn(|| plan.poll_next()).collect();
        rest.sort();
        let mut all: Vec<Cid> = leaves.iter().map(|leaf| leaf.cid().clone()).collect();
        all.sort();
        assert_eq!(rest, all, "each once");
    }

    #[test]
    fn a_file_from_its_middle_leaves_out_what_lies_before() {
        let leaves: Vec<Block> = (0..4).map(leaf).collect();
        let file = |children: &[&Block], sizes: &[u64]| {
            let links = children.iter().map(|child| PbLink {
                cid: child.cid().clone(),
                name: None,
                tsize: None,
            });
            let mut message = UnixFs::new(ipfs_kit_unixfs::Kind::File);
            message.block_sizes = sizes.to_vec();
            let node = PbNode {
                links: links.collect(),
                data: Some(message.encode().into()),
            };
            let data = node.encode().into();
            Block::new(Version::V1, codec::DAG_PB, HashSpec::SHA2_256, data).unwrap()
        };
        let left = file(&[&leaves[0], &leaves[1]], &[10, 10]);
        let right = file(&[&leaves[2], &leaves[3]], &[10, 10]);
        let root = file(&[&left, &right], &[20, 20]);
        for (start, expected) in [(0, 4), (9, 4), (10, 3), (25, 2), (39, 1), (40, 0)] {
            let mut plan = Plan::from(root.cid(), start);
            let mut got = 0;
            while let Some(cid) = plan.poll_next() {
                got += usize::from(leaves.iter().any(|leaf| *leaf.cid() == cid));
                for node in [&root, &left, &right] {
                    if *node.cid() == cid {
                        plan.handle_block(&cid, node.data());
                    }
                }
            }
            assert_eq!(got, expected, "from {start}");
        }
    }

    #[test]
    fn without_roots_nothing_is_planned() {
        let block = parent(&[&leaf(1)]);
        let mut plan = Plan::new(&[]);
        plan.handle_block(block.cid(), block.data());
        assert_eq!(plan.poll_next(), None);
    }
}
