//! `name pubsub`: names that are followed by messages. This node asks for records instead, so there is
//! nothing to list or to cancel.

use serde::Serialize;

use crate::command::{Argument, Command, Run};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit name pubsub`
pub const COMMAND: Command = Command {
    name: "pubsub",
    tagline: "IPNS pubsub management",
    about: "Names are looked up by their records; following them by messages is not supported.",
    subcommands: &[&STATE, &SUBS, &CANCEL],
    ..Command::EMPTY
};

const STATE: Command = Command {
    name: "state",
    tagline: "Query the state of IPNS pubsub",
    run: Some(Run::Node(state)),
    ..Command::EMPTY
};

const SUBS: Command = Command {
    name: "subs",
    tagline: "Show current name subscriptions",
    options: &[super::IPNS_BASE],
    run: Some(Run::Node(refuse)),
    ..Command::EMPTY
};

const CANCEL: Command = Command {
    name: "cancel",
    tagline: "Cancel a name subscription",
    arguments: &[Argument::word(
        "name",
        "Name to cancel the subscription for",
    )],
    run: Some(Run::Node(refuse)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    enabled: bool,
}

impl Record for State {
    const NAME: &'static str = "ipnsPubsubState";
}

fn state(invocation: &mut Invocation) -> Result<(), Failure> {
    invocation.out.emit(
        || State { enabled: false },
        |out| out.extend_from_slice(b"disabled\n"),
    )
}

fn refuse(_: &mut Invocation) -> Result<(), Failure> {
    Err(Failure::usage("IPNS pubsub subsystem is not enabled"))
}
