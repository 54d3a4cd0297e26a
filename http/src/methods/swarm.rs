//! `swarm`: connected peers, connecting and disconnecting, known addresses, filters, peering and resources.

mod addrs;
mod filters;
mod peering;
mod resources;

use ipfs_kit_node::{Direction, NetError, PeerConnection, PeerId, Peers};
use schemars::JsonSchema;
use serde::Serialize;

use super::id::Info;
use crate::command::{Argument, Command, Opt, Run, Shape};
use crate::duration;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit swarm`
pub const COMMAND: Command = Command {
    name: "swarm",
    tagline: "Interact with the swarm",
    about: "The swarm is the component that opens, listens for, and maintains connections to other\n\
            peers.",
    subcommands: &[
        &PEERS,
        &CONNECT,
        &DISCONNECT,
        &addrs::COMMAND,
        &filters::COMMAND,
        &peering::COMMAND,
        &resources::COMMAND,
    ],
    ..Command::EMPTY
};

/// `ipfs-kit peers`
pub const LIST_PEERS: Command = Command {
    name: "peers",
    tagline: "List peers with open connections; the same as 'swarm peers'",
    ..PEERS
};

/// `ipfs-kit connect`
pub const CONNECT_TO: Command = Command {
    name: "connect",
    tagline: "Open a connection to a peer; the same as 'swarm connect'",
    ..CONNECT
};

const PEERS: Command = Command {
    name: "peers",
    tagline: "List peers with open connections",
    options: &[
        Opt::flag(&["verbose", "v"], "Display all extra information"),
        Opt::flag(
            &["streams"],
            "Also list information about open streams for each peer",
        ),
        Opt::flag(
            &["latency"],
            "Also list information about latency to each peer",
        ),
        Opt::flag(
            &["direction"],
            "Also list information about the direction of connection",
        ),
        Opt::flag(
            &["identify"],
            "Also list information about peers identify (not in text)",
        ),
    ],
    records: &[Shape::of::<Connections>()],
    run: Some(Run::Node(peers)),
    ..Command::EMPTY
};

const CONNECT: Command = Command {
    name: "connect",
    tagline: "Open connection to a given peer",
    about: "An address looks like /ip4/104.131.131.82/tcp/4001/p2p/ID. Without /p2p/ID whoever answers\n\
            there is taken; of a peer ID alone the addresses are looked up.",
    arguments: &[Argument::line("address", "Address of peer to connect to").many()],
    records: &[Shape::of::<Lines>()],
    run: Some(Run::Node(connect)),
    ..Command::EMPTY
};

const DISCONNECT: Command = Command {
    name: "disconnect",
    tagline: "Close connection to a given address",
    about: "With a peer ID, or /p2p/ID, every connection to the peer is closed. A connection can be\n\
            opened again by either side.",
    arguments: &[Argument::line("address", "Address of peer to disconnect from").many()],
    records: &[Shape::of::<Lines>()],
    run: Some(Run::Node(disconnect)),
    ..Command::EMPTY
};

/// Lines of text.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Strings")]
#[serde(rename_all = "PascalCase")]
pub(super) struct Lines {
    pub(super) strings: Vec<String>,
}

impl Record for Lines {
    const NAME: &'static str = "stringList";
}

impl Lines {
    /// Puts them out, one a line in text.
    pub(super) fn emit(self, invocation: &mut Invocation) -> Result<(), Failure> {
        let text: String = self
            .strings
            .iter()
            .map(|line| format!("{line}\n"))
            .collect();
        let out = &mut invocation.out;
        out.emit(|| self, |out| out.extend_from_slice(text.as_bytes()))
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Connections {
    peers: Vec<Connection>,
}

impl Record for Connections {
    const NAME: &'static str = "connInfos";
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Connection {
    addr: String,
    peer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<String>,
    /// 1 is inbound, 2 outbound.
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    streams: Vec<OpenStream>,
    identify: Info,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct OpenStream {
    protocol: String,
}

fn peers(invocation: &mut Invocation) -> Result<(), Failure> {
    let all = invocation.flag("verbose");
    let (latency, direction) = (
        all || invocation.flag("latency"),
        all || invocation.flag("direction"),
    );
    let identify = all || invocation.flag("identify");
    let streams = all || invocation.flag("streams");
    let node = invocation.node()?;
    let peers = node.peers()?;
    let mut open = invocation.wait(peers.list())?;
    open.sort_by_cached_key(|connection| {
        (connection.peer.to_base58(), connection.address.to_string())
    });
    let mut connections = Vec::with_capacity(open.len());
    for connection in &open {
        connections.push(Connection {
            addr: connection.address.to_string(),
            peer: connection.peer.to_base58(),
            latency: latency.then(|| latency_of(connection)),
            direction: direction.then_some(match connection.direction {
                Direction::Inbound => 1,
                Direction::Outbound => 2,
            }),
            streams: if streams {
                let open = peers.streams(connection).into_iter();
                open.map(|protocol| OpenStream { protocol }).collect()
            } else {
                Vec::new()
            },
            identify: if identify {
                identity(invocation, &peers, connection)?
            } else {
                Info::default()
            },
        });
    }
    let text: String = connections.iter().map(line).collect();
    invocation.out.emit(
        || Connections { peers: connections },
        |out| out.extend_from_slice(text.as_bytes()),
    )?;
    invocation.close(node)
}

fn latency_of(connection: &PeerConnection) -> String {
    let nanos = connection.latency.map(|latency| latency.as_nanos());
    match nanos {
        Some(nanos) => duration::go(i64::try_from(nanos).unwrap_or(i64::MAX)),
        None => "n/a".to_owned(),
    }
}

/// What a peer has told; one that has not yet is not waited for.
fn identity(
    invocation: &Invocation,
    peers: &Peers,
    connection: &PeerConnection,
) -> Result<Info, Failure> {
    if connection.agent_version.is_none() {
        return Ok(Info::default());
    }
    let told = invocation.wait(async { Ok(peers.identity_of(connection.peer).await.ok()) })?;
    Ok(told.map(Info::of).unwrap_or_default())
}

fn line(connection: &Connection) -> String {
    let mut line = format!("{}/p2p/{}", connection.addr, connection.peer);
    if let Some(latency) = &connection.latency {
        line = format!("{line} {latency}");
    }
    match connection.direction {
        Some(1) => line.push_str(" inbound"),
        Some(_) => line.push_str(" outbound"),
        None => {}
    }
    line.push('\n');
    for stream in &connection.streams {
        let name = match stream.protocol.as_str() {
            "" => "<no protocol name>",
            name => name,
        };
        line.push_str(&format!("  {name}\n"));
    }
    line
}

fn connect(invocation: &mut Invocation) -> Result<(), Failure> {
    let addresses = invocation.arguments()?;
    let node = invocation.node()?;
    let peers = node.peers()?;
    let mut strings = Vec::with_capacity(addresses.len());
    for address in &addresses {
        let connected = invocation.wait(async { Ok(peers.connect(address).await) })?;
        let peer = connected.map_err(|error| match error {
            NetError::BadAddress { .. } | NetError::BadPeerId { .. } => Failure::from(error),
            error => Failure::failed(format_args!("connect {} failure: {error}", named(address))),
        })?;
        strings.push(format!("connect {peer} success"));
    }
    Lines { strings }.emit(invocation)?;
    invocation.close(node)
}

fn disconnect(invocation: &mut Invocation) -> Result<(), Failure> {
    let addresses = invocation.arguments()?;
    let node = invocation.node()?;
    let peers = node.peers()?;
    let mut strings = Vec::with_capacity(addresses.len());
    for address in &addresses {
        let closed = invocation.wait(async { Ok(peers.disconnect(address).await) })?;
        strings.push(match closed {
            Ok(peer) => format!("disconnect {peer} success"),
            Err(NetError::NotConnected(peer)) => {
                format!("disconnect {peer} failure: not connected")
            }
            Err(error) => return Err(error.into()),
        });
    }
    Lines { strings }.emit(invocation)?;
    invocation.close(node)
}

/// The peer that an address names, else the address.
fn named(address: &str) -> &str {
    let last = address.rsplit('/').next();
    last.filter(|last| last.parse::<PeerId>().is_ok())
        .unwrap_or(address)
}
