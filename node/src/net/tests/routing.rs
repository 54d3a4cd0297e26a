//! Lookups in the DHT of private addresses.

use std::time::Duration;

use bytes::Bytes;

use super::{TCP, address, node};
use crate::net::NetError;
use crate::{BlockPut, Node};

/// Waits until a node's LAN table has so many peers.
pub(super) async fn routed(node: &Node, peers: usize) {
    let routing = node.routing().unwrap();
    let full = async {
        loop {
            let tables = routing.tables().await.unwrap();
            let lan = tables.iter().find(|table| table.name == "lan").unwrap();
            if lan.peers.len() >= peers {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), full)
        .await
        .unwrap();
}

/// Connects two nodes and waits until each has the other in its routing table.
pub(super) async fn meet(from: &Node, to: &Node) {
    let peers = from.peers().unwrap();
    peers.connect(&address(to).await).await.unwrap();
    routed(from, 1).await;
    routed(to, 1).await;
}

/// Three nodes; the first and the last know only the one in the middle.
pub(super) async fn line() -> [Node; 3] {
    let nodes = [node(&[TCP]).await, node(&[TCP]).await, node(&[TCP]).await];
    let middle = address(&nodes[1]).await;
    for end in [0, 2] {
        nodes[end].peers().unwrap().connect(&middle).await.unwrap();
        routed(&nodes[end], 1).await;
    }
    routed(&nodes[1], 2).await;
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_found_through_a_third_node() {
    let [one, _two, three] = line().await;
    let data = Bytes::from_static(b"somebody has this");
    let cid = one.blocks().put(data, &BlockPut::default()).unwrap().cid;
    one.routing().unwrap().provide(&cid).await.unwrap();
    let mut found = three
        .routing()
        .unwrap()
        .find_providers(&cid, 1)
        .await
        .unwrap();
    let provider = tokio::time::timeout(Duration::from_secs(10), found.recv())
        .await
        .unwrap()
        .unwrap();
    let id = one.peers().unwrap().id().await.unwrap();
    assert_eq!(provider.peer, id.id);
    let listen = one.peers().unwrap().listen_addrs().await.unwrap();
    assert!(provider.addresses.contains(&listen[0]), "{provider:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_found_and_dialled_by_its_id_alone() {
    let [one, _two, three] = line().await;
    let id = one.peers().unwrap().id().await.unwrap().id;
    let addresses = three.routing().unwrap().find_peer(id).await.unwrap();
    assert!(!addresses.is_empty());
    three
        .peers()
        .unwrap()
        .connect(&id.to_string())
        .await
        .unwrap();
    let closest = three
        .routing()
        .unwrap()
        .closest_peers(id.to_bytes())
        .await
        .unwrap();
    assert!(closest.iter().any(|(peer, _)| *peer == id), "{closest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_stored_found_and_refused() {
    let [one, _two, three] = line().await;
    let identity = one.peers().unwrap().id().await.unwrap();
    let key = [b"/pk/".as_slice(), &identity.id.to_bytes()].concat();
    let routing = one.routing().unwrap();
    routing
        .put(key.clone(), identity.public_key.clone())
        .await
        .unwrap();
    assert_eq!(
        three.routing().unwrap().get(key.clone()).await.unwrap(),
        identity.public_key
    );
    let refused = routing.put(key, b"forged".to_vec()).await;
    assert!(
        matches!(refused, Err(NetError::BadRecord(_))),
        "{refused:?}"
    );
    let other = [b"/pk/".as_slice(), &libp2p::PeerId::random().to_bytes()].concat();
    assert!(matches!(routing.get(other).await, Err(NetError::NotFound)));
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_or_switched_off_routing_says_so() {
    let alone = node(&[TCP]).await;
    let cid = crate::Cid::v1(
        crate::codec::RAW,
        crate::hash::HashSpec::SHA2_256.digest(b"x").unwrap(),
    );
    let refused = alone.routing().unwrap().provide(&cid).await;
    assert!(
        matches!(refused, Err(NetError::NotStored(_))),
        "{refused:?}"
    );
    let mut found = alone
        .routing()
        .unwrap()
        .find_providers(&cid, 1)
        .await
        .unwrap();
    assert_eq!(
        found.recv().await.map(|provider| provider.peer),
        Some(alone.peers().unwrap().id().await.unwrap().id)
    );
    let off = super::node_with(&[TCP], &[("Routing.Type", "none".into())])
        .await
        .unwrap();
    let refused = off.routing().unwrap().find_providers(&cid, 1).await;
    assert!(matches!(refused, Err(NetError::NoRouting)));
}
