//! Commands to run against a repo, made at random from a seed.

use super::content::{Content, log_uniform};
use super::oracle::Oracle;
use crate::Peer;
use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Pinned contents above which removals become more likely than additions.
const PINNED_USUAL: usize = 20;

/// CAR files made once and imported again and again.
const CARS: usize = 6;

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `init`
    Init,
    /// `add` of files.
    Add,
    /// `add -r` of a tree.
    AddTree,
    /// `add` of what comes in on stdin.
    AddStdin,
    /// `dag import` of a CAR.
    Import,
    /// `pin add`
    PinAdd,
    /// `pin rm`
    PinRm,
    /// `repo gc`, which compacts segments when enough in them is dead.
    Gc,
    /// `block rm` of all blocks of something unpinned, which compacts as well.
    BlockRm,
}

/// A content that a command pins when it succeeds.
#[derive(Debug, Clone)]
pub struct Pin {
    /// The name that `added` lines show for it.
    pub name: String,
    /// Its CID, when it is known before the command runs.
    pub cid: Option<String>,
    /// What it is.
    pub content: Content,
}

/// One command and what follows from it.
#[derive(Debug, Clone)]
pub struct Job {
    /// What it does.
    pub kind: Kind,
    /// The command's arguments.
    pub args: Vec<String>,
    /// What it reads from stdin.
    pub stdin: Option<PathBuf>,
    /// Files and directories that only this command reads.
    pub inputs: Vec<PathBuf>,
    /// What is pinned when it succeeds.
    pub pins: Vec<Pin>,
    /// Roots that are no longer pinned when it succeeds.
    pub unpins: Vec<String>,
    /// Blocks that are gone when it succeeds, the root first.
    pub deletes: Vec<String>,
}

impl Job {
    /// A command that pins and removes nothing.
    pub fn new(kind: Kind, args: &[&str]) -> Self {
        Self {
            kind,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            stdin: None,
            inputs: Vec::new(),
            pins: Vec::new(),
            unpins: Vec::new(),
            deletes: Vec::new(),
        }
    }

    /// `add` of `content`, written to `place` under `name`.
    pub fn add(content: Content, place: &Path, name: &str, options: &[&str]) -> Result<Self> {
        let path = content.write(place, name)?;
        let kind = match content {
            Content::File(_) => Kind::Add,
            Content::Tree(_) => Kind::AddTree,
        };
        let mut job = Self::new(kind, &["add", "--recursive"]);
        job.args
            .extend(options.iter().map(|&option| option.to_owned()));
        job.args.push(path_text(&path)?);
        job.inputs.push(path);
        job.pins.push(Pin {
            name: name.to_owned(),
            cid: None,
            content,
        });
        Ok(job)
    }

    /// The command for `peer`, its output not yet connected.
    pub fn command(&self, peer: &Peer) -> Result<Command> {
        let mut command = peer.command(&self.args);
        if let Some(path) = &self.stdin {
            command.stdin(Stdio::from(File::open(path)?));
        }
        Ok(command)
    }

    /// The complete `added <cid> <name>` lines of `stdout` with what they acknowledge. Directories
    /// inside a tree are left out: the files in them stand for them.
    pub fn acknowledged_lines(&self, stdout: &[u8]) -> Result<Vec<(String, String, Content)>> {
        if !matches!(self.kind, Kind::Add | Kind::AddTree | Kind::AddStdin) {
            return Ok(Vec::new());
        }
        let text = String::from_utf8_lossy(stdout);
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut lines = Vec::new();
        for line in complete.lines() {
            let mut words = line.splitn(3, ' ');
            let (Some("added"), Some(cid), Some(name)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            // What comes from stdin is named by its CID.
            let name = if self.kind == Kind::AddStdin {
                "-"
            } else {
                name
            };
            if let Some(content) = self
                .pins
                .iter()
                .find_map(|pin| pin.content.at(&pin.name, name))
            {
                lines.push((name.to_owned(), cid.to_owned(), content));
            }
        }
        Ok(lines)
    }

    /// Removes the input files.
    pub fn clean(&self) {
        for path in &self.inputs {
            // They are made again from their seed: one left behind costs only space.
            drop(fs::remove_file(path).or_else(|_| fs::remove_dir_all(path)));
        }
    }
}

/// How large the inputs of a [`Mix`] are.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Bytes of the largest file.
    pub file_max: usize,
    /// Files of the largest tree.
    pub tree_max: usize,
}

/// A stream of commands against one repo.
pub struct Mix {
    /// The source of every choice.
    pub rng: StdRng,
    seed: String,
    place: PathBuf,
    sizes: Sizes,
    made: u64,
    cars: Vec<Pin>,
    adds_only: bool,
}

impl Mix {
    /// Commands that depend on `seed` and on the oracle's state; inputs are written to `place`.
    /// CARs to import are exported from a repo of the same binary as `peer` inside `place`.
    pub fn new(seed: u64, label: &str, place: &Path, sizes: Sizes, peer: &Peer) -> Result<Self> {
        let mut mix = Self {
            rng: StdRng::seed_from_u64(seed),
            seed: format!("{seed}/{label}"),
            place: place.to_owned(),
            sizes,
            made: 0,
            cars: Vec::new(),
            adds_only: false,
        };
        let source = peer.beside(place.join("source"))?;
        for index in 0..CARS {
            mix.make_car(&source, index)?;
        }
        fs::remove_dir_all(source.repo())?;
        Ok(mix)
    }

    /// Only `add`s of files, for implementations that are to be counted and not tested.
    pub fn adds_only(mut self) -> Self {
        self.adds_only = true;
        self
    }

    fn make_car(&mut self, source: &Peer, index: usize) -> Result<()> {
        let name = format!("car{index}");
        let content = self.content(index.is_multiple_of(2));
        let job = Job::add(content.clone(), &self.place, &name, &["--quieter"])?;
        let cid = source.text(&job.args)?;
        job.clean();
        let car = source.run(["dag", "export", "--progress=false", &cid])?;
        let path = self.place.join(format!("{name}.car"));
        fs::write(&path, car)?;
        self.cars.push(Pin {
            name: path_text(&path)?,
            cid: Some(cid),
            content,
        });
        Ok(())
    }

    /// The next command for `peer`, whose state `oracle` knows.
    pub fn next(&mut self, peer: &Peer, oracle: &Oracle) -> Result<Job> {
        let add_weight = if oracle.pinned.len() > PINNED_USUAL {
            20
        } else {
            55
        };
        let draw = if self.adds_only {
            0
        } else {
            self.rng.random_range(0..100)
        };
        if draw < add_weight {
            return self.add(oracle);
        }
        match self.rng.random_range(0..100) {
            0..20 => Ok(self.import()),
            20..35 => Ok(self.pin_add(oracle)),
            35..65 => Ok(self.pin_rm(oracle)),
            65..80 => Ok(Job::new(Kind::Gc, &["repo", "gc", "--silent"])),
            _ => self.block_rm(peer, oracle),
        }
    }

    fn add(&mut self, oracle: &Oracle) -> Result<Job> {
        const OPTIONS: &[&[&str]] = &[
            &[],
            &["--cid-version=1"],
            &["--raw-leaves"],
            &["--chunker=size-4096"],
            &["--trickle"],
            &["--pin-name=a name"],
        ];
        let name = self.name();
        // One in eight was in the repo before: its blocks may be there in part, dead or alive.
        if !oracle.former.is_empty() && self.rng.random_ratio(1, 8) {
            let index = self.rng.random_range(0..oracle.former.len());
            return Job::add(oracle.former[index].1.clone(), &self.place, &name, &[]);
        }
        let options = OPTIONS[self.rng.random_range(0..OPTIONS.len())];
        match self.rng.random_range(0..10) {
            0..3 => {
                let tree = self.content(true);
                Job::add(tree, &self.place, &name, options)
            }
            3..5 => {
                let file = self.content(false);
                let mut job = Job::add(file, &self.place, &name, options)?;
                job.kind = Kind::AddStdin;
                job.stdin = job.args.pop().map(PathBuf::from);
                job.pins[0].name = "-".to_owned();
                Ok(job)
            }
            _ => {
                let file = self.content(false);
                let mut job = Job::add(file, &self.place, &name, options)?;
                for _ in 0..self.rng.random_range(0..4) {
                    let (name, file) = (self.name(), self.content(false));
                    let path = file.write(&self.place, &name)?;
                    job.args.push(path_text(&path)?);
                    job.inputs.push(path);
                    job.pins.push(Pin {
                        name,
                        cid: None,
                        content: file,
                    });
                }
                Ok(job)
            }
        }
    }

    fn import(&mut self) -> Job {
        let car = self.cars[self.rng.random_range(0..self.cars.len())].clone();
        let mut job = Job::new(Kind::Import, &["dag", "import", &car.name]);
        job.pins.push(car);
        job
    }

    fn pin_add(&mut self, oracle: &Oracle) -> Job {
        let loose: Vec<_> = oracle.loose.iter().collect();
        if loose.is_empty() {
            return self.pin_rm(oracle);
        }
        let (cid, content) = loose[self.rng.random_range(0..loose.len())];
        let mut job = Job::new(Kind::PinAdd, &["pin", "add", "--name=again", cid]);
        job.pins.push(Pin {
            name: cid.clone(),
            cid: Some(cid.clone()),
            content: content.clone(),
        });
        job
    }

    fn pin_rm(&mut self, oracle: &Oracle) -> Job {
        let mut job = Job::new(Kind::PinRm, &["pin", "rm"]);
        let pinned: Vec<_> = oracle.pinned.keys().collect();
        for _ in 0..self.rng.random_range(1..=3.min(pinned.len().max(1))) {
            let index = self.rng.random_range(0..pinned.len().max(1));
            if let Some(cid) = pinned.get(index)
                && !job.unpins.contains(cid)
            {
                job.unpins.push((*cid).clone());
            }
        }
        if job.unpins.is_empty() {
            return Job::new(Kind::Gc, &["repo", "gc", "--silent"]);
        }
        job.args.extend(job.unpins.iter().cloned());
        job
    }

    /// Removes the blocks of a content that shares none with others and was not collected yet.
    fn block_rm(&mut self, peer: &Peer, oracle: &Oracle) -> Result<Job> {
        let alone = oracle.former.iter().rev().find(|(cid, content)| {
            matches!(content, Content::File(_))
                && oracle.loose.contains_key(cid)
                && !oracle.parts.contains(cid)
                && !self.cars.iter().any(|car| car.cid.as_ref() == Some(cid))
        });
        let Some((root, _)) = alone else {
            return Ok(self.pin_rm(oracle));
        };
        let refs = peer.text(["refs", "--recursive", "--unique", root])?;
        let mut job = Job::new(Kind::BlockRm, &["block", "rm", "--force"]);
        job.deletes.push(root.clone());
        job.deletes.extend(refs.lines().map(str::to_owned));
        job.args.extend(job.deletes.iter().cloned());
        Ok(job)
    }

    fn content(&mut self, tree: bool) -> Content {
        let name = self.name();
        let seed = format!("{}/{name}", self.seed);
        if tree {
            let files = log_uniform(&mut self.rng, 3, self.sizes.tree_max);
            let shared = self.rng.random_range(0..5);
            Content::tree(&mut self.rng, &seed, files, shared)
        } else {
            Content::file(seed, log_uniform(&mut self.rng, 1, self.sizes.file_max))
        }
    }

    fn name(&mut self) -> String {
        self.made += 1;
        format!("i{}", self.made)
    }
}

/// A path as text; ours have no other bytes.
pub fn path_text(path: &Path) -> Result<String> {
    let text = path.to_str().context("the path is not UTF-8")?;
    ensure!(path.is_absolute(), "{text} is not absolute");
    Ok(text.to_owned())
}
