//! The table of methods: one file each or per group, one line each in [`ROOT`].
//!
//! A method is declared once, with its arguments, options and reply. The command line runs it on a repo
//! of its own, the daemon for its clients.

pub mod add;
pub mod auth;
pub mod bitswap;
pub mod block;
pub mod bootstrap;
pub mod cat;
pub mod catalog;
pub mod cid;
pub mod config;
pub mod dag;
pub mod dht;
pub mod diag;
pub mod exists;
pub mod fast_provide;
pub mod files;
pub mod filestore;
pub mod get;
pub mod id;
pub mod job;
pub mod key;
pub mod log;
pub mod ls;
pub mod multibase;
pub mod name;
pub mod object;
pub mod p2p;
pub mod pin;
pub mod ping;
pub mod provide;
pub mod pubsub;
pub mod refs;
pub mod removed;
pub mod repo;
pub mod resolve;
pub mod routing;
pub mod shutdown;
pub mod stat;
pub mod stats;
pub mod swarm;
pub mod version;
pub mod whole;

use crate::command::Command;

/// Everything that the RPC serves.
pub static ROOT: Command = Command {
    name: "ipfs-kit",
    tagline: "RPC of the node",
    subcommands: &[
        &add::COMMAND,
        &cat::COMMAND,
        &get::COMMAND,
        &ls::COMMAND,
        &refs::COMMAND,
        &files::COMMAND,
        &filestore::COMMAND,
        &dag::COMMAND,
        &block::COMMAND,
        &cid::COMMAND,
        &multibase::COMMAND,
        &resolve::COMMAND,
        &pin::COMMAND,
        &pin::UNPIN,
        &pin::LIST_PINS,
        &stat::COMMAND,
        &exists::COMMAND,
        &repo::COMMAND,
        &config::COMMAND,
        &auth::COMMAND,
        &bootstrap::COMMAND,
        &id::COMMAND,
        &swarm::COMMAND,
        &swarm::LIST_PEERS,
        &swarm::CONNECT_TO,
        &ping::COMMAND,
        &routing::COMMAND,
        &provide::COMMAND,
        &dht::COMMAND,
        &object::COMMAND,
        &bitswap::COMMAND,
        &p2p::COMMAND,
        &stats::COMMAND,
        &pubsub::COMMAND,
        &key::COMMAND,
        &name::COMMAND,
        &job::COMMAND,
        &log::COMMAND,
        &diag::COMMAND,
        &version::COMMAND,
        &shutdown::COMMAND,
        &catalog::COMMAND,
    ],
    ..Command::EMPTY
};
