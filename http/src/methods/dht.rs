//! `dht`: what of Kubo's deprecated group is left.

use super::removed;
use super::routing::{Event, Kind, VERBOSE, emit_peer};
use crate::command::{Argument, Command, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;

/// `ipfs-kit dht`
pub const COMMAND: Command = Command {
    name: "dht",
    tagline: "Issue commands directly through the DHT",
    subcommands: &[
        &QUERY,
        &removed::DHT[0],
        &removed::DHT[1],
        &removed::DHT[2],
        &removed::DHT[3],
        &removed::DHT[4],
    ],
    ..Command::EMPTY
};

const QUERY: Command = Command {
    name: "query",
    tagline: "Find the closest Peer IDs to a given Peer ID by querying the DHT",
    about: "Outputs a list of newline-delimited Peer IDs.",
    arguments: &[Argument::line("peerID", "The peerID to run the query against").many()],
    options: &[VERBOSE],
    reply: Reply::Many,
    records: &[Shape::of::<Event>()],
    run: Some(Run::Node(query)),
    ..Command::EMPTY
};

fn query(invocation: &mut Invocation) -> Result<(), Failure> {
    let peers = invocation.arguments()?;
    let node = invocation.node()?;
    let routing = node.routing()?;
    for peer in &peers {
        let peer = ipfs_kit_node::parse_peer(peer)?;
        let closest = invocation.wait(routing.closest_peers(peer.to_bytes()))?;
        for (peer, _) in closest {
            emit_peer(
                invocation,
                Kind::FinalPeer,
                peer,
                None,
                &format!("{peer}\n"),
            )?;
        }
    }
    invocation.close(node)
}
