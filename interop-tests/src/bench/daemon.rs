//! What a daemon costs: its start, its memory and processor time with nothing to do, alone and with peers, its memory while
//! it fetches, and how fast it ends while it works.

use super::fetch::cell::{Cell, Content, Transport};
use super::fetch::nodes::{self, Provider};
use super::measure::{median, usage};
use super::stage::Stage;
use crate::daemon::Daemon;
use crate::{Peer, Side};
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How often the start is measured.
const STARTS: usize = 15;

/// How often a working daemon is ended.
const ENDS: usize = 5;

/// After a start or a connection, until nothing more is under way.
const SETTLE: Duration = Duration::from_secs(10);

/// How long the processor time of a daemon with nothing to do is counted.
const SPAN: Duration = Duration::from_secs(30);

/// Peers of a daemon that is not alone.
const PEERS: usize = 50;

/// Bytes of each of the files that are added while a daemon is ended.
const UPLOAD: usize = 4 << 20;

/// The goals of the design.
const START: f64 = 30.0;
const ALONE: (f64, f64) = (28.0, 0.2);
const WITH_PEERS: f64 = 48.0;
const FETCHING: f64 = 128.0;
const END: f64 = 2.0;

/// Memory in MiB, and processor time in percent of a core.
struct Idle {
    memory: f64,
    busy: f64,
}

/// Measures both sides; a Markdown table.
pub fn run(stage: &mut Stage) -> Result<String> {
    let mut text = "| daemon | ours | Kubo | goal |\n|---|---|---|---|".to_owned();
    let mut row = |what: &str, ours: f64, kubo: f64, unit: &str, goal: f64| {
        let met = if ours <= goal { "met" } else { "**missed**" };
        let line =
            format!("| {what} | {ours:.2} {unit} | {kubo:.2} {unit} | {goal} {unit}: {met} |");
        eprintln!("{line}");
        let _ = write!(text, "\n{line}");
    };
    let mut both = |measure: &dyn Fn(&mut Stage, Side) -> Result<f64>| -> Result<(f64, f64)> {
        Ok((measure(stage, Side::Ours)?, measure(stage, Side::Kubo)?))
    };
    let (ours, kubo) = both(&starts)?;
    row("start to the first answer", ours, kubo, "ms", START);
    let (ours, kubo) = both(&|stage, side| end(stage, side))?;
    row("end while it works, slowest", ours, kubo, "s", END);
    let (ours, kubo) = both(&fetching)?;
    row("peak memory while it fetches", ours, kubo, "MiB", FETCHING);
    for (peers, memory, busy) in [(0, ALONE.0, ALONE.1), (PEERS, WITH_PEERS, f64::INFINITY)] {
        let [ours, kubo] = [
            idle(stage, Side::Ours, peers)?,
            idle(stage, Side::Kubo, peers)?,
        ];
        let what = match peers {
            0 => "idle, alone".to_owned(),
            _ => format!("idle, {peers} peers"),
        };
        row(
            &format!("{what}: memory"),
            ours.memory,
            kubo.memory,
            "MiB",
            memory,
        );
        row(
            &format!("{what}: of a core"),
            ours.busy,
            kubo.busy,
            "%",
            busy,
        );
    }
    Ok(text)
}

/// A repo with the settings of a new one, except that it listens on this machine only and knows nobody.
fn lonely(stage: &mut Stage, side: Side) -> Result<Peer> {
    let peer = stage.repo(side)?;
    let listen = r#"["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"]"#;
    peer.run(["config", "--json", "Addresses.Swarm", listen])?;
    peer.run(["config", "--json", "Bootstrap", "[]"])?;
    Ok(peer)
}

/// Median milliseconds from the start of the process to the answer.
fn starts(stage: &mut Stage, side: Side) -> Result<f64> {
    let peer = lonely(stage, side)?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let (daemon, took) = Daemon::start_timed(&peer)?;
        times.push(took.as_secs_f64() * 1e3);
        daemon.end()?;
    }
    stage.spend(peer.repo())?;
    Ok(median(times))
}

fn idle(stage: &mut Stage, side: Side, peers: usize) -> Result<Idle> {
    let peer = lonely(stage, side)?;
    let daemon = Daemon::start(&peer, &[])?;
    let cell = plain();
    let mut others = Vec::new();
    for _ in 0..peers {
        let other = stage.repo(Side::Ours)?;
        nodes::configure(&other)?;
        others.push(Provider::start(&other, &cell)?);
    }
    if peers > 0 {
        nodes::connect(&daemon, &others, &cell)?;
    }
    thread::sleep(SETTLE);
    let (before, start) = (usage(daemon.id())?.cpu, Instant::now());
    thread::sleep(SPAN);
    let used = usage(daemon.id())?.cpu.saturating_sub(before);
    let found = Idle {
        memory: resident(daemon.id())?,
        busy: 100.0 * used.as_secs_f64() / start.elapsed().as_secs_f64(),
    };
    drop((daemon, others));
    stage.spend(peer.repo())?;
    Ok(found)
}

/// The peak in MiB while it fetches the large file from a peer of its own kind.
fn fetching(stage: &mut Stage, side: Side) -> Result<f64> {
    let loaded = Loaded::start(stage, side)?;
    loaded.daemon.post(&loaded.call)?;
    let peak = usage(loaded.daemon.id())?.peak as f64 / f64::from(1 << 20);
    loaded.spend(stage)?;
    Ok(peak)
}

/// Seconds from signal 15 to the end, in the slowest of some runs, while the daemon fetches and adds.
fn end(stage: &mut Stage, side: Side) -> Result<f64> {
    let mut slowest = 0.0_f64;
    for run in 0..ENDS {
        let loaded = Loaded::start(stage, side)?;
        let (daemon, call) = (loaded.daemon, loaded.call);
        let (mut fetch, mut add) = (daemon.connect()?, daemon.connect()?);
        let took = thread::scope(|scope| {
            // Both end with the daemon.
            scope.spawn(move || drop(fetch.call(&call, None)));
            scope.spawn(move || {
                let file = vec![7; UPLOAD];
                while add
                    .call("add", Some(&file))
                    .is_ok_and(|said| said.status == 200)
                {}
            });
            thread::sleep(Duration::from_millis(100 + 60 * run as u64));
            daemon.end()
        });
        let (took, status) = took?;
        ensure!(
            side == Side::Kubo || status.success(),
            "a daemon that was asked to end ended with {status}"
        );
        slowest = slowest.max(took.as_secs_f64());
        drop(loaded.provider);
        for repo in loaded.repos {
            stage.spend(repo.repo())?;
        }
    }
    Ok(slowest)
}

/// A daemon that is connected to one that has the large file.
struct Loaded {
    daemon: Daemon,
    provider: Provider,
    call: String,
    repos: [Peer; 2],
}

impl Loaded {
    fn start(stage: &mut Stage, side: Side) -> Result<Self> {
        let file = stage.file()?;
        let (holder, fetcher) = (stage.repo(side)?, stage.repo(side)?);
        nodes::configure(&holder)?;
        nodes::configure(&fetcher)?;
        let path = file.to_str().context("the path is not UTF-8")?;
        let cid = holder.text(["add", "-Q", path])?;
        let cell = plain();
        let provider = Provider::start(&holder, &cell)?;
        let daemon = nodes::start(&fetcher, cell.transport)?;
        nodes::connect(&daemon, std::slice::from_ref(&provider), &cell)?;
        Ok(Self {
            daemon,
            provider,
            call: format!("pin/add?arg={cid}"),
            repos: [holder, fetcher],
        })
    }

    fn spend(self, stage: &Stage) -> Result<()> {
        drop((self.daemon, self.provider));
        for repo in self.repos {
            stage.spend(repo.repo())?;
        }
        Ok(())
    }
}

fn plain() -> Cell {
    Cell {
        content: Content::File { block: 256 << 10 },
        transport: Transport::Tcp,
        round_trip: Duration::ZERO,
        providers: 1,
        rate: None,
    }
}

/// Memory in MiB (proc(5)).
fn resident(id: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .context("no VmRSS in /proc/ID/status")?
        .parse()?;
    Ok(kib / 1024.0)
}
