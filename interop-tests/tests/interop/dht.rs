//! The DHT among three nodes: what one announces, another one finds that knows only the third.

use super::online::{Online, until};
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::stream::Stream;
use ipfs_kit_interop_tests::{Side, scratch};
use serde_json::json;
use std::path::Path;

/// One end, the middle, the other end. The ends are told of the middle only.
type Three = [Online; 3];

fn three(sides: [Side; 3], place: &Path) -> Result<Three> {
    let start = |side: Side, name: &str| {
        // Nodes on one machine meet in the DHT of the local network. What is announced is what
        // the tests say.
        let config = [
            ("Routing.Type", json!("dhtserver")),
            ("Routing.LoopbackAddressesOnLanDHT", json!(true)),
            ("Provide.Enabled", json!(true)),
        ];
        Online::start(side, place, name, &config)
    };
    let [first, middle, last] = sides;
    let nodes = [
        start(first, "first")?,
        start(middle, "middle")?,
        start(last, "last")?,
    ];
    nodes[0].connect(&nodes[1])?;
    nodes[2].connect(&nodes[1])?;
    Ok(nodes)
}

/// One end provides, the other finds the provider and reads the file.
fn provide_and_find(from: &Online, to: &Online) -> Result<()> {
    let bytes = Stream::new(&from.id).take(600_000);
    let cid = from.add(&bytes)?;
    until("the provider is found", || {
        from.run(["routing", "provide", &cid])?;
        let found = to.text(["routing", "findprovs", "-n", "5", "--timeout=5s", &cid])?;
        Ok(found.lines().any(|peer| peer == from.id).then_some(()))
    })
    .with_context(|| format!("{} provides", from.side().name()))?;
    ensure!(
        to.run(["cat", "--timeout=20s", &cid])? == bytes,
        "the file differs"
    );
    Ok(())
}

/// One end publishes a name of a key of its own, the other resolves it. Gives the name.
fn publish_and_resolve(from: &Online, to: &Online, key: &str) -> Result<String> {
    let name = from.text(["key", "gen", key])?;
    for text in ["first value", "second value"] {
        let value = format!("/ipfs/{}", from.add(text.as_bytes())?);
        until("the name is published", || {
            from.run(["name", "publish", "-k", key, "--ttl=0s", &value])
                .map(Some)
        })?;
        until("the name resolves to what was published last", || {
            let got = to.text(["name", "resolve", "--nocache", "--timeout=10s", &name])?;
            ensure!(got == value, "{got} instead of {value}");
            Ok(Some(()))
        })
        .with_context(|| format!("{} published", from.side().name()))?;
    }
    let record = to.run(["routing", "get", &format!("/ipns/{name}")])?;
    ensure!(
        record == from.run(["routing", "get", &format!("/ipns/{name}")])?,
        "the ends have different records"
    );
    Ok(name)
}

fn both_ways(sides: [Side; 3]) -> Result<()> {
    let place = scratch::in_memory()?;
    let nodes = three(sides, place.path())?;
    let [first, _, last] = &nodes;
    provide_and_find(first, last)?;
    provide_and_find(last, first)?;
    publish_and_resolve(first, last, "one")?;
    publish_and_resolve(last, first, "two")?;
    Ok(())
}

#[test]
fn two_kubos_meet_through_ours() -> Result<()> {
    both_ways([Side::Kubo, Side::Ours, Side::Kubo])
}

#[test]
fn ours_and_kubo_meet_through_kubo() -> Result<()> {
    both_ways([Side::Ours, Side::Kubo, Side::Kubo])
}

#[test]
fn two_of_ours_meet_through_kubo() -> Result<()> {
    both_ways([Side::Ours, Side::Kubo, Side::Ours])
}

/// The node's own name, which Kubo and ours publish when no key is named.
#[test]
fn the_name_of_the_node_itself_resolves_from_the_other_side() -> Result<()> {
    let place = scratch::in_memory()?;
    let nodes = three([Side::Ours, Side::Kubo, Side::Kubo], place.path())?;
    let mut resolved = 0;
    for (from, to) in [(&nodes[0], &nodes[2]), (&nodes[2], &nodes[0])] {
        let value = format!("/ipfs/{}", from.add(from.id.as_bytes())?);
        until("the name is published", || {
            from.run(["name", "publish", &value]).map(Some)
        })?;
        let path = format!("/ipns/{}", from.id);
        let got = until("the name resolves", || {
            to.text(["name", "resolve", "--timeout=10s", &path])
                .map(Some)
        })?;
        ensure!(got == value, "{got} instead of {value}");
        let got = to.run(["cat", "--timeout=20s", &path])?;
        ensure!(got == from.id.as_bytes(), "the file of the name differs");
        resolved += 1;
    }
    assert_eq!(resolved, 2);
    Ok(())
}
