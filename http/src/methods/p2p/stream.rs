//! `p2p stream`: connections through tunnels.

use ipfs_kit_node::TunnelStream;
use schemars::JsonSchema;
use serde::Serialize;

use super::HEADERS;
use crate::columns::aligned;
use crate::command::{Argument, Command, Opt, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit p2p stream`
pub const COMMAND: Command = Command {
    name: "stream",
    tagline: "P2P stream management",
    about: "List and close the connections that tunnels carry.",
    subcommands: &[&LS, &CLOSE],
    ..Command::EMPTY
};

const LS: Command = Command {
    name: "ls",
    tagline: "List active p2p streams",
    options: &[HEADERS],
    records: &[Shape::of::<Streams>()],
    run: Some(Run::Node(list)),
    ..Command::EMPTY
};

const CLOSE: Command = Command {
    name: "close",
    tagline: "Close active p2p stream",
    arguments: &[Argument::word("id", "Stream identifier").optional()],
    options: &[Opt::flag(&["all", "a"], "Close all streams")],
    run: Some(Run::Node(close)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
struct Stream {
    #[serde(rename = "HandlerID")]
    id: String,
    #[serde(rename = "Protocol")]
    protocol: String,
    #[serde(rename = "OriginAddress")]
    origin: String,
    #[serde(rename = "TargetAddress")]
    target: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Streams {
    /// Kubo writes null for none.
    streams: Option<Vec<Stream>>,
}

impl Record for Streams {
    const NAME: &'static str = "P2PStreamsOutput";
}

impl From<TunnelStream> for Stream {
    fn from(stream: TunnelStream) -> Self {
        Self {
            id: stream.id.to_string(),
            protocol: stream.protocol,
            origin: stream.origin.to_string(),
            target: stream.target.to_string(),
        }
    }
}

fn list(invocation: &mut Invocation) -> Result<(), Failure> {
    let headers = invocation.flag("headers");
    let node = invocation.node()?;
    let open = node.tunnels()?.streams().into_iter();
    let streams: Vec<Stream> = open.map(Stream::from).collect();
    let mut rows = Vec::new();
    if headers && !streams.is_empty() {
        rows.push(
            ["ID", "Protocol", "Origin", "Target"]
                .map(str::to_owned)
                .to_vec(),
        );
    }
    rows.extend(streams.iter().map(|stream| {
        vec![
            stream.id.clone(),
            stream.protocol.clone(),
            stream.origin.clone(),
            stream.target.clone(),
        ]
    }));
    let text = aligned(&rows, 1, 1);
    let streams = Some(streams).filter(|streams| !streams.is_empty());
    invocation.out.emit(
        || Streams { streams },
        |out| out.extend_from_slice(text.as_bytes()),
    )?;
    invocation.close(node)
}

fn close(invocation: &mut Invocation) -> Result<(), Failure> {
    let all = invocation.flag("all");
    let given = invocation.arguments()?;
    let node = invocation.node()?;
    let tunnels = node.tunnels()?;
    if all {
        tunnels.close_streams();
        return invocation.close(node);
    }
    let Some(text) = given.first() else {
        return Err(Failure::failed("no id specified"));
    };
    let id = text.parse().map_err(|_| {
        Failure::failed(format_args!(
            "invalid stream id {text:?}: a number is expected"
        ))
    })?;
    if !tunnels.close_stream(id) {
        return Err(Failure::failed(format_args!("there is no stream {id}")));
    }
    invocation.close(node)
}
