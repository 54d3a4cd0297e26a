//! `dag export` and `dag import`: DAGs as CAR files.

use std::io::{self, Read, Write as _};

use ipfs_kit_node::{CarImport, CarImportEvent, Cid};
use schemars::JsonSchema;
use serde::Serialize;

use super::Link;
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::host::{Counting, Need};
use crate::invocation::Invocation;
use crate::methods::fast_provide;
use crate::output::Record;

/// `ipfs-kit dag export`
pub const EXPORT: Command = Command {
    name: "export",
    tagline: "Streams the selected DAG as a .car stream on stdout",
    about: "The output of blocks happens in strict DAG-traversal, first-seen, order, in the format\n\
            CARv1: https://ipld.io/specs/transport/car/carv1/\n\
            \n\
            Use --local-only for a best-effort export: blocks that are missing (and what is below\n\
            them) are skipped, so the resulting CAR is partial.",
    arguments: &[Argument::line(
        "root",
        "CID of a root to recursively export",
    )],
    options: &[
        Opt::flag(
            &["progress", "p"],
            "Show progress; by default when stderr is a terminal",
        ),
        Opt::flag(
            &["local-only"],
            "Skip blocks that are missing instead of failing",
        ),
    ],
    reply: Reply::Bytes("application/vnd.ipld.car"),
    run: Some(Run::Node(export)),
    ..Command::EMPTY
};

/// `ipfs-kit dag import`
pub const IMPORT: Command = Command {
    name: "import",
    tagline: "Import the contents of .car files",
    about: "Imports all blocks present in supplied .car (Content Address aRchive) files, version 1\n\
            or 2, recursively pinning any roots specified in the CAR file headers, unless\n\
            --pin-roots is set to false.\n\
            \n\
            The pinning of the roots happens after all car files are processed, permitting import\n\
            of DAGs spanning multiple files. If the blocks do not represent a complete DAG, pinning\n\
            of that individual root will fail.\n\
            \n\
            Use --local-only to import a partial CAR. It implies --pin-roots=false.",
    arguments: &[Argument::file("path", "The path of a .car file").many()],
    options: &[
        Opt::flag(
            &["pin-roots"],
            "Pin roots listed in the .car headers. Default: true",
        ),
        Opt::flag(
            &["local-only"],
            "Import a partial CAR. Implies --pin-roots=false",
        ),
        Opt::flag(&["silent"], "No output"),
        Opt::flag(&["stats"], "Output stats"),
        fast_provide::ROOT,
        fast_provide::DAG,
        fast_provide::WAIT,
        Opt::flag(
            &["allow-big-block"],
            "Allow blocks bigger than 2MiB, which peers will refuse",
        )
        .default("false"),
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Imported>()],
    run: Some(Run::Node(import)),
    ..Command::EMPTY
};

fn export(invocation: &mut Invocation) -> Result<(), Failure> {
    let local_only = invocation.flag("local-only");
    if local_only && invocation.online_asked() {
        return Err(Failure::failed(
            "--local-only implies --offline and cannot be combined with --offline=false; please \
             drop one of them",
        ));
    }
    let path = invocation.argument()?;
    let node = invocation.node()?;
    let bar = invocation.bar(Counting::Bytes(None));
    node.dag()
        .export(&path, &mut invocation.out, local_only, &mut |bytes| {
            if let Some(bar) = &bar {
                bar.set(bytes);
            }
            Ok(())
        })?;
    invocation.out.flush()?;
    invocation.close(node)?;
    Ok(())
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Imported {
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<Root>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<Stats>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Root {
    cid: Link,
    pin_error_msg: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DagCarStats")]
#[serde(rename_all = "PascalCase")]
struct Stats {
    block_count: u64,
    block_bytes_count: u64,
}

impl Record for Imported {
    const NAME: &'static str = "CarImportOutput";
}

fn import(invocation: &mut Invocation) -> Result<(), Failure> {
    let local_only = invocation.flag("local-only");
    let pin_roots = invocation.given_flag("pin-roots");
    if local_only && pin_roots == Some(true) {
        return Err(Failure::failed(
            "--local-only implies --pin-roots=false and cannot be combined with \
             --pin-roots=true; please drop one of them",
        ));
    }
    let options = CarImport {
        pin_roots: pin_roots.unwrap_or(true) && !local_only,
        local_only,
        allow_big: invocation.flag("allow-big-block"),
    };
    let inputs = invocation.inputs()?;
    // An input that cannot be had is read as one that fails, so that the import says so.
    let mut inputs = inputs.map(|input| match input {
        Ok(input) => input.reader,
        Err(failure) => Box::new(Unreadable(Some(failure.to_string()))) as Box<dyn Read + Send>,
    });
    let node = invocation.node_for(Need::Storage)?;
    let node = node.announcing(fast_provide::given(invocation));
    let report = node.dag().import(&mut inputs, &options, &mut |event| {
        let CarImportEvent::Progress { .. } = event;
        Ok(())
    })?;
    let silent = invocation.flag("silent");
    let mut failed = None;
    for root in report.roots.iter().filter(|_| options.pin_roots) {
        let error = root.pin_error.as_ref().map(ToString::to_string);
        if let (Some(error), true) = (&error, invocation.is_text()) {
            failed.get_or_insert_with(|| {
                let root = invocation.cid_style().text(&root.cid);
                Failure::failed(format_args!("pinning root {root:?} FAILED: {error}"))
            });
            continue;
        }
        if !silent {
            emit_root(invocation, &root.cid, error)?;
        }
    }
    if invocation.flag("stats") && !silent && failed.is_none() {
        emit_stats(invocation, report.blocks, report.bytes)?;
    }
    invocation.close(node)?;
    match failed {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// What is read in place of an input that is not there.
struct Unreadable(Option<String>);

impl Read for Unreadable {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match self.0.take() {
            Some(reason) => Err(io::Error::other(reason)),
            None => Ok(0),
        }
    }
}

fn emit_root(invocation: &mut Invocation, cid: &Cid, error: Option<String>) -> Result<(), Failure> {
    let style = invocation.cid_style();
    let record = || Imported {
        root: Some(Root {
            cid: Link::new(cid),
            pin_error_msg: error.unwrap_or_default(),
        }),
        stats: None,
    };
    invocation.out.emit(record, |out| {
        out.extend_from_slice(b"Pinned root\t");
        style.push(out, cid);
        out.extend_from_slice(b"\tsuccess\n");
    })
}

fn emit_stats(invocation: &mut Invocation, blocks: u64, bytes: u64) -> Result<(), Failure> {
    let record = || Imported {
        root: None,
        stats: Some(Stats {
            block_count: blocks,
            block_bytes_count: bytes,
        }),
    };
    invocation.out.emit(record, |out| {
        let line = format!("Imported {blocks} blocks ({bytes} bytes)\n");
        out.extend_from_slice(line.as_bytes());
    })
}
