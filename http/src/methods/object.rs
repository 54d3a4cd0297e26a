//! `object`: links of dag-pb nodes, as far as Kubo still has it; what is removed says what to use.

use ipfs_kit_node::{Cid, DagChange, PatchOptions};
use schemars::JsonSchema;
use serde::Serialize;

use super::dag::Link;
use super::removed;
use crate::command::{Argument, Command, Opt, Run, Shape};
use crate::escape;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit object`
pub const COMMAND: Command = Command {
    name: "object",
    tagline: "Deprecated commands on dag-pb objects. Use 'dag' or 'files' instead",
    subcommands: &[
        &removed::object("data"),
        &DIFF,
        &removed::object("get"),
        &removed::object("links"),
        &removed::object("new"),
        &PATCH,
        &removed::object("put"),
        &removed::object("stat"),
    ],
    ..Command::EMPTY
};

const DIFF: Command = Command {
    name: "diff",
    tagline: "Display the diff between two IPFS objects (deprecated)",
    about: "Shows the differences between two IPFS objects, link by link.",
    arguments: &[
        Argument::word("obj_a", "Object to diff against"),
        Argument::word("obj_b", "Object to diff"),
    ],
    options: &[Opt::flag(&["verbose", "v"], "Print extra information")],
    records: &[Shape::of::<Changes>()],
    run: Some(Run::Node(diff)),
    ..Command::EMPTY
};

const PATCH: Command = Command {
    name: "patch",
    tagline: "Create a new object based on an existing one (deprecated). Use 'files cp|rm' instead",
    options: &[ALLOW_BIG],
    subcommands: &[
        &ADD_LINK,
        &removed::object("append-data"),
        &RM_LINK,
        &removed::object("set-data"),
    ],
    ..Command::EMPTY
};

const ALLOW_BIG: Opt = Opt::flag(
    &["allow-big-block"],
    "Allow blocks bigger than 2MiB, which peers will refuse",
);

const ALLOW_ANY: Opt = Opt::flag(
    &["allow-non-unixfs"],
    "Skip UnixFS validation, changing links of nodes that are no directories",
);

const ADD_LINK: Command = Command {
    name: "add-link",
    tagline: "Add a link to a given dag-pb (deprecated)",
    about: "Adds a link to the given object and prints the CID of the result. It works on small\n\
            directories only, not on sharded ones: 'files cp' does it for all.",
    arguments: &[
        Argument::word("root", "The hash of the node to modify"),
        Argument::word("name", "Name of link to create"),
        Argument::word("ref", "IPFS object to add link to"),
    ],
    options: &[
        Opt::flag(&["create", "p"], "Create intermediary nodes"),
        ALLOW_ANY,
        ALLOW_BIG,
    ],
    records: &[Shape::of::<Object>()],
    run: Some(Run::Node(add_link)),
    ..Command::EMPTY
};

const RM_LINK: Command = Command {
    name: "rm-link",
    tagline: "Remove a link from a dag-pb object (deprecated)",
    about: "Removes a link from the given object and prints the CID of the result. It works on small\n\
            directories only, not on sharded ones: 'files rm' does it for all.",
    arguments: &[
        Argument::word("root", "The hash of the node to modify"),
        Argument::word("name", "Name of the link to remove"),
    ],
    options: &[ALLOW_ANY, ALLOW_BIG],
    records: &[Shape::of::<Object>()],
    run: Some(Run::Node(remove_link)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Object")]
#[serde(rename_all = "PascalCase")]
struct Object {
    hash: String,
}

impl Record for Object {
    const NAME: &'static str = "Object";
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ObjectChanges")]
#[serde(rename_all = "PascalCase")]
struct Changes {
    changes: Vec<Change>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ObjectChange")]
#[serde(rename_all = "PascalCase")]
struct Change {
    r#type: u8,
    path: String,
    before: Option<Link>,
    after: Option<Link>,
}

impl Record for Changes {
    const NAME: &'static str = "Changes";
}

impl From<DagChange> for Change {
    fn from(change: DagChange) -> Change {
        Change {
            // Kubo's numbers: added, removed, changed.
            r#type: match (&change.before, &change.after) {
                (None, _) => 0,
                (_, None) => 1,
                _ => 2,
            },
            before: change.before.as_ref().map(Link::new),
            after: change.after.as_ref().map(Link::new),
            path: change.path,
        }
    }
}

fn words(invocation: &Invocation) -> Result<Vec<String>, Failure> {
    invocation.check_arguments()?;
    invocation.arguments()
}

fn options(invocation: &Invocation, create: bool) -> PatchOptions {
    PatchOptions {
        create,
        any_node: invocation.flag("allow-non-unixfs"),
        allow_big: invocation.flag("allow-big-block"),
    }
}

fn add_link(invocation: &mut Invocation) -> Result<(), Failure> {
    let words = words(invocation)?;
    let [root, name, child] = &words[..] else {
        return Err(Failure::usage("argument \"ref\" is required"));
    };
    let options = options(invocation, invocation.flag("create"));
    let node = invocation.node()?;
    let cid = node.dag().add_link(root, name, child, options)?;
    tell(invocation, &cid)?;
    invocation.close(node)
}

fn remove_link(invocation: &mut Invocation) -> Result<(), Failure> {
    let words = words(invocation)?;
    let [root, name] = &words[..] else {
        return Err(Failure::usage("argument \"name\" is required"));
    };
    let options = options(invocation, false);
    let node = invocation.node()?;
    let cid = node.dag().remove_link(root, name, options)?;
    tell(invocation, &cid)?;
    invocation.close(node)
}

fn tell(invocation: &mut Invocation, cid: &Cid) -> Result<(), Failure> {
    let hash = invocation.cid_style().text(cid);
    let text = format!("{hash}\n");
    invocation.out.emit(
        || Object { hash },
        |out| out.extend_from_slice(text.as_bytes()),
    )
}

fn diff(invocation: &mut Invocation) -> Result<(), Failure> {
    let words = words(invocation)?;
    let [before, after] = &words[..] else {
        return Err(Failure::usage("argument \"obj_b\" is required"));
    };
    let node = invocation.node()?;
    let changes = node.dag().diff(before, after)?;
    let text = text(&changes, invocation.flag("verbose"));
    let changes = changes.into_iter().map(Change::from);
    invocation.out.emit(
        || Changes {
            changes: changes.collect(),
        },
        |out| out.extend_from_slice(&text),
    )?;
    invocation.close(node)
}

fn text(changes: &[DagChange], verbose: bool) -> Vec<u8> {
    let mut text = Vec::new();
    for change in changes {
        let mut path = Vec::new();
        escape::push_quoted(&mut path, change.path.as_bytes());
        let path = String::from_utf8_lossy(&path);
        let line = match (&change.before, &change.after, verbose) {
            (None, Some(after), true) => format!("Added new link {path} pointing to {after}.\n"),
            (Some(before), Some(after), true) => {
                format!("Changed {path} from {before} to {after}.\n")
            }
            (Some(before), None, true) => format!("Removed link {path} (was {before}).\n"),
            (None, Some(after), false) => format!("+ {after} {path}\n"),
            (Some(before), Some(after), false) => format!("~ {before} {after} {path}\n"),
            (Some(before), None, false) => format!("- {before} {path}\n"),
            (None, None, _) => String::new(),
        };
        text.extend_from_slice(line.as_bytes());
    }
    text
}
