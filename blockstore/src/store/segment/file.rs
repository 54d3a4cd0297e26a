//! One segment file, and reading frames from it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::RwLock;

use super::super::disk::{Disk, File, Open, SEGMENTS};
use super::super::entry::Entry;
use super::staging::Staging;
use crate::block::Block;
use crate::car::{self, MAX_SECTION_LEN};
use crate::cid::Multihash;
use crate::varint;

/// The header of every segment: a CARv1 without roots.
pub(super) const HEADER: &[u8; 18] = b"\x11\xa2eroots\x80gversion\x01";
/// The longest frame: a section and its length.
pub(super) const FRAME_MAX: usize = MAX_SECTION_LEN + varint::MAX_LEN;

/// The greatest number of a segment. No store comes near it; a file that has a greater one is none
/// of ours, so that numbers go on from those that are without running over.
pub(super) const ID_MAX: u32 = u32::MAX / 2;

/// A segment file. Bytes below [`Segment::end`] never change.
pub(super) struct Segment {
    pub(super) id: u32,
    disk: Arc<dyn Disk>,
    file: OnceLock<Arc<dyn File>>,
    /// Where the data in the file ends. It goes back only when a write is undone before anyone
    /// was told of it.
    end: AtomicU64,
    /// What was appended but not written, when writes are aligned.
    staging: RwLock<Staging>,
}

impl Segment {
    /// A segment that exists, and is opened when it is first read.
    pub(super) fn existing(disk: Arc<dyn Disk>, id: u32, end: u64) -> Self {
        Self {
            id,
            disk,
            file: OnceLock::new(),
            end: AtomicU64::new(end),
            staging: RwLock::default(),
        }
    }

    /// A segment that is appended to.
    pub(super) fn appendable(
        disk: Arc<dyn Disk>,
        id: u32,
        end: u64,
        file: Arc<dyn File>,
        staging: Staging,
    ) -> Self {
        Self {
            id,
            disk,
            file: OnceLock::from(file),
            end: AtomicU64::new(end),
            staging: RwLock::new(staging),
        }
    }

    pub(super) fn name(&self) -> String {
        segment_name(self.id)
    }

    /// Where the data ends, staged data included.
    pub(super) fn end(&self) -> u64 {
        let staging = self.staging.read();
        self.end.load(Ordering::Acquire).max(staging.end())
    }

    /// Where the data in the file ends.
    pub(super) fn written(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    pub(super) fn set_written(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    pub(super) fn staging(&self) -> &RwLock<Staging> {
        &self.staging
    }

    pub(super) fn file(&self) -> io::Result<&Arc<dyn File>> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = self.disk.open(&self.name(), Open::Read)?;
        Ok(self.file.get_or_init(|| file))
    }

    /// The stored block, if the frame is the right one and its bytes are those that were put.
    /// `None` means damage.
    ///
    /// # Errors
    /// The file cannot be read; a file that is too short counts as damage.
    pub(super) fn read(&self, hash: &Multihash, entry: &Entry) -> io::Result<Option<Block>> {
        let offset = u64::from(entry.position.offset);
        match self.bytes(offset, entry.frame_len(hash) as usize) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            frame => Ok(sound(&frame?, hash, entry)),
        }
    }

    /// As [`Segment::read`], but `None` also when it would have to wait for the device.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn at_hand(&self, hash: &Multihash, entry: &Entry) -> io::Result<Option<Block>> {
        let offset = u64::from(entry.position.offset);
        let len = entry.frame_len(hash) as usize;
        let frame = match self.file.get() {
            // What is staged is in memory; a part of it may not be.
            _ if offset >= self.written() => {
                let staging = self.staging.read();
                match offset >= self.written() {
                    true => Some(self.staged(&staging, offset, len)?),
                    false => None,
                }
            }
            Some(file) if offset + len as u64 <= self.written() => file.at_hand(offset, len)?,
            _ => None,
        };
        Ok(frame.and_then(|frame| sound(&frame, hash, entry)))
    }

    /// Bytes below the end.
    pub(super) fn bytes(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let end = offset + len as u64;
        if end > self.written() {
            let staging = self.staging.read();
            // Staged data may begin anywhere in the range, because its begin is aligned and a
            // write may end while this waits for the lock; what is before it is in the file then.
            if end > self.written() {
                return self.staged(&staging, offset, len);
            }
        }
        self.file()?.slice(offset, len)
    }

    fn staged(&self, staging: &Staging, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut out = Vec::with_capacity(len);
        if offset < staging.begin() {
            let before = (staging.begin() - offset).min(len as u64) as usize;
            out.extend_from_slice(&self.file()?.slice(offset, before)?);
        }
        staging.copy(offset + out.len() as u64, len - out.len(), &mut out)?;
        Ok(out.into())
    }

    /// Reads from the device once more, past what may be kept of it in memory.
    pub(super) fn read_again(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut out = vec![0; len];
        self.file()?.read_at(offset, &mut out)?;
        Ok(out.into())
    }
}

/// The block of a frame, if it is the one that was put.
pub(super) fn sound(frame: &Bytes, hash: &Multihash, entry: &Entry) -> Option<Block> {
    let found = car::read_frame(frame).ok()??;
    let data = frame.slice(found.data.clone());
    let sound = found.cid.hash() == hash
        && data.len() == entry.len() as usize
        && crc32c::crc32c(&data) == entry.crc;
    sound.then(|| Block::trusted(found.cid, data))
}

/// The name of a segment file.
pub(super) fn segment_name(id: u32) -> String {
    format!("{SEGMENTS}/{id:08}.car")
}

/// The number of a segment file.
pub(super) fn segment_id(name: &str) -> Option<u32> {
    let id: u32 = name.strip_suffix(".car")?.parse().ok()?;
    let ours = segment_name(id).ends_with(&format!("/{name}"));
    (ours && (1..=ID_MAX).contains(&id)).then_some(id)
}
