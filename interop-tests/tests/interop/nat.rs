//! Two of ours, each at home behind a router that lets nothing in which it was not sent out for, and a relay of ours
//! between them: they meet through the relay, and then the routers let them through to each other.

use super::online::{Online, until};
use anyhow::{Result, ensure};
use ipfs_kit_interop_tests::netns::Namespace;
use ipfs_kit_interop_tests::{Side, scratch};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// More than the relay carries for one connection, which is 128 KiB.
const LARGE: usize = 4 << 20;

const SMALL: usize = 20_000;

/// A router as in most homes: everything from inside goes out at its address, under the same port where that is free, and
/// only answers come in. What nobody inside asked for is dropped without a word.
const ROUTER: &str = "
table ip nat {
    chain out {
        type nat hook postrouting priority srcnat
        oifname \"wan\" masquerade
    }
}
table ip gate {
    chain through {
        type filter hook forward priority filter
        policy drop
        ct state established,related accept
        iifname \"lan\" accept
    }
    chain in {
        type filter hook input priority filter
        policy drop
        ct state established,related accept
    }
}
";

/// Where the relay is, in the middle of everything.
const MIDDLE: &str = "11.0.0.1";

/// The port of every node.
const PORT: u16 = 4001;

/// A host at home and the router before it. The host's only address is `192.168.N.2`, and the world sees `11.0.N.1`.
struct Home {
    host: Namespace,
    _router: Namespace,
    number: u8,
}

impl Home {
    fn new(middle: &Namespace, number: u8) -> Result<Self> {
        let (router, host) = (Namespace::new()?, Namespace::new()?);
        router.link(
            ("wan", &format!("11.0.{number}.1/24")),
            (
                middle,
                &format!("home{number}"),
                &format!("11.0.{number}.254/24"),
            ),
        )?;
        router.link(
            ("lan", &format!("192.168.{number}.1/24")),
            (&host, "eth", &format!("192.168.{number}.2/24")),
        )?;
        host.ip(&format!("route add default via 192.168.{number}.1"))?;
        router.ip(&format!("route add default via 11.0.{number}.254"))?;
        router.filter(ROUTER)?;
        router.forward()?;
        Ok(Self {
            host,
            _router: router,
            number,
        })
    }

    /// Where the world sees it.
    fn outside(&self) -> SocketAddr {
        SocketAddr::from(([11, 0, self.number, 1], PORT))
    }
}

/// The relay's network and two homes.
struct World {
    middle: Namespace,
    one: Home,
    two: Home,
}

impl World {
    fn new() -> Result<Self> {
        let middle = Namespace::new()?;
        middle.ip(&format!("address add {MIDDLE}/32 dev lo"))?;
        middle.forward()?;
        let (one, two) = (Home::new(&middle, 1)?, Home::new(&middle, 2)?);
        Ok(Self { middle, one, two })
    }
}

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Tcp,
    Quic,
}

impl Way {
    /// The listen address at `ip`.
    fn at(self, ip: &str) -> String {
        match self {
            Way::Tcp => format!("/ip4/{ip}/tcp/{PORT}"),
            Way::Quic => format!("/ip4/{ip}/udp/{PORT}/quic-v1"),
        }
    }

    fn config(self, ip: &str) -> Vec<(&'static str, Value)> {
        vec![
            ("Routing.Type", json!("none")),
            ("Addresses.Swarm", json!([self.at(ip)])),
        ]
    }
}

fn relay(world: &World, way: Way, place: &Path) -> Result<Online> {
    let mut config = way.config(MIDDLE);
    config.push(("Swarm.RelayService.Enabled", json!(true)));
    // Nobody asks whether it can be reached, so it says so.
    config.push(("Addresses.AppendAnnounce", json!([way.at(MIDDLE)])));
    world
        .middle
        .within(|| Online::start(Side::Ours, place, "relay", &config))
}

/// A node at home that the relay keeps a place for.
fn at_home(home: &Home, way: Way, punch: bool, relay: &Online, place: &Path) -> Result<Online> {
    let mut config = way.config("0.0.0.0");
    config.push((
        "Swarm.RelayClient",
        json!({"Enabled": true, "StaticRelays": [relay.address]}),
    ));
    config.push(("Swarm.EnableHolePunching", json!(punch)));
    let name = format!("home-{}", home.number);
    let node = home
        .host
        .within(|| Online::start(Side::Ours, place, &name, &config))?;
    let own = format!("/p2p/{}/p2p-circuit/p2p/{}", relay.id, node.id);
    until("the relay keeps a place", || {
        let told = node.text(["id", "-f", "<addrs>"])?;
        Ok(told.lines().any(|line| line.ends_with(&own)).then_some(()))
    })?;
    Ok(node)
}

/// The addresses at which a node is connected to another one.
fn ways(node: &Online, other: &Online) -> Result<Vec<String>> {
    let peers = node.text(["swarm", "peers"])?;
    let end = format!("/p2p/{}", other.id);
    let of_it = peers.lines().filter_map(|line| line.strip_suffix(&end));
    Ok(of_it.map(str::to_owned).collect())
}

fn is_relayed(address: &str) -> bool {
    address.ends_with("/p2p-circuit")
}

/// The other one's file comes over, whole.
fn fetches(node: &Online, from: &Online, size: usize, seed: u8) -> Result<()> {
    let bytes: Vec<u8> = (0..size)
        .map(|n| (n / 251) as u8 ^ (n as u8) ^ seed)
        .collect();
    let cid = from.add(&bytes)?;
    ensure!(node.run(["cat", "--timeout=60s", &cid])? == bytes);
    Ok(())
}

/// What the relay has sent.
fn sent(relay: &Online) -> Result<u64> {
    let told = relay.json(["stats", "bw"])?;
    let sent = told
        .first()
        .and_then(|bandwidth| bandwidth["TotalOut"].as_u64());
    anyhow::Context::context(sent, "`stats bw` says nothing")
}

#[test]
fn behind_routers_a_relay_is_the_only_way() -> Result<()> {
    let place = scratch::in_memory()?;
    let world = World::new()?;
    let relay = relay(&world, Way::Tcp, place.path())?;
    let one = at_home(&world.one, Way::Tcp, false, &relay, place.path())?;
    let two = at_home(&world.two, Way::Tcp, false, &relay, place.path())?;

    // The router lets nobody in, though the node behind it listens.
    let closed = world.one.host.within(|| {
        let wait = Duration::from_secs(1);
        Ok(TcpStream::connect_timeout(&world.two.outside(), wait).is_err())
    })?;
    ensure!(closed, "the router lets strangers in");

    one.connect_at(&format!("{}/p2p-circuit/p2p/{}", relay.address, two.id))?;
    let before = sent(&relay)?;
    fetches(&one, &two, SMALL, 1)?;
    fetches(&two, &one, SMALL, 2)?;
    let through = sent(&relay)? - before;
    ensure!(
        through >= 2 * SMALL as u64,
        "{through} bytes through the relay"
    );
    for (node, other) in [(&one, &two), (&two, &one)] {
        let ways = ways(node, other)?;
        ensure!(
            !ways.is_empty() && ways.iter().all(|way| is_relayed(way)),
            "{ways:?}"
        );
    }
    Ok(())
}

/// They meet through the relay, and then there is a direct connection, which carries what the relay would not.
fn a_hole_is_punched(way: Way) -> Result<()> {
    let place = scratch::in_memory()?;
    let world = World::new()?;
    let relay = relay(&world, way, place.path())?;
    let one = at_home(&world.one, way, true, &relay, place.path())?;
    let two = at_home(&world.two, way, true, &relay, place.path())?;
    one.connect_at(&format!("{}/p2p-circuit/p2p/{}", relay.address, two.id))?;
    for (node, other, seen) in [(&one, &two, "11.0.2.1"), (&two, &one, "11.0.1.1")] {
        let first = ways(node, other)?;
        ensure!(first.iter().any(|way| is_relayed(way)), "{first:?}");
        let direct = until("the direct connection", || {
            let ways = ways(node, other)?;
            Ok(ways.into_iter().find(|way| !is_relayed(way)))
        })?;
        ensure!(direct == way.at(seen), "{direct}");
    }
    let before = sent(&relay)?;
    fetches(&one, &two, LARGE, 3)?;
    fetches(&two, &one, LARGE, 4)?;
    let through = sent(&relay)? - before;
    ensure!(
        through < LARGE as u64 / 8,
        "{through} bytes through the relay"
    );
    Ok(())
}

#[test]
fn a_hole_is_punched_over_tcp() -> Result<()> {
    a_hole_is_punched(Way::Tcp)
}

#[test]
fn a_hole_is_punched_over_quic() -> Result<()> {
    a_hole_is_punched(Way::Quic)
}
