//! The journal: every change since the last merge into the index, in checksummed batches.
//!
//! See the module above for the format. A journal that ends in the middle of a batch, or whose
//! batch fails its checksum, ends before it: what follows was never acknowledged.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::super::disk::{Disk, File, Open, ROOT};
use super::super::types::Position;
use super::ledger::Ledger;
use super::record::{Record, take};

/// The version of the journal and index formats. A newer one is refused.
pub(super) const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"ipfskjnl";
/// Magic, version, sequence number, length of the body, CRC32C.
const HEAD: usize = 8 + 4 + 8 + 4 + 4;
/// Length and CRC32C before a batch.
const BATCH_HEAD: usize = 8;
/// A longer journal is not ours: merges keep it far below.
const LEN_MAX: u64 = 1 << 30;
/// A file with a greater number is no journal of ours: numbers must have room to go on.
const SEQ_MAX: u64 = u64::MAX / 2;

/// What was stored when a journal began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Base {
    /// Every frame before this position is in the index.
    pub(super) covered: Position,
    /// The number of the next segment; numbers are never used again.
    pub(super) next_segment: u32,
    /// Whether there is an index that goes with this journal.
    pub(super) indexed: bool,
    pub(super) ledger: Ledger,
    /// Dead frames at or after `covered`, which only a rebuild leaves.
    pub(super) gone: Vec<Position>,
    /// The checksum at the end of the journal before.
    pub(super) before: u32,
}

/// The journal that is written to.
pub(super) struct Journal {
    pub(super) seq: u64,
    pub(super) file: Arc<dyn File>,
    /// Where the next batch goes.
    pub(super) len: u64,
    /// The checksum of the last batch, which the next one continues: an old batch that a crash
    /// left behind the end cannot be taken for a new one.
    pub(super) chain: u32,
    /// The end of what is known to be durable.
    pub(super) synced: u64,
    /// The end of what must be durable before a delete is acknowledged.
    pub(super) deletes: u64,
}

/// A journal as it was read.
pub(super) struct Loaded {
    pub(super) journal: Journal,
    pub(super) base: Base,
    pub(super) records: Vec<Record>,
}

/// Why a journal cannot be used.
pub(super) enum Unusable {
    Io(io::Error),
    /// Its header is damaged.
    Damaged,
    Newer(u32),
}

impl Journal {
    /// Writes a new journal and makes it durable.
    ///
    /// # Errors
    /// As the operating system says. `Err(Ok(e))`: no file is left. `Err(Err(e))`: a sync failed.
    pub(super) fn create(
        disk: &dyn Disk,
        seq: u64,
        base: &Base,
    ) -> Result<Self, Result<io::Error, io::Error>> {
        let name = journal_name(seq);
        let file = disk.open(&name, Open::Create).map_err(Ok)?;
        let (bytes, chain) = encode_header(seq, base);
        if let Err(error) = file.write_at(0, &[IoSlice::new(&bytes)]) {
            // One without a sound header is removed by the next opening if not now.
            drop(disk.unlink(&name));
            return Err(Ok(error));
        }
        file.sync()
            .and_then(|()| disk.sync_dir(ROOT))
            .map_err(Err)?;
        let len = bytes.len() as u64;
        Ok(Self {
            seq,
            file,
            len,
            chain,
            synced: len,
            deletes: 0,
        })
    }

    /// Appends a batch. It is durable with the next sync of the file.
    ///
    /// # Errors
    /// As the operating system says. `Err(Ok(e))`: nothing was appended. `Err(Err(e))`: the end of
    /// the journal is in doubt, and nothing may be appended any more.
    pub(super) fn append(
        &mut self,
        records: &[Record],
    ) -> Result<(), Result<io::Error, io::Error>> {
        let mut batch = vec![0; BATCH_HEAD];
        for record in records {
            record.write_to(&mut batch);
        }
        let len = (batch.len() - BATCH_HEAD) as u32;
        batch[..4].copy_from_slice(&len.to_le_bytes());
        let chain = batch_crc(self.chain, &batch);
        batch[4..8].copy_from_slice(&chain.to_le_bytes());
        if let Err(error) = self.file.write_at(self.len, &[IoSlice::new(&batch)]) {
            return Err(match self.file.set_len(self.len) {
                Ok(()) => Ok(error),
                Err(undo) => Err(undo),
            });
        }
        self.len += batch.len() as u64;
        self.chain = chain;
        Ok(())
    }

    /// Reads a journal.
    ///
    /// # Errors
    /// [`Unusable`].
    pub(super) fn load(disk: &dyn Disk, seq: u64) -> Result<Loaded, Unusable> {
        let read = || -> io::Result<(Arc<dyn File>, Vec<u8>)> {
            let name = journal_name(seq);
            // A repo that may only be read is still read.
            let file = disk
                .open(&name, Open::Write)
                .or_else(|error| match error.kind() {
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                        disk.open(&name, Open::Read)
                    }
                    _ => Err(error),
                })?;
            let len = file.len()?;
            let mut bytes = vec![0; if len > LEN_MAX { 0 } else { len as usize }];
            file.read_at(0, &mut bytes)?;
            Ok((file, bytes))
        };
        let (file, bytes) = read().map_err(Unusable::Io)?;
        let (base, header_len, chain) = decode_header(&bytes, seq)?;
        let mut journal = Journal {
            seq,
            file,
            len: header_len as u64,
            chain,
            synced: 0,
            deletes: 0,
        };
        let mut records = Vec::new();
        let mut rest = &bytes[header_len..];
        while let Some((batch, chain)) = next_batch(rest, journal.chain) {
            if !decode_batch(&batch[BATCH_HEAD..], &mut records) {
                break;
            }
            rest = &rest[batch.len()..];
            journal.len += batch.len() as u64;
            journal.chain = chain;
        }
        Ok(Loaded {
            journal,
            base,
            records,
        })
    }
}

/// The name of a journal file.
pub(super) fn journal_name(seq: u64) -> String {
    format!("journal-{seq:08}")
}

/// The number of a journal file.
pub(super) fn journal_seq(name: &str) -> Option<u64> {
    let seq = name.strip_prefix("journal-")?.parse().ok()?;
    (journal_name(seq) == name && seq <= SEQ_MAX).then_some(seq)
}

fn encode_header(seq: u64, base: &Base) -> (Vec<u8>, u32) {
    let mut body = Vec::new();
    body.extend_from_slice(&base.covered.as_u64().to_le_bytes());
    body.extend_from_slice(&base.next_segment.to_le_bytes());
    body.push(u8::from(base.indexed));
    body.extend_from_slice(&base.before.to_le_bytes());
    base.ledger.write_to(&mut body);
    body.extend_from_slice(&(base.gone.len() as u32).to_le_bytes());
    for position in &base.gone {
        body.extend_from_slice(&position.as_u64().to_le_bytes());
    }
    let mut out = Vec::with_capacity(HEAD + body.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&out), &body);
    out.extend_from_slice(&crc.to_le_bytes());
    out.append(&mut body);
    (out, crc)
}

fn decode_header(bytes: &[u8], seq: u64) -> Result<(Base, usize, u32), Unusable> {
    let parse = || -> Option<Result<(Base, usize, u32), Unusable>> {
        let mut rest = bytes;
        let magic = take::<8>(&mut rest)?;
        let version = u32::from_le_bytes(*take(&mut rest)?);
        let found = u64::from_le_bytes(*take(&mut rest)?);
        let len = u32::from_le_bytes(*take(&mut rest)?) as usize;
        let crc = u32::from_le_bytes(*take(&mut rest)?);
        let mut body = rest.get(..len)?;
        let sound = crc32c::crc32c_append(crc32c::crc32c(&bytes[..HEAD - 4]), body) == crc;
        if magic != MAGIC || !sound {
            return None;
        }
        // Only a sound header can be of a newer version; a damaged one is rebuilt.
        if version > FORMAT {
            return Some(Err(Unusable::Newer(version)));
        }
        let base = decode_base(&mut body)?;
        (found == seq && body.is_empty()).then_some(Ok((base, HEAD + len, crc)))
    };
    parse().unwrap_or(Err(Unusable::Damaged))
}

fn decode_base(bytes: &mut &[u8]) -> Option<Base> {
    let covered = Position::from_u64(u64::from_le_bytes(*take(bytes)?));
    let next_segment = u32::from_le_bytes(*take(bytes)?);
    let indexed = take::<1>(bytes)?[0] != 0;
    let before = u32::from_le_bytes(*take(bytes)?);
    let ledger = Ledger::read(bytes)?;
    let count = u32::from_le_bytes(*take(bytes)?) as usize;
    if count != bytes.len() / 8 {
        return None;
    }
    let gone = (0..count).map(|_| Some(Position::from_u64(u64::from_le_bytes(*take(bytes)?))));
    Some(Base {
        covered,
        next_segment,
        indexed,
        ledger,
        gone: gone.collect::<Option<_>>()?,
        before,
    })
}

/// The batch at the start of `bytes` and its checksum, if it is sound.
fn next_batch(bytes: &[u8], chain: u32) -> Option<(&[u8], u32)> {
    let len = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    if len == 0 {
        return None;
    }
    let batch = bytes.get(..BATCH_HEAD.checked_add(len)?)?;
    let crc = u32::from_le_bytes(*batch[4..].first_chunk()?);
    (batch_crc(chain, batch) == crc).then_some((batch, crc))
}

fn batch_crc(chain: u32, batch: &[u8]) -> u32 {
    crc32c::crc32c_append(
        crc32c::crc32c_append(chain, &batch[..4]),
        &batch[BATCH_HEAD..],
    )
}

/// Appends the records of a batch; none of them when one is malformed.
fn decode_batch(mut bytes: &[u8], records: &mut Vec<Record>) -> bool {
    let before = records.len();
    while !bytes.is_empty() {
        match Record::read(&mut bytes) {
            Some(record) => records.push(record),
            None => {
                records.truncate(before);
                return false;
            }
        }
    }
    true
}
