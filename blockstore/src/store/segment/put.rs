//! Storing blocks.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustc_hash::FxBuildHasher;

use super::super::StoreError;
use super::super::entry::{Described, Entry};
use super::super::guard::GuardId;
use super::super::types::{Position, PutReport};
use super::SegmentStore;
use super::append::{Appender, Piece};
use super::file::Segment;
use super::record::Record;
use super::table::Found;
use crate::block::Block;

/// A block to be appended, and the entry that it replaces.
struct Fresh<'a> {
    block: Described<'a>,
    old: Option<Entry>,
}

impl SegmentStore {
    pub(super) fn put_blocks(
        &self,
        blocks: &[Block],
        guard: Option<GuardId>,
    ) -> Result<PutReport, StoreError> {
        self.check_writable()?;
        let described = describe(blocks)?;
        let seen = self.puts.load(Ordering::Acquire);
        let (mut fresh, mut present) = (Vec::with_capacity(described.len()), Vec::new());
        for block in described {
            match self.missing(block)? {
                Ok(missing) => fresh.push(missing),
                Err(there) => present.push(there),
            }
        }
        if let (Some(id), false) = (guard, present.is_empty()) {
            // Registered first, looked up again then: see the rules of guards.
            let fingerprints = present.iter().map(|block| block.key.fingerprint());
            self.registry.lock().register(id, fingerprints);
            for block in present {
                fresh.extend(self.missing(block)?.ok());
            }
        }
        if fresh.is_empty() {
            return Ok(PutReport::default());
        }
        let report = self.append_fresh(fresh, seen)?;
        self.merge_if_full()?;
        Ok(report)
    }

    /// The block to be appended, or as it was when it is there already.
    fn missing<'a>(
        &self,
        block: Described<'a>,
    ) -> Result<Result<Fresh<'a>, Described<'a>>, StoreError> {
        let old = self.lookup(block.key.hash())?;
        Ok(match old {
            Some(entry) if !block.replaces(&entry) => Err(block),
            old => Ok(Fresh { block, old }),
        })
    }

    fn append_fresh(&self, mut fresh: Vec<Fresh<'_>>, seen: u64) -> Result<PutReport, StoreError> {
        let mut append = self.append.lock();
        self.check_writable()?;
        if self.puts.load(Ordering::Acquire) != seen {
            let mut still = Vec::with_capacity(fresh.len());
            for Fresh { block, .. } in fresh {
                still.extend(self.missing(block)?.ok());
            }
            fresh = still;
        }
        self.check_capacity(&fresh)?;
        let pieces: Vec<Piece<'_>> = fresh
            .iter()
            .map(|Fresh { block, .. }| Piece {
                cid: block.block.cid(),
                data: block.block.data(),
            })
            .collect();
        let (positions, appended) = self.append_pieces(&mut append, &pieces);
        let mut report = PutReport::default();
        let mut tables = self.tables.write();
        for (Fresh { block, old }, position) in fresh.into_iter().zip(positions) {
            let entry = block.entry.at(position);
            let old = match tables.find(&block.key) {
                Found::Live(now) => Some(now),
                Found::Gone => None,
                Found::Below(_) => old,
            };
            let (hash, children) = (block.key.into_hash(), block.children);
            tables.change(match old {
                Some(old) => Record::Move {
                    hash,
                    old,
                    entry,
                    children,
                },
                None => {
                    report.new_blocks += 1;
                    report.new_bytes += u64::from(entry.len());
                    Record::Put {
                        hash,
                        entry,
                        children,
                    }
                }
            });
        }
        drop(tables);
        self.appended(&append);
        appended.map(|()| report)
    }

    /// Appends the pieces: the positions of those that were, and why not all.
    pub(super) fn append_pieces(
        &self,
        append: &mut Appender,
        pieces: &[Piece<'_>],
    ) -> (Vec<Position>, Result<(), StoreError>) {
        let mut positions = Vec::with_capacity(pieces.len());
        let mut on_segment = |segment: &Arc<Segment>| {
            let known = self.tables.read().segment(segment.id);
            if !known.is_some_and(|known| Arc::ptr_eq(&known, segment)) {
                self.tables
                    .write()
                    .segments
                    .insert(segment.id, Arc::clone(segment));
            }
        };
        let appended = append.append(pieces, &mut on_segment, &mut positions);
        (positions, appended)
    }

    /// Publishes that something was appended, with the appender still locked.
    pub(super) fn appended(&self, append: &Appender) {
        self.end
            .store(append.position().as_u64(), Ordering::Release);
        self.puts.fetch_add(1, Ordering::AcqRel);
    }

    fn check_capacity(&self, fresh: &[Fresh<'_>]) -> Result<(), StoreError> {
        let Some(limit) = self.options.max_bytes else {
            return Ok(());
        };
        let frame_len = |block: &Described<'_>| block.entry.frame_len(block.key.hash());
        let needed = fresh
            .iter()
            .map(|fresh| u64::from(frame_len(&fresh.block)))
            .sum();
        let (journal, reserve) = self.journal_bytes();
        let tables = self.tables.read();
        let used = tables.segment_bytes() + tables.index_bytes + journal + reserve;
        if used + needed > limit {
            return Err(StoreError::StorageFull {
                needed,
                used,
                limit,
            });
        }
        Ok(())
    }
}

/// What is to be known of the blocks, without those that are never stored. Each is there once,
/// under the name that shows its links: a second frame of it would be in no table, and a recovery
/// that scans would take it for the newer one.
fn describe(blocks: &[Block]) -> Result<Vec<Described<'_>>, StoreError> {
    let mut known = HashMap::with_capacity_and_hasher(blocks.len(), FxBuildHasher);
    let mut described: Vec<Described<'_>> = Vec::with_capacity(blocks.len());
    for block in blocks {
        let hash = block.cid().hash();
        if hash.is_identity() {
            continue;
        }
        match known.entry(hash) {
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(described.len());
                described.push(Described::of(block)?);
            }
            hash_map::Entry::Occupied(first) => {
                let first = &mut described[*first.get()];
                if first.block.cid() != block.cid() {
                    let again = Described::of(block)?;
                    if again.replaces(&first.entry) {
                        *first = again;
                    }
                }
            }
        }
    }
    Ok(described)
}
