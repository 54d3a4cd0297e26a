//! The index: where each block lives, in a redb file that can always be rebuilt.
//!
//! It is changed only by merges, each one transaction. Readers use snapshots. The file is opened
//! for reading until the first merge of a process, because opening it for writing writes.

use std::io;
use std::ops::Bound;
use std::sync::Arc;

use redb::{
    Builder, Database, ReadOnlyDatabase, ReadOnlyTable, ReadTransaction, ReadableDatabase,
    ReadableTable, TableDefinition,
};

use super::super::StoreError;
use super::super::disk::{Disk, Open};
use super::super::entry::Entry;
use super::super::key::{Key, key_bytes, parse_key};
use super::super::pages::Pages;
use super::fault::disk_error;
use super::journal::FORMAT;
use super::table::{Layer, Slot};
use crate::cid::Multihash;

/// The name of the file.
pub(super) const INDEX: &str = "index.redb";

/// Key bytes to [`Entry`].
const BLOCKS: TableDefinition<'_, &[u8], [u8; Entry::BYTES]> = TableDefinition::new("blocks");
/// Child and parent fingerprint, big-endian.
const EDGES: TableDefinition<'_, [u8; 16], ()> = TableDefinition::new("edges");
/// [`META_KEY`] to format version and the number of the journal that goes on from here.
const META: TableDefinition<'_, u8, (u32, u64)> = TableDefinition::new("meta");
const META_KEY: u8 = 0;

/// The index file.
pub(super) struct Index {
    disk: Arc<dyn Disk>,
    cache: usize,
    writer: Option<Database>,
    /// The file was created, and its name is not durable yet.
    pub(super) unnamed: bool,
}

/// The index as it was at some commit.
pub(super) struct Snapshot {
    blocks: ReadOnlyTable<&'static [u8], [u8; Entry::BYTES]>,
    edges: ReadOnlyTable<[u8; 16], ()>,
    /// The first journal that is not merged.
    pub(super) journal: u64,
    /// Ends the read before the database goes.
    _read: ReadTransaction,
    _database: Option<ReadOnlyDatabase>,
}

impl Index {
    pub(super) fn new(disk: Arc<dyn Disk>, cache: usize) -> Self {
        Self {
            disk,
            cache,
            writer: None,
            unnamed: false,
        }
    }

    /// Whether it was opened for writing.
    pub(super) fn is_writing(&self) -> bool {
        self.writer.is_some()
    }

    /// Opens the file and reads it as it is. `clean` is the checksum of its header, when it was
    /// closed properly.
    ///
    /// # Errors
    /// [`StoreError::Index`] when it is damaged or missing, [`StoreError::NewerFormat`].
    pub(super) fn open(&mut self, clean: Option<u32>) -> Result<Snapshot, StoreError> {
        let file = match self.disk.open(INDEX, Open::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("missing"));
            }
            file => file.map_err(|error| disk_error("open", &*self.disk, INDEX, error))?,
        };
        if let Some(clean) = clean {
            match Pages::header_crc(&*file) {
                Ok(found) if found == clean => {}
                _ => return Err(damaged("checksum of the header")),
            }
        }
        let disk = Arc::clone(&self.disk);
        let builder = self.builder();
        let opened = guarded(&*disk, || {
            Ok(builder.open_read_only_with_backend(Pages::new(file))?)
        });
        match opened {
            Ok(database) => {
                let snapshot = guarded(&*disk, || Snapshot::new(database.begin_read()?))?;
                Ok(Snapshot {
                    _database: Some(database),
                    ..snapshot
                })
            }
            // It was not closed properly: only a writer may repair it.
            Err(_) if clean.is_none() => {
                self.open_writer()?;
                self.snapshot()
            }
            Err(error) => Err(error),
        }
    }

    /// Begins an empty index. A file that is there was left by a merge that a crash interrupted.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], [`StoreError::Io`].
    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        self.writer = None;
        match self.disk.unlink(INDEX) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(disk_error("remove", &*self.disk, INDEX, error))
            }
            _ => self.open_writer(),
        }
    }

    /// Opens the file for writing, or creates it. No snapshot of a reader may be in use.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::DiskFull`], [`StoreError::Io`].
    pub(super) fn open_writer(&mut self) -> Result<(), StoreError> {
        if self.writer.is_some() {
            return Ok(());
        }
        let file = match self.disk.open(INDEX, Open::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.unnamed = true;
                self.disk.open(INDEX, Open::Create)
            }
            file => file,
        };
        let file = file.map_err(|error| disk_error("open", &*self.disk, INDEX, error))?;
        let builder = self.builder();
        let database = guarded(&*self.disk, || {
            Ok(builder.create_with_backend(Pages::new(file))?)
        })?;
        self.writer = Some(database);
        Ok(())
    }

    /// The last commit.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::Io`].
    pub(super) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let Some(database) = &self.writer else {
            return Err(damaged("not open"));
        };
        guarded(&*self.disk, || Snapshot::new(database.begin_read()?))
    }

    /// Merges a part of a layer. With the last part comes `journal`, the first journal that is
    /// not merged then. Parts merged before a crash are merged again, to the same effect.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::DiskFull`], [`StoreError::Io`]: the part is not merged,
    /// and the file is closed.
    pub(super) fn merge(
        &mut self,
        layer: &Layer,
        part: Part,
        journal: u64,
    ) -> Result<Snapshot, StoreError> {
        self.open_writer()?;
        let merged = match &self.writer {
            Some(database) => guarded(&*self.disk, || merge(database, layer, part, journal)),
            None => Err(damaged("not open")),
        };
        // After a failed commit redb wants to be opened anew.
        merged
            .and_then(|()| self.snapshot())
            .inspect_err(|_| self.writer = None)
    }

    /// Closes the file, if it was opened for writing: the checksum of its header.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::Io`]: it will be repaired when it is opened next.
    pub(super) fn close(&mut self) -> Result<Option<u32>, StoreError> {
        let Some(database) = self.writer.take() else {
            return Ok(None);
        };
        guarded(&*self.disk, || Ok(database.close()?))?;
        let file = self.disk.open(INDEX, Open::Read);
        let crc = file.and_then(|file| Pages::header_crc(&*file));
        crc.map(Some)
            .map_err(|error| disk_error("read", &*self.disk, INDEX, error))
    }

    /// Forgets what is open, without a last write.
    pub(super) fn abandon(&mut self) {
        self.writer = None;
    }

    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder.set_cache_size(self.cache);
        builder
    }
}

/// A range of fingerprints, of equal size for all parts.
///
/// redb keeps what a transaction replaces until no reader needs it, and a merge replaces nearly
/// every page: done at once, it would make the file three times as large as what is in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) number: u64,
    pub(super) of: u64,
}

impl Part {
    fn first(self) -> u64 {
        (u64::MAX / self.of).saturating_mul(self.number)
    }

    pub(super) fn is_last(self) -> bool {
        self.number + 1 == self.of
    }

    /// The first fingerprint, and the first that is not in the part.
    fn range(self) -> (u64, Option<u64>) {
        let next = Self {
            number: self.number + 1,
            ..self
        };
        (self.first(), (!self.is_last()).then(|| next.first()))
    }
}

fn merge(database: &Database, layer: &Layer, part: Part, journal: u64) -> Result<(), redb::Error> {
    let (from, to) = part.range();
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    {
        let mut blocks = transaction.open_table(BLOCKS)?;
        let end = to.map_or(Bound::Unbounded, |to| Bound::Excluded(Key::floor(to)));
        for (key, slot) in layer.slots.range((Bound::Included(Key::floor(from)), end)) {
            match slot {
                Slot::Live(entry) => drop(blocks.insert(&key.to_bytes()[..], entry.to_bytes())?),
                Slot::Dead(_) => drop(blocks.remove(&key.to_bytes()[..])?),
            }
        }
        let mut edges = transaction.open_table(EDGES)?;
        let end = to.map_or(Bound::Unbounded, |to| Bound::Excluded((to, 0)));
        for (&(child, parent), &is) in layer.edges.range((Bound::Included((from, 0)), end)) {
            let edge = edge_key(child, parent);
            if is {
                edges.insert(edge, ())?;
            } else {
                edges.remove(edge)?;
            }
        }
        let mut meta = transaction.open_table(META)?;
        if part.is_last() {
            meta.insert(META_KEY, (FORMAT, journal))?;
        } else if meta.get(META_KEY)?.is_none() {
            meta.insert(META_KEY, (FORMAT, 0))?;
        }
    }
    transaction.commit()?;
    Ok(())
}

impl Snapshot {
    fn new(read: ReadTransaction) -> Result<Self, redb::Error> {
        let (blocks, edges) = (read.open_table(BLOCKS)?, read.open_table(EDGES)?);
        let meta = read
            .open_table(META)?
            .get_owned(META_KEY)?
            .map(|meta| meta.value());
        let (format, journal) = meta.unwrap_or((0, 0));
        if format != FORMAT {
            return Err(redb::Error::Corrupted(format!("index format {format}")));
        }
        Ok(Self {
            blocks,
            edges,
            journal,
            _read: read,
            _database: None,
        })
    }

    pub(super) fn get(
        &self,
        disk: &dyn Disk,
        hash: &Multihash,
    ) -> Result<Option<Entry>, StoreError> {
        guarded(disk, || {
            let found = self.blocks.get_owned(&key_bytes(hash)[..])?;
            Ok(found.map(|entry| Entry::from_bytes(&entry.value())))
        })
    }

    /// Up to `limit` entries after a key, in order.
    pub(super) fn after(
        &self,
        disk: &dyn Disk,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        let key = after.map(Key::to_bytes);
        let start = key.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.range(disk, (start, Bound::Unbounded), limit)
    }

    /// The blocks with this fingerprint.
    pub(super) fn with_fingerprint(
        &self,
        disk: &dyn Disk,
        of: u64,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        let (from, to) = (of.to_be_bytes(), of.checked_add(1).map(u64::to_be_bytes));
        let end = to
            .as_ref()
            .map_or(Bound::Unbounded, |to| Bound::Excluded(&to[..]));
        self.range(disk, (Bound::Included(&from[..]), end), usize::MAX)
    }

    fn range(
        &self,
        disk: &dyn Disk,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        guarded(disk, || {
            let mut found = Vec::new();
            for item in ReadableTable::range::<&[u8]>(&self.blocks, bounds)?.take(limit) {
                let (key, entry) = item?;
                let Some(hash) = parse_key(key.value()) else {
                    return Err(redb::Error::Corrupted("malformed key".into()));
                };
                found.push((Key::new(hash), Entry::from_bytes(&entry.value())));
            }
            Ok(found)
        })
    }

    /// Fingerprints of the parents of a child.
    pub(super) fn parents(&self, disk: &dyn Disk, child: u64) -> Result<Vec<u64>, StoreError> {
        guarded(disk, || {
            let bounds = edge_key(child, 0)..=edge_key(child, u64::MAX);
            let mut parents = Vec::new();
            for item in ReadableTable::range(&self.edges, bounds)? {
                let (key, _) = item?;
                let [.., a, b, c, d, e, f, g, h] = key.value();
                parents.push(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
            }
            Ok(parents)
        })
    }
}

fn edge_key(child: u64, parent: u64) -> [u8; 16] {
    (u128::from(child) << 64 | u128::from(parent)).to_be_bytes()
}

fn damaged(what: &str) -> StoreError {
    StoreError::Index(what.into())
}

/// Runs an operation of redb. Errors of the device stay errors of the device; everything else, and
/// a panic over bytes that no checksum covers, means that the index is damaged.
fn guarded<T>(
    disk: &dyn Disk,
    operation: impl FnOnce() -> Result<T, redb::Error>,
) -> Result<T, StoreError> {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(operation));
    let Ok(outcome) = outcome else {
        return Err(damaged("redb gave up"));
    };
    outcome.map_err(|error| match error {
        redb::Error::Io(source) if is_of_device(&source) => disk_error("use", disk, INDEX, source),
        error => StoreError::Index(error.to_string().into()),
    })
}

/// Whether the operating system said it, and not [`Pages`].
fn is_of_device(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}
