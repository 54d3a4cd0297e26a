//! A stream as its user has it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite};
use parking_lot::Mutex;

use super::entry::SMALL;
use super::state::State;

/// A stream. Dropped before its end, it is given up in both directions.
pub struct Stream {
    id: u32,
    state: Arc<Mutex<State>>,
    /// What is being read: it is copied without the lock.
    chunks: VecDeque<Vec<u8>>,
    /// Of the first of them, so much was read.
    start: usize,
}

impl Stream {
    pub(super) fn new(id: u32, state: Arc<Mutex<State>>) -> Self {
        Self {
            id,
            state,
            chunks: VecDeque::new(),
            start: 0,
        }
    }

    fn copy(&mut self, buffer: &mut [u8]) -> usize {
        let mut copied = 0;
        while copied < buffer.len()
            && let Some(first) = self.chunks.front()
        {
            let rest = &first[self.start..];
            let count = rest.len().min(buffer.len() - copied);
            buffer[copied..copied + count].copy_from_slice(&rest[..count]);
            copied += count;
            self.start += count;
            if self.start == first.len() {
                self.chunks.pop_front();
                self.start = 0;
            }
        }
        copied
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(&self.id).finish()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let here: usize = this.chunks.iter().map(Vec::len).sum();
        let wanted = (buffer.len() + this.start).saturating_sub(here);
        if wanted > 0 {
            let mut state = this.state.lock();
            let more = state.read(this.id, wanted, &mut this.chunks, cx.waker());
            drop(state);
            // What is here already is given out before an error or a wait.
            if this.chunks.is_empty() {
                ready!(more)?;
            }
        }
        Poll::Ready(Ok(this.copy(buffer)))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut state = self.state.lock();
        let header = ready!(state.reserve(self.id, bytes.len(), cx.waker()))?;
        let count = header.length as usize;
        let body = &bytes[..count];
        if count <= SMALL {
            state.put(header, body);
        } else {
            drop(state);
            let frame = [&header.encode(), body].concat();
            self.state.lock().push(frame);
        }
        Poll::Ready(Ok(count))
    }

    /// What was written is on its way: the connection writes it as soon as it can.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.state.lock().close(self.id))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.state.lock().forget(self.id);
    }
}
