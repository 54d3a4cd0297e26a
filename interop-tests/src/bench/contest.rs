//! One row on both sides, in turn, with the order swapped from run to run.

use super::measure::{Sample, median, timed};
use super::mfs;
use super::rows::{Row, Work};
use super::stage::Stage;
use crate::{Peer, Side};
use anyhow::{Context, Result};
use std::process::Command;

/// The medians of one side.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// Seconds from start to end of the process.
    pub seconds: f64,
    /// Fastest and slowest run in seconds.
    pub spread: (f64, f64),
    /// Seconds of processor time.
    pub cpu: f64,
    /// The most memory of any run, in bytes.
    pub peak: u64,
}

/// The outcome of one row.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// The row.
    pub row: Row,
    /// Our binary.
    pub ours: Figure,
    /// Kubo.
    pub kubo: Figure,
}

impl Outcome {
    /// How many times faster ours is.
    pub fn ratio(&self) -> f64 {
        self.kubo.seconds / self.ours.seconds
    }
}

impl Figure {
    fn of(samples: &[Sample]) -> Self {
        let walls = || samples.iter().map(|sample| sample.wall.as_secs_f64());
        Self {
            seconds: median(walls()),
            spread: (
                walls().fold(f64::INFINITY, f64::min),
                walls().fold(0.0, f64::max),
            ),
            cpu: median(samples.iter().map(|sample| sample.cpu.as_secs_f64())),
            peak: samples.iter().map(|sample| sample.peak).max().unwrap_or(0),
        }
    }

    /// The figure in the unit of `work`.
    pub fn shown(&self, work: Work) -> String {
        match work {
            Work::Bytes(bytes) => {
                format!(
                    "{:.0} MiB/s",
                    bytes as f64 / f64::from(1 << 20) / self.seconds
                )
            }
            Work::Items(count, unit) => format!("{:.0} {unit}", count / self.seconds),
            Work::Time => format!("{:.1} ms", self.seconds * 1e3),
        }
    }
}

/// Measures `row` on both sides `runs` times.
pub fn run(stage: &mut Stage, row: Row, runs: usize) -> Result<Outcome> {
    let mut kept = Kept::default();
    let mut samples = [Vec::new(), Vec::new()];
    for run in 0..runs {
        let mut sides = [Side::Ours, Side::Kubo];
        if run % 2 == 1 {
            sides.reverse();
        }
        for side in sides {
            let sample = once(stage, &mut kept, row, side)
                .with_context(|| format!("{} with {}", row.name(), side.name()))?;
            samples[side as usize].push(sample);
        }
    }
    kept.spend(stage)?;
    Ok(Outcome {
        row,
        ours: Figure::of(&samples[0]),
        kubo: Figure::of(&samples[1]),
    })
}

/// Repos that serve several runs because measuring does not change them.
#[derive(Default)]
struct Kept {
    repos: [Option<(Peer, String)>; 2],
}

impl Kept {
    /// The repo of `side` that holds `flags`' tree or file, and its root.
    fn holding(&mut self, stage: &mut Stage, side: Side, row: Row) -> Result<(Peer, String)> {
        let kept = &mut self.repos[side as usize];
        if kept.is_none() {
            let peer = stage.repo(side)?;
            let input = if row == Row::Cat {
                stage.file()?
            } else {
                stage.tree()?
            };
            let input = input.to_str().context("the path is not UTF-8")?;
            let root = peer.text(["add", "-r", "-Q", input])?;
            *kept = Some((peer, root));
        }
        kept.clone().context("the repo was just made")
    }

    fn spend(self, stage: &Stage) -> Result<()> {
        self.repos
            .into_iter()
            .flatten()
            .try_for_each(|(peer, _)| stage.spend(peer.repo()))
    }
}

fn once(stage: &mut Stage, kept: &mut Kept, row: Row, side: Side) -> Result<Sample> {
    match row {
        Row::Add | Row::AddV1 | Row::AddTree => {
            let peer = stage.repo(side)?;
            let input = if row == Row::AddTree {
                stage.tree()?
            } else {
                stage.file()?
            };
            let mut command = peer.command(["add", "-r", "-Q"]);
            if row == Row::AddV1 {
                command.args(["--cid-version=1", "--chunker=size-1048576"]);
            }
            finish(stage, command.arg(input), Some(&peer))
        }
        Row::Gc => {
            let peer = stage.repo(side)?;
            let tree = stage.tree()?;
            let tree = tree.to_str().context("the path is not UTF-8")?;
            peer.run(["add", "-r", "-Q", "--pin=false", tree])?;
            finish(stage, &mut peer.command(["repo", "gc", "-q"]), Some(&peer))
        }
        Row::Cat => {
            let (peer, root) = kept.holding(stage, side, row)?;
            timed(&mut peer.command(["cat", &root]))?;
            finish(stage, &mut peer.command(["cat", &root]), None)
        }
        Row::GetTree => {
            let (peer, root) = kept.holding(stage, side, row)?;
            let out = stage.out();
            let sample = finish(stage, peer.command(["get", &root, "-o"]).arg(&out), None)?;
            stage.spend(&out)?;
            Ok(sample)
        }
        Row::FilesDir | Row::FilesTree => {
            let peer = stage.repo(side)?;
            stage.settle();
            let sample = mfs::write(&peer, row == Row::FilesTree, stage.sizes().mfs)?;
            stage.spend(peer.repo())?;
            Ok(sample)
        }
        Row::PinLs => {
            let (peer, _) = kept.holding(stage, side, row)?;
            finish(stage, &mut peer.command(["pin", "ls"]), None)
        }
    }
}

fn finish(stage: &Stage, command: &mut Command, spent: Option<&Peer>) -> Result<Sample> {
    stage.settle();
    let sample = timed(command)?;
    if let Some(peer) = spent {
        stage.spend(peer.repo())?;
    }
    Ok(sample)
}
