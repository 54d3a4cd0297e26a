//! What every harness is told on its command line.

use crate::peer::{Peer, Side};
use crate::scratch;
use anyhow::Result;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The options that all harnesses share.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How many faults (each harness has its own default)
    #[arg(long, global = true)]
    pub count: Option<u64>,
    /// Where all choices come from; the clock when absent
    #[arg(long, global = true)]
    pub seed: Option<u64>,
    /// Whose binary is broken
    #[arg(long, global = true, value_enum, default_value = "ours")]
    pub target: Target,
    /// File systems for power cuts
    #[arg(long, global = true, value_enum, default_value = "both")]
    pub fs: Fs,
    /// The binary, instead of the one that `cargo xtask dist` built
    #[arg(long, global = true)]
    pub binary: Option<PathBuf>,
}

/// Whose binary is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// This project's.
    Ours,
    /// Kubo's: for comparison, its losses are counted and not a failure.
    Kubo,
}

/// File systems that can be cut off from their disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fs {
    /// ext4 only.
    Ext4,
    /// XFS only.
    Xfs,
    /// Half of the cuts on each.
    Both,
}

impl Options {
    /// The seed, chosen once when none was given.
    pub fn fix_seed(&mut self) -> u64 {
        *self.seed.get_or_insert_with(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |since| since.as_micros() as u64 % 1_000_000_000)
        })
    }

    /// The implementation under test.
    pub fn side(&self) -> Side {
        match self.target {
            Target::Ours => Side::Ours,
            Target::Kubo => Side::Kubo,
        }
    }

    /// A repo at `repo` that is not made yet.
    pub fn peer(&self, repo: PathBuf) -> Result<Peer> {
        let binary = match &self.binary {
            Some(path) => std::path::absolute(path)?,
            None => self.side().binary()?,
        };
        Ok(Peer::with_binary(self.side(), binary, repo))
    }

    /// Prints a failure with the command that repeats it.
    pub fn failed(&self, harness: &str, seed: u64, count: u64, what: impl Display) {
        let mut again = format!("cargo xtask faults {harness} --seed {seed} --count {count}");
        if self.target == Target::Kubo {
            again.push_str(" --target kubo");
        }
        println!("FAILED {harness}: {what}\n  repeat with: {again}");
    }
}

/// Gives a repo of ours small segments and an index that is merged often, so that what a large repo
/// does once in a while happens here all the time.
pub fn make_busy(peer: &Peer) -> Result<()> {
    if peer.side() == Side::Ours {
        peer.run(["config", "Datastore.SegmentSize", "2MiB"])?;
        peer.run(["config", "--json", "Datastore.IndexMergeAfter", "100"])?;
    }
    Ok(())
}

/// A directory that is kept for inspection when a check in it failed.
pub struct Workshop {
    path: PathBuf,
    /// Removes the directory when dropped.
    place: Option<TempDir>,
}

impl Workshop {
    /// On the disk that holds `target/` or in memory.
    pub fn new(on_disk: bool) -> Result<Self> {
        let place = if on_disk {
            scratch::on_disk()?
        } else {
            scratch::in_memory()?
        };
        Ok(Self {
            path: place.path().to_owned(),
            place: Some(place),
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the directory where it is and says so.
    pub fn keep(&mut self) {
        if let Some(place) = self.place.take() {
            println!("  kept: {}", place.keep().display());
        }
    }
}
