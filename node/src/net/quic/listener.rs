//! Sockets that connections come to.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::Stream;
use futures::future::{BoxFuture, FutureExt};
use if_watch::IfEvent;
use if_watch::tokio::IfWatcher;
use libp2p::core::transport::{ListenerId, TransportEvent};
use socket2::{Domain, Socket, Type};

use super::{Connecting, QuicError, QuicSettings, address};

/// What is asked for in bytes, as quic-go does; the system gives no more than `net.core.rmem_max` and `wmem_max`. The usual
/// 208 KiB are overrun by a fast peer while this process does something else, and every datagram that is dropped slows
/// the connection down.
const ROOM: usize = 7 << 20;

/// A bound socket with room for bursts.
pub fn socket(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, None)?;
    if local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // More than the system allows is not refused but cut, and a failure only costs speed.
    let _ = socket.set_recv_buffer_size(ROOM);
    let _ = socket.set_send_buffer_size(ROOM);
    socket.bind(&local.into())?;
    Ok(socket.into())
}

type Event = TransportEvent<Connecting, QuicError>;

/// One listener. With each event comes the address of whoever has come, if anybody has.
pub struct Listener {
    id: ListenerId,
    settings: QuicSettings,
    endpoint: quinn::Endpoint,
    /// The same socket, to send datagrams past the endpoint.
    socket: UdpSocket,
    local: SocketAddr,
    accepting: BoxFuture<'static, Option<quinn::Incoming>>,
    /// The addresses of the machine, when it listens on all of them.
    interfaces: Option<IfWatcher>,
    addresses: HashSet<IpAddr>,
    /// To be told next.
    pending: Option<Event>,
    closed: bool,
    waker: Option<Waker>,
}

impl Listener {
    pub fn open(
        id: ListenerId,
        local: SocketAddr,
        settings: &QuicSettings,
    ) -> Result<Self, QuicError> {
        let bound = socket(local)?;
        let socket = bound.try_clone()?;
        let local = socket.local_addr()?;
        let endpoint = settings.endpoint(bound, true)?;
        let mut listener = Self {
            id,
            settings: settings.clone(),
            accepting: accept(&endpoint),
            endpoint,
            socket,
            local,
            interfaces: None,
            addresses: HashSet::new(),
            pending: None,
            closed: false,
            waker: None,
        };
        if local.ip().is_unspecified() {
            listener.interfaces = Some(IfWatcher::new()?);
        } else {
            listener.addresses.insert(local.ip());
            listener.pending = Some(TransportEvent::NewAddress {
                listener_id: id,
                listen_addr: address::write(local),
            });
        }
        Ok(listener)
    }

    pub fn id(&self) -> ListenerId {
        self.id
    }

    pub fn endpoint(&self) -> &quinn::Endpoint {
        &self.endpoint
    }

    /// The socket, once more.
    pub fn socket(&self) -> io::Result<UdpSocket> {
        self.socket.try_clone()
    }

    /// Whether a dial to the address may go out from here: what listens on the network only does not reach this machine
    /// itself.
    pub fn reaches(&self, remote: SocketAddr) -> bool {
        let same = self.local.is_ipv4() == remote.is_ipv4();
        let mut here = self.addresses.iter();
        !self.closed && same && (!remote.ip().is_loopback() || here.any(IpAddr::is_loopback))
    }

    /// Ends it and its connections; the last event tells so.
    pub fn close(&mut self) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.endpoint.close(0_u32.into(), &[]);
        self.pending = Some(TransportEvent::ListenerClosed {
            listener_id: self.id,
            reason: Ok(()),
        });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll_interfaces(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let listener_id = self.id;
        loop {
            let Some(interfaces) = &mut self.interfaces else {
                return Poll::Pending;
            };
            let event = std::task::ready!(interfaces.poll_if_event(cx));
            let (ip, up) = match event {
                Ok(IfEvent::Up(net)) => (net.addr(), true),
                Ok(IfEvent::Down(net)) => (net.addr(), false),
                Err(error) => {
                    let error = error.into();
                    return Poll::Ready(TransportEvent::ListenerError { listener_id, error });
                }
            };
            if ip.is_ipv4() != self.local.is_ipv4() {
                continue;
            }
            let listen_addr = address::write(SocketAddr::new(ip, self.local.port()));
            if up {
                self.addresses.insert(ip);
                return Poll::Ready(TransportEvent::NewAddress {
                    listener_id,
                    listen_addr,
                });
            }
            self.addresses.remove(&ip);
            return Poll::Ready(TransportEvent::AddressExpired {
                listener_id,
                listen_addr,
            });
        }
    }

    fn take(&self, incoming: quinn::Incoming) -> (Option<SocketAddr>, Event) {
        let remote = incoming.remote_address();
        let connecting = match remote.ip().is_loopback() {
            true => incoming.accept_with(self.settings.server_here()),
            false => incoming.accept(),
        };
        match connecting {
            Ok(connecting) => (
                Some(remote),
                TransportEvent::Incoming {
                    listener_id: self.id,
                    upgrade: Connecting::new(connecting, self.settings.handshake_max),
                    local_addr: address::write(self.local),
                    send_back_addr: address::write(remote),
                },
            ),
            Err(error) => (
                None,
                TransportEvent::ListenerError {
                    listener_id: self.id,
                    error: error.into(),
                },
            ),
        }
    }
}

fn accept(endpoint: &quinn::Endpoint) -> BoxFuture<'static, Option<quinn::Incoming>> {
    let endpoint = endpoint.clone();
    async move { endpoint.accept().await }.boxed()
}

impl Stream for Listener {
    type Item = (Option<SocketAddr>, Event);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.pending.take() {
                return Poll::Ready(Some((None, event)));
            }
            if self.closed {
                return Poll::Ready(None);
            }
            if let Poll::Ready(event) = self.poll_interfaces(cx) {
                return Poll::Ready(Some((None, event)));
            }
            match self.accepting.poll_unpin(cx) {
                Poll::Ready(Some(incoming)) => {
                    self.accepting = accept(&self.endpoint);
                    return Poll::Ready(Some(self.take(incoming)));
                }
                Poll::Ready(None) => self.close(),
                Poll::Pending => {
                    self.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }
}
