//! The end of a segment where writes must be aligned: frames are copied into a buffer, which is written
//! when it is full, while the next one is filled.
//!
//! A sync writes what there is, padded with zeros; the padded last piece is written again by the next
//! append. It then holds the same bytes followed by more, so that any mixture of old and new sectors
//! keeps what was synced. A buffer is written only after the one before it: the file never has a hole.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use memmap2::MmapMut;
use parking_lot::RwLockWriteGuard;

use super::file::Segment;

/// What is not written, or not for good: the last piece may be padded.
#[derive(Default)]
pub(super) struct Staging {
    /// A full buffer that is being written, or could not be. It ends at `base`.
    flight: Option<Arc<MmapMut>>,
    /// Where in the file the buffer begins, a multiple of the alignment.
    base: u64,
    len: usize,
    memory: Option<MmapMut>,
    /// A buffer that was written, for later.
    spare: Option<MmapMut>,
}

impl Staging {
    /// A buffer of `len` bytes, a multiple of the alignment, with the file's bytes from `base` on.
    pub(super) fn starting(base: u64, bytes: &[u8], len: usize) -> io::Result<Self> {
        let mut memory = MmapMut::map_anon(len)?;
        memory[..bytes.len()].copy_from_slice(bytes);
        Ok(Self {
            base,
            len: bytes.len(),
            memory: Some(memory),
            ..Self::default()
        })
    }

    /// Whether writes go through it.
    pub(super) const fn is_used(&self) -> bool {
        self.memory.is_some()
    }

    /// Where in the file it begins. Everything before is written.
    pub(super) fn begin(&self) -> u64 {
        self.base - self.flight.as_ref().map_or(0, |flight| flight.len() as u64)
    }

    /// Where what is staged ends.
    pub(super) const fn end(&self) -> u64 {
        self.base + self.len as u64
    }

    /// Appends `len` bytes from `offset` on, which must not be before the begin.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when they go beyond the end.
    pub(super) fn copy(&self, offset: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let end = offset + len as u64;
        let memory = self.memory.as_ref().filter(|_| end <= self.end());
        let memory = memory.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut at = offset;
        if let Some(flight) = self.flight.as_ref().filter(|_| at < self.base) {
            let begin = self.begin();
            let until = end.min(self.base);
            out.extend_from_slice(&flight[(at - begin) as usize..(until - begin) as usize]);
            at = until;
        }
        if at < end {
            out.extend_from_slice(&memory[(at - self.base) as usize..(end - self.base) as usize]);
        }
        Ok(())
    }

    /// The full buffer is to be written; another one takes its place.
    fn take_off(&mut self) -> io::Result<()> {
        let next = match self.spare.take() {
            Some(spare) => spare,
            None => MmapMut::map_anon(self.len)?,
        };
        self.flight = self.memory.replace(next).map(Arc::new);
        self.base += self.len as u64;
        self.len = 0;
        Ok(())
    }

    /// The buffer that was being written is not needed any more.
    fn land(&mut self) {
        self.spare = self.flight.take().and_then(Arc::into_inner);
    }

    /// Goes back to the buffer that could not be written, and forgets the next one.
    fn turn_back(&mut self) {
        if let Some(memory) = self.flight.take().and_then(Arc::into_inner) {
            self.base -= memory.len() as u64;
            self.len = memory.len();
            self.spare = self.memory.replace(memory);
        }
    }
}

/// Writes full buffers, one at a time, in a thread of its own if there may be one. Belongs to the
/// appender, whose lock orders all calls.
pub(super) struct Writer {
    background: bool,
    thread: Option<Thread>,
}

struct Thread {
    segments: SyncSender<Arc<Segment>>,
    outcomes: Receiver<io::Result<()>>,
    /// A buffer is being written, and its outcome not known.
    flying: bool,
}

impl Writer {
    pub(super) const fn new(background: bool) -> Self {
        Self {
            background,
            thread: None,
        }
    }

    /// Copies the parts behind what is staged. Returns where they end.
    ///
    /// # Errors
    /// A buffer cannot be written, perhaps one of an earlier call: all that was staged is kept.
    pub(super) fn stage(&mut self, segment: &Arc<Segment>, parts: &[&[u8]]) -> io::Result<u64> {
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                let mut staging = segment.staging().write();
                let len = staging.len;
                let Some(memory) = &mut staging.memory else {
                    return Err(io::Error::other("segment has no staging buffer"));
                };
                let room = rest.len().min(memory.len() - len);
                memory[len..len + room].copy_from_slice(&rest[..room]);
                let full = len + room == memory.len();
                staging.len += room;
                rest = &rest[room..];
                drop(staging);
                if full {
                    self.wait(segment)?;
                    segment.staging().write().take_off()?;
                    self.launch(segment)?;
                }
            }
        }
        Ok(segment.staging().read().end())
    }

    /// Writes what is staged, padded; keeps the last piece, unless it is full. Readers go on.
    ///
    /// # Errors
    /// As the operating system says; nothing is lost, a later call may succeed.
    pub(super) fn flush(&mut self, segment: &Segment) -> io::Result<()> {
        self.wait(segment)?;
        let file = segment.file()?;
        let align = file.alignment();
        let end = {
            let mut staging = segment.staging().write();
            let (len, end) = (staging.len, staging.end());
            let padded = len.div_ceil(align) * align;
            match &mut staging.memory {
                Some(memory) if end > segment.written() => memory[len..padded].fill(0),
                _ => return Ok(()),
            }
            // Nobody else changes the buffer now: the appender is locked.
            let staging = RwLockWriteGuard::downgrade(staging);
            let Some(memory) = &staging.memory else {
                return Ok(());
            };
            file.write_at(staging.base, &[IoSlice::new(&memory[..padded])])?;
            end
        };
        let mut staging = segment.staging().write();
        let kept = staging.len % align;
        let whole = staging.len - kept;
        if let Some(memory) = &mut staging.memory {
            memory.copy_within(whole..whole + kept, 0);
        }
        staging.base += whole as u64;
        staging.len = kept;
        segment.set_written(end);
        Ok(())
    }

    /// Takes back everything from `start` on.
    ///
    /// # Errors
    /// As the operating system says; where the data ends is in doubt then.
    pub(super) fn undo(&mut self, segment: &Segment, start: u64) -> io::Result<()> {
        // What cannot be written is still in its buffer.
        let _ = self.settle();
        let file = segment.file()?;
        let align = file.alignment() as u64;
        let mut staging = segment.staging().write();
        segment.set_written(segment.written().min(start));
        if !staging.is_used() {
            return file.set_len(start);
        }
        if start < staging.base {
            staging.turn_back();
        }
        if start >= staging.base {
            staging.len = (start - staging.base) as usize;
            return file.set_len(segment.written().div_ceil(align) * align);
        }
        // The beginning of what is undone was written: fetch the piece it begins in.
        let base = start / align * align;
        let len = (start - base) as usize;
        if let Some(memory) = &mut staging.memory {
            file.read_at(base, &mut memory[..len])?;
        }
        (staging.base, staging.len) = (base, len);
        file.set_len(start.div_ceil(align) * align)
    }

    /// Begins to write the buffer that has taken off.
    fn launch(&mut self, segment: &Arc<Segment>) -> io::Result<()> {
        if self.background && self.thread.is_none() {
            self.thread = Thread::start();
        }
        match &mut self.thread {
            Some(thread) if thread.segments.send(Arc::clone(segment)).is_ok() => {
                thread.flying = true;
                Ok(())
            }
            _ => write_flight(segment),
        }
    }

    /// Waits until no buffer of the segment is on its way. One that could not be written, and whose
    /// error was told, is tried again.
    fn wait(&mut self, segment: &Segment) -> io::Result<()> {
        self.settle()?;
        if segment.staging().read().flight.is_some() {
            write_flight(segment)?;
        }
        Ok(())
    }

    /// The outcome of what was being written, once.
    fn settle(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.as_mut().filter(|thread| thread.flying) else {
            return Ok(());
        };
        thread.flying = false;
        let outcome = thread.outcomes.recv();
        outcome.map_err(|_| io::Error::other("the writer of the store has ended"))?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nothing may be written once the store is no longer locked.
        let _ = self.settle();
    }
}

impl Thread {
    /// `None` when the system has no thread to give.
    fn start() -> Option<Self> {
        let (segments, queue) = sync_channel::<Arc<Segment>>(1);
        let (done, outcomes) = sync_channel(1);
        let work = move || {
            for segment in queue {
                let outcome = write_flight(&segment);
                drop(segment);
                if done.send(outcome).is_err() {
                    return;
                }
            }
        };
        let started = thread::Builder::new()
            .name("ipfs-kit-write".to_owned())
            .spawn(work);
        started.ok().map(|_| Self {
            segments,
            outcomes,
            flying: false,
        })
    }
}

/// Writes the buffer that has taken off. It stays when it cannot be written.
fn write_flight(segment: &Segment) -> io::Result<()> {
    let (flight, begin) = {
        let staging = segment.staging().read();
        (staging.flight.clone(), staging.begin())
    };
    let Some(flight) = flight else { return Ok(()) };
    segment.file()?.write_at(begin, &[IoSlice::new(&flight)])?;
    let len = flight.len();
    drop(flight);
    let mut staging = segment.staging().write();
    staging.land();
    segment.set_written(begin + len as u64);
    Ok(())
}
