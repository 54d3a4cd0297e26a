//! `bitswap`: what was exchanged with peers and what is wanted.

use std::fmt::Write as _;

use ipfs_kit_node::{BitswapLedger, BitswapStat, Cid};
use schemars::JsonSchema;
use serde::Serialize;

use super::routing;
use crate::cid_style::CidStyle;
use crate::command::{Argument, Command, Opt, Run, Shape};
use crate::failure::Failure;
use crate::human;
use crate::invocation::{Invocation, online};
use crate::output::Record;

/// `ipfs-kit bitswap`
pub const COMMAND: Command = Command {
    name: "bitswap",
    tagline: "Interact with the bitswap agent",
    subcommands: &[&STAT, &WANTLIST, &LEDGER, &REPROVIDE],
    ..Command::EMPTY
};

/// `ipfs-kit bitswap stat`
pub const STAT: Command = Command {
    name: "stat",
    tagline: "Show some diagnostic information on the bitswap agent",
    options: &[
        Opt::flag(&["verbose", "v"], "Print extra information"),
        Opt::flag(&["human"], "Print sizes in human readable format"),
    ],
    records: &[Shape::of::<Stat>()],
    run: Some(Run::Node(stat)),
    ..Command::EMPTY
};

const WANTLIST: Command = Command {
    name: "wantlist",
    tagline: "Show blocks currently on the wantlist",
    options: &[Opt::text(
        &["peer", "p"],
        "Specify which peer to show wantlist for. Default: self",
    )],
    records: &[Shape::of::<Wants>()],
    run: Some(Run::Node(wantlist)),
    ..Command::EMPTY
};

const LEDGER: Command = Command {
    name: "ledger",
    tagline: "Show the current ledger for a peer",
    arguments: &[Argument::line(
        "peer",
        "The PeerID of the ledger to inspect",
    )],
    records: &[Shape::of::<Ledger>()],
    run: Some(Run::Node(ledger)),
    ..Command::EMPTY
};

const REPROVIDE: Command = Command {
    name: "reprovide",
    tagline: "Announce what this node has (deprecated). Use 'routing reprovide'",
    ..routing::REPROVIDE
};

/// A CID as DAG-JSON links are written.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BitswapLink")]
struct Link {
    #[serde(rename = "/")]
    cid: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BitswapStat")]
#[serde(rename_all = "PascalCase")]
struct Stat {
    wantlist: Vec<Link>,
    peers: Vec<String>,
    blocks_received: u64,
    data_received: u64,
    dup_blks_received: u64,
    dup_data_received: u64,
    messages_received: u64,
    blocks_sent: u64,
    data_sent: u64,
}

impl Record for Stat {
    const NAME: &'static str = "Stat";
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Wants {
    keys: Vec<Link>,
}

impl Record for Wants {
    const NAME: &'static str = "KeyList";
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Ledger {
    peer: String,
    value: f64,
    sent: u64,
    recv: u64,
    exchanged: u64,
}

impl Record for Ledger {
    const NAME: &'static str = "Receipt";
}

fn links(cids: &[Cid], style: CidStyle) -> Vec<Link> {
    let link = |cid| Link {
        cid: style.text(cid),
    };
    cids.iter().map(link).collect()
}

fn stat(invocation: &mut Invocation) -> Result<(), Failure> {
    let style = invocation.cid_style();
    let (verbose, human) = (invocation.flag("verbose"), invocation.flag("human"));
    let node = invocation.node()?;
    let stat = record(&online(node.bitswap())?.stat(), style);
    let text = text(&stat, verbose, human);
    invocation
        .out
        .emit(|| stat, |out| out.extend_from_slice(text.as_bytes()))?;
    invocation.close(node)
}

fn record(stat: &BitswapStat, style: CidStyle) -> Stat {
    let mut peers: Vec<String> = stat.peers.iter().map(ToString::to_string).collect();
    peers.sort();
    Stat {
        wantlist: links(&stat.wantlist, style),
        peers,
        blocks_received: stat.blocks_received,
        data_received: stat.data_received,
        dup_blks_received: stat.dup_blks_received,
        dup_data_received: stat.dup_data_received,
        messages_received: stat.messages_received,
        blocks_sent: stat.blocks_sent,
        data_sent: stat.data_sent,
    }
}

fn text(stat: &Stat, verbose: bool, human: bool) -> String {
    let size = |bytes: u64| {
        if human {
            human::bytes(bytes)
        } else {
            bytes.to_string()
        }
    };
    let mut text = format!(
        "bitswap status\n\
         \tblocks received: {}\n\
         \tblocks sent: {}\n\
         \tdata received: {}\n\
         \tdata sent: {}\n\
         \tdup blocks received: {}\n\
         \tdup data received: {}\n\
         \twantlist [{} keys]\n",
        stat.blocks_received,
        stat.blocks_sent,
        size(stat.data_received),
        size(stat.data_sent),
        stat.dup_blks_received,
        size(stat.dup_data_received),
        stat.wantlist.len(),
    );
    for want in &stat.wantlist {
        let _ = writeln!(text, "\t\t{}", want.cid);
    }
    let _ = writeln!(text, "\tpartners [{}]", stat.peers.len());
    for peer in stat.peers.iter().filter(|_| verbose) {
        let _ = writeln!(text, "\t\t{peer}");
    }
    text
}

fn wantlist(invocation: &mut Invocation) -> Result<(), Failure> {
    let style = invocation.cid_style();
    let peer = invocation.text("peer").filter(|peer| !peer.is_empty());
    let node = invocation.node()?;
    let bitswap = node.bitswap()?;
    let peer = peer.map(|peer| ipfs_kit_node::parse_peer(&peer));
    let keys = links(&bitswap.wantlist(peer.transpose()?), style);
    let text: String = keys.iter().map(|key| format!("{}\n", key.cid)).collect();
    invocation.out.emit(
        || Wants { keys },
        |out| out.extend_from_slice(text.as_bytes()),
    )?;
    invocation.close(node)
}

fn ledger(invocation: &mut Invocation) -> Result<(), Failure> {
    let peer = invocation.argument()?;
    let node = invocation.node()?;
    let bitswap = node.bitswap()?;
    let peer = ipfs_kit_node::parse_peer(&peer)?;
    let BitswapLedger {
        value,
        sent,
        received,
        exchanged,
        ..
    } = bitswap.ledger(peer);
    let text = format!(
        "Ledger for {peer}\n\
         Debt ratio:\t{value:.6}\n\
         Exchanges:\t{exchanged}\n\
         Bytes sent:\t{sent}\n\
         Bytes received:\t{received}\n\n"
    );
    let record = Ledger {
        peer: peer.to_base58(),
        value,
        sent,
        recv: received,
        exchanged,
    };
    invocation
        .out
        .emit(|| record, |out| out.extend_from_slice(text.as_bytes()))?;
    invocation.close(node)
}
