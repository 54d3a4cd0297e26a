//! A filesystem in memory for tests: it records every operation, builds what a crash at any of
//! them could leave, fills up, and fails on command.
//!
//! The crash model is harsher than real filesystems. What was not synced may be lost or kept,
//! each operation by itself and in any combination; a write may be torn at 512-byte sectors; a
//! file's contents may survive without its name and a name without the contents. After a failed
//! sync no later sync of that file makes the earlier writes durable.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Disk, File, Open, ROOT, SEGMENTS};

/// What a device writes at once, in bytes.
const SECTOR: usize = 512;

/// The files of a disk: names and contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Contents by name.
    pub files: BTreeMap<String, Arc<Vec<u8>>>,
}

/// One recorded operation. Files are known by number; number and name are two things.
#[derive(Debug, Clone)]
pub enum Op {
    /// A name came to be.
    Create {
        /// The name.
        name: String,
        /// The file.
        file: usize,
    },
    /// A name went.
    Unlink {
        /// The name.
        name: String,
    },
    /// Bytes were written.
    Write {
        /// The file.
        file: usize,
        /// Where, in bytes.
        offset: u64,
        /// What.
        data: Bytes,
    },
    /// The file was cut or grown.
    SetLen {
        /// The file.
        file: usize,
        /// Its new length, in bytes.
        len: u64,
    },
    /// Everything written to the file before is durable.
    Sync {
        /// The file.
        file: usize,
    },
    /// Nothing written to the file before will ever be known to be durable.
    SyncFailed {
        /// The file.
        file: usize,
    },
    /// The names in the directory are durable.
    SyncDir {
        /// The directory.
        dir: String,
    },
}

/// What becomes of an unsynced operation in a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survives {
    /// All of it.
    Whole,
    /// Nothing.
    Lost,
    /// Of a write, the sectors whose bit is set (sector number modulo 64); of others, all.
    Torn(u64),
}

/// When operations begin to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The operations of this kind that still succeed.
    pub after: u64,
    /// What fails.
    pub kind: FaultKind,
    /// Whether everything of this kind after the first failure fails too.
    pub lasting: bool,
}

/// What fails, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Writes, growth and new files: no space is left. Half of the failing write is done.
    Full,
    /// Writes, cuts and changes of names: input/output error. Half of the failing write is done.
    Write,
    /// Syncs: input/output error.
    Sync,
    /// Reads: input/output error.
    Read,
}

/// The disk.
#[derive(Clone)]
pub struct Recorded {
    state: Arc<Mutex<State>>,
    alignment: usize,
}

struct State {
    base: Image,
    ops: Vec<Op>,
    names: BTreeMap<String, usize>,
    files: Vec<Arc<Vec<u8>>>,
    fault: Option<Fault>,
    capacity: Option<u64>,
    recording: bool,
}

impl Recorded {
    /// A disk with the files of `image`, all durable.
    #[must_use]
    pub fn new(image: Image) -> Self {
        let names = image.files.keys().cloned().zip(0..).collect();
        let files = image.files.values().cloned().collect();
        let state = State {
            base: image,
            ops: Vec::new(),
            names,
            files,
            fault: None,
            capacity: None,
            recording: true,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            alignment: 1,
        }
    }

    /// Segments are written in multiples of `alignment` bytes, as past a page cache.
    #[must_use]
    pub const fn with_alignment(mut self, alignment: usize) -> Self {
        self.alignment = alignment;
        self
    }

    /// Keeps no record, for long runs.
    #[must_use]
    pub fn without_record(self) -> Self {
        self.state.lock().recording = false;
        self
    }

    /// How many operations are recorded.
    #[must_use]
    pub fn ops(&self) -> usize {
        self.state.lock().ops.len()
    }

    /// The record so far.
    #[must_use]
    pub fn record(&self) -> Record {
        let state = self.state.lock();
        Record {
            base: state.base.clone(),
            ops: state.ops.clone(),
        }
    }

    /// The files as they are now: what a killed process leaves.
    #[must_use]
    pub fn image(&self) -> Image {
        let state = self.state.lock();
        let files = state.names.iter();
        Image {
            files: files
                .map(|(name, &at)| (name.clone(), state.files[at].clone()))
                .collect(),
        }
    }

    /// Makes operations fail from now on; `None` heals the disk.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.state.lock().fault = fault;
    }

    /// How many bytes all files together may have.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.state.lock().capacity = capacity;
    }

    /// The bytes that all files have.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state.lock().used()
    }

    /// Changes one byte of a file, as a failing device does. False when there is no such byte.
    pub fn flip(&self, name: &str, offset: usize, mask: u8) -> bool {
        let mut state = self.state.lock();
        let Some(&file) = state.names.get(name) else {
            return false;
        };
        match Arc::make_mut(&mut state.files[file]).get_mut(offset) {
            Some(byte) => *byte ^= mask,
            None => return false,
        }
        true
    }
}

/// What happened on a disk.
#[derive(Debug, Clone)]
pub struct Record {
    base: Image,
    ops: Vec<Op>,
}

impl Record {
    /// How many operations there are: a crash can be before each and after the last.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The operations.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The operations before `at` that a crash at `at` may lose.
    #[must_use]
    pub fn pending(&self, at: usize) -> Vec<usize> {
        let mut files: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut dirs: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut doubtful = Vec::new();
        for (number, op) in self.ops[..at].iter().enumerate() {
            match op {
                Op::Create { name, .. } | Op::Unlink { name } => {
                    dirs.entry(dir_of(name)).or_default().push(number);
                }
                Op::Write { file, .. } | Op::SetLen { file, .. } => {
                    files.entry(*file).or_default().push(number);
                }
                Op::Sync { file } => drop(files.remove(file)),
                Op::SyncFailed { file } => doubtful.extend(files.remove(file).unwrap_or_default()),
                Op::SyncDir { dir } => drop(dirs.remove(dir.as_str())),
            }
        }
        let left = files.into_values().chain(dirs.into_values()).flatten();
        let mut pending: Vec<usize> = left.chain(doubtful).collect();
        pending.sort_unstable();
        pending
    }

    /// What a crash just before operation `at` leaves, when `fate` decides for each of the
    /// operations `pending` (of [`Record::pending`]).
    #[must_use]
    pub fn crash(
        &self,
        at: usize,
        pending: &[usize],
        mut fate: impl FnMut(usize) -> Survives,
    ) -> Image {
        let mut names: BTreeMap<&str, usize> = self
            .base
            .files
            .keys()
            .map(String::as_str)
            .zip(0..)
            .collect();
        let mut files: Vec<Arc<Vec<u8>>> = self.base.files.values().cloned().collect();
        let mut next_pending = pending.iter().peekable();
        for (number, op) in self.ops[..at].iter().enumerate() {
            let doubtful = next_pending.next_if_eq(&&number).is_some();
            let survives = if doubtful {
                fate(number)
            } else {
                Survives::Whole
            };
            if let Op::Create { file, .. } = op {
                files.resize_with(files.len().max(file + 1), Arc::default);
            }
            if survives == Survives::Lost {
                continue;
            }
            match op {
                Op::Create { name, file } => drop(names.insert(name, *file)),
                Op::Unlink { name } => drop(names.remove(name.as_str())),
                Op::Write { file, offset, data } => {
                    let mask = if let Survives::Torn(mask) = survives {
                        mask
                    } else {
                        u64::MAX
                    };
                    write_sectors(
                        Arc::make_mut(&mut files[*file]),
                        *offset as usize,
                        data,
                        mask,
                    );
                }
                Op::SetLen { file, len } => {
                    Arc::make_mut(&mut files[*file]).resize(*len as usize, 0)
                }
                Op::Sync { .. } | Op::SyncFailed { .. } | Op::SyncDir { .. } => {}
            }
        }
        let named = names
            .into_iter()
            .map(|(name, file)| (name.to_owned(), files[file].clone()));
        Image {
            files: named.collect(),
        }
    }
}

impl State {
    fn used(&self) -> u64 {
        self.names
            .values()
            .map(|&file| self.files[file].len() as u64)
            .sum()
    }

    /// Counts an operation down; an error when it is to fail.
    fn attempt(&mut self, kinds: &[FaultKind]) -> io::Result<()> {
        let Some(fault) = self
            .fault
            .as_mut()
            .filter(|fault| kinds.contains(&fault.kind))
        else {
            return Ok(());
        };
        if fault.after > 0 {
            fault.after -= 1;
            return Ok(());
        }
        let error = match fault.kind {
            FaultKind::Full => io::ErrorKind::StorageFull.into(),
            _ => io::Error::other("injected input/output error"),
        };
        if !fault.lasting {
            self.fault = None;
        }
        Err(error)
    }

    fn has_room(&self, file: usize, end: u64) -> io::Result<()> {
        let grows = end.saturating_sub(self.files[file].len() as u64);
        match self.capacity {
            Some(capacity) if grows > 0 && self.used() + grows > capacity => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn record(&mut self, op: Op) {
        if self.recording {
            self.ops.push(op);
        }
    }

    fn write(&mut self, file: usize, offset: u64, data: Bytes) {
        write_sectors(
            Arc::make_mut(&mut self.files[file]),
            offset as usize,
            &data,
            u64::MAX,
        );
        self.record(Op::Write { file, offset, data });
    }

    fn set_len(&mut self, file: usize, len: u64) {
        Arc::make_mut(&mut self.files[file]).resize(len as usize, 0);
        self.record(Op::SetLen { file, len });
    }
}

impl Disk for Recorded {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("recorded").join(name)
    }

    fn prepare(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<(String, u64)>> {
        let mut state = self.state.lock();
        state.attempt(&[FaultKind::Read])?;
        let names = state.names.iter().filter(|(name, _)| dir_of(name) == dir);
        let short = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        Ok(names
            .map(|(name, &file)| (short(name), state.files[file].len() as u64))
            .collect())
    }

    fn open(&self, name: &str, how: Open) -> io::Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        let file = match state.names.get(name) {
            Some(_) if how.creates() => return Err(io::ErrorKind::AlreadyExists.into()),
            Some(&file) => file,
            None if !how.creates() => return Err(io::ErrorKind::NotFound.into()),
            None => {
                state.attempt(&[FaultKind::Full, FaultKind::Write])?;
                let file = state.files.len();
                state.files.push(Arc::default());
                state.names.insert(name.to_owned(), file);
                state.record(Op::Create {
                    name: name.to_owned(),
                    file,
                });
                file
            }
        };
        let alignment = how.capacity().map_or(1, |_| self.alignment);
        Ok(Arc::new(Handle {
            state: Arc::clone(&self.state),
            file,
            alignment,
        }))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.attempt(&[FaultKind::Write])?;
        state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.record(Op::Unlink {
            name: name.to_owned(),
        });
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.attempt(&[FaultKind::Sync])?;
        state.record(Op::SyncDir {
            dir: dir.to_owned(),
        });
        Ok(())
    }
}

struct Handle {
    state: Arc<Mutex<State>>,
    file: usize,
    alignment: usize,
}

impl File for Handle {
    fn alignment(&self) -> usize {
        self.alignment
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().files[self.file].len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        state.attempt(&[FaultKind::Read])?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = state.files[self.file].get(from..from.saturating_add(out.len()));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn slice(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut out = vec![0; len];
        self.read_at(offset, &mut out)?;
        Ok(out.into())
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let mut data = Vec::new();
        parts.iter().for_each(|part| data.extend_from_slice(part));
        assert!(
            offset.is_multiple_of(self.alignment as u64),
            "unaligned offset"
        );
        assert!(
            data.len().is_multiple_of(self.alignment),
            "unaligned length"
        );
        let mut state = self.state.lock();
        let end = offset + data.len() as u64;
        let attempt = state.attempt(&[FaultKind::Full, FaultKind::Write]);
        if let Err(error) = attempt.and_then(|()| state.has_room(self.file, end)) {
            let half = data.len() / 2 / self.alignment * self.alignment;
            if half > 0 && state.has_room(self.file, offset + half as u64).is_ok() {
                state.write(self.file, offset, Bytes::copy_from_slice(&data[..half]));
            }
            return Err(error);
        }
        state.write(self.file, offset, data.into());
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.attempt(&[FaultKind::Write])?;
        state.has_room(self.file, len)?;
        state.set_len(self.file, len);
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.attempt(&[FaultKind::Full, FaultKind::Write])?;
        state.has_room(self.file, len)?;
        if len > state.files[self.file].len() as u64 {
            state.set_len(self.file, len);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let attempt = state.attempt(&[FaultKind::Sync]);
        let file = self.file;
        state.record(if attempt.is_ok() {
            Op::Sync { file }
        } else {
            Op::SyncFailed { file }
        });
        attempt
    }
}

fn dir_of(name: &str) -> &str {
    if name.starts_with(SEGMENTS) {
        SEGMENTS
    } else {
        ROOT
    }
}

/// Writes the sectors of `data` whose bit in `mask` is set.
fn write_sectors(file: &mut Vec<u8>, offset: usize, data: &[u8], mask: u64) {
    if mask == u64::MAX {
        file.resize(file.len().max(offset + data.len()), 0);
        file[offset..offset + data.len()].copy_from_slice(data);
        return;
    }
    let mut at = 0;
    while at < data.len() {
        let sector = (offset + at) / SECTOR;
        let end = ((sector + 1) * SECTOR - offset).min(data.len());
        if mask >> (sector % 64) & 1 == 1 {
            file.resize(file.len().max(offset + end), 0);
            file[offset + at..offset + end].copy_from_slice(&data[at..end]);
        }
        at = end;
    }
}
