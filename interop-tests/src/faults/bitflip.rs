//! Flipped bits in the files of a small repo, one at a time.
//!
//! Whatever is flipped: the binary does not crash or hang and never gives out wrong bytes. When the
//! flip is in an index file of the block store, every block is still given out, because the index is
//! rebuilt from the segments. When it is in a segment, the one block it hits may be refused and the
//! others are still given out, with the index and without. When it is in the pins, they are listed
//! as they were or the repo says that they are damaged.

use super::child::{Ended, Running, crashed};
use super::content::Content;
use super::job::Job;
use super::options::{Options, Workshop};
use super::oracle::Oracle;
use super::script;
use super::segment;
use crate::Peer;
use crate::count::Count;
use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Random flips in each large file unless told; every byte of small ones is flipped in any case.
const RANDOM_FLIPS: u64 = 400;
/// Files up to this size have every byte flipped.
const EVERY_BYTE_BELOW: usize = 2_000;
/// Failures after which there is no point in going on.
const FAILURES_MAX: u64 = 10;
/// A command on this small repo that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(20);

/// Flips bits in every file of the block store and in the pins; `count` random ones in each file
/// that is too large for all.
pub fn run(options: &Options, seed: u64) -> Result<Count> {
    let mut bench = Bench::new(options, seed)?;
    let mut count = Count::default();
    for target in bench.targets(options.count.unwrap_or(RANDOM_FLIPS))? {
        let started = Instant::now();
        for &offset in &target.offsets {
            let bit = bench.rng.random_range(0..8);
            match bench.flip(&target, offset, bit) {
                Ok(()) => count.passed += 1,
                Err(error) => {
                    count.failed += 1;
                    let place = target.file.display();
                    let what = format!("bit {bit} of byte {offset} of {place}: {error:#}");
                    options.failed("bitflip", seed, options.count.unwrap_or(RANDOM_FLIPS), what);
                }
            }
            if count.failed >= FAILURES_MAX {
                return Ok(count);
            }
        }
        println!(
            "bitflip: seed {seed}, {} ({}): {} flips in {:.0} s",
            target.file.display(),
            target.what,
            target.offsets.len(),
            started.elapsed().as_secs_f64()
        );
    }
    Ok(count)
}

/// Bytes to flip, and what must hold after each flip.
struct Target {
    what: &'static str,
    /// Inside the repo.
    file: PathBuf,
    offsets: Vec<u64>,
    rule: Rule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Everything is given out.
    Rebuilt,
    /// One content may be refused.
    OneRefused,
    /// As `OneRefused`, with every index file gone as well.
    OneRefusedWithoutIndex,
    /// The pins are right or refused.
    Pins,
}

struct Bench {
    /// Removed with the bench.
    _workshop: Workshop,
    outside: TempDir,
    template: Peer,
    peer: Peer,
    oracle: Oracle,
    rng: StdRng,
}

impl Bench {
    fn new(options: &Options, seed: u64) -> Result<Self> {
        let workshop = Workshop::new(false)?;
        let outside = crate::scratch::in_memory()?;
        let peer = options.peer(workshop.path().join("repo"))?;
        let template = peer.beside(workshop.path().join("template"))?;
        let mut oracle = Oracle::of_new(&template)?;
        for (index, length) in [40, 900, 5_000, 70_000].into_iter().enumerate() {
            let name = format!("b{index}");
            let content = Content::file(format!("{seed}/{name}"), length);
            let job = Job::add(content, outside.path(), &name, &["--chunker=size-16384"])?;
            script::perform(&template, &job, &mut oracle)?;
        }
        // A removed block leaves its trace in the index as well.
        let mut dead = Job::add(
            Content::file("dead", 700),
            outside.path(),
            "dead",
            &["--pin=false"],
        )?;
        dead.pins.clear();
        script::perform(&template, &dead, &mut oracle)?;
        template.run(["repo", "gc"])?;
        oracle.full_check(&template)?;
        Ok(Self {
            _workshop: workshop,
            outside,
            template,
            peer,
            oracle,
            rng: StdRng::seed_from_u64(seed),
        })
    }

    fn targets(&mut self, random: u64) -> Result<Vec<Target>> {
        let repo = self.template.repo().to_owned();
        let mut targets = Vec::new();
        for file in files(&repo.join("blocks"))? {
            let bytes = fs::read(&file)?;
            let inside = file.strip_prefix(&repo)?.to_owned();
            if file.extension().is_some_and(|ending| ending == "car") {
                targets.extend(self.of_segment(&inside, &bytes, random)?);
            } else if !bytes.is_empty() {
                targets.push(Target {
                    what: "index",
                    file: inside,
                    offsets: self.choose(&bytes, random),
                    rule: Rule::Rebuilt,
                });
            }
        }
        ensure!(
            !targets.is_empty(),
            "{} holds no block store",
            repo.display()
        );
        let pins = fs::read(repo.join("repo.redb"))?;
        targets.push(Target {
            what: "pins",
            file: "repo.redb".into(),
            offsets: self.choose(&pins, random),
            rule: Rule::Pins,
        });
        Ok(targets)
    }

    fn of_segment(&mut self, file: &Path, bytes: &[u8], random: u64) -> Result<Vec<Target>> {
        let frames = segment::frames(bytes).with_context(|| file.display().to_string())?;
        let first = frames.first().map_or(bytes.len(), |frame| frame.start);
        let heads: Vec<u64> = frames
            .iter()
            .flat_map(|frame| frame.start..frame.data)
            .chain(0..first)
            .map(|offset| offset as u64)
            .collect();
        let payload = (0..random)
            .filter_map(|_| {
                let frame = &frames[self.rng.random_range(0..frames.len())];
                (frame.data < frame.end)
                    .then(|| self.rng.random_range(frame.data..frame.end) as u64)
            })
            .collect();
        let target = |what, offsets, rule| Target {
            what,
            file: file.to_owned(),
            offsets,
            rule,
        };
        Ok(vec![
            target("headers", heads.clone(), Rule::OneRefused),
            target("headers, no index", heads, Rule::OneRefusedWithoutIndex),
            target("payload", payload, Rule::OneRefused),
        ])
    }

    /// Every byte of a small file; of a large one `random` bytes, most of them in pages in use.
    fn choose(&mut self, bytes: &[u8], random: u64) -> Vec<u64> {
        if bytes.len() <= EVERY_BYTE_BELOW {
            return (0..bytes.len() as u64).collect();
        }
        let used: Vec<usize> = bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte != 0)
            .map(|(offset, _)| offset)
            .collect();
        (0..random)
            .map(|index| {
                let any = index % 8 == 0 || used.is_empty();
                let offset = if any {
                    self.rng.random_range(0..bytes.len())
                } else {
                    used[self.rng.random_range(0..used.len())]
                };
                offset as u64
            })
            .collect()
    }

    fn flip(&mut self, target: &Target, offset: u64, bit: u32) -> Result<()> {
        let repo = self.peer.repo();
        if repo.exists() {
            fs::remove_dir_all(repo)?;
        }
        script::copy(self.template.repo(), repo)?;
        if target.rule == Rule::OneRefusedWithoutIndex {
            for file in files(&repo.join("blocks"))? {
                if file.extension().is_none_or(|ending| ending != "car") {
                    fs::remove_file(file)?;
                }
            }
        }
        let path = repo.join(&target.file);
        let mut bytes = fs::read(&path)?;
        bytes[usize::try_from(offset)?] ^= 1 << bit;
        fs::write(&path, bytes)?;
        match target.rule {
            Rule::Pins => self.check_pins(),
            Rule::Rebuilt => self.check_contents(0),
            Rule::OneRefused | Rule::OneRefusedWithoutIndex => self.check_contents(1),
        }
    }

    fn check_pins(&mut self) -> Result<()> {
        let listed = self.run(&["pin", "ls", "--type=recursive", "--quiet"])?;
        if listed.status.success() {
            let mut oracle = self.oracle.clone();
            oracle.look(&self.peer)?;
        }
        // Blocks do not depend on pins.
        self.check_contents(self.oracle.pinned.len())
    }

    fn check_contents(&self, refused_max: usize) -> Result<()> {
        let mut refused = Vec::new();
        for (cid, content) in &self.oracle.pinned {
            let ended = self.run(&["cat", cid])?;
            if ended.status.success() {
                content.check_bytes(&ended.stdout, cid)?;
            } else {
                ensure!(
                    !ended.stderr.trim().is_empty(),
                    "`cat` fails without a word"
                );
                refused.push(format!("{cid}: {}", ended.stderr.trim()));
            }
        }
        let verified = self.run(&["repo", "verify"])?;
        ensure!(
            verified.status.success() || !verified.stderr.is_empty() || !verified.stdout.is_empty(),
            "`repo verify` fails without a word"
        );
        ensure!(
            refused.len() <= refused_max,
            "{} contents are not given out: {}",
            refused.len(),
            refused.join("; ")
        );
        Ok(())
    }

    fn run(&self, args: &[&str]) -> Result<Ended> {
        let command = self.peer.command(args);
        let ended = Running::start(command, self.outside.path(), "flip")?.end_within(LIMIT)?;
        ensure!(!ended.was_killed(), "it hangs: {}", ended.text);
        ensure!(
            !crashed(ended.status, &ended.stderr),
            "{args:?} crashes ({}): {}",
            ended.status,
            ended.stderr
        );
        Ok(ended)
    }
}

/// All files below `path`, in order.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
