//! Finding the frames of a segment again, whatever a crash or the disk did to it.
//!
//! Frames are followed from one to the next, and each is checked against its CID. Where a frame is
//! damaged, its length may still lead to a sound one; otherwise the next sound frame is searched
//! byte by byte. Bytes of a block may look like frames and be found by that: then they are blocks
//! that match their CIDs, and harmless.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::{io, thread};

use bytes::Bytes;

use super::file::{FRAME_MAX, Segment};
use crate::car::{self, Frame};
use crate::cid::Cid;
use crate::hash;

/// What is looked at at once, in bytes; longer than any frame.
const WINDOW: usize = 2 * FRAME_MAX;
/// Less than this is hashed by one thread, in bytes.
const PARALLEL_MIN: usize = 1 << 20;
const THREADS_MAX: usize = 8;
/// What a search may hash for each byte of the segment: hostile blocks can be made to look like
/// many long frames, and must not stop an opening for hours.
const SEARCH_FACTOR: u64 = 16;

/// A sound frame.
pub(super) struct Found {
    pub(super) offset: u64,
    /// Where the next frame begins.
    pub(super) end: u64,
    pub(super) cid: Cid,
    pub(super) data: Bytes,
}

/// Calls `on_frames` with the sound frames from `from` on, in order and some at a time: where the
/// last of them ends, or `from`.
///
/// # Errors
/// The segment cannot be read; or what `on_frames` returns.
pub(super) fn scan<E>(
    segment: &Segment,
    from: u64,
    on_frames: &mut dyn FnMut(Vec<Found>) -> Result<(), E>,
) -> Result<u64, E>
where
    E: From<io::Error>,
{
    let end = segment.written();
    let mut budget = (end - from.min(end)) * SEARCH_FACTOR + (64 << 20);
    let (mut at, mut sound_end) = (from, from);
    while at < end {
        let window = window_at(segment, at, end)?;
        let chain = follow(&window);
        let sound = check_all(&window, &chain);
        let mut found = Vec::with_capacity(chain.len());
        let mut broken = None;
        for (number, (offset, frame)) in chain.iter().enumerate() {
            if sound[number] {
                sound_end = at + (offset + frame.len()) as u64;
                let data = window.slice(offset + frame.data.start..offset + frame.data.end);
                let (offset, cid) = (at + *offset as u64, frame.cid.clone());
                found.push(Found {
                    offset,
                    end: sound_end,
                    cid,
                    data,
                });
            } else if sound.get(number + 1) != Some(&true) {
                broken = Some(at + *offset as u64 + 1);
                break;
            }
        }
        if !found.is_empty() {
            on_frames(found)?;
        }
        let followed = chain
            .last()
            .map_or(0, |(offset, frame)| offset + frame.len());
        at = match broken {
            Some(from) => search(segment, from, end, &mut budget)?,
            // The window cut a frame: go on with it.
            None if followed > 0 && window.len() == WINDOW => at + followed as u64,
            None => search(segment, at + followed.max(1) as u64, end, &mut budget)?,
        };
    }
    Ok(sound_end)
}

/// The frames of a segment in a row, unchecked, until the first that is none.
pub(super) fn follow_unchecked(
    segment: &Segment,
    from: u64,
    on_frame: &mut dyn FnMut(u64, &Cid),
) -> io::Result<()> {
    let end = segment.written();
    let mut at = from;
    while at < end {
        let window = window_at(segment, at, end)?;
        let chain = follow(&window);
        for (offset, frame) in &chain {
            on_frame(at + *offset as u64, &frame.cid);
        }
        match chain.last() {
            Some((offset, frame)) => at += (offset + frame.len()) as u64,
            None => return Ok(()),
        }
    }
    Ok(())
}

fn window_at(segment: &Segment, at: u64, end: u64) -> io::Result<Bytes> {
    segment.bytes(at, WINDOW.min((end - at) as usize))
}

/// Frames in a row that lie in the window whole, and where.
fn follow(window: &[u8]) -> Vec<(usize, Frame)> {
    let mut chain = Vec::new();
    let mut at = 0;
    while let Ok(Some(frame)) = car::read_frame(&window[at..]) {
        let len = frame.len();
        chain.push((at, frame));
        at += len;
    }
    chain
}

fn check_all(window: &[u8], chain: &[(usize, Frame)]) -> Vec<bool> {
    let check = |(offset, frame): &(usize, Frame)| {
        hash::verify(
            &frame.cid,
            &window[offset + frame.data.start..offset + frame.data.end],
        )
        .is_ok()
    };
    let bytes: usize = chain.iter().map(|(_, frame)| frame.len()).sum();
    if bytes < PARALLEL_MIN {
        return chain.iter().map(check).collect();
    }
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(THREADS_MAX);
    let next = AtomicUsize::new(0);
    let work = || -> Vec<(usize, bool)> {
        let mut done = Vec::new();
        while let number = next.fetch_add(1, Ordering::Relaxed)
            && let Some(frame) = chain.get(number)
        {
            done.push((number, check(frame)));
        }
        done
    };
    let mut sound = vec![false; chain.len()];
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut parts = vec![work()];
        // A thread that panicked leaves its frames unsound.
        parts.extend(others.into_iter().filter_map(|other| other.join().ok()));
        for (number, is) in parts.into_iter().flatten() {
            sound[number] = is;
        }
    });
    sound
}

/// The offset of the next sound frame, or the end.
fn search(segment: &Segment, from: u64, end: u64, budget: &mut u64) -> io::Result<u64> {
    let mut at = from;
    while at < end {
        let window = window_at(segment, at, end)?;
        // The end of a window is looked at again with what follows it.
        let last = at + window.len() as u64 == end;
        let until = if last {
            window.len()
        } else {
            window.len() - FRAME_MAX
        };
        let mut offset = 0;
        while offset < until {
            // Zeros begin no frame, and there may be many.
            match window[offset..until].iter().position(|byte| *byte != 0) {
                Some(zeros) => offset += zeros,
                None => break,
            }
            if is_sound(&window[offset..], budget) {
                return Ok(at + offset as u64);
            }
            offset += 1;
        }
        at += until as u64;
    }
    Ok(end)
}

fn is_sound(bytes: &[u8], budget: &mut u64) -> bool {
    let Ok(Some(frame)) = car::read_frame(bytes) else {
        return false;
    };
    if frame.cid.check().is_err() || frame.data.len() as u64 > *budget {
        return false;
    }
    *budget -= frame.data.len() as u64;
    hash::verify(&frame.cid, &bytes[frame.data]).is_ok()
}
