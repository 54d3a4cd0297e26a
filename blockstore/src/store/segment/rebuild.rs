//! Rebuilding the index from the segments, when it or the journal is damaged.

use std::sync::atomic::Ordering;

use super::super::StoreError;
use super::super::disk::ROOT;
use super::super::types::Position;
use super::SegmentStore;
use super::fault::disk_error;
use super::index::INDEX;
use super::journal::{Base, Journal, journal_name};
use super::ledger::Ledger;
use super::merge::wait_unused;
use super::record::Record;
use super::recover::Files;
use super::table::{DeadSet, Layer};

impl SegmentStore {
    /// Rebuilds, unless somebody has since the caller counted.
    pub(super) fn rebuild_after(&self, rebuilds: u64) -> Result<(), StoreError> {
        let _gate = self.gate.write();
        if self.rebuilds.load(Ordering::Acquire) != rebuilds {
            return Ok(());
        }
        self.check_open()?;
        if self.tables.read().index_failed {
            match self.reopen_index(&mut self.index.lock()) {
                Err(StoreError::Index(_)) => {}
                reopened => return reopened,
            }
        }
        self.poison.check()?;
        // Everything is written, so that the scan finds it; deletes are in the journal.
        self.sync_data()?;
        {
            let mut append = self.append.lock();
            append.seal()?;
            self.appended(&append);
        }
        let dead = self.journaled_deaths()?;
        self.rebuild(dead)
    }

    /// Begins anew with the segments alone. `dead` are the frames known to be dead.
    pub(super) fn rebuild(&self, dead: DeadSet) -> Result<(), StoreError> {
        self.rebuilds.fetch_add(1, Ordering::AcqRel);
        let files = Files::list(&*self.disk)?;
        let mut index = self.index.lock();
        let snapshot = {
            let mut tables = self.tables.write();
            tables.active = Layer::default();
            tables.frozen = None;
            tables.ledger = Ledger::default();
            tables.drain_pending(u64::MAX);
            tables.index_bytes = 0;
            tables.index_failed = false;
            tables.generation += 1;
            tables.segments = files.segments(&self.disk);
            tables.index.take()
        };
        if let Some(snapshot) = snapshot {
            wait_unused(snapshot);
        }
        index.abandon();
        let newest = dead.iter().copied().max();
        let floor = newest.map_or(Position::MIN, |it| {
            Position::new(it.segment, it.offset.saturating_add(1))
        });
        {
            let mut end = self.journal.lock();
            let mut gone: Vec<Position> = dead.iter().copied().collect();
            gone.sort_unstable();
            let next_segment = self.append.lock().next_id();
            let base = Base {
                next_segment,
                gone: gone.clone(),
                ..Base::default()
            };
            let journal =
                Journal::create(&*self.disk, end.next_seq, &base).map_err(|e| match e {
                    Ok(error) => {
                        disk_error("create", &*self.disk, &journal_name(end.next_seq), error)
                    }
                    Err(error) => self.poison.set(&format!("journal: {error}")),
                })?;
            end.next_seq += 1;
            end.covered = Position::MIN;
            end.gone = gone;
            end.current = Some(journal);
        }
        // From here on the new journal is what an opening goes by: it has no index.
        match self.disk.unlink(INDEX) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(disk_error("remove", &*self.disk, INDEX, error));
            }
            _ => {}
        }
        self.poison.synced(self.disk.sync_dir(ROOT), ROOT)?;
        let seq = self.journal.lock().next_seq - 1;
        self.remove_journals_before(seq);
        drop(index);
        self.scan_from(Position::MIN, floor, &dead)
    }

    fn journaled_deaths(&self) -> Result<DeadSet, StoreError> {
        let end = self.journal.lock();
        let mut dead: DeadSet = end.gone.iter().copied().collect();
        for seq in Files::list(&*self.disk)?.journals {
            if let Ok(loaded) = Journal::load(&*self.disk, seq) {
                dead.extend(loaded.base.gone);
                dead.extend(loaded.records.iter().filter_map(Record::kills));
            }
        }
        Ok(dead)
    }
}
