//! `resolve`: where a path leads.

use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Argument, Command, Opt, Run, Shape};
use crate::escape;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit resolve`
pub const COMMAND: Command = Command {
    name: "resolve",
    tagline: "Resolve the value of names to IPFS",
    about: "Resolves the value of an IPFS path:\n\
            \n\
            \x20 $ ipfs-kit resolve /ipfs/QmeZy1fGbwgVSrqbfh9fKQrAWgeyRnj7h8fsHS1oy3k99x/beep/boop\n\
            \x20 /ipfs/QmYRMjyvAiHKN9UTi8Bzt1HUspmSRD8T8DwxfSMzLgBon1\n\
            \n\
            Names below /ipns/ are resolved until the result is no name, domains by DNSLink. Records\n\
            of other nodes need network, which this version does not have.",
    arguments: &[Argument::line("name", "The name to resolve")],
    options: &[
        Opt::flag(
            &["recursive", "r"],
            "Resolve until the result is an IPFS name",
        )
        .default("true"),
        Opt::int(
            &["dht-record-count", "dhtrc"],
            "Records to request for DHT resolution; no effect",
        ),
        Opt::text(
            &["dht-timeout", "dhtt"],
            "Time limit of DHT resolution; no effect",
        ),
    ],
    records: &[Shape::of::<Resolved>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Resolved")]
#[serde(rename_all = "PascalCase")]
struct Resolved {
    path: String,
}

impl Record for Resolved {
    const NAME: &'static str = "ResolvedPath";
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let name = invocation.argument()?;
    let node = invocation.node()?;
    let resolved = node.resolve_partial(&name)?;
    let style = invocation.cid_style().or_of_path(&name);
    let mut path = format!("/ipfs/{}", style.text(&resolved.cid));
    if !resolved.remainder.is_empty() {
        path.push('/');
        path.push_str(&resolved.remainder);
    }
    invocation.out.emit(
        || Resolved { path: path.clone() },
        |out| {
            escape::push_printable(out, path.as_bytes());
            out.push(b'\n');
        },
    )?;
    invocation.close(node)?;
    Ok(())
}
