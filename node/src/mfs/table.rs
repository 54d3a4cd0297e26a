//! The root of the mutable file system in `repo.redb`, and which files of `mfs.log` are in the tree beside it.

use std::time::{SystemTime, UNIX_EPOCH};

use ipfs_kit_blockstore::cid::Cid;
use redb::{ReadTransaction, TableDefinition, TableError};

use super::log::Put;
use crate::repo::{Database, DatabaseError};

/// The CID of the root and the generation of the log, which is another with each root (8 bytes, little-endian).
const MFS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("mfs");
const ROOT: &str = "root";
const GENERATION: &str = "log";
/// Where files were logged before there was a `mfs.log`, by ascending number. Only read.
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("mfs-log");

/// What was committed with the root.
#[derive(Debug, Default)]
pub struct Committed {
    /// The root; `None` when none ever was.
    pub root: Option<Cid>,
    /// The generation of the log whose files are in the tree too.
    pub generation: u64,
    /// Files that are in the tree before those of the log.
    pub files: Vec<Put>,
}

/// What was committed last.
pub fn committed(database: &Database) -> Result<Committed, DatabaseError> {
    let Some(transaction) = database.read()? else {
        return Ok(Committed::default());
    };
    let mut committed = Committed {
        files: files(&transaction)?,
        ..Committed::default()
    };
    let table = match transaction.open_table(MFS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(committed),
        table => table?,
    };
    let bad = || DatabaseError::BadRecord { table: "mfs" };
    if let Some(row) = table.get(ROOT)? {
        committed.root = Some(whole_cid(row.value()).ok_or_else(bad)?);
    }
    if let Some(row) = table.get(GENERATION)? {
        let bytes = row.value().try_into().map_err(|_| bad())?;
        committed.generation = u64::from_le_bytes(bytes);
    }
    Ok(committed)
}

/// The root that was committed last; `None` when none ever was.
pub fn root(database: &Database) -> Result<Option<Cid>, DatabaseError> {
    Ok(committed(database)?.root)
}

fn files(transaction: &ReadTransaction) -> Result<Vec<Put>, DatabaseError> {
    let table = match transaction.open_table(LOG) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table?,
    };
    let rows = table.range::<u64>(..)?;
    rows.map(|row| Put::read(row?.1.value()).ok_or(DatabaseError::BadRecord { table: "mfs-log" }))
        .collect()
}

fn whole_cid(bytes: &[u8]) -> Option<Cid> {
    let (cid, len) = Cid::read(bytes).ok()?;
    (len == bytes.len()).then_some(cid)
}

/// Makes this the root, in which all files are; durable on return. The generation of the log from here on.
pub fn set_root(database: &Database, root: &Cid) -> Result<u64, DatabaseError> {
    let before = committed(database)?.generation;
    // The time, so that a `repo.redb` from a backup does not count up to what is in a newer log.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_nanos() as u64);
    let generation = now.max(before.wrapping_add(1));
    database.write(|transaction| {
        transaction.delete_table(LOG)?;
        let mut table = transaction.open_table(MFS)?;
        table.insert(ROOT, root.to_bytes().as_slice())?;
        table.insert(GENERATION, generation.to_le_bytes().as_slice())?;
        Ok(generation)
    })
}
