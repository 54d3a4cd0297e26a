//! The segment store: append-only CAR files, a table in memory, a journal and an index.
//!
//! # Files
//!
//! ```text
//! segments/00000001.car   blocks, as CARv1; the newest is appended to
//! journal-00000001        what changed since the last merge into the index
//! index.redb              where each block lives; absent until the first merge
//! reserve                 space that is given up so that deletes work on a full disk
//! ```
//!
//! Numbers are little-endian unless said otherwise; `varint` is unsigned LEB128, shortest form.
//!
//! **Segment**: 18 bytes of CARv1 header with empty roots, then frames `varint(len of the rest) |
//! CID | data`. Zeros may follow the last frame. Positions are (segment, offset of the frame) and
//! only grow; segment numbers are never used again.
//!
//! **Journal**, header: `"ipfskjnl"`, version u32, sequence number u64, length of the body u32,
//! CRC32C of all that and the body u32, body. Body: position covered by the index (offset u32,
//! segment u32), next segment u32, has an index u8, CRC32C that the journal before ended with u32;
//! blocks, bytes, quarantined u64 each; count u32 and for each segment number u32, blocks u64,
//! bytes u64; count u32 and positions of dead frames not covered. Then batches: length u32, CRC32C
//! of the length and the records, continued from the checksum before; records. A record is an op
//! u8 and: 1 put, 2 dead: entry, multihash, varint count, fingerprints of the children u64 each;
//! 3 move: entry, multihash, old entry, count and children; 4 quarantined: entry, multihash;
//! 5 covered: offset u32, segment u32; 6 index closed: CRC32C of its header page u32.
//!
//! **Entry**, 16 bytes: segment u32, offset u32, CRC32C of the data u32 last; before it a u32 of
//! data length (26 bits), kind of CID (4 bits), leaf, quarantined. A **fingerprint** is the first
//! eight bytes of a digest.
//!
//! **Index**: see [`pages`](super::pages) for the file; redb tables `blocks` (digest, varint hash code, digest
//! length u8, to entry), `edges` (fingerprints of child and parent, big-endian), `meta` (0 to
//! format version and number of the first journal not merged).
//!
//! # What survives which crash
//!
//! | Acknowledged by | Durable because | After a crash |
//! |---|---|---|
//! | `sync` of a put | frames, and the name of a new segment, are synced | told by the journal, or found by scanning from the last position it covers; each scanned frame is checked against its CID |
//! | `delete_many`, `Sweep::finish` | frame was durable, then the journal is synced | replayed; a frame told dead never lives again, whatever the order of records |
//! | a merge | two-phase commit of redb; the journal before is unlinked afterwards | an uncommitted merge is replayed from both journals |
//! | a compaction | moved frames are synced before the file is unlinked | of two copies the newer one counts |
//!
//! What was not acknowledged is there whole or not at all. A torn end of a segment is cut before
//! the next append. A journal batch counts only with its checksum and all before it.
//!
//! A damaged or missing index or journal is rebuilt by scanning all segments. Deletes that only
//! the lost file knew of are undone by that, if the frames were not yet compacted away; nothing
//! that was stored is lost. A segment file that is gone takes its blocks with it.
//!
//! After a failed sync nothing is written any more until the store is opened again.
//!
//! # Locks, in the order they are taken
//!
//! gate (shared; exclusive only to rebuild the index) - index (merges) - append - journal -
//! guards - tables. Readers take only the gate and, for moments, the tables.

mod append;
mod background;
mod compact;
mod delete;
mod fault;
mod file;
mod frames;
mod index;
mod journal;
mod ledger;
mod merge;
mod put;
mod read;
mod rebuild;
mod record;
mod recover;
mod staging;
mod sync;
mod table;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::disk::Disk;
use super::guard::{GuardId, Registry, Scope};
use super::types::{CompactReport, Deletion, Position, PutReport, StoreStats, Victim};
use super::{BlockInfo, Page, SegmentOptions, Store, StoreError};
use crate::block::Block;
use crate::cid::Multihash;

use append::Appender;
use background::Background;
use fault::Poison;
use file::HEADER;
use index::Index;
use sync::{Commits, JournalEnd, Reserve};
use table::Tables;

/// The store. The modules beside this one each add the methods of one concern.
pub(super) struct SegmentStore {
    /// For threads that must not keep the store alive.
    me: Weak<Self>,
    disk: Arc<dyn Disk>,
    options: SegmentOptions,
    poison: Arc<Poison>,
    /// Held exclusively while the index is rebuilt.
    gate: RwLock<()>,
    /// Counts rebuilds, so that those who found the same damage rebuild once.
    rebuilds: AtomicU64,
    index: Mutex<Index>,
    append: Mutex<Appender>,
    journal: Mutex<JournalEnd>,
    registry: Registry,
    tables: RwLock<Tables>,
    commits: Commits,
    /// Where the next frame goes, as a number.
    end: AtomicU64,
    /// While an opening scans: how far, as a number. Then the greatest there is.
    scanned: AtomicU64,
    /// Counts puts and moves that changed the tables.
    puts: AtomicU64,
    background: Background,
    closed: AtomicBool,
}

impl SegmentStore {
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        options: SegmentOptions,
    ) -> Result<Arc<Self>, StoreError> {
        options.check()?;
        let store = Self::recover(disk, options)?;
        store.start_scrub();
        Ok(store)
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            Err(StoreError::Closed)
        } else {
            Ok(())
        }
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        self.check_open()?;
        self.poison.check()
    }

    /// Runs an operation; when it finds the index damaged, rebuilds it and runs it once more.
    fn with_index<T>(
        &self,
        operation: impl Fn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let rebuilds = {
            let _gate = self.gate.read_recursive();
            self.check_open()?;
            let rebuilds = self.rebuilds.load(Ordering::Acquire);
            match operation() {
                Err(StoreError::Index(_)) => rebuilds,
                outcome => return outcome,
            }
        };
        self.rebuild_after(rebuilds)?;
        let _gate = self.gate.read_recursive();
        operation()
    }

    fn close_all(&self) -> Result<(), StoreError> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.background.stop();
        let _gate = self.gate.read_recursive();
        let mut index = self.index.lock();
        let flushed = self.sync_data().and_then(|()| self.append.lock().trim());
        // What is told here only spares the next opening a scan.
        let journaled = flushed.and_then(|()| spared(self.journal_pending(Reserve::Keep)));
        // The index can be closed only when nobody reads it.
        let snapshot = self.tables.write().index.take();
        if let Some(snapshot) = snapshot {
            merge::wait_unused(snapshot);
        }
        if journaled.is_err() {
            index.abandon();
            return journaled;
        }
        if let Some(crc) = index.close()? {
            let clean = [record::Record::Clean { crc }];
            spared(self.append_journal(&mut self.journal.lock(), &clean, Reserve::Keep))?;
        }
        self.sync_journal()
    }
}

/// The outcome of a write that a full disk may refuse without harm: nothing acknowledged needs it.
fn spared(outcome: Result<(), StoreError>) -> Result<(), StoreError> {
    match outcome {
        Err(StoreError::DiskFull { .. }) => Ok(()),
        outcome => outcome,
    }
}

impl Store for SegmentStore {
    fn info(&self, hash: &Multihash) -> Result<Option<BlockInfo>, StoreError> {
        self.with_index(|| Ok(self.lookup(hash)?.map(|entry| entry.info())))
    }

    fn get(&self, hash: &Multihash) -> Result<Option<Bytes>, StoreError> {
        self.with_index(|| Ok(self.read_block(hash)?.map(|block| block.into_parts().1)))
    }

    fn at_hand(&self, hash: &Multihash) -> Option<Bytes> {
        // While the index is made anew everybody else waits for it.
        let _gate = self.gate.try_read_recursive()?;
        self.check_open().ok()?;
        let block = self.block_at_hand(hash).ok().flatten();
        block.map(|block| block.into_parts().1)
    }

    fn check(&self, hash: &Multihash) -> Result<Option<bool>, StoreError> {
        self.with_index(|| self.check_block(hash))
    }

    fn put(&self, blocks: &[Block], guard: Option<GuardId>) -> Result<PutReport, StoreError> {
        self.with_index(|| self.put_blocks(blocks, guard))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.with_index(|| {
            self.sync_data()?;
            self.after_sync()?;
            self.sync_journal()
        })
    }

    fn delete(&self, victims: &[Victim<'_>], scope: Scope) -> Result<Vec<Deletion>, StoreError> {
        self.with_index(|| self.delete_blocks(victims, scope))
    }

    fn sync_deletes(&self) -> Result<(), StoreError> {
        self.with_index(|| self.sync_journal())
    }

    fn drop_dead(&self) -> Result<CompactReport, StoreError> {
        self.with_index(|| self.drop_dead_segments())
    }

    fn compact(&self, dead_ratio: f64) -> Result<CompactReport, StoreError> {
        self.with_index(|| self.compact_segments(dead_ratio))
    }

    fn page(&self, after: Option<&Multihash>, limit: usize) -> Result<Page, StoreError> {
        self.with_index(|| self.list_page(after, limit))
    }

    fn parents(&self, hash: &Multihash) -> Result<Vec<Multihash>, StoreError> {
        self.with_index(|| self.find_parents(hash))
    }

    fn stats(&self) -> StoreStats {
        let (journal, reserve) = self.journal_bytes();
        let tables = self.tables.read();
        let segments = tables.segment_bytes();
        let index = tables.index_bytes;
        let headers = (tables.segments.len() * HEADER.len()) as u64;
        let live = tables.ledger.live_bytes();
        StoreStats {
            blocks: tables.ledger.blocks,
            bytes: tables.ledger.bytes,
            dead_bytes: segments.saturating_sub(headers.wrapping_add(live)),
            disk_bytes: segments + index + journal + reserve,
            segments: tables.segments.len() as u64,
            quarantined: tables.ledger.quarantined,
            capacity: self.options.max_bytes,
        }
    }

    fn position(&self) -> Position {
        Position::from_u64(self.end.load(Ordering::Acquire))
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn close(&self) -> Result<(), StoreError> {
        self.close_all()
    }
}

impl Drop for SegmentStore {
    fn drop(&mut self) {
        // Whoever wants to know calls close; what is not synced was never promised.
        drop(self.close_all());
    }
}
