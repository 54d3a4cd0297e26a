//! Who may be reached and who stays connected: filters, peering, trimming.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::json;

use super::fetch::{add, cat, noise};
use super::{QUIC, TCP, WS, address, node, node_with};
use crate::net::NetError;

const LOOPBACK: &str = "/ip4/127.0.0.0/ipcidr/8";
const BITSWAP: &str = "/ipfs/bitswap/1.2.0";
const SOMEBODY: &str = "12D3KooWJDaB3mP92GVoaEhwd9Yyf33NLBHN5o9eZ3F1gXcCzvoG";

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_keeps_peers_out_on_every_transport() {
    for listen in [TCP, QUIC, WS] {
        let (one, two) = (node(&[listen]).await, node(&[listen]).await);
        let (ones, twos) = (one.peers().unwrap(), two.peers().unwrap());
        ones.add_filter(LOOPBACK).await.unwrap();
        let target = address(&one).await;
        let refused = twos.connect(&target).await;
        // Over QUIC the dialler may be through before it is refused.
        let settled = async {
            while !twos.list().await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let gone = tokio::time::timeout(Duration::from_secs(5), settled).await;
        assert!(gone.is_ok(), "{listen} {refused:?}");
        assert!(ones.list().await.unwrap().is_empty(), "{listen}");
        ones.remove_filter(LOOPBACK).await.unwrap();
        twos.connect(&target).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn not_one_packet_goes_to_a_filtered_address() {
    let one = node(&[TCP, WS]).await;
    let peers = one.peers().unwrap();
    peers.add_filter(LOOPBACK).await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    // A name must not lead around the filter.
    for target in [
        format!("/ip4/127.0.0.1/tcp/{port}"),
        format!("/dns4/localhost/tcp/{port}"),
        format!("/ip4/127.0.0.1/tcp/{port}/ws"),
    ] {
        let refused = peers.connect(&format!("{target}/p2p/{SOMEBODY}")).await;
        assert!(matches!(refused, Err(NetError::Dial { .. })), "{refused:?}");
        let accepted = listener.accept().map(|_| ()).unwrap_err();
        assert_eq!(accepted.kind(), ErrorKind::WouldBlock, "{target}");
    }
    peers.remove_filter(LOOPBACK).await.unwrap();
    let target = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{SOMEBODY}");
    let dial = peers.connect(&target);
    // Nobody answers the handshake; that the connection comes is enough.
    let _ = tokio::time::timeout(Duration::from_millis(500), dial).await;
    listener.accept().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peered_node_is_not_trimmed_and_is_dialled_again() {
    let low = [
        ("Swarm.ConnMgr.LowWater", json!(1)),
        ("Swarm.ConnMgr.HighWater", json!(1)),
        ("Swarm.ConnMgr.GracePeriod", json!("0s")),
        ("Swarm.ConnMgr.SilencePeriod", json!("1s")),
        // Lookups would dial those again that were let go.
        ("Routing.Type", json!("none")),
    ];
    let one = node_with(&[TCP], &low).await.unwrap();
    let other = || node_with(&[TCP], &low[4..]);
    let friend = other().await.unwrap();
    let peers = one.peers().unwrap();
    let id = peers.add_peering(&address(&friend).await).await.unwrap();
    let mut strangers = Vec::new();
    for _ in 0..3 {
        let stranger = other().await.unwrap();
        peers.connect(&address(&stranger).await).await.unwrap();
        strangers.push(stranger);
    }
    let only_friend = async {
        loop {
            let list = peers.list().await.unwrap();
            if list.len() == 1 && list[0].peer == id {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), only_friend)
        .await
        .unwrap();

    let own = peers.id().await.unwrap().id.to_string();
    friend.peers().unwrap().disconnect(&own).await.unwrap();
    let lost = Instant::now();
    let state = |connected: bool| {
        let peers = peers.clone();
        async move {
            while peers
                .list()
                .await
                .unwrap()
                .iter()
                .any(|other| other.peer == id)
                != connected
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), state(false))
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(15), state(true))
        .await
        .unwrap();
    let waited = lost.elapsed();
    assert!(waited >= Duration::from_secs(4), "no back-off: {waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_show_connections_and_streams() {
    let (one, two) = (node(&[TCP]).await, node(&[TCP]).await);
    let (ones, twos) = (one.peers().unwrap(), two.peers().unwrap());
    let idle = ones.resources().await.unwrap();
    assert_eq!((idle.system.inbound, idle.system.outbound), (0, 0));
    assert!(idle.system_limits.inbound.is_some() && idle.by_peer.is_empty());
    let id_one = twos.connect(&address(&one).await).await.unwrap();
    let id_two = twos.id().await.unwrap().id;
    let cid = add(&one, noise(100, 4)).await;
    cat(&two, &cid).await.unwrap();

    let (here, there) = (
        ones.resources().await.unwrap(),
        twos.resources().await.unwrap(),
    );
    assert_eq!((here.system.inbound, here.system.outbound), (1, 0));
    assert_eq!((there.system.inbound, there.system.outbound), (0, 1));
    assert_eq!((here.by_peer[0].0, here.by_peer[0].1.inbound), (id_two, 1));
    assert_eq!(there.by_peer[0].0, id_one);
    assert!(here.system.memory > 1 << 20, "{here:?}");
    // Bitswap keeps its streams open.
    let open = here.by_protocol.iter().find(|(name, _)| name == BITSWAP);
    let open = open.unwrap().1.streams;
    assert!(open.inbound >= 1, "{here:?}");
    assert!(here.system.streams.inbound >= open.inbound, "{here:?}");
    assert!(here.by_peer[0].1.streams.inbound >= open.inbound);

    twos.disconnect(&id_one.to_string()).await.unwrap();
    let gone = async {
        loop {
            let left = ones.resources().await.unwrap();
            if left.by_peer.is_empty() && left.system.streams == Default::default() {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let left = tokio::time::timeout(Duration::from_secs(5), gone)
        .await
        .unwrap();
    assert!(left.by_protocol.is_empty(), "{left:?}");
}
