//! A stream as its connection has it.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

use super::window::Window;

/// Bodies and frames up to this length are put together with those before, up to this length in all.
pub const SMALL: usize = 1 << 10;
pub const TOGETHER: usize = 4 << 10;

/// The list of what came keeps room for so many pieces.
const KEPT: usize = 32;

/// One stream.
#[derive(Debug)]
pub struct Entry {
    pub window: Window,
    /// What came and was not read.
    pub chunks: VecDeque<Vec<u8>>,
    /// What may be sent.
    pub credit: u32,
    /// Go with the next frame: SYN or ACK.
    pub flags: u16,
    /// The peer sends nothing more.
    pub ended: bool,
    /// We send nothing more.
    pub closed: bool,
    /// The peer gave it up.
    pub reset: bool,
    pub reader: Option<Waker>,
    pub writer: Option<Waker>,
}

impl Entry {
    pub fn new(flags: u16, credit: u32, now: Instant) -> Self {
        Self {
            window: Window::new(now),
            chunks: VecDeque::new(),
            credit,
            flags,
            ended: false,
            closed: false,
            reset: false,
            reader: None,
            writer: None,
        }
    }

    pub fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }

    pub fn push(&mut self, mut piece: Vec<u8>) {
        if piece.len() <= SMALL
            && let Some(last) = self.chunks.back_mut()
            && last.len() + piece.len() <= TOGETHER
        {
            last.extend_from_slice(&piece);
        } else {
            if piece.capacity() > 2 * piece.len() {
                piece.shrink_to_fit();
            }
            self.chunks.push_back(piece);
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Moves chunks to `taken` until there are `wanted` bytes. Returns how many these are.
    pub fn take(&mut self, wanted: usize, taken: &mut VecDeque<Vec<u8>>) -> usize {
        let mut bytes = 0;
        while bytes < wanted
            && let Some(chunk) = self.chunks.pop_front()
        {
            bytes += chunk.len();
            taken.push_back(chunk);
        }
        if self.chunks.is_empty() && self.chunks.capacity() > KEPT {
            self.chunks = VecDeque::new();
        }
        bytes
    }
}
