//! `name pubsub`: the names that are followed over pubsub.

use ipfs_kit_node::format_peer_id;
use ipfs_kit_node::names::parse_name;
use schemars::JsonSchema;
use serde::Serialize;

use super::{IPNS_BASE, key};
use crate::command::{Argument, Command, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::methods::swarm::Lines;
use crate::output::Record;

/// `ipfs-kit name pubsub`
pub const COMMAND: Command = Command {
    name: "pubsub",
    tagline: "IPNS over pubsub: names that are followed",
    about: "With Ipns.UsePubsub, or a daemon started with --enable-namesys-pubsub, a name that is\n\
            published or resolved is followed from then on: its new records come by themselves.",
    subcommands: &[&STATE, &SUBS, &CANCEL],
    ..Command::EMPTY
};

const STATE: Command = Command {
    name: "state",
    tagline: "Query the state of IPNS pubsub",
    records: &[Shape::of::<State>()],
    run: Some(Run::Node(state)),
    ..Command::EMPTY
};

const SUBS: Command = Command {
    name: "subs",
    tagline: "Show current name subscriptions",
    options: &[IPNS_BASE],
    records: &[Shape::of::<Lines>()],
    run: Some(Run::Node(subs)),
    ..Command::EMPTY
};

const CANCEL: Command = Command {
    name: "cancel",
    tagline: "Cancel a name subscription",
    arguments: &[Argument::word(
        "name",
        "Name to cancel the subscription for",
    )],
    records: &[Shape::of::<Cancelled>()],
    run: Some(Run::Node(cancel)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NamePubsubState")]
#[serde(rename_all = "PascalCase")]
struct State {
    enabled: bool,
}

impl Record for State {
    const NAME: &'static str = "ipnsPubsubState";
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Cancelled {
    canceled: bool,
}

impl Record for Cancelled {
    const NAME: &'static str = "ipnsPubsubCancel";
}

fn off() -> Failure {
    Failure::usage("IPNS pubsub subsystem is not enabled")
}

fn state(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let enabled = node.names().followed().is_some();
    let line = if enabled { "enabled\n" } else { "disabled\n" };
    invocation.out.emit(
        || State { enabled },
        |out| out.extend_from_slice(line.as_bytes()),
    )?;
    invocation.close(node)
}

fn subs(invocation: &mut Invocation) -> Result<(), Failure> {
    let base = key::base(invocation)?;
    let node = invocation.node()?;
    let names = node.names().followed().ok_or_else(off)?;
    let strings = names
        .iter()
        .map(|name| format!("/ipns/{}", format_peer_id(name, base)));
    Lines {
        strings: strings.collect(),
    }
    .emit(invocation)?;
    invocation.close(node)
}

fn cancel(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    if node.names().followed().is_none() {
        return Err(off());
    }
    let name = parse_name(&invocation.argument()?)?;
    let canceled = node.names().unfollow(&name);
    let line = if canceled {
        "canceled\n"
    } else {
        "no subscription\n"
    };
    invocation.out.emit(
        || Cancelled { canceled },
        |out| out.extend_from_slice(line.as_bytes()),
    )?;
    invocation.close(node)
}
