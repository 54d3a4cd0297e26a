//! The libp2p behaviour: which peers are connected, and their handlers.

mod handler;

use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;

use crate::blocks::Blocks;
use crate::config::Config;
use crate::driver::Shared;
use crate::handle::Bitswap;
use crate::peer::PeerIo;

pub use handler::Handler;

/// Bitswap in a swarm. It emits no events: the [`Bitswap`] handle is how to use it.
#[derive(Debug)]
pub struct Behaviour {
    shared: Arc<Shared>,
    /// Also of connections that another behaviour may still deny, hence weak.
    peers: FxHashMap<PeerId, Weak<PeerIo>>,
    connected: usize,
}

impl Behaviour {
    /// A behaviour and its handle. Must be called inside a tokio runtime, on which streams are read
    /// and written and blocks are verified.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(config: Config, blocks: Arc<dyn Blocks>) -> (Self, Bitswap) {
        Self::on(config, blocks, Handle::current())
    }

    /// The same on a given runtime.
    #[must_use]
    pub fn on(config: Config, blocks: Arc<dyn Blocks>, runtime: Handle) -> (Self, Bitswap) {
        use std::hash::{BuildHasher, RandomState};
        let seed = RandomState::new().hash_one(0);
        let shared = Shared::new(config, blocks, runtime, seed);
        let behaviour = Self {
            shared: Arc::clone(&shared),
            peers: FxHashMap::default(),
            connected: 0,
        };
        (behaviour, Bitswap { shared })
    }

    fn handler(&mut self, peer: PeerId, connection: ConnectionId, at: &Multiaddr) -> Handler {
        if self.peers.len() > 2 * self.connected + 64 {
            self.peers.retain(|_, io| io.strong_count() > 0);
        }
        let known = self.peers.get(&peer).and_then(Weak::upgrade);
        let io = known.filter(|io| !io.is_closed()).unwrap_or_else(|| {
            let io = Arc::new(PeerIo::new(peer, &self.shared.config));
            self.peers.insert(peer, Arc::downgrade(&io));
            io
        });
        let relayed = at.iter().any(|part| part == Protocol::P2pCircuit);
        Handler::new(Arc::clone(&self.shared), io, connection, relayed)
    }
}

impl Drop for Behaviour {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, connection, local))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, connection, remote))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                other_established: 0,
                ..
            }) => {
                self.connected += 1;
                if let Some(io) = self.peers.get(&peer_id).and_then(Weak::upgrade) {
                    self.shared.connected(&io);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                remaining_established: 0,
                ..
            }) => {
                self.connected = self.connected.saturating_sub(1);
                self.peers.remove(&peer_id);
                self.shared.disconnected(&peer_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}
