//! What a repo has acknowledged, kept outside of it.
//!
//! - A command that exited with 0 is acknowledged in full.
//! - A complete line `added <cid> <name>` acknowledges the blocks of that file, pinned or not, until
//!   the next garbage collection.
//! - A command that did not exit with 0 has left each of its pins either as before or as wanted;
//!   what `pin ls` shows after the next opening is what holds from then on.

use super::content::Content;
use super::job::{Job, Kind};
use crate::Peer;
use anyhow::{Context, Result, bail, ensure};
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, BTreeSet};

/// How many contents that were unpinned are remembered, to be added or pinned again.
const REMEMBERED: usize = 24;

/// What one repo must hold.
#[derive(Debug, Default, Clone)]
pub struct Oracle {
    /// Pinned for certain.
    pub pinned: BTreeMap<String, Content>,
    /// In the repo but not pinned; gone with the next garbage collection.
    pub loose: BTreeMap<String, Content>,
    /// Once there, now unpinned and perhaps collected.
    pub former: Vec<(String, Content)>,
    /// Pins the repo was born with; nothing as long as the repo was not made.
    born_with: Option<BTreeSet<String>>,
    /// Contents of unfinished commands whose pins may be there; with their CID where it is known.
    may_be_pinned: Vec<(Option<String>, Content)>,
    may_be_unpinned: BTreeSet<String>,
    /// Removed by an acknowledged `block rm`.
    deleted: BTreeSet<String>,
    /// Files that were added as parts of a tree: other trees, pinned or not, may hold them as well.
    pub parts: BTreeSet<String>,
    /// To be read back at the next look.
    fresh: Vec<(String, Content)>,
}

impl Oracle {
    /// The oracle of a repo that was just made.
    pub fn of_new(peer: &Peer) -> Result<Self> {
        Ok(Self {
            born_with: Some(pins(peer)?),
            ..Self::default()
        })
    }

    /// Whether the repo's making was acknowledged.
    pub fn is_born(&self) -> bool {
        self.born_with.is_some()
    }

    /// Takes in the end of `job`: what it printed, and whether it exited with 0.
    pub fn take(&mut self, job: &Job, succeeded: bool, stdout: &[u8]) -> Result<()> {
        let lines = job.acknowledged_lines(stdout)?;
        for (_, cid, content) in &lines {
            self.deleted.remove(cid);
            self.fresh.push((cid.clone(), content.clone()));
        }
        for pin in &job.pins {
            let printed = lines.iter().find(|(name, ..)| *name == pin.name);
            let cid = pin.cid.clone().or(printed.map(|(_, cid, _)| cid.clone()));
            if !succeeded {
                if let Some(cid) = &cid {
                    self.deleted.remove(cid);
                }
                self.may_be_pinned.push((cid, pin.content.clone()));
                continue;
            }
            let cid = cid.with_context(|| format!("no line for {} was printed", pin.name))?;
            self.deleted.remove(&cid);
            self.fresh.push((cid.clone(), pin.content.clone()));
            self.pin(cid, pin.content.clone());
        }
        for (name, cid, content) in lines {
            if !job.pins.iter().any(|pin| pin.name == name) {
                self.parts.insert(cid.clone());
            }
            if !self.pinned.contains_key(&cid) {
                self.loose.insert(cid, content);
            }
        }
        self.take_removals(job, succeeded);
        Ok(())
    }

    fn take_removals(&mut self, job: &Job, succeeded: bool) {
        if succeeded {
            for cid in &job.unpins {
                self.unpin(cid);
            }
            // The root stands for all of them: asking for each block takes too long.
            self.deleted.extend(job.deletes.first().cloned());
        } else {
            self.may_be_unpinned.extend(job.unpins.iter().cloned());
            // An unfinished command may have brought back any block before it printed a line.
            self.deleted.clear();
        }
        for cid in &job.deletes {
            self.loose.remove(cid);
            self.fresh.retain(|(fresh, _)| fresh != cid);
        }
        if job.kind == Kind::Gc {
            self.loose.clear();
            let pinned = &self.pinned;
            self.fresh.retain(|(cid, _)| pinned.contains_key(cid));
        }
    }

    /// Opens the repo and checks its pins and everything that is new since the last look.
    pub fn look(&mut self, peer: &Peer) -> Result<()> {
        let listed = pins(peer).context("the repo does not open")?;
        for cid in self.born_with.iter().flatten() {
            ensure!(
                listed.contains(cid),
                "the pin {cid} of the empty directory is lost"
            );
        }
        let lost: Vec<String> = self
            .pinned
            .keys()
            .filter(|cid| !listed.contains(*cid))
            .cloned()
            .collect();
        for cid in lost {
            ensure!(
                self.may_be_unpinned.contains(&cid),
                "the acknowledged pin {cid} is lost"
            );
            self.unpin(&cid);
        }
        for cid in &listed {
            let born = self
                .born_with
                .as_ref()
                .is_some_and(|pins| pins.contains(cid));
            if !born && !self.pinned.contains_key(cid) {
                let content = self.explain(peer, cid)?;
                self.pin(cid.clone(), content);
            }
        }
        self.may_be_pinned.clear();
        self.may_be_unpinned.clear();
        for (cid, content) in std::mem::take(&mut self.fresh) {
            content
                .check(peer, &cid)
                .with_context(|| format!("the acknowledged {cid} is lost"))?;
        }
        Ok(())
    }

    /// For an implementation whose losses are counted: forgets what was acknowledged since the last
    /// look and is not there, and gives how many that were; nothing when the repo does not open.
    pub fn drop_lost(&mut self, peer: &Peer) -> Option<u64> {
        let listed = pins(peer).ok()?;
        let fresh: BTreeMap<_, _> = std::mem::take(&mut self.fresh).into_iter().collect();
        let mut lost = 0;
        for (cid, content) in fresh {
            let acknowledged = self.pinned.contains_key(&cid);
            if acknowledged && !(listed.contains(&cid) && content.check(peer, &cid).is_ok()) {
                lost += 1;
                self.pinned.remove(&cid);
            }
        }
        self.may_be_pinned.clear();
        self.may_be_unpinned.clear();
        Some(lost)
    }

    /// The unfinished command that explains the unknown pin `cid`; the pin must be complete.
    fn explain(&self, peer: &Peer, cid: &str) -> Result<Content> {
        for (known, content) in &self.may_be_pinned {
            if known.as_deref() == Some(cid) {
                content
                    .check(peer, cid)
                    .with_context(|| format!("the pin {cid} points at what is not there"))?;
                return Ok(content.clone());
            }
        }
        for (known, content) in &self.may_be_pinned {
            if known.is_none() && content.check(peer, cid).is_ok() {
                return Ok(content.clone());
            }
        }
        bail!("{cid} is pinned, was not acknowledged and is no unfinished command's complete root")
    }

    /// Reads `count` pinned contents back, chosen by `rng`.
    pub fn sample(&self, peer: &Peer, rng: &mut StdRng, count: usize) -> Result<()> {
        for _ in 0..count.min(self.pinned.len()) {
            let index = rng.random_range(0..self.pinned.len());
            let Some((cid, content)) = self.pinned.iter().nth(index) else {
                break;
            };
            content
                .check(peer, cid)
                .with_context(|| format!("the acknowledged {cid} is lost"))?;
        }
        Ok(())
    }

    /// Reads everything pinned back, and lets the repo verify itself.
    pub fn full_check(&mut self, peer: &Peer) -> Result<()> {
        self.look(peer)?;
        for (cid, content) in self.pinned.iter().chain(&self.loose) {
            content
                .check(peer, cid)
                .with_context(|| format!("the acknowledged {cid} is lost"))?;
        }
        self.verify(peer)
    }

    /// `repo verify` and `pin verify` must be clean, and what was deleted must be gone.
    pub fn verify(&mut self, peer: &Peer) -> Result<()> {
        peer.run(["repo", "verify"])
            .context("`repo verify` is not clean")?;
        let broken = peer.text(["pin", "verify", "--quiet"])?;
        ensure!(broken.is_empty(), "`pin verify` reports {broken}");
        for cid in std::mem::take(&mut self.deleted) {
            let found = peer.output(["block", "stat", "--offline", &cid])?;
            ensure!(!found.status.success(), "the deleted block {cid} is back");
        }
        Ok(())
    }

    fn pin(&mut self, cid: String, content: Content) {
        self.loose.remove(&cid);
        self.former.retain(|(former, _)| *former != cid);
        self.pinned.insert(cid, content);
    }

    fn unpin(&mut self, cid: &str) {
        if let Some(content) = self.pinned.remove(cid) {
            self.loose.insert(cid.to_owned(), content.clone());
            self.former.push((cid.to_owned(), content));
            if self.former.len() > REMEMBERED {
                self.former.remove(0);
            }
        }
        self.fresh.retain(|(fresh, _)| fresh != cid);
    }
}

fn pins(peer: &Peer) -> Result<BTreeSet<String>> {
    let text = peer.text(["pin", "ls", "--type=recursive", "--quiet"])?;
    Ok(text.lines().map(str::to_owned).collect())
}
