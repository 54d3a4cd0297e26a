//! Opening a store: the journal is replayed, what it does not cover is found by scanning.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};

use super::super::disk::{Disk, ROOT, SEGMENTS};
use super::super::entry::{Described, Entry};
use super::super::guard::Registry;
use super::super::types::Position;
use super::super::{SegmentOptions, StoreError};
use super::append::Appender;
use super::background::Background;
use super::fault::{Poison, disk_error};
use super::file::{HEADER, Segment, segment_id};
use super::frames::{self, Found};
use super::index::{INDEX, Index, Snapshot};
use super::journal::{Base, FORMAT, Journal, Loaded, Unusable, journal_name, journal_seq};
use super::record::Record;
use super::sync::{Commits, JournalEnd, RESERVE};
use super::table::{DeadSet, Tables};
use super::{SegmentStore, spared};
use crate::block::Block;

/// The files of a store as an opening finds them.
pub(super) struct Files {
    pub(super) journals: Vec<u64>,
    pub(super) segments: BTreeMap<u32, u64>,
    index: Option<u64>,
    reserve: u64,
}

/// What the journals and the index say.
struct Known {
    base: Base,
    /// Of the base and all journals after it.
    records: Vec<Record>,
    dead: DeadSet,
    journal: Option<Journal>,
    /// The journals that are needed.
    kept: Vec<u64>,
    next_seq: u64,
    snapshot: Option<Snapshot>,
    /// They contradict each other, or are damaged: scan everything.
    rebuild: bool,
}

impl SegmentStore {
    pub(super) fn recover(
        disk: Arc<dyn Disk>,
        options: SegmentOptions,
    ) -> Result<Arc<Self>, StoreError> {
        disk.prepare()
            .map_err(|error| disk_error("create", &*disk, ROOT, error))?;
        match disk.lock() {
            Ok(true) => {}
            Ok(false) => {
                return Err(StoreError::Locked {
                    path: disk.path(ROOT),
                });
            }
            Err(error) => return Err(disk_error("lock", &*disk, ROOT, error)),
        }
        let files = Files::list(&*disk)?;
        let mut index = Index::new(Arc::clone(&disk), options.index_cache);
        let known = Known::read(&*disk, &files, &mut index)?;
        let store = Self::assemble(disk, options, &files, index, known)?;
        Ok(store)
    }

    fn assemble(
        disk: Arc<dyn Disk>,
        options: SegmentOptions,
        files: &Files,
        index: Index,
        known: Known,
    ) -> Result<Arc<Self>, StoreError> {
        let poison = Arc::new(Poison::default());
        let mut tables = Tables {
            index: known.snapshot.map(Arc::new),
            index_bytes: files.index.unwrap_or(0),
            ledger: known.base.ledger.clone(),
            segments: files.segments(&disk),
            ..Tables::default()
        };
        let covered = covered_by(&known.base, &known.records);
        tables.replay(&known.records, &known.dead);
        tables
            .ledger
            .segments
            .retain(|id, usage| usage.blocks > 0 || files.segments.contains_key(id));
        let floor = floor(covered, &known.records);
        let newest_dead = known.dead.iter().copied().max().unwrap_or_default();
        let next_id = next_segment(&known.base, files, floor.max(newest_dead));
        let gone = known
            .dead
            .iter()
            .copied()
            .filter(|position| *position >= covered)
            .collect();
        let journal = JournalEnd {
            current: known.journal,
            gone,
            next_seq: known.next_seq,
            covered,
            reserve: files.reserve,
        };
        let appender = Appender::new(Arc::clone(&disk), Arc::clone(&poison), &options, next_id);
        let store = Arc::new_cyclic(|me: &Weak<Self>| Self {
            me: me.clone(),
            disk,
            options,
            poison,
            gate: RwLock::default(),
            rebuilds: AtomicU64::new(0),
            index: Mutex::new(index),
            append: Mutex::new(appender),
            journal: Mutex::new(journal),
            registry: Registry::default(),
            tables: RwLock::new(tables),
            commits: Commits::new(covered),
            end: AtomicU64::new(Position::new(next_id, 0).as_u64()),
            scanned: AtomicU64::new(u64::MAX),
            puts: AtomicU64::new(0),
            background: Background::default(),
            closed: AtomicBool::new(false),
        });
        if known.rebuild {
            store.rebuild(known.dead)?;
        } else {
            store.remove_leftovers(files, &known.kept);
            store.scan_from(covered, floor, &known.dead)?;
        }
        Ok(store)
    }

    /// Takes in every frame from `covered` on that is not known dead, and continues the newest
    /// segment, though never before `floor`: positions that are known must not be used again.
    pub(super) fn scan_from(
        &self,
        covered: Position,
        floor: Position,
        dead: &DeadSet,
    ) -> Result<(), StoreError> {
        let segments: Vec<Arc<Segment>> = {
            let tables = self.tables.read();
            tables
                .segments
                .range(covered.segment..)
                .map(|(_, segment)| Arc::clone(segment))
                .collect()
        };
        self.set_scanned(covered);
        let newest = segments.last().map(|segment| segment.id);
        let mut resume = None;
        for segment in &segments {
            let header = HEADER.len() as u64;
            let known = if segment.id == covered.segment {
                u64::from(covered.offset)
            } else {
                0
            };
            let from = known.max(header);
            let end = self.scan_segment(segment, from, dead)?;
            let floor = if segment.id == floor.segment {
                u64::from(floor.offset)
            } else {
                0
            };
            resume = (segment.written() >= end.max(floor))
                .then_some((segment, end.max(floor)))
                .filter(|_| self.has_header(segment));
            if resume.is_none() && end == from && known == 0 && Some(segment.id) == newest {
                self.discard(segment);
            }
        }
        self.set_scanned(Position::MAX);
        let resume = resume
            .filter(|(_, end)| *end < self.options.segment_size)
            .map(|(segment, end)| {
                segment.set_written(end);
                (segment.id, end)
            });
        let mut append = self.append.lock();
        append.resume(resume);
        self.end
            .store(append.position().as_u64(), Ordering::Release);
        Ok(())
    }

    fn scan_segment(
        &self,
        segment: &Arc<Segment>,
        from: u64,
        dead: &DeadSet,
    ) -> Result<u64, StoreError> {
        let mut unsynced = false;
        let mut take = |found: Vec<Found>| -> Result<(), Scan> {
            if !unsynced {
                self.append.lock().add_unsynced(Arc::clone(segment));
                unsynced = true;
            }
            self.take_in(segment.id, found, dead).map_err(Scan::Store)
        };
        frames::scan(segment, from, &mut take).map_err(|error| match error {
            Scan::Read(error) => self.read_error(segment, error),
            Scan::Store(error) => error,
        })
    }

    /// Puts found frames into the table. Of two frames of a block the newer one counts: it was
    /// written because the older was damaged, or is about to be removed.
    fn take_in(&self, id: u32, found: Vec<Found>, dead: &DeadSet) -> Result<(), StoreError> {
        let mut last = Position::new(id, 0);
        for Found {
            offset,
            end,
            cid,
            data,
        } in found
        {
            let position = Position::new(id, offset as u32);
            last = Position::new(id, end as u32);
            if dead.contains(&position) || cid.hash().is_identity() {
                continue;
            }
            let block = Block::trusted(cid, data);
            let Ok(described) = Described::of(&block) else {
                continue;
            };
            let old = self.lookup(described.key.hash())?;
            let entry = described.entry.at(position);
            let (hash, children) = (described.key.into_hash(), described.children);
            let record = match old {
                Some(old) if old.position >= position => continue,
                Some(old) => Record::Move {
                    hash,
                    old,
                    entry,
                    children,
                },
                None => Record::Put {
                    hash,
                    entry,
                    children,
                },
            };
            self.tables.write().change(record);
        }
        self.set_scanned(last);
        self.puts.fetch_add(1, Ordering::AcqRel);
        let full = self.tables.read().active.len() >= self.options.merge_after;
        if !full {
            return Ok(());
        }
        // A full disk must not keep a store from being opened: the table grows instead.
        spared(self.merge())
    }

    /// Removes what an interrupted merge or creation has left. It is no harm if it stays.
    fn remove_leftovers(&self, files: &Files, kept: &[u64]) {
        let stale = || files.journals.iter().filter(|seq| !kept.contains(seq));
        // The name of what replaces them may not be durable yet.
        if stale().next().is_some() && self.disk.sync_dir(ROOT).is_ok() {
            for seq in stale() {
                drop(self.disk.unlink(&journal_name(*seq)));
            }
        }
        if files.index.is_some() && self.tables.read().index.is_none() {
            drop(self.disk.unlink(INDEX));
            self.tables.write().index_bytes = 0;
        }
    }

    fn has_header(&self, segment: &Segment) -> bool {
        let header = segment.bytes(0, HEADER.len());
        header.is_ok_and(|header| header == HEADER[..])
    }

    /// Removes a file that a crash left before anything was in it. It is no harm if it stays.
    fn discard(&self, segment: &Segment) {
        let mut tables = self.tables.write();
        if tables.ledger.usage(segment.id).blocks == 0 {
            tables.segments.remove(&segment.id);
            drop(self.disk.unlink(&segment.name()));
        }
    }
}

enum Scan {
    Read(std::io::Error),
    Store(StoreError),
}

impl From<std::io::Error> for Scan {
    fn from(error: std::io::Error) -> Self {
        Self::Read(error)
    }
}

impl Files {
    pub(super) fn list(disk: &dyn Disk) -> Result<Self, StoreError> {
        let list = |dir| {
            disk.list(dir)
                .map_err(|error| disk_error("list", disk, dir, error))
        };
        let mut files = Self {
            journals: Vec::new(),
            segments: BTreeMap::new(),
            index: None,
            reserve: 0,
        };
        for (name, len) in list(ROOT)? {
            match name.as_str() {
                INDEX => files.index = Some(len),
                RESERVE => files.reserve = len,
                _ => files.journals.extend(journal_seq(&name)),
            }
        }
        for (name, len) in list(SEGMENTS)? {
            if let Some(id) = segment_id(&name) {
                files.segments.insert(id, len);
            }
        }
        files.journals.sort_unstable();
        Ok(files)
    }

    pub(super) fn segments(&self, disk: &Arc<dyn Disk>) -> BTreeMap<u32, Arc<Segment>> {
        let open = |(&id, &len)| (id, Arc::new(Segment::existing(Arc::clone(disk), id, len)));
        self.segments.iter().map(open).collect()
    }
}

impl Known {
    fn read(disk: &dyn Disk, files: &Files, index: &mut Index) -> Result<Self, StoreError> {
        let mut journals = Vec::new();
        for &seq in &files.journals {
            match Journal::load(disk, seq) {
                Ok(loaded) => journals.push(loaded),
                // A crash while it was created leaves such a one; without it, the others must do.
                Err(Unusable::Damaged) => {}
                Err(Unusable::Newer(found)) => {
                    let path = disk.path(&journal_name(seq));
                    return Err(StoreError::NewerFormat {
                        path,
                        found,
                        supported: FORMAT,
                    });
                }
                Err(Unusable::Io(error)) => {
                    return Err(disk_error("read", disk, &journal_name(seq), error));
                }
            }
        }
        let next_seq = files.journals.last().map_or(1, |seq| seq + 1);
        let mut known = Self {
            base: Base::default(),
            records: Vec::new(),
            dead: DeadSet::default(),
            journal: None,
            kept: Vec::new(),
            next_seq,
            snapshot: None,
            rebuild: journals.is_empty() && !(files.journals.is_empty() && files.index.is_none()),
        };
        for loaded in &journals {
            known.dead.extend(loaded.base.gone.iter().copied());
            known
                .dead
                .extend(loaded.records.iter().filter_map(Record::kills));
        }
        if !known.rebuild {
            known.choose(journals, files, index)?;
        }
        Ok(known)
    }

    /// Finds the journal that goes on from the index, or from nothing, and all that follow it.
    fn choose(
        &mut self,
        mut journals: Vec<Loaded>,
        files: &Files,
        index: &mut Index,
    ) -> Result<(), StoreError> {
        let Some(newest) = journals.last() else {
            return Ok(());
        };
        let mut snapshot = None;
        if newest.base.indexed && files.index.is_some() {
            let clean = newest.records.iter().rev().find_map(|record| match record {
                Record::Clean { crc } => Some(*crc),
                _ => None,
            });
            match index.open(clean) {
                Ok(opened) => snapshot = Some(opened),
                Err(StoreError::Index(_)) => index.abandon(),
                Err(error) => return Err(error),
            }
        }
        let merged = snapshot.as_ref().map(|snapshot| snapshot.journal);
        let fits = |loaded: &Loaded| {
            if loaded.base.indexed {
                merged == Some(loaded.journal.seq)
            } else {
                merged.is_none()
            }
        };
        let Some(first) = journals.iter().rposition(fits) else {
            self.rebuild = true;
            return Ok(());
        };
        let chain = journals.split_off(first);
        let follows = |pair: &[Loaded]| pair[1].base.before == pair[0].journal.chain;
        if !chain.windows(2).all(follows) {
            self.rebuild = true;
            return Ok(());
        }
        if merged.is_none() {
            index.abandon();
        }
        for (number, loaded) in chain.into_iter().enumerate() {
            if number == 0 {
                self.base = loaded.base;
            }
            self.kept.push(loaded.journal.seq);
            self.records.extend(loaded.records);
            self.journal = Some(loaded.journal);
        }
        self.snapshot = snapshot;
        Ok(())
    }
}

fn covered_by(base: &Base, records: &[Record]) -> Position {
    let told = records.iter().filter_map(|record| match record {
        Record::Covered(position) => Some(*position),
        _ => None,
    });
    told.chain([base.covered]).max().unwrap_or_default()
}

/// The end of everything that is known to have been durable.
fn floor(covered: Position, records: &[Record]) -> Position {
    let end = |record: &Record| match record {
        Record::Dead { hash, entry, .. } => Some(frame_end(hash, entry)),
        _ => None,
    };
    records
        .iter()
        .filter_map(end)
        .chain([covered])
        .max()
        .unwrap_or_default()
}

fn frame_end(hash: &crate::cid::Multihash, entry: &Entry) -> Position {
    let Position { segment, offset } = entry.position;
    Position::new(segment, offset.saturating_add(entry.frame_len(hash)))
}

/// A number that no segment had; there were segments up to that of `floor`. A frame in one with the
/// number of a segment that is gone could stand where another frame was told dead.
fn next_segment(base: &Base, files: &Files, floor: Position) -> u32 {
    let newest = files.segments.keys().next_back().copied().unwrap_or(0);
    base.next_segment
        .max(newest + 1)
        .max(floor.segment.saturating_add(u32::from(floor.offset > 0)))
}
