//! `provide`: announcing to the network what is here.

use std::io::Write as _;

use ipfs_kit_node::{Cid, Node, RefEvent, RefsOptions};
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::{Invocation, to_io};
use crate::output::Record;

mod human;
pub mod stat;

/// `ipfs-kit provide`
pub const COMMAND: Command = Command {
    name: "provide",
    tagline: "Control and monitor content providing",
    about: "Others find by the DHT who has a block. What Provide.Strategy names is announced again and\n\
            again, once every Provide.DHT.Interval, by regions of the key space.",
    subcommands: &[&CLEAR, &ONCE, &stat::COMMAND],
    ..Command::EMPTY
};

const CLEAR: Command = Command {
    name: "clear",
    tagline: "Clear all CIDs from the provide queue",
    about: "Forgets the CIDs that wait to be announced for the first time. What is announced on\n\
            schedule stays.",
    options: &[Opt::flag(&["quiet", "q"], "Do not write output")],
    reply: Reply::Many,
    records: &[Shape::of::<Cleared>()],
    run: Some(Run::Node(clear)),
    ..Command::EMPTY
};

const ONCE: Command = Command {
    name: "once",
    tagline: "Announce CIDs to the routing system on demand",
    about: "Announces the given CIDs now, once; the schedule is left as it is. Unlike Kubo's, it ends\n\
            when they are announced. The CIDs must be in the repo.",
    arguments: &[Argument::line("cid", "The CID(s) to announce").many()],
    options: &[Opt::flag(
        &["recursive", "r"],
        "Recursively announce the entire DAG",
    )],
    reply: Reply::Many,
    records: &[Shape::of::<Queued>()],
    run: Some(Run::Node(once)),
    ..Command::EMPTY
};

/// CIDs that are read before they are announced together.
const BATCH: usize = 16_384;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ProvideCleared")]
#[serde(transparent)]
struct Cleared(usize);

impl Record for Cleared {
    const NAME: &'static str = "int";
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ProvideQueued")]
#[serde(rename_all = "PascalCase")]
struct Queued {
    queued: String,
}

impl Record for Queued {
    const NAME: &'static str = "ProvideOnceEvent";
}

fn clear(invocation: &mut Invocation) -> Result<(), Failure> {
    let quiet = invocation.flag("quiet");
    let node = invocation.node()?;
    let cleared = node.provide()?.clear();
    if !quiet {
        invocation.out.emit(
            || Cleared(cleared),
            |out| {
                // Writing to memory does not fail.
                let _ = writeln!(out, "removed {cleared} items from provide queue");
            },
        )?;
    }
    invocation.close(node)
}

/// Fails where nothing could be announced, before anything is read.
pub(super) fn check(invocation: &Invocation, node: &Node) -> Result<(), Failure> {
    if !node.provide()?.is_enabled() {
        return Err(Failure::failed("cannot provide: Provide.Enabled is false"));
    }
    let peers = node.peers()?;
    let peers = invocation.wait(async { peers.list().await })?;
    if peers.is_empty() {
        return Err(Failure::failed("cannot provide: no connected peers"));
    }
    Ok(())
}

/// The CID that is meant, whose block must be here.
pub(super) fn stored(node: &Node, text: &str) -> Result<Cid, Failure> {
    let bare = text.strip_prefix("/ipfs/").unwrap_or(text);
    let cid: Cid = bare
        .parse()
        .map_err(|error| Failure::failed(format_args!("invalid CID {text:?}: {error}")))?;
    if !node.offline().blocks().exists(&cid.to_string())? {
        return Err(Failure::failed(format_args!(
            "block {cid} not found locally, cannot provide"
        )));
    }
    Ok(cid)
}

fn once(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    check(invocation, &node)?;
    let recursive = invocation.flag("recursive");
    let mut count = 0_u64;
    let mut batch = Vec::new();
    for text in invocation.arguments()? {
        batch.push(stored(&node, &text)?);
        if batch.len() >= BATCH {
            count += announce(invocation, &node, std::mem::take(&mut batch), recursive)?;
        }
    }
    count += announce(invocation, &node, batch, recursive)?;
    if invocation.is_text() {
        invocation
            .out
            .line(&format!("queued {count} CID(s) for immediate provide"))?;
    }
    invocation.close(node)
}

fn announce(
    invocation: &mut Invocation,
    node: &Node,
    mut cids: Vec<Cid>,
    recursive: bool,
) -> Result<u64, Failure> {
    let mut seen = std::collections::HashSet::new();
    cids.retain(|cid| seen.insert(cid.clone()));
    let style = invocation.cid_style();
    let mut count = 0;
    let mut tell = |invocation: &mut Invocation, cid: &Cid| {
        count += 1;
        let queued = style.text(cid);
        invocation.out.emit(|| Queued { queued }, |_| {})
    };
    for cid in &cids {
        tell(invocation, cid)?;
    }
    let roots: Vec<String> = cids.iter().map(ToString::to_string).collect();
    if !cids.is_empty() {
        invocation.wait(node.provide()?.announce(cids, recursive))?;
    }
    if recursive && !roots.is_empty() {
        let options = RefsOptions {
            recursive: true,
            unique: true,
            ..RefsOptions::default()
        };
        let missing = node
            .offline()
            .refs(&roots, &options, &mut |event| match event {
                RefEvent::Link { target, .. } => tell(invocation, &target).map_err(to_io),
                _ => Ok(()),
            })?;
        if missing > 0 {
            return Err(Failure::failed(format_args!(
                "{missing} nodes of the graph are not here: what lies below them was not provided"
            )));
        }
    }
    Ok(count)
}
