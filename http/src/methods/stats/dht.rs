//! `stats dht`: the routing tables.

use ipfs_kit_node::{NetError, RoutingTable, TablePeer};
use schemars::JsonSchema;
use serde::Serialize;

use crate::columns::aligned;
use crate::command::{Argument, Command, Reply, Run, Shape};
use crate::escape;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit stats dht`
pub const COMMAND: Command = Command {
    name: "dht",
    tagline: "Returns statistics about the node's DHT(s)",
    about: "Shows the routing tables of the DHTs the node is participating in, by bucket: how many\n\
            bits at the front the ID of a peer shares with the own one. '@' marks connected peers.\n\
            When a bucket was refreshed and when a peer was last useful or queried is not kept: 'n/a',\n\
            and empty in JSON.",
    arguments: &[Argument::word(
        "dht",
        "The DHT whose table should be listed (wanserver, lanserver, wan, lan). Defaults to wan and lan",
    )
    .many()
    .optional()],
    reply: Reply::Many,
    records: &[Shape::of::<Stat>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DhtStat")]
#[serde(rename_all = "PascalCase")]
struct Stat {
    name: String,
    buckets: Vec<Bucket>,
}

impl Record for Stat {
    const NAME: &'static str = "dhtStat";
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Bucket {
    last_refresh: &'static str,
    /// Kubo writes null for none.
    peers: Option<Vec<Peer>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DhtPeer")]
struct Peer {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Connected")]
    connected: bool,
    #[serde(rename = "AgentVersion")]
    agent_version: String,
    #[serde(rename = "LastUsefulAt")]
    last_useful_at: &'static str,
    #[serde(rename = "LastQueriedAt")]
    last_queried_at: &'static str,
}

/// What is not kept.
const UNKNOWN: &str = "n/a";

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let mut names = invocation.arguments()?;
    if names.is_empty() {
        names = vec!["wan".to_owned(), "lan".to_owned()];
    }
    for name in &names {
        if table_of(name).is_none() {
            return Err(Failure::failed(format_args!("unknown dht type: {name}")));
        }
    }
    let node = invocation.node()?;
    let tables = invocation.wait(node.routing()?.tables())?;
    for name in &names {
        let table = tables
            .iter()
            .find(|table| Some(table.name) == table_of(name));
        let stat = stat(name, table.ok_or(NetError::NoRouting)?);
        let text = text(&stat);
        let out = &mut invocation.out;
        out.emit(|| stat, |out| out.extend_from_slice(text.as_bytes()))?;
    }
    invocation.close(node)
}

/// Client and server use one table.
fn table_of(name: &str) -> Option<&'static str> {
    match name {
        "wan" | "wanserver" => Some("wan"),
        "lan" | "lanserver" => Some("lan"),
        _ => None,
    }
}

fn stat(name: &str, table: &RoutingTable) -> Stat {
    let bucket = |peers: &Vec<TablePeer>| Bucket {
        last_refresh: "",
        peers: (!peers.is_empty()).then(|| peers.iter().map(peer).collect()),
    };
    Stat {
        name: name.to_owned(),
        buckets: table.buckets.iter().map(bucket).collect(),
    }
}

fn peer(peer: &TablePeer) -> Peer {
    Peer {
        id: peer.id.to_base58(),
        connected: peer.connected,
        agent_version: peer.agent_version.clone().unwrap_or_default(),
        last_useful_at: "",
        last_queried_at: "",
    }
}

fn text(stat: &Stat) -> String {
    let peers = |bucket: &Bucket| bucket.peers.as_ref().map_or(0, Vec::len);
    let line = |text: String| vec![text, String::new(), String::new(), String::new()];
    let count: usize = stat.buckets.iter().map(peers).sum();
    let mut rows = vec![line(format!("DHT {} ({count} peers):", stat.name))];
    for (number, bucket) in stat.buckets.iter().enumerate() {
        let count = peers(bucket);
        rows.push(line(format!(
            "  Bucket {number:2} ({count} peers) - refreshed {UNKNOWN}:"
        )));
        rows.push(
            ["    Peer", "last useful", "last queried", "Agent Version"]
                .map(str::to_owned)
                .to_vec(),
        );
        for peer in bucket.peers.iter().flatten() {
            let state = if peer.connected { "@" } else { " " };
            rows.push(vec![
                format!("  {state} {}", peer.id),
                UNKNOWN.to_owned(),
                UNKNOWN.to_owned(),
                escape::printable(peer.agent_version.as_bytes()),
            ]);
        }
        rows.push(line(String::new()));
    }
    aligned(&rows, 4, 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipfs_kit_node::PeerId;

    #[test]
    fn the_shape_is_kubos() {
        let id = PeerId::random();
        let known = TablePeer {
            id,
            connected: true,
            agent_version: Some("kubo/0.43.0".to_owned()),
        };
        let table = RoutingTable {
            name: "lan",
            server: true,
            peers: vec![id],
            buckets: vec![Vec::new(), vec![known]],
            records: 0,
            provider_keys: 0,
            provided: 0,
        };
        let stat = stat("lanserver", &table);
        let json = serde_json::to_value(&stat).unwrap();
        assert_eq!(json["Name"], "lanserver");
        assert_eq!(json["Buckets"][0]["Peers"], serde_json::Value::Null);
        let peer = &json["Buckets"][1]["Peers"][0];
        assert_eq!(
            (&peer["Connected"], &peer["AgentVersion"]),
            (&true.into(), &"kubo/0.43.0".into())
        );
        assert_eq!(peer["LastUsefulAt"], "");
        let text = text(&stat);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0].trim_end(), "DHT lanserver (1 peers):");
        assert_eq!(
            lines[1].trim_end(),
            "  Bucket  0 (0 peers) - refreshed n/a:"
        );
        assert!(lines[6].starts_with(&format!("  @ {id}  n/a")), "{text}");
        assert!(lines[6].ends_with("  kubo/0.43.0"), "{text}");
        assert_eq!(lines.len(), 8, "{text}");
    }
}
