use super::*;
use crate::stream::Stream;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Instant;

/// A node that sends back what it gets, until the connection ends.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut back = stream.try_clone().unwrap();
                drop(std::io::copy(&mut stream, &mut back));
                drop(back.shutdown(std::net::Shutdown::Write));
            });
        }
    });
    address
}

/// Sends `bytes` through the node and back, reading while it writes.
fn through(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut got = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            writer.write_all(bytes).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        stream.read_to_end(&mut got).unwrap();
    });
    got
}

/// A node's UDP socket and a client's that is connected to the proxy before it.
fn udp(link: Link) -> (Proxy, UdpSocket, UdpSocket) {
    let node = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for socket in [&node, &client] {
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
    }
    let proxy = Proxy::start(Carrier::Udp, node.local_addr().unwrap(), link).unwrap();
    client.connect(proxy.address()).unwrap();
    (proxy, node, client)
}

#[test]
fn tcp_passes_every_byte_unchanged_and_counts_it() {
    let proxy = Proxy::start(Carrier::Tcp, echo(), Link::default()).unwrap();
    let bytes = Stream::new("tcp").take(32 << 20);
    assert!(through(proxy.address(), &bytes) == bytes, "bytes differ");
    let counted = Traffic {
        to_node: 32 << 20,
        from_node: 32 << 20,
        lost: 0,
    };
    // The last count may come a moment after the last byte.
    let start = Instant::now();
    while proxy.traffic() != counted && start.elapsed() < Duration::from_secs(5) {
        std::thread::yield_now();
    }
    assert_eq!(proxy.traffic(), counted);
}

#[test]
fn tcp_comes_later_by_the_delay_each_way_and_no_slower_for_it() {
    let link = Link::round_trip(Duration::from_millis(100));
    let proxy = Proxy::start(Carrier::Tcp, echo(), link).unwrap();
    let start = Instant::now();
    assert_eq!(
        through(proxy.address(), b"there and back"),
        b"there and back"
    );
    let one = start.elapsed();
    // The bytes and the end of the stream travel together: one round trip.
    assert!(one >= Duration::from_millis(100), "{one:?}");
    assert!(one < Duration::from_millis(180), "{one:?}");
    let bytes = Stream::new("tcp").take(32 << 20);
    let start = Instant::now();
    assert!(through(proxy.address(), &bytes) == bytes, "bytes differ");
    // A window of 64 KiB and this delay would take 50 s.
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn tcp_connections_share_the_limit() {
    let link = Link {
        delay: Duration::ZERO,
        rate: Some(4 << 20),
    };
    let proxy = Proxy::start(Carrier::Tcp, echo(), link).unwrap();
    let bytes = Stream::new("tcp").take(1 << 20);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert!(through(proxy.address(), &bytes) == bytes));
        }
    });
    let took = start.elapsed();
    // 2 MiB at 4 MiB/s, both directions at once.
    assert!(took >= Duration::from_millis(480), "{took:?}");
    assert!(took < Duration::from_millis(1_500), "{took:?}");
}

#[test]
fn a_dropped_proxy_ends_its_connections() {
    let proxy = Proxy::start(Carrier::Tcp, echo(), Link::default()).unwrap();
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    drop(proxy);
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    // An end or a reset, but no wait.
    let outcome = stream.read(&mut [0]);
    let waited = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    assert!(
        !outcome.as_ref().is_err_and(waited) && !matches!(outcome, Ok(1)),
        "{outcome:?}"
    );
}

#[test]
fn udp_keeps_datagrams_and_their_order() {
    const COUNT: usize = 2_000;
    let (proxy, node, client) = udp(Link::round_trip(Duration::from_millis(20)));
    let mut stream = Stream::new("udp");
    // Sizes that the kernel joins and sizes that it does not, and an empty one.
    let sent: Vec<Vec<u8>> = (0..COUNT)
        .map(|index| match index % 100 {
            0 => Vec::new(),
            1..50 => stream.take(1_200),
            other => stream.take(other * 20),
        })
        .collect();
    let mut buffer = [0; 4_096];
    for part in sent.chunks(50) {
        for datagram in part {
            client.send(datagram).unwrap();
        }
        for datagram in part {
            let (length, from) = node.recv_from(&mut buffer).unwrap();
            assert!(buffer[..length] == datagram[..], "another datagram");
            node.send_to(&buffer[..length], from).unwrap();
        }
        for datagram in part {
            let length = client.recv(&mut buffer).unwrap();
            assert!(buffer[..length] == datagram[..], "another datagram");
        }
    }
    let bytes: usize = sent.iter().map(Vec::len).sum();
    let start = Instant::now();
    while proxy.traffic().from_node < bytes as u64 && start.elapsed() < Duration::from_secs(5) {
        std::thread::yield_now();
    }
    let traffic = proxy.traffic();
    assert_eq!(traffic.to_node, bytes as u64);
    assert_eq!(traffic.from_node, bytes as u64);
    assert_eq!(traffic.lost, 0);
}

#[test]
fn udp_comes_later_by_the_delay_each_way() {
    let (_proxy, node, client) = udp(Link::round_trip(Duration::from_millis(60)));
    let mut buffer = [0; 16];
    let start = Instant::now();
    client.send(b"ping").unwrap();
    let (_, from) = node.recv_from(&mut buffer).unwrap();
    let there = start.elapsed();
    node.send_to(b"pong", from).unwrap();
    client.recv(&mut buffer).unwrap();
    let back = start.elapsed();
    assert!(there >= Duration::from_millis(30), "{there:?}");
    assert!(back >= Duration::from_millis(60), "{back:?}");
    assert!(back < Duration::from_millis(140), "{back:?}");
}

#[test]
fn udp_loses_what_a_full_link_cannot_hold() {
    let link = Link {
        delay: Duration::ZERO,
        rate: Some(1 << 20),
    };
    let (proxy, node, client) = udp(link);
    // 1.2 MB at once into a link that holds 256 KiB and carries 1 MiB/s.
    for _ in 0..1_000 {
        client.send(&[7; 1_200]).unwrap();
    }
    let start = Instant::now();
    node.set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut arrived = 0u64;
    while node.recv(&mut [0; 1_200]).is_ok() {
        arrived += 1;
    }
    let took = start.elapsed() - Duration::from_millis(500);
    let lost = proxy.traffic().lost;
    assert_eq!(arrived + lost, 1_000);
    assert!(arrived >= 200 && lost >= 300, "{arrived} {lost}");
    let rate = (arrived * 1_200) as f64 / took.as_secs_f64();
    assert!(rate < 1.3 * f64::from(1 << 20), "{rate}");
}
