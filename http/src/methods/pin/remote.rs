//! `pin remote`: pins at services elsewhere.

use ipfs_kit_node::{Cid, Node, RemotePin, RemotePinFilter, RemoteStatus};
use schemars::JsonSchema;
use serde::Serialize;

use crate::cid_style::CidStyle;
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::escape;
use crate::failure::Failure;
use crate::invocation::{Invocation, to_io};
use crate::output::{Record, push_columns};

mod service;

/// `ipfs-kit pin remote`
pub const COMMAND: Command = Command {
    name: "remote",
    tagline: "Pin (and unpin) objects to remote pinning service",
    subcommands: &[&ADD, &LS, &RM, &service::COMMAND],
    ..Command::EMPTY
};

const ADD: Command = Command {
    name: "add",
    tagline: "Pin object to remote pinning service",
    about: "Asks remote pinning service to pin an IPFS object from a given path or a CID.\n\
            \n\
            \x20 $ ipfs-kit pin remote add --service=mysrv --name=mypin bafkqaaa\n\
            \n\
            Blocks until the service returns the status 'pinned', which may take time depending on\n\
            the size and available providers of the pinned data. With --background it returns as\n\
            soon as the service confirms that the pin is queued; 'ipfs-kit pin remote ls' tells how\n\
            it goes on.",
    arguments: &[Argument::word("ipfs-path", "CID or Path to be pinned")],
    options: &[
        SERVICE,
        Opt::text(&["name"], "An optional name for the pin"),
        Opt::flag(
            &["background"],
            "Add to the queue on the remote service and return immediately (does not wait for \
             pinned status)",
        ),
    ],
    records: &[Shape::of::<Pin>()],
    run: Some(Run::Node(add)),
    ..Command::EMPTY
};

const LS: Command = Command {
    name: "ls",
    tagline: "List objects pinned to remote pinning service",
    about: "By default, only objects in the state 'pinned' are shown. Pass\n\
            --status=queued,pinning,pinned,failed to list pins in all states.",
    options: &[SERVICE, NAME, CID, STATUS],
    reply: Reply::Many,
    records: &[Shape::of::<Pin>()],
    run: Some(Run::Node(list)),
    ..Command::EMPTY
};

const RM: Command = Command {
    name: "rm",
    tagline: "Remove pins from remote pinning service",
    about: "Takes the same query as 'ls', and it is good practice to execute 'ls' before 'rm' to\n\
            confirm the list of pins to be removed. When more than one pin matches, an error is\n\
            returned unless --force is given.",
    options: &[
        SERVICE,
        NAME,
        CID,
        STATUS,
        Opt::flag(
            &["force"],
            "Allow removal of multiple pins matching the query without additional confirmation",
        ),
    ],
    run: Some(Run::Node(remove)),
    ..Command::EMPTY
};

const SERVICE: Opt = Opt::text(
    &["service"],
    "Name of the remote pinning service to use (mandatory)",
);
const NAME: Opt = Opt::text(&["name"], "Only pins of exactly this name (case-sensitive)");
const CID: Opt = Opt::list(&["cid"], "Only pins of these CIDs, separated by ','");
const STATUS: Opt = Opt::list(
    &["status"],
    "Only pins with these statuses, separated by ',': queued, pinning, pinned, failed",
)
.default("pinned");

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Pin {
    status: &'static str,
    cid: String,
    name: String,
}

impl Record for Pin {
    const NAME: &'static str = "RemotePinOutput";
}

impl Pin {
    fn new(pin: RemotePin, style: CidStyle) -> Pin {
        Pin {
            status: pin.status.name(),
            cid: style.text(&pin.cid),
            name: pin.name,
        }
    }
}

fn service(invocation: &Invocation) -> Result<String, Failure> {
    invocation
        .text("service")
        .ok_or_else(|| Failure::failed("a service name must be passed"))
}

fn add(invocation: &mut Invocation) -> Result<(), Failure> {
    let service = service(invocation)?;
    let path = invocation.argument()?;
    let name = invocation.text("name");
    let node = invocation.node()?;
    if node.peers().is_err() && invocation.is_text() && node.remote_pins().is_here(&path)? {
        invocation.note(
            "WARNING: the local node is offline and remote pinning may fail if there is no other \
             provider for this CID",
        );
    }
    let pin = node.remote_pins().add(
        &service,
        &path,
        name.as_deref(),
        invocation.flag("background"),
    )?;
    let pin = Pin::new(pin, invocation.cid_style());
    let rows = [
        vec!["CID:".to_owned(), pin.cid.clone()],
        vec!["Name:".to_owned(), pin.name.clone()],
        vec!["Status:".to_owned(), pin.status.to_owned()],
    ];
    invocation
        .out
        .emit(|| pin, |out| push_columns(out, &rows, 0))?;
    invocation.close(node)
}

fn list(invocation: &mut Invocation) -> Result<(), Failure> {
    let service = service(invocation)?;
    let filter = filter(invocation)?;
    let node = invocation.node()?;
    let style = invocation.cid_style();
    stream(invocation, &node, &service, &filter, style)?;
    invocation.close(node)
}

fn stream(
    invocation: &mut Invocation,
    node: &Node,
    service: &str,
    filter: &RemotePinFilter,
    style: CidStyle,
) -> Result<(), Failure> {
    let out = &mut invocation.out;
    Ok(node.remote_pins().list(service, filter, &mut |pin| {
        let pin = Pin::new(pin, style);
        let mut line = format!("{}\t{}\t", pin.cid, pin.status).into_bytes();
        escape::push_printable(&mut line, pin.name.as_bytes());
        line.push(b'\n');
        out.emit(|| pin, |out| out.extend_from_slice(&line))
            .map_err(to_io)
    })?)
}

fn remove(invocation: &mut Invocation) -> Result<(), Failure> {
    let service = service(invocation)?;
    let filter = filter(invocation)?;
    let node = invocation.node()?;
    let force = invocation.flag("force");
    node.remote_pins().remove(&service, &filter, force)?;
    invocation.close(node)
}

/// Which pins are asked for.
fn filter(invocation: &Invocation) -> Result<RemotePinFilter, Failure> {
    const MAX_NAME: usize = 255;
    let name = invocation.text("name");
    if let Some(name) = name.as_ref().filter(|name| name.len() > MAX_NAME) {
        return Err(Failure::failed(format_args!(
            "pin name is {} bytes (max {MAX_NAME} bytes)",
            name.len()
        )));
    }
    let cid = |text: &String| {
        text.parse::<Cid>().map_err(|error| {
            Failure::failed(format_args!("CID {text:?} cannot be parsed: {error}"))
        })
    };
    let status = |text: &String| {
        RemoteStatus::from_name(text)
            .ok_or_else(|| Failure::failed(format_args!("status {text:?} is not valid")))
    };
    let cids = split(invocation.list("cid"));
    let statuses = split(invocation.list("status"));
    Ok(RemotePinFilter {
        name,
        cids: cids.iter().map(cid).collect::<Result<_, _>>()?,
        statuses: statuses.iter().map(status).collect::<Result<_, _>>()?,
    })
}

/// Values that may stand together, with ',' between them.
fn split(values: Vec<String>) -> Vec<String> {
    let parts = values.iter().flat_map(|value| value.split(','));
    parts.map(str::to_owned).collect()
}
