//! QUIC v1 of libp2p over `quinn`, with settings that `libp2p-quic` (rust-libp2p, MIT) does not offer; what the traits of
//! the library demand of a transport is divided as it is there.
//!
//! * The ciphers are those of [`super::tls`]: AES first where the processor has it.
//! * Sockets have room for bursts ([`listener::socket`]).
//! * Where both ends are on this machine, datagrams may be as long as the loopback takes them.
//! * What waits to be acknowledged follows the congestion window ([`connection`]): far peers get as much as the path holds,
//!   and a peer that acknowledges nothing gets no more than the least window.

mod address;
mod connection;
mod listener;
mod punch;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::StreamExt;
use futures::channel::oneshot;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::SelectAll;
use libp2p::core::Endpoint as Role;
use libp2p::core::transport::{DialOpts, ListenerId, PortUse, TransportError, TransportEvent};
use libp2p::{Multiaddr, PeerId};
use thiserror::Error;

pub use connection::{Connecting, Connection};
use listener::Listener;
pub use settings::QuicSettings;

/// Why there is no connection, or no longer one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QuicError {
    /// It could not be begun.
    #[error(transparent)]
    Connect(#[from] quinn::ConnectError),
    /// It failed or ended.
    #[error(transparent)]
    Connection(#[from] quinn::ConnectionError),
    /// The socket.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer did not answer, or not to the end.
    #[error("the handshake took too long")]
    TimedOut,
    /// The peer has no certificate of libp2p.
    #[error("the peer does not show who it is: {0}")]
    Identity(String),
    /// To let a peer in through a NAT, there must be a port that it can come to.
    #[error("no listener that the peer could reach")]
    NoListener,
    /// Another attempt is under way.
    #[error("a way through to {0} is being made already")]
    Punching(SocketAddr),
}

impl From<QuicError> for TransportError<QuicError> {
    fn from(error: QuicError) -> Self {
        Self::Other(error)
    }
}

/// The transport: its listeners, and sockets to dial from where no listener fits.
pub struct Quic {
    settings: QuicSettings,
    listeners: SelectAll<Listener>,
    /// By whether it is IPv4.
    dialers: HashMap<bool, quinn::Endpoint>,
    /// Peers that are let in through a NAT, and who waits for them.
    awaited: HashMap<SocketAddr, oneshot::Sender<Connecting>>,
    waker: Option<Waker>,
}

type Dial = BoxFuture<'static, Result<(PeerId, Connection), QuicError>>;

impl Quic {
    /// No listener yet.
    pub fn new(settings: QuicSettings) -> Self {
        Self {
            settings,
            listeners: SelectAll::new(),
            dialers: HashMap::new(),
            awaited: HashMap::new(),
            waker: None,
        }
    }

    /// A listener whose socket reaches the address; always the same one for the same address.
    fn listener_for(&self, remote: SocketAddr) -> Option<&Listener> {
        let fitting = || self.listeners.iter().filter(|one| one.reaches(remote));
        let count = fitting().count();
        let at = usize::from(remote.port()).checked_rem(count)?;
        fitting().nth(at)
    }

    fn endpoint_for(
        &mut self,
        remote: SocketAddr,
        port: PortUse,
    ) -> Result<quinn::Endpoint, QuicError> {
        if port == PortUse::New {
            return self.dialer(remote);
        }
        if let Some(listener) = self.listener_for(remote) {
            return Ok(listener.endpoint().clone());
        }
        if let Some(known) = self.dialers.get(&remote.is_ipv4()) {
            return Ok(known.clone());
        }
        let new = self.dialer(remote)?;
        self.dialers.insert(remote.is_ipv4(), new.clone());
        Ok(new)
    }

    fn dialer(&self, remote: SocketAddr) -> Result<quinn::Endpoint, QuicError> {
        let ip = match remote {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = listener::socket(SocketAddr::new(ip, 0))?;
        Ok(self.settings.endpoint(socket, false)?)
    }

    fn connect(&mut self, remote: SocketAddr, port: PortUse) -> Result<Dial, QuicError> {
        let endpoint = self.endpoint_for(remote, port)?;
        let config = self.settings.client(remote);
        let limit = self.settings.handshake_max;
        Ok(async move {
            // An address as the name: none is sent.
            let name = Ipv4Addr::UNSPECIFIED.to_string();
            let connecting = endpoint.connect_with(config, remote, &name)?;
            Connecting::new(connecting, limit).await
        }
        .boxed())
    }

    /// Sends datagrams to where a peer will come from, until its connection is there.
    fn let_in(&mut self, remote: SocketAddr) -> Result<Dial, QuicError> {
        let listener = self.listener_for(remote).ok_or(QuicError::NoListener)?;
        let punching = punch::punch(listener.socket()?, remote);
        let limit = self.settings.handshake_max;
        let (sender, receiver) = oneshot::channel();
        // Nobody comes to those that were given up.
        self.awaited.retain(|_, waiter| !waiter.is_canceled());
        match self.awaited.entry(remote) {
            Entry::Occupied(_) => return Err(QuicError::Punching(remote)),
            Entry::Vacant(entry) => drop(entry.insert(sender)),
        }
        Ok(async move {
            tokio::select! {
                came = receiver => came.map_err(|_| QuicError::NoListener)?.await,
                failed = punching => Err(QuicError::Io(failed)),
                () = tokio::time::sleep(limit) => Err(QuicError::TimedOut),
            }
        }
        .boxed())
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl libp2p::core::Transport for Quic {
    type Output = (PeerId, Connection);
    type Error = QuicError;
    type ListenerUpgrade = Connecting;
    type Dial = Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        at: Multiaddr,
    ) -> Result<(), TransportError<QuicError>> {
        let Some(local) = address::read(&at) else {
            return Err(TransportError::MultiaddrNotSupported(at));
        };
        let listener = Listener::open(id, local, &self.settings)?;
        self.listeners.push(listener);
        // Dials go out from the listener from now on; the socket stays for the connections it has.
        self.dialers.remove(&local.is_ipv4());
        self.wake();
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let mut listeners = self.listeners.iter_mut();
        let found = listeners.find(|listener| listener.id() == id);
        found.map(|listener| listener.close()).is_some()
    }

    fn dial(&mut self, to: Multiaddr, how: DialOpts) -> Result<Dial, TransportError<QuicError>> {
        let reachable = |remote: &SocketAddr| remote.port() != 0 && !remote.ip().is_unspecified();
        let Some(remote) = address::read(&to).filter(reachable) else {
            return Err(TransportError::MultiaddrNotSupported(to));
        };
        Ok(match (how.role, how.port_use) {
            (Role::Listener, PortUse::New) => self.let_in(remote)?,
            (_, port) => self.connect(remote, port)?,
        })
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Connecting, QuicError>> {
        while let Poll::Ready(Some(event)) = self.listeners.poll_next_unpin(cx) {
            let (came, event) = event;
            let Some(sender) = came.and_then(|remote| self.awaited.remove(&remote)) else {
                return Poll::Ready(event);
            };
            let TransportEvent::Incoming {
                listener_id,
                upgrade,
                local_addr,
                send_back_addr,
            } = event
            else {
                return Poll::Ready(event);
            };
            // Unless whoever waited has given up.
            if let Err(upgrade) = sender.send(upgrade) {
                return Poll::Ready(TransportEvent::Incoming {
                    listener_id,
                    upgrade,
                    local_addr,
                    send_back_addr,
                });
            }
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
