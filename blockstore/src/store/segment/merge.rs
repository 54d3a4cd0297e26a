//! Merging the table into the index: the journal is exchanged, the full layer frozen, and the
//! index changed in one transaction while puts and reads go on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::super::StoreError;
use super::super::types::Position;
use super::SegmentStore;
use super::fault::disk_error;
use super::index::{INDEX, Index, Part, Snapshot};
use super::journal::{Base, Journal, journal_name, journal_seq};
use super::record::Record;
use super::sync::Reserve;
use crate::store::disk::{Open, ROOT};

/// Transactions of one merge.
const PARTS_MAX: u64 = 32;

impl SegmentStore {
    /// Merges when the table is full, in the background if there is one.
    pub(super) fn merge_if_full(&self) -> Result<(), StoreError> {
        let entries = self.tables.read().active.len();
        if entries < self.options.merge_after {
            return Ok(());
        }
        // A table twice as large as wanted makes its writer wait: memory is bounded.
        let urgent = entries >= 2 * self.options.merge_after;
        if self.options.background && !urgent {
            self.merge_in_background();
            return Ok(());
        }
        match self.merge() {
            // What is merged is durable by then: a full disk only makes the table grow.
            Err(StoreError::DiskFull { .. }) if !urgent => Ok(()),
            outcome => outcome,
        }
    }

    /// Merges a full table, or one that an earlier merge could not finish.
    pub(super) fn merge(&self) -> Result<(), StoreError> {
        let mut index = self.index.lock();
        self.check_writable()?;
        let (frozen, active) = {
            let tables = self.tables.read();
            (tables.frozen.is_some(), tables.active.len())
        };
        if !frozen {
            if active < self.options.merge_after {
                return Ok(());
            }
            self.rotate()?;
        }
        if self.tables.read().index.is_none() {
            index.begin()?;
        } else if !index.is_writing() {
            // The first commit may use pages that a reader of the file by itself still reads.
            index.open_writer()?;
            self.exchange_index(index.snapshot()?, false);
        }
        let (layer, seq) = {
            let seq = self
                .journal
                .lock()
                .current
                .as_ref()
                .map_or(0, |journal| journal.seq);
            (self.tables.read().frozen.clone(), seq)
        };
        let Some(layer) = layer else { return Ok(()) };
        // Each transaction changes about as much as the cache of the index holds.
        let part_bytes = self.options.index_cache.max(1) as u64;
        let of = (self.tables.read().index_bytes / part_bytes).clamp(1, PARTS_MAX);
        for part in (0..of).map(|number| Part { number, of }) {
            match index.merge(&layer, part, seq) {
                Ok(snapshot) => {
                    if part.is_last() && index.unnamed {
                        // The journals that go now must not leave a nameless index.
                        self.poison.synced(self.disk.sync_dir(ROOT), ROOT)?;
                        index.unnamed = false;
                    }
                    self.exchange_index(snapshot, part.is_last());
                }
                Err(error) => {
                    // The snapshot that is read belongs to the database that was closed. Without
                    // another one, the next look-up tries again.
                    if self.reopen_index(&mut index).is_err() {
                        self.tables.write().index_failed = true;
                    }
                    return Err(self.merge_failed(error));
                }
            }
        }
        self.remove_journals_before(seq);
        Ok(())
    }

    /// Ends the journal and the table, and begins new ones.
    fn rotate(&self) -> Result<(), StoreError> {
        let (append, commit) = self.sync_locked()?;
        let mut end = self.journal.lock();
        let mut records = self.tables.write().drain_pending(u64::MAX);
        records.push(Record::Covered(commit.position));
        if let Err(error) = self.append_journal(&mut end, &records, Reserve::Keep) {
            records.pop();
            self.tables.write().restore_pending(records);
            return Err(error);
        }
        end.covered = end.covered.max(commit.position);
        let Some(old) = &mut end.current else {
            return Ok(());
        };
        self.poison
            .synced(old.file.sync(), &journal_name(old.seq))?;
        old.synced = old.len;
        let (before, covered) = (old.chain, end.covered);
        end.gone.retain(|position| *position >= covered);
        let base = Base {
            covered,
            next_segment: append.next_id(),
            indexed: true,
            ledger: self.tables.read().ledger.clone(),
            gone: end.gone.clone(),
            before,
        };
        let journal =
            Journal::create(&*self.disk, end.next_seq, &base).map_err(|error| match error {
                Ok(error) => disk_error("create", &*self.disk, &journal_name(end.next_seq), error),
                Err(error) => self.poison.set(&format!("journal: {error}")),
            })?;
        end.next_seq += 1;
        end.current = Some(journal);
        let mut tables = self.tables.write();
        let full = std::mem::take(&mut tables.active);
        tables.frozen = Some(Arc::new(full));
        tables.generation += 1;
        Ok(())
    }

    /// Gives readers another snapshot; `merged` when it holds the frozen layer.
    fn exchange_index(&self, snapshot: Snapshot, merged: bool) {
        let bytes = self
            .disk
            .open(INDEX, Open::Read)
            .and_then(|file| file.len());
        let old = {
            let mut tables = self.tables.write();
            if merged {
                tables.frozen = None;
            }
            tables.generation += 1;
            tables.index_bytes = bytes.unwrap_or(tables.index_bytes);
            tables.index.replace(Arc::new(snapshot))
        };
        if let Some(old) = old {
            wait_unused(old);
        }
    }

    /// Opens the index again after a failure closed it.
    pub(super) fn reopen_index(&self, index: &mut Index) -> Result<(), StoreError> {
        if self.tables.read().index.is_some() {
            index.open_writer()?;
            self.exchange_index(index.snapshot()?, false);
        }
        self.tables.write().index_failed = false;
        Ok(())
    }

    /// A failed sync of the index leaves it in doubt like any other file.
    fn merge_failed(&self, error: StoreError) -> StoreError {
        match &error {
            StoreError::Io { .. } => self.poison.set(&error.to_string()),
            _ => error,
        }
    }

    /// Removes journals that the index has. One that stays behind is removed by the next opening.
    pub(super) fn remove_journals_before(&self, seq: u64) {
        for (name, _) in self.disk.list(ROOT).unwrap_or_default() {
            if journal_seq(&name).is_some_and(|old| old < seq) {
                drop(self.disk.unlink(&name));
            }
        }
    }

    /// Where an opening has scanned to.
    pub(super) fn set_scanned(&self, position: Position) {
        self.scanned.store(position.as_u64(), Ordering::Release);
    }
}

/// Waits until no reader has the snapshot, which is soon: they hold it for one look-up.
pub(super) fn wait_unused(mut snapshot: Arc<Snapshot>) {
    loop {
        match Arc::try_unwrap(snapshot) {
            Ok(snapshot) => return drop(snapshot),
            Err(used) => snapshot = used,
        }
        thread::sleep(Duration::from_micros(20));
    }
}
