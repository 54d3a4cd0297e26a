//! TCP connections from node to node.

use std::net::SocketAddr;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::fetch::noise;
use super::{QUIC, TCP, WS, address, node, node_with};
use crate::Node;
use crate::net::{NetError, TunnelFilter, Tunnels};

const LOCAL: &str = "/ip4/127.0.0.1/tcp/0";
const NAME: &str = "/x/echo";

async fn mounting(listen: &str) -> Node {
    let on = [("Experimental.Libp2pStreamMounting", json!(true))];
    node_with(&[listen], &on).await.unwrap()
}

/// What a server does with a connection.
#[derive(Clone, Copy)]
enum Answer {
    /// Sends everything back once the other side has ended: it takes a half-closed connection.
    AtTheEnd,
    /// Sends what comes as it comes.
    AtOnce,
}

/// A server on loopback; its address.
async fn server(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                // A connection that breaks is what some tests are about.
                let (mut read, mut write) = tcp.split();
                match answer {
                    Answer::AtOnce => {
                        let _ = tokio::io::copy(&mut read, &mut write).await;
                    }
                    Answer::AtTheEnd => {
                        let mut data = Vec::new();
                        if read.read_to_end(&mut data).await.is_ok() {
                            let _ = write.write_all(&data).await;
                        }
                    }
                }
            });
        }
    });
    format!("/ip4/127.0.0.1/tcp/{port}")
}

async fn dial(address: &Multiaddr) -> std::io::Result<TcpStream> {
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port.unwrap()))).await
}

async fn there_and_back(address: &Multiaddr, data: &[u8]) -> Vec<u8> {
    let (mut read, mut write) = dial(address).await.unwrap().into_split();
    let mut got = Vec::new();
    let send = async {
        write.write_all(data).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let both = async { tokio::join!(send, read.read_to_end(&mut got)) };
    let (_, read) = tokio::time::timeout(Duration::from_secs(20), both)
        .await
        .unwrap();
    read.unwrap();
    got
}

/// The peer's end of a connection that has nobody to talk to.
async fn is_cut(tcp: &mut TcpStream) -> bool {
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(10), tcp.read(&mut byte));
    matches!(read.await, Ok(Ok(0) | Err(_)))
}

async fn id_address(node: &Node) -> String {
    let id = node.peers().unwrap().id().await.unwrap().id;
    format!("/p2p/{id}")
}

/// Waits until so many connections are open.
async fn open(tunnels: &Tunnels, count: usize) {
    let wait = async {
        while tunnels.streams().len() != count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap_or_else(|_| panic!("{:?}", tunnels.streams()));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_go_both_ways_and_half_closed_connections_stay_so() {
    for listen in [TCP, QUIC, WS] {
        let (one, two) = (mounting(listen).await, mounting(listen).await);
        let (ones, twos) = (one.tunnels().unwrap(), two.tunnels().unwrap());
        let target = server(Answer::AtTheEnd).await;
        // Whoever made the connection between the nodes, both may offer and use.
        twos.listen(NAME, &target, false).unwrap();
        ones.listen(NAME, &target, false).unwrap();
        let there = ones
            .forward(NAME, LOCAL, &address(&two).await)
            .await
            .unwrap();
        let data = noise(3 << 20, 8);
        assert!(there_and_back(&there.info().listen, &data).await == data);
        let back = twos
            .forward(NAME, LOCAL, &id_address(&one).await)
            .await
            .unwrap();
        for data in [&data[..], &data[..1], &[]] {
            assert!(there_and_back(&back.info().listen, data).await == data);
        }
        assert_eq!(ones.list().len(), 2);
        open(&ones, 0).await;
        open(&twos, 0).await;
        one.shutdown().await.unwrap();
        two.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_share_a_tunnel() {
    let (one, two) = (mounting(TCP).await, mounting(TCP).await);
    let (ones, twos) = (one.tunnels().unwrap(), two.tunnels().unwrap());
    twos.listen(NAME, &server(Answer::AtOnce).await, false)
        .unwrap();
    let tunnel = ones
        .forward(NAME, LOCAL, &address(&two).await)
        .await
        .unwrap();
    let mut connections = Vec::new();
    for n in 0..40_u8 {
        let mut tcp = dial(&tunnel.info().listen).await.unwrap();
        tcp.write_all(&[n; 100]).await.unwrap();
        let mut got = [0; 100];
        let read = tokio::time::timeout(Duration::from_secs(10), tcp.read_exact(&mut got));
        read.await.unwrap().unwrap();
        assert_eq!(got, [n; 100]);
        connections.push(tcp);
    }
    open(&ones, 40).await;
    open(&twos, 40).await;
    let stream = &ones.streams()[7];
    assert_eq!(stream.protocol, NAME);
    assert_eq!(stream.target.to_string(), id_address(&two).await);
    assert!(stream.origin.to_string().starts_with("/ip4/127.0.0.1/tcp/"));
    assert_eq!(twos.streams()[0].origin.to_string(), id_address(&one).await);

    assert!(ones.close_stream(stream.id));
    assert!(!ones.close_stream(u64::MAX));
    open(&ones, 39).await;
    open(&twos, 39).await;
    assert_eq!(twos.close_streams(), 39);
    open(&ones, 0).await;
    for tcp in &mut connections {
        assert!(is_cut(tcp).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_come_at_once_are_all_carried() {
    for listen in [TCP, QUIC] {
        let (one, two) = (mounting(listen).await, mounting(listen).await);
        let (ones, twos) = (one.tunnels().unwrap(), two.tunnels().unwrap());
        twos.listen(NAME, &server(Answer::AtTheEnd).await, false)
            .unwrap();
        let tunnel = ones
            .forward(NAME, LOCAL, &address(&two).await)
            .await
            .unwrap();
        let at = tunnel.info().listen.clone();
        // Nothing connects the nodes yet: all of them wait for the same dial.
        let dials: Vec<_> = (0..50_u8)
            .map(|n| {
                let at = at.clone();
                tokio::spawn(async move { there_and_back(&at, &[n; 1000]).await })
            })
            .collect();
        for (n, dial) in dials.into_iter().enumerate() {
            assert_eq!(dial.await.unwrap(), [n as u8; 1000], "{listen} {n}");
        }
        let connections = one.peers().unwrap().list().await.unwrap();
        assert!(connections.len() <= 2, "{connections:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_tunnel_takes_no_more_and_leaves_the_port() {
    let (one, two) = (mounting(TCP).await, mounting(TCP).await);
    let (ones, twos) = (one.tunnels().unwrap(), two.tunnels().unwrap());
    let target = server(Answer::AtOnce).await;
    let listener = twos.listen(NAME, &target, false).unwrap();
    let tunnel = ones
        .forward(NAME, LOCAL, &address(&two).await)
        .await
        .unwrap();
    let at = tunnel.info().listen.clone();
    let mut tcp = dial(&at).await.unwrap();
    let mut echo = async || {
        tcp.write_all(b"x").await.unwrap();
        tcp.read_u8().await.unwrap()
    };
    assert_eq!(echo().await, b'x');
    let other = TunnelFilter {
        protocol: Some("/x/other".to_owned()),
        ..TunnelFilter::default()
    };
    assert_eq!(ones.close(&other).await, 0);
    let this = TunnelFilter {
        listen: Some(at.clone()),
        ..TunnelFilter::default()
    };
    assert_eq!(ones.close(&this).await, 1);
    tokio::time::timeout(Duration::from_secs(1), tunnel.closed())
        .await
        .unwrap();
    assert!(dial(&at).await.is_err(), "nobody listens");
    assert_eq!(echo().await, b'x', "what is open stays open");
    ones.forward(NAME, &at.to_string(), &address(&two).await)
        .await
        .unwrap();

    listener.close();
    assert!(twos.list().is_empty());
    let refused = async {
        loop {
            let mut late = dial(&at).await.unwrap();
            late.write_all(b"x").await.unwrap();
            if is_cut(&mut late).await {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), refused)
        .await
        .unwrap();
    assert_eq!(echo().await, b'x');
    // The name is free again.
    assert_eq!(twos.close(&TunnelFilter::default()).await, 0);
    twos.listen(NAME, &target, false).unwrap();
    one.shutdown().await.unwrap();
    two.shutdown().await.unwrap();
    assert!(is_cut(&mut tcp).await, "it ends with the node");
    assert!(dial(&at).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_may_be_told_the_peer_or_be_gone() {
    let (one, two) = (mounting(TCP).await, mounting(TCP).await);
    let (ones, twos) = (one.tunnels().unwrap(), two.tunnels().unwrap());
    twos.listen("/x/told", &server(Answer::AtTheEnd).await, true)
        .unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    twos.listen("/x/gone", &format!("/ip4/127.0.0.1/tcp/{port}"), false)
        .unwrap();
    let to = address(&two).await;
    let told = ones.forward("/x/told", LOCAL, &to).await.unwrap();
    let id = one.peers().unwrap().id().await.unwrap().id;
    let got = there_and_back(&told.info().listen, b"hello").await;
    assert_eq!(String::from_utf8(got).unwrap(), format!("{id}\nhello"));
    for name in ["/x/gone", "/x/nobody-takes-this"] {
        let tunnel = ones.forward(name, LOCAL, &to).await.unwrap();
        let mut tcp = dial(&tunnel.info().listen).await.unwrap();
        assert!(is_cut(&mut tcp).await, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused() {
    let plain = node(&[TCP]).await;
    assert!(matches!(plain.tunnels(), Err(NetError::NoTunnels)));
    let offline = Node::builder().in_memory().open().unwrap();
    assert!(matches!(offline.tunnels(), Err(NetError::Offline)));

    let one = mounting(TCP).await;
    let tunnels = one.tunnels().unwrap();
    let listen = |name: &str, target: &str| tunnels.listen(name, target, false).map(|_| ());
    assert!(matches!(listen(NAME, LOCAL), Err(NetError::BadTunnel(_))));
    let target = "/ip4/127.0.0.1/tcp/9";
    listen(NAME, target).unwrap();
    assert!(matches!(listen(NAME, target), Err(NetError::TunnelExists)));
    for name in ["/ipfs/ping/1.0.0", "/ipfs/bitswap/1.2.0", "x", ""] {
        let refused = listen(name, target);
        assert!(matches!(refused, Err(NetError::BadTunnel(_))), "{name}");
    }
    let forward = async |listen: &str, target: &str| {
        let made = tunnels.forward(NAME, listen, target).await;
        made.map(|tunnel| tunnel.info().listen.to_string())
    };
    let own = id_address(&one).await;
    assert!(matches!(
        forward(LOCAL, &own).await,
        Err(NetError::DialSelf)
    ));
    let somebody = format!("/p2p/{}", libp2p::PeerId::random());
    let at = forward(LOCAL, &somebody).await.unwrap();
    let taken = forward(&at, &somebody).await.unwrap_err().to_string();
    assert!(taken.contains("in use"), "{taken}");
    for (listen, target) in [
        ("/ip4/127.0.0.1/udp/0", somebody.as_str()),
        (LOCAL, "/ip4/127.0.0.1/tcp/1"),
        (LOCAL, "/p2p/nonsense"),
    ] {
        let refused = forward(listen, target).await;
        assert!(
            matches!(refused, Err(NetError::BadAddress { .. })),
            "{listen} {target}"
        );
    }
    let full = (0..1000).find_map(|n| listen(&format!("/x/{n}"), target).err());
    assert!(matches!(full, Some(NetError::TooMany(..))), "{full:?}");
}
