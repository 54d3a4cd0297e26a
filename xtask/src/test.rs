//! `cargo xtask test`: every check of the project, in the order in which failures are cheapest.

use crate::run::{Count, cargo, counted};
use crate::{bench, dist, layers, peers};
use anyhow::{Result, bail};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

struct Step {
    name: &'static str,
    run: fn() -> Result<(Count, Result<()>)>,
}

const STEPS: &[Step] = &[
    Step {
        name: "setup",
        run: || once(peers::setup),
    },
    Step {
        name: "fmt",
        run: || command(cargo().args(["fmt", "--all", "--check"])),
    },
    Step {
        name: "layers",
        run: || once(layers::check),
    },
    Step {
        name: "clippy",
        run: clippy,
    },
    Step {
        name: "unit",
        run: unit,
    },
    Step {
        name: "docs",
        run: docs,
    },
    Step {
        name: "dist",
        run: || once(|| dist::build().map(drop)),
    },
    Step {
        name: "interop",
        run: interop,
    },
    Step {
        name: "faults",
        run: faults,
    },
    Step {
        name: "fuzz",
        run: crate::fuzz::smoke,
    },
];

/// Runs the steps named in `only`, or all of them, and prints what each took and counted.
pub fn run(only: &[String]) -> Result<ExitCode> {
    for name in only {
        if !STEPS.iter().any(|step| step.name == name) {
            let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
            bail!("no step `{name}`; the steps are {}", names.join(" "));
        }
    }
    let mut results = Vec::new();
    for step in STEPS
        .iter()
        .filter(|step| only.is_empty() || only.iter().any(|n| n == step.name))
    {
        println!("\n=== {} ===", step.name);
        let start = Instant::now();
        let (count, outcome) = (step.run)().unwrap_or_else(|error| (Count::default(), Err(error)));
        if let Err(error) = &outcome {
            println!("step {} failed: {error:#}", step.name);
        }
        results.push((step.name, settle(count, &outcome), start.elapsed()));
    }
    Ok(report(&results))
}

/// A step that counts nothing is one check; one that failed without a counted failure has one.
fn settle(mut count: Count, outcome: &Result<()>) -> Count {
    match outcome {
        Ok(()) if count == Count::default() => count.passed = 1,
        Err(_) if count.failed == 0 => count.failed = 1,
        _ => {}
    }
    count
}

fn report(results: &[(&str, Count, Duration)]) -> ExitCode {
    println!("\nstep        seconds   passed   failed");
    let mut total = Count::default();
    for (name, count, took) in results {
        let seconds = took.as_secs_f64();
        println!(
            "{name:<10} {seconds:>8.1} {:>8} {:>8}",
            count.passed, count.failed
        );
        total.passed += count.passed;
        total.failed += count.failed;
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn once(check: impl FnOnce() -> Result<()>) -> Result<(Count, Result<()>)> {
    Ok((Count::default(), check()))
}

fn command(command: &mut Command) -> Result<(Count, Result<()>)> {
    counted(command)
}

fn clippy() -> Result<(Count, Result<()>)> {
    command(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Unit, property and product tests of all crates; the interop tests need the release binary.
fn unit() -> Result<(Count, Result<()>)> {
    command(
        cargo()
            .args(["test", "--workspace", "--locked", "--no-fail-fast"])
            .args(["--exclude", "ipfs-kit-interop-tests"]),
    )
}

fn docs() -> Result<(Count, Result<()>)> {
    command(cargo().env("RUSTDOCFLAGS", "-D warnings").args([
        "doc",
        "--workspace",
        "--no-deps",
        "--locked",
    ]))
}

fn interop() -> Result<(Count, Result<()>)> {
    peers::helia()?;
    peers::clients()?;
    command(
        cargo()
            .args([
                "test",
                "--package",
                "ipfs-kit-interop-tests",
                "--locked",
                "--no-fail-fast",
            ])
            .env("IPFS_KIT_BIN", dist::build()?)
            .env("KUBO_BIN", peers::kubo()?),
    )
}

fn faults() -> Result<(Count, Result<()>)> {
    counted(&mut bench::command("faults", &["ci".to_owned()])?)
}
