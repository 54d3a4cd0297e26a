//! Deleting blocks: decided, journaled and applied under one lock, so that guards and deletes
//! exclude each other.

use parking_lot::RwLockUpgradableReadGuard;

use super::super::StoreError;
use super::super::entry::{Entry, links_of};
use super::super::guard::Scope;
use super::super::key::{Key, fingerprint};
use super::super::types::{Deletion, Victim};
use super::SegmentStore;
use super::record::Record;
use super::sync::Reserve;
use super::table::Found;
use crate::cid::Multihash;

impl SegmentStore {
    pub(super) fn delete_blocks(
        &self,
        victims: &[Victim<'_>],
        scope: Scope,
    ) -> Result<Vec<Deletion>, StoreError> {
        self.check_writable()?;
        loop {
            let generation = self.tables.read().generation;
            let mut candidates = Vec::with_capacity(victims.len());
            for &(hash, expected) in victims {
                let entry = if hash.is_identity() {
                    None
                } else {
                    self.lookup(hash)?
                };
                let entry = entry.filter(|entry| expected.is_none_or(|at| at == entry.position));
                let record = match entry {
                    Some(entry) => Some(self.death(hash, entry)?),
                    None => None,
                };
                candidates.push(record);
            }
            self.sync_victims(&candidates)?;
            if let Some(deletions) = self.delete_candidates(candidates, generation, scope)? {
                self.merge_if_full()?;
                return Ok(deletions);
            }
        }
    }

    /// The record of a delete: it names the links that go with the block.
    fn death(&self, hash: &Multihash, entry: Entry) -> Result<Record, StoreError> {
        let mut children = Box::default();
        // Links are indexed by fingerprint: those of another block with the same one must stay.
        if !entry.is_leaf() && !self.shares_fingerprint(hash)? {
            let segment = self.tables.read().segment(entry.position.segment);
            // A block that cannot be read leaves its links; parents are checked when asked for.
            if let Some(Ok(Some(block))) = segment.map(|segment| segment.read(hash, &entry)) {
                (_, children) = links_of(block.cid().codec(), block.data());
            }
        }
        Ok(Record::Dead {
            hash: hash.clone(),
            entry,
            children,
        })
    }

    /// Before a delete is journaled, what it undoes must be: the frame must be there to stay,
    /// because positions that a crash takes back are used again, and the counts of a replay must
    /// see the block come before they see it go.
    fn sync_victims(&self, candidates: &[Option<Record>]) -> Result<(), StoreError> {
        let covered = self.journal.lock().covered;
        let waits = |record: &Record| match record {
            Record::Dead { entry, .. } => entry.position >= covered || entry.is_bad(),
            _ => false,
        };
        if !candidates.iter().flatten().any(waits) {
            return Ok(());
        }
        self.sync_data()?;
        self.journal_pending(Reserve::Spend)
    }

    /// `None` when the tables were exchanged meanwhile, so that all must be looked up again.
    fn delete_candidates(
        &self,
        candidates: Vec<Option<Record>>,
        generation: u64,
        scope: Scope,
    ) -> Result<Option<Vec<Deletion>>, StoreError> {
        let mut journal = self.journal.lock();
        let guards = self.registry.lock();
        let tables = self.tables.upgradable_read();
        if tables.generation != generation {
            return Ok(None);
        }
        let mut deletions = Vec::with_capacity(candidates.len());
        let mut deaths = Vec::with_capacity(candidates.len());
        let mut named = std::collections::HashSet::new();
        for candidate in candidates {
            let Some(Record::Dead {
                hash,
                entry,
                children,
            }) = candidate
            else {
                deletions.push(Deletion::NotFound);
                continue;
            };
            let there = match tables.find(&Key::new(hash.clone())) {
                Found::Live(now) => now.position == entry.position,
                Found::Gone => false,
                Found::Below(_) => true,
            };
            deletions.push(if !there || named.contains(&entry.position) {
                Deletion::NotFound
            } else if guards.protects(&hash, entry.position, scope) {
                Deletion::InUse
            } else {
                named.insert(entry.position);
                deaths.push(Record::Dead {
                    hash,
                    entry,
                    children,
                });
                Deletion::Deleted
            });
        }
        if !deaths.is_empty() {
            self.append_journal(&mut journal, &deaths, Reserve::Spend)?;
            let mut tables = RwLockUpgradableReadGuard::upgrade(tables);
            for death in &deaths {
                tables.apply(death);
            }
        }
        Ok(Some(deletions))
    }

    /// Whether another stored block has the same fingerprint.
    fn shares_fingerprint(&self, hash: &Multihash) -> Result<bool, StoreError> {
        let (known, index) = {
            let tables = self.tables.read();
            (tables.shares_fingerprint(hash), tables.index.clone())
        };
        let Some(index) = index else { return Ok(known) };
        let below = index.with_fingerprint(&*self.disk, fingerprint(hash))?;
        Ok(known || below.iter().any(|(key, _)| key.hash() != hash))
    }
}
