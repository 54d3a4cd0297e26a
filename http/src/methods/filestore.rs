//! `filestore`: blocks that are parts of files elsewhere, which this repo does not have.

use crate::command::{Argument, Command, Opt, Reply, Run};
use crate::failure::Failure;
use crate::invocation::Invocation;

/// `ipfs-kit filestore`
pub const COMMAND: Command = Command {
    name: "filestore",
    tagline: "Interact with filestore objects",
    about: "There is no filestore in ipfs-kit: 'add' always copies content into the repo, where it is\n\
            checked and cannot change. These commands answer as Kubo does where the filestore is off.",
    subcommands: &[&LS, &VERIFY, &DUPS],
    ..Command::EMPTY
};

const LS: Command = Command {
    name: "ls",
    tagline: "List objects in filestore",
    arguments: &[Argument::word("obj", "Cid of objects to list")
        .many()
        .optional()],
    options: &[Opt::flag(
        &["file-order"],
        "Sort the results based on the path of the backing file",
    )],
    reply: Reply::Many,
    run: Some(Run::Node(refuse)),
    ..Command::EMPTY
};

const VERIFY: Command = Command {
    name: "verify",
    tagline: "Verify objects in filestore",
    arguments: &[Argument::word("obj", "Cid of objects to verify")
        .many()
        .optional()],
    options: &[
        Opt::flag(
            &["file-order"],
            "Verify the objects based on the order of the backing file",
        ),
        Opt::flag(&["remove-bad-blocks"], "Remove bad blocks"),
    ],
    reply: Reply::Many,
    run: Some(Run::Node(refuse)),
    ..Command::EMPTY
};

const DUPS: Command = Command {
    name: "dups",
    tagline: "List blocks that are both in the filestore and standard block storage",
    reply: Reply::Many,
    run: Some(Run::Node(refuse)),
    ..Command::EMPTY
};

fn refuse(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    for key in [
        "Experimental.FilestoreEnabled",
        "Experimental.UrlstoreEnabled",
    ] {
        if node.config().flag(key) == Some(true) {
            return Err(Failure::failed(format_args!(
                "{key} has no effect: there is no filestore in ipfs-kit; add content without --nocopy"
            )));
        }
    }
    Err(Failure::failed(
        "filestore is not enabled, see https://git.io/vNItf",
    ))
}
