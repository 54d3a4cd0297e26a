//! What is to be announced, in the order of the key space.
//!
//! The store has another order, and a copy of millions of keys in this one would cost as much as its index. So a page of
//! keys is found by one pass that keeps only the first few after a place: nothing is kept on disk, memory does not grow
//! with the store, and what was added or removed meanwhile is seen by the next page.

use std::collections::BTreeMap;

use bytes::Bytes;
use ipfs_kit_blockstore::cid::{Cid, Multihash};
use ipfs_kit_blockstore::codec::{self, dag_pb::PbNode};
use ipfs_kit_blockstore::store::Position;
use ipfs_kit_unixfs::{Kind, UnixFs};
use rustc_hash::FxHashSet;

use super::keyspace::Key;
use super::settings::Strategy;
use crate::error::{Error, Result};
use crate::node::Node;
use crate::pins;

/// Blocks between two looks at the cancel token.
const CHECK_EVERY: u64 = 4096;

/// Where keys come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// What the configuration names.
    Strategy(Strategy),
    /// What is here of the DAGs below these roots.
    Dags(Vec<Cid>),
    /// These blocks, as far as they are here.
    Blocks(Vec<Cid>),
}

/// A block to announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where it lies.
    pub key: Key,
    /// What is told.
    pub hash: Multihash,
}

/// Keys in order.
#[derive(Debug, Default)]
pub struct Page {
    /// The keys, each once.
    pub items: Vec<Item>,
    /// Nothing comes after them.
    pub last: bool,
    /// Blocks that the pass went over.
    pub seen: u64,
}

/// The first `limit` keys from `from` on.
///
/// # Errors
/// [`Error::Store`], [`Error::Database`], [`Error::Cancelled`].
pub fn page(node: &Node, source: &Source, from: Key, limit: usize) -> Result<Page> {
    let mut gathered = Gathered::new(from, limit);
    match source {
        Source::Strategy(strategy) if strategy.all => {
            for block in node.store().blocks() {
                let (hash, info) = block?;
                if !info.quarantined {
                    gathered.add(&hash);
                }
                if gathered.seen.is_multiple_of(CHECK_EVERY) {
                    node.cancel().check()?;
                }
            }
        }
        Source::Strategy(strategy) => pinned(node, *strategy, &mut gathered)?,
        Source::Dags(roots) => {
            let mut walk = Walk::new(node, false);
            for root in roots {
                walk.below(root, &mut gathered)?;
            }
        }
        Source::Blocks(cids) => {
            for cid in cids {
                if node.store().has(cid.hash())? {
                    gathered.add(cid.hash());
                }
            }
        }
    }
    Ok(gathered.finish())
}

fn pinned(node: &Node, strategy: Strategy, gathered: &mut Gathered) -> Result<()> {
    let mut walk = Walk::new(node, strategy.entities);
    if strategy.mfs {
        for root in node.mfs_state().gc_roots(node)? {
            walk.below(&root, gathered)?;
        }
    }
    if !strategy.pinned && !strategy.roots {
        return Ok(());
    }
    pins::for_each(node, &mut |pin| {
        if pin.recursive && strategy.pinned {
            return walk.below(&pin.cid, gathered);
        }
        if node.store().has(pin.cid.hash())? {
            gathered.add(pin.cid.hash());
        }
        Ok(())
    })
}

/// The smallest keys so far.
struct Gathered {
    from: Key,
    limit: usize,
    found: BTreeMap<Key, Multihash>,
    last: bool,
    seen: u64,
    bytes: Vec<u8>,
}

impl Gathered {
    fn new(from: Key, limit: usize) -> Self {
        Self {
            from,
            limit: limit.max(1),
            found: BTreeMap::new(),
            last: true,
            seen: 0,
            bytes: Vec::new(),
        }
    }

    fn add(&mut self, hash: &Multihash) {
        // An identity hash carries its block in itself.
        if hash.is_identity() {
            return;
        }
        self.seen += 1;
        self.bytes.clear();
        hash.write_to(&mut self.bytes);
        let key = Key::of(&self.bytes);
        if key < self.from {
            return;
        }
        let full = self.found.len() >= self.limit;
        if full
            && self
                .found
                .last_key_value()
                .is_some_and(|(last, _)| *last < key)
        {
            self.last = false;
            return;
        }
        self.found.insert(key, hash.clone());
        if self.found.len() > self.limit {
            self.found.pop_last();
            self.last = false;
        }
    }

    fn finish(self) -> Page {
        let items = self.found.into_iter().map(|(key, hash)| Item { key, hash });
        Page {
            items: items.collect(),
            last: self.last,
            seen: self.seen,
        }
    }
}

/// Walks DAGs without fetching. Only inner nodes are remembered; a leaf that is met twice is told twice, which the page
/// makes good.
struct Walk<'a> {
    node: &'a Node,
    entities: bool,
    read: FxHashSet<(Position, u64)>,
}

impl<'a> Walk<'a> {
    fn new(node: &'a Node, entities: bool) -> Self {
        Self {
            node,
            entities,
            read: FxHashSet::default(),
        }
    }

    fn below(&mut self, root: &Cid, gathered: &mut Gathered) -> Result<()> {
        let mut pending = vec![root.clone()];
        while let Some(cid) = pending.pop() {
            self.node.cancel().check()?;
            let Some(data) = self.visit(&cid, gathered)? else {
                continue;
            };
            if self.entities && is_file(&cid, &data) {
                continue;
            }
            // Links up to a malformed place count.
            let _ = codec::links(cid.codec(), &data, &mut |link| pending.push(link));
        }
        Ok(())
    }

    /// The block, where its links are wanted.
    fn visit(&mut self, cid: &Cid, gathered: &mut Gathered) -> Result<Option<Bytes>> {
        if !cid.hash().is_identity() {
            let info = self.node.store().info(cid.hash())?;
            let Some(info) = info.filter(|info| !info.quarantined) else {
                return Ok(None);
            };
            gathered.add(cid.hash());
            let codec = cid.codec();
            if info.is_leaf_as(codec) || !self.read.insert((info.position, codec)) {
                return Ok(None);
            }
        }
        match self.node.local_block(cid) {
            Ok(data) => Ok(Some(data)),
            Err(Error::NotFound(_) | Error::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether what it links to are chunks of a file.
fn is_file(cid: &Cid, data: &Bytes) -> bool {
    if cid.codec() != codec::DAG_PB {
        return false;
    }
    let unixfs = PbNode::decode(data).ok().and_then(|node| node.data);
    let unixfs = unixfs.and_then(|message| UnixFs::decode(&message).ok());
    unixfs.is_some_and(|node| matches!(node.kind, Kind::File | Kind::Raw))
}
