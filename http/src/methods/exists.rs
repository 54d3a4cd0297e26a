//! `exists`: whether the block a path leads to is here.

use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Argument, Command, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit exists`
pub const COMMAND: Command = Command {
    name: "exists",
    tagline: "Tell whether an object is in the local repo",
    about: "Prints true or false. The exit status is 0 when all objects are there, 1 otherwise.",
    arguments: &[Argument::line("ipfs-path", "Path to the object(s)").many()],
    reply: Reply::Many,
    records: &[Shape::of::<Exists>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Exists {
    path: String,
    exists: bool,
}

impl Record for Exists {
    const NAME: &'static str = "Exists";
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let paths = invocation.arguments()?;
    let node = invocation.node()?;
    let mut all = true;
    for path in paths {
        let exists = node.offline().blocks().exists(&path)?;
        all &= exists;
        let line: &[u8] = if exists { b"true\n" } else { b"false\n" };
        invocation.out.emit(
            || Exists { path, exists },
            |out| out.extend_from_slice(line),
        )?;
    }
    invocation.close(node)?;
    if all { Ok(()) } else { Err(Failure::Reported) }
}
