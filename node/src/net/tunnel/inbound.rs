//! Takes streams of protocols that come and go.
//!
//! Not `libp2p_stream`'s own way to accept: that one holds a single stream that nobody has fetched yet and drops the next,
//! so of connections that come at once some would break.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{DeniedUpgrade, InboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;

/// Streams of a protocol that wait to be fetched; further ones are dropped, which resets them.
const WAITING_MAX: usize = 64;

/// Who opened a stream, and the stream.
pub type Incoming = (PeerId, Stream);

/// The protocols that are taken now. Clones are the same list.
#[derive(Clone, Default)]
pub struct Accepting(Arc<RwLock<FxHashMap<StreamProtocol, mpsc::Sender<Incoming>>>>);

impl Accepting {
    /// Takes streams of a protocol until the receiver is dropped; `None` when somebody else does.
    pub fn accept(&self, protocol: StreamProtocol) -> Option<mpsc::Receiver<Incoming>> {
        let mut taken = self.0.write();
        taken.retain(|_, sender| !sender.is_closed());
        if taken.contains_key(&protocol) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        taken.insert(protocol, sender);
        Some(receiver)
    }

    fn names(&self) -> Vec<StreamProtocol> {
        let taken = self.0.read();
        let open = taken.iter().filter(|(_, sender)| !sender.is_closed());
        open.map(|(name, _)| name.clone()).collect()
    }

    fn handle(&self, protocol: &StreamProtocol, incoming: Incoming) {
        if let Some(sender) = self.0.read().get(protocol) {
            // One that nobody fetches is dropped.
            let _ = sender.try_send(incoming);
        }
    }
}

/// Offers the protocols on every connection.
#[derive(Default)]
pub struct Behaviour {
    accepting: Accepting,
}

impl Behaviour {
    /// The list to add protocols to.
    pub fn accepting(&self) -> &Accepting {
        &self.accepting
    }

    fn handler(&self, peer: PeerId) -> Handler {
        Handler {
            peer,
            accepting: self.accepting.clone(),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
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
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Names;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(Names(self.accepting.names()), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol: (stream, name),
            ..
        }) = event
        {
            self.accepting.handle(&name, (self.peer, stream));
        }
    }
}

/// Any of these protocols.
pub struct Names(Vec<StreamProtocol>);

impl UpgradeInfo for Names {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Names {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        ready(Ok((stream, name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_taken_once_and_free_again() {
        let accepting = Accepting::default();
        let name = StreamProtocol::new("/x/a");
        let taken = accepting.accept(name.clone()).unwrap();
        assert!(accepting.accept(name.clone()).is_none());
        assert_eq!(accepting.names(), std::slice::from_ref(&name));
        drop(taken);
        assert!(accepting.names().is_empty());
        assert!(accepting.accept(name).is_some());
    }
}
