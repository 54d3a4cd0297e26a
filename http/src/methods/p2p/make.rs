//! `p2p listen` and `p2p forward`.

use std::io::Write as _;

use ipfs_kit_node::Tunnel;
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// Names that need no further thought are below here.
const PREFIX: &str = "/x/";

const PROTOCOL: Argument = Argument::word("protocol", "Protocol name, starting with /x/");

const CUSTOM: Opt = Opt::flag(&["allow-custom-protocol"], "Don't require /x/ prefix");

/// `ipfs-kit p2p forward`
pub const FORWARD: Command = Command {
    name: "forward",
    tagline: "Forward connections to libp2p service",
    about: "Forward connections made to <listen-address> to <target-address> via libp2p, where the peer\n\
            has a 'p2p listen' of the same protocol. With port 0 a free port is taken; 'p2p ls' shows\n\
            it. The command returns at once, unless --foreground is given: then it waits, and the\n\
            forwarder is removed when it ends.",
    arguments: &[
        PROTOCOL,
        Argument::word(
            "listen-address",
            "Listening endpoint, as /ip4/127.0.0.1/tcp/3000",
        ),
        Argument::word("target-address", "Target endpoint, as /p2p/ID"),
    ],
    options: &[
        CUSTOM,
        Opt::flag(
            &["foreground", "f"],
            "Run in foreground; forwarder is removed when command exits",
        ),
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Foreground>()],
    run: Some(Run::Node(forward)),
    ..Command::EMPTY
};

/// `ipfs-kit p2p listen`
pub const LISTEN: Command = Command {
    name: "listen",
    tagline: "Create libp2p service",
    about: "Create a libp2p protocol handler that forwards incoming connections to <target-address>.\n\
            Any peer may connect. The command returns at once, unless --foreground is given: then it\n\
            waits, and the listener is removed when it ends.",
    arguments: &[
        PROTOCOL,
        Argument::word(
            "target-address",
            "Target endpoint, as /ip4/127.0.0.1/tcp/3000",
        ),
    ],
    options: &[
        CUSTOM,
        Opt::flag(
            &["report-peer-id", "r"],
            "Send remote base58 peerid to target when a new connection is established",
        ),
        Opt::flag(
            &["foreground", "f"],
            "Run in foreground; listener is removed when command exits",
        ),
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Foreground>()],
    run: Some(Run::Node(listen)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Foreground {
    status: &'static str,
    protocol: String,
    address: String,
}

impl Record for Foreground {
    const NAME: &'static str = "P2PForegroundOutput";
}

fn check_name(invocation: &Invocation, protocol: &str) -> Result<(), Failure> {
    if protocol.starts_with(PREFIX) || invocation.flag("allow-custom-protocol") {
        return Ok(());
    }
    Err(Failure::failed(
        "protocol name must be within '/x/' namespace",
    ))
}

fn missing(name: &str) -> Failure {
    Failure::usage(format!("argument {name:?} is required"))
}

fn forward(invocation: &mut Invocation) -> Result<(), Failure> {
    let arguments = invocation.arguments()?;
    let [protocol, listen, target] = arguments.as_slice() else {
        return Err(missing("target-address"));
    };
    let node = invocation.node()?;
    let tunnels = node.tunnels()?;
    check_name(invocation, protocol)?;
    let tunnel = invocation.wait(tunnels.forward(protocol, listen, target))?;
    if invocation.flag("foreground") {
        let active = format!("Forwarding {protocol} to {listen}, waiting for interrupt...\n");
        let closing = format!("Received interrupt, removing forwarder for {protocol}\n");
        hold(invocation, tunnel, [listen, &active, &closing])?;
    }
    invocation.close(node)
}

fn listen(invocation: &mut Invocation) -> Result<(), Failure> {
    let arguments = invocation.arguments()?;
    let [protocol, target] = arguments.as_slice() else {
        return Err(missing("target-address"));
    };
    let report = invocation.flag("report-peer-id");
    let node = invocation.node()?;
    let tunnels = node.tunnels()?;
    check_name(invocation, protocol)?;
    let tunnel = tunnels.listen(protocol, target, report)?;
    if invocation.flag("foreground") {
        let active =
            format!("Listening on {protocol}, forwarding to {target}, waiting for interrupt...\n");
        let closing = format!("Received interrupt, removing listener for {protocol}\n");
        hold(invocation, tunnel, [target, &active, &closing])?;
    }
    invocation.close(node)
}

/// Closes the tunnel when the command ends, however that is.
struct Closing(Tunnel);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn hold(
    invocation: &mut Invocation,
    tunnel: Tunnel,
    [address, active, closing]: [&str; 3],
) -> Result<(), Failure> {
    let held = Closing(tunnel);
    let say = |invocation: &mut Invocation, status, text: &str| {
        let record = Foreground {
            status,
            protocol: held.0.info().protocol.clone(),
            address: address.to_owned(),
        };
        let out = &mut invocation.out;
        out.emit(|| record, |out| out.extend_from_slice(text.as_bytes()))?;
        Ok::<_, Failure>(out.flush()?)
    };
    say(invocation, "active", active)?;
    invocation.wait(async {
        held.0.closed().await;
        Ok(())
    })?;
    say(invocation, "closing", closing)
}
