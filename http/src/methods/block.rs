//! `block`: single blocks.

use std::io::Write as _;

use ipfs_kit_node::{BlockPut, BlockStat, Cid};
use schemars::JsonSchema;
use serde::Serialize;

use super::whole;
use crate::cid_style::CidStyle;
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::host::Need;
use crate::invocation::{Invocation, to_io};
use crate::output::Record;

/// `ipfs-kit block`
pub const COMMAND: Command = Command {
    name: "block",
    tagline: "Interact with raw IPFS blocks",
    about: "Reads from stdin or writes to stdout. A block is identified by a Multihash passed with\n\
            a valid CID.",
    subcommands: &[&PUT, &GET, &STAT, &RM],
    ..Command::EMPTY
};

const PUT: Command = Command {
    name: "put",
    tagline: "Store input as an IPFS block",
    about: "Unless cid-codec is specified, this command returns raw (0x55) CIDv1 CIDs. Another\n\
            --cid-codec does not modify the data, nor run any validation.\n\
            \n\
            Do not use --format for anything new: it is left for a legacy CIDv0 (--format=v0).",
    arguments: &[Argument::file("data", "The data to be stored as an IPFS block").many()],
    options: &[
        Opt::text(&["cid-codec"], "Multicodec to use in returned CID").default("raw"),
        Opt::text(
            &["mhtype"],
            "Multihash hash function. Default: Import.HashFunction",
        ),
        Opt::int(&["mhlen"], "Multihash hash length").default("-1"),
        Opt::flag(&["pin"], "Pin added blocks recursively").default("false"),
        Opt::flag(
            &["allow-big-block"],
            "Allow blocks bigger than 2MiB, which peers will refuse",
        )
        .default("false"),
        Opt::text(
            &["format", "f"],
            "Use legacy format for returned CID (deprecated)",
        ),
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Stat>()],
    run: Some(Run::Node(put)),
    ..Command::EMPTY
};

const GET: Command = Command {
    name: "get",
    tagline: "Get a raw IPFS block",
    about: "Takes a <cid>, and outputs the block to stdout.",
    arguments: &[Argument::line("cid", "The CID of an existing block to get")],
    reply: Reply::Bytes("application/vnd.ipld.raw"),
    brief: true,
    run: Some(Run::Node(get)),
    ..Command::EMPTY
};

const STAT: Command = Command {
    name: "stat",
    tagline: "Print information of a raw IPFS block",
    about: "Prints the CID of the block (Key) and its size in bytes (Size).",
    arguments: &[Argument::line(
        "cid",
        "The CID of an existing block to stat",
    )],
    records: &[Shape::of::<Stat>()],
    brief: true,
    run: Some(Run::Node(stat)),
    ..Command::EMPTY
};

const RM: Command = Command {
    name: "rm",
    tagline: "Remove IPFS block(s) from the local datastore",
    about: "Takes a list of CIDs to remove from the local datastore. Pinned blocks stay.",
    arguments: &[Argument::word("cid", "CIDs of block(s) to remove").many()],
    options: &[
        Opt::flag(&["force", "f"], "Ignore nonexistent blocks"),
        Opt::flag(&["quiet", "q"], "Write minimal output"),
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Removed>()],
    run: Some(Run::Node(rm)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BlockStat")]
#[serde(rename_all = "PascalCase")]
struct Stat {
    key: String,
    size: u64,
}

impl Record for Stat {
    const NAME: &'static str = "BlockStat";
}

impl Stat {
    fn new(stat: &BlockStat, style: CidStyle) -> Stat {
        Stat {
            key: style.text(&stat.cid),
            size: stat.size,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BlockRemoved")]
#[serde(rename_all = "PascalCase")]
struct Removed {
    hash: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
}

impl Record for Removed {
    const NAME: &'static str = "removedBlock";
}

/// Largest block taken with `--allow-big-block`, in bytes.
const MAX_BIG_BLOCK: u64 = 64 << 20;
/// Largest block that peers exchange, in bytes.
const MAX_BLOCK: u64 = 2 << 20;

/// Limit for the input of a block, and what to do about a longer one.
fn limit(allow_big: bool) -> (u64, &'static str) {
    if allow_big {
        return (
            MAX_BIG_BLOCK,
            "no block may be larger than 64 MiB; use 'add', which cuts files into blocks",
        );
    }
    (
        MAX_BLOCK,
        "produced block is over 2MiB: big blocks can't be exchanged with other peers. consider \
         using UnixFS for automatic chunking of bigger files, or pass --allow-big-block to override",
    )
}

fn put(invocation: &mut Invocation) -> Result<(), Failure> {
    let codec = invocation.text("cid-codec").unwrap_or_default();
    let legacy = invocation
        .text("format")
        .filter(|format| !format.is_empty());
    if legacy.is_some() && codec != "raw" && !codec.is_empty() {
        return Err(Failure::failed(
            "unable to use \"format\" (deprecated) and a custom \"cid-codec\" at the same time",
        ));
    }
    let hash_len = match invocation.int("mhlen") {
        None | Some(-1) => None,
        Some(len) => Some(usize::try_from(len).map_err(|_| {
            Failure::failed(format_args!(
                "--mhlen {len} is no length: leave it out or use -1"
            ))
        })?),
    };
    let options = BlockPut {
        codec: match legacy.as_deref() {
            Some("protobuf") => "dag-pb".to_owned(),
            Some("cbor") => "dag-cbor".to_owned(),
            Some(format) => format.to_owned(),
            None => codec,
        },
        hash: invocation.text("mhtype").filter(|hash| !hash.is_empty()),
        hash_len,
        pin: invocation.flag("pin"),
        allow_big: invocation.flag("allow-big-block"),
    };
    let (limit, hint) = limit(options.allow_big);
    let inputs = invocation.inputs()?;
    let node = invocation.node_for(Need::Storage)?;
    let style = invocation.cid_style();
    for input in inputs {
        let mut input = input?;
        let data = whole::read_all(&mut input, limit, hint)?;
        let stat = node.blocks().put(data.into(), &options)?;
        invocation.out.emit(
            || Stat::new(&stat, style),
            |out| {
                style.push(out, &stat.cid);
                out.push(b'\n');
            },
        )?;
    }
    invocation.close(node)?;
    Ok(())
}

fn get(invocation: &mut Invocation) -> Result<(), Failure> {
    let path = invocation.argument()?;
    let node = invocation.node()?;
    let data = node.blocks().get(&path)?;
    invocation.out.write_all(&data)?;
    invocation.out.flush()?;
    drop(data);
    invocation.close(node)?;
    Ok(())
}

fn stat(invocation: &mut Invocation) -> Result<(), Failure> {
    let path = invocation.argument()?;
    let node = invocation.node()?;
    let stat = node.blocks().stat(&path)?;
    let style = invocation.cid_style();
    invocation.out.emit(
        || Stat::new(&stat, style),
        |out| {
            let text = format!("Key: {}\nSize: {}\n", style.text(&stat.cid), stat.size);
            out.extend_from_slice(text.as_bytes());
        },
    )?;
    invocation.close(node)?;
    Ok(())
}

fn rm(invocation: &mut Invocation) -> Result<(), Failure> {
    let paths = invocation.arguments()?;
    let force = invocation.flag("force");
    let quiet = invocation.quiet();
    let style = invocation.cid_style();
    let node = invocation.node()?;
    let mut cids: Vec<Cid> = Vec::with_capacity(paths.len());
    for path in &paths {
        cids.push(node.resolve(path)?);
    }
    let refused = node.blocks().remove(&cids, force, &mut |(cid, result)| {
        let hash = style.text(&cid);
        let error = match result {
            Ok(()) => String::new(),
            // Nobody was to be asked for it.
            Err(ipfs_kit_node::Error::NotFound(cid)) => format!("ipld: could not find {cid}"),
            Err(error) => error.to_string(),
        };
        if quiet && error.is_empty() {
            return Ok(());
        }
        if !error.is_empty() && invocation.is_text() {
            invocation.note(&format!("cannot remove {hash}: {error}"));
            return Ok(());
        }
        let line = format!("removed {hash}\n");
        invocation
            .out
            .emit(
                || Removed { hash, error },
                |out| out.extend_from_slice(line.as_bytes()),
            )
            .map_err(to_io)
    })?;
    invocation.close(node)?;
    if refused > 0 {
        return Err(Failure::told("some blocks not removed"));
    }
    Ok(())
}
