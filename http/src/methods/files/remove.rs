//! `files rm`.

use ipfs_kit_node::{Mfs, MfsError, mfs_path};
use schemars::JsonSchema;
use serde::Serialize;

use super::{FLUSH, check_path, is_missing};
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::{Record, go_json};

/// `ipfs-kit files rm`
pub const COMMAND: Command = Command {
    name: "rm",
    tagline: "Remove a file from MFS",
    about: "Removes files or, with -r, directories. Always flushes.",
    arguments: &[Argument::word("path", "File to remove").many()],
    options: &[
        Opt::flag(&["recursive", "r"], "Recursively remove directories"),
        Opt::flag(
            &["force"],
            "Forcibly remove target at path; implies -r for directories",
        ),
        FLUSH,
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Refused>()],
    run: Some(Run::Node(rm)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FilesRefusal")]
#[serde(transparent)]
struct Refused(String);

impl Record for Refused {
    const NAME: &'static str = "string";
}

fn rm(invocation: &mut Invocation) -> Result<(), Failure> {
    if !invocation.flag("flush") {
        return Err(Failure::failed(
            "files rm always flushes for safety. The --flush flag cannot be set to false for this \
             command",
        ));
    }
    let paths = invocation.arguments()?;
    let (force, recursive) = (invocation.flag("force"), invocation.flag("recursive"));
    let node = invocation.node()?;
    let mfs = node.mfs();
    let mut refused = Vec::new();
    for argument in &paths {
        match check_path(argument) {
            Err(failure) => refused.push(format!("{argument} is not a valid path: {failure}")),
            Ok(path) => {
                if let Err(failure) = remove(&mfs, &path, force, recursive) {
                    refused.push(format!("{path}: {failure}"));
                }
            }
        }
    }
    mfs.commit()?;
    let failed = !refused.is_empty();
    for text in refused {
        let mut line = Vec::new();
        go_json(&mut line, &text)?;
        line.push(b'\n');
        invocation
            .out
            .emit(|| Refused(text), |out| out.extend_from_slice(&line))?;
    }
    invocation.close(node)?;
    if failed {
        return Err(Failure::failed("can't remove some files"));
    }
    Ok(())
}

fn remove(mfs: &Mfs<'_>, path: &str, force: bool, recursive: bool) -> Result<(), Failure> {
    if path == "/" {
        return Err(Failure::failed("cannot delete root"));
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    match mfs.is_directory(mfs_path::split(path).0) {
        Err(error) if force && is_missing(&error) => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(false) => return Err(Failure::failed(MfsError::ParentNotDirectory)),
        Ok(true) => {}
    }
    if !force && mfs.is_directory(path)? && !recursive {
        return Err(Failure::failed(
            "path is a directory, use -r to remove directories",
        ));
    }
    match mfs.unlink(path) {
        Err(error) if force && is_missing(&error) => return Ok(()),
        done => done?,
    }
    // As Kubo's flush of the parent, whose blocks are durable with those of the others.
    mfs.settle(&mfs_path::parent(path))?;
    Ok(())
}
