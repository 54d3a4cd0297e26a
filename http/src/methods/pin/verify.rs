//! `pin verify`: whether pinned DAGs are complete.

use std::fmt::Write as _;

use ipfs_kit_node::PinVerified;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cid_style::CidStyle;
use crate::command::{Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::{Invocation, to_io};
use crate::output::Record;

/// `ipfs-kit pin verify`
pub const COMMAND: Command = Command {
    name: "verify",
    tagline: "Verify that recursive pins are complete",
    about: "Prints the pins that are broken, and what is missing or damaged below them.",
    options: &[
        Opt::flag(&["verbose"], "Also write the hashes of non-broken pins"),
        Opt::flag(&["quiet", "q"], "Write just hashes of broken pins"),
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Verified>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PinVerified")]
#[serde(rename_all = "PascalCase")]
struct Verified {
    cid: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ok: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bad_nodes: Vec<BadNode>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct BadNode {
    cid: String,
    err: String,
}

impl Record for Verified {
    const NAME: &'static str = "PinVerifyRes";
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let verbose = invocation.flag("verbose");
    let quiet = invocation.quiet();
    if verbose && quiet {
        return Err(Failure::failed(
            "the --verbose and --quiet options can not be used at the same time",
        ));
    }
    let style = invocation.cid_style();
    let node = invocation.node()?;
    node.pins().verify(&mut |verified| {
        if verified.bad.is_empty() && !verbose {
            return Ok(());
        }
        let record = || record(&verified, style, !quiet);
        invocation
            .out
            .emit(record, |out| {
                out.extend_from_slice(text(&verified, style, quiet).as_bytes());
            })
            .map_err(to_io)
    })?;
    invocation.close(node)?;
    Ok(())
}

fn record(verified: &PinVerified, style: CidStyle, explain: bool) -> Verified {
    let bad_nodes = verified.bad.iter().filter(|_| explain);
    Verified {
        cid: style.text(&verified.cid),
        ok: verified.bad.is_empty(),
        bad_nodes: bad_nodes
            .map(|(cid, error)| BadNode {
                cid: style.text(cid),
                err: error.to_string(),
            })
            .collect(),
    }
}

fn text(verified: &PinVerified, style: CidStyle, quiet: bool) -> String {
    let cid = style.text(&verified.cid);
    if quiet {
        return format!("{cid}\n");
    }
    if verified.bad.is_empty() {
        return format!("{cid} ok\n");
    }
    let mut text = format!("{cid} broken\n");
    for (cid, error) in &verified.bad {
        let _ = writeln!(text, "  {}: {error}", style.text(cid));
    }
    text
}
