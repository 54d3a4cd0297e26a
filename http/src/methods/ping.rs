//! `ping`: round trip times to a peer.

use std::time::Duration;

use ipfs_kit_node::{PeerId, Peers};
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit ping`
pub const COMMAND: Command = Command {
    name: "ping",
    tagline: "Send echo request packets to IPFS hosts",
    about: "Connects to the peer, sends pings, waits for pongs, and prints out round-trip latency.",
    arguments: &[Argument::line(
        "peer ID",
        "ID of peer to be pinged, or its address",
    )],
    options: &[Opt::int(&["count", "n"], "Number of ping messages to send").default("10")],
    reply: Reply::Many,
    records: &[Shape::of::<Pong>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

/// Between two pings.
const PACE: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Pong {
    success: bool,
    /// Nanoseconds.
    time: u64,
    text: String,
}

impl Record for Pong {
    const NAME: &'static str = "PingResult";
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let count = invocation.int("count").unwrap_or_default();
    let target = invocation.argument()?;
    let node = invocation.node()?;
    let peers = node.peers()?;
    if count <= 0 {
        return Err(Failure::failed(format_args!(
            "ping count must be greater than 0, was {count}"
        )));
    }
    let id = target.rsplit("/p2p/").next().unwrap_or(&target);
    let peer = ipfs_kit_node::parse_peer(id)?;
    if peer == invocation.wait(peers.id())?.id {
        return Err(Failure::failed("error: can't ping self"));
    }
    say(invocation, true, format!("PING {peer}."))?;
    let connected = invocation.wait(async { Ok(peers.connect(&target).await) })?;
    if let Err(error) = connected {
        say(invocation, false, format!("Ping error: {error}"))?;
        return Err(Failure::failed("ping failed"));
    }
    send(invocation, &peers, peer, count)?;
    invocation.close(node)
}

fn send(
    invocation: &mut Invocation,
    peers: &Peers,
    peer: PeerId,
    count: i64,
) -> Result<(), Failure> {
    let mut total = Duration::ZERO;
    let mut answered = 0_u32;
    for number in 0..count {
        if number > 0 {
            invocation.wait(async {
                tokio::time::sleep(PACE).await;
                Ok(())
            })?;
        }
        let pong = invocation.wait(async { Ok(peers.ping(peer, 1).await) })?;
        match pong.map(|times| times.into_iter().sum::<Duration>()) {
            Ok(time) => {
                answered += 1;
                total += time;
                let text = format!("Pong received: time={:.2} ms\n", millis(time));
                let pong = Pong {
                    success: true,
                    time: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
                    text: String::new(),
                };
                let out = &mut invocation.out;
                out.emit(|| pong, |out| out.extend_from_slice(text.as_bytes()))?;
                flush(invocation)?;
            }
            Err(error) => say(invocation, false, format!("Ping error: {error}"))?,
        }
    }
    if answered == 0 {
        return Err(Failure::failed("ping failed"));
    }
    let average = millis(total / answered);
    say(invocation, true, format!("Average latency: {average:.2}ms"))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn say(invocation: &mut Invocation, success: bool, text: String) -> Result<(), Failure> {
    let line = format!("{text}\n");
    let pong = Pong {
        success,
        time: 0,
        text,
    };
    invocation
        .out
        .emit(|| pong, |out| out.extend_from_slice(line.as_bytes()))?;
    flush(invocation)
}

fn flush(invocation: &mut Invocation) -> Result<(), Failure> {
    use std::io::Write as _;
    Ok(invocation.out.flush()?)
}
