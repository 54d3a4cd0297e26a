//! The manifest: a journal of which tables came and went.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::LevelError;
use super::journal::Records;
use super::parse::{Bytes, internal_key};

/// The only order of keys that is understood.
const COMPARATOR: &[u8] = b"leveldb.BytewiseComparator";

/// Much more than the tables of a terabyte need.
const MAX_MANIFEST: u64 = 256 << 20;

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    pub number: u64,
    /// Its first key, without sequence.
    pub smallest: Vec<u8>,
    /// Its last key.
    pub largest: Vec<u8>,
}

/// What the manifest says in the end.
#[derive(Debug, Default)]
pub struct State {
    pub tables: Vec<TableFile>,
    /// The first journal that is in no table.
    pub journal: u64,
    /// Another one, in databases of old versions.
    pub older_journal: u64,
    /// The next number that is free for a file.
    pub next_file: u64,
    /// Every manifest begins with the order of the keys.
    begun: bool,
}

/// Reads `CURRENT` and the manifest that it names.
pub fn read(dir: &Path) -> Result<State, LevelError> {
    let current = dir.join("CURRENT");
    let name = bounded(&current, 64)?;
    let name = String::from_utf8_lossy(&name);
    let name = name.trim_end();
    let number = name.strip_prefix("MANIFEST-");
    if !number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(LevelError::damaged(&current, "it names no manifest"));
    }
    let path = dir.join(name);
    let data = bounded(&path, MAX_MANIFEST)?;
    let mut state = State::default();
    let mut tables = BTreeMap::new();
    let mut records = Records::new(&data);
    while let Some(record) = records.next() {
        edit(&record, &mut state, &mut tables)
            .ok_or_else(|| LevelError::damaged(&path, "a record is no change of tables"))?;
    }
    // What is missing at the end could be tables that exist.
    if records.stopped.is_some() || !state.begun {
        return Err(LevelError::damaged(&path, "its end cannot be read"));
    }
    state.tables = tables.into_values().collect();
    Ok(state)
}

/// Applies one record; `None` when it is malformed.
fn edit(
    record: &[u8],
    state: &mut State,
    tables: &mut BTreeMap<(u64, u64), TableFile>,
) -> Option<()> {
    let mut bytes = Bytes(record);
    while !bytes.is_empty() {
        match bytes.varint()? {
            1 => {
                (bytes.sized()? == COMPARATOR).then_some(())?;
                state.begun = true;
            }
            2 => state.journal = bytes.varint()?,
            3 => state.next_file = bytes.varint()?,
            // The next sequence that is free.
            4 => drop(bytes.varint()?),
            // Where the next compaction begins.
            5 => {
                bytes.varint()?;
                bytes.sized()?;
            }
            6 => {
                let place = (bytes.varint()?, bytes.varint()?);
                tables.remove(&place);
            }
            7 => {
                let (level, number) = (bytes.varint()?, bytes.varint()?);
                bytes.varint()?;
                let (smallest, ..) = internal_key(bytes.sized()?)?;
                let (largest, ..) = internal_key(bytes.sized()?)?;
                let table = TableFile {
                    number,
                    smallest: smallest.to_vec(),
                    largest: largest.to_vec(),
                };
                tables.insert((level, number), table);
            }
            9 => state.older_journal = bytes.varint()?,
            _ => return None,
        }
    }
    Some(())
}

/// A file of at most `limit` bytes.
fn bounded(path: &Path, limit: u64) -> Result<Vec<u8>, LevelError> {
    let mut data = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut data));
    match read {
        Ok(read) if read as u64 > limit => Err(LevelError::damaged(path, "it is too large")),
        Ok(_) => Ok(data),
        Err(error) => Err(LevelError::io(path, error)),
    }
}

/// The file of a table, under either of the names it may have.
pub fn table_path(dir: &Path, number: u64) -> Result<PathBuf, LevelError> {
    let usual = dir.join(format!("{number:06}.ldb"));
    for path in [usual.clone(), dir.join(format!("{number:06}.sst"))] {
        if path.exists() {
            return Ok(path);
        }
    }
    Err(LevelError::io(&usual, io::ErrorKind::NotFound.into()))
}
