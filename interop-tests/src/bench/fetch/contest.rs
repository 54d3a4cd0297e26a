//! All pairs of one cell, in turn, with the order swapped from run to run.

use super::cell::{Amount, Cell, Content, Pair};
use super::nodes::{self, Provider};
use crate::bench::measure::{median, usage};
use crate::bench::rows::Sizes;
use crate::bench::stage::Stage;
use crate::{Peer, Side};
use anyhow::{Context, Result, bail, ensure};
use std::time::{Duration, Instant};

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Sample {
    wall: Duration,
    cpu: Duration,
    /// Processor time of the providers.
    served: Duration,
    peak: u64,
    duplicates: u64,
    /// Bytes over the links to the fetcher, by the bytes of the blocks.
    carried: Option<f64>,
}

/// The medians of one pair.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// Seconds of the call.
    pub seconds: f64,
    /// Fastest and slowest run in seconds.
    pub spread: (f64, f64),
    /// Seconds of the fetcher's processor time.
    pub cpu: f64,
    /// Seconds of the providers' processor time.
    pub served: f64,
    /// The most memory of the fetcher in any run, in bytes.
    pub peak: u64,
    /// Blocks received that were there already.
    pub duplicates: f64,
    /// Bytes over the links to the fetcher, by the bytes of the blocks; none without a proxy.
    pub carried: Option<f64>,
}

/// What became of one pair in one cell.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Who fetched from whom.
    pub pair: Pair,
    /// How much.
    pub amount: Amount,
    /// The medians of the runs that ended; none if none did.
    pub figure: Option<Figure>,
    /// Why the others failed.
    pub failures: Vec<String>,
}

impl Outcome {
    /// So much a second.
    pub fn speed(&self) -> Option<f64> {
        self.figure.map(|figure| self.amount.speed(figure.seconds))
    }

    fn of(pair: Pair, amount: Amount, samples: &[Sample], failures: Vec<String>) -> Self {
        let walls = || samples.iter().map(|sample| sample.wall.as_secs_f64());
        let carried: Vec<f64> = samples.iter().filter_map(|sample| sample.carried).collect();
        let figure = Figure {
            seconds: median(walls()),
            spread: (
                walls().fold(f64::INFINITY, f64::min),
                walls().fold(0.0, f64::max),
            ),
            cpu: median(samples.iter().map(|sample| sample.cpu.as_secs_f64())),
            served: median(samples.iter().map(|sample| sample.served.as_secs_f64())),
            peak: samples.iter().map(|sample| sample.peak).max().unwrap_or(0),
            duplicates: median(samples.iter().map(|sample| sample.duplicates as f64)),
            carried: (!carried.is_empty()).then(|| median(carried)),
        };
        Self {
            pair,
            amount,
            figure: (!samples.is_empty()).then_some(figure),
            failures,
        }
    }
}

/// The root of what a provider holds.
#[derive(Debug, Clone)]
struct Root {
    amount: Amount,
    cid: String,
    /// Different blocks of the whole DAG.
    blocks: u64,
}

/// A repo with content, used for many measurements.
struct Holder {
    peer: Peer,
    roots: Vec<Root>,
}

impl Holder {
    fn new(stage: &mut Stage, side: Side) -> Result<Self> {
        let peer = stage.repo(side)?;
        nodes::configure(&peer)?;
        Ok(Self {
            peer,
            roots: Vec::new(),
        })
    }

    /// The root of `amount` of `content`, added when it is not there yet.
    fn root(&mut self, stage: &Stage, content: Content, amount: Amount) -> Result<Root> {
        if let Some(root) = self.roots.iter().find(|root| root.amount == amount) {
            return Ok(root.clone());
        }
        let input = match amount {
            Amount::Bytes(length) => stage.file_of(length)?,
            Amount::Files(count) => stage.tree_of(count)?,
        };
        let mut args = vec!["add".to_owned(), "-r".to_owned(), "-Q".to_owned()];
        if let Content::File { block } = content {
            args.push(format!("--chunker=size-{block}"));
            if block > 256 << 10 {
                args.push("--cid-version=1".to_owned());
            }
        }
        args.push(input.to_str().context("the path is not UTF-8")?.to_owned());
        let cid = self.peer.text(&args)?;
        let below = self.peer.text(["refs", "-r", "-u", &cid])?;
        let root = Root {
            amount,
            cid,
            blocks: below.lines().count() as u64 + 1,
        };
        self.roots.push(root.clone());
        Ok(root)
    }
}

/// The providers of both sides for one content after the other.
pub struct Holders {
    content: Option<Content>,
    of: [Vec<Holder>; 2],
}

impl Holders {
    /// None yet.
    pub fn new() -> Self {
        Self {
            content: None,
            of: [Vec::new(), Vec::new()],
        }
    }

    /// Has `count` repos of `side` hold `amount`; those of another content go away.
    fn hold(
        &mut self,
        stage: &mut Stage,
        side: Side,
        cell: &Cell,
        amount: Amount,
    ) -> Result<(Vec<Peer>, Root)> {
        if self.content != Some(cell.content) {
            self.spend(stage)?;
            self.content = Some(cell.content);
        }
        let holders = &mut self.of[side as usize];
        while holders.len() < cell.providers {
            holders.push(Holder::new(stage, side)?);
        }
        let mut roots = Vec::new();
        for holder in &mut holders[..cell.providers] {
            roots.push(holder.root(stage, cell.content, amount)?);
        }
        let peers = holders[..cell.providers]
            .iter()
            .map(|holder| holder.peer.clone())
            .collect();
        let root = roots.pop().context("a cell has a provider")?;
        Ok((peers, root))
    }

    /// Gives the space of all repos back.
    pub fn spend(&mut self, stage: &Stage) -> Result<()> {
        for holder in self.of.iter_mut().flat_map(std::mem::take) {
            stage.spend(holder.peer.repo())?;
        }
        Ok(())
    }
}

impl Default for Holders {
    fn default() -> Self {
        Self::new()
    }
}

/// Measures `pairs` in `cell`, `runs` times each.
pub fn run(
    stage: &mut Stage,
    holders: &mut Holders,
    cell: &Cell,
    pairs: &[Pair],
    (runs, limit): (usize, Duration),
    sizes: &Sizes,
) -> Result<Vec<Outcome>> {
    let mut samples = vec![Vec::new(); pairs.len()];
    let mut failures = vec![Vec::new(); pairs.len()];
    for run in 0..runs {
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        if run % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let pair = pairs[index];
            let amount = cell.amount(pair, sizes);
            let (peers, root) = holders.hold(stage, pair.provider, cell, amount)?;
            let ended = once(stage, cell, pair, (&peers, &root), limit);
            tell(cell, pair, amount, sizes, &ended);
            match ended {
                Ok(sample) => samples[index].push(sample),
                Err(error) => failures[index].push(format!("{error:#}")),
            }
        }
    }
    let outcomes = pairs.iter().zip(samples).zip(failures);
    Ok(outcomes
        .map(|((pair, samples), failures)| {
            Outcome::of(*pair, cell.amount(*pair, sizes), &samples, failures)
        })
        .collect())
}

/// Every run as it ends, beside the table.
fn tell(cell: &Cell, pair: Pair, amount: Amount, sizes: &Sizes, ended: &Result<Sample>) {
    let (title, pair) = (cell.title(sizes), pair.title());
    match ended {
        Ok(sample) => {
            let seconds = sample.wall.as_secs_f64();
            eprintln!(
                "{title}, {pair}: {} in {seconds:.2} s, {:.0} {}, CPU {:.2} + {:.2} s",
                amount.title(),
                amount.speed(seconds),
                amount.unit(),
                sample.cpu.as_secs_f64(),
                sample.served.as_secs_f64()
            );
        }
        Err(error) => eprintln!("{title}, {pair}: {error:#}"),
    }
}

fn once(
    stage: &mut Stage,
    cell: &Cell,
    pair: Pair,
    (peers, root): (&[Peer], &Root),
    limit: Duration,
) -> Result<Sample> {
    let fetcher = stage.repo(pair.fetcher)?;
    nodes::configure(&fetcher)?;
    let sample = fetch(stage, cell, &fetcher, (peers, root), limit);
    stage.spend(fetcher.repo())?;
    sample
}

/// Starts everybody, fetches, and looks whether all of it came, over the links.
fn fetch(
    stage: &Stage,
    cell: &Cell,
    fetcher: &Peer,
    (peers, root): (&[Peer], &Root),
    limit: Duration,
) -> Result<Sample> {
    let mut providers = Vec::new();
    for peer in peers {
        providers.push(Provider::start(peer, cell)?);
    }
    let daemon = nodes::start(fetcher, cell.transport)
        .with_context(|| nodes::fetcher_name(fetcher.side()))?;
    nodes::connect(&daemon, &providers, cell)?;
    stage.settle();
    let before = usage(daemon.id())?;
    let served = cpu_of(&providers)?;
    let start = Instant::now();
    let answer = daemon.post_within(&format!("pin/add?arg={}", root.cid), limit);
    let wall = start.elapsed();
    let after = usage(daemon.id())?;
    let served = cpu_of(&providers)?.saturating_sub(served);
    let found = nodes::exchange(&daemon);
    if let Err(error) = answer {
        match found {
            Ok(found) => bail!(
                "{error:#} ({} of {} blocks came, {} are asked for)",
                found.blocks - found.duplicates,
                root.blocks,
                found.wanted
            ),
            Err(silent) => bail!("{error:#}, and then {silent:#}"),
        }
    }
    let found = found?;
    ensure!(
        found.blocks - found.duplicates >= root.blocks,
        "{} blocks came, {} of them twice, and the DAG has {}",
        found.blocks,
        found.duplicates,
        root.blocks
    );
    Ok(Sample {
        wall,
        cpu: after.cpu.saturating_sub(before.cpu),
        served,
        peak: after.peak,
        duplicates: found.duplicates,
        carried: carried(&providers, found.bytes)?,
    })
}

/// The processor time of all providers.
fn cpu_of(providers: &[Provider]) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for provider in providers {
        sum += usage(provider.id())?.cpu;
    }
    Ok(sum)
}

/// What went over the links by the bytes of the blocks, if there are links.
fn carried(providers: &[Provider], payload: u64) -> Result<Option<f64>> {
    let mut bytes = 0;
    for provider in providers {
        let Some(traffic) = provider.traffic() else {
            return Ok(None);
        };
        bytes += traffic.from_node;
    }
    // The content cannot be compressed.
    ensure!(
        bytes >= payload,
        "only {bytes} of {payload} bytes went over the links"
    );
    Ok(Some(bytes as f64 / payload as f64))
}
