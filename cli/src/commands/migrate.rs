//! `migrate`: what a repo of Kubo's holds, taken into this one.

use ipfs_kit_http::command::{Command, Opt, Run, Shape};
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::host::Counting;
use ipfs_kit_http::invocation::Invocation;
use ipfs_kit_http::output::Record;
use ipfs_kit_node::migrate::{self, KuboRepo, Left, MigrateEvent, MigrateReport, Part};
use ipfs_kit_node::repo::{self, InitOptions, Kind};
use schemars::JsonSchema;
use serde::Serialize;

use crate::host::Local;

/// `ipfs-kit migrate`
pub const COMMAND: Command = Command {
    name: "migrate",
    tagline: "Take over what a repo of Kubo's holds",
    about: "Takes blocks, pins with their names, keys, published IPNS names, the tree of MFS and the\n\
            configuration keys that have a counterpart, from a repo with a flatfs datastore, versions\n\
            fs-repo@12 to fs-repo@18. Kubo must not be running on it; it is only read, and not changed\n\
            in any way. Makes a repo here if there is none.\n\
            \n\
            Every block is checked against its hash. What cannot be taken, a damaged block or a pin\n\
            that is not whole, is reported with the reason, and the exit status is 1. A run that was\n\
            interrupted can be repeated: it goes on where it was.\n\
            \n\
            With --peer-id the node becomes the peer that Kubo was. Do not run both then: two nodes\n\
            with one identity disturb each other, and the second publishes over the names of the\n\
            first.\n\
            \n\
            Only runs while no daemon does.",
    options: &[
        Opt::path(&["from"], "The directory of Kubo's repo, such as ~/.ipfs"),
        Opt::flag(
            &["peer-id"],
            "Take the identity as well: private key and peer ID",
        ),
        Opt::flag(
            &["progress", "p"],
            "Show progress; by default when stderr is a terminal",
        ),
    ],
    records: &[Shape::of::<Report>()],
    run: Some(Run::Local),
    ..Command::EMPTY
};

/// Takes over a repo.
///
/// # Errors
/// When the repo cannot be read or ours not be opened, and when something was not taken.
pub fn run(local: &Local, invocation: &mut Invocation) -> Result<(), Failure> {
    let from = invocation.path("from").ok_or_else(|| {
        Failure::usage("--from is required: the directory of Kubo's repo, such as ~/.ipfs")
    })?;
    let kubo = KuboRepo::open(&from).map_err(Failure::failed)?;
    let place = local.repo_path()?;
    let is_new = repo::kind(&place).map_err(Failure::failed)? == Kind::Absent;
    if is_new {
        repo::init(&place, &InitOptions::default())?;
    }
    local.stop.watch_signals()?;
    let mut report = take(local, invocation, &kubo, is_new)?;
    report.notes.sort();
    tell(invocation, &report)?;
    match report.is_complete() {
        true => Ok(()),
        false => Err(Failure::failed(
            "not everything was taken: see the report. The repo that it was read from is unchanged",
        )),
    }
}

fn take(
    local: &Local,
    invocation: &Invocation,
    kubo: &KuboRepo,
    is_new: bool,
) -> Result<MigrateReport, Failure> {
    // The limits and names of the configuration decide how the rest is taken, so the repo is opened anew with them.
    let mut before = MigrateReport::default();
    let node = local.open()?;
    migrate::take_config(
        &node,
        kubo,
        invocation.flag("peer-id"),
        !is_new,
        &mut before,
    )?;
    node.close()?;
    let node = local.open()?;
    let bar = invocation.bar(Counting::Bytes(None));
    let mut report = migrate::run(&node, kubo, &mut |event| {
        if let (Some(bar), MigrateEvent::Blocks { bytes, .. }) = (&bar, event) {
            bar.set(bytes);
        }
        Ok(())
    })?;
    node.close()?;
    invocation.clear_bar();
    report.config = before.config;
    report.identity = before.identity;
    Ok(report)
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Report {
    complete: bool,
    blocks: Section,
    pins: Section,
    keys: Section,
    names: Section,
    #[serde(rename = "MFS")]
    mfs: Section,
    config: Section,
    identity: Section,
    notes: Vec<String>,
}

impl Record for Report {
    const NAME: &'static str = "MigrateOutput";
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Section {
    taken: u64,
    present: u64,
    not_taken: u64,
    #[serde(skip_serializing_if = "is_zero")]
    bytes: u64,
    reasons: Vec<Reason>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Reason {
    what: String,
    reason: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Section {
    fn new(part: &Part) -> Section {
        let reason = |left: &Left| Reason {
            what: left.what.clone(),
            reason: left.reason.clone(),
        };
        Section {
            taken: part.taken,
            present: part.present,
            not_taken: part.left,
            bytes: part.bytes,
            reasons: part.named.iter().map(reason).collect(),
        }
    }
}

fn tell(invocation: &mut Invocation, report: &MigrateReport) -> Result<(), Failure> {
    let record = || Report {
        complete: report.is_complete(),
        blocks: Section::new(&report.blocks),
        pins: Section::new(&report.pins),
        keys: Section::new(&report.keys),
        names: Section::new(&report.names),
        mfs: Section::new(&report.mfs),
        config: Section::new(&report.config),
        identity: Section::new(&report.identity),
        notes: report.notes.clone(),
    };
    invocation
        .out
        .emit(record, |out| out.extend_from_slice(text(report).as_bytes()))
}

fn text(report: &MigrateReport) -> String {
    let parts = [
        ("blocks", &report.blocks),
        ("pins", &report.pins),
        ("keys", &report.keys),
        ("names", &report.names),
        ("MFS", &report.mfs),
        ("config keys", &report.config),
        ("identity", &report.identity),
    ];
    let mut text = String::new();
    for (name, part) in &parts {
        text.push_str(&format!(
            "{name}: {} taken, {} present, {} not taken\n",
            part.taken, part.present, part.left
        ));
    }
    for (name, part) in parts {
        for left in &part.named {
            text.push_str(&format!(
                "not taken: {name}: {}: {}\n",
                left.what, left.reason
            ));
        }
        let unnamed = part.left - part.named.len() as u64;
        if unnamed > 0 {
            text.push_str(&format!("not taken: {name}: {unnamed} more\n"));
        }
    }
    for note in &report.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}
