//! Tunnels: TCP connections carried by libp2p streams, as Kubo's `p2p` has them.
//!
//! A listener takes streams of a protocol and connects each to a TCP address; a forwarder takes TCP connections and
//! opens a stream of a protocol to a peer for each. Both keep going until they are closed or the node stops.

mod address;
mod listener;
mod pipe;
mod registry;

use std::sync::Arc;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use tokio_util::sync::CancellationToken;

use super::peers::parse_peer_address;
use super::{Net, NetError};
use address::Endpoint;

pub use registry::Registry;

/// One listener or forwarder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelInfo {
    /// Protocol of the streams.
    pub protocol: String,
    /// What it takes connections at: a TCP address, or this node as `/p2p/ID`.
    pub listen: Multiaddr,
    /// What it connects them to: a peer as `/p2p/ID`, or a TCP address.
    pub target: Multiaddr,
}

/// One connection through a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelStream {
    /// Number of it, for [`Tunnels::close_stream`].
    pub id: u64,
    /// Protocol of the stream.
    pub protocol: String,
    /// Who opened it.
    pub origin: Multiaddr,
    /// What it is connected to.
    pub target: Multiaddr,
}

/// Which tunnels; all of them where nothing is set.
#[derive(Clone, Debug, Default)]
pub struct TunnelFilter {
    /// Of this protocol.
    pub protocol: Option<String>,
    /// That take connections here.
    pub listen: Option<Multiaddr>,
    /// That connect to this.
    pub target: Option<Multiaddr>,
}

impl TunnelFilter {
    fn fits(&self, info: &TunnelInfo) -> bool {
        self.protocol
            .as_ref()
            .is_none_or(|name| *name == info.protocol)
            && self
                .listen
                .as_ref()
                .is_none_or(|listen| *listen == info.listen)
            && self
                .target
                .as_ref()
                .is_none_or(|target| *target == info.target)
    }
}

/// A tunnel that was made.
pub struct Tunnel {
    info: TunnelInfo,
    registry: Arc<Registry>,
    id: u64,
    closed: CancellationToken,
}

impl Tunnel {
    /// What it is.
    pub fn info(&self) -> &TunnelInfo {
        &self.info
    }

    /// Waits until it is closed, by whomever.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Takes no further connections. Those that are open stay.
    pub fn close(&self) {
        drop(self.registry.remove(|entry| entry.id == self.id));
    }
}

/// Verbs on tunnels, from [`crate::Node::tunnels`]. Clones are cheap.
#[derive(Clone)]
pub struct Tunnels {
    pub(crate) net: Arc<Net>,
}

impl Tunnels {
    /// Takes streams of a protocol and connects each to a TCP address, as `/ip4/127.0.0.1/tcp/3000`. With `report` the
    /// target is first sent a line with the peer's id.
    ///
    /// # Errors
    /// [`NetError::BadTunnel`], [`NetError::TunnelExists`], [`NetError::TooMany`].
    pub fn listen(&self, protocol: &str, target: &str, report: bool) -> Result<Tunnel, NetError> {
        let registry = &self.net.tunnels;
        let protocol = registry.protocol(protocol)?;
        let target = Endpoint::parse(target)?;
        target.check_port()?;
        listener::listen(&self.net, protocol, target, report)
    }

    /// Takes TCP connections at an address and carries each to a peer by a stream of a protocol. The peer is `/p2p/ID`, or
    /// an address that ends with it.
    ///
    /// # Errors
    /// As [`Tunnels::listen`]; [`NetError::BadAddress`], [`NetError::BadPeerId`], [`NetError::DialSelf`].
    pub async fn forward(
        &self,
        protocol: &str,
        listen: &str,
        target: &str,
    ) -> Result<Tunnel, NetError> {
        let registry = &self.net.tunnels;
        let protocol = registry.protocol(protocol)?;
        let listen = Endpoint::parse(listen)?;
        let (peer, addresses) = parse_peer_address(target)?;
        if peer == self.net.local() {
            return Err(NetError::DialSelf);
        }
        listener::forward(&self.net, protocol, listen, peer, addresses).await
    }

    /// Closes tunnels; returns how many. Connections that are open stay.
    pub async fn close(&self, filter: &TunnelFilter) -> usize {
        let gone = self.net.tunnels.remove(|entry| filter.fits(&entry.info));
        let count = gone.len();
        for task in gone {
            // It has ended, or it was aborted with the runtime.
            let _ = task.await;
        }
        count
    }

    /// Every tunnel: forwarders first.
    pub fn list(&self) -> Vec<TunnelInfo> {
        let state = self.net.tunnels.state.lock();
        let mut list: Vec<(bool, TunnelInfo)> = state
            .tunnels
            .iter()
            .map(|entry| (!entry.forwards, entry.info.clone()))
            .collect();
        list.sort_by_key(|(listens, _)| *listens);
        list.into_iter().map(|(_, info)| info).collect()
    }

    /// Every open connection.
    pub fn streams(&self) -> Vec<TunnelStream> {
        let state = self.net.tunnels.state.lock();
        state
            .streams
            .values()
            .map(|(info, _)| info.clone())
            .collect()
    }

    /// Ends a connection. `false` when there is none of that number.
    pub fn close_stream(&self, id: u64) -> bool {
        let state = self.net.tunnels.state.lock();
        let stream = state.streams.get(&id);
        stream.map(|(_, stop)| stop.cancel()).is_some()
    }

    /// Ends every connection; returns how many.
    pub fn close_streams(&self) -> usize {
        let state = self.net.tunnels.state.lock();
        state.streams.values().for_each(|(_, stop)| stop.cancel());
        state.streams.len()
    }
}

/// `/p2p/ID`.
fn peer_address(peer: PeerId) -> Multiaddr {
    Multiaddr::from(Protocol::P2p(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_choose() {
        let info = TunnelInfo {
            protocol: "/x/a".to_owned(),
            listen: "/ip4/127.0.0.1/tcp/1".parse().unwrap(),
            target: peer_address(PeerId::random()),
        };
        assert!(TunnelFilter::default().fits(&info));
        let named = TunnelFilter {
            protocol: Some("/x/a".to_owned()),
            listen: Some(info.listen.clone()),
            target: Some(info.target.clone()),
        };
        assert!(named.fits(&info));
        let other = TunnelFilter {
            target: Some(peer_address(PeerId::random())),
            ..named
        };
        assert!(!other.fits(&info));
    }
}
