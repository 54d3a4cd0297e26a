//! Streams of protocols that the library has no behaviour for: taken on every connection, and opened on the best one
//! that the peer has.
//!
//! Not `libp2p_stream`, for three reasons. It opens on any connection of the peer, also on a relayed one beside a direct
//! one, or on one that is being closed. It keeps what it knows of a connection after its end. And of streams that come at
//! once it holds one that nobody has fetched yet and drops the next.

mod accepting;
mod opening;

use std::convert::Infallible;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use accepting::Names;
pub use accepting::{Accepting, Incoming};
use opening::{Answer, Lane, One};
pub use opening::{OpenError, Opener};

/// Takes and opens streams on every connection.
#[derive(Default)]
pub struct Behaviour {
    accepting: Accepting,
    opener: Opener,
}

impl Behaviour {
    /// The list of protocols that are taken, to add to.
    pub fn accepting(&self) -> &Accepting {
        &self.accepting
    }

    /// Opens streams.
    pub fn opener(&self) -> &Opener {
        &self.opener
    }

    fn handler(&self, peer: PeerId, connection: ConnectionId, at: &Multiaddr) -> Handler {
        let relayed = at.iter().any(|part| part == Protocol::P2pCircuit);
        Handler {
            peer,
            accepting: self.accepting.clone(),
            lane: self.opener.enter(peer, connection, relayed),
        }
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

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

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

/// One connection's part.
pub struct Handler {
    peer: PeerId,
    accepting: Accepting,
    lane: Lane,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Names;
    type OutboundProtocol = One;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Answer;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(self.accepting.names(), ())
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<
        ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>,
    > {
        self.lane.poll(cx).map(|(protocol, answer)| {
            let protocol = SubstreamProtocol::new(protocol, answer);
            ConnectionHandlerEvent::OutboundSubstreamRequest { protocol }
        })
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        // Whoever asked for a stream may have given up, which is no error.
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, name),
                ..
            }) => self.accepting.handle(&name, (self.peer, stream)),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info,
            }) => drop(info.send(Ok(stream))),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                drop(info.send(Err(error)));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_enter_their_connections_and_take_them_along() {
        let mut behaviour = Behaviour::default();
        let (peer, relay) = (PeerId::random(), PeerId::random());
        let direct: Multiaddr = "/ip4/1.2.3.4/tcp/1".parse().unwrap();
        let circuit: Multiaddr = format!("{direct}/p2p/{relay}/p2p-circuit").parse().unwrap();
        let nowhere = Multiaddr::empty();
        let (one, two, three) = (
            ConnectionId::new_unchecked(1),
            ConnectionId::new_unchecked(2),
            ConnectionId::new_unchecked(3),
        );
        // Who is reached through a relay, and who comes through one.
        let out = behaviour.handle_established_outbound_connection(
            one,
            peer,
            &circuit,
            Endpoint::Dialer,
            PortUse::New,
        );
        let into = behaviour.handle_established_inbound_connection(two, peer, &circuit, &nowhere);
        assert_eq!(behaviour.opener.best(&peer, &[]), Some((one, true)));
        let near = behaviour.handle_established_inbound_connection(three, peer, &direct, &direct);
        assert_eq!(behaviour.opener.best(&peer, &[]), Some((three, false)));
        drop(near);
        drop(out);
        assert_eq!(behaviour.opener.best(&peer, &[]), Some((two, true)));
        drop(into);
        assert!(behaviour.opener.is_empty());
    }
}
