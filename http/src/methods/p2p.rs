//! `p2p`: tunnels of TCP connections to peers.

mod make;
mod stream;

use ipfs_kit_node::{Multiaddr, TunnelFilter, TunnelInfo};
use schemars::JsonSchema;
use serde::Serialize;

use crate::columns::aligned;
use crate::command::{Command, Opt, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit p2p`
pub const COMMAND: Command = Command {
    name: "p2p",
    tagline: "Libp2p stream mounting",
    about: "Create and use tunnels to remote peers over libp2p. They last until they are closed or the\n\
            daemon stops. The config key Experimental.Libp2pStreamMounting has to be true.\n\
            \n\
            \x20 remote $ ipfs-kit p2p listen /x/ssh /ip4/127.0.0.1/tcp/22\n\
            \x20 local  $ ipfs-kit p2p forward /x/ssh /ip4/127.0.0.1/tcp/2222 /p2p/ID",
    subcommands: &[&make::FORWARD, &make::LISTEN, &CLOSE, &LS, &stream::COMMAND],
    ..Command::EMPTY
};

const LS: Command = Command {
    name: "ls",
    tagline: "List active p2p listeners",
    options: &[HEADERS],
    records: &[Shape::of::<Listeners>()],
    run: Some(Run::Node(list)),
    ..Command::EMPTY
};

const HEADERS: Opt = Opt::flag(&["headers", "v"], "Print table headers");

const CLOSE: Command = Command {
    name: "close",
    tagline: "Stop listening for new connections to forward",
    about: "Connections that are open stay open; see 'p2p stream close'.",
    options: &[
        Opt::flag(&["all", "a"], "Close all listeners"),
        Opt::text(&["protocol", "p"], "Match protocol name"),
        Opt::text(&["listen-address", "l"], "Match listen address"),
        Opt::text(&["target-address", "t"], "Match target address"),
    ],
    records: &[Shape::of::<Closed>()],
    run: Some(Run::Node(close)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Listener {
    protocol: String,
    listen_address: String,
    target_address: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Listeners {
    /// Kubo writes null for none.
    listeners: Option<Vec<Listener>>,
}

impl Record for Listeners {
    const NAME: &'static str = "P2PLsOutput";
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "P2pClosed")]
#[serde(transparent)]
struct Closed(usize);

impl Record for Closed {
    const NAME: &'static str = "int";
}

impl From<TunnelInfo> for Listener {
    fn from(info: TunnelInfo) -> Self {
        Self {
            protocol: info.protocol,
            listen_address: info.listen.to_string(),
            target_address: info.target.to_string(),
        }
    }
}

fn list(invocation: &mut Invocation) -> Result<(), Failure> {
    let headers = invocation.flag("headers");
    let node = invocation.node()?;
    let tunnels = node.tunnels()?.list().into_iter();
    let listeners: Vec<Listener> = tunnels.map(Listener::from).collect();
    let mut rows = Vec::new();
    if headers && !listeners.is_empty() {
        rows.push(
            ["Protocol", "Listen Address", "Target Address"]
                .map(str::to_owned)
                .to_vec(),
        );
    }
    rows.extend(listeners.iter().map(|listener| {
        vec![
            listener.protocol.clone(),
            listener.listen_address.clone(),
            listener.target_address.clone(),
        ]
    }));
    let text = aligned(&rows, 1, 1);
    let listeners = Some(listeners).filter(|listeners| !listeners.is_empty());
    invocation.out.emit(
        || Listeners { listeners },
        |out| out.extend_from_slice(text.as_bytes()),
    )?;
    invocation.close(node)
}

fn close(invocation: &mut Invocation) -> Result<(), Failure> {
    let all = invocation.flag("all");
    let filter = TunnelFilter {
        protocol: invocation.text("protocol"),
        listen: address(invocation.text("listen-address"))?,
        target: address(invocation.text("target-address"))?,
    };
    let matches = filter.protocol.is_some() || filter.listen.is_some() || filter.target.is_some();
    let node = invocation.node()?;
    let tunnels = node.tunnels()?;
    match (all, matches) {
        (false, false) => return Err(Failure::failed("no matching options given")),
        (true, true) => {
            return Err(Failure::failed(
                "can't combine --all with other matching options",
            ));
        }
        _ => {}
    }
    let closed = invocation.wait(async { Ok(tunnels.close(&filter).await) })?;
    let text = format!("Closed {closed} stream(s)\n");
    let out = &mut invocation.out;
    out.emit(
        || Closed(closed),
        |out| out.extend_from_slice(text.as_bytes()),
    )?;
    invocation.close(node)
}

fn address(text: Option<String>) -> Result<Option<Multiaddr>, Failure> {
    let parse = |text: String| {
        text.parse::<Multiaddr>()
            .map_err(|error| Failure::failed(format_args!("invalid address {text:?}: {error}")))
    };
    text.map(parse).transpose()
}
