//! Fewer and larger calls to the system on connections with streams over TLS or Noise.
//!
//! The `yamux` crate writes a frame's header by itself and flushes behind every frame of 16 KiB, and TLS writes a record for
//! each write: two calls for 16 KiB, one of them for 34 bytes. [`Gather`] lies between the two and hands on what has come
//! together. TLS reads 4 KiB at a time: [`ReadAhead`] lies below it and reads more where more has come.
//!
//! Both hold memory only while bytes flow: an idle connection has none of it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite};

#[cfg(test)]
mod tests;

/// What is gathered before it is handed on: four records of TLS, which it writes with one call.
const GATHERED: usize = 64 << 10;

/// What is read at once.
const AHEAD: usize = 64 << 10;

/// A read of so much promises more.
const BUSY: usize = 4 << 10;

/// Buffers up to this length are kept by a connection that pauses.
const KEPT: usize = 512;

/// Collects writes. A flush right behind a write is put off until the task has run once more: until then, more may come.
/// So this is not for users that wait for a flush and do not poll again; `yamux` flushes whenever it is polled.
pub struct Gather<C> {
    inner: C,
    buffer: Vec<u8>,
    /// Of the buffer, so many bytes are handed on.
    start: usize,
    /// Written to since the last flush.
    fresh: bool,
}

impl<C> Gather<C> {
    pub fn new(inner: C) -> Self {
        Self {
            inner,
            buffer: Vec::new(),
            start: 0,
            fresh: false,
        }
    }
}

impl<C: AsyncWrite + Unpin> Gather<C> {
    fn poll_hand_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.start < self.buffer.len() {
            let rest = &self.buffer[self.start..];
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.start += written,
            }
        }
        self.start = 0;
        self.buffer.clear();
        Poll::Ready(Ok(()))
    }

    fn release(&mut self) {
        if self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Gather<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.buffer.len() >= GATHERED {
            ready!(this.poll_hand_on(cx))?;
        }
        let count = bytes.len().min(GATHERED - this.buffer.len());
        if this.buffer.capacity() < this.buffer.len() + count && count > KEPT {
            this.buffer.reserve_exact(GATHERED - this.buffer.len());
        }
        this.buffer.extend_from_slice(&bytes[..count]);
        this.fresh = true;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.fresh) {
            cx.waker().wake_by_ref();
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_hand_on(cx))?;
        this.release();
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_hand_on(cx))?;
        this.release();
        Pin::new(&mut this.inner).poll_close(cx)
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Gather<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buffer)
    }
}

/// Reads more than it is asked for once what was asked for came whole.
pub struct ReadAhead<C> {
    inner: C,
    buffer: Box<[u8]>,
    /// What of the buffer is still to be handed on.
    start: usize,
    end: usize,
    /// The last read gave all that was asked for, and much: there may be more.
    busy: bool,
}

impl<C> ReadAhead<C> {
    pub fn new(inner: C) -> Self {
        Self {
            inner,
            buffer: Box::default(),
            start: 0,
            end: 0,
            busy: false,
        }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for ReadAhead<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.start == this.end {
            if !this.busy || buffer.len() >= AHEAD {
                this.buffer = Box::default();
                let read = ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
                // Noise asks for the two bytes of a length: that these came says nothing.
                this.busy = read == buffer.len() && read >= BUSY;
                return Poll::Ready(Ok(read));
            }
            if this.buffer.is_empty() {
                this.buffer = vec![0; AHEAD].into_boxed_slice();
            }
            let read = Pin::new(&mut this.inner).poll_read(cx, &mut this.buffer);
            if !matches!(read, Poll::Ready(Ok(1..))) {
                this.buffer = Box::default();
            }
            (this.start, this.end) = (0, ready!(read)?);
            this.busy = this.end >= BUSY;
        }
        let ready = &this.buffer[this.start..this.end];
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        this.start += count;
        Poll::Ready(Ok(count))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for ReadAhead<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, parts)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_close(cx)
    }
}
