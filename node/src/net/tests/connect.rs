//! Connecting, identify, ping, and what is refused.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{QUIC, TCP, WS, address, builder, node, node_with};
use crate::net::{Direction, NetError};
use crate::{CancelToken, Error, Node};

async fn connect_and_ping(one: &Node, two: &Node) {
    let peer = one
        .peers()
        .unwrap()
        .connect(&address(two).await)
        .await
        .unwrap();
    let times = one.peers().unwrap().ping(peer, 3).await.unwrap();
    assert_eq!(times.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transport_and_security_connects_pings_and_identifies() {
    let tls = ("Swarm.Transports.Security.Noise", json!(false));
    let noise = ("Swarm.Transports.Security.TLS", json!(false));
    for (listen, values) in [
        (TCP, vec![tls]),
        (TCP, vec![noise]),
        (QUIC, vec![]),
        (WS, vec![]),
    ] {
        let (one, two) = (
            node(&[listen]).await,
            node_with(&[listen], &values).await.unwrap(),
        );
        connect_and_ping(&one, &two).await;
        let peers = one.peers().unwrap();
        let them = peers.list().await.unwrap();
        assert_eq!(them.len(), 1, "{listen}");
        assert_eq!(them[0].direction, Direction::Outbound);
        let identity = peers.identity_of(them[0].peer).await.unwrap();
        assert!(identity.agent_version.starts_with("ipfs-kit/"));
        assert_eq!(identity.protocol_version, "ipfs/0.1.0");
        let ours = two.peers().unwrap().id().await.unwrap();
        assert_eq!(identity.public_key, ours.public_key);
        assert_eq!(identity.addresses, ours.addresses);
        // What `id` shows is what identify tells.
        let mut told = identity.protocols;
        told.sort();
        // Hole punching is spoken over relayed connections only.
        let mut shown = ours.protocols;
        shown.retain(|name| name != "/libp2p/dcutr");
        assert_eq!(told, shown);
        let seen = two.peers().unwrap().list().await.unwrap();
        assert_eq!(seen[0].direction, Direction::Inbound);
        one.shutdown().await.unwrap();
        two.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_can_be_connected_without_its_id_and_disconnected() {
    let (one, two) = (node(&[TCP]).await, node(&[TCP]).await);
    let peers = one.peers().unwrap();
    let listen = two.peers().unwrap().listen_addrs().await.unwrap()[0].to_string();
    let peer = peers.connect(&listen).await.unwrap();
    assert_eq!(peer, two.peers().unwrap().id().await.unwrap().id);
    assert_eq!(peers.connect(&format!("/p2p/{peer}")).await.unwrap(), peer);
    peers.disconnect(&peer.to_string()).await.unwrap();
    let gone = async {
        while !peers.list().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone)
        .await
        .unwrap();
    assert!(matches!(
        peers.disconnect(&peer.to_string()).await,
        Err(NetError::NotConnected(_))
    ));
    assert_eq!(
        peers.addrs().await.unwrap().len(),
        1,
        "its address is remembered"
    );
    assert_eq!(peers.connect(&peer.to_string()).await.unwrap(), peer);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_what_was_tried() {
    let (one, two) = (node(&[TCP]).await, node(&[TCP]).await);
    let peers = one.peers().unwrap();
    let other = "12D3KooWJDaB3mP92GVoaEhwd9Yyf33NLBHN5o9eZ3F1gXcCzvoG";

    let error = peers.connect(other).await.unwrap_err();
    assert!(matches!(error, NetError::NoAddresses(_)), "{error}");

    let nobody = format!("/ip4/127.0.0.1/tcp/1/p2p/{other}");
    let error = peers.connect(&nobody).await.unwrap_err().to_string();
    assert!(
        error.contains("/ip4/127.0.0.1/tcp/1") && error.contains("refused"),
        "{error}"
    );

    let listen = two.peers().unwrap().listen_addrs().await.unwrap()[0].to_string();
    let error = peers
        .connect(&format!("{listen}/p2p/{other}"))
        .await
        .unwrap_err();
    assert!(matches!(error, NetError::WrongPeer { .. }), "{error}");

    let error = peers.connect(&address(&one).await).await.unwrap_err();
    assert!(matches!(error, NetError::DialSelf), "{error}");

    for text in ["/ip4/1.2.3", "nonsense", "/ip4/127.0.0.1/tcp/1/p2p/x", ""] {
        let error = peers.connect(text).await.unwrap_err();
        assert!(
            matches!(
                error,
                NetError::BadAddress { .. } | NetError::BadPeerId { .. }
            ),
            "{text}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_node_says_so_and_a_stopped_one_too() {
    let node = Node::builder().in_memory().open().unwrap();
    assert!(matches!(node.peers(), Err(NetError::Offline)));
    let node = super::node(&[TCP]).await;
    assert!(node.is_online());
    assert!(matches!(
        node.go_online().await,
        Err(Error::Net(NetError::AlreadyOnline))
    ));
    let copy = node.clone();
    let listen = node.peers().unwrap().listen_addrs().await.unwrap()[0].to_string();
    node.shutdown().await.unwrap();
    assert!(matches!(copy.peers(), Err(NetError::Stopped)));
    let port: u16 = listen.rsplit('/').next().unwrap().parse().unwrap();
    std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_node_waits_for_the_network_it_was_promised() {
    let node = builder(&[TCP], &[]).open().unwrap();
    let absent = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am";
    assert!(matches!(node.patient().peers(), Err(NetError::Offline)));
    node.expect_online();
    assert!(matches!(node.peers(), Err(NetError::Offline)));
    let cancel = CancelToken::new().with_deadline(Instant::now());
    let late = node.with_cancel(cancel).patient();
    assert!(matches!(late.peers(), Err(NetError::Cancelled(_))));
    let block = late.blocks().get(absent).unwrap_err();
    assert!(matches!(block, Error::Cancelled(_)), "{block}");
    let patient = node.patient();
    let waits = tokio::task::spawn_blocking(move || patient.peers().map(drop));
    node.go_online().await.unwrap();
    waits.await.unwrap().unwrap();
    node.shutdown().await.unwrap();

    let bad = [("Routing.Type", json!("nonsense"))];
    let node = builder(&[TCP], &bad).open().unwrap();
    node.expect_online();
    let patient = node.patient();
    let waits = tokio::task::spawn_blocking(move || patient.peers().map(drop).unwrap_err());
    let why = node.go_online().await.unwrap_err().to_string();
    let told = waits.await.unwrap();
    assert!(
        matches!(&told, NetError::NotStarted(reason) if *reason == why),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn peered_nodes_find_each_other_again() {
    let two = node(&[TCP]).await;
    let target = address(&two).await;
    let id = two.peers().unwrap().id().await.unwrap().id;
    let listen = two.peers().unwrap().listen_addrs().await.unwrap()[0].to_string();
    let peering = json!([{"ID": id.to_string(), "Addrs": [listen]}]);
    let one = node_with(&[TCP], &[("Peering.Peers", peering)])
        .await
        .unwrap();
    let peers = one.peers().unwrap();
    let connected = async {
        while peers.list().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), connected)
        .await
        .unwrap();
    assert_eq!(peers.peering().await.unwrap().len(), 1);
    peers.remove_peering(id).await.unwrap();
    assert!(peers.peering().await.unwrap().is_empty());
    peers.add_peering(&target).await.unwrap();
    assert_eq!(peers.peering().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_address_is_refused_until_the_filter_is_removed() {
    let (one, two) = (node(&[TCP]).await, node(&[TCP]).await);
    let peers = one.peers().unwrap();
    let range = "/ip4/127.0.0.0/ipcidr/8";
    assert_eq!(peers.add_filter(range).await.unwrap(), [range]);
    let target = address(&two).await;
    let error = peers.connect(&target).await.unwrap_err().to_string();
    assert!(
        error.contains("filtered by /ip4/127.0.0.0/ipcidr/8"),
        "{error}"
    );
    assert!(peers.remove_filter(range).await.unwrap().is_empty());
    peers.connect(&target).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_network_keeps_strangers_out() {
    let key = |digit: &str| format!("/key/swarm/psk/1.0.0/\n/base16/\n{}\n", digit.repeat(64));
    let mut nodes = Vec::new();
    let mut dirs = Vec::new();
    for digit in ["a", "a", "b"] {
        let dir = tempfile::tempdir().unwrap();
        let options = crate::repo::InitOptions {
            profiles: vec!["test".to_owned()],
            ..Default::default()
        };
        crate::repo::init(dir.path(), &options).unwrap();
        std::fs::write(dir.path().join("swarm.key"), key(digit)).unwrap();
        let node = Node::builder().repo(dir.path()).spawn().await.unwrap();
        nodes.push(node);
        dirs.push(dir);
    }
    let target = address(&nodes[0]).await;
    nodes[1].peers().unwrap().connect(&target).await.unwrap();
    let error = nodes[2].peers().unwrap().connect(&target).await;
    assert!(matches!(error, Err(NetError::Dial { .. })), "{error:?}");
    // The errors of the handshake do not say what is wrong: ours do.
    let text = error.unwrap_err().to_string();
    assert!(text.contains("the same swarm.key"), "{text}");
    let public = node(&[TCP]).await;
    let error = public.peers().unwrap().connect(&target).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("swarm.key is needed"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_wants_a_peer_waits_for_the_same_dial() {
    let (one, two) = (node(&[TCP]).await, node(&[TCP]).await);
    let (ones, twos) = (one.peers().unwrap(), two.peers().unwrap());
    let target = address(&two).await;
    let (listen, _) = target.split_once("/p2p/").unwrap();
    let asked = (0..60).map(|n| {
        let text = if n % 3 == 0 { listen } else { &target };
        ones.connect(text)
    });
    let id = twos.id().await.unwrap().id;
    for peer in futures::future::join_all(asked).await {
        assert_eq!(peer.unwrap(), id);
    }
    // One dial for the peer and one for whoever is there.
    let connections = ones.list().await.unwrap();
    assert!((1..=2).contains(&connections.len()), "{connections:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_who_wait_for_a_dial_hear_that_it_failed_and_a_better_address_is_not_waited_for() {
    let (one, two) = (node(&[TCP]).await, node(&[TCP]).await);
    let peers = one.peers().unwrap();
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let id = two.peers().unwrap().id().await.unwrap().id;
    let nowhere = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}");
    let stuck: Vec<_> = (0..5)
        .map(|_| {
            let (peers, nowhere) = (peers.clone(), nowhere.clone());
            tokio::spawn(async move { peers.connect(&nowhere).await })
        })
        .collect();
    let _held = silent.accept().unwrap();
    let target = address(&two).await;
    let found = tokio::time::timeout(Duration::from_secs(10), peers.connect(&target));
    assert_eq!(found.await.unwrap().unwrap(), id);
    // The peer is connected: nobody has to wait for the dial that got nowhere.
    for waiting in stuck {
        let outcome = tokio::time::timeout(Duration::from_secs(10), waiting);
        assert_eq!(outcome.await.unwrap().unwrap().unwrap(), id);
    }

    let other = "12D3KooWJDaB3mP92GVoaEhwd9Yyf33NLBHN5o9eZ3F1gXcCzvoG";
    let nobody = format!("/ip4/127.0.0.1/tcp/1/p2p/{other}");
    let asked = (0..20).map(|_| peers.connect(&nobody));
    for outcome in futures::future::join_all(asked).await {
        assert!(matches!(outcome, Err(NetError::Dial { .. })), "{outcome:?}");
    }
}
