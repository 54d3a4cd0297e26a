//! `dag`: IPLD nodes, and CAR files.

use std::io::Write as _;

use ipfs_kit_node::{Cid, DagPut};
use schemars::JsonSchema;
use serde::Serialize;

use super::whole;
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::escape;
use crate::failure::Failure;
use crate::host::Need;
use crate::invocation::Invocation;
use crate::output::Record;

mod car;
mod stat;

/// `ipfs-kit dag`
pub const COMMAND: Command = Command {
    name: "dag",
    tagline: "Interact with IPLD DAG objects",
    about: "Creates and manipulates DAG objects and hierarchies.",
    subcommands: &[
        &PUT,
        &GET,
        &RESOLVE,
        &stat::COMMAND,
        &car::EXPORT,
        &car::IMPORT,
    ],
    ..Command::EMPTY
};

const PUT: Command = Command {
    name: "put",
    tagline: "Add a DAG node to IPFS",
    about: "Accepts input from a file or stdin and parses it into an object of the specified format.",
    arguments: &[Argument::file("object data", "The object to put").many()],
    options: &[
        Opt::text(
            &["store-codec"],
            "Codec that the stored object will be encoded with",
        )
        .default("dag-cbor"),
        Opt::text(
            &["input-codec"],
            "Codec that the input object is encoded in",
        )
        .default("dag-json"),
        Opt::flag(&["pin"], "Pin this object when adding"),
        Opt::text(
            &["hash"],
            "Hash function to use. Default: Import.HashFunction",
        ),
        Opt::flag(
            &["allow-big-block"],
            "Allow blocks bigger than 2MiB, which peers will refuse",
        )
        .default("false"),
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Put>()],
    run: Some(Run::Node(put)),
    ..Command::EMPTY
};

const GET: Command = Command {
    name: "get",
    tagline: "Get a DAG node from IPFS",
    about: "Prints a DAG node, or the part of one that the path leads to, in the specified format.",
    arguments: &[Argument::line("ref", "The object to get")],
    options: &[Opt::text(
        &["output-codec"],
        "Format that the object will be encoded as",
    )
    .default("dag-json")],
    reply: Reply::Bytes("text/plain"),
    brief: true,
    run: Some(Run::Node(get)),
    ..Command::EMPTY
};

const RESOLVE: Command = Command {
    name: "resolve",
    tagline: "Resolve IPLD block",
    about: "Prints the address of the last block on a path and what remains of the path.",
    arguments: &[Argument::line("ref", "The path to resolve")],
    records: &[Shape::of::<Resolved>()],
    brief: true,
    run: Some(Run::Node(resolve)),
    ..Command::EMPTY
};

/// A CID in JSON, as a link.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "DagLink")]
pub struct Link {
    #[serde(rename = "/")]
    cid: String,
}

impl Link {
    /// A link to `cid`; links are always in their own base.
    pub fn new(cid: &Cid) -> Link {
        Link {
            cid: cid.to_string(),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DagPut")]
#[serde(rename_all = "PascalCase")]
struct Put {
    cid: Link,
}

impl Record for Put {
    const NAME: &'static str = "OutputObject";
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DagResolved")]
#[serde(rename_all = "PascalCase")]
struct Resolved {
    cid: Link,
    rem_path: String,
}

impl Record for Resolved {
    const NAME: &'static str = "ResolveOutput";
}

/// Text forms take more room than the block they become.
const MAX_INPUT: u64 = 64 << 20;

fn put(invocation: &mut Invocation) -> Result<(), Failure> {
    let options = DagPut {
        input_codec: invocation.text("input-codec").unwrap_or_default(),
        store_codec: invocation.text("store-codec").unwrap_or_default(),
        hash: invocation.text("hash").filter(|hash| !hash.is_empty()),
        pin: invocation.flag("pin"),
        allow_big: invocation.flag("allow-big-block"),
    };
    let inputs = invocation.inputs()?;
    let node = invocation.node_for(Need::Storage)?;
    let style = invocation.cid_style();
    for input in inputs {
        let mut input = input?;
        let data = whole::read_all(
            &mut input,
            MAX_INPUT,
            "the object is larger than 64 MiB: cut it into linked nodes",
        )?;
        let cid = node.dag().put(&data, &options)?;
        invocation.out.emit(
            || Put {
                cid: Link::new(&cid),
            },
            |out| {
                style.push(out, &cid);
                out.push(b'\n');
            },
        )?;
    }
    invocation.close(node)?;
    Ok(())
}

fn get(invocation: &mut Invocation) -> Result<(), Failure> {
    let path = invocation.argument()?;
    let codec = invocation.text("output-codec").unwrap_or_default();
    let node = invocation.node()?;
    let data = node.dag().get(&path, &codec)?;
    if matches!(codec.as_str(), "dag-json" | "json") {
        invocation.out.set_media_type("application/json");
    }
    invocation.out.write_all(&data)?;
    if invocation.out.is_terminal() {
        invocation.out.write_all(b"\n")?;
    }
    invocation.close(node)?;
    Ok(())
}

fn resolve(invocation: &mut Invocation) -> Result<(), Failure> {
    let path = invocation.argument()?;
    let node = invocation.node()?;
    let resolved = node.dag().resolve(&path)?;
    let style = invocation.cid_style().or_of_path(&path);
    let record = || Resolved {
        cid: Link::new(&resolved.cid),
        rem_path: match resolved.remainder.as_str() {
            "" => String::new(),
            remainder => format!("/{remainder}"),
        },
    };
    let at_terminal = invocation.out.is_terminal();
    invocation.out.emit(record, |out| {
        style.push(out, &resolved.cid);
        if !resolved.remainder.is_empty() {
            out.push(b'/');
            escape::push_printable(out, resolved.remainder.as_bytes());
        }
        // Kubo ends this output without a line end, and scripts may compare it.
        if at_terminal {
            out.push(b'\n');
        }
    })?;
    invocation.close(node)?;
    Ok(())
}
