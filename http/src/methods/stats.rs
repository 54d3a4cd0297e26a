//! `stats`: numbers about the node.

mod bw;
mod dht;

use super::{bitswap, provide, repo};
use crate::command::Command;

/// `ipfs-kit stats`
pub const COMMAND: Command = Command {
    name: "stats",
    tagline: "Query IPFS statistics",
    about: "A set of commands to help look at statistics for your IPFS node.",
    subcommands: &[
        &bw::COMMAND,
        &dht::COMMAND,
        &Command {
            name: "repo",
            ..repo::STAT
        },
        &Command {
            name: "bitswap",
            ..bitswap::STAT
        },
        &Command {
            name: "provide",
            ..provide::stat::COMMAND
        },
        &Command {
            name: "reprovide",
            ..provide::stat::COMMAND
        },
    ],
    ..Command::EMPTY
};
