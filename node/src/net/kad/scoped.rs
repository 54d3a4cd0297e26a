//! A DHT that only ever sees addresses of its scope.

use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{self};
use libp2p::swarm::behaviour::{ExternalAddrConfirmed, ExternalAddrExpired};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, ExpiredListenAddr, FromSwarm, NetworkBehaviour, NewListenAddr,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use crate::net::filter::{ip_of, is_loopback, is_public, is_relayed};

/// Which addresses a DHT deals in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Public ones.
    Wan,
    /// Private ones; loopback only where the configuration says so.
    Lan {
        /// `Routing.LoopbackAddressesOnLanDHT`.
        loopback: bool,
    },
}

impl Scope {
    /// Whether an address belongs here.
    pub fn has(self, address: &Multiaddr) -> bool {
        match self {
            Self::Wan => is_public(address) || is_relayed(address),
            Self::Lan { loopback } => {
                let unspecified = ip_of(address).is_none_or(|ip| ip.is_unspecified());
                let private = !is_public(address) && !is_relayed(address) && !unspecified;
                private && (loopback || !is_loopback(address))
            }
        }
    }
}

/// Wraps the library's behaviour: addresses of other scopes are kept from it, and on a LAN the listen addresses count as
/// reachable ones, which provider records need.
pub struct Scoped<S> {
    pub inner: kad::Behaviour<S>,
    scope: Scope,
}

impl<S: RecordStore + Send + 'static> Scoped<S> {
    /// Wraps.
    pub fn new(inner: kad::Behaviour<S>, scope: Scope) -> Self {
        Self { inner, scope }
    }

    /// Which addresses count.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The addresses that are known of a peer at this moment, from the routing table and the lookups under way. The
    /// library tells them to dialers only.
    pub fn addresses(&mut self, peer: PeerId) -> Vec<Multiaddr> {
        let id = ConnectionId::new_unchecked(usize::MAX);
        let known =
            self.inner
                .handle_pending_outbound_connection(id, Some(peer), &[], Endpoint::Dialer);
        let mut known = known.unwrap_or_default();
        known.retain(|address| self.scope.has(address));
        known
    }
}

impl<S: RecordStore + Send + 'static> NetworkBehaviour for Scoped<S> {
    type ConnectionHandler = <kad::Behaviour<S> as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = kad::Event;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        Ok(peer.map(|peer| self.addresses(peer)).unwrap_or_default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let lan = matches!(self.scope, Scope::Lan { .. });
        match &event {
            FromSwarm::ExternalAddrConfirmed(confirmed) if !self.scope.has(confirmed.addr) => {
                return;
            }
            FromSwarm::NewListenAddr(NewListenAddr { addr, .. }) if lan && self.scope.has(addr) => {
                let confirmed = ExternalAddrConfirmed { addr };
                self.inner
                    .on_swarm_event(FromSwarm::ExternalAddrConfirmed(confirmed));
            }
            FromSwarm::ExpiredListenAddr(ExpiredListenAddr { addr, .. }) if lan => {
                let expired = ExternalAddrExpired { addr };
                self.inner
                    .on_swarm_event(FromSwarm::ExternalAddrExpired(expired));
            }
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, id, event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_do_not_overlap() {
        let lan = Scope::Lan { loopback: false };
        let test = Scope::Lan { loopback: true };
        for (text, in_wan, in_lan, in_test) in [
            ("/ip4/8.8.8.8/tcp/1", true, false, false),
            ("/ip4/192.168.0.1/tcp/1", false, true, true),
            ("/ip4/127.0.0.1/tcp/1", false, false, true),
            ("/ip4/0.0.0.0/tcp/1", false, false, false),
            ("/dns4/example.com/tcp/1", true, false, false),
        ] {
            let address: Multiaddr = text.parse().unwrap();
            let has = (
                Scope::Wan.has(&address),
                lan.has(&address),
                test.has(&address),
            );
            assert_eq!(has, (in_wan, in_lan, in_test), "{text}");
        }
    }
}
