//! A full disk: tmpfs and ext4 too small for what is added.
//!
//! The add fails with a clear error, everything acknowledged before stays readable, pins can be
//! removed and garbage collected with no byte free, and then adding works again.

use super::child::crashed;
use super::content::Content;
use super::job::{Job, Kind};
use super::mount::{Kind as FsKind, Mount};
use super::options::{Options, make_busy};
use super::oracle::Oracle;
use crate::Peer;
use crate::count::Count;
use crate::scratch;
use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;
use tempfile::TempDir;

/// Times that each disk is filled unless told.
const ROUNDS: u64 = 6;
/// Adds after which a disk of this size must be full.
const ADDS_MAX: u64 = 2_000;

/// Fills each kind of disk `count` times.
pub fn run(options: &Options, seed: u64) -> Result<Count> {
    let rounds = options.count.unwrap_or(ROUNDS);
    let mut count = Count::default();
    for (kind, bytes) in [(FsKind::Tmpfs, 48 << 20), (FsKind::Ext4, 96 << 20)] {
        let started = Instant::now();
        let mut refused = 0;
        for round in 0..rounds {
            let seed = seed.wrapping_add(round);
            let outcome = Disk::new(options, kind, bytes, seed).and_then(|mut disk| {
                let outcome = disk.fill_and_free();
                refused += disk.refused;
                outcome
            });
            match outcome {
                Ok(()) => count.passed += 1,
                Err(error) => {
                    count.failed += 1;
                    let what = format!("{}: {error:#}", kind.name());
                    options.failed("diskfull", seed, 1, what);
                }
            }
        }
        println!(
            "diskfull: seed {seed}, {} filled {rounds} times, {refused} commands refused, {:.0} s",
            kind.name(),
            started.elapsed().as_secs_f64()
        );
    }
    Ok(count)
}

struct Disk {
    mount: Mount,
    outside: TempDir,
    peer: Peer,
    oracle: Oracle,
    rng: StdRng,
    seed: u64,
    made: u64,
    /// Pinned roots, the oldest first.
    roots: Vec<String>,
    refused: u64,
    /// Why the last command was refused.
    refusal: String,
    _place: TempDir,
}

impl Disk {
    fn new(options: &Options, kind: FsKind, bytes: u64, seed: u64) -> Result<Self> {
        let place = scratch::in_memory()?;
        let mount = Mount::new(kind, place.path(), bytes)?;
        let none = options.peer(place.path().join("none"))?;
        let peer = none.beside(mount.point().join("repo"))?;
        // Space is given back by the segment; with the usual ones a small disk has only one.
        make_busy(&peer)?;
        Ok(Self {
            oracle: Oracle::of_new(&peer)?,
            mount,
            outside: scratch::in_memory()?,
            peer,
            rng: StdRng::seed_from_u64(seed),
            seed,
            made: 0,
            roots: Vec::new(),
            refused: 0,
            refusal: String::new(),
            _place: place,
        })
    }

    fn fill_and_free(&mut self) -> Result<()> {
        self.fill(4 << 20).context("filling with large files")?;
        // What is left after a large file did not fit is filled with small ones, to the last page.
        self.fill(40_000).context("filling with small files")?;
        let ballast = self.ballast()?;
        self.oracle
            .full_check(&self.peer)
            .context("reading on a full disk")?;
        self.refuse_every_write()?;
        self.oracle
            .full_check(&self.peer)
            .context("after refused writes")?;
        self.free().context("freeing with no byte free")?;
        self.oracle
            .full_check(&self.peer)
            .context("after freeing")?;
        self.add_again().context("adding after freeing")?;
        fs::remove_file(ballast)?;
        self.oracle.full_check(&self.peer).context("at the end")
    }

    /// Adds until the disk is full.
    fn fill(&mut self, size: usize) -> Result<()> {
        for _ in 0..ADDS_MAX {
            let length = self.rng.random_range(size / 2..size);
            if !self.add(length)? {
                return Ok(());
            }
        }
        anyhow::bail!("{ADDS_MAX} files fit on the disk")
    }

    /// Takes every byte that is still free, as another program would.
    fn ballast(&self) -> Result<std::path::PathBuf> {
        let path = self.mount.point().join("ballast");
        let mut file = File::create(&path)?;
        for piece in [1 << 20, 4096, 1] {
            let zeros = vec![0; piece];
            while file.write_all(&zeros).is_ok() {}
        }
        // Delayed allocation may have promised more than there is; that is not our concern.
        drop(file.sync_all());
        Ok(path)
    }

    fn refuse_every_write(&mut self) -> Result<()> {
        for length in [100, 10_000, 1 << 20, 3 << 20] {
            // A small one may still fit into the space that the store holds in reserve.
            self.add(length)?;
        }
        let tree = Content::tree(&mut self.rng, &format!("{}/tree", self.seed), 100, 2);
        let job = Job::add(tree, self.outside.path(), "tree", &[])?;
        self.run(&job)?;
        Ok(())
    }

    /// Removes the older two thirds of the pins and collects; both must work.
    fn free(&mut self) -> Result<()> {
        let mut job = Job::new(Kind::PinRm, &["pin", "rm"]);
        job.unpins = self.roots.drain(..self.roots.len() * 2 / 3).collect();
        job.args.extend(job.unpins.iter().cloned());
        ensure!(
            self.run(&job)?,
            "`pin rm` fails on a full disk: {}",
            self.refusal
        );
        let before = used(self.mount.point())?;
        let gc = Job::new(Kind::Gc, &["repo", "gc", "--silent"]);
        ensure!(
            self.run(&gc)?,
            "`repo gc` fails on a full disk: {}",
            self.refusal
        );
        let after = used(self.mount.point())?;
        ensure!(
            after < before / 2,
            "`repo gc` freed too little: {before} bytes, now {after}"
        );
        Ok(())
    }

    fn add_again(&mut self) -> Result<()> {
        for length in [300, 30_000, 3 << 20] {
            ensure!(
                self.add(length)?,
                "{length} bytes do not fit after collecting"
            );
        }
        Ok(())
    }

    fn add(&mut self, length: usize) -> Result<bool> {
        self.made += 1;
        let (name, seed) = (
            format!("f{}", self.made),
            format!("{}/{}", self.seed, self.made),
        );
        let job = Job::add(Content::file(seed, length), self.outside.path(), &name, &[])?;
        self.run(&job)
    }

    /// Runs a command; whether it succeeded. One that did not must say that space is missing.
    fn run(&mut self, job: &Job) -> Result<bool> {
        let output = job.command(&self.peer)?.output()?;
        job.clean();
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(
            !crashed(output.status, &stderr),
            "{:?} crashed: {stderr}",
            job.args
        );
        let succeeded = output.status.success();
        if !succeeded {
            self.refused += 1;
            self.refusal = stderr.trim().to_owned();
            let text = stderr.to_lowercase();
            ensure!(
                ["space", "full", "quota"]
                    .iter()
                    .any(|word| text.contains(word)),
                "{:?} does not say that the disk is full: {stderr}",
                job.args
            );
        }
        self.oracle.take(job, succeeded, &output.stdout)?;
        self.oracle.look(&self.peer)?;
        let pinned = self.oracle.pinned.keys();
        self.roots.extend(
            pinned
                .filter(|root| !self.roots.contains(root))
                .cloned()
                .collect::<Vec<_>>(),
        );
        Ok(succeeded)
    }
}

/// Bytes of all files below `path`, ballast excluded.
fn used(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bytes += used(&entry.path())?;
        } else if entry.file_name() != "ballast" {
            bytes += std::os::unix::fs::MetadataExt::blocks(&entry.metadata()?) * 512;
        }
    }
    Ok(bytes)
}
