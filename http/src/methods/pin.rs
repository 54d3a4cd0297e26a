//! `pin`: what garbage collection keeps.

use std::io::Write;
use std::time::{Duration, Instant};

use ipfs_kit_node::{Cid, JobWork, PinAdd};
use schemars::JsonSchema;
use serde::Serialize;

use super::{fast_provide, job};
use crate::cid_style::CidStyle;
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::host::Counting;
use crate::invocation::{Invocation, to_io};
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
    records: &[Shape::of::<Pins>(), Shape::of::<job::Shown>()],
    brief: false,
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

/// Between two records of progress, as in Kubo.
const TELL_EVERY: Duration = Duration::from_millis(500);

const ADD: Command = Command {
    name: "add",
    tagline: "Pin objects to local storage",
    about: "Protects an object, and by default the whole DAG below it, from garbage collection.\n\
            Pass -r=false for a direct pin of the single block. Pinning a second time with a\n\
            different name updates the name. Blocks that are missing are fetched where a daemon is\n\
            online.",
    arguments: &[Argument::line("ipfs-path", "Path to object(s) to be pinned").many()],
    options: ADD_OPTIONS,
    reply: Reply::ManyIf("progress"),
    records: &[Shape::of::<Pins>(), Shape::of::<job::Shown>()],
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
    Opt::flag(
        &["background"],
        "Do it as a job of the daemon, which goes on over restarts; see 'job'",
    ),
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
    records: &[Shape::of::<Pins>()],
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
    records: &[Shape::of::<Pins>()],
    run: Some(Run::Node(update)),
    ..Command::EMPTY
};

#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Pins {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pins: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<u64>,
}

impl Pins {
    fn new(cids: &[Cid], style: CidStyle) -> Pins {
        Pins {
            pins: cids.iter().map(|cid| style.text(cid)).collect(),
            progress: None,
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
    if invocation.flag("background") {
        return start(invocation, paths, options);
    }
    let node = invocation
        .node()?
        .announcing(fast_provide::given(invocation));
    let bar = invocation
        .flag("progress")
        .then(|| invocation.bar(Counting::Things("nodes")))
        .flatten();
    // As records, progress is for who asked for it by name.
    let events = invocation.flag("progress") && !invocation.is_text();
    let mut last = Instant::now();
    let mut seen = 0;
    let tell = |invocation: &mut Invocation, progress| {
        let record = || Pins {
            progress: Some(progress),
            ..Pins::default()
        };
        invocation.out.emit(record, |_| {})
    };
    let cids = node.pins().add(&paths, &options, &mut |done| {
        if let Some(bar) = &bar {
            bar.set(done);
        }
        seen = done;
        if events && last.elapsed() >= TELL_EVERY {
            last = Instant::now();
            tell(invocation, done).map_err(to_io)?;
            invocation.out.flush()?;
        }
        Ok(())
    })?;
    if events && seen > 0 {
        tell(invocation, seen)?;
    }
    invocation.close(node)?;
    let how = if options.recursive {
        "recursively"
    } else {
        "directly"
    };
    report(invocation, &cids, "pinned ", &format!(" {how}"))
}

/// Leaves it to a job.
fn start(invocation: &mut Invocation, paths: Vec<String>, options: PinAdd) -> Result<(), Failure> {
    let node = invocation.node()?;
    let job = node.jobs().start(JobWork::Pin {
        paths,
        recursive: options.recursive,
        name: options.name,
    })?;
    let text = match invocation.quiet() {
        true => format!("{}\n", job.id),
        false => format!("started job {}\n", job.id),
    };
    invocation.out.emit(
        || job::Shown::new(job),
        |out| out.extend_from_slice(text.as_bytes()),
    )?;
    invocation.close(node)
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
