//! The commands: the table of methods, and those that only make sense on the command line.

pub mod completion;
pub mod config_edit;
pub mod daemon;
pub mod diag;
pub mod get;
pub mod init;
pub mod key;
pub mod migrate;
pub mod serve;

use ipfs_kit_http::command::{Command, Run};
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::invocation::Invocation;
use ipfs_kit_http::methods;

use crate::host::Local;

/// The program itself: every command is below it.
pub static ROOT: Command = Command {
    name: "ipfs-kit",
    tagline: "IPFS node: content-addressed files in a local repo",
    about: "ipfs-kit keeps its repo in ~/.ipfs-kit unless --repo-dir or the environment variable\n\
            IPFS_KIT_PATH or IPFS_PATH name another place. Commands, options, output and exit\n\
            status are those of Kubo's `ipfs`, except where --help says otherwise.\n\
            \n\
            Where a daemon runs on the repo it does the work; else the command opens the repo\n\
            itself.",
    subcommands: &[
        &init::COMMAND,
        &migrate::COMMAND,
        &daemon::COMMAND,
        &serve::COMMAND,
        &methods::add::COMMAND,
        &methods::cat::COMMAND,
        &GET,
        &methods::ls::COMMAND,
        &methods::refs::COMMAND,
        &methods::files::COMMAND,
        &methods::filestore::COMMAND,
        &methods::dag::COMMAND,
        &methods::object::COMMAND,
        &methods::block::COMMAND,
        &methods::cid::COMMAND,
        &methods::multibase::COMMAND,
        &methods::resolve::COMMAND,
        &methods::pin::COMMAND,
        &methods::pin::UNPIN,
        &methods::pin::LIST_PINS,
        &methods::stat::COMMAND,
        &methods::exists::COMMAND,
        &methods::repo::COMMAND,
        &methods::config::COMMAND,
        &methods::auth::COMMAND,
        &methods::bootstrap::COMMAND,
        &methods::id::COMMAND,
        &methods::swarm::COMMAND,
        &methods::swarm::LIST_PEERS,
        &methods::swarm::CONNECT_TO,
        &methods::ping::COMMAND,
        &methods::routing::COMMAND,
        &methods::provide::COMMAND,
        &methods::dht::COMMAND,
        &methods::bitswap::COMMAND,
        &methods::p2p::COMMAND,
        &methods::stats::COMMAND,
        &methods::pubsub::COMMAND,
        &methods::key::COMMAND,
        &methods::name::COMMAND,
        &methods::job::COMMAND,
        &methods::log::COMMAND,
        &DIAG,
        &methods::version::COMMAND,
        &methods::shutdown::COMMAND,
        &COMMANDS,
        &completion::COMMAND,
    ],
    ..Command::EMPTY
};

/// `get` writes to the local disk, whoever reads the repo.
const GET: Command = Command {
    run: Some(Run::Local),
    ..methods::get::COMMAND
};

/// A profile of a daemon goes into a file of this machine.
const DIAG: Command = Command {
    subcommands: &[
        &methods::diag::SYS,
        &methods::diag::CMDS,
        &diag::PROFILE,
        &methods::diag::HEALTHY,
    ],
    ..methods::diag::COMMAND
};

const COMMANDS: Command = Command {
    subcommands: &[
        &completion::COMMAND,
        &methods::catalog::OPENAPI,
        &methods::catalog::REFERENCE,
    ],
    ..methods::catalog::COMMAND
};

/// The function of a command that only the command line has.
pub type LocalRun = fn(&Local, &mut Invocation) -> Result<(), Failure>;

/// What runs a [`Run::Local`] command, by the words that select it.
pub fn local(path: &[&'static Command]) -> Option<LocalRun> {
    let names: Vec<&str> = path.iter().skip(1).map(|command| command.name).collect();
    match names.as_slice() {
        ["daemon"] => Some(daemon::run),
        ["diag", "profile"] => Some(diag::profile),
        ["serve"] => Some(serve::run),
        ["files", "chroot"] => Some(|_, invocation| methods::files::chroot::run(invocation)),
        ["get"] => Some(get::run),
        ["migrate"] => Some(migrate::run),
        ["key", "export"] => Some(|_, invocation| key::export(invocation)),
        ["key", "rotate"] => Some(|_, invocation| key::rotate(invocation)),
        ["config", "edit"] => Some(|_, invocation| config_edit::run(invocation)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipfs_kit_http::command::Source;

    fn walk(command: &'static Command, check: &mut dyn FnMut(&'static Command)) {
        check(command);
        command.subcommands.iter().for_each(|sub| walk(sub, check));
    }

    #[test]
    fn tables_are_sound() {
        walk(&ROOT, &mut |command| {
            let mut names: Vec<&str> = command
                .options
                .iter()
                .flat_map(|option| option.names)
                .copied()
                .collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(count, names.len(), "{}: an option name twice", command.name);

            let mut subs: Vec<&str> = command.subcommands.iter().map(|sub| sub.name).collect();
            subs.sort_unstable();
            subs.dedup();
            assert_eq!(subs.len(), command.subcommands.len(), "{}", command.name);
            assert!(
                command.run.is_some() || !subs.is_empty(),
                "{} does nothing",
                command.name
            );

            for (at, argument) in command.arguments.iter().enumerate() {
                let last = at + 1 == command.arguments.len();
                assert!(
                    last || !argument.variadic,
                    "{}: only the last may repeat",
                    command.name
                );
                assert!(last || argument.source == Source::Words || !argument.reads_stdin());
            }
        });
    }
}
