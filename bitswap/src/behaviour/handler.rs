//! One connection: negotiates streams and hands them to tasks.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
    ProtocolsChange,
};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, ConnectionId, Stream, StreamProtocol,
    StreamUpgradeError, SubstreamProtocol,
};

use crate::driver::Shared;
use crate::peer::PeerIo;
use crate::stream::{read_stream, write_stream};
use crate::wire::Protocol;

/// The handler of one connection.
#[derive(Debug)]
pub struct Handler {
    shared: Arc<Shared>,
    io: Arc<PeerIo>,
    connection: ConnectionId,
    relayed: bool,
    waker: Option<Waker>,
    opening: bool,
}

impl Handler {
    pub(super) fn new(
        shared: Arc<Shared>,
        io: Arc<PeerIo>,
        connection: ConnectionId,
        relayed: bool,
    ) -> Self {
        Self {
            shared,
            io,
            connection,
            relayed,
            waker: None,
            opening: false,
        }
    }

    fn on_inbound(&mut self, mut stream: Stream) {
        if self.io.set_supported() {
            self.shared.connected(&self.io);
        }
        let open = self.io.inbound.fetch_add(1, Ordering::Relaxed);
        if open >= self.shared.config.inbound_streams {
            // Dropped, which resets it.
            self.io.inbound.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.io.set_expects();
        stream.ignore_for_keep_alive();
        let (shared, io) = (Arc::clone(&self.shared), Arc::clone(&self.io));
        self.shared.runtime.spawn(read_stream(shared, io, stream));
    }

    fn on_outbound(&mut self, mut stream: Stream, protocol: Protocol) {
        self.opening = false;
        self.io.stream_opened();
        stream.ignore_for_keep_alive();
        let (shared, io) = (Arc::clone(&self.shared), Arc::clone(&self.io));
        self.shared
            .runtime
            .spawn(write_stream(shared, io, stream, protocol));
    }

    fn on_dial_error(&mut self, error: &StreamUpgradeError<Infallible>) {
        self.opening = false;
        let give_up = match error {
            StreamUpgradeError::NegotiationFailed => {
                self.io.set_unsupported();
                true
            }
            _ => self.io.stream_failed(),
        };
        if give_up {
            self.shared.disconnected_by_failure(&self.io);
        }
    }

    fn on_protocols(&mut self, change: &ProtocolsChange<'_>) {
        let ProtocolsChange::Added(added) = change else {
            return;
        };
        let ours = |name: &StreamProtocol| {
            Protocol::ALL
                .iter()
                .any(|known| known.name() == name.as_ref())
        };
        if added.clone().any(ours) && self.io.set_supported() {
            self.shared.connected(&self.io);
        }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        if self.opening {
            self.io.unclaim_stream();
        }
        self.io.unregister(self.connection);
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = AnyProtocol;
    type OutboundProtocol = AnyProtocol;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(AnyProtocol, ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.io.is_used()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        if !self
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            self.io.register(self.connection, self.relayed, cx.waker());
            self.waker = Some(cx.waker().clone());
        }
        if !self.opening && self.io.claim_stream(self.relayed) {
            self.opening = true;
            let protocol = SubstreamProtocol::new(AnyProtocol, ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, _),
                ..
            }) => self.on_inbound(stream),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (stream, protocol),
                ..
            }) => self.on_outbound(stream, protocol),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                self.on_dial_error(&error);
            }
            ConnectionEvent::RemoteProtocolsChange(change) => self.on_protocols(&change),
            _ => {}
        }
    }
}

/// Any version of Bitswap, the newest preferred.
#[derive(Debug, Clone, Copy)]
pub struct AnyProtocol;

/// A protocol with its name.
#[derive(Debug, Clone, Copy)]
pub struct Named(Protocol);

impl AsRef<str> for Named {
    fn as_ref(&self) -> &str {
        self.0.name()
    }
}

impl UpgradeInfo for AnyProtocol {
    type Info = Named;
    type InfoIter = std::array::IntoIter<Named, 3>;

    fn protocol_info(&self) -> Self::InfoIter {
        Protocol::ALL.map(Named).into_iter()
    }
}

impl InboundUpgrade<Stream> for AnyProtocol {
    type Output = (Stream, Protocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, Named(protocol): Named) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for AnyProtocol {
    type Output = (Stream, Protocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, stream: Stream, Named(protocol): Named) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
