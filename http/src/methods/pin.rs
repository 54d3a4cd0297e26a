//! `pin`: what garbage collection keeps.

use ipfs_kit_node::{Cid, PinAdd};
use serde::Serialize;

use super::fast_provide;
use crate::cid_style::CidStyle;
use crate::command::{Argument, Command, Opt, Reply, Run};
use crate::failure::Failure;
use crate::host::Counting;
use crate::invocation::Invocation;
use crate::output::Record;

mod list;
mod remote;
mod verify;

/// `ipfs-kit pin`; with a path it is `pin add`.
pub const COMMAND: Command = Command {
    name: "pin",
    tagline: "Pin (and unpin) objects to local storage",
    about: "'ipfs-kit pin <ipfs-path>' is short for 'ipfs-kit pin add <ipfs-path>'.",
    arguments: &[
        Argument::word("ipfs-path", "Path to object(s) to be pinned")
            .many()
            .optional(),
    ],
    options: ADD_OPTIONS,
    subcommands: &[
        &ADD,
        &RM,
        &list::COMMAND,
        &UPDATE,
        &verify::COMMAND,
        &remote::COMMAND,
    ],
    reply: Reply::One,
    run: Some(Run::Node(pin)),
};

/// `ipfs-kit unpin`: `pin rm` in another word.
pub const UNPIN: Command = Command {
    name: "unpin",
    ..RM
};

/// `ipfs-kit list-pins`: `pin ls` in another word.
pub const LIST_PINS: Command = Command {
    name: "list-pins",
    ..list::COMMAND
};

const ADD: Command = Command {
    name: "add",
    tagline: "Pin objects to local storage",
    about: "Protects an object, and by default the whole DAG below it, from garbage collection.\n\
            Pass -r=false for a direct pin of the single block. Pinning a second time with a\n\
            different name updates the name. Blocks that are missing are fetched where a daemon is\n\
            online.",
    arguments: &[Argument::line("ipfs-path", "Path to object(s) to be pinned").many()],
    options: ADD_OPTIONS,
    run: Some(Run::Node(add)),
    ..Command::EMPTY
};

const ADD_OPTIONS: &[Opt] = &[
    Opt::flag(
        &["recursive", "r"],
        "Recursively pin what the specified object(s) link to",
    )
    .default("true"),
    Opt::text(&["name", "n"], "An optional name for created pin(s)"),
    Opt::flag(&["progress"], "Show progress"),
    fast_provide::ROOT,
    fast_provide::DAG,
    fast_provide::WAIT,
];

const RM: Command = Command {
    name: "rm",
    tagline: "Remove object from pin-list",
    about: "Removes the pin from the given object, allowing it to be garbage collected if needed.\n\
            A pin may not be removed because the object is not pinned or pinned indirectly:\n\
            ipfs-kit pin ls -t indirect <cid>",
    arguments: &[Argument::line("ipfs-path", "Path to object(s) to be unpinned").many()],
    options: &[Opt::flag(
        &["recursive", "r"],
        "Recursively unpin what the specified object(s) link to",
    )
    .default("true")],
    run: Some(Run::Node(rm)),
    ..Command::EMPTY
};

const UPDATE: Command = Command {
    name: "update",
    tagline: "Update a recursive pin",
    about: "Pins a new object based on differences from an existing recursive pin and, by default,\n\
            removes the old pin.",
    arguments: &[
        Argument::word("from-path", "Path to old object"),
        Argument::word("to-path", "Path to a new object to be pinned"),
    ],
    options: &[
        Opt::flag(&["unpin"], "Remove the old pin").default("true"),
        fast_provide::ROOT,
        fast_provide::DAG,
        fast_provide::WAIT,
    ],
    run: Some(Run::Node(update)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Pins {
    pins: Vec<String>,
}

impl Pins {
    fn new(cids: &[Cid], style: CidStyle) -> Pins {
        Pins {
            pins: cids.iter().map(|cid| style.text(cid)).collect(),
        }
    }
}

impl Record for Pins {
    const NAME: &'static str = "PinOutput";
}

fn pin(invocation: &mut Invocation) -> Result<(), Failure> {
    if invocation.words().is_empty() {
        return Err(Failure::Help);
    }
    add(invocation)
}

fn add(invocation: &mut Invocation) -> Result<(), Failure> {
    let paths = invocation.arguments()?;
    let options = PinAdd {
        recursive: invocation.flag("recursive"),
        name: invocation.text("name").filter(|name| !name.is_empty()),
    };
    let node = invocation
        .node()?
        .announcing(fast_provide::given(invocation));
    let bar = invocation
        .flag("progress")
        .then(|| invocation.bar(Counting::Things("nodes")))
        .flatten();
    let cids = node.pins().add(&paths, &options, &mut |done| {
        if let Some(bar) = &bar {
            bar.set(done);
        }
        Ok(())
    })?;
    invocation.close(node)?;
    let how = if options.recursive {
        "recursively"
    } else {
        "directly"
    };
    report(invocation, &cids, "pinned ", &format!(" {how}"))
}

fn rm(invocation: &mut Invocation) -> Result<(), Failure> {
    let paths = invocation.arguments()?;
    let node = invocation.node()?;
    let cids = node.pins().remove(&paths, invocation.flag("recursive"))?;
    invocation.close(node)?;
    report(invocation, &cids, "unpinned ", "")
}

fn report(
    invocation: &mut Invocation,
    cids: &[Cid],
    before: &str,
    after: &str,
) -> Result<(), Failure> {
    let style = invocation.cid_style();
    let (before, after) = if invocation.quiet() {
        ("", "")
    } else {
        (before, after)
    };
    invocation.out.emit(
        || Pins::new(cids, style),
        |out| {
            for cid in cids {
                out.extend_from_slice(before.as_bytes());
                style.push(out, cid);
                out.extend_from_slice(after.as_bytes());
                out.push(b'\n');
            }
        },
    )
}

fn update(invocation: &mut Invocation) -> Result<(), Failure> {
    let paths = invocation.arguments()?;
    let [from, to] = paths.as_slice() else {
        return Err(Failure::usage(
            "two paths are needed: the old object and the new one",
        ));
    };
    let node = invocation
        .node()?
        .announcing(fast_provide::given(invocation));
    let (from, to) = node.pins().update(from, to, invocation.flag("unpin"))?;
    invocation.close(node)?;
    let style = invocation.cid_style();
    let cids = [from, to];
    invocation.out.emit(
        || Pins::new(&cids, style),
        |out| {
            let line = format!(
                "updated {} to {}\n",
                style.text(&cids[0]),
                style.text(&cids[1])
            );
            out.extend_from_slice(line.as_bytes());
        },
    )
}
