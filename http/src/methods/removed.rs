//! Commands that Kubo has removed: their clients are told what to use instead.

use crate::command::{Command, Run};
use crate::failure::Failure;
use crate::invocation::Invocation;

const fn command(name: &'static str, run: crate::command::Function) -> Command {
    Command {
        name,
        tagline: "Removed",
        run: Some(Run::Node(run)),
        ..Command::EMPTY
    }
}

/// A command of `object` that is gone.
pub const fn object(name: &'static str) -> Command {
    command(name, no_object)
}

/// `dht`, but for what is left of it.
pub const DHT: [Command; 5] = [
    command("findpeer", dht),
    command("findprovs", dht),
    command("get", dht),
    command("provide", dht),
    command("put", dht),
];

fn no_object(_: &mut Invocation) -> Result<(), Failure> {
    Err(Failure::failed(
        "removed, use 'ipfs dag' or 'ipfs files' instead",
    ))
}

fn dht(_: &mut Invocation) -> Result<(), Failure> {
    Err(Failure::failed("removed, use 'ipfs routing' instead"))
}
