//! The store that lives in memory.

use std::collections::BTreeSet;
use std::collections::btree_map::{self, BTreeMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;

use super::entry::{Described, Entry};
use super::guard::{GuardId, Registry, Scope};
use super::key::{Key, fingerprint};
use super::types::{CompactReport, Deletion, Position, PutReport, StoreStats, Victim};
use super::{BlockInfo, MemoryOptions, Page, Store, StoreError};
use crate::block::Block;
use crate::cid::Multihash;
use crate::{codec, hash};

/// Blocks in a sorted map; a position is the number of the put.
pub(super) struct MemoryStore {
    options: MemoryOptions,
    blocks: RwLock<Blocks>,
    next: AtomicU64,
    registry: Registry,
}

#[derive(Default)]
struct Blocks {
    by_key: BTreeMap<Key, Slot>,
    /// Fingerprint of the child to the keys of its parents.
    parents: BTreeMap<u64, BTreeSet<Key>>,
    bytes: u64,
    quarantined: u64,
    closed: bool,
}

struct Slot {
    entry: Entry,
    block: Block,
    children: Box<[u64]>,
}

impl MemoryStore {
    pub(super) fn new(options: MemoryOptions) -> Self {
        Self {
            options,
            blocks: RwLock::default(),
            next: AtomicU64::new(1),
            registry: Registry::default(),
        }
    }
}

impl Store for MemoryStore {
    fn info(&self, hash: &Multihash) -> Result<Option<BlockInfo>, StoreError> {
        let blocks = self.blocks.read();
        Ok(blocks
            .by_key
            .get(&Key::new(hash.clone()))
            .map(|slot| slot.entry.info()))
    }

    fn get(&self, hash: &Multihash) -> Result<Option<Bytes>, StoreError> {
        let blocks = self.blocks.read();
        match blocks.by_key.get(&Key::new(hash.clone())) {
            Some(slot) if slot.entry.is_bad() => Err(StoreError::Corrupt { hash: hash.clone() }),
            slot => Ok(slot.map(|slot| slot.block.data().clone())),
        }
    }

    fn at_hand(&self, hash: &Multihash) -> Option<Bytes> {
        self.get(hash).ok().flatten()
    }

    fn check(&self, hash: &Multihash) -> Result<Option<bool>, StoreError> {
        let key = Key::new(hash.clone());
        let Some((block, position)) = ({
            let blocks = self.blocks.read();
            blocks
                .by_key
                .get(&key)
                .map(|slot| (slot.block.clone(), slot.entry.position))
        }) else {
            return Ok(None);
        };
        let sound = hash::verify(block.cid(), block.data()).is_ok();
        if !sound {
            self.blocks.write().quarantine(&key, position);
        }
        Ok(Some(sound))
    }

    fn put(&self, blocks: &[Block], guard: Option<GuardId>) -> Result<PutReport, StoreError> {
        let described: Vec<Described<'_>> = blocks
            .iter()
            .filter(|block| !block.cid().hash().is_identity())
            .map(Described::of)
            .collect::<Result<_, _>>()?;
        if let Some(id) = guard {
            let mut guards = self.registry.lock();
            guards.register(id, described.iter().map(|block| block.key.fingerprint()));
        }
        let mut stored = self.blocks.write();
        if stored.closed {
            return Err(StoreError::Closed);
        }
        self.check_capacity(&stored, &described)?;
        let mut report = PutReport::default();
        for block in described {
            let position = Position::from_u64(self.next.fetch_add(1, Ordering::Relaxed));
            stored.put(block, position, &mut report);
        }
        Ok(report)
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn delete(&self, victims: &[Victim<'_>], scope: Scope) -> Result<Vec<Deletion>, StoreError> {
        let guards = self.registry.lock();
        let mut blocks = self.blocks.write();
        if blocks.closed {
            return Err(StoreError::Closed);
        }
        let delete = |&(hash, expected): &Victim<'_>| {
            let key = Key::new(hash.clone());
            let Some(position) = blocks.by_key.get(&key).map(|slot| slot.entry.position) else {
                return Deletion::NotFound;
            };
            if expected.is_some_and(|expected| expected != position) {
                return Deletion::NotFound;
            }
            if guards.protects(hash, position, scope) {
                return Deletion::InUse;
            }
            blocks.remove(&key);
            Deletion::Deleted
        };
        Ok(victims.iter().map(delete).collect())
    }

    fn sync_deletes(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn drop_dead(&self) -> Result<CompactReport, StoreError> {
        Ok(CompactReport::default())
    }

    fn compact(&self, _dead_ratio: f64) -> Result<CompactReport, StoreError> {
        Ok(CompactReport::default())
    }

    fn page(&self, after: Option<&Multihash>, limit: usize) -> Result<Page, StoreError> {
        let start = after.map_or(Bound::Unbounded, |hash| {
            Bound::Excluded(Key::new(hash.clone()))
        });
        let blocks = self.blocks.read();
        let page = blocks.by_key.range((start, Bound::Unbounded)).take(limit);
        Ok(page
            .map(|(key, slot)| (key.hash().clone(), slot.entry.info()))
            .collect())
    }

    fn parents(&self, hash: &Multihash) -> Result<Vec<Multihash>, StoreError> {
        let blocks = self.blocks.read();
        let child = fingerprint(hash);
        let mut parents = Vec::new();
        for parent in blocks.parents.get(&child).into_iter().flatten() {
            let Some(slot) = blocks.by_key.get(parent) else {
                continue;
            };
            let (cid, data) = (slot.block.cid(), slot.block.data());
            let mut links = false;
            let read = codec::links(cid.codec(), data, &mut |link| links |= link.hash() == hash);
            if links && read.is_ok() {
                parents.push(parent.hash().clone());
            }
        }
        Ok(parents)
    }

    fn stats(&self) -> StoreStats {
        let blocks = self.blocks.read();
        StoreStats {
            blocks: blocks.by_key.len() as u64,
            bytes: blocks.bytes,
            quarantined: blocks.quarantined,
            capacity: self.options.max_bytes,
            ..StoreStats::default()
        }
    }

    fn position(&self) -> Position {
        Position::from_u64(self.next.load(Ordering::Relaxed))
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn close(&self) -> Result<(), StoreError> {
        self.blocks.write().closed = true;
        Ok(())
    }
}

impl MemoryStore {
    fn check_capacity(&self, stored: &Blocks, new: &[Described<'_>]) -> Result<(), StoreError> {
        let Some(limit) = self.options.max_bytes else {
            return Ok(());
        };
        let missing: BTreeMap<&Key, u32> = new
            .iter()
            .filter(|block| stored.lacks(block))
            .map(|block| (&block.key, block.entry.len()))
            .collect();
        let needed = missing.values().map(|&len| u64::from(len)).sum();
        if needed > 0 && stored.bytes + needed > limit {
            return Err(StoreError::StorageFull {
                needed,
                used: stored.bytes,
                limit,
            });
        }
        Ok(())
    }
}

impl Blocks {
    /// Whether putting the block would change anything.
    fn lacks(&self, block: &Described<'_>) -> bool {
        self.by_key
            .get(&block.key)
            .is_none_or(|slot| block.replaces(&slot.entry))
    }

    fn put(&mut self, block: Described<'_>, position: Position, report: &mut PutReport) {
        if !self.lacks(&block) {
            return;
        }
        if !self.remove(&block.key) {
            report.new_blocks += 1;
            report.new_bytes += u64::from(block.entry.len());
        }
        self.bytes += u64::from(block.entry.len());
        for &child in &block.children {
            self.parents
                .entry(child)
                .or_default()
                .insert(block.key.clone());
        }
        let slot = Slot {
            entry: block.entry.at(position),
            block: block.block.clone(),
            children: block.children,
        };
        self.by_key.insert(block.key, slot);
    }

    fn remove(&mut self, key: &Key) -> bool {
        let Some(slot) = self.by_key.remove(key) else {
            return false;
        };
        self.bytes -= u64::from(slot.entry.len());
        self.quarantined -= u64::from(slot.entry.is_bad());
        for child in slot.children {
            if let btree_map::Entry::Occupied(mut parents) = self.parents.entry(child) {
                parents.get_mut().remove(key);
                if parents.get().is_empty() {
                    parents.remove();
                }
            }
        }
        true
    }

    fn quarantine(&mut self, key: &Key, position: Position) {
        if let Some(slot) = self.by_key.get_mut(key)
            && slot.entry.position == position
            && !slot.entry.is_bad()
        {
            slot.entry = slot.entry.quarantined();
            self.quarantined += 1;
        }
    }
}
