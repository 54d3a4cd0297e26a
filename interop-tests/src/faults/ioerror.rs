//! Failing writes and syncs: `EIO`, `ENOSPC` and short writes at every call of scripted commands.
//!
//! A command that could not make its data durable says so and does not exit with 0; a sync that
//! failed is not tried again, because the kernel forgets which pages it lost; and the next command
//! finds everything that was acknowledged.

use super::job::Kind;
use super::options::Options;
use super::script::Script;
use super::syscalls::{Bench, Run};
use super::tracer::{Plan, SYNCS, Strike, WRITES};
use crate::count::Count;
use anyhow::{Context, Result, ensure};
use std::time::Instant;

/// Calls after which a script that still is not done must be in a loop.
const POINTS_MAX: u64 = 20_000;
/// Failures of one script after which it is left.
const FAILURES_MAX: u64 = 5;

/// The ways in which calls fail: the name, what happens, the calls, and whether it may be survived.
fn ways() -> [(&'static str, Strike, Vec<i64>); 5] {
    let sizes = [libc::SYS_ftruncate, libc::SYS_fallocate];
    [
        ("EIO on syncs", Strike::Fail(libc::EIO), SYNCS.to_vec()),
        (
            "EIO on writes",
            Strike::Fail(libc::EIO),
            [WRITES, &sizes].concat(),
        ),
        (
            "ENOSPC on one write",
            Strike::Fail(libc::ENOSPC),
            [WRITES, &sizes].concat(),
        ),
        (
            "ENOSPC from a write on",
            Strike::FailFromHere(libc::ENOSPC),
            [WRITES, &sizes].concat(),
        ),
        ("short writes", Strike::Short, WRITES.to_vec()),
    ]
}

/// Fails every call of every script in every way. A `count` bounds the calls of each script.
pub fn run(options: &Options, seed: u64) -> Result<Count> {
    let mut count = Count::default();
    let mut bench = Bench::new(options, seed, true)?;
    for script in bench.scripts()? {
        for (name, strike, calls) in ways() {
            let started = Instant::now();
            let plan = Plan {
                at: 0,
                strike,
                calls,
                inside: Some(bench.peer().repo().to_owned()),
            };
            let (points, failed) = sweep(&mut bench, &script, name, plan, seed)?;
            count.passed += points - failed;
            count.failed += failed;
            println!(
                "ioerror: seed {seed}, {}, {name}: {points} calls failed in {:.0} s",
                script.name,
                started.elapsed().as_secs_f64()
            );
        }
    }
    Ok(count)
}

fn sweep(
    bench: &mut Bench,
    script: &Script,
    name: &str,
    mut plan: Plan,
    seed: u64,
) -> Result<(u64, u64)> {
    let last = bench.options.count.unwrap_or(POINTS_MAX);
    let mut failed = 0;
    for at in 1..=last {
        plan.at = at;
        match fail_at(bench, script, &plan) {
            Ok(true) => {}
            Ok(false) => return Ok((at - 1, failed)),
            Err(error) => {
                failed += 1;
                let what = format!("{}, {name}, call {at}: {error:#}", script.name);
                bench.options.failed("ioerror", seed, at, what);
                bench.keep_repo(&format!("{}-{name}-{at}", script.name))?;
                if failed >= FAILURES_MAX {
                    return Ok((at, failed));
                }
            }
        }
    }
    Ok((last, failed))
}

fn fail_at(bench: &mut Bench, script: &Script, plan: &Plan) -> Result<bool> {
    let mut oracle = script.oracle.clone();
    let run = bench.play(script, &mut oracle, plan)?;
    let Some(struck) = &run.last.struck else {
        return Ok(false);
    };
    let context = || format!("{:?} of {struck} in {:?}", plan.strike, run.args);
    judge(plan, &run, struck).with_context(context)?;
    bench.survives(&mut oracle, false).with_context(context)?;
    Ok(true)
}

fn judge(plan: &Plan, run: &Run, struck: &str) -> Result<()> {
    let stderr = run.last.stderr.trim();
    if !run.complete {
        // The rest of a short write is written by the next call.
        ensure!(
            plan.strike != Strike::Short,
            "a short write is no failure: {stderr}"
        );
        ensure!(!stderr.is_empty(), "it fails without a word");
        return Ok(());
    }
    // What a command promises lies in segments, and for deletes in the journal. The rest spares the
    // next opening work or marks a file as cleanly closed; redb itself reports failing commits.
    let deletes = matches!(run.kind, Kind::Gc | Kind::BlockRm);
    let vital = struck.contains("/segments") || (deletes && struck.contains("/journal-"));
    let sync_failed = matches!(plan.strike, Strike::Fail(_)) && plan.calls == SYNCS;
    ensure!(!(sync_failed && vital), "it exits with 0");
    let retried = run.last.retried_syncs;
    ensure!(
        !vital || retried == 0,
        "it syncs again ({retried} times) and exits with 0"
    );
    Ok(())
}
