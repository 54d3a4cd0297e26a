//! `stats bw`: what goes over the network.

use std::io::Write as _;
use std::time::Duration;

use ipfs_kit_node::{Bandwidth, NetError, PeerId, Peers, parse_peer};
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Command, Opt, Reply, Run, Shape};
use crate::duration;
use crate::failure::Failure;
use crate::human;
use crate::invocation::{Invocation, online};
use crate::output::Record;

/// `ipfs-kit stats bw`
pub const COMMAND: Command = Command {
    name: "bw",
    tagline: "Print IPFS bandwidth information",
    about: "Prints bandwidth information for the daemon: TotalIn, TotalOut, RateIn, RateOut. Counted\n\
            is what the streams of all connections carry, since the daemon started.\n\
            \n\
            By default, overall bandwidth is shown. To limit bandwidth to a particular peer, use\n\
            the 'peer' option with that peer's ID; to a protocol, the 'proto' option with its full\n\
            name, as /ipfs/bitswap/1.2.0. They cannot be specified simultaneously. A peer or\n\
            protocol that nothing was exchanged with or by has zeros; peers are forgotten an hour\n\
            after their last byte. The config keys Swarm.Bandwidth.Up and Swarm.Bandwidth.Down limit\n\
            the rates, in bytes a second.",
    options: &[
        Opt::text(&["peer", "p"], "Specify a peer to print bandwidth for"),
        Opt::text(&["proto", "t"], "Specify a protocol to print bandwidth for"),
        Opt::flag(&["poll"], "Print bandwidth at an interval"),
        Opt::text(
            &["interval", "i"],
            "Time between updates, if 'poll' is true, as 300s, 1.5h or 2h45m",
        )
        .default("1s"),
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Stats>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

/// Between two updates at least.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BandwidthStats")]
#[serde(rename_all = "PascalCase")]
struct Stats {
    total_in: u64,
    total_out: u64,
    rate_in: f64,
    rate_out: f64,
}

impl Record for Stats {
    const NAME: &'static str = "Stats";
}

/// What is asked about.
enum Scope {
    All,
    Peer(PeerId),
    Protocol(String),
}

impl Scope {
    fn read(&self, peers: &Peers) -> Result<Bandwidth, NetError> {
        match self {
            Self::All => peers.bandwidth(),
            Self::Peer(peer) => peers.bandwidth_of_peer(peer),
            Self::Protocol(name) => peers.bandwidth_of_protocol(name),
        }
    }
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let poll = invocation.flag("poll");
    let (peer, protocol) = (invocation.text("peer"), invocation.text("proto"));
    let node = invocation.node()?;
    let peers = online(node.peers())?;
    let scope = match (peer, protocol) {
        (Some(_), Some(_)) => {
            return Err(Failure::failed("please only specify peer OR protocol"));
        }
        (Some(peer), None) => Scope::Peer(parse_peer(&peer)?),
        (None, Some(name)) if !name.starts_with('/') => {
            return Err(Failure::failed(format_args!(
                "invalid protocol {name:?}: use its full name, as /ipfs/bitswap/1.2.0"
            )));
        }
        (None, Some(name)) => Scope::Protocol(name),
        (None, None) => Scope::All,
    };
    let interval = interval(&invocation.text("interval").unwrap_or_default())?;
    let mut first = true;
    loop {
        let told = scope.read(&peers)?;
        emit(invocation, &told, poll, first)?;
        if !poll {
            return invocation.close(node);
        }
        first = false;
        invocation.out.flush()?;
        // A daemon that stops ends this too.
        invocation.wait(async {
            tokio::time::sleep(interval).await;
            peers.listen_addrs().await
        })?;
    }
}

fn interval(text: &str) -> Result<Duration, Failure> {
    let interval = duration::parse(text).map_err(Failure::failed)?;
    if interval < INTERVAL_MIN {
        return Err(Failure::failed(format_args!(
            "the interval {text:?} is too short: at least 10ms"
        )));
    }
    Ok(interval)
}

fn emit(
    invocation: &mut Invocation,
    told: &Bandwidth,
    poll: bool,
    first: bool,
) -> Result<(), Failure> {
    let text = if poll {
        let header = "Total Up    Total Down  Rate Up     Rate Down\n";
        format!("{}{}", if first { header } else { "" }, line(told))
    } else {
        text(told)
    };
    let stats = Stats {
        total_in: told.total_in,
        total_out: told.total_out,
        rate_in: told.rate_in,
        rate_out: told.rate_out,
    };
    let out = &mut invocation.out;
    out.emit(|| stats, |out| out.extend_from_slice(text.as_bytes()))
}

fn text(told: &Bandwidth) -> String {
    format!(
        "Bandwidth\nTotalIn: {}\nTotalOut: {}\nRateIn: {}/s\nRateOut: {}/s\n",
        human::bytes(told.total_in),
        human::bytes(told.total_out),
        human::bytes(told.rate_in as u64),
        human::bytes(told.rate_out as u64),
    )
}

/// One state of the line that polling writes over and over.
fn line(told: &Bandwidth) -> String {
    format!(
        "{:>8}    {:>8}    {:>8}/s  {:>8}/s      \r",
        human::bytes(told.total_out),
        human::bytes(told.total_in),
        human::bytes(told.rate_out as u64),
        human::bytes(told.rate_in as u64),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kubos() {
        let told = Bandwidth {
            total_in: 5_000_000,
            total_out: 0,
            rate_in: 343.9,
            rate_out: 12_000.0,
        };
        assert_eq!(
            text(&told),
            "Bandwidth\nTotalIn: 5.0 MB\nTotalOut: 0 B\nRateIn: 343 B/s\nRateOut: 12 kB/s\n"
        );
        assert_eq!(
            line(&told),
            "     0 B      5.0 MB       12 kB/s     343 B/s      \r"
        );
    }

    #[test]
    fn intervals() {
        assert_eq!(interval("1.5h").unwrap(), Duration::from_secs(5400));
        for bad in ["", "0s", "-1s", "1ms", "soon"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
