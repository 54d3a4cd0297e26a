//! `shutdown`: the end of the daemon.

use crate::command::{Command, Run};
use crate::failure::Failure;
use crate::invocation::Invocation;

/// `ipfs-kit shutdown`
pub const COMMAND: Command = Command {
    name: "shutdown",
    tagline: "Shut down the daemon",
    about: "Running requests are told to end; what was acknowledged stays.",
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    invocation.shutdown()
}
