//! Death at every system call that changes state, of six scripted commands.
//!
//! The N-th such call of a script (over all its commands, processes and threads) is struck for
//! N = 1, 2, 3, ... until the script ends untouched. Every second time the first command after the
//! death, which recovers the repo, is killed as well, at a random one of its calls.

use super::child::crashed;
use super::content::Content;
use super::job::{Job, Kind};
use super::options::{Options, Workshop};
use super::oracle::Oracle;
use super::script::{self, Script};
use super::tracer::{self, Plan, Traced};
use crate::Peer;
use crate::count::Count;
use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Calls after which a script that still is not done must be in a loop.
const POINTS_MAX: u64 = 20_000;
/// Failures of one script after which it is left.
const FAILURES_MAX: u64 = 5;

/// Kills every script at every call, with the repo on disk and in memory.
pub fn run(options: &Options, seed: u64) -> Result<Count> {
    let mut count = Count::default();
    for on_disk in [true, false] {
        let mut bench = Bench::new(options, seed, on_disk)?;
        for script in bench.scripts()? {
            let started = Instant::now();
            let (points, failed) = sweep(&mut bench, &script, seed)?;
            count.passed += points - failed;
            count.failed += failed;
            println!(
                "syscalls: seed {seed}, {} ({}): killed at each of {points} calls in {:.0} s",
                script.name,
                if on_disk { "disk" } else { "memory" },
                started.elapsed().as_secs_f64()
            );
        }
    }
    Ok(count)
}

fn sweep(bench: &mut Bench, script: &Script, seed: u64) -> Result<(u64, u64)> {
    let mut failed = 0;
    for at in 1..POINTS_MAX {
        let mut oracle = script.oracle.clone();
        let outcome = bench.kill_at(script, &mut oracle, at);
        match outcome {
            Ok(true) => {}
            Ok(false) => return Ok((at - 1, failed)),
            Err(error) => {
                failed += 1;
                let what = format!("{}, call {at}: {error:#}", script.name);
                bench.options.failed("syscalls", seed, 0, what);
                bench.keep_repo(&format!("{}-{at}", script.name))?;
                if failed >= FAILURES_MAX {
                    return Ok((at, failed));
                }
            }
        }
    }
    anyhow::bail!("{} makes more than {POINTS_MAX} calls", script.name)
}

/// Where scripts are run and struck.
pub struct Bench {
    /// The options of the run.
    pub options: Options,
    /// Removed with the bench.
    _workshop: Workshop,
    outside: tempfile::TempDir,
    peer: Peer,
    rng: StdRng,
}

/// How a script ended under a plan.
pub struct Run {
    /// The last command that ran, the struck one if any was.
    pub last: Traced,
    /// What it does.
    pub kind: Kind,
    /// Its arguments.
    pub args: Vec<String>,
    /// Whether all commands ended with success.
    pub complete: bool,
}

impl Bench {
    /// A bench whose repo lies on disk or in memory.
    pub fn new(options: &Options, seed: u64, on_disk: bool) -> Result<Self> {
        let workshop = Workshop::new(on_disk)?;
        let peer = options.peer(workshop.path().join("repo"))?;
        Ok(Self {
            options: options.clone(),
            _workshop: workshop,
            outside: crate::scratch::in_memory()?,
            peer,
            rng: StdRng::seed_from_u64(seed),
        })
    }

    /// The repo under test.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The scripts, with inputs and templates outside of the place under test.
    pub fn scripts(&self) -> Result<Vec<Script>> {
        script::all(&self.peer, self.outside.path())
    }

    /// Runs `script` from its template and strikes as `plan` says, counting over all commands.
    pub fn play(&self, script: &Script, oracle: &mut Oracle, plan: &Plan) -> Result<Run> {
        self.reset(script)?;
        let mut plan = plan.clone();
        let mut played = None;
        for job in &script.jobs {
            let traced = tracer::run(job.command(&self.peer)?, &plan, self.outside.path())?;
            ensure!(!traced.hung, "{:?} hangs: {}", job.args, traced.stderr);
            ensure!(
                !crashed(traced.status, &traced.stderr),
                "{:?} crashes when {:?} fails: {}",
                job.args,
                traced.struck,
                traced.stderr
            );
            let succeeded = traced.status.success();
            ensure!(
                succeeded || traced.struck.is_some(),
                "{:?} failed untouched: {}",
                job.args,
                traced.stderr
            );
            if job.kind == Kind::Init && succeeded {
                *oracle = Oracle::of_new(&self.peer)?;
            }
            oracle.take(job, succeeded, &traced.stdout)?;
            let end = !succeeded || traced.struck.is_some();
            plan.at = plan.at.saturating_sub(traced.seen);
            played = Some(Run {
                last: traced,
                kind: job.kind,
                args: job.args.clone(),
                complete: succeeded,
            });
            if end {
                break;
            }
        }
        played.context("a script has commands")
    }

    fn reset(&self, script: &Script) -> Result<()> {
        let repo = self.peer.repo();
        if repo.exists() {
            fs::remove_dir_all(repo).with_context(|| format!("cannot clear {}", repo.display()))?;
        }
        match &script.template {
            Some(template) => script::copy(template.repo(), repo),
            None => Ok(()),
        }
    }

    /// Whether the script was struck at all; an error when something was lost by that.
    fn kill_at(&mut self, script: &Script, oracle: &mut Oracle, at: u64) -> Result<bool> {
        let run = self.play(script, oracle, &Plan::kill_at(at))?;
        let Some(struck) = &run.last.struck else {
            return Ok(false);
        };
        self.survives(oracle, at.is_multiple_of(2))
            .with_context(|| format!("killed before {struck} of {:?}", run.args))?;
        Ok(true)
    }

    /// The repo opens, holds what it must and takes new content.
    pub fn survives(&mut self, oracle: &mut Oracle, kill_again: bool) -> Result<()> {
        self.finish_init(oracle)?;
        let next = Content::file("script/next", 30_000);
        let job = Job::add(next, self.outside.path(), "next", &[])?;
        if kill_again {
            let plan = Plan::kill_at(self.rng.random_range(1..30));
            let traced = tracer::run(job.command(&self.peer)?, &plan, self.outside.path())?;
            oracle.take(&job, traced.status.success(), &traced.stdout)?;
        }
        oracle.full_check(&self.peer)?;
        script::perform(&self.peer, &job, oracle).context("the next add")?;
        oracle.look(&self.peer)
    }

    /// A repo whose making was cut off either opens or can be made by `init`.
    fn finish_init(&self, oracle: &mut Oracle) -> Result<()> {
        if oracle.is_born() {
            return Ok(());
        }
        let opens = self.peer.output(["pin", "ls", "--quiet"])?;
        if !opens.status.success() {
            self.peer
                .run(["init", "--profile=test"])
                .context("an unfinished repo neither opens nor can be made again")?;
        }
        *oracle = Oracle::of_new(&self.peer)?;
        Ok(())
    }

    /// Copies the repo to where it stays after the run.
    pub fn keep_repo(&self, label: &str) -> Result<()> {
        let place = kept(&label.replace([' ', ',', '/'], "-"))?;
        if self.peer.repo().exists() {
            script::copy(self.peer.repo(), &place)?;
            println!("  kept: {}", place.display());
        }
        Ok(())
    }

    /// A directory for captured output.
    pub fn outside(&self) -> &Path {
        self.outside.path()
    }
}

fn kept(label: &str) -> Result<PathBuf> {
    let place = crate::scratch::target_dir().join("kept").join(label);
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    Ok(place)
}
