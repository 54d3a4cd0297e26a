//! `files ls`: the entries of a directory.

use ipfs_kit_node::{MfsListed, Node, mfs_path};
use schemars::JsonSchema;
use serde::Serialize;

use super::{FLUSH, check_path};
use crate::cid_style::CidStyle;
use crate::command::{Argument, Command, Opt, Run, Shape};
use crate::failure::Failure;
use crate::invocation::{Invocation, to_io};
use crate::output::{Output, Record};

/// `ipfs-kit files ls`
pub const COMMAND: Command = Command {
    name: "ls",
    tagline: "List directories in the local mutable namespace",
    about: "Lists a directory of MFS, or shows one file.",
    arguments: &[Argument::word("path", "Path to show listing for. Defaults to '/'").optional()],
    options: &[
        Opt::flag(&["long", "l"], "Use long listing format"),
        Opt::flag(&["U"], "Do not sort; list entries in directory order"),
        FLUSH,
    ],
    records: &[Shape::of::<Listing>()],
    run: Some(Run::Node(ls)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FilesListing")]
#[serde(rename_all = "PascalCase")]
struct Listing {
    entries: Option<Vec<Entry>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FilesEntry")]
#[serde(rename_all = "PascalCase")]
struct Entry {
    name: String,
    r#type: u8,
    size: u64,
    hash: String,
}

impl Record for Listing {
    const NAME: &'static str = "filesLsOutput";
}

impl Entry {
    fn new(listed: MfsListed, long: bool) -> Entry {
        Entry {
            name: listed.name,
            r#type: u8::from(listed.directory),
            size: listed.size,
            hash: match long {
                true => listed.cid.to_string(),
                false => String::new(),
            },
        }
    }
}

fn ls(invocation: &mut Invocation) -> Result<(), Failure> {
    let path = match invocation.words().is_empty() {
        true => "/".to_owned(),
        false => check_path(&invocation.argument()?)?,
    };
    let long = invocation.flag("long");
    let node = invocation.node()?;
    if node.mfs().is_directory(&path)? {
        list_dir(invocation, &node, &path, long)?;
    } else {
        let entry = one_file(&node, &path, long, invocation.cid_style())?;
        show(invocation, vec![entry], long)?;
    }
    invocation.close(node)
}

fn one_file(node: &Node, path: &str, long: bool, style: CidStyle) -> Result<Entry, Failure> {
    let mfs = node.mfs();
    let cid = mfs.entry(path)?.cid;
    let (size, hash) = match long {
        true => (mfs.size(&cid)?, style.text(&cid)),
        false => (0, String::new()),
    };
    Ok(Entry {
        name: mfs_path::split(path).1.to_owned(),
        r#type: 0,
        size,
        hash,
    })
}

/// Unsorted entries go out as they come; sorted ones have to be there first.
fn list_dir(
    invocation: &mut Invocation,
    node: &Node,
    path: &str,
    long: bool,
) -> Result<(), Failure> {
    let mfs = node.mfs();
    if let Some(mut list) = invocation.out.list::<Listing>("Entries") {
        mfs.list(path, long, &mut |listed| {
            list.push(&Entry::new(listed, long)).map_err(to_io)
        })?;
        return list.finish();
    }
    if invocation.is_text() && invocation.flag("U") {
        return Ok(mfs.list(path, long, &mut |listed| {
            push_line(&mut invocation.out, &Entry::new(listed, long), long).map_err(to_io)
        })?);
    }
    let mut entries = Vec::new();
    mfs.list(path, long, &mut |listed| {
        entries.push(Entry::new(listed, long));
        Ok(())
    })?;
    show(invocation, entries, long)
}

fn show(invocation: &mut Invocation, mut entries: Vec<Entry>, long: bool) -> Result<(), Failure> {
    if invocation.is_text() {
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        return entries
            .iter()
            .try_for_each(|entry| push_line(&mut invocation.out, entry, long));
    }
    let entries = Some(entries).filter(|entries| !entries.is_empty());
    invocation.out.emit(|| Listing { entries }, |_| {})
}

fn push_line(out: &mut Output, entry: &Entry, long: bool) -> Result<(), Failure> {
    let slash = if long && entry.r#type == 1 { "/" } else { "" };
    if long {
        return out.line(&format!(
            "{}{slash}\t{}\t{}",
            entry.name, entry.hash, entry.size
        ));
    }
    out.line(&entry.name)
}
