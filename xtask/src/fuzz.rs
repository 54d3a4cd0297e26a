//! A minute of fuzzing, shared by all targets.

use crate::run::{self, Count, capture, root, target};
use anyhow::{Context, Result, ensure};
use std::process::{Command, Stdio};

/// The release of cargo-fuzz from crates.io.
const CARGO_FUZZ: &str = "0.13.2";

/// Seconds for all targets together.
const SECONDS: u64 = 60;

/// Runs every target for its share, each counted as one test.
pub fn smoke() -> Result<(Count, Result<()>)> {
    install()?;
    let targets = targets()?;
    ensure!(!targets.is_empty(), "fuzz/ has no targets");
    run::run(cargo_fuzz().arg("build"))?;
    let share = (SECONDS / targets.len() as u64).max(1);
    let mut count = Count::default();
    for name in &targets {
        println!("fuzzing {name} for {share} s");
        // What is found goes to the first folder, so that the committed seeds stay as they are.
        let found = target().join("fuzz-corpus").join(name);
        std::fs::create_dir_all(&found)?;
        let outcome = run::run(
            cargo_fuzz()
                .args(["run", name])
                .arg(&found)
                .arg(root().join("fuzz/corpus").join(name))
                .arg("--")
                .arg(format!("-max_total_time={share}"))
                .args([
                    "-timeout=10",
                    "-print_final_stats=1",
                    "-rss_limit_mb=2048",
                    "-verbosity=0",
                ]),
        );
        match outcome {
            Ok(()) => count.passed += 1,
            Err(error) => {
                println!("FAILED fuzz target {name}: {error:#}");
                count.failed += 1;
            }
        }
    }
    Ok((count, Ok(())))
}

fn install() -> Result<()> {
    let tools = target().join("tools");
    if tools.join("bin/cargo-fuzz").is_file() {
        return Ok(());
    }
    run::run(
        run::cargo()
            .args([
                "install",
                "cargo-fuzz",
                "--locked",
                "--version",
                CARGO_FUZZ,
                "--root",
            ])
            .arg(&tools),
    )
}

fn targets() -> Result<Vec<String>> {
    let listed = capture(cargo_fuzz().arg("list"))?;
    let listed = String::from_utf8(listed).context("target names are not UTF-8")?;
    Ok(listed.lines().map(str::to_owned).collect())
}

fn cargo_fuzz() -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(root())
        // cargo-fuzz needs sanitizers, which only nightly has; the variables of the cargo that
        // runs us name the stable toolchain.
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env("PATH", path_with_tools())
        .stdin(Stdio::null())
        .args(["+nightly", "fuzz"]);
    command
}

fn path_with_tools() -> std::ffi::OsString {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(target().join("tools/bin")).chain(std::env::split_paths(&old));
    std::env::join_paths(folders).unwrap_or(old)
}
