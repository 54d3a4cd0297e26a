//! A connection whose streams are counted.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures::{AsyncRead, AsyncWrite};
use libp2p::PeerId;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};

use super::negotiation::{Negotiation, Outcome};
use super::open::OpenStreams;
use super::pace::{Limit, Place};
use super::{Meter, Traffic};
use crate::net::sieve::Sieve;

/// Whose streams these are.
#[derive(Clone)]
struct Link {
    traffic: Arc<Traffic>,
    peer: Arc<Meter>,
    /// `None` for a relayed connection, which another connection carries.
    total: Option<Arc<Meter>>,
    open: Arc<OpenStreams>,
}

/// Wraps a connection.
pub struct Metered<M> {
    inner: M,
    link: Link,
}

impl<M> Metered<M> {
    /// A connection to `peer`; a relayed one runs inside of another connection.
    pub fn new(inner: M, traffic: &Arc<Traffic>, peer: PeerId, relayed: bool) -> Self {
        let link = Link {
            traffic: Arc::clone(traffic),
            peer: traffic.peer(peer),
            total: (!relayed).then(|| Arc::clone(&traffic.total)),
            open: Arc::default(),
        };
        Self { inner, link }
    }

    /// The list of its open streams.
    pub fn open_streams(&self) -> Arc<OpenStreams> {
        Arc::clone(&self.link.open)
    }
}

impl<M> StreamMuxer for Metered<M>
where
    M: StreamMuxer + Unpin,
    M::Substream: Unpin,
{
    type Substream = MeteredStream<M::Substream>;
    type Error = M::Error;

    fn poll_inbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let this = self.get_mut();
        let stream = ready!(Pin::new(&mut this.inner).poll_inbound(cx))?;
        Poll::Ready(Ok(MeteredStream::new(stream, &this.link, true)))
    }

    fn poll_outbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let this = self.get_mut();
        let stream = ready!(Pin::new(&mut this.inner).poll_outbound(cx))?;
        Poll::Ready(Ok(MeteredStream::new(stream, &this.link, false)))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.get_mut().inner).poll_close(cx)
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.get_mut().inner).poll(cx)
    }
}

/// How far the protocol of a stream is known.
enum Protocol {
    /// Bytes received and sent meanwhile.
    Negotiating(Box<(Negotiation, u64, u64)>),
    Agreed(Arc<Meter>),
    Unknown,
}

/// One stream.
pub struct MeteredStream<S> {
    inner: S,
    inbound: bool,
    link: Link,
    protocol: Protocol,
    /// The protocol under which it is listed.
    name: Arc<str>,
    up: Option<Place>,
    down: Option<Place>,
    /// What the peer sends goes through here.
    sieve: Option<Box<Sieve>>,
}

impl<S> MeteredStream<S> {
    fn new(inner: S, link: &Link, inbound: bool) -> Self {
        // A relayed connection is limited with the one that carries it.
        let direct = link.total.is_some();
        let place = |limit: &Option<Limit>| limit.as_ref().filter(|_| direct).map(Limit::place);
        let stream = Self {
            up: place(&link.traffic.up),
            down: place(&link.traffic.down),
            inner,
            inbound,
            link: link.clone(),
            sieve: None,
            name: Arc::from(""),
            protocol: Protocol::Negotiating(Box::new((Negotiation::new(inbound), 0, 0))),
        };
        link.open.add(Arc::clone(&stream.name));
        for meter in stream.meters() {
            meter.open(inbound).fetch_add(1, Ordering::Relaxed);
        }
        stream
    }

    fn meters(&self) -> impl Iterator<Item = &Arc<Meter>> {
        let agreed = match &self.protocol {
            Protocol::Agreed(meter) => Some(meter),
            Protocol::Negotiating(_) | Protocol::Unknown => None,
        };
        [Some(&self.link.peer), self.link.total.as_ref(), agreed]
            .into_iter()
            .flatten()
    }

    fn received(&mut self, bytes: &[u8]) {
        let count = bytes.len() as u64;
        self.meters().for_each(|meter| meter.add_received(count));
        if let Protocol::Negotiating(state) = &mut self.protocol {
            let (negotiation, received, _) = &mut **state;
            *received += count;
            let outcome = negotiation.handle_received(bytes);
            self.settle(outcome);
        }
    }

    fn sent(&mut self, bytes: &[u8]) {
        let count = bytes.len() as u64;
        self.meters().for_each(|meter| meter.add_sent(count));
        if let Protocol::Negotiating(state) = &mut self.protocol {
            let (negotiation, _, sent) = &mut **state;
            *sent += count;
            let outcome = negotiation.handle_sent(bytes);
            self.settle(outcome);
        }
    }

    fn list_as(&mut self, name: Arc<str>) {
        self.link.open.remove(&self.name);
        self.link.open.add(Arc::clone(&name));
        self.name = name;
    }

    fn settle(&mut self, outcome: Outcome) {
        let meter = match outcome {
            Outcome::Open => return,
            Outcome::Agreed(name) => {
                let meter = self.link.traffic.protocol(&name);
                // Nothing behind the negotiation has been read: it takes no byte more than it needs.
                if self.inbound && Sieve::is_for(&name) {
                    self.sieve = Some(Box::new(Sieve::new(Instant::now())));
                }
                self.list_as(name.into());
                meter
            }
            Outcome::Unknown => None,
        };
        if let (Some(meter), Protocol::Negotiating(state)) = (&meter, &self.protocol) {
            meter.add_received(state.1);
            meter.add_sent(state.2);
            meter.open(self.inbound).fetch_add(1, Ordering::Relaxed);
        }
        self.protocol = meter.map_or(Protocol::Unknown, Protocol::Agreed);
    }
}

impl<S> Drop for MeteredStream<S> {
    fn drop(&mut self) {
        self.link.open.remove(&self.name);
        for meter in self.meters() {
            meter.open(self.inbound).fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> MeteredStream<S> {
    /// Reads what the peer sent.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let most = match &mut self.down {
            Some(place) => ready!(place.poll_go(cx)).min(buf.len()),
            None => buf.len(),
        };
        let buf = buf.get_mut(..most).unwrap_or_default();
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        if let Some(place) = &mut self.down {
            place.pay(read);
        }
        self.received(buf.get(..read).unwrap_or_default());
        Poll::Ready(Ok(read))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MeteredStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.sieve.is_none() || buf.is_empty() {
            return this.poll_receive(cx, buf);
        }
        loop {
            if let Some(sieve) = &mut this.sieve {
                if sieve.is_lost() {
                    let what = "these are no exchanges of gossipsub";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
                }
                let handed = sieve.take(buf);
                if handed > 0 {
                    return Poll::Ready(Ok(handed));
                }
            }
            let read = ready!(this.poll_receive(cx, buf))?;
            let Some(sieve) = &mut this.sieve else {
                return Poll::Ready(Ok(read));
            };
            if read == 0 {
                sieve.handle_end();
                return Poll::Ready(Ok(sieve.take(buf)));
            }
            sieve.feed(buf.get(..read).unwrap_or_default(), Instant::now());
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MeteredStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let most = match &mut this.up {
            Some(place) => ready!(place.poll_go(cx)).min(buf.len()),
            None => buf.len(),
        };
        let buf = buf.get(..most).unwrap_or_default();
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, buf))?;
        if let Some(place) = &mut this.up {
            place.pay(written);
        }
        this.sent(buf.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // One buffer at a time: muxers copy into frames anyway.
        let first = bufs.iter().find(|buf| !buf.is_empty());
        self.poll_write(cx, first.map_or(&[], |buf| buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_close(cx)
    }
}
