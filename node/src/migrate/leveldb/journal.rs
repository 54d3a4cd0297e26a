//! Journals: records in blocks of 32 KiB, each record whole or in pieces.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::parse::{Bytes, masked_crc};
use super::{Change, LevelError};

const BLOCK: usize = 32 << 10;
const HEADER: usize = 7;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// The records of one file, until the first that is not whole.
pub struct Records<'a> {
    data: &'a [u8],
    at: usize,
    /// Where reading stopped before the end, if it did.
    pub stopped: Option<usize>,
}

impl<'a> Records<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            at: 0,
            stopped: None,
        }
    }

    /// The next record.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        let start = self.at;
        let mut record = Vec::new();
        let mut begun = false;
        loop {
            let Some((kind, piece)) = self.piece() else {
                // Space reserved in advance is no loss.
                if self.data[start..].iter().any(|byte| *byte != 0) {
                    self.stopped = Some(start);
                }
                self.at = self.data.len();
                return None;
            };
            let fits = begun != matches!(kind, FULL | FIRST);
            begun = true;
            record.extend_from_slice(piece);
            match kind {
                FULL | LAST if fits => return Some(record),
                FIRST | MIDDLE if fits => {}
                _ => {
                    self.stopped = Some(start);
                    self.at = self.data.len();
                    return None;
                }
            }
        }
    }

    fn piece(&mut self) -> Option<(u8, &'a [u8])> {
        let left = BLOCK - self.at % BLOCK;
        if left < HEADER {
            self.at += left;
        }
        let mut bytes = Bytes(self.data.get(self.at..)?);
        let crc = bytes.u32()?;
        let len = usize::from(bytes.byte()?) | usize::from(bytes.byte()?) << 8;
        let kind = bytes.byte()?;
        if self.at % BLOCK + HEADER + len > BLOCK {
            return None;
        }
        let piece = bytes.take(len)?;
        if masked_crc(&[&[kind], piece]) != crc || !(FULL..=LAST).contains(&kind) {
            return None;
        }
        self.at += HEADER + len;
        Some((kind, piece))
    }
}

/// Applies a journal to the records known so far. Where it stopped, when that is not its end.
pub fn replay(
    path: &Path,
    known: &mut BTreeMap<Vec<u8>, Change>,
) -> Result<Option<usize>, LevelError> {
    let data = fs::read(path).map_err(|error| LevelError::io(path, error))?;
    let mut records = Records::new(&data);
    while let Some(record) = records.next() {
        apply(&record, known)
            .ok_or_else(|| LevelError::damaged(path, "a record is no batch of changes"))?;
    }
    Ok(records.stopped)
}

/// A batch: sequence, count, changes.
fn apply(record: &[u8], known: &mut BTreeMap<Vec<u8>, Change>) -> Option<()> {
    let mut bytes = Bytes(record);
    bytes.u64()?;
    for _ in 0..bytes.u32()? {
        let is_put = match bytes.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let key = bytes.sized()?.to_vec();
        let value = match is_put {
            true => Some(bytes.sized()?.to_vec()),
            false => None,
        };
        known.insert(key, value);
    }
    bytes.is_empty().then_some(())
}
