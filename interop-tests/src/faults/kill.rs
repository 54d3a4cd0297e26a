//! `kill -9` at random times during commands against one repo that lives on.
//!
//! How long each kind of command usually takes is learnt from those that end by themselves, and the
//! kill is aimed inside that time. Only kills that hit a running command count.

use super::child::{Ended, HANG, Running, crashed};
use super::job::{Job, Kind, Mix, Sizes};
use super::options::{Options, Workshop, make_busy};
use super::oracle::Oracle;
use crate::Peer;
use crate::count::Count;
use anyhow::{Context, Result, bail, ensure};
use rand::RngExt;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Kills after which a repo is checked in full and a new one begins, on disk and in memory in turn.
const LIFE: u64 = 100;
/// Looks between two runs of `repo verify`.
const VERIFY_EVERY: u64 = 25;
/// Pinned contents read back after each kill.
const SAMPLE: usize = 2;
/// Failed lives after which there is no point in going on.
const FAILURES_MAX: u64 = 5;

const SIZES: Sizes = Sizes {
    file_max: 12 << 20,
    tree_max: 300,
};

/// Runs `count` kills (300 unless told).
pub fn run(options: &Options, seed: u64) -> Result<Count> {
    let total = options.count.unwrap_or(300);
    let started = Instant::now();
    let mut count = Count::default();
    let mut by_kind = BTreeMap::new();
    let mut life = 0;
    while count.passed < total && count.failed < FAILURES_MAX {
        let kills = LIFE.min(total - count.passed);
        let mut life_of_repo = Life::begin(options, seed, life)?;
        if let Err(error) = life_of_repo.live(kills) {
            count.failed += 1;
            options.failed("kill", seed, total, format!("{error:#}"));
            life_of_repo.workshop.keep();
        }
        count.passed += life_of_repo.kills;
        for (kind, kills) in &life_of_repo.by_kind {
            *by_kind.entry(*kind).or_insert(0) += kills;
        }
        life += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "kill: seed {seed}, {life} repos, {} kills in {seconds:.0} s: {by_kind:?}",
        count.passed
    );
    Ok(count)
}

struct Life {
    workshop: Workshop,
    outside: tempfile::TempDir,
    peer: Peer,
    mix: Mix,
    oracle: Oracle,
    usual: BTreeMap<Kind, Duration>,
    kills: u64,
    by_kind: BTreeMap<Kind, u64>,
    looks: u64,
}

impl Life {
    fn begin(options: &Options, seed: u64, number: u64) -> Result<Self> {
        let workshop = Workshop::new(number.is_multiple_of(2))?;
        let outside = crate::scratch::in_memory()?;
        let peer = options
            .peer(workshop.path().join("none"))?
            .beside(workshop.path().join("repo"))?;
        if !number.is_multiple_of(3) {
            make_busy(&peer)?;
        }
        let seed = seed.wrapping_add(number);
        let mix = Mix::new(seed, "kill", outside.path(), SIZES, &peer)?;
        let oracle = Oracle::of_new(&peer)?;
        Ok(Self {
            workshop,
            outside,
            peer,
            mix,
            oracle,
            usual: BTreeMap::new(),
            kills: 0,
            by_kind: BTreeMap::new(),
            looks: 0,
        })
    }

    fn live(&mut self, kills: u64) -> Result<()> {
        while self.kills < kills {
            let job = self.mix.next(&self.peer, &self.oracle)?;
            let ended = self.strike(&job)?;
            self.settle(&job, &ended)
                .with_context(|| format!("after kill {} of {}", self.kills, ended.text))?;
            job.clean();
        }
        self.oracle
            .full_check(&self.peer)
            .context("at the end of the repo's life")
    }

    fn strike(&mut self, job: &Job) -> Result<Ended> {
        let usual = self.usual.get(&job.kind).copied();
        let aim = match usual {
            // Some run to their end, so that the usual time stays known.
            _ if self.mix.rng.random_ratio(1, 12) => HANG,
            None => Duration::from_millis(self.mix.rng.random_range(1..200)),
            Some(usual) => usual.mul_f64(self.mix.rng.random_range(0.02..1.1)),
        };
        let command = job.command(&self.peer)?;
        let ended = Running::start(command, self.outside.path(), "killed")?.end_within(aim)?;
        ensure!(
            aim < HANG || !ended.was_killed(),
            "it hangs: {}",
            ended.text
        );
        let usual = self.usual.entry(job.kind).or_insert(ended.took);
        if !ended.was_killed() {
            *usual = usual.mul_f64(0.7) + ended.took.mul_f64(0.3);
        } else if ended.took > *usual {
            *usual = ended.took.mul_f64(1.1);
        }
        Ok(ended)
    }

    fn settle(&mut self, job: &Job, ended: &Ended) -> Result<()> {
        if ended.was_killed() {
            self.kills += 1;
            *self.by_kind.entry(job.kind).or_insert(0) += 1;
        } else if crashed(ended.status, &ended.stderr) || !may_refuse(job, ended) {
            bail!(
                "it failed by itself with {}: {}",
                ended.status,
                ended.stderr
            );
        }
        self.oracle
            .take(job, ended.status.success(), &ended.stdout)?;
        self.oracle.look(&self.peer)?;
        self.oracle.sample(&self.peer, &mut self.mix.rng, SAMPLE)?;
        self.looks += 1;
        if self.looks.is_multiple_of(VERIFY_EVERY) {
            self.oracle.verify(&self.peer)?;
        }
        Ok(())
    }
}

/// Success, or the one refusal that is right: blocks that another pin needs are not removed.
pub fn may_refuse(job: &Job, ended: &Ended) -> bool {
    let pinned = job.kind == Kind::BlockRm
        && format!("{}{}", ended.stderr, String::from_utf8_lossy(&ended.stdout)).contains("pinned");
    ended.status.success() || pinned
}
