//! Power cuts on real file systems.
//!
//! Two repos on one ext4 or XFS file system are used at the same time; at a random moment the file
//! system is shut down without its journal being flushed, everything running is killed, the file
//! system is mounted again, and what had been acknowledged until then must be there.
//!
//! Only what was seen before the shutdown began is acknowledged. A sync that is under way while the
//! file system shuts down may return success although its data is lost: a loop of nothing but
//! `pwrite` and `fdatasync` loses the last write of one file in seven that way, and never one that
//! returned before. Without power nobody would have seen it return.
//!
//! The same is done to Kubo, which acknowledges before it syncs: what it loses is counted.

use super::child::{Running, crashed};
use super::job::{Mix, Sizes};
use super::kill::may_refuse;
use super::mount::{Kind, Mount};
use super::options::{Fs, Options, Target, make_busy};
use super::oracle::Oracle;
use crate::Peer;
use crate::count::Count;
use crate::scratch;
use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Cuts after which a new file system is made.
const CUTS_PER_DISK: u64 = 25;
/// Repos in use at the same time.
const REPOS: usize = 2;
/// Size of a file system; XFS refuses less than 300 MiB.
const DISK_BYTES: u64 = 1 << 30;
/// Failures after which there is no point in going on.
const FAILURES_MAX: u64 = 5;

const SIZES: Sizes = Sizes {
    file_max: 4 << 20,
    tree_max: 60,
};

/// What power cuts took from an implementation.
#[derive(Debug, Default, Clone, Copy)]
pub struct Losses {
    /// Cuts made.
    pub cuts: u64,
    /// Contents acknowledged since the cut before.
    pub acknowledged: u64,
    /// Those of them that could not be read back.
    pub lost: u64,
    /// Cuts after which a repo did not open any more.
    pub unopenable: u64,
}

/// Makes `count` cuts (100 unless told, 20 for Kubo), half of them on each file system.
pub fn run(options: &Options, seed: u64) -> Result<Count> {
    let kubo = options.target == Target::Kubo;
    let total = options.count.unwrap_or(if kubo { 20 } else { 100 });
    let kinds = match options.fs {
        Fs::Ext4 => vec![Kind::Ext4],
        Fs::Xfs => vec![Kind::Xfs],
        Fs::Both => vec![Kind::Ext4, Kind::Xfs],
    };
    let mut count = Count::default();
    for (index, kind) in kinds.iter().enumerate() {
        // The first kinds take one more when the cuts do not divide evenly.
        let share = (total + kinds.len() as u64 - 1 - index as u64) / kinds.len() as u64;
        let started = Instant::now();
        let losses = cut_often(options, *kind, share, seed, &mut count)?;
        println!(
            "powercut: seed {seed}, {} on {}: {} cuts in {:.0} s, {} acknowledged, {} lost, \
             {} repos did not open",
            options.side().name(),
            kind.name(),
            losses.cuts,
            started.elapsed().as_secs_f64(),
            losses.acknowledged,
            losses.lost,
            losses.unopenable
        );
    }
    Ok(count)
}

fn cut_often(
    options: &Options,
    kind: Kind,
    cuts: u64,
    seed: u64,
    count: &mut Count,
) -> Result<Losses> {
    let mut losses = Losses::default();
    let mut disk: Option<Disk> = None;
    let mut disks = 0;
    while losses.cuts < cuts && count.failed < FAILURES_MAX {
        let mut current = match disk.take() {
            Some(disk) if disk.cuts < CUTS_PER_DISK => disk,
            _ => {
                disks += 1;
                Disk::new(options, kind, seed.wrapping_add(disks))?
            }
        };
        let outcome = current.cycle(options, &mut losses);
        losses.cuts += 1;
        match outcome {
            Ok(usable) => {
                count.passed += 1;
                disk = usable.then_some(current);
            }
            Err(error) => {
                count.failed += 1;
                let what = format!("{}: {error:#}", kind.name());
                options.failed("powercut", seed, cuts, what);
                current.keep()?;
            }
        }
    }
    Ok(losses)
}

/// One file system with its repos.
struct Disk {
    mount: Mount,
    /// Holds the image; dropped after `mount`.
    place: TempDir,
    users: Vec<User>,
    rng: StdRng,
    cuts: u64,
}

/// One repo, its oracle, and the commands run on it.
struct User {
    outside: TempDir,
    peer: Peer,
    mix: Mix,
    oracle: Oracle,
    acknowledged: u64,
}

const SIGBUS: i32 = 7;

/// The power is on.
const ON: u8 = 0;
/// The power is going or gone: commands may fail from now on.
const CUT: u8 = 1;
/// Everything is killed.
const STOP: u8 = 2;

impl Disk {
    fn new(options: &Options, kind: Kind, seed: u64) -> Result<Self> {
        let place = scratch::in_memory()?;
        let mount = Mount::new(kind, place.path(), DISK_BYTES)?;
        let users = (0..REPOS)
            .map(|index| {
                let outside = scratch::in_memory()?;
                let none = options.peer(place.path().join("none"))?;
                let peer = none.beside(mount.point().join(format!("repo{index}")))?;
                if index == 1 {
                    make_busy(&peer)?;
                }
                let label = format!("cut{index}");
                let mut mix = Mix::new(seed, &label, outside.path(), SIZES, &peer)?;
                if options.target == Target::Kubo {
                    mix = mix.adds_only();
                }
                Ok(User {
                    oracle: Oracle::of_new(&peer)?,
                    outside,
                    peer,
                    mix,
                    acknowledged: 0,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        // The repos are older than the first cut; Kubo does not sync all of its own files.
        mount.sync()?;
        Ok(Self {
            mount,
            place,
            users,
            rng: StdRng::seed_from_u64(seed),
            cuts: 0,
        })
    }

    /// One cut and the check after it; whether the disk can go on being used.
    fn cycle(&mut self, options: &Options, losses: &mut Losses) -> Result<bool> {
        self.cuts += 1;
        // Kubo syncs nothing, but what is older than a few seconds the kernel has written by itself.
        let longest = if options.target == Target::Kubo {
            2_000
        } else {
            400
        };
        let wait = Duration::from_millis(self.rng.random_range(5..longest));
        let grace = Duration::from_millis(self.rng.random_range(0..20));
        let state = AtomicU8::new(ON);
        std::thread::scope(|scope| {
            let workers: Vec<_> = self
                .users
                .iter_mut()
                .map(|user| scope.spawn(|| user.work(&state)))
                .collect();
            std::thread::sleep(wait);
            state.store(CUT, Ordering::SeqCst);
            let cut = self.mount.cut();
            // What still runs must fail without a crash.
            std::thread::sleep(grace);
            state.store(STOP, Ordering::SeqCst);
            for worker in workers {
                match worker.join() {
                    Ok(outcome) => outcome?,
                    Err(_) => bail!("a worker of the harness panicked"),
                }
            }
            cut
        })?;
        self.mount
            .restart()
            .context("the file system does not recover")?;
        if options.target == Target::Kubo {
            return self.count_losses(losses);
        }
        for user in &mut self.users {
            losses.acknowledged += std::mem::take(&mut user.acknowledged);
            if let Err(error) = user.check(self.cuts) {
                losses.lost += 1;
                return Err(error);
            }
        }
        Ok(true)
    }

    fn count_losses(&mut self, losses: &mut Losses) -> Result<bool> {
        let mut usable = true;
        for user in &mut self.users {
            let acknowledged = std::mem::take(&mut user.acknowledged);
            losses.acknowledged += acknowledged;
            match user.oracle.drop_lost(&user.peer) {
                Some(lost) => losses.lost += lost,
                None => {
                    losses.lost += acknowledged;
                    losses.unopenable += 1;
                    usable = false;
                }
            }
        }
        Ok(usable)
    }

    /// Copies the repos to where they stay after the run.
    fn keep(&mut self) -> Result<()> {
        self.mount.restart()?;
        let kept = scratch::target_dir().join("kept/powercut");
        if kept.exists() {
            std::fs::remove_dir_all(&kept)?;
        }
        super::script::copy(self.mount.point(), &kept)?;
        println!(
            "  kept: {} (image was in {})",
            kept.display(),
            self.place.path().display()
        );
        Ok(())
    }
}

/// What was seen of a command while the power was on.
#[derive(Default)]
struct Seen {
    /// It ended.
    ended: bool,
    /// Bytes it had printed.
    printed: usize,
}

/// Waits until the command ends or is to be killed.
fn watch(running: &mut Running, state: &AtomicU8) -> Result<Seen> {
    let mut seen = Seen::default();
    loop {
        let now = Seen {
            ended: !running.is_running()?,
            printed: running.printed()?,
        };
        let ended = now.ended;
        let power = state.load(Ordering::SeqCst);
        if power == ON {
            seen = now;
        }
        if ended || power == STOP {
            return Ok(seen);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

impl User {
    /// Runs commands until the power is gone.
    fn work(&mut self, state: &AtomicU8) -> Result<()> {
        while state.load(Ordering::SeqCst) == ON {
            let job = match self.mix.next(&self.peer, &self.oracle) {
                Ok(job) => job,
                // Choosing a `block rm` reads the repo.
                Err(error) if state.load(Ordering::SeqCst) == ON => return Err(error),
                Err(_) => break,
            };
            let command = job.command(&self.peer)?;
            let mut running = Running::start(command, self.outside.path(), "cut")?;
            let seen = watch(&mut running, state)?;
            let power_was_on = seen.ended;
            let ended = running.kill()?;
            job.clean();
            // Reading a mapped file kills the reader (SIGBUS) when the disk under it is gone.
            let died_with_the_disk = !power_was_on && ended.status.signal() == Some(SIGBUS);
            ensure!(
                died_with_the_disk || !crashed(ended.status, &ended.stderr),
                "{} crashed: {}",
                ended.text,
                ended.stderr
            );
            ensure!(
                !power_was_on || may_refuse(&job, &ended),
                "{} failed with the power on: {}",
                ended.text,
                ended.stderr
            );
            let acknowledged = power_was_on && ended.status.success();
            self.oracle
                .take(&job, acknowledged, &ended.stdout[..seen.printed])?;
            if acknowledged {
                self.acknowledged += job.pins.len() as u64;
            }
        }
        Ok(())
    }

    fn check(&mut self, cuts: u64) -> Result<()> {
        if cuts.is_multiple_of(5) || cuts == CUTS_PER_DISK {
            return self.oracle.full_check(&self.peer);
        }
        self.oracle.look(&self.peer)?;
        self.oracle.sample(&self.peer, &mut self.mix.rng, 3)?;
        self.oracle.verify(&self.peer)
    }
}
