//! `ls`: entries of directories.

use ipfs_kit_node::{EntryKind, LsEntry, LsOptions};
use schemars::JsonSchema;
use serde::Serialize;

use crate::cid_style::CidStyle;
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::escape;
use crate::failure::Failure;
use crate::invocation::{Invocation, to_io};
use crate::output::{Encoding, Record, push_columns};

pub mod meta;

/// `ipfs-kit ls`
pub const COMMAND: Command = Command {
    name: "ls",
    tagline: "List directory contents for Unix filesystem objects",
    about: "Displays the contents of an IPFS object(s) at the given path, with the following format:\n\
            \n  <cid> <size> <name>\n\
            \n\
            With the --long (-l) option, display optional file mode (permissions) and modification\n\
            time in a format similar to Unix 'ls -l':\n\
            \n  <mode> <cid> <size> <mtime> <name>\n\
            \n\
            Mode and mtime are '-' unless the content was imported with them. Times are in UTC.\n\
            The JSON output contains type information.",
    arguments: &[
        Argument::line("ipfs-path", "The path to the object(s) to list links from").many(),
    ],
    options: &[
        Opt::flag(&["headers", "v"], "Print table headers (Hash, Size, Name)"),
        Opt::flag(
            &["resolve-type"],
            "Resolve linked objects to find out their types",
        )
        .default("true"),
        Opt::flag(
            &["size"],
            "Resolve linked objects to find out their file size",
        )
        .default("true"),
        Opt::flag(
            &["stream", "s"],
            "Print directory entries as they are traversed",
        ),
        Opt::flag(
            &["long", "l"],
            "Use a long listing format, with file mode and time",
        ),
    ],
    reply: Reply::ManyIf("stream"),
    records: &[Shape::of::<Listing>(), Shape::of::<Link>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LsLink")]
#[serde(rename_all = "PascalCase")]
struct Link {
    name: String,
    hash: String,
    size: u64,
    r#type: u8,
    target: String,
    mode: u32,
    mod_time: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LsObject")]
#[serde(rename_all = "PascalCase")]
struct Object {
    hash: String,
    links: Vec<Link>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LsListing")]
#[serde(rename_all = "PascalCase")]
struct Listing {
    objects: Vec<Object>,
}

impl Record for Listing {
    const NAME: &'static str = "LsOutput";
}

impl Record for Link {
    const NAME: &'static str = "LsLink";
}

impl Link {
    fn new(entry: &LsEntry, style: CidStyle) -> Link {
        Link {
            name: entry.name.clone(),
            hash: style.text(&entry.cid),
            size: entry.size,
            r#type: match entry.kind {
                EntryKind::Unknown => 0,
                EntryKind::Directory => 1,
                EntryKind::File => 2,
                EntryKind::Symlink => 4,
            },
            target: entry.target.clone().unwrap_or_default(),
            mode: meta::go_mode(entry),
            mod_time: meta::rfc3339(entry.mtime),
        }
    }
}

/// What the flags say about the text form.
#[derive(Debug, Clone, Copy)]
struct Layout {
    headers: bool,
    size: bool,
    long: bool,
    stream: bool,
    titles: bool,
    style: CidStyle,
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let paths = invocation.arguments()?;
    let show_size = invocation.flag("size");
    // As in Kubo one of the two is enough to read the children.
    let resolve = show_size || invocation.flag("resolve-type");
    let options = LsOptions {
        resolve_type: resolve,
        size: resolve,
    };
    let layout = Layout {
        headers: invocation.flag("headers"),
        size: show_size,
        long: invocation.flag("long"),
        stream: invocation.flag("stream"),
        titles: paths.len() > 1,
        style: invocation.cid_style(),
    };
    let by_entry = layout.stream || invocation.out.encoding() == Encoding::Table;
    let node = invocation.node()?;
    let mut objects = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        let mut entries = Vec::new();
        let mut first = true;
        node.files().ls(path, &options, &mut |entry| {
            if by_entry {
                let start = std::mem::take(&mut first).then_some(at);
                return emit_entry(invocation, layout, path, start, &entry).map_err(to_io);
            }
            entries.push(entry);
            Ok(())
        })?;
        entries.sort_by(|a: &LsEntry, b: &LsEntry| a.name.as_bytes().cmp(b.name.as_bytes()));
        if !by_entry {
            objects.push((path, entries));
        }
    }
    // Kubo shows nothing when one of the paths is wrong, so nothing is shown before all are listed.
    if !by_entry {
        emit_all(invocation, layout, &objects)?;
    }
    invocation.close(node)?;
    Ok(())
}

fn emit_entry(
    invocation: &mut Invocation,
    layout: Layout,
    path: &str,
    start: Option<usize>,
    entry: &LsEntry,
) -> Result<(), Failure> {
    if invocation.out.encoding() == Encoding::Table {
        return invocation
            .out
            .emit(|| Link::new(entry, layout.style), |_| {});
    }
    let record = || Listing {
        objects: vec![Object {
            hash: path.to_owned(),
            links: vec![Link::new(entry, layout.style)],
        }],
    };
    invocation.out.emit(record, |out| {
        let mut rows = Vec::new();
        if let Some(at) = start {
            push_title(out, layout, path, at);
            rows.extend(layout.headers.then(|| header(layout)));
        }
        rows.push(row(entry, layout));
        push_columns(out, &rows, 10);
    })
}

fn emit_all(
    invocation: &mut Invocation,
    layout: Layout,
    objects: &[(&String, Vec<LsEntry>)],
) -> Result<(), Failure> {
    let record = || Listing {
        objects: objects
            .iter()
            .map(|(path, entries)| Object {
                hash: (*path).clone(),
                links: entries
                    .iter()
                    .map(|entry| Link::new(entry, layout.style))
                    .collect(),
            })
            .collect(),
    };
    invocation.out.emit(record, |out| {
        for (at, (path, entries)) in objects.iter().enumerate() {
            push_title(out, layout, path, at);
            let mut rows = Vec::with_capacity(entries.len() + 1);
            rows.extend(layout.headers.then(|| header(layout)));
            rows.extend(entries.iter().map(|entry| row(entry, layout)));
            push_columns(out, &rows, 1);
        }
    })
}

fn push_title(out: &mut Vec<u8>, layout: Layout, path: &str, at: usize) {
    if !layout.titles {
        return;
    }
    if at > 0 {
        out.push(b'\n');
    }
    escape::push_printable(out, path.as_bytes());
    out.extend_from_slice(b":\n");
}

fn header(layout: Layout) -> Vec<String> {
    let names: &[&str] = match (layout.long, layout.size) {
        (true, true) => &["Mode", "Hash", "Size", "ModTime", "Name"],
        (true, false) => &["Mode", "Hash", "ModTime", "Name"],
        (false, true) => &["Hash", "Size", "Name"],
        (false, false) => &["Hash", "Name"],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn row(entry: &LsEntry, layout: Layout) -> Vec<String> {
    let directory = entry.kind == EntryKind::Directory;
    let mut cells = Vec::with_capacity(5);
    if layout.long {
        cells.push(meta::mode_text(entry));
    }
    cells.push(layout.style.text(&entry.cid));
    if layout.size {
        cells.push(if directory {
            "-".to_owned()
        } else {
            entry.size.to_string()
        });
    }
    if layout.long {
        cells.push(meta::time_text(entry.mtime));
    }
    let mut name = escape::printable(entry.name.as_bytes());
    if directory {
        name.push('/');
    }
    cells.push(name);
    cells
}
