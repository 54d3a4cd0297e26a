//! Appending frames to the newest segment.
//!
//! Two ways to the disk. Where writes must be aligned (past the page cache), frames are copied
//! into a buffer ([`staging`](super::staging)). Elsewhere they are written from where they are with
//! one vectored write.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::super::disk::{Disk, File, Open};
use super::super::types::Position;
use super::super::{SegmentOptions, StoreError};
use super::fault::{Poison, disk_error};
use super::file::{FRAME_MAX, HEADER, ID_MAX, Segment, segment_name};
use super::staging::{Staging, Writer};
use crate::car::frame_prefix;
use crate::cid::Cid;

/// Frames in one vectored write: two parts each.
const FRAMES_MAX: usize = 512;

/// A block to be appended.
pub(super) struct Piece<'a> {
    pub(super) cid: &'a Cid,
    pub(super) data: &'a [u8],
}

/// The end of the store. Its lock orders the writers.
pub(super) struct Appender {
    disk: Arc<dyn Disk>,
    poison: Arc<Poison>,
    segment_size: u64,
    staging: usize,
    current: Option<Arc<Segment>>,
    /// Where the next frame goes.
    end: u64,
    /// An existing segment that is to be continued, once something is appended.
    resume: Option<(u32, u64)>,
    next_id: u32,
    /// Segments with data that is written but not durable.
    unsynced: Vec<Arc<Segment>>,
    /// A segment was created and its name is not durable.
    unnamed: bool,
    prefixes: Vec<u8>,
    writer: Writer,
}

/// What must be synced to make everything appended so far durable.
pub(super) struct Unsynced {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) unnamed: bool,
}

impl Appender {
    /// An end at which nothing is appended yet; `next_id` numbers the next new segment.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        poison: Arc<Poison>,
        options: &SegmentOptions,
        next_id: u32,
    ) -> Self {
        Self {
            disk,
            poison,
            segment_size: options.segment_size,
            staging: options.staging,
            current: None,
            end: 0,
            resume: None,
            next_id,
            unsynced: Vec::new(),
            unnamed: false,
            prefixes: Vec::new(),
            writer: Writer::new(options.background),
        }
    }

    /// Where the next frame goes, or before.
    pub(super) fn position(&self) -> Position {
        match (&self.current, self.resume) {
            (Some(segment), _) => Position::new(segment.id, self.end as u32),
            (None, Some((id, end))) => Position::new(id, end as u32),
            (None, None) => Position::new(self.next_id, 0),
        }
    }

    /// Continues an existing segment, and where its data ends.
    pub(super) fn resume(&mut self, resume: Option<(u32, u64)>) {
        self.resume = resume;
    }

    pub(super) fn next_id(&self) -> u32 {
        self.next_id
    }

    /// The number of the segment that is appended to.
    pub(super) fn current_id(&self) -> Option<u32> {
        let resumed = self.resume.map(|(id, _)| id);
        self.current.as_ref().map(|segment| segment.id).or(resumed)
    }

    /// Counts a segment as not durable that somebody else found.
    pub(super) fn add_unsynced(&mut self, segment: Arc<Segment>) {
        self.unnamed = true;
        self.unsynced.push(segment);
    }

    /// Appends the pieces in their order and pushes the position of each that was appended.
    /// `on_segment` hears of every segment that becomes the current one.
    ///
    /// # Errors
    /// Some of the pieces may have been appended then: those whose position was pushed.
    pub(super) fn append(
        &mut self,
        pieces: &[Piece<'_>],
        on_segment: &mut dyn FnMut(&Arc<Segment>),
        positions: &mut Vec<Position>,
    ) -> Result<(), StoreError> {
        let mut rest = pieces;
        while let Some(first) = rest.first() {
            let segment = self.segment_for(frame_len(first), on_segment)?;
            let mut end = self.end;
            let fits = |piece: &&Piece<'_>| {
                let start = end;
                end += frame_len(piece);
                end <= self.segment_size || start == HEADER.len() as u64
            };
            let count = rest.iter().take(FRAMES_MAX).take_while(fits).count();
            let (run, left) = rest.split_at(count);
            let start = self.end;
            self.write_run(&segment, run)?;
            let mut at = start;
            for piece in run {
                positions.push(Position::new(segment.id, at as u32));
                at += frame_len(piece);
            }
            rest = left;
        }
        Ok(())
    }

    /// Writes what is staged, and takes what must be synced from now on.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] and [`StoreError::Io`]; nothing is lost, a later call may succeed.
    pub(super) fn flush(&mut self) -> Result<Unsynced, StoreError> {
        if let Some(segment) = self.current.clone() {
            let flushed = self.writer.flush(&segment);
            flushed.map_err(|error| self.error("write", &segment, error))?;
        }
        let unnamed = std::mem::take(&mut self.unnamed);
        Ok(Unsynced {
            segments: std::mem::take(&mut self.unsynced),
            unnamed,
        })
    }

    /// Ends the current segment, so that the next frame opens a new one.
    ///
    /// # Errors
    /// As [`Appender::flush`].
    pub(super) fn seal(&mut self) -> Result<(), StoreError> {
        self.resume = None;
        let Some(segment) = self.current.clone() else {
            return Ok(());
        };
        self.trim()?;
        self.current = None;
        *segment.staging().write() = Staging::default();
        Ok(())
    }

    /// Writes what is staged and cuts the padding off.
    ///
    /// # Errors
    /// As [`Appender::flush`].
    pub(super) fn trim(&mut self) -> Result<(), StoreError> {
        let Some(segment) = self.current.clone() else {
            return Ok(());
        };
        let trimmed = self.writer.flush(&segment).and_then(|()| {
            let file = segment.file()?;
            if file.alignment() > 1 {
                file.set_len(self.end)
            } else {
                Ok(())
            }
        });
        trimmed.map_err(|error| self.error("write", &segment, error))
    }

    /// The segment that takes a frame of this length next.
    fn segment_for(
        &mut self,
        len: u64,
        on_segment: &mut dyn FnMut(&Arc<Segment>),
    ) -> Result<Arc<Segment>, StoreError> {
        if let Some((id, end)) = self.resume {
            self.reopen(id, end)?;
            self.resume = None;
        }
        if self.current.is_some()
            && self.end + len > self.segment_size
            && self.end > HEADER.len() as u64
        {
            self.seal()?;
        }
        let segment = match &self.current {
            Some(segment) => Arc::clone(segment),
            None => self.create()?,
        };
        on_segment(&segment);
        Ok(segment)
    }

    fn reopen(&mut self, id: u32, end: u64) -> Result<(), StoreError> {
        let name = segment_name(id);
        let opened = || -> io::Result<(Arc<dyn File>, Staging)> {
            let file = self.disk.open(
                &name,
                Open::Append {
                    capacity: self.capacity(),
                },
            )?;
            let align = file.alignment() as u64;
            // What a crash left behind the end goes.
            if file.len()? > end.div_ceil(align) * align {
                file.set_len(end.div_ceil(align) * align)?;
            }
            if align == 1 {
                return Ok((file, Staging::default()));
            }
            let base = end / align * align;
            let mut last = vec![0; (end - base) as usize];
            file.read_at(base, &mut last)?;
            let staging = Staging::starting(base, &last, self.staging_len(&*file))?;
            Ok((file, staging))
        };
        let (file, staging) =
            opened().map_err(|error| disk_error("open", &*self.disk, &name, error))?;
        let segment = Segment::appendable(Arc::clone(&self.disk), id, end, file, staging);
        self.current = Some(Arc::new(segment));
        self.end = end;
        Ok(())
    }

    fn create(&mut self) -> Result<Arc<Segment>, StoreError> {
        let (id, name) = (self.next_id, segment_name(self.next_id));
        let how = Open::CreateAppend {
            capacity: self.capacity(),
        };
        let opened = if id <= ID_MAX {
            self.disk.open(&name, how)
        } else {
            Err(io::Error::other("no numbers are left for segments"))
        };
        let file = opened.map_err(|error| disk_error("create", &*self.disk, &name, error))?;
        self.next_id += 1;
        self.unnamed = true;
        let staging = || -> io::Result<Staging> {
            if file.alignment() == 1 {
                file.write_at(0, &[IoSlice::new(HEADER)])?;
                return Ok(Staging::default());
            }
            Staging::starting(0, HEADER, self.staging_len(&*file))
        };
        let (staging, written) = match staging() {
            Ok(staging) if staging.is_used() => (staging, 0),
            Ok(staging) => (staging, HEADER.len() as u64),
            Err(error) => {
                // Left behind, it is an empty file that the next opening removes.
                drop(self.disk.unlink(&name));
                return Err(disk_error("write", &*self.disk, &name, error));
            }
        };
        let disk = Arc::clone(&self.disk);
        let segment = Arc::new(Segment::appendable(disk, id, written, file, staging));
        self.end = HEADER.len() as u64;
        self.current = Some(Arc::clone(&segment));
        Ok(segment)
    }

    /// Writes the pieces at the end, or nothing.
    fn write_run(&mut self, segment: &Arc<Segment>, run: &[Piece<'_>]) -> Result<(), StoreError> {
        let start = self.end;
        let mut prefixes = std::mem::take(&mut self.prefixes);
        prefixes.clear();
        let mut ends = [0; FRAMES_MAX];
        for (piece, end) in run.iter().zip(&mut ends) {
            frame_prefix(piece.cid, piece.data.len(), &mut prefixes);
            *end = prefixes.len();
        }
        let mut parts = Vec::with_capacity(2 * run.len());
        let mut from = 0;
        for (piece, &end) in run.iter().zip(&ends) {
            parts.push(&prefixes[from..end]);
            parts.push(piece.data);
            from = end;
        }
        if !self.unsynced.iter().any(|known| known.id == segment.id) {
            self.unsynced.push(Arc::clone(segment));
        }
        let staged = segment.staging().read().is_used();
        let written = if staged {
            self.writer.stage(segment, &parts)
        } else {
            write_vectored(segment, start, &parts)
        };
        self.prefixes = prefixes;
        written.map(|end| self.end = end).map_err(|error| {
            if let Err(undo) = self.writer.undo(segment, start) {
                self.poison
                    .set(&format!("cannot undo a failed write: {undo}"));
            }
            self.error("write", segment, error)
        })
    }

    fn staging_len(&self, file: &dyn File) -> usize {
        self.staging.next_multiple_of(file.alignment())
    }

    fn capacity(&self) -> u64 {
        self.segment_size + FRAME_MAX as u64
    }

    fn error(&self, action: &'static str, segment: &Segment, error: io::Error) -> StoreError {
        disk_error(action, &*self.disk, &segment.name(), error)
    }
}

fn frame_len(piece: &Piece<'_>) -> u64 {
    let body = (piece.cid.encoded_len() + piece.data.len()) as u64;
    crate::varint::len(body) as u64 + body
}

fn write_vectored(segment: &Segment, start: u64, parts: &[&[u8]]) -> io::Result<u64> {
    let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    segment.file()?.write_at(start, &slices)?;
    let end = start + parts.iter().map(|part| part.len() as u64).sum::<u64>();
    segment.set_written(end);
    Ok(end)
}
