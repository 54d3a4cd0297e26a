//! `swarm addrs`: the addresses of this node and of peers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ipfs_kit_node::{Multiaddr, PeerIdentity};
use schemars::JsonSchema;
use serde::Serialize;

use super::Lines;
use crate::command::{Command, Opt, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit swarm addrs`
pub const COMMAND: Command = Command {
    name: "addrs",
    tagline: "List known addresses. Useful for debugging",
    about: "Lists all addresses this node is aware of.",
    subcommands: &[&AUTONAT, &LOCAL, &LISTEN],
    records: &[Shape::of::<Known>()],
    run: Some(Run::Node(known)),
    ..Command::EMPTY
};

const LOCAL: Command = Command {
    name: "local",
    tagline: "List local addresses",
    about: "Lists all local listening addresses announced to the network.",
    options: &[Opt::flag(&["id"], "Show peer ID in addresses")],
    records: &[Shape::of::<Lines>()],
    run: Some(Run::Node(local)),
    ..Command::EMPTY
};

const AUTONAT: Command = Command {
    name: "autonat",
    tagline: "Show address reachability as determined by AutoNAT V2",
    about: "Shows which addresses of this node others could dial, and which of the public ones nobody has\n\
            tried.",
    records: &[Shape::of::<Autonat>()],
    run: Some(Run::Node(autonat)),
    ..Command::EMPTY
};

const LISTEN: Command = Command {
    name: "listen",
    tagline: "List interface listening addresses",
    records: &[Shape::of::<Lines>()],
    run: Some(Run::Node(listen)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "KnownAddrs")]
#[serde(rename_all = "PascalCase")]
struct Known {
    addrs: BTreeMap<String, Vec<String>>,
}

impl Record for Known {
    const NAME: &'static str = "addrMap";
}

fn known(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let peers = node.peers()?;
    let known = invocation.wait(peers.addrs())?;
    let own = invocation.wait(peers.id())?;
    let mut addrs: BTreeMap<_, _> = known
        .iter()
        .map(|(peer, addresses)| (peer.to_base58(), texts(addresses)))
        .collect();
    addrs.insert(own.id.to_base58(), announced(&own, false));
    let mut text = String::new();
    for (peer, addresses) in &addrs {
        let _ = writeln!(text, "{peer} ({})", addresses.len());
        for address in addresses {
            let _ = writeln!(text, "\t{address}");
        }
    }
    invocation.out.emit(
        || Known { addrs },
        |out| out.extend_from_slice(text.as_bytes()),
    )?;
    invocation.close(node)
}

fn local(invocation: &mut Invocation) -> Result<(), Failure> {
    let with_id = invocation.flag("id");
    let node = invocation.node()?;
    let own = invocation.wait(node.peers()?.id())?;
    let strings = announced(&own, with_id);
    Lines { strings }.emit(invocation)?;
    invocation.close(node)
}

fn listen(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let addresses = invocation.wait(node.peers()?.listen_addrs())?;
    let strings = texts(&addresses);
    Lines { strings }.emit(invocation)?;
    invocation.close(node)
}

#[derive(Debug, Serialize, JsonSchema)]
struct Autonat {
    reachability: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reachable: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreachable: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<String>,
}

impl Record for Autonat {
    const NAME: &'static str = "autoNATResult";
}

impl Autonat {
    fn text(&self) -> String {
        let mut text = format!(
            "AutoNAT V2 Status:\n  Reachability: {}\n\nPer-Address Reachability:\n",
            self.reachability
        );
        let kinds = [
            ("Reachable", &self.reachable),
            ("Unreachable", &self.unreachable),
            ("Unknown", &self.unknown),
        ];
        let mut none = true;
        for (kind, addresses) in kinds.iter().filter(|(_, those)| !those.is_empty()) {
            none = false;
            let _ = writeln!(text, "  {kind}:");
            for address in *addresses {
                let _ = writeln!(text, "    {address}");
            }
        }
        if none {
            text.push_str("  (no address reachability data available)\n");
        }
        text
    }
}

fn autonat(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let found = invocation.wait(node.peers()?.reachability())?;
    let told = Autonat {
        reachability: found.word(),
        reachable: texts(&found.reachable),
        unreachable: texts(&found.unreachable),
        unknown: texts(&found.unknown),
    };
    let text = told.text();
    invocation
        .out
        .emit(|| told, |out| out.extend_from_slice(text.as_bytes()))?;
    invocation.close(node)
}

fn texts(addresses: &[Multiaddr]) -> Vec<String> {
    let mut texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.sort();
    texts
}

/// What this node tells others about where it is.
fn announced(own: &PeerIdentity, with_id: bool) -> Vec<String> {
    let end = format!("/p2p/{}", own.id);
    let texts = texts(&own.addresses);
    if with_id {
        return texts;
    }
    let bare = |text: String| match text.strip_suffix(&end) {
        Some(bare) => bare.to_owned(),
        None => text,
    };
    texts.into_iter().map(bare).collect()
}
