//! Looking blocks up, reading, listing, and walking from child to parent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::entry::Entry;
use super::super::key::{Key, fingerprint};
use super::super::{Page, StoreError};
use super::SegmentStore;
use super::fault::disk_error;
use super::file::{Segment, sound};
use super::record::Record;
use super::table::{Found, Slot};
use crate::block::Block;
use crate::cid::Multihash;
use crate::{codec, hash};

/// Entries taken at once from each layer for a page.
const PAGE_MIN: usize = 64;
/// A block is looked up again when a compaction moved it meanwhile; it cannot win every time.
const MOVED_MAX: usize = 100;

impl SegmentStore {
    pub(super) fn lookup(&self, hash: &Multihash) -> Result<Option<Entry>, StoreError> {
        let found = self.tables.read().find(&Key::new(hash.clone()));
        match found {
            Found::Live(entry) => Ok(Some(entry)),
            Found::Gone | Found::Below(None) => Ok(None),
            Found::Below(Some(index)) => index.get(&*self.disk, hash),
        }
    }

    /// The block, its checksum compared.
    pub(super) fn read_block(&self, hash: &Multihash) -> Result<Option<Block>, StoreError> {
        let mut last = None;
        for _ in 0..MOVED_MAX {
            let Some(entry) = self.lookup(hash)? else {
                return Ok(None);
            };
            if entry.is_bad() {
                return Err(StoreError::Corrupt { hash: hash.clone() });
            }
            let Some(segment) = self.tables.read().segment(entry.position.segment) else {
                // Its file is gone since the look-up, or was taken away.
                if last == Some(entry.position) {
                    break;
                }
                last = Some(entry.position);
                continue;
            };
            let read = segment.read(hash, &entry);
            let read = read.map_err(|error| self.read_error(&segment, error))?;
            if let Some(block) = read.or_else(|| read_again(&segment, hash, &entry)) {
                return Ok(Some(block));
            }
            self.quarantine(hash, &entry)?;
            return Err(StoreError::Corrupt { hash: hash.clone() });
        }
        if let Some(entry) = self.lookup(hash)? {
            self.quarantine(hash, &entry)?;
            return Err(StoreError::Corrupt { hash: hash.clone() });
        }
        Ok(None)
    }

    /// The block, if nothing but the index has to be read for it; `None` when that is not sure.
    pub(super) fn block_at_hand(&self, hash: &Multihash) -> Result<Option<Block>, StoreError> {
        let Some(entry) = self.lookup(hash)?.filter(|entry| !entry.is_bad()) else {
            return Ok(None);
        };
        let segment = self.tables.read().segment(entry.position.segment);
        let Some(segment) = segment else {
            return Ok(None);
        };
        let read = segment.at_hand(hash, &entry);
        read.map_err(|error| self.read_error(&segment, error))
    }

    /// Reads the block and compares its hash. The checksum can only miss what was wrong when it
    /// was put.
    pub(super) fn check_block(&self, hash: &Multihash) -> Result<Option<bool>, StoreError> {
        let block = match self.read_block(hash) {
            Err(StoreError::Corrupt { .. }) => return Ok(Some(false)),
            block => block?,
        };
        let Some(block) = block else { return Ok(None) };
        if hash::verify(block.cid(), block.data()).is_ok() {
            return Ok(Some(true));
        }
        if let Some(entry) = self.lookup(hash)? {
            self.quarantine(hash, &entry)?;
        }
        Ok(Some(false))
    }

    /// Marks a block as damaged, if it still is where it was found to be.
    pub(super) fn quarantine(&self, hash: &Multihash, found: &Entry) -> Result<(), StoreError> {
        loop {
            let generation = self.tables.read().generation;
            let Some(entry) = self.lookup(hash)? else {
                return Ok(());
            };
            if entry.position != found.position || entry.is_bad() {
                return Ok(());
            }
            let mut tables = self.tables.write();
            if tables.generation != generation {
                continue;
            }
            match tables.find(&Key::new(hash.clone())) {
                Found::Live(now) if now != entry => {}
                Found::Gone => {}
                Found::Live(_) | Found::Below(_) => {
                    tables.change(Record::Bad {
                        hash: hash.clone(),
                        entry: entry.quarantined(),
                    });
                    self.puts.fetch_add(1, Ordering::AcqRel);
                }
            }
            return Ok(());
        }
    }

    pub(super) fn list_page(
        &self,
        after: Option<&Multihash>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut after = after.map(|hash| Key::new(hash.clone()));
        let mut page = Vec::new();
        loop {
            let (entries, bound) = self.some_after(after.as_ref(), limit.max(PAGE_MIN))?;
            for (key, slot) in entries {
                if page.len() == limit {
                    return Ok(page);
                }
                if let Slot::Live(entry) = slot {
                    page.push((key.into_hash(), entry.info()));
                }
            }
            match bound {
                Some(bound) => after = Some(bound),
                None => return Ok(page),
            }
        }
    }

    /// Everything after a key up to a bound, which is `None` at the end.
    fn some_after(
        &self,
        after: Option<&Key>,
        count: usize,
    ) -> Result<(BTreeMap<Key, Slot>, Option<Key>), StoreError> {
        let start = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let range = (start, std::ops::Bound::Unbounded);
        let (layers, index) = {
            let tables = self.tables.read();
            let part = |slots: &BTreeMap<Key, Slot>| -> Vec<(Key, Slot)> {
                let part = slots.range::<Key, _>(range).take(count);
                part.map(|(key, slot)| (key.clone(), *slot)).collect()
            };
            let frozen = tables.frozen.as_ref().map(|layer| part(&layer.slots));
            (
                [frozen.unwrap_or_default(), part(&tables.active.slots)],
                tables.index.clone(),
            )
        };
        let index = index
            .map(|index| index.after(&*self.disk, after, count))
            .transpose()?;
        let live = |(key, entry)| (key, Slot::Live(entry));
        let below: Vec<(Key, Slot)> = index.unwrap_or_default().into_iter().map(live).collect();
        // A part that is as long as asked for may go on: nothing after its end is known.
        let ends = [&below, &layers[0], &layers[1]]
            .into_iter()
            .filter(|part| part.len() == count);
        let bound = ends
            .filter_map(|part| part.last())
            .map(|(key, _)| key)
            .min()
            .cloned();
        let mut entries: BTreeMap<Key, Slot> = below.into_iter().collect();
        entries.extend(layers.into_iter().flatten());
        if let Some(bound) = &bound {
            entries.retain(|key, _| key <= bound);
        }
        Ok((entries, bound))
    }

    pub(super) fn find_parents(&self, hash: &Multihash) -> Result<Vec<Multihash>, StoreError> {
        let child = fingerprint(hash);
        let (known, index) = {
            let tables = self.tables.read();
            let mut known = BTreeMap::new();
            for layer in [tables.frozen.as_deref(), Some(&tables.active)]
                .into_iter()
                .flatten()
            {
                known.extend(layer.parents(child));
            }
            (known, tables.index.clone())
        };
        let mut candidates: BTreeMap<u64, bool> = BTreeMap::new();
        if let Some(index) = &index {
            let below = index.parents(&*self.disk, child)?;
            candidates.extend(below.into_iter().map(|parent| (parent, true)));
        }
        candidates.extend(known);
        let mut parents = Vec::new();
        for (candidate, _) in candidates.into_iter().filter(|(_, is)| *is) {
            for parent in self.with_fingerprint(candidate)? {
                if self.links_to(&parent, hash)? {
                    parents.push(parent);
                }
            }
        }
        Ok(parents)
    }

    /// The stored blocks with this fingerprint, in key order.
    fn with_fingerprint(&self, of: u64) -> Result<Vec<Multihash>, StoreError> {
        let mut found: BTreeMap<Key, Slot> = BTreeMap::new();
        let (layers, index) = {
            let tables = self.tables.read();
            let layers: Vec<(Key, Slot)> = [tables.frozen.as_deref(), Some(&tables.active)]
                .into_iter()
                .flatten()
                .flat_map(|layer| layer.with_fingerprint(of))
                .map(|(key, slot)| (key.clone(), *slot))
                .collect();
            (layers, tables.index.clone())
        };
        if let Some(index) = index {
            let below = index.with_fingerprint(&*self.disk, of)?;
            found.extend(
                below
                    .into_iter()
                    .map(|(key, entry)| (key, Slot::Live(entry))),
            );
        }
        found.extend(layers);
        let live = |(key, slot): (Key, Slot)| match slot {
            Slot::Live(entry) if !entry.is_leaf() && !entry.is_bad() => Some(key.into_hash()),
            _ => None,
        };
        Ok(found.into_iter().filter_map(live).collect())
    }

    fn links_to(&self, parent: &Multihash, child: &Multihash) -> Result<bool, StoreError> {
        let block = match self.read_block(parent) {
            // Quarantined by now: nobody can follow its links.
            Err(StoreError::Corrupt { .. }) => None,
            block => block?,
        };
        let Some(block) = block else { return Ok(false) };
        let mut links = false;
        let codec = block.cid().codec();
        let read = codec::links(codec, block.data(), &mut |cid| links |= cid.hash() == child);
        Ok(links && read.is_ok())
    }

    pub(super) fn read_error(&self, segment: &Arc<Segment>, error: std::io::Error) -> StoreError {
        disk_error("read", &*self.disk, &segment.name(), error)
    }
}

/// A second look at the device, in case only the copy in memory is damaged.
fn read_again(segment: &Segment, hash: &Multihash, entry: &Entry) -> Option<Block> {
    let len = entry.frame_len(hash) as usize;
    let frame = segment
        .read_again(u64::from(entry.position.offset), len)
        .ok()?;
    sound(&frame, hash, entry)
}
