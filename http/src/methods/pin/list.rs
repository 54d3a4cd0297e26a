//! `pin ls`: pins, and what they hold.

use std::collections::BTreeMap;

use ipfs_kit_node::{Pin, PinFilter, PinKind, PinList};
use schemars::JsonSchema;
use serde::Serialize;

use crate::cid_style::CidStyle;
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::escape;
use crate::failure::Failure;
use crate::invocation::{Invocation, to_io};
use crate::output::Record;

/// `ipfs-kit pin ls`
pub const COMMAND: Command = Command {
    name: "ls",
    tagline: "List objects pinned to local storage",
    about: "By default, all pinned objects are returned, but the '--type' flag or arguments can\n\
            restrict that to a specific pin type or to some specific objects respectively.\n\
            \n\
            Use --type=<type> to specify the type of pinned keys to list. Valid values are:\n\
            \x20 * \"direct\": pin that specific object\n\
            \x20 * \"recursive\": pin that specific object, and indirectly pin all its descendants\n\
            \x20 * \"indirect\": pinned indirectly by an ancestor\n\
            \x20 * \"all\"\n\
            \n\
            With arguments, the command fails if any of the arguments is not a pinned object, or\n\
            not of the type asked for.",
    arguments: &[
        Argument::word("ipfs-path", "Path to object(s) to be listed")
            .many()
            .optional(),
    ],
    options: &[
        Opt::text(
            &["type", "t"],
            "Type of pins: direct, indirect, recursive, or all",
        )
        .default("all"),
        Opt::flag(&["quiet", "q"], "Output only the CIDs of pins"),
        Opt::text(
            &["name", "n"],
            "Only pins whose name contains this. Implies --names",
        ),
        Opt::flag(
            &["stream", "s"],
            "Enable streaming of pins as they are discovered",
        ),
        Opt::flag(&["names"], "Include pin names in the output"),
    ],
    reply: Reply::ManyIf("stream"),
    records: &[Shape::of::<List>(), Shape::of::<Streamed>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PinStreamed")]
#[serde(rename_all = "PascalCase")]
struct Streamed {
    cid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    r#type: String,
}

impl Record for Streamed {
    const NAME: &'static str = "PinLsObject";
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PinListed")]
#[serde(rename_all = "PascalCase")]
struct Listed {
    r#type: String,
    name: String,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "PinList")]
#[serde(rename_all = "PascalCase")]
struct List {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    keys: BTreeMap<String, Listed>,
}

impl Record for List {
    const NAME: &'static str = "PinLsList";
}

/// Bytes that the name of a pin may have.
const MAX_NAME: usize = 255;

/// Turns pins into output.
struct Printer {
    style: CidStyle,
    names: bool,
    quiet: bool,
    /// Collects for the one document of a listing that is not streamed.
    list: Option<List>,
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let kind = invocation.text("type").unwrap_or_default();
    let filter = filter(&kind)?;
    let name = invocation.text("name").filter(|name| !name.is_empty());
    if let Some(name) = name.as_ref().filter(|name| name.len() > MAX_NAME) {
        return Err(Failure::failed(format_args!(
            "pin name is {} bytes (max {MAX_NAME} bytes)",
            name.len()
        )));
    }
    let paths = invocation.arguments()?;
    // Text needs no collecting: the lines are the same streamed.
    let stream = invocation.flag("stream") || invocation.is_text();
    let mut printer = Printer {
        style: invocation.cid_style(),
        names: invocation.flag("names") || name.is_some(),
        quiet: invocation.quiet(),
        list: (!stream).then(List::default),
    };
    let node = invocation.node()?;
    if paths.is_empty() {
        let options = PinList { filter, name };
        node.pins().list(&options, &mut |pin| {
            printer.pin(invocation, &pin).map_err(to_io)
        })?;
    } else {
        for pin in node.pins().check(&paths, filter)? {
            printer.pin(invocation, &pin)?;
        }
    }
    invocation.close(node)?;
    match printer.list {
        Some(list) => invocation.out.emit(|| list, |_| {}),
        None => Ok(()),
    }
}

impl Printer {
    fn pin(&mut self, invocation: &mut Invocation, pin: &Pin) -> Result<(), Failure> {
        let style = self.style;
        let kind = || match &pin.kind {
            PinKind::Recursive => "recursive".to_owned(),
            PinKind::Direct => "direct".to_owned(),
            PinKind::Indirect { through: None } => "indirect".to_owned(),
            PinKind::Indirect { through: Some(cid) } => {
                format!("indirect through {}", style.text(cid))
            }
        };
        let name = pin
            .name
            .as_deref()
            .filter(|_| self.names)
            .unwrap_or_default();
        if let Some(list) = &mut self.list {
            let listed = Listed {
                r#type: kind(),
                name: name.to_owned(),
            };
            list.keys.insert(style.text(&pin.cid), listed);
            return Ok(());
        }
        let quiet = self.quiet;
        let record = || Streamed {
            cid: style.text(&pin.cid),
            name: name.to_owned(),
            r#type: kind(),
        };
        invocation.out.emit(record, |out| {
            style.push(out, &pin.cid);
            if !quiet {
                out.push(b' ');
                out.extend_from_slice(kind().as_bytes());
                if !name.is_empty() {
                    out.push(b' ');
                    escape::push_printable(out, name.as_bytes());
                }
            }
            out.push(b'\n');
        })
    }
}

fn filter(kind: &str) -> Result<PinFilter, Failure> {
    match kind {
        "all" | "" => Ok(PinFilter::All),
        "direct" => Ok(PinFilter::Direct),
        "indirect" => Ok(PinFilter::Indirect),
        "recursive" => Ok(PinFilter::Recursive),
        other => Err(Failure::failed(format_args!(
            "invalid type '{other}', must be one of {{direct, indirect, recursive, all}}"
        ))),
    }
}
