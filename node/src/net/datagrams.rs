//! Room for datagrams in the kernel: QUIC sockets are made by libp2p with the system's default, 208 KiB, which a fast
//! peer overruns while this process does something else; every datagram that is dropped then slows the connection down.
#![allow(unsafe_code)]

use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, RawFd};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size, socket_type};
use rustix::net::{SocketType, getsockname};

/// What is asked for in bytes, as quic-go does; the system gives no more than `net.core.rmem_max` and `wmem_max`.
const WANTED: usize = 7 << 20;

/// Gives the socket of a QUIC listener, which dials use too, more room. Without it everything works, only slower.
pub fn widen(listening: &Multiaddr) {
    let mut parts = listening.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return,
    };
    let Some(Protocol::Udp(port)) = parts.next() else {
        return;
    };
    if parts.any(|part| matches!(part, Protocol::QuicV1)) {
        widen_bound_to(SocketAddr::new(ip, port));
    }
}

fn widen_bound_to(address: SocketAddr) {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    for name in open.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        if let Ok(number) = name.parse::<RawFd>() {
            widen_if_bound_to(number, address);
        }
    }
}

fn widen_if_bound_to(number: RawFd, address: SocketAddr) {
    // SAFETY: the descriptor may be closed by another thread at any time. Until it is known to be bound to `address` it
    // is only asked what it is, which changes nothing whatever it has become. The one that is bound there belongs to a
    // listener of the swarm, whose task, the caller, is the only one that could close it.
    let socket = unsafe { BorrowedFd::borrow_raw(number) };
    let bound = getsockname(socket).ok().map(SocketAddr::try_from);
    let is_ours = bound.is_some_and(|bound| {
        bound.is_ok_and(|bound| {
            // A listener on all addresses is told once for each of them.
            bound.port() == address.port()
                && (bound.ip() == address.ip() || bound.ip().is_unspecified())
        })
    });
    if is_ours && socket_type(socket) == Ok(SocketType::DGRAM) {
        // More than the system allows is not refused but cut, and a failure only costs speed.
        let _ = set_socket_recv_buffer_size(socket, WANTED);
        let _ = set_socket_send_buffer_size(socket, WANTED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::socket_recv_buffer_size;
    use std::net::UdpSocket;

    #[test]
    fn only_the_socket_at_the_address_gets_more_room() {
        let (ours, other) = (
            UdpSocket::bind("127.0.0.1:0"),
            UdpSocket::bind("127.0.0.1:0"),
        );
        let (ours, other) = (ours.unwrap(), other.unwrap());
        let size = |socket: &UdpSocket| socket_recv_buffer_size(socket).unwrap();
        let before = size(&other);
        let port = ours.local_addr().unwrap().port();
        widen(&format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap());
        assert_eq!(size(&ours), before, "no QUIC");
        widen(
            &format!("/ip4/127.0.0.1/udp/{port}/quic-v1")
                .parse()
                .unwrap(),
        );
        let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
        let limit: usize = limit.trim().parse().unwrap();
        // The kernel counts twice what is asked for: its own book-keeping is in it.
        assert_eq!(size(&ours), 2 * WANTED.min(limit));
        assert_eq!(size(&other), before);
    }
}
