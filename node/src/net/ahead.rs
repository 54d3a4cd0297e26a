//! Fewer and larger reads on connections over TLS or Noise.
//!
//! TLS reads 4 KiB at a time: [`ReadAhead`] lies below it and reads more where more has come. It holds memory only while
//! bytes flow: an idle connection has none of it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite};

#[cfg(test)]
mod tests;

/// What is read at once.
const AHEAD: usize = 64 << 10;

/// A read of so much promises more.
const BUSY: usize = 4 << 10;

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
