//! Connections and their streams.
//!
//! `quinn` keeps what was written until it is acknowledged, up to a fixed limit for each connection. Here the limit follows
//! twice the congestion window, which grows only with what the peer acknowledges.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::{AsyncRead, AsyncWrite};
use libp2p::PeerId;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::tls::certificate;
use rustls::pki_types::CertificateDer;
use tokio::time::Sleep;

use super::QuicError;
use super::settings::SEND_WINDOW_MIN;

/// The most that waits to be acknowledged.
const SEND_WINDOW_MAX: u64 = 64 << 20;

/// The window is looked at whenever so much was written.
const LOOK_EVERY: u64 = 256 << 10;

/// A connection whose handshake is under way.
pub struct Connecting {
    inner: quinn::Connecting,
    limit: Pin<Box<Sleep>>,
}

impl Connecting {
    pub fn new(inner: quinn::Connecting, limit: Duration) -> Self {
        Self {
            inner,
            limit: Box::pin(tokio::time::sleep(limit)),
        }
    }
}

impl Future for Connecting {
    type Output = Result<(PeerId, Connection), QuicError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(connection) = self.inner.poll_unpin(cx) {
            let connection = connection?;
            return Poll::Ready(Ok((peer_of(&connection)?, Connection::new(connection))));
        }
        ready!(self.limit.poll_unpin(cx));
        Poll::Ready(Err(QuicError::TimedOut))
    }
}

fn peer_of(connection: &quinn::Connection) -> Result<PeerId, QuicError> {
    let missing = || QuicError::Identity("no certificate".to_owned());
    let identity = connection.peer_identity().ok_or_else(missing)?;
    let certificates = identity.downcast::<Vec<CertificateDer<'static>>>();
    let certificates = certificates.map_err(|_| missing())?;
    let presented = certificates.first().ok_or_else(missing)?;
    let parsed = certificate::parse(presented);
    let parsed = parsed.map_err(|error| QuicError::Identity(error.to_string()))?;
    Ok(parsed.peer_id())
}

/// How much of what was written may wait.
struct Window {
    connection: quinn::Connection,
    written: AtomicU64,
}

impl Window {
    fn add(&self, bytes: usize) {
        let bytes = bytes as u64;
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        if before / LOOK_EVERY != (before + bytes) / LOOK_EVERY {
            let held = self.connection.congestion_state().window();
            let window = held.saturating_mul(2);
            self.connection
                .set_send_window(window.clamp(SEND_WINDOW_MIN, SEND_WINDOW_MAX));
        }
    }
}

type Opening =
    BoxFuture<'static, Result<(quinn::SendStream, quinn::RecvStream), quinn::ConnectionError>>;

/// A connection.
pub struct Connection {
    inner: quinn::Connection,
    window: Arc<Window>,
    incoming: Option<Opening>,
    outgoing: Option<Opening>,
    closing: Option<BoxFuture<'static, quinn::ConnectionError>>,
}

impl Connection {
    fn new(inner: quinn::Connection) -> Self {
        let window = Window {
            connection: inner.clone(),
            written: AtomicU64::new(0),
        };
        Self {
            inner,
            window: Arc::new(window),
            incoming: None,
            outgoing: None,
            closing: None,
        }
    }

    #[cfg(test)]
    pub(super) fn datagram(&self) -> u16 {
        self.inner.stats().path.current_mtu
    }

    fn stream(&self, (send, receive): (quinn::SendStream, quinn::RecvStream)) -> Stream {
        Stream {
            send,
            receive,
            window: Arc::clone(&self.window),
            closed: None,
        }
    }
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = QuicError;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Stream, QuicError>> {
        let this = &mut *self;
        let incoming = this.incoming.get_or_insert_with(|| {
            let connection = this.inner.clone();
            async move { connection.accept_bi().await }.boxed()
        });
        let halves = ready!(incoming.poll_unpin(cx))?;
        this.incoming = None;
        Poll::Ready(Ok(this.stream(halves)))
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Stream, QuicError>> {
        let this = &mut *self;
        let outgoing = this.outgoing.get_or_insert_with(|| {
            let connection = this.inner.clone();
            async move { connection.open_bi().await }.boxed()
        });
        let halves = ready!(outgoing.poll_unpin(cx))?;
        this.outgoing = None;
        Poll::Ready(Ok(this.stream(halves)))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), QuicError>> {
        let this = &mut *self;
        let closing = this.closing.get_or_insert_with(|| {
            let connection = this.inner.clone();
            connection.close(0_u32.into(), &[]);
            async move { connection.closed().await }.boxed()
        });
        match ready!(closing.poll_unpin(cx)) {
            quinn::ConnectionError::LocallyClosed => Poll::Ready(Ok(())),
            error => Poll::Ready(Err(error.into())),
        }
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, QuicError>> {
        // Connections do not migrate, and nothing else happens to them.
        Poll::Pending
    }
}

/// A stream.
pub struct Stream {
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    window: Arc<Window>,
    /// How closing ended: it may be asked for again.
    closed: Option<Result<(), io::ErrorKind>>,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if matches!(self.closed, Some(Err(_))) {
            return Poll::Ready(Ok(0));
        }
        AsyncRead::poll_read(Pin::new(&mut self.receive), cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(AsyncWrite::poll_write(Pin::new(&mut self.send), cx, bytes))?;
        self.window.add(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.send), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(closed) = self.closed {
            return Poll::Ready(closed.map_err(Into::into));
        }
        let closed = ready!(AsyncWrite::poll_close(Pin::new(&mut self.send), cx));
        self.closed = Some(closed.as_ref().map_err(io::Error::kind).copied());
        Poll::Ready(closed)
    }
}
