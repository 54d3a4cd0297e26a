//! The records that this node keeps in `repo.redb`: those it published, whose sequence must never go back, and those of
//! others that were put here.

use bytes::Bytes;
use libp2p::PeerId;
use redb::{ReadableTable, ReadableTableMetadata, TableDefinition, TableError, WriteTransaction};

use super::NameError;
use super::record::{Record, better};
use crate::error::{Error, Result};
use crate::repo::{Database, DatabaseError};

/// Peer id to the time of the last successful put, in seconds since 1970 (0: never), and the record.
const OWN: TableDefinition<'_, &[u8], (u64, &[u8])> = TableDefinition::new("names-own");
/// Peer id to the record's end of life, in seconds since 1970, and the record.
const OTHERS: TableDefinition<'_, &[u8], (u64, &[u8])> = TableDefinition::new("names-others");

/// Most names that are published; each takes one record of at most 10 KiB.
pub const MAX_OWN: u64 = 100_000;
/// Most records of others that are kept; above, the one that ends first makes room.
pub const MAX_OTHERS: u64 = 4_096;

/// A name that this node published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The record.
    pub record: Record,
    /// When a network took it last, in seconds since 1970; 0 when none did.
    pub put_at: u64,
}

/// What is known of one name.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What this node published.
    pub own: Option<Own>,
    /// What was put here.
    pub other: Option<Record>,
}

impl Known {
    /// The record that counts.
    pub fn best(self) -> Option<Record> {
        self.own
            .map(|own| own.record)
            .into_iter()
            .chain(self.other)
            .max_by(better)
    }
}

/// What is known of a name; signatures are checked, expired records are given too.
pub fn get(database: &Database, name: &PeerId) -> Result<Known> {
    let Some(transaction) = database.read()? else {
        return Ok(Known::default());
    };
    let key = name.to_bytes();
    let row = |definition| -> Result<Option<(u64, Bytes)>> {
        match transaction.open_table(definition) {
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            table => copy(table.map_err(DatabaseError::from)?.get(key.as_slice())),
        }
    };
    known(name, row(OWN)?, row(OTHERS)?)
}

/// The same inside a change.
pub fn get_within(transaction: &WriteTransaction, name: &PeerId) -> Result<Known> {
    let key = name.to_bytes();
    let row = |definition| -> Result<Option<(u64, Bytes)>> {
        let table = transaction
            .open_table(definition)
            .map_err(DatabaseError::from)?;
        copy(table.get(key.as_slice()))
    };
    known(name, row(OWN)?, row(OTHERS)?)
}

/// Every name this node published, with its row; rows are read in batches of `limit` after the name `after`.
pub fn own_after(
    database: &Database,
    after: Option<&PeerId>,
    limit: usize,
) -> Result<Vec<(PeerId, Own)>> {
    let Some(transaction) = database.read()? else {
        return Ok(Vec::new());
    };
    let table = match transaction.open_table(OWN) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table.map_err(DatabaseError::from)?,
    };
    let start = after.map(|name| name.to_bytes()).unwrap_or_default();
    let rows = table
        .range(start.as_slice()..)
        .map_err(DatabaseError::from)?;
    let mut found = Vec::new();
    for row in rows {
        let (key, value) = row.map_err(DatabaseError::from)?;
        if key.value() == start.as_slice() {
            continue;
        }
        let name = PeerId::from_bytes(key.value()).map_err(|_| bad_row())?;
        let (put_at, bytes) = value.value();
        let record = read(&name, Bytes::copy_from_slice(bytes))?;
        found.push((name, Own { record, put_at }));
        if found.len() == limit {
            break;
        }
    }
    Ok(found)
}

/// Keeps a record that this node publishes.
pub fn set_own(transaction: &WriteTransaction, name: &PeerId, own: &Own) -> Result<()> {
    let key = name.to_bytes();
    let mut table = transaction.open_table(OWN).map_err(DatabaseError::from)?;
    let value = (own.put_at, own.record.bytes().as_ref());
    let before = table
        .insert(key.as_slice(), value)
        .map_err(DatabaseError::from)?;
    let is_new = before.is_none();
    drop(before);
    if is_new && table.len().map_err(DatabaseError::from)? > MAX_OWN {
        return Err(NameError::TooMany(MAX_OWN).into());
    }
    drop(table);
    let mut others = transaction
        .open_table(OTHERS)
        .map_err(DatabaseError::from)?;
    others.remove(key.as_slice()).map_err(DatabaseError::from)?;
    Ok(())
}

/// Keeps a record that somebody else made; the one that ends first makes room.
pub fn set_other(transaction: &WriteTransaction, name: &PeerId, record: &Record) -> Result<()> {
    let key = name.to_bytes();
    let mut table = transaction
        .open_table(OTHERS)
        .map_err(DatabaseError::from)?;
    let eol = super::seconds(record.eol());
    let value = (eol, record.bytes().as_ref());
    table
        .insert(key.as_slice(), value)
        .map_err(DatabaseError::from)?;
    if table.len().map_err(DatabaseError::from)? > MAX_OTHERS {
        let mut first: Option<(u64, Vec<u8>)> = None;
        for row in table.iter().map_err(DatabaseError::from)? {
            let (key, value) = row.map_err(DatabaseError::from)?;
            let ends = value.value().0;
            if first.as_ref().is_none_or(|(earliest, _)| ends < *earliest) {
                first = Some((ends, key.value().to_vec()));
            }
        }
        if let Some((_, key)) = first {
            table.remove(key.as_slice()).map_err(DatabaseError::from)?;
        }
    }
    Ok(())
}

type Row<'a> = redb::AccessGuard<'a, (u64, &'static [u8])>;

fn copy(row: Result<Option<Row<'_>>, redb::StorageError>) -> Result<Option<(u64, Bytes)>> {
    let row = row.map_err(DatabaseError::from)?;
    Ok(row.map(|row| {
        let (number, bytes) = row.value();
        (number, Bytes::copy_from_slice(bytes))
    }))
}

fn known(name: &PeerId, own: Option<(u64, Bytes)>, other: Option<(u64, Bytes)>) -> Result<Known> {
    let own = own.map(|(put_at, bytes)| {
        let record = read(name, bytes)?;
        Ok::<_, Error>(Own { record, put_at })
    });
    let other = other.map(|(_, bytes)| read(name, bytes));
    Ok(Known {
        own: own.transpose()?,
        other: other.transpose()?,
    })
}

/// A row that cannot be read is an error: taking it for none would let the sequence go back.
fn read(name: &PeerId, bytes: Bytes) -> Result<Record> {
    Record::validate_expired(bytes, name).map_err(|_| bad_row())
}

fn bad_row() -> Error {
    DatabaseError::BadRecord { table: "names" }.into()
}
