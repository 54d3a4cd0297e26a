//! A way through the NAT in front of this node, for a peer that connects at the same time.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// Length of a datagram that opens the way; random, so that nobody takes it for QUIC.
const LENGTH: usize = 64;

/// Between two of them.
const PAUSES: std::ops::RangeInclusive<u64> = 10..=200;

/// Sends datagrams until it is dropped, or one cannot be sent.
pub async fn punch(socket: UdpSocket, remote: SocketAddr) -> io::Error {
    let socket = match tokio::net::UdpSocket::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return error,
    };
    loop {
        let mut bytes = [0; LENGTH + 1];
        if let Err(error) = getrandom::fill(&mut bytes) {
            return io::Error::other(error.to_string());
        }
        let (pause, datagram) = (u64::from(bytes[LENGTH]), &bytes[..LENGTH]);
        if let Err(error) = socket.send_to(datagram, remote).await {
            return error;
        }
        let pause = PAUSES.start() + pause * (PAUSES.end() - PAUSES.start()) / 255;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}
