//! Addresses of QUIC v1.

use std::net::SocketAddr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// `/ip4/…/udp/…/quic-v1` or with `ip6`, and perhaps a peer behind it; nothing else.
pub fn read(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    let (Protocol::Udp(port), Protocol::QuicV1) = (parts.next()?, parts.next()?) else {
        return None;
    };
    let peer_only = parts.all(|part| matches!(part, Protocol::P2p(_)));
    peer_only.then_some(SocketAddr::new(ip, port))
}

pub fn write(address: SocketAddr) -> Multiaddr {
    Multiaddr::empty()
        .with(address.ip().into())
        .with(Protocol::Udp(address.port()))
        .with(Protocol::QuicV1)
}
