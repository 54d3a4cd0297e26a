//! Commands that Kubo has removed: their clients are told what to use instead.

use crate::command::{Command, Opt, Run};
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

/// `object`: all that is told of it is what to use.
pub const OBJECT: Command = Command {
    name: "object",
    tagline: "Removed, use 'dag' or 'files' instead",
    subcommands: &[
        &command("data", object),
        &command("get", object),
        &command("links", object),
        &command("new", object),
        &command("put", object),
        &command("stat", object),
        &PATCH,
    ],
    ..Command::EMPTY
};

const PATCH: Command = Command {
    name: "patch",
    tagline: "Removed, use 'files' instead",
    options: &[Opt::flag(&["allow-big-block"], "No effect")],
    subcommands: &[
        &command("append-data", object),
        &command("set-data", object),
    ],
    ..Command::EMPTY
};

/// `dht`, but for what is left of it.
pub const DHT: [Command; 5] = [
    command("findpeer", dht),
    command("findprovs", dht),
    command("get", dht),
    command("provide", dht),
    command("put", dht),
];

fn object(_: &mut Invocation) -> Result<(), Failure> {
    Err(Failure::failed(
        "removed, use 'ipfs dag' or 'ipfs files' instead",
    ))
}

fn dht(_: &mut Invocation) -> Result<(), Failure> {
    Err(Failure::failed("removed, use 'ipfs routing' instead"))
}
