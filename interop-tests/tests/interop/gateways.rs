//! Kubo's gateway as a provider over HTTP and as a delegated router of ours. The two never meet over libp2p where HTTP is
//! tested.

use super::online::{Online, until};
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::stream::Stream;
use ipfs_kit_interop_tests::{Side, scratch};
use serde_json::json;
use std::path::Path;

/// A Kubo with a gateway that answers `/routing/v1` too, and where that is.
fn kubo(place: &Path) -> Result<(Online, String)> {
    let config = [
        ("Addresses.Gateway", json!("/ip4/127.0.0.1/tcp/0")),
        ("Gateway.ExposeRoutingAPI", json!(true)),
        ("Gateway.NoFetch", json!(true)),
        ("Routing.Type", json!("dhtserver")),
        ("Routing.LoopbackAddressesOnLanDHT", json!(true)),
    ];
    let kubo = Online::start(Side::Kubo, place, "kubo", &config)?;
    let url = until("the gateway listens", || {
        let told = std::fs::read_to_string(kubo.repo().join("gateway"));
        Ok(told.ok().map(|url| url.trim().to_owned()))
    })?;
    Ok((kubo, url))
}

#[test]
fn a_file_comes_from_kubos_gateway() -> Result<()> {
    let place = scratch::in_memory()?;
    let (kubo, url) = kubo(place.path())?;
    let bytes = Stream::new("over http").take(3_000_000);
    let cid = kubo.add(&bytes)?;
    let config = [("HTTPRetrieval.Gateways", json!([url]))];
    let ours = Online::start(Side::Ours, place.path(), "ours", &config)?;
    let got = ours.run(["cat", "--timeout=20s", &cid])?;
    ensure!(got == bytes, "the file differs");
    let peers = ours.text(["swarm", "peers"])?;
    ensure!(peers.is_empty(), "it came over libp2p: {peers}");
    Ok(())
}

#[test]
fn kubo_answers_as_a_delegated_router() -> Result<()> {
    let place = scratch::in_memory()?;
    let (kubo, url) = kubo(place.path())?;
    let bytes = Stream::new("by a router").take(600_000);
    let cid = kubo.add(&bytes)?;
    // What Kubo tells of is what its DHT knows, so there is somebody who stores it.
    let config = [
        ("Routing.Type", json!("dhtserver")),
        ("Routing.LoopbackAddressesOnLanDHT", json!(true)),
    ];
    let keeper = Online::start(Side::Kubo, place.path(), "keeper", &config)?;
    keeper.connect(&kubo)?;
    let config = [
        ("Routing.Type", json!("delegated")),
        ("Routing.DelegatedRouters", json!([url])),
        ("Ipns.DelegatedPublishers", json!([url])),
    ];
    let ours = Online::start(Side::Ours, place.path(), "ours", &config)?;
    until("the provider is found", || {
        keeper.run(["pin", "add", "--timeout=10s", &cid])?;
        keeper.run(["routing", "provide", &cid])?;
        let found = ours.text(["routing", "findprovs", "-n", "5", "--timeout=10s", &cid])?;
        Ok(found.lines().any(|peer| peer == keeper.id).then_some(()))
    })?;
    let got = ours.run(["cat", "--timeout=20s", &cid])?;
    ensure!(got == bytes, "the file differs");
    let name = ours.text(["key", "gen", "one"])?;
    let value = format!("/ipfs/{cid}");
    until("the name is published through the router", || {
        ours.run(["name", "publish", "-k", "one", &value]).map(Some)
    })?;
    let got = until("Kubo resolves it", || {
        kubo.text(["name", "resolve", "--timeout=10s", &name])
            .map(Some)
    })
    .context("a name that ours published by the router")?;
    ensure!(got == value, "{got} instead of {value}");
    Ok(())
}
