//! Making things durable: one sync of the segments for everybody who waits, and of the journal.

use std::io;
use std::sync::atomic::Ordering;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::super::StoreError;
use super::super::disk::{Open, SEGMENTS};
use super::super::types::Position;
use super::append::{Appender, Unsynced};
use super::fault::disk_error;
use super::journal::{Base, Journal, journal_name};
use super::record::Record;
use super::{SegmentStore, spared};

/// Changes that wait for the journal before a sync writes them there, at most.
const PENDING_MAX: usize = 8_192;
/// Bytes of segments that an opening after a crash may have to scan, about.
const SCAN_MAX: u64 = 256 << 20;
/// The file that is given up when deletes find the disk full.
pub(super) const RESERVE: &str = "reserve";
/// The reserve of a store that is still small.
const RESERVE_SMALL: u64 = 64 << 10;

/// Group commit: the first who needs the segments synced does it for all who came by then.
#[derive(Default)]
pub(super) struct Commits {
    state: Mutex<Commit>,
    done: Condvar,
}

/// What is durable in the segments.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Commit {
    running: bool,
    /// Puts before this one.
    puts: u64,
    /// Changes before this one are of durable frames.
    changes: u64,
    /// Frames before this position.
    pub(super) position: Position,
}

/// Whether a write to the journal may use up the reserve when the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reserve {
    /// It is for puts, which may fail.
    Keep,
    /// It is for deletes, which give space back.
    Spend,
}

/// The end of the journal, and what it needs to begin.
pub(super) struct JournalEnd {
    /// None until something is to be written.
    pub(super) current: Option<Journal>,
    /// Dead frames at or after `covered` that no scan may take in.
    pub(super) gone: Vec<Position>,
    pub(super) next_seq: u64,
    /// What the last batch said is covered.
    pub(super) covered: Position,
    /// The length of the reserve file.
    pub(super) reserve: u64,
}

impl Commits {
    /// What was durable when the store was opened.
    pub(super) fn new(position: Position) -> Self {
        let state = Commit {
            position,
            ..Commit::default()
        };
        Self {
            state: Mutex::new(state),
            done: Condvar::new(),
        }
    }

    pub(super) fn durable(&self) -> Position {
        self.state.lock().position
    }
}

impl SegmentStore {
    /// Makes every put until now durable.
    pub(super) fn sync_data(&self) -> Result<(), StoreError> {
        let target = self.puts.load(Ordering::Acquire);
        let mut state = self.commits.state.lock();
        loop {
            if state.puts >= target {
                return Ok(());
            }
            self.poison.check()?;
            if !state.running {
                break;
            }
            self.commits.done.wait(&mut state);
        }
        state.running = true;
        drop(state);
        let outcome = self
            .flush(&mut self.append.lock())
            .and_then(|flushed| self.commit(flushed));
        self.end_commit(outcome.as_ref().ok().copied());
        outcome.map(drop)
    }

    /// Makes everything durable while the appender stays locked, so that nothing is added.
    pub(super) fn sync_locked(&self) -> Result<(MutexGuard<'_, Appender>, Commit), StoreError> {
        let mut state = self.commits.state.lock();
        while state.running {
            self.commits.done.wait(&mut state);
        }
        state.running = true;
        drop(state);
        let mut append = self.append.lock();
        let outcome = self
            .flush(&mut append)
            .and_then(|flushed| self.commit(flushed));
        self.end_commit(outcome.as_ref().ok().copied());
        outcome.map(|commit| (append, commit))
    }

    fn end_commit(&self, commit: Option<Commit>) {
        let mut state = self.commits.state.lock();
        state.running = false;
        if let Some(commit) = commit {
            *state = commit;
        }
        self.commits.done.notify_all();
    }

    fn flush(&self, append: &mut Appender) -> Result<(Unsynced, Commit), StoreError> {
        self.poison.check()?;
        let unsynced = append.flush()?;
        let scanned = Position::from_u64(self.scanned.load(Ordering::Acquire));
        let commit = Commit {
            running: false,
            puts: self.puts.load(Ordering::Acquire),
            changes: self.tables.read().next_change(),
            position: append.position().min(scanned),
        };
        Ok((unsynced, commit))
    }

    fn commit(&self, (unsynced, commit): (Unsynced, Commit)) -> Result<Commit, StoreError> {
        for segment in &unsynced.segments {
            let synced = segment.file().and_then(|file| file.sync());
            self.poison.synced(synced, &segment.name())?;
        }
        if unsynced.unnamed {
            self.poison.synced(self.disk.sync_dir(SEGMENTS), SEGMENTS)?;
        }
        Ok(commit)
    }

    /// What follows a sync now and then: the journal is told, the reserve kept.
    pub(super) fn after_sync(&self) -> Result<(), StoreError> {
        let pending = self.tables.read().pending.len();
        let (covered, reserve) = {
            let journal = self.journal.lock();
            (journal.covered, journal.reserve)
        };
        let end = self.commits.durable();
        let unscanned = if covered.segment == end.segment {
            u64::from(end.offset.saturating_sub(covered.offset))
        } else {
            SCAN_MAX
        };
        if pending >= PENDING_MAX || (unscanned >= SCAN_MAX && pending > 0) {
            // The journal only spares the next opening a scan: a full disk may have it later.
            spared(self.journal_pending(Reserve::Keep))?;
        }
        if reserve < self.reserve_wanted() {
            self.refill_reserve();
        }
        Ok(())
    }

    /// Writes to the journal what is durable and not told yet.
    pub(super) fn journal_pending(&self, reserve: Reserve) -> Result<(), StoreError> {
        let mut journal = self.journal.lock();
        let commit = *self.commits.state.lock();
        let mut records = self.tables.write().drain_pending(commit.changes);
        if records.is_empty() && commit.position <= journal.covered {
            return Ok(());
        }
        records.push(Record::Covered(commit.position));
        if let Err(error) = self.append_journal(&mut journal, &records, reserve) {
            records.pop();
            self.tables.write().restore_pending(records);
            return Err(error);
        }
        journal.covered = journal.covered.max(commit.position);
        Ok(())
    }

    /// Makes the journal durable to its end.
    pub(super) fn sync_journal(&self) -> Result<(), StoreError> {
        let (file, len, seq) = match &self.journal.lock().current {
            Some(journal) if journal.synced < journal.deletes => {
                (journal.file.clone(), journal.len, journal.seq)
            }
            _ => return Ok(()),
        };
        // Not under the lock: puts may have to write there. Whoever comes meanwhile syncs again.
        self.poison.synced(file.sync(), &journal_name(seq))?;
        if let Some(journal) = &mut self.journal.lock().current
            && journal.seq == seq
        {
            journal.synced = journal.synced.max(len);
        }
        Ok(())
    }

    /// Appends a batch, creating the journal when it is the first.
    pub(super) fn append_journal(
        &self,
        end: &mut JournalEnd,
        records: &[Record],
        reserve: Reserve,
    ) -> Result<(), StoreError> {
        self.poison.check()?;
        loop {
            let error = match self.try_append(end, records) {
                Ok(()) => return Ok(()),
                Err(Ok(error)) => error,
                Err(Err(error)) => return Err(self.poison.set(&format!("journal: {error}"))),
            };
            let full = error.kind() == io::ErrorKind::StorageFull;
            if !(full && reserve == Reserve::Spend && self.spend_reserve(end)) {
                let name = journal_name(end.next_seq.saturating_sub(1));
                return Err(disk_error("write", &*self.disk, &name, error));
            }
        }
    }

    /// Errors as of [`Journal::append`].
    fn try_append(
        &self,
        end: &mut JournalEnd,
        records: &[Record],
    ) -> Result<(), Result<io::Error, io::Error>> {
        let journal = match &mut end.current {
            Some(journal) => journal,
            None => {
                let base = Base {
                    gone: end.gone.clone(),
                    ..Base::default()
                };
                let journal = Journal::create(&*self.disk, end.next_seq, &base)?;
                end.next_seq += 1;
                end.current.insert(journal)
            }
        };
        journal.append(records)?;
        if records
            .iter()
            .any(|record| matches!(record, Record::Dead { .. }))
        {
            journal.deletes = journal.len;
        }
        Ok(())
    }

    /// Bytes of the journal and of the reserve.
    pub(super) fn journal_bytes(&self) -> (u64, u64) {
        let end = self.journal.lock();
        (
            end.current.as_ref().map_or(0, |journal| journal.len),
            end.reserve,
        )
    }

    fn reserve_wanted(&self) -> u64 {
        let large = self.tables.read().segment_bytes() >= self.options.reserve * 64;
        if large {
            self.options.reserve
        } else {
            self.options.reserve.min(RESERVE_SMALL)
        }
    }

    fn refill_reserve(&self) {
        let wanted = self.reserve_wanted();
        let mut end = self.journal.lock();
        let file = self
            .disk
            .open(RESERVE, Open::Write)
            .or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => self.disk.open(RESERVE, Open::Create),
                _ => Err(error),
            });
        // Without space for it, a later sync tries again.
        if file.and_then(|file| file.allocate(wanted)).is_ok() {
            end.reserve = wanted;
        }
    }

    /// Gives the reserve up; false when there is none.
    fn spend_reserve(&self, end: &mut JournalEnd) -> bool {
        if end.reserve == 0 {
            return false;
        }
        end.reserve = 0;
        let file = self.disk.open(RESERVE, Open::Write);
        file.and_then(|file| file.set_len(0)).is_ok()
    }
}
