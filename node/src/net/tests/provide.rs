//! Announcing by region, in the DHT of private addresses.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use ipfs_kit_blockstore::block::Block;
use ipfs_kit_blockstore::cid::{Cid, Version};
use ipfs_kit_blockstore::codec;
use ipfs_kit_blockstore::hash::HashSpec;
use serde_json::Value;

use super::routing::routed;
use super::{QUIC, TCP, address, node_with};
use crate::Node;
use crate::net::NetError;
use crate::provide::{Key, Position, ProvideSettings, Provider};

/// Peers that keep each key.
const KEPT_BY: usize = 20;

/// Nodes that all know some of each other.
async fn network(count: usize, listen: &str, values: &[(&str, Value)]) -> Vec<Node> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(node_with(&[listen], values).await.unwrap());
    }
    let hub = address(&nodes[0]).await;
    for node in &nodes[1..] {
        node.peers().unwrap().connect(&hub).await.unwrap();
        routed(node, 1).await;
    }
    // Looking for oneself fills the routing tables.
    for _ in 0..2 {
        for node in &nodes {
            let id = node.peers().unwrap().id().await.unwrap().id;
            let routing = node.routing().unwrap();
            routing.closest_peers(id.to_bytes()).await.unwrap();
        }
    }
    nodes
}

fn blocks(node: &Node, count: usize) -> Vec<Cid> {
    let block = |at: usize| {
        let data = format!("block {at}").into_bytes();
        Block::new(Version::V1, codec::RAW, HashSpec::SHA2_256, data.into()).unwrap()
    };
    let blocks: Vec<Block> = (0..count).map(block).collect();
    for batch in blocks.chunks(1000) {
        node.store().put_many(batch).unwrap();
    }
    blocks.iter().map(|block| block.cid().clone()).collect()
}

/// How many provider records all nodes keep.
async fn kept(nodes: &[Node]) -> usize {
    let mut kept = 0;
    for node in nodes {
        let tables = node.routing().unwrap().tables().await.unwrap();
        kept += tables
            .iter()
            .map(|table| table.provider_keys)
            .sum::<usize>();
    }
    kept
}

/// What was read from a stream may still be on its way to the store of a node.
async fn kept_in_the_end(nodes: &[Node], expected: usize) {
    let began = Instant::now();
    while kept(nodes).await != expected && began.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(kept(nodes).await, expected);
}

/// Each of these is looked up, by one node after the other; the first one has them.
async fn all_found(nodes: &[Node], cids: &[Cid]) {
    let provider = nodes[0].peers().unwrap().id().await.unwrap().id;
    let find = |(at, cid): (usize, &Cid)| {
        let routing = nodes[1 + at % (nodes.len() - 1)].routing().unwrap();
        let cid = cid.clone();
        async move {
            let mut found = routing.find_providers(&cid, 1).await.unwrap();
            let found = tokio::time::timeout(Duration::from_secs(60), found.recv()).await;
            assert_eq!(
                found.unwrap().map(|found| found.peer),
                Some(provider),
                "{cid}"
            );
        }
    };
    let lookups = futures::stream::iter(cids.iter().enumerate().map(find));
    lookups.buffer_unordered(32).collect::<Vec<()>>().await;
}

async fn sweep(count: usize) {
    let nodes = network(50, TCP, &[]).await;
    let cids = blocks(&nodes[0], count);
    let began = Instant::now();
    let provide = nodes[0].provide().unwrap();
    provide.announce_all().await.unwrap();
    let took = began.elapsed();
    let stat = provide.stat(false).await.unwrap();
    let lookups = stat.counts.lookups;
    println!(
        "{count} keys: {lookups} lookups, {} records, {took:?}",
        stat.counts.records
    );
    assert!(lookups as usize * 20 <= count, "{lookups} lookups");
    assert_eq!((stat.counts.keys, stat.counts.failed), (count as u64, 0));
    assert_eq!(stat.counts.records, (count * KEPT_BY) as u64);
    kept_in_the_end(&nodes, count * KEPT_BY).await;
    let began = Instant::now();
    all_found(&nodes, &cids).await;
    println!("all found in {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_blocks_are_announced_with_few_lookups_and_all_are_found() {
    sweep(10_000).await;
}

/// By hand: takes minutes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "two minutes and 50 nodes; run by name with --ignored"]
async fn a_hundred_thousand_blocks_are_announced_with_few_lookups_and_all_are_found() {
    sweep(100_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_nodes_over_quic_take_announcements_too() {
    let nodes = network(4, QUIC, &[]).await;
    let cids = blocks(&nodes[0], 3000);
    let done = nodes[0]
        .provide()
        .unwrap()
        .announce(cids.clone(), false)
        .await;
    assert_eq!(done.unwrap().keys, 3000);
    kept_in_the_end(&nodes, 3 * 3000).await;
    let distinct: BTreeSet<_> = cids.iter().step_by(100).cloned().collect();
    all_found(&nodes, &distinct.into_iter().collect::<Vec<_>>()).await;
}

/// Where a lap stands.
async fn standing(provider: &Provider) -> (Position, u64) {
    let stat = provider.stat(false, 0).await.unwrap();
    (provider.position().unwrap(), stat.counts.keys)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lap_goes_on_after_a_restart_where_it_was() {
    const COUNT: usize = 2000;
    let repo = tempfile::tempdir().unwrap();
    crate::repo::init(repo.path(), &crate::repo::InitOptions::default()).unwrap();
    let others = network(3, TCP, &[]).await;
    let hub = address(&others[0]).await;
    // The node's own lap is off, so that this one alone is seen.
    let values: [(&str, Value); 3] = [
        ("Provide.DHT.Interval", "0s".into()),
        ("Provide.DHT.KeystoreBatchSize", 100.into()),
        ("Provide.DHT.MaxWorkers", 1.into()),
    ];
    let mut first: Option<(Position, u64)> = None;
    for start in 0..2 {
        let builder = Node::builder().repo(repo.path());
        let node = super::configured(builder, &[TCP], &values)
            .spawn()
            .await
            .unwrap();
        if start == 0 {
            blocks(&node, COUNT);
            node.store().sync().unwrap();
        }
        node.peers().unwrap().connect(&hub).await.unwrap();
        routed(&node, 1).await;
        let mut settings = ProvideSettings::read(node.config()).unwrap();
        settings.interval = Duration::from_secs(3600);
        let provider = Provider::new(node.net().unwrap(), settings, "");
        let background = node.provide().unwrap().online.background(&node);
        let lap = tokio::spawn(Arc::clone(&provider).run(background, Duration::ZERO));
        let enough = async {
            loop {
                if let Some(position) = provider.position() {
                    let (_, keys) = standing(&provider).await;
                    let over = !position.rush;
                    if (start == 0 && keys >= 500) || over {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), enough)
            .await
            .unwrap();
        lap.abort();
        let _ = lap.await;
        let now = standing(&provider).await;
        if let Some((position, keys)) = first {
            assert!(position.rush && position.next > Key::ZERO);
            assert!(
                now.1 + keys >= COUNT as u64 && now.1 < COUNT as u64,
                "{keys} then {}",
                now.1
            );
            assert!(!now.0.rush, "the lap ended");
        }
        first = Some(now);
        drop(provider);
        node.shutdown().await.unwrap();
    }
    assert!(
        kept(&others).await >= COUNT,
        "everybody was told everything"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_records_are_there_after_a_restart() {
    let repo = tempfile::tempdir().unwrap();
    crate::repo::init(repo.path(), &crate::repo::InitOptions::default()).unwrap();
    let keeper = || super::configured(Node::builder().repo(repo.path()), &[TCP], &[]);
    let keeping = keeper().spawn().await.unwrap();
    let provider = node_with(&[TCP], &[]).await.unwrap();
    let hub = address(&keeping).await;
    provider.peers().unwrap().connect(&hub).await.unwrap();
    routed(&provider, 1).await;
    let cids = blocks(&provider, 100);
    let told = provider.provide().unwrap();
    told.announce(cids.clone(), false).await.unwrap();
    kept_in_the_end(std::slice::from_ref(&keeping), 100).await;
    let known = provider.peers().unwrap().id().await.unwrap().id;
    keeping.shutdown().await.unwrap();
    provider.shutdown().await.unwrap();

    let keeping = keeper().spawn().await.unwrap();
    kept_in_the_end(std::slice::from_ref(&keeping), 100).await;
    let asking = node_with(&[TCP], &[]).await.unwrap();
    let hub = address(&keeping).await;
    asking.peers().unwrap().connect(&hub).await.unwrap();
    routed(&asking, 1).await;
    let routing = asking.routing().unwrap();
    let mut found = routing.find_providers(&cids[42], 1).await.unwrap();
    let found = tokio::time::timeout(Duration::from_secs(10), found.recv())
        .await
        .unwrap();
    let found = found.unwrap();
    assert_eq!(found.peer, known);
    assert!(!found.addresses.is_empty(), "and where it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_are_gone_are_left_out() {
    let mut nodes = network(8, TCP, &[]).await;
    let cids = blocks(&nodes[0], 2000);
    for gone in nodes.split_off(5) {
        gone.shutdown().await.unwrap();
    }
    let announced = nodes[0].provide().unwrap();
    let announced = announced.announce(cids.clone(), false).await.unwrap();
    assert_eq!(announced.keys, 2000);
    kept_in_the_end(&nodes, 4 * 2000).await;
    all_found(&nodes, &cids[..100]).await;
    let left = nodes.remove(0);
    for gone in nodes {
        gone.shutdown().await.unwrap();
    }
    let nobody = left.provide().unwrap().announce(cids, false).await;
    assert!(matches!(nobody, Err(NetError::NotStored(_))), "{nobody:?}");
}
