//! Starts the harness programs of `interop-tests` with the binaries they compare.

use crate::run::{self, cargo};
use crate::{debian, dist, peers};
use anyhow::{Context, Result};
use std::process::{Command, ExitCode};

/// Builds both sides and runs the program `name` with `args`.
pub fn run(name: &str, args: &[String]) -> Result<ExitCode> {
    debian::tools()?;
    let status = command(name, args)?
        .status()
        .with_context(|| format!("cannot start {name}"))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The command that runs the harness program `name`, with everything it needs built.
pub fn command(name: &str, args: &[String]) -> Result<Command> {
    let kubo = peers::kubo()?;
    let ours = match std::env::var_os("IPFS_KIT_BIN") {
        Some(path) => path.into(),
        None => dist::build()?,
    };
    run::run(cargo().args([
        "build",
        "--release",
        "--package",
        "ipfs-kit-interop-tests",
        "--bins",
    ]))?;
    let mut command = Command::new(run::target().join("release").join(name));
    command
        .current_dir(run::root())
        .env("KUBO_BIN", kubo)
        .env("IPFS_KIT_BIN", ours)
        .args(args);
    Ok(command)
}
