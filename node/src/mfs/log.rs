//! `mfs.log`: the files that were put into the tree since its root was committed. A flush that only brought files appends
//! them here, one write and one sync for all who wait, instead of the blocks of every directory above them.
//!
//! Batches follow each other from the start of the file, each beginning at a multiple of 8 bytes, numbers little-endian:
//!
//! ```text
//! "mfsb" | length of the rows u32 | generation u64 | number u32, from 0 | CRC32C of that and the rows u32 | rows
//! row: length u32 | size of the DAG u64 | CID | path
//! ```
//!
//! The generation is in `repo.redb` beside the root and grows with each root, so that a new root ends what is in the file,
//! which is written over from its start. It is made of zeros that are on the disk before it is used: a sync of bytes
//! that replace others needs no change of the file system's own records. A batch that cannot be read was never
//! acknowledged, unless a later one of its generation can: that is damage.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::store::disk::{Disk, File, Folder, Image, Open, ROOT, Recorded};
use ipfs_kit_unixfs::directory::Target;
use parking_lot::Mutex;

use crate::error::{Error, Result};

const NAME: &str = "mfs.log";
const MAGIC: &[u8; 4] = b"mfsb";
const HEAD: usize = 4 + 4 + 8 + 4 + 4;
const ALIGN: usize = 8;

/// The file's first length. It grows to four times its length when it is full.
const LEN_MIN: u64 = 64 << 10;

/// The file's greatest length.
const LEN_MAX: u64 = 4 << 20;

/// A file that was put into the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Where.
    pub path: String,
    /// What.
    pub target: Target,
}

impl Put {
    /// Of a row without its length.
    pub fn read(row: &[u8]) -> Option<Self> {
        let (tsize, rest) = row.split_first_chunk()?;
        let (cid, len) = Cid::read(rest).ok()?;
        Some(Self {
            path: std::str::from_utf8(&rest[len..]).ok()?.to_owned(),
            target: Target {
                cid,
                tsize: u64::from_le_bytes(*tsize),
            },
        })
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.target.tsize.to_le_bytes());
        self.target.cid.write_to(out);
        out.extend_from_slice(self.path.as_bytes());
    }
}

/// The log of one repo.
pub struct Log {
    disk: Arc<dyn Disk>,
    end: Mutex<End>,
}

/// Where the next batch goes.
#[derive(Default)]
struct End {
    file: Option<Arc<dyn File>>,
    /// Of the file.
    len: u64,
    generation: u64,
    at: u64,
    number: u32,
    /// What is in the file is not known since a write or sync failed.
    failed: bool,
}

impl Log {
    /// The log in the directory of a repo; nothing is opened yet. Without a directory it is in memory.
    pub fn new(repo: Option<&Path>) -> Self {
        match repo {
            Some(repo) => Self::on(Arc::new(Folder::new(repo, false))),
            None => Self::on(Arc::new(Recorded::new(Image::default()).without_record())),
        }
    }

    fn on(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            end: Mutex::default(),
        }
    }

    /// The files of a generation, in order.
    ///
    /// # Errors
    /// What the disk says; a file that is damaged.
    pub fn read(&self, generation: u64) -> Result<Vec<Put>> {
        // Half of a batch that is being written would look like damage.
        let _end = self.end.lock();
        Ok(self.load(generation)?.0)
    }

    fn load(&self, generation: u64) -> Result<(Vec<Put>, End)> {
        let mut end = End {
            generation,
            ..End::default()
        };
        let file = match self.disk.open(NAME, Open::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), end)),
            file => file.map_err(self.failed("open"))?,
        };
        end.len = file.len().map_err(self.failed("read"))?;
        let mut bytes = vec![0; end.len.min(LEN_MAX) as usize];
        file.read_at(0, &mut bytes).map_err(self.failed("read"))?;
        let mut puts = Vec::new();
        while let Some((rows, next)) = batch(&bytes, end.at as usize, generation, end.number) {
            decode(rows, &mut puts).ok_or_else(|| self.damaged())?;
            end.at = next as u64;
            end.number += 1;
        }
        let mut behind = (end.at as usize..bytes.len()).step_by(ALIGN);
        let later = behind.any(|at| {
            number(&bytes[at..]).is_some_and(|number| {
                number > end.number && batch(&bytes, at, generation, number).is_some()
            })
        });
        if later {
            return Err(self.damaged());
        }
        Ok((puts, end))
    }

    /// Appends files to a generation, which begins with that if it is new; durable on return. False when there is no room
    /// for them: then the root has to be committed.
    ///
    /// # Errors
    /// As [`Log::read`]; they may be in the log or not.
    pub fn append(&self, generation: u64, puts: &[Put]) -> Result<bool> {
        let mut end = self.end.lock();
        if end.failed {
            return Ok(false);
        }
        if end.file.is_none() {
            *end = self.load(generation)?.1;
        }
        if generation < end.generation {
            // Of a tree whose root was replaced.
            return Ok(false);
        }
        if end.generation != generation {
            end.generation = generation;
            end.at = 0;
            end.number = 0;
        }
        let batch = encode(generation, end.number, puts);
        let needed = end.at + batch.len() as u64;
        if needed > LEN_MAX {
            return Ok(false);
        }
        // Set for good when one of the following fails: no sync is tried twice.
        end.failed = true;
        let file = match self.file(&mut end, needed) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                end.failed = false;
                end.file = None;
                return Ok(false);
            }
            file => file.map_err(self.failed("make"))?,
        };
        file.write_at(end.at, &[IoSlice::new(&batch)])
            .map_err(self.failed("write"))?;
        file.sync().map_err(self.failed("sync"))?;
        end.failed = false;
        end.at = needed;
        end.number += 1;
        Ok(true)
    }

    /// The file, made or grown to hold so much.
    fn file(&self, end: &mut End, needed: u64) -> io::Result<Arc<dyn File>> {
        let file = match &end.file {
            Some(file) => Arc::clone(file),
            None => match self.disk.open(NAME, Open::Write) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.disk.open(NAME, Open::Create)?
                }
                file => file?,
            },
        };
        if end.len < needed {
            let mut len = end.len.max(LEN_MIN);
            while len < needed {
                len = (len * 4).min(LEN_MAX);
            }
            let zeros = vec![0; (len - end.len) as usize];
            file.write_at(end.len, &[IoSlice::new(&zeros)])?;
            file.sync()?;
            end.len = len;
        }
        if end.file.is_none() {
            // Also one that is there: whoever made it may have been killed before this.
            self.disk.sync_dir(ROOT)?;
            end.file = Some(Arc::clone(&file));
        }
        Ok(file)
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = self.disk.path(NAME);
        move |source| Error::LocalFile {
            action,
            path,
            source,
        }
    }

    fn damaged(&self) -> Error {
        self.failed("read")(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file is damaged: what was flushed last is lost; remove the file to go on without it",
        ))
    }
}

fn encode(generation: u64, number: u32, puts: &[Put]) -> Vec<u8> {
    let mut out = vec![0; HEAD];
    for put in puts {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        put.write_to(&mut out);
        let len = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    }
    let len = (out.len() - HEAD) as u32;
    out[..4].copy_from_slice(MAGIC);
    out[4..8].copy_from_slice(&len.to_le_bytes());
    out[8..16].copy_from_slice(&generation.to_le_bytes());
    out[16..20].copy_from_slice(&number.to_le_bytes());
    let crc = checksum(&out);
    out[20..HEAD].copy_from_slice(&crc.to_le_bytes());
    out.resize(out.len().next_multiple_of(ALIGN), 0);
    out
}

/// Of a batch, whose checksum is not part of it.
fn checksum(batch: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&batch[..20]), &batch[HEAD..])
}

/// The number of the batch that seems to begin here.
fn number(bytes: &[u8]) -> Option<u32> {
    let head: &[u8; HEAD] = bytes.first_chunk()?;
    (&head[..4] == MAGIC).then(|| u32::from_le_bytes([head[16], head[17], head[18], head[19]]))
}

/// The rows of a batch if it is sound, and where the next begins.
fn batch(bytes: &[u8], at: usize, generation: u64, wanted: u32) -> Option<(&[u8], usize)> {
    let bytes = bytes.get(at..)?;
    if number(bytes)? != wanted {
        return None;
    }
    let len = u32::from_le_bytes(*bytes[4..].first_chunk()?) as usize;
    let batch = bytes.get(..HEAD.checked_add(len)?)?;
    let sound = batch[8..16] == generation.to_le_bytes()
        && batch[20..HEAD] == checksum(batch).to_le_bytes();
    sound.then(|| (&batch[HEAD..], (at + batch.len()).next_multiple_of(ALIGN)))
}

fn decode(mut rows: &[u8], puts: &mut Vec<Put>) -> Option<()> {
    while !rows.is_empty() {
        let (len, rest) = rows.split_first_chunk()?;
        let (row, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        rows = rest;
        puts.push(Put::read(row)?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use ipfs_kit_blockstore::store::disk::{Fault, FaultKind, Survives};

    use super::*;

    fn puts(from: usize, count: usize) -> Vec<Put> {
        (from..from + count)
            .map(|nth| Put {
                path: format!("/some/where/{nth}/{}", "x".repeat(nth % 90)),
                target: Target {
                    cid: "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
                        .parse()
                        .unwrap(),
                    tsize: nth as u64,
                },
            })
            .collect()
    }

    fn log(disk: &Recorded) -> Log {
        Log::on(Arc::new(disk.clone()))
    }

    #[test]
    fn files_are_read_back_and_end_with_their_generation() {
        let disk = Recorded::new(Image::default());
        let one = log(&disk);
        assert_eq!(one.read(3).unwrap(), []);
        assert!(one.append(3, &puts(0, 5)).unwrap());
        assert!(one.append(3, &puts(5, 1)).unwrap());
        assert_eq!(log(&disk).read(3).unwrap(), puts(0, 6));
        assert_eq!(one.read(4).unwrap(), []);
        // By another process, behind what is there.
        assert!(log(&disk).append(3, &puts(6, 2)).unwrap());
        assert_eq!(one.read(3).unwrap(), puts(0, 8));
        assert!(one.append(4, &puts(20, 1)).unwrap());
        assert_eq!(log(&disk).read(4).unwrap(), puts(20, 1));
        assert!(!one.append(3, &puts(0, 1)).unwrap(), "an old generation");
        assert_eq!(one.read(4).unwrap(), puts(20, 1));
    }

    #[test]
    fn it_grows_to_its_limit() {
        let disk = Recorded::new(Image::default());
        let log = log(&disk);
        let mut all = 0;
        while log.append(1, &puts(all, 1000)).unwrap() {
            all += 1000;
        }
        assert!(all > 30_000, "{all}");
        assert_eq!(log.read(1).unwrap(), puts(0, all));
        assert_eq!(disk.image().files[NAME].len() as u64, LEN_MAX);
        assert!(log.append(2, &puts(0, 1)).unwrap());
    }

    /// Whatever of what was not synced is lost: what was acknowledged is there, and nothing that was never appended.
    #[test]
    fn what_was_acknowledged_survives_a_crash() {
        let disk = Recorded::new(Image::default());
        let writer = log(&disk);
        // Of each generation: operations of the disk when so many files were acknowledged.
        let mut acknowledged = vec![(0, 1, 0)];
        for (generation, batches) in [(1, 9), (2, 4), (3, 60)] {
            acknowledged.push((disk.ops(), generation, 0));
            let mut all = 0;
            for batch in 0..batches {
                let more = 1 + batch * 7 % 40;
                assert!(writer.append(generation, &puts(all, more)).unwrap());
                all += more;
                acknowledged.push((disk.ops(), generation, all));
            }
        }
        let record = disk.record();
        let fates = [
            Survives::Lost,
            Survives::Whole,
            Survives::Torn(0x5555_5555_5555_5555),
            Survives::Torn(0xaaaa_aaaa_aaaa_aaaa),
            Survives::Torn(1),
        ];
        for at in 0..=record.len() {
            let pending = record.pending(at);
            let last = acknowledged.iter().rfind(|(ops, ..)| *ops <= at);
            let (_, generation, least) = *last.unwrap();
            for fate in fates {
                let image = record.crash(at, &pending, |_| fate);
                let found = log(&Recorded::new(image)).read(generation).unwrap();
                assert!(found.len() >= least, "{at}: {} of {least}", found.len());
                assert_eq!(found, puts(0, found.len()), "{at}");
            }
        }
    }

    #[test]
    fn damage_is_told_and_an_end_that_is_torn_is_none() {
        let disk = Recorded::new(Image::default());
        let writer = log(&disk);
        for nth in 0..10 {
            assert!(writer.append(7, &puts(nth, 1)).unwrap());
        }
        let image = disk.image();
        let len = puts(0, 10)
            .iter()
            .enumerate()
            .map(|(nth, put)| encode(7, nth as u32, std::slice::from_ref(put)).len())
            .collect::<Vec<_>>();
        let (last, whole) = (len[..9].iter().sum::<usize>(), len.iter().sum());
        for at in (0..whole).step_by(3) {
            let flipped = Recorded::new(image.clone());
            assert!(flipped.flip(NAME, at, 1 << (at % 8)));
            match log(&flipped).read(7) {
                Ok(found) if at >= last => assert!(found.len() >= 9, "byte {at}"),
                // What fills up to where the next one begins means nothing.
                Ok(found) => assert_eq!(found.len(), 10, "byte {at}"),
                Err(error) => assert!(at < last, "byte {at}: {error}"),
            }
        }
    }

    #[test]
    fn after_a_failed_sync_nothing_more_is_written() {
        let disk = Recorded::new(Image::default());
        let log = log(&disk);
        assert!(log.append(1, &puts(0, 1)).unwrap());
        disk.set_fault(Some(Fault {
            after: 0,
            kind: FaultKind::Sync,
            lasting: false,
        }));
        assert!(log.append(1, &puts(1, 1)).is_err());
        disk.set_fault(None);
        let ops = disk.ops();
        assert!(!log.append(1, &puts(1, 1)).unwrap());
        assert!(!log.append(2, &puts(1, 1)).unwrap());
        assert_eq!(disk.ops(), ops);
    }

    #[test]
    fn a_full_disk_is_no_error() {
        let disk = Recorded::new(Image::default());
        disk.set_capacity(Some(1000));
        let log = log(&disk);
        assert!(!log.append(1, &puts(0, 1)).unwrap());
        disk.set_capacity(None);
        assert!(log.append(1, &puts(0, 3)).unwrap());
        assert_eq!(log.read(1).unwrap(), puts(0, 3));
    }
}
