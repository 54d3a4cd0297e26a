//! Circuits through a relay: Kubo's for ours, and ours for Kubo.

use super::online::{Online, until};
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::{Side, scratch};
use serde_json::{Value, json};
use std::path::Path;

/// A relay tells where it is reached, and Kubo's leaves out addresses that are not public. Nobody
/// is at this one, which belongs to no network.
const PUBLIC: &str = "/ip6/2000::1/tcp/4001";

fn relay(side: Side, place: &Path) -> Result<Online> {
    let mut config = vec![
        ("Routing.Type", json!("none")),
        ("Swarm.RelayService.Enabled", json!(true)),
        ("Addresses.AppendAnnounce", json!([PUBLIC])),
    ];
    if side == Side::Kubo {
        // Kubo serves as a relay once peers have dialled it from outside, which is none here.
        config.push(("Internal.Libp2pForceReachability", json!("public")));
    }
    Online::start(side, place, "relay", &config)
}

/// A node that asks the relay for a place and waits until it has one.
fn behind(side: Side, place: &Path, name: &str, relay: &Online) -> Result<Online> {
    let mut config: Vec<(&str, Value)> = vec![
        ("Routing.Type", json!("none")),
        (
            "Swarm.RelayClient",
            json!({"Enabled": true, "StaticRelays": [relay.address]}),
        ),
    ];
    if side == Side::Kubo {
        config.push(("Internal.Libp2pForceReachability", json!("private")));
    }
    let node = Online::start(side, place, name, &config)?;
    let own = format!("/p2p/{}/p2p-circuit/p2p/{}", relay.id, node.id);
    until("the relay keeps a place", || {
        let told = node.json(["id"])?;
        let addresses = told.first().and_then(|id| id["Addresses"].as_array());
        let mut addresses = addresses.context("`id` gives no addresses")?.iter();
        let found = addresses.any(|address| address.as_str().is_some_and(|a| a.ends_with(&own)));
        Ok(found.then_some(()))
    })
    .with_context(|| format!("{} behind {}", side.name(), relay.side().name()))?;
    Ok(node)
}

fn outside(side: Side, place: &Path, name: &str) -> Result<Online> {
    Online::start(side, place, name, &[("Routing.Type", json!("none"))])
}

/// Connects through the relay, and each of the two learns from the other who it is.
fn meets(from: &Online, relay: &Online, to: &Online) -> Result<()> {
    let circuit = format!("{}/p2p-circuit/p2p/{}", relay.address, to.id);
    from.connect_at(&circuit)
        .with_context(|| format!("{} to {}", from.side().name(), to.side().name()))?;
    for (one, other) in [(from, to), (to, from)] {
        let peers = one.text(["swarm", "peers"])?;
        let circuit = format!("/p2p/{}/p2p-circuit/p2p/{}", relay.id, other.id);
        ensure!(
            peers.lines().any(|peer| peer.ends_with(&circuit)),
            "{peers}"
        );
        // What `id` tells of a connected peer came over that connection.
        let agent = until("the peer has told who it is", || {
            let told = one.json(["id", &other.id])?;
            let agent = told.first().and_then(|id| id["AgentVersion"].as_str());
            Ok(agent.filter(|agent| !agent.is_empty()).map(str::to_owned))
        })?;
        ensure!(agent.starts_with(other.side().name()), "{agent}");
    }
    Ok(())
}

/// Nodes of both kinds behind the relay meet nodes of both kinds outside.
fn everybody_meets(side: Side) -> Result<()> {
    let place = scratch::in_memory()?;
    let relay = relay(side, place.path())?;
    let mut met = 0;
    for hidden in [Side::Ours, Side::Kubo] {
        let hidden = behind(hidden, place.path(), &format!("{hidden:?}"), &relay)?;
        for caller in [Side::Ours, Side::Kubo] {
            let name = format!("{caller:?}-calls-{}", hidden.side().name());
            let caller = outside(caller, place.path(), &name)?;
            meets(&caller, &relay, &hidden)?;
            met += 1;
            // Kubo sends no blocks over a connection that has limits; ours does.
            if caller.side() == Side::Ours && hidden.side() == Side::Ours {
                let bytes = name.as_bytes();
                let cid = hidden.add(bytes)?;
                ensure!(caller.run(["cat", "--timeout=20s", &cid])? == bytes);
                met += 1;
            }
        }
    }
    assert_eq!(met, 5);
    Ok(())
}

#[test]
fn ours_and_kubo_are_reached_through_a_kubo_relay() -> Result<()> {
    everybody_meets(Side::Kubo)
}

#[test]
fn ours_and_kubo_are_reached_through_a_relay_of_ours() -> Result<()> {
    everybody_meets(Side::Ours)
}

#[test]
fn who_is_no_relay_says_so() -> Result<()> {
    let place = scratch::in_memory()?;
    let plain = outside(Side::Ours, place.path(), "plain")?;
    let hidden = outside(Side::Ours, place.path(), "hidden")?;
    let mut refused = 0;
    for side in [Side::Ours, Side::Kubo] {
        let caller = outside(side, place.path(), side.name())?;
        let circuit = format!("{}/p2p-circuit/p2p/{}", plain.address, hidden.id);
        let said = caller.refusal(&["swarm", "connect", &circuit])?;
        ensure!(said.contains("/libp2p/circuit/relay/0.2.0/hop"), "{said}");
        refused += 1;
    }
    assert_eq!(refused, 2);
    Ok(())
}
