//! `swarm peering`: peers that stay connected.

use std::fmt::Write as _;

use ipfs_kit_node::parse_peer;
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Argument, Command, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit swarm peering`
pub const COMMAND: Command = Command {
    name: "peering",
    tagline: "Modify the peering subsystem",
    about: "Peers in the peering subsystem are kept connected: they are dialled again with a\n\
            back-off when the connection ends, and never closed to make room. The changes are not\n\
            saved to the config; the config key Peering.Peers names the peers to start with.",
    subcommands: &[&ADD, &LS, &RM],
    ..Command::EMPTY
};

const ADD: Command = Command {
    name: "add",
    tagline: "Add peers into the peering subsystem",
    arguments: &[Argument::word(
        "address",
        "Address of peer to add into the peering subsystem, ending with /p2p/ID",
    )
    .many()],
    reply: Reply::Many,
    records: &[Shape::of::<Outcome>()],
    run: Some(Run::Node(add)),
    ..Command::EMPTY
};

const LS: Command = Command {
    name: "ls",
    tagline: "List peers registered in the peering subsystem",
    records: &[Shape::of::<Peers>()],
    run: Some(Run::Node(list)),
    ..Command::EMPTY
};

const RM: Command = Command {
    name: "rm",
    tagline: "Remove a peer from the peering subsystem",
    about: "An open connection to the peer stays open.",
    arguments: &[Argument::word("ID", "ID of peer to remove from the peering subsystem").many()],
    reply: Reply::Many,
    records: &[Shape::of::<Outcome>()],
    run: Some(Run::Node(remove)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PeeringOutcome")]
struct Outcome {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Status")]
    status: &'static str,
}

impl Record for Outcome {
    const NAME: &'static str = "peeringResult";
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PeeringPeers")]
#[serde(rename_all = "PascalCase")]
struct Peers {
    peers: Vec<Peer>,
}

impl Record for Peers {
    const NAME: &'static str = "addrInfos";
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PeeringPeer")]
struct Peer {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Addrs")]
    addrs: Vec<String>,
}

fn say(invocation: &mut Invocation, verb: &str, id: String) -> Result<(), Failure> {
    let text = format!("{verb} {id} success\n");
    let status = "success";
    let out = &mut invocation.out;
    out.emit(
        || Outcome { id, status },
        |out| out.extend_from_slice(text.as_bytes()),
    )
}

fn add(invocation: &mut Invocation) -> Result<(), Failure> {
    let addresses = invocation.arguments()?;
    // All of them are read before the first is taken.
    for address in &addresses {
        ipfs_kit_node::parse_peer_address(address)?;
    }
    let node = invocation.node()?;
    let peers = node.peers()?;
    let mut told = Vec::new();
    for address in &addresses {
        let peer = invocation.wait(peers.add_peering(address))?;
        if !told.contains(&peer) {
            told.push(peer);
            say(invocation, "add", peer.to_base58())?;
        }
    }
    invocation.close(node)
}

fn list(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let kept = invocation.wait(node.peers()?.peering())?;
    let mut peers: Vec<Peer> = kept
        .into_iter()
        .map(|(peer, addresses)| Peer {
            id: peer.to_base58(),
            addrs: addresses.iter().map(ToString::to_string).collect(),
        })
        .collect();
    peers.sort_by(|a, b| a.id.cmp(&b.id));
    let mut text = String::new();
    for peer in &peers {
        let _ = writeln!(text, "{}", peer.id);
        for address in &peer.addrs {
            let _ = writeln!(text, "\t{address}");
        }
    }
    invocation.out.emit(
        || Peers { peers },
        |out| out.extend_from_slice(text.as_bytes()),
    )?;
    invocation.close(node)
}

fn remove(invocation: &mut Invocation) -> Result<(), Failure> {
    let ids = invocation.arguments()?;
    let ids: Result<Vec<_>, _> = ids.iter().map(|id| parse_peer(id)).collect();
    let ids = ids?;
    let node = invocation.node()?;
    let peers = node.peers()?;
    for id in ids {
        invocation.wait(peers.remove_peering(id))?;
        say(invocation, "remove", id.to_base58())?;
    }
    invocation.close(node)
}
