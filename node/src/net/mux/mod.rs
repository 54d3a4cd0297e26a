//! Streams over one connection of bytes: Yamux (<https://github.com/hashicorp/yamux/blob/master/spec.md>).
//!
//! Not the `yamux` crate, for three reasons. It begins every stream with a window of 256 KiB and doubles that once a round
//! trip, so that a peer 200 ms away needs two seconds to send at full speed; there is no setting ([`window`]). It copies
//! each 16 KiB into a frame, sends that through a channel and flushes behind it. And it ends a connection with a frame of
//! more than 1 MiB, which js-libp2p sends.
//!
//! Streams put frames into one queue ([`state`]), which whoever polls the connection writes ([`driver`]). What comes is
//! read into pieces of its stream, never more than the stream's window. An idle connection holds no buffer.

mod driver;
mod entry;
mod frame;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod window;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::future::{Ready, ready};
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use parking_lot::Mutex;
use thiserror::Error;

use driver::Driver;
use state::State;
pub use stream::Stream;
use window::Budget;

/// Why a connection ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MuxError {
    /// The bytes below.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer ended it.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer does not keep to the protocol.
    #[error("yamux: {0}")]
    Protocol(&'static str),
    /// There are no numbers left for streams.
    #[error("yamux: there were too many streams on this connection")]
    NoNumbers,
}

impl From<MuxError> for io::Error {
    fn from(error: MuxError) -> Self {
        match error {
            MuxError::Io(error) => error,
            other => io::Error::other(other),
        }
    }
}

/// The upgrade of a connection.
#[derive(Clone, Debug)]
pub struct Muxing {
    streams_max: usize,
    /// What all windows may take.
    windows: Arc<AtomicUsize>,
}

impl Muxing {
    /// `streams_max` streams may be open on a connection.
    pub fn new(streams_max: usize) -> Self {
        Self {
            streams_max,
            windows: Budget::of_node(),
        }
    }

    fn muxer<C>(self, socket: C, dialer: bool) -> Muxer<C> {
        let budget = Budget::new(self.windows);
        let state = State::new(dialer, self.streams_max, budget, Instant::now());
        Muxer {
            driver: Driver::new(socket),
            state: Arc::new(Mutex::new(state)),
        }
    }
}

impl UpgradeInfo for Muxing {
    type Info = &'static str;
    type InfoIter = std::iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/yamux/1.0.0")
    }
}

impl<C> InboundConnectionUpgrade<C> for Muxing
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Output>>;

    fn upgrade_inbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(self.muxer(socket, false)))
    }
}

impl<C> OutboundConnectionUpgrade<C> for Muxing
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Output>>;

    fn upgrade_outbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(self.muxer(socket, true)))
    }
}

/// A connection with streams.
#[derive(Debug)]
pub struct Muxer<C> {
    driver: Driver<C>,
    state: Arc<Mutex<State>>,
}

impl<C> Muxer<C> {
    fn stream(&self, id: u32) -> Stream {
        Stream::new(id, Arc::clone(&self.state))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    /// Moves bytes. Ready only with the error that the connection ends with.
    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<MuxError> {
        let ended = self.driver.poll(&self.state, cx);
        if let Poll::Ready(error) = &ended {
            let mut state = self.state.lock();
            if matches!(error, MuxError::Protocol(_)) {
                state.go_away(1);
                drop(state);
                // Nobody waits for the peer to hear of it.
                let _ = self.driver.poll_write(&self.state, cx);
            } else {
                state.end();
            }
        }
        ended
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Stream;
    type Error = MuxError;

    fn poll_inbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let this = self.get_mut();
        if let Some(id) = this.state.lock().take_accepted(cx.waker()) {
            return Poll::Ready(Ok(this.stream(id)));
        }
        if let Poll::Ready(error) = this.poll_drive(cx) {
            return Poll::Ready(Err(error));
        }
        match this.state.lock().take_accepted(cx.waker()) {
            Some(id) => Poll::Ready(Ok(this.stream(id))),
            None => Poll::Pending,
        }
    }

    fn poll_outbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let opened = self.state.lock().open(Instant::now(), cx.waker());
        opened.map_ok(|id| self.stream(id))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let this = self.get_mut();
        this.state.lock().go_away(0);
        this.driver.poll_close(&this.state, cx).map_err(Into::into)
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        self.get_mut().poll_drive(cx).map(Err)
    }
}

impl<C> Drop for Muxer<C> {
    fn drop(&mut self) {
        self.state.lock().abandon();
    }
}
