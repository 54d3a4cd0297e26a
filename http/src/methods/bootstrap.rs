//! `bootstrap`: the peers that a node joins the network by.

use ipfs_kit_node::parse_peer_id;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::config::load;
use crate::command::{Argument, Command, Opt, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit bootstrap`
pub const COMMAND: Command = Command {
    name: "bootstrap",
    tagline: "Show or edit the list of bootstrap peers",
    about: "Running 'ipfs-kit bootstrap' with no arguments will run 'ipfs-kit bootstrap list'. A change\n\
            takes effect when the daemon starts next. 'auto' stands for the peers that come with\n\
            the program.",
    subcommands: &[&LIST, &ADD, &RM],
    records: &[Shape::of::<Peers>()],
    run: Some(Run::Node(list)),
    ..Command::EMPTY
};

const LIST: Command = Command {
    name: "list",
    tagline: "Show peers in the bootstrap list",
    options: &[Opt::flag(
        &["expand-auto"],
        "Expand 'auto' placeholders; not supported yet",
    )],
    records: &[Shape::of::<Peers>()],
    run: Some(Run::Node(list)),
    ..Command::EMPTY
};

const ADD: Command = Command {
    name: "add",
    tagline: "Add peers to the bootstrap list",
    subcommands: &[&ADD_DEFAULT],
    arguments: &[
        Argument::line("peer", "A peer to add, as /ip4/1.2.3.4/tcp/4001/p2p/ID")
            .many()
            .optional(),
    ],
    records: &[Shape::of::<Peers>()],
    run: Some(Run::Node(add)),
    ..Command::EMPTY
};

const ADD_DEFAULT: Command = Command {
    name: "default",
    tagline: "Add default peers to the bootstrap list",
    records: &[Shape::of::<Peers>()],
    run: Some(Run::Node(add_default)),
    ..Command::EMPTY
};

const RM_ALL: Command = Command {
    name: "all",
    tagline: "Remove all peers from the bootstrap list",
    records: &[Shape::of::<Peers>()],
    run: Some(Run::Node(remove_all)),
    ..Command::EMPTY
};

const RM: Command = Command {
    name: "rm",
    tagline: "Remove peers from the bootstrap list",
    arguments: &[Argument::word("peer", "A peer to remove").many().optional()],
    options: &[Opt::flag(&["all"], "Remove all bootstrap peers")],
    subcommands: &[&RM_ALL],
    records: &[Shape::of::<Peers>()],
    run: Some(Run::Node(remove)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BootstrapPeers")]
#[serde(rename_all = "PascalCase")]
struct Peers {
    peers: Vec<String>,
}

impl Record for Peers {
    const NAME: &'static str = "BootstrapOutput";
}

const KEY: &str = "Bootstrap";
const AUTO: &str = "auto";

/// What Kubo says where `auto` would stand for nothing.
const NO_AUTO: &str = "cannot add default bootstrap peers: AutoConf is disabled \
    (AutoConf.Enabled=false). Enable AutoConf by setting AutoConf.Enabled=true in your config, or add \
    specific peer addresses instead";

fn peers(value: &Value) -> Vec<String> {
    let texts = value.as_array().into_iter().flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn emit(invocation: &mut Invocation, peers: Vec<String>, before: &str) -> Result<(), Failure> {
    let before = if invocation.quiet() { "" } else { before };
    let text: String = peers
        .iter()
        .map(|peer| format!("{before}{peer}\n"))
        .collect();
    invocation.out.emit(
        || Peers { peers },
        |out| out.extend_from_slice(text.as_bytes()),
    )
}

fn list(invocation: &mut Invocation) -> Result<(), Failure> {
    if invocation.command().option("expand-auto").is_some() && invocation.flag("expand-auto") {
        return Err(Failure::failed(
            "--expand-auto is not supported yet: the list is shown as it is configured",
        ));
    }
    let listed = peers(&load(invocation)?.get(KEY).map_err(Failure::failed)?);
    emit(invocation, listed, "")
}

fn add(invocation: &mut Invocation) -> Result<(), Failure> {
    let asked = invocation.arguments()?;
    if asked.is_empty() {
        return Err(Failure::failed("no bootstrap peers to add"));
    }
    add_peers(invocation, asked)
}

fn add_default(invocation: &mut Invocation) -> Result<(), Failure> {
    add_peers(invocation, vec![AUTO.to_owned()])
}

fn add_peers(invocation: &mut Invocation, asked: Vec<String>) -> Result<(), Failure> {
    let mut new: Vec<String> = Vec::new();
    for peer in asked {
        // What older versions of Kubo called it.
        let peer = if peer == "default" {
            AUTO.to_owned()
        } else {
            peer
        };
        check(&peer)?;
        if !new.contains(&peer) {
            new.push(peer);
        }
    }
    let mut file = load(invocation)?;
    let managed = file.get("AutoConf.Enabled").unwrap_or(Value::Null);
    if managed == Value::Bool(false) && new.iter().any(|peer| peer == AUTO) {
        return Err(Failure::failed(NO_AUTO));
    }
    let mut listed = new.clone();
    let known = peers(&file.get(KEY).map_err(Failure::failed)?);
    listed.extend(known.into_iter().filter(|peer| !new.contains(peer)));
    file.set(KEY, listed.into()).map_err(Failure::failed)?;
    emit(invocation, new, "added ")
}

fn remove(invocation: &mut Invocation) -> Result<(), Failure> {
    let asked = invocation.arguments()?;
    let all = invocation.flag("all");
    if asked.is_empty() && !all {
        return Err(Failure::usage("name the peers to remove, or use --all"));
    }
    if !all {
        asked.iter().try_for_each(|peer| check(peer))?;
    }
    remove_peers(invocation, |peer| {
        all || asked.iter().any(|asked| asked == peer)
    })
}

fn remove_all(invocation: &mut Invocation) -> Result<(), Failure> {
    remove_peers(invocation, |_| true)
}

fn remove_peers(invocation: &mut Invocation, asked: impl Fn(&str) -> bool) -> Result<(), Failure> {
    let mut file = load(invocation)?;
    let listed = peers(&file.get(KEY).map_err(Failure::failed)?);
    let (gone, kept): (Vec<String>, Vec<String>) = listed.into_iter().partition(|peer| asked(peer));
    file.set(KEY, kept.into()).map_err(Failure::failed)?;
    emit(invocation, gone, "removed ")
}

/// An address of a peer ends in its id.
fn check(peer: &str) -> Result<(), Failure> {
    let id = peer.rsplit_once("/p2p/").filter(|_| peer.starts_with('/'));
    let fits = peer == AUTO || id.is_some_and(|(_, id)| parse_peer_id(id).is_ok());
    if fits {
        return Ok(());
    }
    Err(Failure::failed(format_args!(
        "invalid peer address {peer:?}: use the form /ip4/1.2.3.4/tcp/4001/p2p/ID"
    )))
}
