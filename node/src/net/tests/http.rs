//! Blocks from HTTP gateways, and providers, peers and names from delegated routers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::fetch::{add, cat, noise};
use super::gateway::{Manner, Server, Table, gateway, router};
use super::{TCP, address, node, node_with};
use crate::names::PublishOptions;
use crate::{CancelToken, Cid, Error, Node, PeerId};

/// A node that knows nobody, with these gateways.
async fn with_gateways(gateways: &[&Server], more: &[(&str, Value)]) -> Node {
    let urls: Vec<String> = gateways.iter().map(|gateway| gateway.url()).collect();
    let mut values = vec![("HTTPRetrieval.Gateways", json!(urls))];
    values.extend(more.iter().cloned());
    node_with(&[TCP], &values).await.unwrap()
}

fn record(peer: PeerId, addresses: &[String], protocol: &str) -> String {
    json!({"Schema": "peer", "ID": peer.to_string(), "Addrs": addresses, "Protocols": [protocol]})
        .to_string()
}

/// A node that asks a router, and no DHT.
async fn with_router(router: &Server) -> Node {
    let values = [
        ("Routing.Type", json!("delegated")),
        ("Routing.DelegatedRouters", json!([router.url()])),
        ("Ipns.DelegatedPublishers", json!([router.url()])),
    ];
    node_with(&[TCP], &values).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_whole_beside_gateways_of_every_kind() {
    let owner = node(&[TCP]).await;
    let data = noise(3 << 20, 1);
    let cid = add(&owner, data.clone()).await;
    let mut servers = Vec::new();
    for manner in [
        Manner::Lies,
        Manner::Slow,
        Manner::TooLarge,
        Manner::Drops,
        Manner::Empty,
        Manner::Redirects,
        Manner::Honest,
    ] {
        servers.push(gateway(&owner, manner).await);
    }
    let reader = with_gateways(&servers.iter().collect::<Vec<_>>(), &[]).await;
    let start = Instant::now();
    let got = tokio::time::timeout(Duration::from_secs(60), cat(&reader, &cid)).await;
    assert!(got.unwrap().unwrap() == data);
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
    // The root and twelve chunks; those who fail are not asked again and again.
    assert!(servers[6].count() >= 13, "{}", servers[6].count());
    for server in &servers[..4] {
        assert!(server.count() <= 16, "{}", server.count());
    }
    assert!(
        cat(&reader.offline(), &cid).await.unwrap() == data,
        "it is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_fetched_twice() {
    let owner = node(&[TCP]).await;
    let data = noise(8 << 20, 2);
    let cid = add(&owner, data.clone()).await;
    let good = gateway(&owner, Manner::Honest).await;
    let reader = with_gateways(&[&good], &[]).await;
    assert!(cat(&reader, &cid).await.unwrap() == data);
    assert_eq!(good.count(), 33, "the root and 32 chunks, each once");
    // Where a connected peer has everything, the gateway is not asked.
    let other = with_gateways(&[&good], &[]).await;
    let peer = address(&owner).await;
    other.peers().unwrap().connect(&peer).await.unwrap();
    assert!(cat(&other, &cid).await.unwrap() == data);
    assert_eq!(good.count(), 33);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_who_did_what() {
    let owner = node(&[TCP]).await;
    let cid = add(&owner, noise(1000, 3)).await;
    for (manner, expected) in [
        (Manner::Lies, "the bytes are not those of the block"),
        (Manner::TooLarge, "larger than 2097152 bytes"),
        (Manner::Empty, "it does not have the block"),
        (
            Manner::Redirects,
            "redirected to a host that is not allowed",
        ),
        (Manner::Drops, "HTTP gateways failed"),
    ] {
        let server = gateway(&owner, manner).await;
        let reader = with_gateways(&[&server], &[]).await;
        let reader = reader
            .with_cancel(CancelToken::new().with_deadline(Instant::now() + Duration::from_secs(3)));
        let error = cat(&reader, &cid).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{manner:?}: {error}");
        assert!(error.contains(&server.url()), "{manner:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_allowed_and_denied_and_all_can_be_switched_off() {
    let owner = node(&[TCP]).await;
    let cid = add(&owner, noise(1000, 4)).await;
    let server = gateway(&owner, Manner::Honest).await;
    for values in [
        [("HTTPRetrieval.Enabled", json!(false))],
        [("HTTPRetrieval.Denylist", json!(["127.0.0.1"]))],
        [("HTTPRetrieval.Allowlist", json!(["gateway.example"]))],
    ] {
        let reader = with_gateways(&[&server], &values).await;
        let reader = reader
            .with_cancel(CancelToken::new().with_deadline(Instant::now() + Duration::from_secs(2)));
        let error = cat(&reader, &cid).await.unwrap_err();
        assert!(
            matches!(error, Error::NotFetched { .. }),
            "{values:?}: {error}"
        );
        assert_eq!(server.count(), 0, "{values:?}");
    }
    let values = [("HTTPRetrieval.Allowlist", json!(["127.0.0.1"]))];
    let reader = with_gateways(&[&server], &values).await;
    assert_eq!(cat(&reader, &cid).await.unwrap(), noise(1000, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_tells_of_gateways_and_of_peers() {
    let owner = node(&[TCP]).await;
    let id = owner.peers().unwrap().id().await.unwrap();
    let (table, data) = (Table::default(), noise(600_000, 5));
    let cid = add(&owner, data.clone()).await;
    let server = gateway(&owner, Manner::Honest).await;
    let teller = router(Table::clone(&table)).await;
    let gate = record(
        PeerId::random(),
        &[server.multiaddr()],
        "transport-ipfs-gateway-http",
    );
    let lines = format!("{{\"Schema\":\"magic\"}}\nnonsense\n{gate}\n");
    let path = format!("/providers/{cid}");
    table
        .lock()
        .insert(path.clone(), ("application/x-ndjson", lines.into()));
    let reader = with_router(&teller).await;
    assert!(cat(&reader, &cid).await.unwrap() == data);
    assert_eq!(server.count(), 4, "the root and three chunks");
    // The same file from a peer that only the router knows.
    let addresses: Vec<String> = id.addresses.iter().map(ToString::to_string).collect();
    let peer = record(id.id, &addresses, "transport-bitswap");
    let document = format!(r#"{{"Providers":[{{"Schema":7}},{peer}]}}"#);
    table
        .lock()
        .insert(path, ("application/json", document.clone().into()));
    let key = crate::format_peer_id(&id.id, crate::IdBase::default());
    let peers = document.replace("Providers", "Peers");
    table
        .lock()
        .insert(format!("/peers/{key}"), ("application/json", peers.into()));
    let other = with_router(&teller).await;
    let routing = other.routing().unwrap();
    let mut found = routing.find_providers(&cid, 5).await.unwrap();
    assert_eq!(found.recv().await.unwrap().peer, id.id);
    assert!(
        found.recv().await.is_none(),
        "the stream ends with the reply"
    );
    assert!(!routing.find_peer(id.id).await.unwrap().is_empty());
    assert!(routing.find_peer(PeerId::random()).await.is_err());
    assert!(cat(&other, &cid).await.unwrap() == data);
    assert_eq!(server.count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_can_be_ignored() {
    let owner = node(&[TCP]).await;
    let cid = add(&owner, noise(1000, 10)).await;
    let server = gateway(&owner, Manner::Honest).await;
    let table = Table::default();
    let teller = router(Table::clone(&table)).await;
    let peer = PeerId::random();
    let gate = record(peer, &[server.multiaddr()], "transport-ipfs-gateway-http");
    let document = format!(r#"{{"Providers":[{gate}]}}"#);
    table.lock().insert(
        format!("/providers/{cid}"),
        ("application/json", document.into()),
    );
    let values = [
        ("Routing.Type", json!("delegated")),
        ("Routing.DelegatedRouters", json!([teller.url()])),
        ("Routing.IgnoreProviders", json!([peer.to_string()])),
    ];
    let reader = node_with(&[TCP], &values).await.unwrap();
    let reader = reader
        .with_cancel(CancelToken::new().with_deadline(Instant::now() + Duration::from_secs(3)));
    cat(&reader, &cid).await.unwrap_err();
    assert!(teller.count() > 0);
    assert_eq!(server.count(), 0);
    let reader = node_with(&[TCP], &values[..2]).await.unwrap();
    assert_eq!(cat(&reader, &cid).await.unwrap(), noise(1000, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_go_through_a_router() {
    let table = Table::default();
    let teller = router(Table::clone(&table)).await;
    let (one, two) = (with_router(&teller).await, with_router(&teller).await);
    let cid = add(&one, b"a name's file".to_vec()).await;
    let value = format!("/ipfs/{cid}");
    let published = {
        let (one, value) = (one.clone(), value.clone());
        let publish = move || one.names().publish(&value, &PublishOptions::default());
        tokio::task::spawn_blocking(publish).await.unwrap().unwrap()
    };
    assert_eq!(table.lock().len(), 1, "the router was given the record");
    let resolve = |node: &Node| {
        let (node, name) = (node.clone(), format!("/ipns/{}", published.key.id));
        let resolve = move || {
            node.names()
                .resolve(&name, &crate::names::ResolveOptions::default())
        };
        tokio::task::spawn_blocking(resolve)
    };
    let resolved = resolve(&two).await.unwrap().unwrap();
    assert_eq!(resolved.path.to_string(), value);
    // A record that is not the name's is not taken.
    let forged = Bytes::from_static(b"no record");
    for (_, record) in table.lock().values_mut() {
        *record = forged.clone();
    }
    let three = with_router(&teller).await;
    resolve(&three).await.unwrap().unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_is_down_does_not_hold_up_the_dht() {
    let values = [
        ("Routing.Type", json!("auto")),
        ("Routing.DelegatedRouters", json!(["http://127.0.0.1:1"])),
    ];
    let reader = node_with(&[TCP], &values).await.unwrap();
    let owner = node(&[TCP]).await;
    let cid: Cid = add(&owner, noise(1000, 7)).await;
    super::routing::meet(&reader, &owner).await;
    owner.routing().unwrap().provide(&cid).await.unwrap();
    let mut found = reader
        .routing()
        .unwrap()
        .find_providers(&cid, 1)
        .await
        .unwrap();
    let provider = tokio::time::timeout(Duration::from_secs(10), found.recv()).await;
    let id = owner.peers().unwrap().id().await.unwrap();
    assert_eq!(provider.unwrap().unwrap().peer, id.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_alone_peers_are_not_asked() {
    let owner = node(&[TCP]).await;
    let there = noise(600_000, 8);
    let cid = add(&owner, there.clone()).await;
    let gate = gateway(&owner, Manner::Honest).await;
    let http = ("Bitswap.Libp2pEnabled", json!(false));
    let reader = with_gateways(&[&gate], std::slice::from_ref(&http)).await;
    let peers = reader.peers().unwrap();
    peers.connect(&address(&owner).await).await.unwrap();
    assert!(cat(&reader, &cid).await.unwrap() == there);
    assert_eq!(gate.count(), 4, "the root and three chunks");
    let protocols = peers.id().await.unwrap().protocols;
    assert!(
        protocols.iter().all(|name| !name.contains("bitswap")),
        "{protocols:?}"
    );
    assert_eq!(owner.bitswap().unwrap().stat().blocks_sent, 0);
    // What only the peer has is not to be had.
    let empty = gateway(&owner, Manner::Empty).await;
    let other = with_gateways(&[&empty], std::slice::from_ref(&http)).await;
    other
        .peers()
        .unwrap()
        .connect(&address(&owner).await)
        .await
        .unwrap();
    let other = other
        .with_cancel(CancelToken::new().with_deadline(Instant::now() + Duration::from_secs(2)));
    let error = cat(&other, &cid).await.unwrap_err().to_string();
    assert!(error.contains("it does not have the block"), "{error}");
    // Neither way is none.
    let off = [http, ("HTTPRetrieval.Enabled", json!(false))];
    let error = node_with(&[TCP], &off).await.err().unwrap().to_string();
    assert!(error.contains("Bitswap.Libp2pEnabled"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_dags_come_as_cars_and_what_they_lack_block_by_block() {
    let owner = node(&[TCP]).await;
    let data = noise(4 << 20, 9);
    let cid = add(&owner, data.clone()).await;
    for (manner, least, most) in [
        (Manner::Cars, 0, 0),
        (Manner::HalfCars, 1, 12),
        (Manner::ForgedCars, 17, 17),
        (Manner::Honest, 17, 17),
    ] {
        let gate = gateway(&owner, manner).await;
        let reader = with_gateways(&[&gate], &[]).await;
        assert!(cat(&reader, &cid).await.unwrap() == data, "{manner:?}");
        let count = gate.count();
        assert!(
            (least..=most).contains(&count),
            "{manner:?}: {count} blocks"
        );
        assert!(
            cat(&reader.offline(), &cid).await.unwrap() == data,
            "{manner:?}"
        );
    }
}
