//! What moves the bytes of a connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures::{AsyncRead, AsyncWrite};
use parking_lot::Mutex;

use super::MuxError;
use super::frame::{HEADER, Header};
use super::state::{Body, State};

/// What is read at once: a record of TLS.
const PIECE: usize = 16 << 10;

/// What is read before others have their turn.
const TURN: usize = 256 << 10;

/// The socket, and what is half way between it and the streams.
#[derive(Debug)]
pub struct Driver<C> {
    socket: C,
    /// Frames that are being written, and how much of them is.
    sending: Vec<u8>,
    sent: usize,
    unflushed: bool,
    /// The header that is being read, and how much of it is here.
    header: [u8; HEADER],
    have: usize,
    /// The body behind it.
    body: Option<Body>,
}

impl<C> Driver<C> {
    pub fn new(socket: C) -> Self {
        Self {
            socket,
            sending: Vec::new(),
            sent: 0,
            unflushed: false,
            header: [0; HEADER],
            have: 0,
            body: None,
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Driver<C> {
    /// Writes and reads as much as there is. Ready only with the error that the connection ends with.
    pub fn poll(&mut self, state: &Mutex<State>, cx: &mut Context<'_>) -> Poll<MuxError> {
        match self.poll_write(state, cx) {
            Poll::Ready(Err(error)) => return Poll::Ready(error.into()),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        // What that asks to be written wakes this task again.
        self.poll_read(state, cx)
    }

    /// Writes frames until there are none, or until the socket takes no more.
    pub fn poll_write(
        &mut self,
        state: &Mutex<State>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            while self.sent < self.sending.len() {
                let rest = &self.sending[self.sent..];
                match ready!(Pin::new(&mut self.socket).poll_write(cx, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => self.sent += written,
                }
                self.unflushed = true;
            }
            let next = state.lock().take_out(Instant::now(), cx.waker());
            self.sent = 0;
            self.sending = next.unwrap_or_default();
            if !self.sending.is_empty() {
                continue;
            }
            if self.unflushed {
                ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
                self.unflushed = false;
            }
            return Poll::Ready(Ok(()));
        }
    }

    fn poll_read(&mut self, state: &Mutex<State>, cx: &mut Context<'_>) -> Poll<MuxError> {
        let mut turn = 0;
        while turn < TURN {
            let read = match self.body {
                None => ready!(self.poll_header(state, cx)),
                Some(body) => ready!(self.poll_body(state, cx, body)),
            };
            match read {
                Ok(read) => turn += read,
                Err(error) => return Poll::Ready(error),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_header(
        &mut self,
        state: &Mutex<State>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, MuxError>> {
        if self.have == 0 && state.lock().is_flooded() {
            // Goes on when something was written.
            return Poll::Pending;
        }
        let rest = &mut self.header[self.have..];
        let read = match ready!(Pin::new(&mut self.socket).poll_read(cx, rest)) {
            Ok(0) if self.have == 0 => return Poll::Ready(Err(MuxError::Closed)),
            Ok(0) => return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())),
            Ok(read) => read,
            Err(error) => return Poll::Ready(Err(error.into())),
        };
        self.have += read;
        if self.have == HEADER {
            self.have = 0;
            let header = Header::decode(self.header)?;
            self.body = state.lock().handle_header(header, Instant::now())?;
        }
        Poll::Ready(Ok(read))
    }

    fn poll_body(
        &mut self,
        state: &Mutex<State>,
        cx: &mut Context<'_>,
        body: Body,
    ) -> Poll<Result<usize, MuxError>> {
        let mut piece = vec![0; PIECE.min(body.left as usize)];
        let read = match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut piece)) {
            Ok(0) => return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())),
            Ok(read) => read,
            Err(error) => return Poll::Ready(Err(error.into())),
        };
        piece.truncate(read);
        // No more than `left`.
        let left = body.left - read as u32;
        let mut state = state.lock();
        state.handle_piece(body.stream, piece);
        self.body = (left > 0).then_some(Body { left, ..body });
        if left == 0 {
            state.handle_end(body);
        }
        Poll::Ready(Ok(read))
    }

    /// Writes what there is and closes the socket.
    pub fn poll_close(
        &mut self,
        state: &Mutex<State>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_write(state, cx))?;
        Pin::new(&mut self.socket).poll_close(cx)
    }
}
