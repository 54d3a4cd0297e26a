//! A private network: who has its key takes part, nobody else does, and is told why.

use super::online::Online;
use anyhow::{Result, ensure};
use ipfs_kit_interop_tests::stream::Stream;
use ipfs_kit_interop_tests::{Peer, Side, scratch};
use serde_json::json;
use std::path::Path;

/// Starts a node whose key is made of `digit`; without one it is in the public network.
fn node(side: Side, place: &Path, name: &str, digit: Option<&str>) -> Result<Online> {
    let peer = Peer::init(side, place.join(name))?;
    if let Some(digit) = digit {
        let key = format!("/key/swarm/psk/1.0.0/\n/base16/\n{}\n", digit.repeat(64));
        std::fs::write(peer.repo().join("swarm.key"), key)?;
    }
    Online::run(peer, &[("Routing.Type", json!("none"))])
}

#[test]
fn files_travel_both_ways_in_a_private_network() -> Result<()> {
    let place = scratch::in_memory()?;
    let ours = node(Side::Ours, place.path(), "ours", Some("7"))?;
    let kubo = node(Side::Kubo, place.path(), "kubo", Some("7"))?;
    let third = node(Side::Ours, place.path(), "third", Some("7"))?;
    kubo.connect(&ours)?;
    third.connect(&ours)?;
    let mut equal = 0;
    for (from, to) in [(&ours, &kubo), (&kubo, &ours), (&ours, &third)] {
        for size in [0, 1_000, 5 << 20] {
            let bytes = Stream::new(&format!("{}-{}-{size}", from.id, to.id)).take(size);
            let cid = from.add(&bytes)?;
            let got = to.run(["cat", "--timeout=30s", &cid])?;
            ensure!(got == bytes, "{size} bytes differ");
            equal += 1;
        }
    }
    assert_eq!(equal, 9);
    Ok(())
}

#[test]
fn strangers_stay_out_of_a_private_network_and_are_told_why() -> Result<()> {
    let place = scratch::in_memory()?;
    let inside = [
        node(Side::Ours, place.path(), "ours", Some("7"))?,
        node(Side::Kubo, place.path(), "kubo", Some("7"))?,
    ];
    let public = node(Side::Ours, place.path(), "public", None)?;
    let elsewhere = node(Side::Ours, place.path(), "elsewhere", Some("8"))?;
    let mut dials = Vec::new();
    for stranger in [&public, &elsewhere] {
        dials.extend(inside.iter().map(|member| (stranger, &member.address)));
        dials.push((&inside[0], &stranger.address));
    }
    // With another key the length of what comes is any: a handshake may last until its time is up.
    let refused = std::thread::scope(|scope| {
        let each = dials.iter().map(|(from, address)| {
            scope.spawn(move || from.refusal(&["swarm", "connect", address.as_str()]))
        });
        let each: Vec<_> = each.collect();
        let said = each.into_iter().map(|dial| dial.join().expect("no panic"));
        said.collect::<Result<Vec<_>>>()
    })?;
    for said in &refused {
        ensure!(said.contains("swarm.key"), "{said}");
    }
    assert_eq!(refused.len(), 6);
    for node in inside.iter().chain([&public, &elsewhere]) {
        ensure!(node.text(["swarm", "peers"])?.is_empty());
    }
    Ok(())
}

#[test]
fn a_kubo_from_outside_does_not_get_in_either() -> Result<()> {
    let place = scratch::in_memory()?;
    let ours = node(Side::Ours, place.path(), "ours", Some("7"))?;
    let public = node(Side::Kubo, place.path(), "public", None)?;
    public.refusal(&["swarm", "connect", &ours.address])?;
    ours.refusal(&["swarm", "connect", &public.address])?;
    ensure!(ours.text(["swarm", "peers"])?.is_empty());
    ensure!(public.text(["swarm", "peers"])?.is_empty());
    Ok(())
}
