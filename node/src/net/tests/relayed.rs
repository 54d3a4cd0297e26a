//! Peers that are reached through a relay first and directly later.

use std::time::Duration;

use serde_json::json;

use super::fetch::{add, cat, noise};
use super::{TCP, address, node_with};
use crate::Node;

/// A relay tells where it is reached. Nobody is at this one.
const PUBLIC: &str = "/ip6/2000::1/tcp/4001";

const NO_ROUTING: &str = "Routing.Type";

async fn relay() -> Node {
    let values = [
        (NO_ROUTING, json!("none")),
        ("Swarm.RelayService.Enabled", json!(true)),
        ("Swarm.RelayService.ConnectionDataLimit", json!(64 << 20)),
        ("Addresses.AppendAnnounce", json!([PUBLIC])),
    ];
    node_with(&[TCP], &values).await.unwrap()
}

/// Waits until a node behind the relay tells that it can be reached there.
async fn reserved(node: &Node) {
    let peers = node.peers().unwrap();
    let told = async {
        loop {
            let addresses = peers.id().await.unwrap().addresses;
            if addresses
                .iter()
                .any(|address| address.to_string().contains("/p2p-circuit"))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_connection_takes_over_from_a_relayed_one() {
    const SIZE: usize = 12 << 20;
    let relay = relay().await;
    let at_relay = address(&relay).await;
    // Both get the direct connection when this test says so.
    let plain = [
        (NO_ROUTING, json!("none")),
        ("Swarm.EnableHolePunching", json!(false)),
    ];
    let hidden = [
        plain[0].clone(),
        plain[1].clone(),
        ("Swarm.RelayClient.StaticRelays", json!([at_relay])),
    ];
    let (one, two) = (
        node_with(&[TCP], &plain).await.unwrap(),
        node_with(&[TCP], &hidden).await.unwrap(),
    );
    reserved(&two).await;
    let (ones, twos) = (one.peers().unwrap(), two.peers().unwrap());
    let id = twos.id().await.unwrap().id;
    let circuit = format!("{at_relay}/p2p-circuit/p2p/{id}");
    ones.connect(&circuit).await.unwrap();
    let small = noise(100_000, 1);
    let cid = add(&two, small.clone()).await;
    assert!(cat(&one, &cid).await.unwrap() == small);
    let through = relay.peers().unwrap();
    let before = through.bandwidth().unwrap();
    assert!(
        before.total_out > 100_000,
        "it went another way: {before:?}"
    );

    // Being reached through a relay is no reason not to dial.
    let listen = twos.listen_addrs().await.unwrap();
    let direct = listen
        .iter()
        .map(ToString::to_string)
        .find(|address| !address.contains("p2p-circuit"))
        .unwrap();
    ones.connect(&format!("{direct}/p2p/{id}")).await.unwrap();
    let ways: Vec<String> = ones
        .list()
        .await
        .unwrap()
        .iter()
        .filter(|connection| connection.peer == id)
        .map(|connection| connection.address.to_string())
        .collect();
    assert!(ways.contains(&direct), "{ways:?}");
    assert!(
        ways.iter().any(|way| way.contains("p2p-circuit")),
        "{ways:?}"
    );
    let large = noise(SIZE, 2);
    let cid = add(&two, large.clone()).await;
    assert!(cat(&one, &cid).await.unwrap() == large);
    // A message may have been on its way.
    let after = through.bandwidth().unwrap();
    let relayed = after.total_out - before.total_out;
    assert!(relayed < SIZE as u64 / 2, "{relayed} bytes of {SIZE}");

    // And back, when only the relay is left.
    ones.disconnect(&format!("{direct}/p2p/{id}"))
        .await
        .unwrap();
    let last = noise(100_000, 3);
    let cid = add(&two, last.clone()).await;
    assert!(cat(&one, &cid).await.unwrap() == last);
}
