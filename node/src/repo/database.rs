//! `repo.redb`: small things that must change together. Opened late, and for writing only when something is written, so
//! that a command that only reads costs no fsync.
//!
//! What is in it exists nowhere else, so it lies in pages with checksums: damage is told and never taken for fewer pins.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use ipfs_kit_blockstore::store::disk::{Disk, Folder, Open as How};
use ipfs_kit_blockstore::store::pages::Pages;
use parking_lot::RwLock;
use redb::{ReadTransaction, ReadableDatabase, WriteTransaction};
use rustix::fs::{FlockOperation, flock};

/// More is of no use: the tables are small and read in order.
const CACHE_BYTES: usize = 4 << 20;

const READER_PATIENCE: Duration = Duration::from_secs(10);

/// What is held back, so that pins can be removed on a full disk: redb writes pages anew.
const RESERVE_BYTES: u64 = 512 << 10;

/// What can go wrong in `repo.redb`.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// redb refused or failed.
    #[error("repo.redb: {0}")]
    Redb(Box<redb::Error>),
    /// Bytes of the file changed since they were written.
    #[error(
        "repo.redb is damaged ({0}): restore the file from a backup; blocks are not affected and can still be read"
    )]
    Damaged(String),
    /// A record that no version of this program wrote.
    #[error(
        "repo.redb holds a record that cannot be read in {table}: restore the file from a backup"
    )]
    BadRecord {
        /// The table.
        table: &'static str,
    },
}

impl From<redb::Error> for DatabaseError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
                Self::Damaged(source.to_string())
            }
            redb::Error::Corrupted(what) => Self::Damaged(what),
            error => Self::Redb(Box::new(error)),
        }
    }
}

macro_rules! from_redb {
    ($($name:ident),*) => {$(
        impl From<redb::$name> for DatabaseError {
            fn from(error: redb::$name) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}
from_redb!(
    DatabaseError,
    TransactionError,
    TableError,
    StorageError,
    CommitError,
    SetDurabilityError
);

/// The database of one repo.
pub(crate) struct Database {
    /// `None`: in memory.
    path: Option<PathBuf>,
    open: RwLock<Open>,
}

enum Open {
    No,
    Reading(redb::ReadOnlyDatabase),
    Writing(redb::Database),
}

impl Database {
    /// The database in the directory of a repo; nothing is opened yet.
    pub(crate) fn in_repo(repo: &Path) -> Self {
        Self {
            path: Some(repo.join("repo.redb")),
            open: RwLock::new(Open::No),
        }
    }

    /// A database that ends with the process.
    pub(crate) fn in_memory() -> Self {
        Self {
            path: None,
            open: RwLock::new(Open::No),
        }
    }

    /// A consistent view of what was committed so far, or `None` when nothing ever was.
    pub(crate) fn read(&self) -> Result<Option<ReadTransaction>, DatabaseError> {
        loop {
            match &*self.open.read() {
                Open::Reading(database) => return Ok(Some(database.begin_read()?)),
                Open::Writing(database) => return Ok(Some(database.begin_read()?)),
                Open::No if !self.path.as_ref().is_some_and(|path| path.exists()) => {
                    return Ok(None);
                }
                Open::No => {}
            }
            self.open_for_reading()?;
        }
    }

    /// Runs `change` in a transaction and commits it; durable on return. Whatever `change` did is undone when it fails.
    pub(crate) fn write<T, E: From<DatabaseError>>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut transaction = self.begin_write()?;
        // Two phases and the allocator's state in each commit: after a kill the file opens at once, for reading too.
        transaction.set_quick_repair(true);
        let value = change(&transaction)?;
        transaction.commit().map_err(DatabaseError::from)?;
        self.hold_back();
        Ok(value)
    }

    /// To be called before a change that lets space be freed: gives up what is held back if the disk is full.
    pub(crate) fn make_room(&self) {
        if let Some(reserve) = self.reserve()
            && free_bytes(&reserve).is_some_and(|free| free < RESERVE_BYTES)
        {
            // Without it there was nothing to give up; the change itself tells whether it fits.
            drop(fs::remove_file(reserve));
        }
    }

    /// Takes the reserve again when there is plenty of space.
    fn hold_back(&self) {
        let Some(reserve) = self.reserve() else {
            return;
        };
        if reserve.exists() || free_bytes(&reserve).is_none_or(|free| free < 16 * RESERVE_BYTES) {
            return;
        }
        let taken = File::create(&reserve).and_then(|file| {
            let flags = rustix::fs::FallocateFlags::empty();
            Ok(rustix::fs::fallocate(file, flags, 0, RESERVE_BYTES)?)
        });
        if taken.is_err() {
            // A file system that cannot do it goes without a reserve.
            drop(fs::remove_file(reserve));
        }
    }

    fn reserve(&self) -> Option<PathBuf> {
        let path = self.path.as_ref()?;
        Some(path.with_extension("reserve"))
    }

    fn begin_write(&self) -> Result<WriteTransaction, DatabaseError> {
        if let Open::Writing(database) = &*self.open.read() {
            return Ok(database.begin_write()?);
        }
        let mut open = self.open.write();
        if !matches!(*open, Open::Writing(_)) {
            // A reader of this process would keep the file locked against our own writer.
            *open = Open::No;
            *open = Open::Writing(self.open_once_unlocked()?);
        }
        match &*open {
            Open::Writing(database) => Ok(database.begin_write()?),
            Open::No | Open::Reading(_) => Err(DatabaseError::BadRecord { table: "repo.redb" }),
        }
    }

    fn open_for_reading(&self) -> Result<(), DatabaseError> {
        let mut open = self.open.write();
        let (Open::No, Some(path)) = (&*open, &self.path) else {
            return Ok(());
        };
        let pages = pages(path, How::Read)?;
        let opened = guarded(|| builder().open_read_only_with_backend(pages));
        *open = match opened? {
            Ok(database) => Open::Reading(database),
            // Only a writer can put an uncleanly closed file in order.
            Err(redb::DatabaseError::RepairAborted) => Open::Writing(self.open_for_writing()?),
            Err(error) => return Err(error.into()),
        };
        Ok(())
    }

    /// A reader elsewhere in this process may still look at a page it took before; it is done in no time.
    fn open_once_unlocked(&self) -> Result<redb::Database, DatabaseError> {
        let start = Instant::now();
        loop {
            match self.open_for_writing() {
                Err(DatabaseError::Redb(error))
                    if matches!(*error, redb::Error::DatabaseAlreadyOpen)
                        && start.elapsed() < READER_PATIENCE =>
                {
                    thread::sleep(Duration::from_millis(1));
                }
                done => return done,
            }
        }
    }

    fn open_for_writing(&self) -> Result<redb::Database, DatabaseError> {
        Ok(match &self.path {
            Some(path) => {
                if !path.exists() {
                    create_whole(path)?;
                }
                let pages = pages(path, How::Write)?;
                guarded(|| builder().create_with_backend(pages))??
            }
            None => builder().create_with_backend(redb::backends::InMemoryBackend::new())?,
        })
    }
}

fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// The pages of a file that exists, or that [`How::Create`] makes. One writer or any number of readers have it.
fn pages(path: &Path, how: How) -> Result<Pages, DatabaseError> {
    let (Some(repo), Some(name)) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        return Err(
            redb::StorageError::from(io::Error::from(io::ErrorKind::InvalidFilename)).into(),
        );
    };
    let open = || -> io::Result<_> {
        let file = Folder::new(repo, false).open(name, how)?;
        // redb takes an empty file for one to be filled in.
        if how != How::Create && file.len()? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file is empty",
            ));
        }
        let lock = File::open(path)?;
        let operation = match how {
            How::Read => FlockOperation::NonBlockingLockShared,
            _ => FlockOperation::NonBlockingLockExclusive,
        };
        let locked = match flock(&lock, operation) {
            Ok(()) => Some(Pages::sealed(file, lock)),
            Err(rustix::io::Errno::WOULDBLOCK) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(locked)
    };
    match open() {
        Ok(Some(pages)) => Ok(pages),
        Ok(None) => Err(redb::DatabaseError::DatabaseAlreadyOpen.into()),
        Err(error) => Err(redb::StorageError::from(error).into()),
    }
}

/// Opening a file whose header was damaged while nobody had closed it may make redb panic.
fn guarded<T>(open: impl FnOnce() -> T) -> Result<T, DatabaseError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(open))
        .map_err(|_| DatabaseError::Damaged("redb gave up".to_owned()))
}

/// What is free on the disk that holds this path.
fn free_bytes(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path.parent()?).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Makes the file under another name first: a kill while redb fills it in would leave a file that
/// is no database and that nobody could open again.
fn create_whole(path: &Path) -> Result<(), DatabaseError> {
    let unfinished = path.with_extension("redb.new");
    let named = || -> io::Result<()> {
        File::open(&unfinished)?.sync_all()?;
        fs::rename(&unfinished, path)?;
        path.parent()
            .map_or(Ok(()), |repo| File::open(repo)?.sync_all())
    };
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(redb::StorageError::from(error).into());
        }
        _ => {}
    }
    // Dropped, it would keep to itself that its last sync failed.
    let pages = pages(&unfinished, How::Create)?;
    builder().create_with_backend(pages)?.close()?;
    named().map_err(|error| redb::StorageError::from(error).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: redb::TableDefinition<'_, u32, u32> = redb::TableDefinition::new("table");

    fn put(database: &Database, value: u32) -> Result<(), DatabaseError> {
        database.write(|transaction| {
            transaction.open_table(TABLE)?.insert(value, value)?;
            Ok(())
        })
    }

    fn values(database: &Database) -> Result<Vec<u32>, DatabaseError> {
        let Some(read) = database.read()? else {
            return Ok(Vec::new());
        };
        let table = read.open_table(TABLE)?;
        let keys = redb::ReadableTable::iter(&table)?.map(|item| Ok(item?.0.value()));
        keys.collect()
    }

    /// Every bit of the pages in use, also those that redb does not protect itself.
    #[test]
    fn a_flipped_bit_is_told_or_changes_nothing() {
        let repo = tempfile::tempdir().unwrap();
        let path = repo.path().join("repo.redb");
        for value in 0..5 {
            put(&Database::in_repo(repo.path()), value).unwrap();
        }
        let sound = fs::read(&path).unwrap();
        let expected = values(&Database::in_repo(repo.path())).unwrap();
        assert_eq!(expected, [0, 1, 2, 3, 4]);
        let mut told = 0;
        let used = (0..sound.len()).filter(|at| at % 61 == 0 || (sound[*at] != 0 && at % 3 == 0));
        for (number, at) in used.enumerate() {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (number % 8);
            fs::write(&path, bytes).unwrap();
            match values(&Database::in_repo(repo.path())) {
                Ok(found) => assert_eq!(found, expected, "byte {at}, bit {}", number % 8),
                Err(DatabaseError::Damaged(_)) => told += 1,
                Err(error) => panic!("byte {at}, bit {}: {error}", number % 8),
            }
        }
        assert!(told > 200, "{told}");
        fs::write(&path, "").unwrap();
        let empty = Database::in_repo(repo.path());
        assert!(matches!(put(&empty, 9), Err(DatabaseError::Damaged(_))));
    }

    /// As a kill leaves it: flagged as open, without a checksum of the header.
    #[test]
    fn a_file_that_was_not_closed_is_put_in_order() {
        let repo = tempfile::tempdir().unwrap();
        let copy = tempfile::tempdir().unwrap();
        let database = Database::in_repo(repo.path());
        put(&database, 1).unwrap();
        put(&database, 2).unwrap();
        fs::copy(repo.path().join("repo.redb"), copy.path().join("repo.redb")).unwrap();
        let database = Database::in_repo(copy.path());
        assert_eq!(values(&database).unwrap(), [1, 2]);
        put(&database, 3).unwrap();
        drop(database);
        assert_eq!(values(&Database::in_repo(copy.path())).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn an_unfinished_database_of_a_killed_process_is_made_again() {
        let repo = tempfile::tempdir().unwrap();
        fs::write(repo.path().join("repo.redb.new"), "half").unwrap();
        let database = Database::in_repo(repo.path());
        assert!(database.read().unwrap().is_none());
        database
            .write(|transaction| {
                transaction.open_table(TABLE)?.insert(1, 2)?;
                Ok::<_, DatabaseError>(())
            })
            .unwrap();
        assert!(!repo.path().join("repo.redb.new").exists());
        let reopened = Database::in_repo(repo.path());
        drop(database);
        assert!(reopened.read().unwrap().is_some());
    }
}
