//! Yamux whose peer may send frames of any length.
//!
//! A sender of Yamux may put into one data frame what the window allows
//! (<https://github.com/hashicorp/yamux/blob/master/spec.md>), and js-libp2p does. The `yamux` crate takes the length of a
//! frame as what it has to reserve and ends a connection with a frame of more than 1 MiB. [`Cut`] lies below it and
//! changes nothing but that: a longer data frame reads as several, so that no more is reserved than before.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::future::Ready;
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use libp2p::yamux;

use super::gather::Gather;

#[cfg(test)]
mod tests;

/// Longest body of a frame that the `yamux` crate takes, in bytes.
const BODY_MAX: u32 = 1 << 20;

/// Bytes of a frame's header: version, type, flags (2), stream (4), length (4), big endian.
const HEADER: usize = 12;

/// The type of frames that have a body.
const DATA: u8 = 0;

/// Flags that belong to a frame's first byte: SYN and ACK.
const OPENING: u16 = 0b0011;

/// Flags that belong behind a frame's last byte: FIN and RST.
const CLOSING: u16 = 0b1100;

/// The upgrade to Yamux over [`Cut`] and [`Gather`].
#[derive(Clone)]
pub struct Muxing(pub yamux::Config);

impl UpgradeInfo for Muxing {
    type Info = <yamux::Config as UpgradeInfo>::Info;
    type InfoIter = <yamux::Config as UpgradeInfo>::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocol_info()
    }
}

impl<C> InboundConnectionUpgrade<C> for Muxing
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = yamux::Muxer<Cut<Gather<C>>>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Output>>;

    fn upgrade_inbound(self, socket: C, info: Self::Info) -> Self::Future {
        self.0.upgrade_inbound(Cut::new(Gather::new(socket)), info)
    }
}

impl<C> OutboundConnectionUpgrade<C> for Muxing
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = yamux::Muxer<Cut<Gather<C>>>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Output>>;

    fn upgrade_outbound(self, socket: C, info: Self::Info) -> Self::Future {
        self.0.upgrade_outbound(Cut::new(Gather::new(socket)), info)
    }
}

/// A connection that carries Yamux. Reading cuts data frames longer than [`BODY_MAX`]; writing is untouched.
pub struct Cut<C> {
    socket: C,
    place: Place,
    /// The header that is read or handed on.
    header: [u8; HEADER],
    /// The flags of the frame that is being cut.
    flags: u16,
    /// Bytes of its body behind the piece that is handed on.
    behind: u32,
}

/// What is read next.
#[derive(Clone, Copy)]
enum Place {
    /// The header, of which so many bytes are here.
    Reading(usize),
    /// The header's bytes from the first of these positions to the second are handed on, then so many of a body.
    Handing(usize, usize, u32),
    /// So many bytes of a piece, as they come.
    Body(u32),
}

impl<C> Cut<C> {
    fn new(socket: C) -> Self {
        Self {
            socket,
            place: Place::Reading(0),
            header: [0; HEADER],
            flags: 0,
            behind: 0,
        }
    }

    /// A whole header is here: what is handed on of it, and how much of a body.
    fn begin(&mut self) -> Place {
        let [_, kind, f0, f1, .., l0, l1, l2, l3] = self.header;
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        match (kind == DATA, length > BODY_MAX) {
            (true, true) => {
                self.flags = u16::from_be_bytes([f0, f1]);
                self.behind = length;
                self.piece(!CLOSING)
            }
            (true, false) => Place::Handing(0, HEADER, length),
            // The other types have no body: their length means something else.
            (false, _) => Place::Handing(0, HEADER, 0),
        }
    }

    /// Makes the header of the next piece, which carries those of the frame's flags that are in `mask`.
    fn piece(&mut self, mask: u16) -> Place {
        let length = self.behind.min(BODY_MAX);
        self.behind -= length;
        self.header[2..4].copy_from_slice(&(self.flags & mask).to_be_bytes());
        self.header[8..].copy_from_slice(&length.to_be_bytes());
        Place::Handing(0, HEADER, length)
    }

    /// What comes behind a body or a header without one.
    fn next(&mut self) -> Place {
        match self.behind {
            0 => Place::Reading(0),
            1..=BODY_MAX => self.piece(!OPENING),
            _ => self.piece(!OPENING & !CLOSING),
        }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Cut<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            match this.place {
                Place::Reading(have) => {
                    let rest = &mut this.header[have..];
                    let read = ready!(Pin::new(&mut this.socket).poll_read(cx, rest))?;
                    this.place = match (read, have + read) {
                        (0, 0) => return Poll::Ready(Ok(0)),
                        // The end in the middle of a header: the reader shall see that.
                        (0, have) => Place::Handing(0, have, 0),
                        (_, HEADER) => this.begin(),
                        (_, have) => Place::Reading(have),
                    };
                }
                Place::Handing(from, to, body) => {
                    let count = buffer.len().min(to - from);
                    buffer[..count].copy_from_slice(&this.header[from..from + count]);
                    this.place = match (from + count < to, body) {
                        (true, _) => Place::Handing(from + count, to, body),
                        (false, 0) => this.next(),
                        (false, _) => Place::Body(body),
                    };
                    return Poll::Ready(Ok(count));
                }
                Place::Body(left) => {
                    let most = buffer.len().min(left as usize);
                    let part = &mut buffer[..most];
                    let read = ready!(Pin::new(&mut this.socket).poll_read(cx, part))?;
                    // `read` is at most `left`.
                    this.place = match left - read as u32 {
                        0 => this.next(),
                        left => Place::Body(left),
                    };
                    return Poll::Ready(Ok(read));
                }
            }
        }
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Cut<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, parts)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx)
    }
}
