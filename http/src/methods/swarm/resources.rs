//! `swarm resources`: what the network uses, against its limits.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ipfs_kit_node::{Limits, Resources, Usage};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::command::{Command, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit swarm resources`
pub const COMMAND: Command = Command {
    name: "resources",
    tagline: "Get a summary of all resources accounted for by the network",
    about: "Shows the limits and the usage against those limits: 'system' is the whole node,\n\
            'transient' are handshakes under way. JSON also has the peers and protocols that have\n\
            connections or streams. Memory is that of the process, without files that are mapped.\n\
            \n\
            Limits are config keys, read when the daemon starts:\n\
            \x20 Swarm.ResourceMgr.Enabled             false for no limit at all\n\
            \x20 Swarm.ResourceMgr.MaxMemory           no connection above it; half of the machine's\n\
            \x20 Swarm.ResourceMgr.MaxFileDescriptors  of connections; half of the process's\n\
            \x20 Swarm.ResourceMgr.MaxConnsPerIP       inbound, 64; 0 for no limit\n\
            \x20 Swarm.ResourceMgr.MaxConnsPerSubnet   of a /24 or IPv6 /56, inbound, 256\n\
            \x20 Swarm.ResourceMgr.Allowlist           addresses and ranges that are not limited\n\
            \x20 Swarm.Bandwidth.Up, .Down             bytes in a second, as 2MB; 0 for no limit\n\
            Inbound connections are limited to one for each MiB of MaxMemory, at least 800 and twice\n\
            Swarm.ConnMgr.HighWater. Peers of 'swarm peering' are let in beyond the limits.",
    records: &[Shape::of::<Report>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

/// A limit as Kubo writes it.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(rename = "ResourceLimit")]
struct Limit(#[schemars(with = "NumberOrText")] Option<u64>);

/// A number, or `unlimited`.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "a shape of what is written by hand")]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(limit) => serializer.serialize_u64(limit),
            None => serializer.serialize_str("unlimited"),
        }
    }
}

/// A limit of memory, which Kubo writes as text because 64 bits do not fit a JSON number everywhere.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(rename = "MemoryLimit")]
struct MemoryLimit(#[schemars(with = "String")] Option<u64>);

impl Serialize for MemoryLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(limit) => serializer.collect_str(&limit),
            None => serializer.serialize_str("unlimited"),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct Scope {
    #[serde(rename = "Memory")]
    memory: MemoryLimit,
    #[serde(rename = "MemoryUsage")]
    memory_usage: u64,
    #[serde(rename = "FD")]
    fd: Limit,
    #[serde(rename = "FDUsage")]
    fd_usage: u32,
    #[serde(rename = "Conns")]
    conns: Limit,
    #[serde(rename = "ConnsUsage")]
    conns_usage: u32,
    #[serde(rename = "ConnsInbound")]
    conns_inbound: Limit,
    #[serde(rename = "ConnsInboundUsage")]
    conns_inbound_usage: u32,
    #[serde(rename = "ConnsOutbound")]
    conns_outbound: Limit,
    #[serde(rename = "ConnsOutboundUsage")]
    conns_outbound_usage: u32,
    #[serde(rename = "Streams")]
    streams: Limit,
    #[serde(rename = "StreamsUsage")]
    streams_usage: u32,
    #[serde(rename = "StreamsInbound")]
    streams_inbound: Limit,
    #[serde(rename = "StreamsInboundUsage")]
    streams_inbound_usage: u32,
    #[serde(rename = "StreamsOutbound")]
    streams_outbound: Limit,
    #[serde(rename = "StreamsOutboundUsage")]
    streams_outbound_usage: u32,
}

impl Scope {
    fn new(usage: &Usage, limits: &Limits) -> Self {
        let number = |limit: Option<u32>| Limit(limit.map(u64::from));
        Self {
            memory: MemoryLimit(limits.memory),
            memory_usage: usage.memory,
            fd: number(limits.descriptors),
            fd_usage: usage.descriptors,
            conns: number(limits.connections),
            conns_usage: usage.inbound + usage.outbound,
            conns_inbound: number(limits.inbound),
            conns_inbound_usage: usage.inbound,
            conns_outbound: number(limits.outbound),
            conns_outbound_usage: usage.outbound,
            streams: Limit(None),
            streams_usage: usage.streams.inbound + usage.streams.outbound,
            streams_inbound: number(limits.streams_inbound),
            streams_inbound_usage: usage.streams.inbound,
            streams_outbound: Limit(None),
            streams_outbound_usage: usage.streams.outbound,
        }
    }

    /// Name, limit and usage of everything that has a limit.
    fn rows(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let number =
            |name, limit: Limit, used: u32| limit.0.map(|max| (name, max, u64::from(used)));
        [
            self.memory.0.map(|max| ("Memory", max, self.memory_usage)),
            number("FD", self.fd, self.fd_usage),
            number("Conns", self.conns, self.conns_usage),
            number("ConnsInbound", self.conns_inbound, self.conns_inbound_usage),
            number(
                "ConnsOutbound",
                self.conns_outbound,
                self.conns_outbound_usage,
            ),
            number(
                "StreamsInbound",
                self.streams_inbound,
                self.streams_inbound_usage,
            ),
        ]
        .into_iter()
        .flatten()
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Resources")]
#[serde(rename_all = "PascalCase")]
struct Report {
    system: Scope,
    transient: Scope,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    protocols: BTreeMap<String, Scope>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    peers: BTreeMap<String, Scope>,
}

impl Record for Report {
    const NAME: &'static str = "LimitsConfigAndUsage";
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let resources = invocation.wait(node.peers()?.resources())?;
    let report = report(&resources);
    let text = text(&report);
    let out = &mut invocation.out;
    out.emit(|| report, |out| out.extend_from_slice(text.as_bytes()))?;
    invocation.close(node)
}

fn report(resources: &Resources) -> Report {
    let none = Limits::default();
    let peers = resources.by_peer.iter();
    let protocols = resources.by_protocol.iter();
    Report {
        system: Scope::new(&resources.system, &resources.system_limits),
        transient: Scope::new(&resources.transient, &resources.transient_limits),
        protocols: protocols
            .map(|(name, usage)| (name.clone(), Scope::new(usage, &none)))
            .collect(),
        peers: peers
            .map(|(peer, usage)| (peer.to_base58(), Scope::new(usage, &resources.peer_limits)))
            .collect(),
    }
}

fn text(report: &Report) -> String {
    let mut rows = vec![[
        "Scope".to_owned(),
        "Limit Name".to_owned(),
        "Limit Value".to_owned(),
        "Limit Usage Amount".to_owned(),
        "Limit Usage Percent".to_owned(),
    ]];
    let peers = report.peers.iter();
    let scopes = [
        ("system".to_owned(), &report.system),
        ("transient".to_owned(), &report.transient),
    ];
    let peers = peers.map(|(peer, scope)| (format!("peer:{peer}"), scope));
    for (name, scope) in scopes.into_iter().chain(peers) {
        for (limit, max, used) in scope.rows() {
            let percent = if used == 0 {
                "0%".to_owned()
            } else {
                format!("{:.1}%", used as f64 / max as f64 * 100.0)
            };
            rows.push([
                name.clone(),
                limit.to_owned(),
                max.to_string(),
                used.to_string(),
                percent,
            ]);
        }
    }
    table(&rows)
}

/// Columns at least 24 wide, filled with tabs of 8 as Kubo's table is.
fn table(rows: &[[String; 5]]) -> String {
    const TAB: usize = 8;
    const LEAST: usize = 24;
    let mut widths = [LEAST; 5];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max((cell.len() / TAB + 1) * TAB);
        }
    }
    let mut text = String::new();
    for row in rows {
        for (width, cell) in widths.iter().zip(row) {
            let tabs = (width - cell.len()).div_ceil(TAB);
            let _ = write!(text, "{cell}{:\t<tabs$}", "");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipfs_kit_node::Streams;

    #[test]
    fn the_shape_is_kubos() {
        let resources = Resources {
            system: Usage {
                memory: 50,
                inbound: 3,
                outbound: 4,
                streams: Streams {
                    inbound: 5,
                    outbound: 6,
                },
                ..Usage::default()
            },
            system_limits: Limits {
                memory: Some(12_638_255_104),
                inbound: Some(800),
                ..Limits::default()
            },
            ..Resources::default()
        };
        let report = report(&resources);
        let json = serde_json::to_value(&report).unwrap();
        let system = &json["System"];
        assert_eq!(system["Memory"], "12638255104");
        assert_eq!(system["MemoryUsage"], 50);
        assert_eq!(system["FD"], "unlimited");
        assert_eq!(system["ConnsInbound"], 800);
        assert_eq!(system["ConnsUsage"], 7);
        assert_eq!(system["StreamsUsage"], 11);
        assert_eq!(system.as_object().unwrap().len(), 16);
        assert!(json["Transient"].is_object() && json.get("Peers").is_none());
        assert_eq!(
            text(&report),
            "Scope\t\t\tLimit Name\t\tLimit Value\t\tLimit Usage Amount\tLimit Usage Percent\t\n\
             system\t\t\tMemory\t\t\t12638255104\t\t50\t\t\t0.0%\t\t\t\n\
             system\t\t\tConnsInbound\t\t800\t\t\t3\t\t\t0.4%\t\t\t\n"
        );
    }
}
