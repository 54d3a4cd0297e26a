//! `files chroot`: another root, when the one that is there cannot be read.

use ipfs_kit_node::Cid;
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Argument, Command, Opt, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit files chroot`; its function is [`run`], on the command line only.
pub const COMMAND: Command = Command {
    name: "chroot",
    tagline: "Change the MFS root CID",
    about: "Makes a directory that is in the repo the root of MFS, an empty one if no CID is given.\n\
            For the case that the root is damaged. What was below the old root goes with the next\n\
            garbage collection unless it is pinned.\n\
            \n\
            Only runs while no daemon does.",
    arguments: &[Argument::word(
        "cid",
        "New root CID (defaults to empty directory if not specified)",
    )
    .optional()],
    options: &[
        Opt::flag(
            &["confirm"],
            "Confirm this potentially destructive operation",
        ),
        super::FLUSH,
    ],
    records: &[Shape::of::<Message>()],
    run: Some(Run::Local),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FilesChrootMessage")]
#[serde(rename_all = "PascalCase")]
struct Message {
    message: String,
}

impl Record for Message {
    const NAME: &'static str = "MessageOutput";
}

/// Changes the root.
///
/// # Errors
/// Without `--confirm`; when a daemon runs; when the CID is none, is not here, or is no directory.
pub fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    if !invocation.flag("confirm") {
        return Err(Failure::failed(
            "this is a potentially destructive operation; pass --confirm to proceed",
        ));
    }
    let style = invocation.cid_style();
    let root =
        match invocation.words().is_empty() {
            true => None,
            false => {
                let text = invocation.argument()?;
                let bare = text.strip_prefix("/ipfs/").unwrap_or(&text);
                Some(bare.parse::<Cid>().map_err(|error| {
                    Failure::failed(format_args!("invalid CID {text:?}: {error}"))
                })?)
            }
        };
    let node = invocation.node().map_err(|failure| {
        Failure::failed(format_args!(
            "opening repo (is the daemon running?): {failure}"
        ))
    })?;
    let (old, new) = node.mfs().set_root(root.as_ref())?;
    let new = style.text(&new);
    let message = match old.map(|old| style.text(&old)) {
        Some(old) => format!(
            "MFS root changed from {old} to {new}\n\
             The old root {old} will be garbage collected unless pinned.\n"
        ),
        None => format!("MFS root set to {new}\n"),
    };
    let text = message.clone();
    invocation.out.emit(
        || Message { message },
        |out| out.extend_from_slice(text.as_bytes()),
    )?;
    invocation.close(node)
}
