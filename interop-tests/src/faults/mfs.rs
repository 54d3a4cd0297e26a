//! The mutable file system of a daemon that is killed, or that collects garbage all the time, while writers work in it.
//!
//! Each writer has a directory of its own and knows what must be in it: what was acknowledged. Of the one call that was
//! under way when the daemon died either all or nothing may have happened.

use super::options::{Options, Workshop, make_busy};
use crate::Peer;
use crate::count::Count;
use crate::daemon::{Answer, Daemon};
use crate::stream::Stream;
use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const WRITERS: usize = 4;

/// Kills after which a new repo begins.
const LIFE: u64 = 30;

/// Longest stall of a call beside collections, where that is asked for.
const STALL: Duration = Duration::from_secs(1);

/// Kills the daemon `count` times (30 unless told).
pub fn kill(options: &Options, seed: u64) -> Result<Count> {
    let total = options.count.unwrap_or(30);
    let mut count = Count::default();
    let started = Instant::now();
    let (mut kills, mut life, mut acknowledged) = (0, 0, 0);
    while kills < total && count.failed == 0 {
        let mut stage = Stage::begin(options, seed.wrapping_add(life), life.is_multiple_of(2))?;
        for _ in 0..LIFE.min(total - kills) {
            kills += 1;
            let outcome = stage.strike();
            if let Err(error) = &outcome {
                options.failed("mfs", seed, total, format!("kill {kills}: {error:#}"));
                stage.workshop.keep();
            }
            let failed = outcome.is_err();
            count.record(format!("kill {kills}"), outcome);
            if failed {
                break;
            }
        }
        acknowledged += stage
            .writers
            .iter()
            .map(|writer| writer.acknowledged)
            .sum::<u64>();
        life += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "mfs: seed {seed}, {kills} kills in {seconds:.0} s, {acknowledged} acknowledged calls"
    );
    Ok(count)
}

/// Collects garbage beside the writers for `count` seconds. `by_hand`: 300 unless told, and no call may take longer than a
/// second; else 5.
pub fn collect(options: &Options, seed: u64, by_hand: bool) -> Result<Count> {
    let usual = if by_hand { 300 } else { 5 };
    let length = Duration::from_secs(options.count.unwrap_or(usual));
    let strict = by_hand;
    let mut stage = Stage::begin(options, seed, true)?;
    let outcome = stage.collect(length, strict);
    if outcome.is_err() {
        stage.workshop.keep();
    }
    let mut count = Count::default();
    count.record("collections beside writers", outcome);
    Ok(count)
}

struct Stage {
    workshop: Workshop,
    peer: Peer,
    rng: StdRng,
    writers: Vec<Writer>,
}

impl Stage {
    fn begin(options: &Options, seed: u64, on_disk: bool) -> Result<Self> {
        let workshop = Workshop::new(on_disk)?;
        let peer = options
            .peer(workshop.path().join("none"))?
            .beside(workshop.path().join("repo"))?;
        make_busy(&peer)?;
        // Small enough that directories turn into shards and back.
        peer.run(["config", "Import.UnixFSHAMTDirectorySizeThreshold", "700B"])?;
        Ok(Self {
            workshop,
            peer,
            rng: StdRng::seed_from_u64(seed),
            writers: (0..WRITERS)
                .map(|number| Writer::new(number, seed))
                .collect(),
        })
    }

    fn strike(&mut self) -> Result<()> {
        let daemon = Daemon::start(&self.peer, &["--offline"])?;
        for writer in &mut self.writers {
            writer.check(&daemon)?;
        }
        let stop = AtomicBool::new(false);
        let aim = Duration::from_millis(self.rng.random_range(5..400));
        let with_gc = self.rng.random_ratio(1, 3);
        let only_writes = self.rng.random_ratio(1, 2);
        self.writers
            .iter_mut()
            .for_each(|writer| writer.only_writes = only_writes);
        thread::scope(|scope| -> Result<()> {
            let (daemon, stop) = (&daemon, &stop);
            let working: Vec<_> = self
                .writers
                .iter_mut()
                .map(|writer| {
                    scope.spawn(move || writer.work(daemon, stop, &mut Duration::default()))
                })
                .collect();
            if with_gc {
                // It ends with the daemon.
                scope.spawn(move || drop(daemon.call("repo/gc?silent=true", None)));
            }
            thread::sleep(aim);
            daemon.kill()?;
            stop.store(true, Ordering::Relaxed);
            for worker in working {
                worker
                    .join()
                    .map_err(|_| anyhow::anyhow!("a writer panicked"))??;
            }
            Ok(())
        })?;
        drop(daemon);
        let daemon = Daemon::start(&self.peer, &["--offline"]).context("after the kill")?;
        for writer in &mut self.writers {
            writer.check(&daemon)?;
        }
        Ok(())
    }

    fn collect(&mut self, length: Duration, strict: bool) -> Result<()> {
        let daemon = Daemon::start(&self.peer, &["--offline"])?;
        let stop = AtomicBool::new(false);
        let (mut collections, mut slowest) = (0, Duration::ZERO);
        thread::scope(|scope| -> Result<()> {
            let (daemon, stop) = (&daemon, &stop);
            let working: Vec<_> = self
                .writers
                .iter_mut()
                .map(|writer| {
                    scope.spawn(move || {
                        let mut slowest = Duration::ZERO;
                        writer.work(daemon, stop, &mut slowest).map(|()| slowest)
                    })
                })
                .collect();
            let start = Instant::now();
            let mut collected = Ok(());
            while start.elapsed() < length && collected.is_ok() {
                collected = daemon.call("repo/gc?silent=true", None).and_then(|answer| {
                    ensure!(
                        answer.status == 200 && answer.error.is_none(),
                        "gc: {answer:?}"
                    );
                    Ok(())
                });
                collections += 1;
            }
            stop.store(true, Ordering::Relaxed);
            for worker in working {
                let worked = worker
                    .join()
                    .map_err(|_| anyhow::anyhow!("a writer panicked"))?;
                slowest = slowest.max(worked?);
            }
            collected
        })?;
        let calls: u64 = self.writers.iter().map(|writer| writer.acknowledged).sum();
        println!(
            "mfs-gc: {collections} collections beside {calls} calls in {} s, the slowest call took {} ms",
            length.as_secs(),
            slowest.as_millis()
        );
        ensure!(collections > 0 && calls > 0, "nothing ran");
        ensure!(!strict || slowest < STALL, "a call stalled for {slowest:?}");
        for writer in &mut self.writers {
            writer.check(&daemon)?;
        }
        let broken = daemon.post("repo/verify")?;
        let broken = broken
            .iter()
            .filter(|line| line.to_string().contains("corrupt"))
            .count();
        ensure!(broken == 0, "{broken} damaged blocks");
        Ok(())
    }
}

/// What a file holds: the bytes of a seed.
type Held = (u64, usize);

struct Writer {
    dir: String,
    rng: StdRng,
    made: u64,
    files: BTreeMap<String, Held>,
    /// The call whose answer has not come: what files may be instead.
    pending: Option<Pending>,
    acknowledged: u64,
    /// Files only come and change: such calls are committed by themselves.
    only_writes: bool,
}

#[derive(Clone)]
enum Pending {
    Write(String, Held),
    Remove(String),
    Move(String, String),
}

impl Writer {
    fn new(number: usize, seed: u64) -> Self {
        Self {
            dir: format!("/writer-{number}"),
            rng: StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(number as u64)),
            made: 0,
            files: BTreeMap::new(),
            pending: None,
            acknowledged: 0,
            only_writes: false,
        }
    }

    /// Calls one after the other until told to stop, or until the daemon is gone.
    fn work(&mut self, daemon: &Daemon, stop: &AtomicBool, slowest: &mut Duration) -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            let pending = self.next();
            self.pending = Some(pending.clone());
            let start = Instant::now();
            let Ok(answer) = self.call(daemon, &pending) else {
                // The daemon was killed: only the look afterwards tells what happened.
                return Ok(());
            };
            *slowest = start.elapsed().max(*slowest);
            ensure!(
                answer.status == 200 && answer.error.is_none(),
                "{}: {} {:?}",
                self.dir,
                String::from_utf8_lossy(&answer.body),
                answer.error
            );
            self.acknowledged += 1;
            self.apply(pending);
            self.pending = None;
        }
        Ok(())
    }

    fn next(&mut self) -> Pending {
        let known: Vec<String> = self.files.keys().cloned().collect();
        let some = |rng: &mut StdRng| known[rng.random_range(0..known.len())].clone();
        let few = known.len() < 5;
        self.made += 1;
        let held = (self.made, [10, 3_000, 300_000][self.rng.random_range(0..3)]);
        let draw = match self.only_writes {
            true => self.rng.random_range(0..8),
            false => self.rng.random_range(0..10),
        };
        match draw {
            6..=7 if !few => Pending::Write(some(&mut self.rng), held),
            8 if !few => {
                let to = format!("m{}", self.made);
                Pending::Move(some(&mut self.rng), to)
            }
            _ if known.len() > 25 && self.only_writes => Pending::Write(some(&mut self.rng), held),
            _ if known.len() > 25 => Pending::Remove(some(&mut self.rng)),
            9 if !few => Pending::Remove(some(&mut self.rng)),
            _ => Pending::Write(format!("f{}", self.made), held),
        }
    }

    fn call(&self, daemon: &Daemon, pending: &Pending) -> Result<Answer> {
        let dir = &self.dir;
        match pending {
            Pending::Write(name, held) => daemon.call(
                &format!("files/write?arg={dir}/{name}&create=true&parents=true&truncate=true"),
                Some(&content(*held)),
            ),
            Pending::Remove(name) => daemon.call(&format!("files/rm?arg={dir}/{name}"), None),
            Pending::Move(from, to) => {
                daemon.call(&format!("files/mv?arg={dir}/{from}&arg={dir}/{to}"), None)
            }
        }
    }

    fn apply(&mut self, pending: Pending) {
        match pending {
            Pending::Write(name, held) => {
                self.files.insert(name, held);
            }
            Pending::Remove(name) => {
                self.files.remove(&name);
            }
            Pending::Move(from, to) => {
                if let Some(held) = self.files.remove(&from) {
                    self.files.insert(to, held);
                }
            }
        }
    }

    /// Looks whether everything acknowledged is there, and learns what became of the unanswered call.
    fn check(&mut self, daemon: &Daemon) -> Result<()> {
        if let Some(pending) = self.pending.take() {
            self.settle(daemon, pending)?;
        }
        let listed = daemon.call(&format!("files/ls?arg={}", self.dir), None)?;
        if listed.status != 200 {
            ensure!(self.files.is_empty(), "{}: {:?}", self.dir, listed);
            return Ok(());
        }
        let listed: serde_json::Value = serde_json::from_slice(&listed.body)?;
        let mut names: Vec<&str> = listed["Entries"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|entry| entry["Name"].as_str())
            .collect();
        names.sort_unstable();
        let expected: Vec<&str> = self.files.keys().map(String::as_str).collect();
        ensure!(
            names == expected,
            "{}: {names:?} instead of {expected:?}",
            self.dir
        );
        for (name, held) in &self.files {
            let found = self.read(daemon, name)?;
            ensure!(
                found.as_deref() == Some(&content(*held)),
                "{}/{name}: {:?} bytes instead of {held:?}",
                self.dir,
                found.map(|found| found.len())
            );
        }
        Ok(())
    }

    fn settle(&mut self, daemon: &Daemon, pending: Pending) -> Result<()> {
        match &pending {
            Pending::Write(name, held) => {
                if self.read(daemon, name)?.as_deref() == Some(&content(*held)) {
                    self.apply(pending);
                }
            }
            Pending::Remove(name) => {
                if self.read(daemon, name)?.is_none() {
                    self.apply(pending);
                }
            }
            Pending::Move(from, to) => {
                let (new, old) = (self.read(daemon, to)?, self.read(daemon, from)?);
                ensure!(
                    new.is_some() != old.is_some(),
                    "{}: a move from {from} to {to} left {} names",
                    self.dir,
                    u8::from(new.is_some()) + u8::from(old.is_some())
                );
                if new.is_some() {
                    self.apply(pending);
                }
            }
        }
        Ok(())
    }

    fn read(&self, daemon: &Daemon, name: &str) -> Result<Option<Vec<u8>>> {
        let answer = daemon.call(&format!("files/read?arg={}/{name}", self.dir), None)?;
        if answer.status == 200 && answer.error.is_none() {
            return Ok(Some(answer.body));
        }
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(
            text.contains("file does not exist"),
            "{}/{name}: {text}",
            self.dir
        );
        Ok(None)
    }
}

fn content(held: Held) -> Vec<u8> {
    Stream::new(&format!("mfs {}", held.0)).take(held.1)
}
