//! `stat`: what a path leads to.

use std::fmt::Write as _;

use ipfs_kit_node::{EntryKind, FileStat};
use schemars::JsonSchema;
use serde::Serialize;

use super::ls::meta;
use crate::cid_style::CidStyle;
use crate::command::{Argument, Command, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit stat`
pub const COMMAND: Command = Command {
    name: "stat",
    tagline: "Show size, links and type of an object",
    about: "Prints the CID a path leads to, the length of its content (Size), the size of its DAG\n\
            (CumulativeSize), the number of blocks directly below it (ChildBlocks) and its type.",
    arguments: &[Argument::line("ipfs-path", "Path to the object(s)").many()],
    reply: Reply::Many,
    records: &[Shape::of::<Stat>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Stat")]
#[serde(rename_all = "PascalCase")]
struct Stat {
    hash: String,
    size: u64,
    cumulative_size: u64,
    blocks: u64,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime_nsecs: Option<u32>,
}

impl Record for Stat {
    const NAME: &'static str = "statOutput";
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let paths = invocation.arguments()?;
    let style = invocation.cid_style();
    let node = invocation.node()?;
    for path in &paths {
        let stat = node.files().stat(path)?;
        invocation.out.emit(
            || record(&stat, style),
            |out| out.extend_from_slice(text(&stat, style).as_bytes()),
        )?;
    }
    invocation.close(node)?;
    Ok(())
}

fn kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Directory => "directory",
        EntryKind::Symlink => "symlink",
        EntryKind::Unknown => "unknown",
    }
}

fn record(stat: &FileStat, style: CidStyle) -> Stat {
    Stat {
        hash: style.text(&stat.cid),
        size: stat.size,
        cumulative_size: stat.cumulative_size,
        blocks: stat.child_blocks,
        r#type: kind_name(stat.kind),
        mode: stat.mode.map(|mode| format!("0{mode:o}")),
        mtime: stat.mtime.map(|(seconds, _)| seconds),
        mtime_nsecs: stat
            .mtime
            .map(|(_, nanos)| nanos)
            .filter(|nanos| *nanos > 0),
    }
}

fn text(stat: &FileStat, style: CidStyle) -> String {
    let mut text = format!(
        "{}\nSize: {}\nCumulativeSize: {}\nChildBlocks: {}\nType: {}\n",
        style.text(&stat.cid),
        stat.size,
        stat.cumulative_size,
        stat.child_blocks,
        kind_name(stat.kind)
    );
    if let Some(mode) = stat.mode {
        let _ = writeln!(
            text,
            "Mode: {} (0{mode:o})",
            meta::mode_string(mode, stat.kind)
        );
    }
    if stat.mtime.is_some() {
        let _ = writeln!(text, "Mtime: {}", meta::rfc3339(stat.mtime));
    }
    text
}
