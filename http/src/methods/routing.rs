//! `routing`: who has a block, where is a peer, and records by key.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipfs_kit_node::names::PutOptions;
use ipfs_kit_node::{Cid, Multiaddr, Node, PeerId, RefsOptions, parse_peer};
use schemars::JsonSchema;
use serde::Serialize;

use super::{provide, whole};
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit routing`
pub const COMMAND: Command = Command {
    name: "routing",
    tagline: "Issue routing commands",
    subcommands: &[&FINDPROVS, &FINDPEER, &GET, &PUT, &PROVIDE, &REPROVIDE],
    ..Command::EMPTY
};

/// An option of every lookup.
pub(super) const VERBOSE: Opt = Opt::flag(&["verbose", "v"], "Print extra information");

const FINDPROVS: Command = Command {
    name: "findprovs",
    tagline: "Find peers that can provide a specific value, given a key",
    about: "Outputs a list of newline-delimited provider Peer IDs.",
    arguments: &[Argument::line("key", "The key to find providers for").many()],
    options: &[
        VERBOSE,
        Opt::int(&["num-providers", "n"], "The number of providers to find").default("20"),
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Event>()],
    run: Some(Run::Node(find_providers)),
    ..Command::EMPTY
};

const FINDPEER: Command = Command {
    name: "findpeer",
    tagline: "Find the multiaddresses associated with a Peer ID",
    about: "Outputs a list of newline-delimited multiaddresses.",
    arguments: &[Argument::line("peerID", "The ID of the peer to search for").many()],
    options: &[VERBOSE],
    reply: Reply::Many,
    records: &[Shape::of::<Event>()],
    run: Some(Run::Node(find_peer)),
    ..Command::EMPTY
};

const GET: Command = Command {
    name: "get",
    tagline: "Given a key, query the routing system for its best value",
    about: "Keys are /ipns/NAME and /pk/ID. The best of several values is the valid record with the\n\
            highest sequence number.",
    arguments: &[Argument::line("key", "The key to find a value for").many()],
    reply: Reply::Many,
    records: &[Shape::of::<Event>()],
    run: Some(Run::Node(get)),
    ..Command::EMPTY
};

const PUT: Command = Command {
    name: "put",
    tagline: "Write a key/value pair to the routing system",
    about: "Keys are /ipns/NAME and /pk/ID; the value must be valid for its key, as an IPNS record\n\
            signed with the key of the name.",
    arguments: &[
        Argument::word("key", "The key to store the value at"),
        Argument::file(
            "value-file",
            "A path to a file containing the value to store",
        ),
    ],
    options: &[Opt::flag(
        &["allow-offline"],
        "When offline, save the IPNS record to the repo instead of failing",
    )],
    reply: Reply::Many,
    records: &[Shape::of::<Event>()],
    run: Some(Run::Node(put)),
    ..Command::EMPTY
};

const PROVIDE: Command = Command {
    name: "provide",
    tagline: "Announce to the network that you are providing given values",
    arguments: &[Argument::line("key", "The key[s] to send provide records for").many()],
    options: &[
        VERBOSE,
        Opt::flag(&["recursive", "r"], "Recursively provide entire graph"),
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Event>()],
    run: Some(Run::Node(provide_keys)),
    ..Command::EMPTY
};

/// `ipfs-kit routing reprovide`
pub const REPROVIDE: Command = Command {
    name: "reprovide",
    tagline: "Announce to the network everything that Provide.Strategy names, now",
    about: "Ends when that is done. Unlike Kubo's it also works by regions (Provide.DHT.SweepEnabled).",
    run: Some(Run::Node(reprovide)),
    ..Command::EMPTY
};

/// Largest value that is read; the DHT takes far less.
const MAX_VALUE: u64 = 1 << 20;

/// What happened in a lookup, with Kubo's numbers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// The peer that was looked for, or one that is closest.
    FinalPeer = 2,
    /// Somebody who has the value.
    Provider = 4,
    /// The value.
    Value = 5,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RoutingEvent")]
#[serde(rename_all = "PascalCase")]
pub(super) struct Event {
    extra: String,
    #[serde(rename = "ID")]
    id: String,
    responses: Option<Vec<Response>>,
    r#type: u8,
}

impl Record for Event {
    const NAME: &'static str = "QueryEvent";
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RoutingResponse")]
#[serde(rename_all = "PascalCase")]
struct Response {
    #[serde(rename = "ID")]
    id: String,
    addrs: Vec<String>,
}

/// A peer that was found: with its addresses as a response, else by its id alone.
pub(super) fn emit_peer(
    invocation: &mut Invocation,
    kind: Kind,
    peer: PeerId,
    addresses: Option<&[Multiaddr]>,
    text: &str,
) -> Result<(), Failure> {
    use std::io::Write as _;
    let id = peer.to_base58();
    let event = match addresses {
        Some(addresses) => Event {
            extra: String::new(),
            id: String::new(),
            responses: Some(vec![Response {
                id,
                addrs: addresses.iter().map(ToString::to_string).collect(),
            }]),
            r#type: kind as u8,
        },
        None => Event {
            extra: String::new(),
            id,
            responses: None,
            r#type: kind as u8,
        },
    };
    invocation
        .out
        .emit(|| event, |out| out.extend_from_slice(text.as_bytes()))?;
    // Lookups are slow, and who asked may have enough with the first answer.
    Ok(invocation.out.flush()?)
}

fn cid_of(text: &str) -> Result<Cid, Failure> {
    let bare = text.strip_prefix("/ipfs/").unwrap_or(text);
    bare.parse()
        .map_err(|error| Failure::failed(format_args!("invalid key {text:?}: {error}")))
}

/// `/ipns/NAME` with the bytes of the name, as records are stored.
fn record_key(text: &str) -> Result<(Vec<u8>, PeerId), Failure> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        ["", kind @ ("ipns" | "pk"), name] => {
            let peer = parse_peer(name)?;
            let mut key = format!("/{kind}/").into_bytes();
            key.extend_from_slice(&peer.to_bytes());
            Ok((key, peer))
        }
        _ => Err(Failure::failed(format_args!(
            "invalid key {text:?}: it looks like /ipns/NAME or /pk/ID"
        ))),
    }
}

fn find_providers(invocation: &mut Invocation) -> Result<(), Failure> {
    let verbose = invocation.flag("verbose");
    let count = invocation.int("num-providers").unwrap_or_default();
    let keys = invocation.arguments()?;
    let node = invocation.node()?;
    let routing = node.routing()?;
    let limit = usize::try_from(count).unwrap_or_default();
    if limit == 0 {
        return Err(Failure::failed(
            "number of providers must be greater than 0",
        ));
    }
    let keys = keys.iter().map(|key| cid_of(key));
    for cid in keys.collect::<Result<Vec<_>, _>>()? {
        let mut found = invocation.wait(routing.find_providers(&cid, limit))?;
        while let Some(provider) = invocation.wait(async { Ok(found.recv().await) })? {
            let mut text = String::new();
            if verbose {
                let _ = writeln!(text, "provider: {}", provider.peer);
                for address in &provider.addresses {
                    let _ = writeln!(text, "\t{address}");
                }
            } else {
                let _ = writeln!(text, "{}", provider.peer);
            }
            let addresses = Some(provider.addresses.as_slice());
            emit_peer(invocation, Kind::Provider, provider.peer, addresses, &text)?;
        }
    }
    invocation.close(node)
}

fn find_peer(invocation: &mut Invocation) -> Result<(), Failure> {
    let peers = invocation.arguments()?;
    let node = invocation.node()?;
    let routing = node.routing()?;
    let peers = peers.iter().map(|peer| parse_peer(peer));
    for peer in peers.collect::<Result<Vec<_>, _>>()? {
        let addresses = invocation.wait(routing.find_peer(peer))?;
        let lines = addresses.iter().map(|address| format!("{address}\n"));
        let text: String = lines.collect();
        emit_peer(invocation, Kind::FinalPeer, peer, Some(&addresses), &text)?;
    }
    invocation.close(node)
}

fn get(invocation: &mut Invocation) -> Result<(), Failure> {
    let keys = invocation.arguments()?;
    let node = invocation.node()?;
    let routing = node.routing()?;
    for key in &keys {
        let (key, _) = record_key(key)?;
        let value = invocation.wait(routing.get(key))?;
        let event = Event {
            extra: STANDARD.encode(&value),
            id: String::new(),
            responses: None,
            r#type: Kind::Value as u8,
        };
        invocation
            .out
            .emit(|| event, |out| out.extend_from_slice(&value))?;
    }
    invocation.close(node)
}

fn put(invocation: &mut Invocation) -> Result<(), Failure> {
    let word = invocation.words().first().and_then(|word| word.to_str());
    let word = word.ok_or_else(|| Failure::usage("argument \"key\" is required"))?;
    let (key, name) = record_key(word)?;
    let local = word.starts_with("/ipns/") && invocation.flag("allow-offline");
    let node = invocation.node()?;
    if !node.is_online() && !local {
        node.routing()?;
    }
    let value = whole::read_one(
        invocation,
        MAX_VALUE,
        "the value is larger than 1 MiB: this is no record",
    )?;
    if node.is_online() {
        invocation.wait(node.routing()?.put(key, value))?;
    } else {
        let options = PutOptions {
            force: false,
            allow_offline: true,
        };
        node.names().put(&name.to_base58(), value.into(), options)?;
    }
    invocation.close(node)
}

fn provide_keys(invocation: &mut Invocation) -> Result<(), Failure> {
    let keys = invocation.arguments()?;
    let recursive = invocation.flag("recursive");
    let node = invocation.node()?;
    let routing = node.routing()?;
    let roots = keys.iter().map(|key| provide::stored(&node, key));
    let roots = roots.collect::<Result<Vec<_>, _>>()?;
    provide::check(invocation, &node)?;
    if recursive {
        provide_below(invocation, &node, &roots)?;
    } else {
        for cid in &roots {
            invocation.wait(routing.provide(cid))?;
        }
    }
    invocation.close(node)
}

fn reprovide(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    provide::check(invocation, &node)?;
    invocation.wait(node.provide()?.announce_all())?;
    invocation.close(node)
}

/// Everything is announced by region; what is missing is told.
fn provide_below(invocation: &Invocation, node: &Node, roots: &[Cid]) -> Result<(), Failure> {
    invocation.wait(node.provide()?.announce(roots.to_vec(), true))?;
    let roots: Vec<String> = roots.iter().map(ToString::to_string).collect();
    let options = RefsOptions {
        recursive: true,
        unique: true,
        ..RefsOptions::default()
    };
    let missing = node.offline().refs(&roots, &options, &mut |_| Ok(()))?;
    match missing {
        0 => Ok(()),
        missing => Err(Failure::failed(format_args!(
            "{missing} nodes of the graph are not here: what lies below them was not provided"
        ))),
    }
}
