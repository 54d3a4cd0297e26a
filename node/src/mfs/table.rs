//! The root of the mutable file system in `repo.redb`.

use ipfs_kit_blockstore::cid::Cid;
use redb::{TableDefinition, TableError};

use crate::repo::{Database, DatabaseError};

/// One row: the CID of the root under this key.
const MFS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("mfs");
const ROOT: &str = "root";

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

/// Makes this the root; durable on return.
pub fn set_root(database: &Database, root: &Cid) -> Result<(), DatabaseError> {
    database.write(|transaction| {
        transaction
            .open_table(MFS)?
            .insert(ROOT, root.to_bytes().as_slice())?;
        Ok(())
    })
}
