//! The root of the mutable file system in `repo.redb`, and the files that were put into the tree since: a flush that only
//! brought files adds a row for each instead of the blocks of every directory above them.

use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_unixfs::directory::Target;
use redb::{TableDefinition, TableError};

use crate::repo::{Database, DatabaseError};

/// One row: the CID of the root under this key.
const MFS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("mfs");
const ROOT: &str = "root";
/// Ascending number to size of the DAG (8 bytes, little-endian), CID and path of a file that is in the tree since `ROOT`.
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("mfs-log");

/// A file that was put into the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Where.
    pub path: String,
    /// What.
    pub target: Target,
}

impl Put {
    fn to_row(&self) -> Vec<u8> {
        let mut row = self.target.tsize.to_le_bytes().to_vec();
        self.target.cid.write_to(&mut row);
        row.extend_from_slice(self.path.as_bytes());
        row
    }

    fn of_row(row: &[u8]) -> Option<Self> {
        let (tsize, rest) = row.split_first_chunk()?;
        let (cid, len) = Cid::read(rest).ok()?;
        let path = std::str::from_utf8(&rest[len..]).ok()?;
        Some(Self {
            path: path.to_owned(),
            target: Target {
                cid,
                tsize: u64::from_le_bytes(*tsize),
            },
        })
    }
}

/// The files since the root, in order.
pub fn log(database: &Database) -> Result<Vec<Put>, DatabaseError> {
    let Some(transaction) = database.read()? else {
        return Ok(Vec::new());
    };
    let table = match transaction.open_table(LOG) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table?,
    };
    let rows = table.range::<u64>(..)?;
    rows.map(|row| Put::of_row(row?.1.value()).ok_or(DatabaseError::BadRecord { table: "mfs-log" }))
        .collect()
}

/// Adds files behind the `after` that are there; durable on return.
pub fn append(database: &Database, after: u64, files: &[Put]) -> Result<(), DatabaseError> {
    database.write(|transaction| {
        let mut table = transaction.open_table(LOG)?;
        for (number, file) in (after..).zip(files) {
            table.insert(number, file.to_row().as_slice())?;
        }
        Ok(())
    })
}

/// The root that was committed last; `None` when none ever was.
pub fn root(database: &Database) -> Result<Option<Cid>, DatabaseError> {
    let Some(transaction) = database.read()? else {
        return Ok(None);
    };
    let table = match transaction.open_table(MFS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    let Some(row) = table.get(ROOT)? else {
        return Ok(None);
    };
    match Cid::read(row.value()) {
        Ok((cid, len)) if len == row.value().len() => Ok(Some(cid)),
        _ => Err(DatabaseError::BadRecord { table: "mfs" }),
    }
}

/// Makes this the root, in which all files are; durable on return.
pub fn set_root(database: &Database, root: &Cid) -> Result<(), DatabaseError> {
    database.write(|transaction| {
        transaction.delete_table(LOG)?;
        transaction
            .open_table(MFS)?
            .insert(ROOT, root.to_bytes().as_slice())?;
        Ok(())
    })
}
