//! How changes of the open file system become durable: files by themselves in the log, everything else with the blocks of
//! its directories and a new root.

use std::sync::Weak;

use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_unixfs::directory::Progress;

use super::state::Open;
use super::table;
use super::tree::{Blocks, load};
use crate::error::{Error, Result};
use crate::figures::tick;
use crate::node::Node;

/// Files that are committed one by one before the directories above them are written.
const MAX_LOGGED: usize = 16_384;

/// Where flushes are.
pub(super) struct Flushing {
    /// The root that was committed last, and the generation of the log beside it.
    committed: Committed,
    /// Who asked so far, who of them has an answer, and who is in the commit that runs.
    asked: u64,
    done: u64,
    taken: u64,
    /// Counts commits.
    round: usize,
    /// Whether somebody wants the blocks of all directories.
    whole: bool,
    running: bool,
}

/// What was committed.
#[derive(Clone)]
struct Committed {
    root: Option<Cid>,
    generation: u64,
}

impl Flushing {
    /// Nobody flushes yet.
    pub(super) fn new(root: Option<Cid>, generation: u64) -> Self {
        Self {
            committed: Committed { root, generation },
            asked: 0,
            done: 0,
            taken: 0,
            round: 0,
            whole: false,
            running: false,
        }
    }
}

impl Open {
    /// Whether anything has to be committed.
    pub(super) fn has_changes(&self) -> bool {
        self.tree.lock().has_changes()
    }

    /// Makes everything that was done before this call durable. Callers at the same time share one commit.
    pub(super) fn commit(&self, node: &Node) -> Result<()> {
        self.commit_with(node, false)
    }

    /// As [`Open::commit`]; `whole` asks for the blocks of all directories.
    pub(super) fn commit_with(&self, node: &Node, whole: bool) -> Result<()> {
        let mut flushing = self.flushing.lock();
        flushing.whole |= whole;
        flushing.asked += 1;
        let ticket = flushing.asked;
        loop {
            if flushing.done >= ticket {
                return Ok(());
            }
            if flushing.running {
                // Those in the commit that runs, and those in the next, wait apart: no one is woken for nothing.
                let round = flushing.round + usize::from(ticket > flushing.taken);
                self.flushed[round % 2].wait(&mut flushing);
                continue;
            }
            flushing.running = true;
            flushing.round += 1;
            flushing.taken = flushing.asked;
            let (round, taken) = (flushing.round, flushing.taken);
            let before = flushing.committed.clone();
            let whole = std::mem::take(&mut flushing.whole);
            drop(flushing);
            // Whoever waits for this commit may not be the one whose request ends.
            let node = &node.detached();
            let committed = match self.commit_files(node, before.generation, whole) {
                Ok(true) => Ok(before),
                Ok(false) => self.commit_root(node, before),
                Err(error) => Err(error),
            };
            flushing = self.flushing.lock();
            flushing.running = false;
            self.flushed[(round + 1) % 2].notify_one();
            self.flushed[round % 2].notify_all();
            // The others try themselves, and get an error of their own.
            flushing.committed = committed?;
            tick(&node.counters().mfs_commits);
            flushing.done = flushing.done.max(taken);
        }
    }

    /// Commits files one by one, where nothing else was changed; false when more has to be committed.
    fn commit_files(&self, node: &Node, generation: u64, whole: bool) -> Result<bool> {
        let mut tree = self.tree.lock();
        if whole || tree.whole || tree.logged + tree.files.len() > MAX_LOGGED {
            return Ok(false);
        }
        let files = std::mem::take(&mut tree.files);
        let guards = std::mem::take(&mut tree.guards);
        let held = std::mem::take(&mut tree.held);
        *self.shared.lock() = Weak::new();
        drop(tree);
        if files.is_empty() {
            return Ok(true);
        }
        let done = node.store().sync().map_err(Error::from);
        let done = done.and_then(|()| node.mfs_state().log(node).append(generation, &files));
        if !matches!(done, Ok(true)) {
            let mut tree = self.tree.lock();
            guards.iter().for_each(|guard| tree.keep(guard));
            tree.held.extend(held);
            tree.whole = true;
            // They may be in the log all the same: the next root has to end its generation.
            tree.logged += files.len();
            return done;
        }
        self.tree.lock().logged += files.len();
        held.iter().for_each(|root| node.mfs_state().release(root));
        Ok(true)
    }

    fn commit_root(&self, node: &Node, before: Committed) -> Result<Committed> {
        let mut writing = self.writing.lock();
        let guard = self.guard(node);
        let mut encoded = std::mem::take(&mut writing.left);
        let logged = self.tree.lock().logged;
        let mut taken = (Vec::new(), Vec::new());
        let root = self.run_with(node, true, |tree, blocks| {
            let root = match tree.write(tree.root(), &mut encoded, blocks)? {
                Progress::Need(missing) => return Ok(Progress::Need(missing)),
                Progress::Done(root) => root,
            };
            taken = (
                std::mem::take(&mut tree.guards),
                std::mem::take(&mut tree.held),
            );
            tree.files.clear();
            tree.whole = false;
            // Operations from here on are not in this commit.
            *self.shared.lock() = Weak::new();
            Ok(Progress::Done(root))
        });
        let put = self.put(node, &guard, &mut writing, encoded);
        drop(writing);
        let (mut guards, held) = taken;
        guards.push(guard);
        let committed = root.and_then(|root| {
            put?;
            node.store().sync()?;
            let mut generation = before.generation;
            if before.root.as_ref() != Some(&root.cid) || logged > 0 {
                generation = table::set_root(node.database(), &root.cid)?;
            }
            Ok(Committed {
                root: Some(root.cid),
                generation,
            })
        });
        if committed.is_err() {
            let mut tree = self.tree.lock();
            guards.iter().for_each(|guard| tree.keep(guard));
            tree.held.extend(held);
            tree.whole = true;
            return committed;
        }
        // Only commits change it, and they come one after the other.
        self.tree.lock().logged = 0;
        held.iter().for_each(|root| node.mfs_state().release(root));
        self.reload_large_root(node);
        committed
    }

    /// The root is never closed, so it is loaded anew when it has grown large in memory.
    fn reload_large_root(&self, node: &Node) {
        let mut tree = self.tree.lock();
        if tree.root_to_reload().is_none() {
            return;
        }
        let root = tree.root();
        let Ok(Progress::Done(target)) = tree.write(root, &mut Vec::new(), &Blocks::default())
        else {
            return;
        };
        // From the page cache: it was put a moment ago.
        if let Ok(block) = node.local_block(&target.cid)
            && let Ok(directory) = load(&self.defaults, &target.cid, &block)
        {
            tree.reload_root(directory);
        }
    }
}
