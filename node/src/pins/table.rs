//! The table of pins in `repo.redb`.
//!
//! Key: multihash, then version (one byte) and codec (varint): all pins of one block stand together whatever CID they
//! were made under. Value: one byte for the kind, then the name in UTF-8.

use ipfs_kit_blockstore::cid::{Cid, Multihash, Version};
use ipfs_kit_blockstore::varint;
use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition,
    TableError,
};

use crate::node::Node;
use crate::repo::{Database, DatabaseError};

const PINS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("pins");
const RECURSIVE: u8 = 1;
const DIRECT: u8 = 2;

/// Pins read in one transaction of [`page`]; a listing holds none longer than that.
const PAGE: usize = 1024;

/// One pin as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub cid: Cid,
    pub recursive: bool,
    pub name: Option<String>,
}

/// One change of [`commit`].
#[derive(Clone, Debug)]
pub enum Change {
    /// Adds the pin, or replaces the one of the same CID.
    Put(Record),
    /// Removes the pin of this CID, if there is one.
    Remove(Cid),
}

/// The pin of exactly this CID.
pub fn get(database: &Database, cid: &Cid) -> Result<Option<Record>, DatabaseError> {
    let Some(table) = open(database.read()?)? else {
        return Ok(None);
    };
    let value = table.get(key(cid).as_slice())?;
    value
        .map(|value| record(cid.clone(), value.value()))
        .transpose()
}

/// Every pin of a block, whatever version and codec it was pinned under.
pub fn of_block(database: &Database, hash: &Multihash) -> Result<Vec<Record>, DatabaseError> {
    let Some(table) = open(database.read()?)? else {
        return Ok(Vec::new());
    };
    records_of(&table, hash)
}

/// Looks up many blocks in one transaction; see [`of_block`].
pub struct Lookup {
    table: Option<ReadOnlyTable<&'static [u8], &'static [u8]>>,
}

impl Lookup {
    /// A view of the pins as they are now.
    pub fn new(database: &Database) -> Result<Self, DatabaseError> {
        Ok(Self {
            table: open(database.read()?)?,
        })
    }

    /// Every pin of a block.
    pub fn of_block(&self, hash: &Multihash) -> Result<Vec<Record>, DatabaseError> {
        self.table
            .as_ref()
            .map_or(Ok(Vec::new()), |table| records_of(table, hash))
    }
}

/// The next pins in the order of their keys, after `after`; empty at the end.
pub fn page(database: &Database, after: Option<&Cid>) -> Result<Vec<Record>, DatabaseError> {
    use std::ops::Bound::{Excluded, Unbounded};
    let Some(table) = open(database.read()?)? else {
        return Ok(Vec::new());
    };
    let start = after.map(key);
    let range = table.range::<&[u8]>((start.as_deref().map_or(Unbounded, Excluded), Unbounded))?;
    range
        .take(PAGE)
        .map(|entry| {
            entry
                .map_err(DatabaseError::from)
                .and_then(|(key, value)| parse(key.value(), value.value()))
        })
        .collect()
}

/// Number of pins.
pub fn count(database: &Database) -> Result<u64, DatabaseError> {
    open(database.read()?)?.map_or(Ok(0), |table| Ok(table.len()?))
}

/// Applies the changes that `decide` makes after a look at the pins as they are; all or none, durable on return.
pub fn commit<T, E: From<DatabaseError>>(
    database: &Database,
    decide: impl FnOnce(
        &dyn Fn(&Cid) -> Result<Option<Record>, DatabaseError>,
    ) -> Result<(Vec<Change>, T), E>,
) -> Result<T, E> {
    database.write(|transaction| {
        let mut table = transaction.open_table(PINS).map_err(DatabaseError::from)?;
        let (changes, answer) = decide(&|cid| {
            let value = table.get(key(cid).as_slice())?;
            value
                .map(|value| record(cid.clone(), value.value()))
                .transpose()
        })?;
        for change in changes {
            match change {
                Change::Put(record) => {
                    let mut value = vec![if record.recursive { RECURSIVE } else { DIRECT }];
                    value.extend_from_slice(record.name.unwrap_or_default().as_bytes());
                    table
                        .insert(key(&record.cid).as_slice(), value.as_slice())
                        .map_err(DatabaseError::from)?;
                }
                Change::Remove(cid) => {
                    table
                        .remove(key(&cid).as_slice())
                        .map_err(DatabaseError::from)?;
                }
            }
        }
        Ok(answer)
    })
}

/// Pins records that were made elsewhere, whose DAGs are here and kept by a guard: those that are not here, or only as a
/// weaker pin. Which were, in order.
pub fn take_over(node: &Node, records: &[Record]) -> Result<Vec<bool>, DatabaseError> {
    commit(node.database(), |pinned| {
        let mut changes = Vec::new();
        let mut new = Vec::with_capacity(records.len());
        for record in records {
            let known = pinned(&record.cid)?;
            let weaker = |known: &Record| record.recursive && !known.recursive;
            let is_new = known.as_ref().is_none_or(weaker);
            if is_new {
                changes.push(Change::Put(record.clone()));
            }
            new.push(is_new);
        }
        Ok((changes, new))
    })
}

type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;

fn open(transaction: Option<ReadTransaction>) -> Result<Option<Table>, DatabaseError> {
    let Some(transaction) = transaction else {
        return Ok(None);
    };
    match transaction.open_table(PINS) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn records_of(table: &Table, hash: &Multihash) -> Result<Vec<Record>, DatabaseError> {
    let start = hash.to_bytes();
    let mut found = Vec::new();
    for entry in table.range::<&[u8]>(start.as_slice()..)? {
        let (key, value) = entry?;
        if !key.value().starts_with(&start) {
            break;
        }
        found.push(parse(key.value(), value.value())?);
    }
    Ok(found)
}

fn key(cid: &Cid) -> Vec<u8> {
    let mut key = cid.hash().to_bytes();
    key.push(if cid.version() == Version::V0 { 0 } else { 1 });
    varint::write(cid.codec(), &mut key);
    key
}

fn parse(key: &[u8], value: &[u8]) -> Result<Record, DatabaseError> {
    let cid = || -> Option<Cid> {
        let (hash, len) = Multihash::read(key).ok()?;
        let (version, codec) = key.get(len..)?.split_first()?;
        match version {
            0 => Cid::v0(hash).ok(),
            1 => Some(Cid::v1(varint::read(codec).ok()?.0, hash)),
            _ => None,
        }
    };
    record(
        cid().ok_or(DatabaseError::BadRecord { table: "pins" })?,
        value,
    )
}

fn record(cid: Cid, value: &[u8]) -> Result<Record, DatabaseError> {
    let bad = DatabaseError::BadRecord { table: "pins" };
    let (recursive, name) = match value.split_first() {
        Some((&RECURSIVE, name)) => (true, name),
        Some((&DIRECT, name)) => (false, name),
        _ => return Err(bad),
    };
    let name = std::str::from_utf8(name).map_err(|_| bad)?;
    Ok(Record {
        cid,
        recursive,
        name: (!name.is_empty()).then(|| name.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipfs_kit_blockstore::codec;

    fn hash(byte: u8) -> Multihash {
        Multihash::sha2_256(&[byte; 32])
    }

    fn put(database: &Database, record: Record) {
        commit::<_, DatabaseError>(database, |_| Ok((vec![Change::Put(record)], ()))).unwrap();
    }

    fn exercise(database: &Database) {
        assert_eq!(count(database).unwrap(), 0);
        let v0 = Record {
            cid: Cid::v0(hash(1)).unwrap(),
            recursive: true,
            name: Some("x".to_owned()),
        };
        let v1 = Record {
            cid: Cid::v1(codec::RAW, hash(1)),
            recursive: false,
            name: None,
        };
        let other = Record {
            cid: Cid::v1(codec::DAG_CBOR, hash(2)),
            recursive: true,
            name: None,
        };
        for record in [&v0, &v1, &other] {
            put(database, record.clone());
        }
        assert_eq!(get(database, &v0.cid).unwrap().as_ref(), Some(&v0));
        assert_eq!(
            of_block(database, &hash(1)).unwrap(),
            [v0.clone(), v1.clone()]
        );
        assert_eq!(
            page(database, None).unwrap(),
            [v0.clone(), v1.clone(), other.clone()]
        );
        assert_eq!(page(database, Some(&v1.cid)).unwrap(), [other]);
        commit::<_, DatabaseError>(database, |_| Ok((vec![Change::Remove(v0.cid.clone())], ())))
            .unwrap();
        assert_eq!(of_block(database, &hash(1)).unwrap(), [v1]);
        assert_eq!(count(database).unwrap(), 2);
    }

    #[test]
    fn pins_in_memory_and_in_a_repo() {
        exercise(&Database::in_memory());
        let dir = tempfile::tempdir().unwrap();
        exercise(&Database::in_repo(dir.path()));
        let again = Database::in_repo(dir.path());
        assert_eq!(count(&again).unwrap(), 2, "opened for reading");
        put(
            &again,
            Record {
                cid: Cid::v1(codec::RAW, hash(9)),
                recursive: true,
                name: None,
            },
        );
        assert_eq!(
            count(&again).unwrap(),
            3,
            "opened for writing after reading"
        );
    }

    #[test]
    fn a_failed_decision_changes_nothing() {
        let database = Database::in_memory();
        let refused = commit::<(), _>(&database, |_| {
            Err(DatabaseError::BadRecord { table: "none" })
        });
        assert!(refused.is_err());
        assert_eq!(count(&database).unwrap(), 0);
    }
}
