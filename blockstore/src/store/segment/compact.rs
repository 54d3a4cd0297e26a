//! Giving space back: files in which nothing lives are removed, and what lives in half-dead ones
//! is appended anew first.

use std::sync::Arc;

use super::super::StoreError;
use super::super::disk::SEGMENTS;
use super::super::entry::{Entry, links_of};
use super::super::key::Key;
use super::super::types::{CompactReport, Position};
use super::SegmentStore;
use super::append::Piece;
use super::file::{HEADER, Segment};
use super::frames;
use super::record::Record;
use super::sync::Reserve;
use super::table::Found;
use super::table::Tables;
use crate::block::Block;
use crate::cid::Multihash;

/// What is moved under one lock of the appender, in bytes.
const BATCH: usize = 4 << 20;
const PAGE: usize = 4_096;

impl SegmentStore {
    /// Removes the segments in which no block lives.
    pub(super) fn drop_dead_segments(&self) -> Result<CompactReport, StoreError> {
        self.check_writable()?;
        {
            let mut append = self.append.lock();
            let dead = |id| is_dead(&self.tables.read(), id);
            if append.current_id().is_some_and(dead) {
                append.seal()?;
                self.appended(&append);
            }
        }
        let current = self.append.lock().current_id();
        let dead: Vec<Arc<Segment>> = {
            let tables = self.tables.read();
            let segments = tables.segments.values();
            segments
                .filter(|it| Some(it.id) != current && is_dead(&tables, it.id))
                .cloned()
                .collect()
        };
        self.remove_segments(&dead)
    }

    /// Rewrites what lives in segments with too much dead in them, and removes those.
    pub(super) fn compact_segments(&self, dead_ratio: f64) -> Result<CompactReport, StoreError> {
        self.check_writable()?;
        let wasteful: Vec<u32> = {
            let tables = self.tables.read();
            let wasteful = |segment: &&Arc<Segment>| {
                let size = segment.end().saturating_sub(HEADER.len() as u64);
                let dead = size.saturating_sub(tables.ledger.usage(segment.id).bytes);
                dead > 0 && dead as f64 >= dead_ratio * size as f64
            };
            tables
                .segments
                .values()
                .filter(wasteful)
                .map(|segment| segment.id)
                .collect()
        };
        {
            // Nothing is moved into a segment that is to be emptied.
            let mut append = self.append.lock();
            if append.current_id().is_some_and(|id| wasteful.contains(&id)) {
                append.seal()?;
                self.appended(&append);
            }
        }
        let mut moved_bytes = 0;
        for id in wasteful {
            let segment = self.tables.read().segment(id);
            if let Some(segment) = segment {
                moved_bytes += self.empty(&segment)?;
            }
        }
        let report = self.drop_dead_segments()?;
        Ok(CompactReport {
            moved_bytes,
            ..report
        })
    }

    /// Moves every sound block out of a segment.
    fn empty(&self, segment: &Arc<Segment>) -> Result<u64, StoreError> {
        let mut moved = 0;
        let mut frames: Vec<(u64, Multihash)> = Vec::new();
        let mut on_frame = |at, cid: &crate::cid::Cid| frames.push((at, cid.hash().clone()));
        let followed = frames::follow_unchecked(segment, HEADER.len() as u64, &mut on_frame);
        followed.map_err(|error| self.read_error(segment, error))?;
        for part in frames.chunks(PAGE) {
            let mut live = Vec::new();
            for (offset, hash) in part {
                let position = Position::new(segment.id, *offset as u32);
                let entry = self
                    .lookup(hash)?
                    .filter(|entry| entry.position == position);
                live.extend(entry.map(|entry| (hash.clone(), entry)));
            }
            moved += self.move_blocks(segment, &live)?;
        }
        drop(frames);
        // Damage can hide frames from each other, but not from the index.
        let mut after = None;
        while self.tables.read().ledger.usage(segment.id).blocks > 0 {
            let page = self.list_page(after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            let mut live = Vec::new();
            for (hash, info) in page {
                if info.position.segment == segment.id && !info.quarantined {
                    live.extend(self.lookup(&hash)?.map(|entry| (hash, entry)));
                }
            }
            moved += self.move_blocks(segment, &live)?;
        }
        Ok(moved)
    }

    /// Appends blocks anew. Those that are damaged stay, in quarantine.
    fn move_blocks(
        &self,
        segment: &Arc<Segment>,
        live: &[(Multihash, Entry)],
    ) -> Result<u64, StoreError> {
        let mut moved = 0;
        let mut rest = live;
        while !rest.is_empty() {
            let (mut batch, mut bytes, mut taken) = (Vec::new(), 0, 0);
            for (hash, entry) in rest {
                if bytes >= BATCH {
                    break;
                }
                taken += 1;
                bytes += entry.len() as usize;
                if entry.is_bad() || entry.position.segment != segment.id {
                    continue;
                }
                let read = segment.read(hash, entry);
                match read.map_err(|error| self.read_error(segment, error))? {
                    Some(block) => batch.push((block, *entry)),
                    None => self.quarantine(hash, entry)?,
                }
            }
            rest = &rest[taken..];
            moved += self.move_batch(&batch)?;
        }
        Ok(moved)
    }

    fn move_batch(&self, batch: &[(Block, Entry)]) -> Result<u64, StoreError> {
        let mut append = self.append.lock();
        self.check_writable()?;
        let mut still = Vec::with_capacity(batch.len());
        for (block, entry) in batch {
            if self.lookup(block.cid().hash())? == Some(*entry) {
                still.push((block, entry));
            }
        }
        let piece = |(block, _): &(&Block, &Entry)| block.cid().encoded_len() + block.data().len();
        let pieces: Vec<Piece<'_>> = still
            .iter()
            .map(|(block, _)| Piece {
                cid: block.cid(),
                data: block.data(),
            })
            .collect();
        let bytes = still.iter().map(piece).sum::<usize>() as u64;
        let (positions, appended) = self.append_pieces(&mut append, &pieces);
        let mut tables = self.tables.write();
        for ((block, old), position) in still.into_iter().zip(positions) {
            let hash = block.cid().hash();
            // Deletes do not wait for the appender.
            let lives = match tables.find(&Key::new(hash.clone())) {
                Found::Live(now) => now == *old,
                Found::Gone => false,
                Found::Below(_) => true,
            };
            if lives {
                let (hash, entry) = (hash.clone(), old.at(position));
                // A replay leaves out the put of the frame that was, and the links with it.
                let (_, children) = links_of(block.cid().codec(), block.data());
                tables.change(Record::Move {
                    hash,
                    old: *old,
                    entry,
                    children,
                });
            }
        }
        drop(tables);
        self.appended(&append);
        drop(append);
        appended?;
        self.merge_if_full()?;
        Ok(bytes)
    }

    /// Removes files that nothing refers to, once what says so is durable.
    fn remove_segments(&self, dead: &[Arc<Segment>]) -> Result<CompactReport, StoreError> {
        let mut report = CompactReport::default();
        if dead.is_empty() {
            return Ok(report);
        }
        self.sync_data()?;
        self.journal_pending(Reserve::Spend)?;
        if let Some(journal) = &mut self.journal.lock().current {
            journal.deletes = journal.len;
        }
        self.sync_journal()?;
        for segment in dead {
            let unlinked = self.disk.unlink(&segment.name());
            unlinked.map_err(|error| {
                super::fault::disk_error("remove", &*self.disk, &segment.name(), error)
            })?;
            let mut tables = self.tables.write();
            tables.segments.remove(&segment.id);
            tables.ledger.segments.remove(&segment.id);
            report.segments += 1;
            report.freed_bytes += segment.end();
        }
        self.poison.synced(self.disk.sync_dir(SEGMENTS), SEGMENTS)?;
        Ok(report)
    }
}

/// Whether a segment had blocks, and none is left.
fn is_dead(tables: &Tables, id: u32) -> bool {
    let end = tables.segments.get(&id).map_or(0, |segment| segment.end());
    tables.ledger.usage(id).blocks == 0 && end > HEADER.len() as u64
}
