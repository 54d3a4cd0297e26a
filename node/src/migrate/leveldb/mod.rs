//! LevelDB databases, read only: nothing is locked, repaired, compacted or written, and damage is told and never taken for
//! fewer records.
//!
//! A database is a directory: `CURRENT` names the manifest; the manifest lists the tables (sorted files of records) and
//! the first journal whose records are in no table yet. Format: <https://github.com/google/leveldb/blob/main/doc>.

mod journal;
mod manifest;
mod parse;
mod table;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use manifest::TableFile;
use table::Cursor;

/// Most bytes of journals that are read; what writes them makes a table of every 4 MiB.
const MAX_JOURNALS: u64 = 1 << 30;

/// Why a database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    /// A file could not be read.
    #[error("read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
}

impl LevelError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    fn damaged(path: &Path, reason: &'static str) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            reason,
        }
    }
}

/// A record's value, `None` where it was deleted.
type Change = Option<Vec<u8>>;

/// Hears of records: key and value.
pub type EachRecord<'a, E> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), E>;

/// What a database held when it was opened.
pub struct LevelDb {
    dir: PathBuf,
    /// By smallest key.
    tables: Vec<TableFile>,
    /// Newer than every table.
    journal: BTreeMap<Vec<u8>, Change>,
    /// Journals that end in bytes that are no record, as a power cut leaves them.
    notes: Vec<String>,
}

impl LevelDb {
    /// Reads the manifest and the journals.
    ///
    /// # Errors
    /// [`LevelError`].
    pub fn open(dir: &Path) -> Result<Self, LevelError> {
        let state = manifest::read(dir)?;
        let mut numbers = numbered(dir, &["log"])?;
        numbers.retain(|(number, _)| *number >= state.journal || *number == state.older_journal);
        numbers.sort_unstable();
        let mut database = Self {
            dir: dir.to_owned(),
            tables: state.tables,
            journal: BTreeMap::new(),
            notes: Vec::new(),
        };
        let mut room = MAX_JOURNALS;
        for (_, path) in numbers {
            let size = fs::metadata(&path)
                .map_err(|error| LevelError::io(&path, error))?
                .len();
            room = room
                .checked_sub(size)
                .ok_or_else(|| LevelError::damaged(&path, "the journals are larger than 1 GiB"))?;
            if let Some(at) = journal::replay(&path, &mut database.journal)? {
                let note = format!(
                    "{} ends in bytes that are no record (at {at} of {size}): what was written there is not taken",
                    path.display()
                );
                database.notes.push(note);
            }
        }
        database.note_unlisted(dir, state.next_file)?;
        database.tables.sort_by(|a, b| a.smallest.cmp(&b.smallest));
        Ok(database)
    }

    /// A table with a number that was not given out yet: the end of the manifest is gone. Older ones that are not listed
    /// have had their records moved on.
    fn note_unlisted(&mut self, dir: &Path, next_file: u64) -> Result<(), LevelError> {
        for (number, path) in numbered(dir, &["ldb", "sst"])? {
            let is_listed = self.tables.iter().any(|table| table.number == number);
            if number >= next_file && !is_listed {
                let note = format!("{} is in no list of tables and not read", path.display());
                self.notes.push(note);
            }
        }
        Ok(())
    }

    /// What was found that is not as it should be and does no harm to the rest.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The value under a key.
    ///
    /// # Errors
    /// As [`LevelDb::scan`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LevelError> {
        let mut found = None;
        self.scan::<LevelError>(key, &mut |name, value| {
            if name == key {
                found = Some(value.to_vec());
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Calls `each` with the keys that begin with `prefix` and their values, in the order of the keys. One block of
    /// each table that is being read is in memory.
    ///
    /// # Errors
    /// [`LevelError`], and that of `each`.
    pub fn scan<E: From<LevelError>>(
        &self,
        prefix: &[u8],
        each: EachRecord<'_, E>,
    ) -> Result<(), E> {
        let mut merge = Merge::new(self, prefix);
        let mut last: Option<Vec<u8>> = None;
        while let Some(head) = merge.next()? {
            // Only the newest of a key counts, and it comes first.
            if last.as_ref() == Some(&head.key) {
                continue;
            }
            if let Some(value) = &head.value {
                each(&head.key, value)?;
            }
            last = Some(head.key);
        }
        Ok(())
    }
}

/// The next record of one source.
struct Head {
    key: Vec<u8>,
    sequence: u64,
    value: Change,
    source: Option<Cursor>,
}

impl Ord for Head {
    /// The greatest is the one to come next: the smallest key, of one key the newest.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_key = other.key.cmp(&self.key);
        by_key.then(self.sequence.cmp(&other.sequence))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// The records of all sources in one order. Tables are opened when it is their turn.
struct Merge<'a> {
    database: &'a LevelDb,
    prefix: &'a [u8],
    tables: std::slice::Iter<'a, TableFile>,
    next_table: Option<&'a TableFile>,
    journal: std::collections::btree_map::Range<'a, Vec<u8>, Change>,
    heads: BinaryHeap<Head>,
    begun: bool,
}

impl<'a> Merge<'a> {
    fn new(database: &'a LevelDb, prefix: &'a [u8]) -> Self {
        let mut tables = database.tables.iter();
        let next_table = tables.next();
        Self {
            database,
            prefix,
            tables,
            next_table,
            journal: database.journal.range(prefix.to_vec()..),
            heads: BinaryHeap::new(),
            begun: false,
        }
    }

    fn next(&mut self) -> Result<Option<Head>, LevelError> {
        if !self.begun {
            self.begun = true;
            self.refill_journal();
        }
        self.open_tables()?;
        let Some(mut head) = self.heads.pop() else {
            return Ok(None);
        };
        match head.source.take() {
            Some(cursor) => self.refill(cursor)?,
            None => self.refill_journal(),
        }
        Ok(Some(head))
    }

    /// Opens the tables that may hold a key not after the first head.
    fn open_tables(&mut self) -> Result<(), LevelError> {
        while let Some(file) = self.next_table {
            let wanted = self
                .heads
                .peek()
                .is_none_or(|head| file.smallest <= head.key);
            if !wanted {
                return Ok(());
            }
            self.next_table = self.tables.next();
            let before = file.largest.as_slice() < self.prefix;
            let behind =
                file.smallest.as_slice() > self.prefix && !file.smallest.starts_with(self.prefix);
            if !before && !behind {
                let cursor = Cursor::open(&self.database.dir, file.number, self.prefix)?;
                self.refill(cursor)?;
            }
        }
        Ok(())
    }

    fn refill(&mut self, mut cursor: Cursor) -> Result<(), LevelError> {
        if let Some(record) = cursor.next()?
            && record.key.starts_with(self.prefix)
        {
            self.heads.push(Head {
                key: record.key,
                sequence: record.sequence,
                value: record.value,
                source: Some(cursor),
            });
        }
        Ok(())
    }

    fn refill_journal(&mut self) {
        if let Some((key, value)) = self.journal.next()
            && key.starts_with(self.prefix)
        {
            self.heads.push(Head {
                key: key.clone(),
                sequence: u64::MAX,
                value: value.clone(),
                source: None,
            });
        }
    }
}

/// The files that are there with one of these endings, with their numbers.
fn numbered(dir: &Path, endings: &[&str]) -> Result<Vec<(u64, PathBuf)>, LevelError> {
    let entries = fs::read_dir(dir).map_err(|error| LevelError::io(dir, error))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| LevelError::io(dir, error))?.path();
        let end = path.extension().and_then(|end| end.to_str());
        let is_wanted = end.is_some_and(|end| endings.contains(&end));
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if let (true, Some(number)) = (is_wanted, stem.and_then(|stem| stem.parse().ok())) {
            found.push((number, path));
        }
    }
    Ok(found)
}
