//! Daemons that know only each other.

use super::cell::{Cell, Transport};
use crate::daemon::Daemon;
use crate::proxy::{Carrier, Link, Proxy, Traffic};
use crate::{Peer, Side};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// How long a daemon may take to listen, and a connection to be made.
const PATIENCE: Duration = Duration::from_secs(30);

/// Settings that keep a node from everything but the exchange. Keys that one side does not have
/// would be an error there, so that nothing is set in vain.
fn settings() -> [(&'static str, Value); 9] {
    [
        ("Routing.Type", json!("none")),
        ("Bootstrap", json!([])),
        ("Provide.Enabled", json!(false)),
        ("HTTPRetrieval.Enabled", json!(false)),
        ("AutoNAT.ServiceMode", json!("disabled")),
        ("Swarm.EnableHolePunching", json!(false)),
        ("Swarm.RelayClient.Enabled", json!(false)),
        ("Swarm.RelayService.Enabled", json!(false)),
        // The default, 10 GB, is a hard limit for ours; nothing here comes near this one.
        ("Datastore.StorageMax", json!("100GB")),
    ]
}

/// Prepares a new repo for [`start`].
pub fn configure(peer: &Peer) -> Result<()> {
    let shown = peer.text(["config", "show"])?;
    let mut config: Value = serde_json::from_str(&shown).context("config show is no JSON")?;
    for (key, value) in settings() {
        let mut place = &mut config;
        for part in key.split('.') {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[part];
        }
        *place = value;
    }
    let file = peer.repo().join("bench-config");
    std::fs::write(&file, config.to_string())?;
    peer.run(["config".as_ref(), "replace".as_ref(), file.as_os_str()])?;
    Ok(())
}

/// Starts a daemon that listens on `transport` only.
pub fn start(peer: &Peer, transport: Transport) -> Result<Daemon> {
    let listen = match transport {
        Transport::Tcp => r#"["/ip4/127.0.0.1/tcp/0"]"#,
        Transport::Quic => r#"["/ip4/127.0.0.1/udp/0/quic-v1"]"#,
    };
    peer.run(["config", "--json", "Addresses.Swarm", listen])?;
    Daemon::start(peer, &[])
}

/// A running provider, and the link to it if there is one.
pub struct Provider {
    daemon: Daemon,
    proxy: Option<Proxy>,
    address: String,
}

impl Provider {
    /// Starts the daemon of `peer` and the link that `cell` asks for.
    pub fn start(peer: &Peer, cell: &Cell) -> Result<Self> {
        let daemon = start(peer, cell.transport)
            .with_context(|| format!("a provider of {}", peer.side().name()))?;
        let (port, id) = listening(&daemon)?;
        let node = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let link = Link {
            rate: cell.rate,
            ..Link::round_trip(cell.round_trip)
        };
        let carrier = match cell.transport {
            Transport::Tcp => Carrier::Tcp,
            Transport::Quic => Carrier::Udp,
        };
        let proxy = if link == Link::default() {
            None
        } else {
            Some(Proxy::start(carrier, node, link)?)
        };
        let port = proxy.as_ref().map_or(port, |proxy| proxy.address().port());
        let address = match cell.transport {
            Transport::Tcp => format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}"),
            Transport::Quic => format!("/ip4/127.0.0.1/udp/{port}/quic-v1/p2p/{id}"),
        };
        Ok(Self {
            daemon,
            proxy,
            address,
        })
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.daemon.id()
    }

    /// What went over the link, if there is one.
    pub fn traffic(&self) -> Option<Traffic> {
        self.proxy.as_ref().map(Proxy::traffic)
    }
}

/// The port and the id of a daemon that listens at one address.
fn listening(daemon: &Daemon) -> Result<(u16, String)> {
    let start = Instant::now();
    loop {
        let said = daemon.post_within("id", PATIENCE)?;
        let id = said.first().context("id says nothing")?;
        let addresses = id["Addresses"].as_array().map_or(&[][..], Vec::as_slice);
        if let Some(address) = addresses.first().and_then(Value::as_str) {
            let port = address
                .split('/')
                .nth(4)
                .and_then(|port| port.parse().ok())
                .with_context(|| format!("no port in {address}"))?;
            let id = id["ID"].as_str().context("no ID")?;
            return Ok((port, id.to_owned()));
        }
        ensure!(start.elapsed() < PATIENCE, "a daemon does not listen: {id}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Connects `fetcher` to every provider and lets them learn each other's protocols.
pub fn connect(fetcher: &Daemon, providers: &[Provider], cell: &Cell) -> Result<()> {
    for provider in providers {
        let call = format!("swarm/connect?arg={}", provider.address);
        let said = fetcher.post_within(&call, PATIENCE)?;
        let text = said.first().map(Value::to_string).unwrap_or_default();
        ensure!(text.contains("success"), "swarm connect: {text}");
    }
    std::thread::sleep(Duration::from_millis(300) + 4 * cell.round_trip);
    let peers = fetcher.post_within("swarm/peers", PATIENCE)?;
    let count = peers
        .first()
        .and_then(|peers| peers["Peers"].as_array())
        .map_or(0, Vec::len);
    ensure!(
        count == providers.len(),
        "{count} peers are connected, not {}",
        providers.len()
    );
    Ok(())
}

/// What a node says about its exchange.
#[derive(Debug, Clone, Copy)]
pub struct Exchange {
    /// Blocks received, with those that were there already.
    pub blocks: u64,
    /// Blocks received that were there already.
    pub duplicates: u64,
    /// Bytes of the blocks received, without those that were there already.
    pub bytes: u64,
    /// Blocks that are still asked for.
    pub wanted: usize,
}

/// Asks a daemon for its `bitswap stat`.
pub fn exchange(daemon: &Daemon) -> Result<Exchange> {
    let said = daemon.post_within("bitswap/stat", PATIENCE)?;
    let stat = said.first().context("bitswap stat says nothing")?;
    let number = |key: &str| {
        stat[key]
            .as_u64()
            .with_context(|| format!("bitswap stat has no {key}"))
    };
    Ok(Exchange {
        blocks: number("BlocksReceived")?,
        duplicates: number("DupBlksReceived")?,
        bytes: number("DataReceived")?.saturating_sub(number("DupDataReceived")?),
        wanted: stat["Wantlist"].as_array().map_or(0, Vec::len),
    })
}

/// The name of a side's fetcher in errors.
pub fn fetcher_name(side: Side) -> String {
    format!("the fetcher of {}", side.name())
}
