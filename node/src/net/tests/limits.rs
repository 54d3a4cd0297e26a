//! Limits of bandwidth, memory and file descriptors.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::fetch::{add, cat, noise};
use super::{QUIC, TCP, WS, address, node_with};
use crate::net::NetError;

/// Bytes in a second.
const RATE: usize = 1 << 20;

/// What goes at once after a pause, and what a stream or two may owe at the end.
const BURST: usize = RATE / 10 + (32 << 10);

type Values<'a> = &'a [(&'a str, Value)];

/// How long a file takes between nodes of these settings.
async fn transfer(listen: &str, size: usize, from: Values<'_>, to: Values<'_>) -> Duration {
    let one = node_with(&[listen], from).await.unwrap();
    let two = node_with(&[listen], to).await.unwrap();
    let target = address(&one).await;
    two.peers().unwrap().connect(&target).await.unwrap();
    let cid = add(&one, noise(size, 9)).await;
    let start = Instant::now();
    assert_eq!(cat(&two, &cid).await.unwrap().len(), size);
    let took = start.elapsed();
    one.shutdown().await.unwrap();
    two.shutdown().await.unwrap();
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_node_is_not_faster_than_its_limit() {
    const SIZE: usize = 2 << 20;
    let up = [("Swarm.Bandwidth.Up", json!(RATE))];
    let down = [("Swarm.Bandwidth.Down", json!("1MiB"))];
    let least = Duration::from_secs_f64((SIZE - BURST) as f64 / RATE as f64);
    for listen in [TCP, QUIC, WS] {
        for (from, to) in [(&up[..], &[][..]), (&[], &down)] {
            let took = transfer(listen, SIZE, from, to).await;
            assert!(took >= least, "{listen} {from:?} {to:?}: {took:?}");
            // Blocks that come twice count too.
            assert!(took < 5 * least, "{listen} {from:?} {to:?}: {took:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_for_all_peers_together() {
    const SIZE: usize = 1 << 20;
    let up = [("Swarm.Bandwidth.Up", json!(RATE))];
    let one = node_with(&[TCP], &up).await.unwrap();
    let cid = add(&one, noise(SIZE, 9)).await;
    let target = address(&one).await;
    let start = Instant::now();
    let mut gets = Vec::new();
    for _ in 0..3 {
        let two = node_with(&[TCP], &[]).await.unwrap();
        two.peers().unwrap().connect(&target).await.unwrap();
        let cid = cid.clone();
        gets.push(tokio::spawn(
            async move { cat(&two, &cid).await.unwrap().len() },
        ));
    }
    for get in gets {
        assert_eq!(get.await.unwrap(), SIZE);
    }
    let least = Duration::from_secs_f64((3 * SIZE - BURST) as f64 / RATE as f64);
    assert!(start.elapsed() >= least, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_limit_or_with_a_high_one_is_not_slowed() {
    const SIZE: usize = 8 << 20;
    // The machine may be busy: the best of some counts.
    let best = async |values: Values<'_>| {
        let mut best = Duration::MAX;
        for _ in 0..3 {
            best = best.min(transfer(TCP, SIZE, values, values).await);
        }
        best
    };
    let none = best(&[]).await;
    assert!(
        none < Duration::from_secs_f64(SIZE as f64 / RATE as f64 / 2.0),
        "{none:?}"
    );
    let high = best(&[
        ("Swarm.Bandwidth.Up", json!("2GB")),
        ("Swarm.Bandwidth.Down", json!("2GB")),
    ])
    .await;
    assert!(high < 3 * none, "{high:?} and {none:?} without");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_short_of_memory_keeps_only_its_friends() {
    let short = [("Swarm.ResourceMgr.MaxMemory", json!("1MB"))];
    let one = node_with(&[TCP], &short).await.unwrap();
    let two = node_with(&[TCP], &[]).await.unwrap();
    let (ones, twos) = (one.peers().unwrap(), two.peers().unwrap());
    let refused = twos.connect(&address(&one).await).await;
    assert!(matches!(refused, Err(NetError::Dial { .. })), "{refused:?}");
    let target = address(&two).await;
    let error = ones.connect(&target).await.unwrap_err().to_string();
    assert!(error.contains("bytes of memory are in use"), "{error}");
    let resources = ones.resources().await.unwrap();
    assert_eq!(resources.system_limits.memory, Some(1_000_000));
    assert!(resources.system.memory > 1_000_000);
    ones.add_peering(&target).await.unwrap();
    let connected = async {
        while ones.list().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), connected)
        .await
        .unwrap();

    let off = [
        ("Swarm.ResourceMgr.MaxMemory", json!("1MB")),
        ("Swarm.ResourceMgr.Enabled", json!(false)),
    ];
    let open = node_with(&[TCP], &off).await.unwrap();
    twos.connect(&address(&open).await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn file_descriptors_of_connections_are_bounded() {
    let few = [
        ("Swarm.ResourceMgr.MaxFileDescriptors", json!(2)),
        ("Routing.Type", json!("none")),
    ];
    let one = node_with(&[TCP, QUIC], &few).await.unwrap();
    let own = one.peers().unwrap().id().await.unwrap();
    let address_with = |part: &str| {
        let mut addresses = own.addresses.iter().map(ToString::to_string);
        addresses.find(|address| address.contains(part)).unwrap()
    };
    let (tcp, quic) = (address_with("/tcp/"), address_with("/quic"));
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(node_with(&[TCP], &few[1..]).await.unwrap());
    }
    for other in &others[..2] {
        other.peers().unwrap().connect(&tcp).await.unwrap();
    }
    let third = others[2].peers().unwrap();
    assert!(third.connect(&tcp).await.is_err());
    let resources = one.peers().unwrap().resources().await.unwrap();
    assert_eq!(resources.system.descriptors, 2);
    assert_eq!(resources.system_limits.descriptors, Some(2));
    // Connections over QUIC share the listener's.
    third.connect(&quic).await.unwrap();
}
