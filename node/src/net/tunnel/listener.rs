//! The two kinds of tunnels, and the task of each.

use std::sync::{Arc, Weak};
use std::time::Duration;

use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::compat::FuturesAsyncReadCompatExt;
use tokio_util::sync::CancellationToken;

use super::address::{Endpoint, tcp_address};
use super::pipe::{Patience, both_ways};
use super::{Tunnel, TunnelInfo, peer_address};
use crate::net::streams::Incoming;
use crate::net::{Net, NetError, Peers};

/// Longest wait for a stream to the peer (Kubo's value), and for the TCP target.
const DIAL_MAX: Duration = Duration::from_secs(30);
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// After a connection could not be accepted, which is so when file descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Streams of a protocol go to a TCP address.
pub fn listen(
    net: &Arc<Net>,
    protocol: StreamProtocol,
    target: Endpoint,
    report: bool,
) -> Result<Tunnel, NetError> {
    let info = TunnelInfo {
        protocol: protocol.to_string(),
        listen: peer_address(net.local()),
        target: target.address.clone(),
    };
    net.tunnels.enter(info, false, |closed| {
        let accepting = &net.tunnels.accepting;
        let incoming = accepting
            .accept(protocol.clone())
            .ok_or(NetError::TunnelExists)?;
        let taken = Taken {
            net: Arc::downgrade(net),
            protocol,
            target,
            report,
        };
        Ok(net.runtime().spawn(take(incoming, taken, closed)))
    })
}

/// TCP connections go to a peer.
pub async fn forward(
    net: &Arc<Net>,
    protocol: StreamProtocol,
    listen: Endpoint,
    peer: PeerId,
    addresses: Vec<Multiaddr>,
) -> Result<Tunnel, NetError> {
    let (listener, address) = listen.listen().await.map_err(|error| {
        NetError::BadTunnel(format!("cannot listen on {}: {error}", listen.address))
    })?;
    let info = TunnelInfo {
        protocol: protocol.to_string(),
        listen: address,
        target: peer_address(peer),
    };
    net.tunnels.enter(info, true, |closed| {
        let forwarded = Forwarded {
            net: Arc::downgrade(net),
            protocol,
            peer,
            addresses,
        };
        Ok(net.runtime().spawn(accept(listener, forwarded, closed)))
    })
}

/// What becomes of streams.
#[derive(Clone)]
struct Taken {
    net: Weak<Net>,
    protocol: StreamProtocol,
    target: Endpoint,
    report: bool,
}

async fn take(mut incoming: mpsc::Receiver<Incoming>, taken: Taken, closed: CancellationToken) {
    while let Some(Some((peer, stream))) = closed.run_until_cancelled(incoming.recv()).await {
        // A stream beyond the bound is dropped, which resets it.
        let Some(net) = taken.net.upgrade() else {
            return;
        };
        if let Ok(permit) = Arc::clone(&net.tunnels.room).try_acquire_owned() {
            let taken = taken.clone();
            tokio::spawn(async move {
                taken.carry(peer, stream).await;
                drop(permit);
            });
        }
    }
}

impl Taken {
    async fn carry(self, peer: PeerId, stream: Stream) {
        // Where the target does not answer, dropping the stream tells the peer.
        let Ok(Ok(mut tcp)) = timeout(CONNECT_MAX, self.target.connect()).await else {
            return;
        };
        if self.report && tcp.write_all(format!("{peer}\n").as_bytes()).await.is_err() {
            return;
        }
        let Some(registry) = self.net.upgrade().map(|net| Arc::clone(&net.tunnels)) else {
            return;
        };
        let target = self.target.address.clone();
        let open = registry.open(peer, &self.protocol, peer_address(peer), target);
        open.stop
            .run_until_cancelled(both_ways(stream.compat(), tcp, Patience::LONG))
            .await;
    }
}

/// What becomes of TCP connections.
#[derive(Clone)]
struct Forwarded {
    net: Weak<Net>,
    protocol: StreamProtocol,
    peer: PeerId,
    addresses: Vec<Multiaddr>,
}

async fn accept(listener: TcpListener, forwarded: Forwarded, closed: CancellationToken) {
    while let Some(accepted) = closed.run_until_cancelled(listener.accept()).await {
        let Ok((tcp, from)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Some(net) = forwarded.net.upgrade() else {
            return;
        };
        if let Ok(permit) = Arc::clone(&net.tunnels.room).try_acquire_owned() {
            let forwarded = forwarded.clone();
            tokio::spawn(async move {
                forwarded
                    .carry(tcp, tcp_address(from.ip(), from.port()))
                    .await;
                drop(permit);
            });
        }
    }
}

impl Forwarded {
    async fn carry(self, tcp: TcpStream, from: Multiaddr) {
        let Some(net) = self.net.upgrade() else {
            return;
        };
        let registry = Arc::clone(&net.tunnels);
        let stopped = registry.stop.clone();
        // Where the peer cannot be reached, the TCP connection is closed: there is nobody else to tell.
        let opened = stopped
            .run_until_cancelled(timeout(DIAL_MAX, self.open(net)))
            .await;
        let Some(Ok(Ok(stream))) = opened else {
            return;
        };
        if tcp.set_nodelay(true).is_err() {
            return;
        }
        let target = peer_address(self.peer);
        let open = registry.open(self.peer, &self.protocol, from, target);
        open.stop
            .run_until_cancelled(both_ways(stream.compat(), tcp, Patience::LONG))
            .await;
    }

    async fn open(&self, net: Arc<Net>) -> Result<Stream, NetError> {
        let peers = Peers {
            net: Arc::clone(&net),
        };
        peers.connect_to(self.peer, self.addresses.clone()).await?;
        net.open_stream(self.peer, self.protocol.clone()).await
    }
}
