//! One of the two binaries under comparison with a repo of its own.

use crate::scratch::target_dir;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The version of Kubo that `interop-tests/kubo` builds.
pub const KUBO_VERSION: &str = "0.43.0";

/// Which implementation a [`Peer`] runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The binary of this project.
    Ours,
    /// The reference implementation.
    Kubo,
}

impl Side {
    /// The path of the binary: `IPFS_KIT_BIN` or `KUBO_BIN` when set, else where `cargo xtask`
    /// builds it.
    pub fn binary(self) -> Result<PathBuf> {
        let (variable, built) = match self {
            Side::Ours => (
                "IPFS_KIT_BIN",
                target_dir().join("dist/x86_64-unknown-linux-gnu/release/ipfs-kit"),
            ),
            Side::Kubo => (
                "KUBO_BIN",
                target_dir().join(format!("peers/kubo-{KUBO_VERSION}/ipfs")),
            ),
        };
        let path = std::env::var_os(variable).map_or(built, PathBuf::from);
        ensure!(
            path.is_file(),
            "{} is missing: run `cargo xtask setup` and `cargo xtask dist`, or set {variable}",
            path.display()
        );
        Ok(path)
    }

    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Side::Ours => "ipfs-kit",
            Side::Kubo => "kubo",
        }
    }
}

/// A binary and its repo.
#[derive(Debug, Clone)]
pub struct Peer {
    side: Side,
    binary: PathBuf,
    repo: PathBuf,
}

impl Peer {
    /// Names a repo without touching it.
    pub fn at(side: Side, repo: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self {
            side,
            binary: side.binary()?,
            repo: repo.into(),
        })
    }

    /// As [`Peer::at`] with a binary of the caller's choice.
    pub fn with_binary(side: Side, binary: PathBuf, repo: impl Into<PathBuf>) -> Self {
        Self {
            side,
            binary,
            repo: repo.into(),
        }
    }

    /// The same binary with a new repo at `repo`.
    pub fn beside(&self, repo: impl Into<PathBuf>) -> Result<Self> {
        let peer = Self::with_binary(self.side, self.binary.clone(), repo);
        peer.run(["init", "--profile=test"])?;
        Ok(peer)
    }

    /// Makes a new repo at `repo` with the profile `test`, which keeps Kubo off the network.
    pub fn init(side: Side, repo: impl Into<PathBuf>) -> Result<Self> {
        let peer = Self::at(side, repo)?;
        peer.run(["init", "--profile=test"])?;
        Ok(peer)
    }

    /// Ours and Kubo, each with a new repo inside `place`.
    pub fn pair(place: &Path) -> Result<(Peer, Peer)> {
        Ok((
            Peer::init(Side::Ours, place.join("ours"))?,
            Peer::init(Side::Kubo, place.join("kubo"))?,
        ))
    }

    /// Which implementation this is.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The repo's directory.
    pub fn repo(&self) -> &Path {
        &self.repo
    }

    /// The binary's path.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// A command with the repo in its environment, no stdin and captured output.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.binary);
        self.prepare(&mut command);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Sets the environment that makes any command use this repo and nothing of the caller's.
    pub fn prepare(&self, command: &mut Command) {
        command
            .env("IPFS_PATH", &self.repo)
            .env("IPFS_KIT_PATH", &self.repo)
            .env("IPFS_TELEMETRY", "off")
            .env_remove("IPFS_KIT_CONFIG");
    }

    /// Runs a command whatever its exit code.
    pub fn output<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Output> {
        let mut command = self.command(args);
        command
            .output()
            .with_context(|| format!("cannot start {command:?}"))
    }

    /// Runs a command that must succeed and gives its stdout.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Vec<u8>> {
        let mut command = self.command(args);
        let output = command
            .output()
            .with_context(|| format!("cannot start {command:?}"))?;
        succeeded(&command, output)
    }

    /// As [`Peer::run`] with `stdin` given to the command.
    pub fn run_with<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        stdin: &[u8],
    ) -> Result<Vec<u8>> {
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        let mut pipe = child.stdin.take().context("the child has no stdin")?;
        let output = std::thread::scope(|scope| {
            // A command may end without reading all of its input: that is no failure of ours.
            scope.spawn(move || drop(pipe.write_all(stdin)));
            child.wait_with_output()
        })?;
        succeeded(&command, output)
    }

    /// Runs a command that must succeed and gives its stdout as text without the last newline.
    pub fn text<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        let text = String::from_utf8(self.run(args)?).context("the output is not UTF-8")?;
        Ok(text.trim_end_matches('\n').to_owned())
    }

    /// Runs a command with `--enc=json` and gives every value it printed.
    pub fn json<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Vec<Value>> {
        let mut command = self.command(args);
        command.arg("--enc=json");
        let output = command
            .output()
            .with_context(|| format!("cannot start {command:?}"))?;
        let stdout = succeeded(&command, output)?;
        serde_json::Deserializer::from_slice(&stdout)
            .into_iter()
            .collect::<Result<_, _>>()
            .with_context(|| {
                format!(
                    "{command:?} printed no JSON: {}",
                    String::from_utf8_lossy(&stdout)
                )
            })
    }
}

fn succeeded(command: &Command, output: Output) -> Result<Vec<u8>> {
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(output.stdout)
}
