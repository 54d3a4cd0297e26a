//! `files stat`: what a path leads to.

use ipfs_kit_node::{EntryKind, FileStat};
use schemars::JsonSchema;
use serde::Serialize;

use super::{FLUSH, Place};
use crate::cid_style::CidStyle;
use crate::command::{Argument, Command, Opt, Run, Shape};
use crate::failure::Failure;
use crate::human;
use crate::invocation::Invocation;
use crate::methods::ls::meta;
use crate::output::Record;

const DEFAULT_FORMAT: &str = "<hash>\nSize: <size>\nCumulativeSize: <cumulsize>\n\
     ChildBlocks: <childs>\nType: <type>\nMode: <mode> (<mode-octal>)\nMtime: <mtime>";

/// `ipfs-kit files stat`
pub const COMMAND: Command = Command {
    name: "stat",
    tagline: "Display file status",
    about: "The path is one of MFS or of content (/ipfs/<cid>).",
    arguments: &[Argument::word("path", "Path to node to stat")],
    options: &[
        Opt::text(
            &["format"],
            "Print statistics in given format. Allowed tokens: <hash> <size> <cumulsize> <type> <childs> and \
             optional <mode> <mode-octal> <mtime> <mtime-secs> <mtime-nsecs>. Conflicts with other format options",
        )
        .default(DEFAULT_FORMAT),
        Opt::flag(
            &["hash"],
            "Print only hash. Implies '--format=<hash>'. Conflicts with other format options",
        ),
        Opt::flag(
            &["size"],
            "Print only size. Implies '--format=<cumulsize>'. Conflicts with other format options",
        ),
        Opt::flag(
            &["with-local"],
            "Compute the amount of the dag that is local, and if possible the total size",
        ),
        FLUSH,
    ],
    records: &[Shape::of::<Stat>()],
    brief: true,
    run: Some(Run::Node(stat)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FilesStat")]
#[serde(rename_all = "PascalCase")]
struct Stat {
    hash: String,
    size: u64,
    cumulative_size: u64,
    blocks: u64,
    r#type: &'static str,
    #[serde(skip_serializing_if = "is_false")]
    with_locality: bool,
    #[serde(skip_serializing_if = "is_false")]
    local: bool,
    #[serde(skip_serializing_if = "is_zero")]
    size_local: u64,
    #[serde(skip_serializing_if = "is_zero")]
    mtime: i64,
    #[serde(skip_serializing_if = "is_zero")]
    mtime_nsecs: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
}

impl Record for Stat {
    const NAME: &'static str = "statOutput";
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn stat(invocation: &mut Invocation) -> Result<(), Failure> {
    let format = format(invocation)?;
    let place = Place::parse(&invocation.argument()?)?;
    let node = invocation.node()?;
    let cid = place.cid(&node)?;
    let stat = node.files().stat_of(&cid)?;
    let locality = match invocation.flag("with-local") {
        true => Some(node.mfs().locality(&cid)?),
        false => None,
    };
    let style = invocation.cid_style();
    invocation.out.emit(
        || record(&stat, style, locality),
        |out| out.extend_from_slice(text(&stat, style, locality, &format).as_bytes()),
    )?;
    invocation.close(node)
}

fn format(invocation: &Invocation) -> Result<String, Failure> {
    let (hash, size) = (invocation.flag("hash"), invocation.flag("size"));
    let format = invocation.text("format").unwrap_or_default();
    if [hash, size, format != DEFAULT_FORMAT]
        .iter()
        .filter(|set| **set)
        .count()
        > 1
    {
        return Err(Failure::usage(
            "invalid parameters: format was set by multiple options. Only one format option is allowed",
        ));
    }
    Ok(match (hash, size) {
        (true, _) => "<hash>".to_owned(),
        (_, true) => "<cumulsize>".to_owned(),
        _ => format,
    })
}

/// The mode in Go's bits, 0 for none; a symbolic link has all permissions.
fn mode(stat: &FileStat) -> u32 {
    match (
        meta::go_bits(stat.mode.unwrap_or(0) & 0o7777, stat.kind),
        stat.kind,
    ) {
        (Some(bits), _) => bits,
        (None, EntryKind::Symlink) => 1 << 27 | 0o777,
        (None, _) => 0,
    }
}

fn kind(stat: &FileStat) -> &'static str {
    match stat.kind {
        EntryKind::Directory => "directory",
        _ => "file",
    }
}

/// Kubo takes a time before 1970 for one, but shows none.
fn mtime(stat: &FileStat) -> (i64, u32) {
    stat.mtime.unwrap_or_default()
}

fn record(stat: &FileStat, style: CidStyle, locality: Option<(bool, u64)>) -> Stat {
    let (seconds, nanos) = mtime(stat);
    Stat {
        hash: style.text(&stat.cid),
        size: stat.size,
        cumulative_size: stat.cumulative_size,
        blocks: stat.child_blocks,
        r#type: kind(stat),
        with_locality: locality.is_some(),
        local: locality.is_some_and(|(local, _)| local),
        size_local: locality.map_or(0, |(_, size)| size),
        mtime: seconds,
        mtime_nsecs: nanos,
        mode: Some(mode(stat))
            .filter(|mode| *mode != 0)
            .map(|mode| format!("{mode:04o}")),
    }
}

fn text(stat: &FileStat, style: CidStyle, locality: Option<(bool, u64)>, format: &str) -> String {
    const UNSET: &str = "not set";
    let unset = || UNSET.to_owned();
    let mode = mode(stat);
    let (letters, octal) = match mode {
        0 => (unset(), unset()),
        mode => (meta::go_mode_string(mode), format!("0{:o}", mode & 0o777)),
    };
    let (seconds, nanos) = mtime(stat);
    let (time, seconds, nanos) = match seconds {
        ..=0 => (unset(), unset(), unset()),
        _ => (
            meta::day_and_time(seconds),
            seconds.to_string(),
            nanos.to_string(),
        ),
    };
    let mut text = format
        .replace("<hash>", &style.text(&stat.cid))
        .replace("<size>", &stat.size.to_string())
        .replace("<cumulsize>", &stat.cumulative_size.to_string())
        .replace("<childs>", &stat.child_blocks.to_string())
        .replace("<type>", kind(stat))
        .replace("<mode>", &letters)
        .replace("<mode-octal>", &octal)
        .replace("<mtime>", &time)
        .replace("<mtime-secs>", &seconds)
        .replace("<mtime-nsecs>", &nanos);
    text.push('\n');
    if let Some((_, local)) = locality {
        let share = 100.0 * local as f64 / stat.cumulative_size as f64;
        text.push_str(&format!(
            "Local: {} of {} ({share:.2}%)\n",
            human::bytes(local),
            human::bytes(stat.cumulative_size)
        ));
    }
    text
}
