//! `files ls`: the entries of a directory.

use ipfs_kit_node::{MfsListed, mfs_path};
use serde::Serialize;

use super::{FLUSH, check_path};
use crate::command::{Argument, Command, Opt, Run};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

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
    run: Some(Run::Node(ls)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    entries: Option<Vec<Entry>>,
}

#[derive(Debug, Serialize)]
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
    let mfs = node.mfs();
    let mut entries = Vec::new();
    if mfs.is_directory(&path)? {
        mfs.list(&path, long, &mut |listed| {
            entries.push(Entry::new(listed, long));
            Ok(())
        })?;
    } else {
        let cid = mfs.entry(&path)?.cid;
        let (size, hash) = match long {
            true => (mfs.size(&cid)?, invocation.cid_style().text(&cid)),
            false => (0, String::new()),
        };
        entries.push(Entry {
            name: mfs_path::split(&path).1.to_owned(),
            r#type: 0,
            size,
            hash,
        });
    }
    let sorted = invocation.is_text() && !invocation.flag("U");
    if sorted {
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    }
    if invocation.is_text() {
        for entry in &entries {
            push_line(&mut invocation.out, entry, long)?;
        }
        return invocation.close(node);
    }
    let entries = Some(entries).filter(|entries| !entries.is_empty());
    invocation.out.emit(|| Listing { entries }, |_| {})?;
    invocation.close(node)
}

fn push_line(
    out: &mut crate::output::Output,
    entry: &Entry,
    long: bool,
) -> Result<(), Failure> {
    let slash = if long && entry.r#type == 1 { "/" } else { "" };
    if long {
        return out.line(&format!(
            "{}{slash}\t{}\t{}",
            entry.name, entry.hash, entry.size
        ));
    }
    out.line(&entry.name)
}
