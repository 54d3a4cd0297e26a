//! Tables: blocks of sorted records, an index of the blocks, a footer.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::manifest::table_path;
use super::parse::{Bytes, internal_key, masked_crc};
use super::{Change, LevelError};

const FOOTER: usize = 48;
const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
/// Behind each block: how it is compressed, and a checksum.
const TRAILER: usize = 5;
/// Longest block, before and after it is unpacked; usual are 4 KiB, and 1 MiB for an index.
const MAX_BLOCK: usize = 64 << 20;

/// A record of a table.
pub struct Record {
    pub key: Vec<u8>,
    pub sequence: u64,
    pub value: Change,
}

/// The records of a table from a key on.
pub struct Cursor {
    path: PathBuf,
    file: File,
    len: u64,
    index: Block,
    block: Option<Block>,
    from: Vec<u8>,
}

impl Cursor {
    /// Stands before the first key that is not before `from`.
    pub fn open(dir: &Path, number: u64, from: &[u8]) -> Result<Self, LevelError> {
        let path = table_path(dir, number)?;
        let io = |error| LevelError::io(&path, error);
        let file = File::open(&path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        let mut footer = [0; FOOTER];
        let at = len
            .checked_sub(FOOTER as u64)
            .ok_or_else(|| LevelError::damaged(&path, "it is too short"))?;
        file.read_exact_at(&mut footer, at).map_err(io)?;
        let index = index_of(&footer)
            .ok_or_else(|| LevelError::damaged(&path, "it has no footer of a table"))?;
        let index = read_block(&path, &file, len, index)?;
        Ok(Self {
            path,
            file,
            len,
            index,
            block: None,
            from: from.to_vec(),
        })
    }

    /// The next record.
    pub fn next(&mut self) -> Result<Option<Record>, LevelError> {
        loop {
            let Some(block) = &mut self.block else {
                if !self.next_block()? {
                    return Ok(None);
                }
                continue;
            };
            let Some(next) = block.next() else {
                self.block = None;
                continue;
            };
            let record = next.and_then(|()| {
                let (key, sequence, is_put) = internal_key(&block.key)?;
                Some(Record {
                    key: key.to_vec(),
                    sequence,
                    value: is_put.then(|| block.value().to_vec()),
                })
            });
            let record = record.ok_or_else(|| {
                LevelError::damaged(&self.path, "a block holds something that is no record")
            })?;
            if record.key >= self.from {
                return Ok(Some(record));
            }
        }
    }

    /// Goes to the next block that may hold a wanted key; false at the end.
    fn next_block(&mut self) -> Result<bool, LevelError> {
        let damaged = |path: &Path| LevelError::damaged(path, "its index cannot be read");
        loop {
            match self.index.next() {
                None => return Ok(false),
                Some(None) => return Err(damaged(&self.path)),
                Some(Some(())) => {}
            }
            // Not before any key of the block.
            let last = internal_key(&self.index.key).map(|(key, ..)| key.to_vec());
            let handle = handle(&mut Bytes(self.index.value()));
            let (Some(last), Some(handle)) = (last, handle) else {
                return Err(damaged(&self.path));
            };
            if last >= self.from {
                self.block = Some(read_block(&self.path, &self.file, self.len, handle)?);
                return Ok(true);
            }
        }
    }
}

type Handle = (usize, usize);

fn handle(bytes: &mut Bytes<'_>) -> Option<Handle> {
    Some((bytes.size()?, bytes.size()?))
}

/// Where the index is: behind the place of what describes filters, which are not needed.
fn index_of(footer: &[u8; FOOTER]) -> Option<Handle> {
    let (handles, magic) = footer.split_at(FOOTER - 8);
    (Bytes(magic).u64()? == MAGIC).then_some(())?;
    let mut bytes = Bytes(handles);
    handle(&mut bytes)?;
    handle(&mut bytes)
}

fn read_block(
    path: &Path,
    file: &File,
    file_len: u64,
    (at, len): Handle,
) -> Result<Block, LevelError> {
    let damaged = |reason| LevelError::damaged(path, reason);
    let end = (at as u64).checked_add(len as u64 + TRAILER as u64);
    if len > MAX_BLOCK || end.is_none_or(|end| end > file_len) {
        return Err(damaged("a block is not within the file"));
    }
    let mut data = vec![0; len + TRAILER];
    file.read_exact_at(&mut data, at as u64)
        .map_err(|error| LevelError::io(path, error))?;
    let (content, trailer) = data.split_at(len);
    let (kind, crc) = (trailer[0], Bytes(&trailer[1..]).u32());
    if Some(masked_crc(&[content, &[kind]])) != crc {
        return Err(damaged("the checksum of a block is wrong"));
    }
    let unpacked = match kind {
        0 => {
            data.truncate(len);
            data
        }
        1 => {
            let too_long = snap::raw::decompress_len(content).map_or(true, |len| len > MAX_BLOCK);
            if too_long {
                return Err(damaged("a packed block is too long"));
            }
            let unpacked = snap::raw::Decoder::new().decompress_vec(content);
            unpacked.map_err(|_| damaged("a block cannot be unpacked"))?
        }
        _ => return Err(damaged("a block is packed in an unknown way")),
    };
    Block::new(unpacked).ok_or_else(|| damaged("a block has no end"))
}

/// Sorted records, each without what its key has in common with the one before.
struct Block {
    data: Vec<u8>,
    /// Where the records end.
    end: usize,
    at: usize,
    key: Vec<u8>,
    value: (usize, usize),
}

impl Block {
    fn new(data: Vec<u8>) -> Option<Self> {
        let restarts = data.len().checked_sub(4)?;
        let count = Bytes(&data[restarts..]).u32()? as usize;
        let end = restarts.checked_sub(count.checked_mul(4)?)?;
        Some(Self {
            data,
            end,
            at: 0,
            key: Vec::new(),
            value: (0, 0),
        })
    }

    /// Goes to the next record: `None` at the end, `Some(None)` when there is something else.
    fn next(&mut self) -> Option<Option<()>> {
        (self.at < self.end).then(|| self.parse())
    }

    fn parse(&mut self) -> Option<()> {
        let mut bytes = Bytes(&self.data[self.at..self.end]);
        let shared = bytes.size()?;
        let own = bytes.size()?;
        let len = bytes.size()?;
        let own = bytes.take(own)?;
        bytes.take(len)?;
        if shared > self.key.len() {
            return None;
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(own);
        self.at = self.end - bytes.0.len();
        self.value = (self.at - len, self.at);
        Some(())
    }

    fn value(&self) -> &[u8] {
        &self.data[self.value.0..self.value.1]
    }
}
