//! `repo`: the repo as a whole.

use std::io::Write as _;

use ipfs_kit_node::{GcEvent, VerifyEvent, VerifyOptions};
use schemars::JsonSchema;
use serde::Serialize;

use super::dag::Link;
use super::refs;
use crate::command::{Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::human;
use crate::invocation::{Invocation, to_io};
use crate::output::{Record, push_columns};

/// `ipfs-kit repo`
pub const COMMAND: Command = Command {
    name: "repo",
    tagline: "Manipulate the IPFS repo",
    about: "Statistics, garbage collection and checks.",
    subcommands: &[&GC, &STAT, &VERIFY, &refs::REPO_LS, &VERSION, &MIGRATE],
    ..Command::EMPTY
};

const GC: Command = Command {
    name: "gc",
    tagline: "Perform a garbage collection sweep on the repo",
    about: "Sweeps the local set of stored objects and removes ones that are not pinned in order\n\
            to reclaim hard disk space. Reads and writes go on meanwhile.",
    options: &[
        Opt::flag(&["stream-errors"], "Stream errors"),
        Opt::flag(&["quiet", "q"], "Write minimal output"),
        Opt::flag(&["silent"], "Write no output"),
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Collected>()],
    run: Some(Run::Node(gc)),
    ..Command::EMPTY
};

/// `ipfs-kit repo stat`
pub const STAT: Command = Command {
    name: "stat",
    tagline: "Get stats for the currently used repo",
    about: "RepoSize    Size in bytes that the repo is currently taking\n\
            StorageMax  Maximum datastore size (from configuration)\n\
            NumObjects  Number of objects in the local repo\n\
            RepoPath    The path to the repo being currently used\n\
            Version     The repo version",
    options: &[
        Opt::flag(&["size-only", "s"], "Only report RepoSize and StorageMax"),
        Opt::flag(
            &["human", "H"],
            "Print sizes in human readable format (e.g., 1K 234M 2G)",
        ),
    ],
    records: &[Shape::of::<Stat>()],
    run: Some(Run::Node(stat)),
    ..Command::EMPTY
};

const VERIFY: Command = Command {
    name: "verify",
    tagline: "Verify all blocks in repo are not corrupted",
    about: "Each block is read and validated against its CID. Without flags this changes nothing;\n\
            --drop removes corrupt blocks. The exit status is 1 when corrupt blocks stay.\n\
            --heal needs network, which this version does not have.",
    options: &[
        Opt::flag(
            &["drop"],
            "Remove corrupt blocks from datastore (destructive operation)",
        ),
        Opt::flag(
            &["heal"],
            "Remove corrupt blocks and fetch them again; not supported yet",
        ),
        Opt::text(
            &["heal-timeout"],
            "Maximum time to wait for each block heal; no effect",
        )
        .default("30s"),
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Verified>()],
    run: Some(Run::Node(verify)),
    ..Command::EMPTY
};

const VERSION: Command = Command {
    name: "version",
    tagline: "Show the repo version",
    about: "Returns the current repo version.",
    options: &[Opt::flag(&["quiet", "q"], "Write minimal output")],
    records: &[Shape::of::<Version>()],
    run: Some(Run::Node(version)),
    ..Command::EMPTY
};

const MIGRATE: Command = Command {
    name: "migrate",
    tagline: "Apply repository migrations to a specific version",
    about: "There is one version of the repo so far, so there is nothing to migrate.\n\
            'ipfs-kit migrate' takes over what a repo of Kubo's holds.",
    options: &[
        Opt::int(&["to"], "Target repository version; by default the latest"),
        Opt::flag(
            &["allow-downgrade"],
            "Allow downgrading to a lower repo version",
        ),
    ],
    run: Some(Run::Node(migrate)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RepoCollected")]
#[serde(rename_all = "PascalCase")]
struct Collected {
    key: Option<Link>,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
}

impl Record for Collected {
    const NAME: &'static str = "GcResult";
}

fn gc(invocation: &mut Invocation) -> Result<(), Failure> {
    let stream_errors = invocation.flag("stream-errors");
    let silent = invocation.flag("silent");
    let prefix: &[u8] = if invocation.quiet() { b"" } else { b"removed " };
    let node = invocation.node()?;
    let mut errors: Vec<String> = Vec::new();
    node.repo().gc(&mut |event| {
        let (cid, error) = match event {
            GcEvent::Removed(cid) => (Some(cid), String::new()),
            GcEvent::Damaged(error) => (None, error.to_string()),
        };
        if !error.is_empty() {
            errors.push(error.clone());
        }
        if silent || (cid.is_none() && !stream_errors) {
            return Ok(());
        }
        let record = || Collected {
            key: cid.as_ref().map(Link::new),
            error: error.clone(),
        };
        let text = |out: &mut Vec<u8>| match &cid {
            Some(cid) => {
                let _ = out.write_all(prefix);
                let _ = writeln!(out, "{cid}");
            }
            None => {
                let _ = writeln!(out, "Error: {error}");
            }
        };
        invocation.out.emit(record, text).map_err(to_io)
    })?;
    invocation.close(node)?;
    match errors.as_slice() {
        [] => Ok(()),
        _ if stream_errors => Err(Failure::failed("encountered errors during gc run")),
        errors => Err(Failure::failed(errors.join("\n"))),
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RepoStat")]
#[serde(rename_all = "PascalCase")]
struct Stat {
    repo_size: u64,
    storage_max: u64,
    num_objects: u64,
    repo_path: String,
    version: String,
}

impl Record for Stat {
    const NAME: &'static str = "Stat";
}

fn stat(invocation: &mut Invocation) -> Result<(), Failure> {
    let size_only = invocation.flag("size-only");
    let in_units = invocation.flag("human");
    let node = invocation.node()?;
    let stat = node.repo().stat()?;
    invocation.close(node)?;
    let mut record = Stat {
        repo_size: stat.size,
        storage_max: stat.storage_max,
        num_objects: stat.objects,
        repo_path: stat.path.display().to_string(),
        version: stat.version,
    };
    if size_only {
        record = Stat {
            num_objects: 0,
            repo_path: String::new(),
            version: String::new(),
            ..record
        };
    }
    let size = |size: u64| {
        if in_units {
            human::bytes(size)
        } else {
            size.to_string()
        }
    };
    let mut rows = vec![
        ["RepoSize:".to_owned(), size(record.repo_size)],
        ["StorageMax:".to_owned(), size(record.storage_max)],
    ];
    if !size_only {
        rows.insert(
            0,
            ["NumObjects:".to_owned(), record.num_objects.to_string()],
        );
        rows.push(["RepoPath:".to_owned(), record.repo_path.clone()]);
        rows.push(["Version:".to_owned(), record.version.clone()]);
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
    invocation
        .out
        .emit(|| record, |out| push_columns(out, &rows, 0))
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RepoVerified")]
#[serde(rename_all = "PascalCase")]
struct Verified {
    msg: String,
    progress: u64,
}

impl Record for Verified {
    const NAME: &'static str = "VerifyProgress";
}

fn verify(invocation: &mut Invocation) -> Result<(), Failure> {
    if invocation.flag("heal") {
        return Err(Failure::failed(
            "--heal needs network, which this version does not have: --drop removes corrupt \
             blocks, so that they can be added or imported again",
        ));
    }
    let options = VerifyOptions {
        drop: invocation.flag("drop"),
    };
    let node = invocation.node()?;
    let report = node.repo().verify(&options, &mut |event| {
        let record = match event {
            VerifyEvent::Progress { done, .. } => Verified {
                msg: String::new(),
                progress: done,
            },
            VerifyEvent::Corrupt {
                cid,
                reason,
                dropped,
            } => {
                let dropped = if dropped { ", removed" } else { "" };
                let msg = format!("block {cid} was corrupt ({reason}){dropped}");
                Verified { msg, progress: 0 }
            }
        };
        emit_verified(invocation, record).map_err(to_io)
    })?;
    invocation.close(node)?;
    if report.corrupt == 0 {
        let msg = "verify complete, all blocks validated.".to_owned();
        return emit_verified(invocation, Verified { msg, progress: 0 });
    }
    let mut summary = format!("verify complete, {} blocks corrupt", report.corrupt);
    if report.dropped > 0 {
        summary.push_str(&format!(", {} removed", report.dropped));
    }
    if options.drop && report.dropped == report.corrupt {
        return emit_verified(
            invocation,
            Verified {
                msg: summary,
                progress: 0,
            },
        );
    }
    Err(Failure::failed(summary))
}

/// Progress is for people and for programs that asked for records; a file gets the findings only.
fn emit_verified(invocation: &mut Invocation, record: Verified) -> Result<(), Failure> {
    let show_progress = invocation.out.is_terminal() && !invocation.quiet();
    let text = if !record.msg.is_empty() {
        format!("{}\n", record.msg)
    } else if show_progress {
        format!("{} blocks processed.\r", record.progress)
    } else {
        String::new()
    };
    invocation
        .out
        .emit(|| record, |out| out.extend_from_slice(text.as_bytes()))
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RepoVersion")]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
}

impl Record for Version {
    const NAME: &'static str = "RepoVersion";
}

fn migrate(invocation: &mut Invocation) -> Result<(), Failure> {
    let current = ipfs_kit_node::repo::REPO_VERSION as i64;
    // A repo that is not there, or another program's, is told before.
    let node = invocation.node()?;
    invocation.close(node)?;
    match invocation.int("to").unwrap_or(current) {
        target if target == current => invocation
            .out
            .line(&format!("Repository is already at version {current}.")),
        target if target < current && !invocation.flag("allow-downgrade") => {
            Err(Failure::failed(format_args!(
                "downgrade from version {current} to {target} requires --allow-downgrade flag"
            )))
        }
        target => Err(Failure::failed(format_args!(
            "there is no migration from version {current} to {target}: {current} is the only version"
        ))),
    }
}

fn version(invocation: &mut Invocation) -> Result<(), Failure> {
    let version = ipfs_kit_node::repo::REPO_VERSION.to_string();
    let prefix = if invocation.quiet() {
        ""
    } else {
        "ipfs repo version "
    };
    let line = format!("{prefix}fs-repo@{version}\n");
    invocation.out.emit(
        || Version { version },
        |out| out.extend_from_slice(line.as_bytes()),
    )
}
