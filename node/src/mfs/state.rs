//! The open file system of a node: the tree behind its lock, the root that was committed, and how changes get there.
//!
//! Locks, outermost first: `flushing` (one commit at a time, a leader for everybody who waits), `writing` (what was
//! encoded is put before anybody is told its CID), `tree` (memory only, never over IO). Whoever asks the store or the
//! network for a block holds none of them, and garbage collection takes none of them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use ipfs_kit_blockstore::Block;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::store::Guard;
use ipfs_kit_unixfs::directory::{Directory, Progress, Target};
use ipfs_kit_unixfs::{CidSpec, DirectoryOptions};
use parking_lot::{Condvar, Mutex};

use super::commit::Flushing;
use super::error::MfsError;
use super::log::{Log, Put};
use super::path;
use super::table;
use super::tree::{Blocks, DirId, Found, Tree, load};
use crate::error::{Error, Result};
use crate::node::Node;

/// Rounds in which an operation may ask for blocks: as many as any directory has, with room.
const MAX_ROUNDS: usize = 1 << 16;

/// What a node knows of its file system before it is opened, and after.
#[derive(Default)]
pub(crate) struct MfsState {
    open: Mutex<Option<Arc<Open>>>,
    /// Roots of DAGs that are being put into the tree, how often each: garbage collection keeps them.
    held: Mutex<HashMap<Cid, usize>>,
    /// Operations since the last flush.
    pub(crate) unflushed: std::sync::atomic::AtomicU64,
    log: OnceLock<Log>,
}

/// The open file system.
pub(super) struct Open {
    pub(super) tree: Mutex<Tree>,
    pub(super) defaults: DirectoryOptions,
    /// The guard that operations share while there are any.
    pub(super) shared: Mutex<Weak<Guard>>,
    pub(super) writing: Mutex<Writing>,
    pub(super) flushing: Mutex<Flushing>,
    /// Of every other commit.
    pub(super) flushed: [Condvar; 2],
    /// Writers of files, by path.
    pub(super) writers: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

/// What whoever encodes directories leaves for the next.
#[derive(Default)]
pub(super) struct Writing {
    /// Encoded, and refused by the store: the next one puts them first.
    pub(super) left: Vec<Block>,
}

impl MfsState {
    /// The roots that garbage collection must keep beside the pins. Those in the making come first: what is gone from
    /// them is in the committed root, which is read after them.
    pub(crate) fn gc_roots(&self, node: &Node) -> Result<Vec<Cid>> {
        let mut roots: Vec<Cid> = self.held.lock().keys().cloned().collect();
        // A log that ends meanwhile is in the root that is read again.
        loop {
            let committed = table::committed(node.database())?;
            let logged = self.log(node).read(committed.generation);
            let again = table::committed(node.database())?;
            if again.generation == committed.generation {
                let files = committed.files.into_iter().chain(logged?);
                roots.extend(files.map(|file| file.target.cid));
                roots.extend(again.root);
                return Ok(roots);
            }
        }
    }

    /// Commits what is open, if anything is, with the blocks of all its directories.
    pub(crate) fn flush_open(&self, node: &Node) -> Result<()> {
        let open = self.open.lock().clone();
        match open {
            Some(open) if open.has_changes() => open.commit_with(node, true),
            _ => Ok(()),
        }
    }

    /// The open file system; the first use opens it.
    pub(super) fn opened(&self, node: &Node) -> Result<Arc<Open>> {
        if let Some(open) = &*self.open.lock() {
            return Ok(Arc::clone(open));
        }
        node.check_may_wait()?;
        let fresh = Open::read(node)?;
        let mut open = self.open.lock();
        Ok(Arc::clone(open.get_or_insert_with(|| Arc::new(fresh))))
    }

    /// The files that were put into the tree since its root was committed.
    pub(super) fn log(&self, node: &Node) -> &Log {
        self.log.get_or_init(|| Log::new(node.path()))
    }

    /// Forgets what is open.
    pub(super) fn close(&self) {
        *self.open.lock() = None;
    }

    pub(super) fn hold(&self, root: &Cid) {
        *self.held.lock().entry(root.clone()).or_insert(0) += 1;
    }

    pub(super) fn release(&self, root: &Cid) {
        let mut held = self.held.lock();
        if let Some(count) = held.get_mut(root) {
            *count -= 1;
            if *count == 0 {
                held.remove(root);
            }
        }
    }
}

impl Open {
    fn read(node: &Node) -> Result<Self> {
        let import = super::import(node, None)?;
        let defaults = DirectoryOptions {
            cid: import.cid,
            max_links: import.directory_max_links,
            fanout: import.fanout,
            threshold: import.threshold,
            estimate: import.estimate,
            mode: None,
            mtime: None,
        };
        let committed = table::committed(node.database())?;
        let root = match &committed.root {
            None => Directory::new(defaults.clone()),
            Some(cid) => load_root(node, &defaults, cid)?,
        };
        let open = Self {
            tree: Mutex::new(Tree::new(root, defaults.clone())),
            defaults,
            shared: Mutex::default(),
            writing: Mutex::default(),
            flushing: Mutex::new(Flushing::new(committed.root, committed.generation)),
            flushed: [Condvar::new(), Condvar::new()],
            writers: Mutex::default(),
        };
        let logged = node.mfs_state().log(node).read(committed.generation)?;
        open.replay(node, committed.files.into_iter().chain(logged))?;
        Ok(open)
    }

    /// Puts the files into the tree that were committed since the root was.
    fn replay(&self, node: &Node, files: impl Iterator<Item = Put>) -> Result<()> {
        let mut logged = 0;
        for file in files {
            logged += 1;
            let (dir, name) = path::split(file.path.trim_end_matches('/'));
            self.run(node, |tree, blocks| {
                match tree.lookup(&path::names(dir), blocks)? {
                    Progress::Need(missing) => Ok(Progress::Need(missing)),
                    Progress::Done(Found::Dir(id)) => tree.insert(id, name, &file.target, blocks),
                    Progress::Done(Found::File(_)) => Err(MfsError::NotFound.into()),
                }
            })?;
        }
        let mut tree = self.tree.lock();
        tree.whole = false;
        tree.logged = logged;
        Ok(())
    }

    /// The guard for the blocks of one operation, shared with those that run beside it.
    pub(super) fn guard(&self, node: &Node) -> Arc<Guard> {
        let mut shared = self.shared.lock();
        if let Some(guard) = shared.upgrade() {
            return guard;
        }
        let guard = Arc::new(node.store().guard());
        *shared = Arc::downgrade(&guard);
        guard
    }

    /// Runs an operation on the tree, again and again until it has the blocks that it asks for.
    pub(super) fn run<T>(
        &self,
        node: &Node,
        operation: impl FnMut(&mut Tree, &Blocks) -> Result<Progress<T>>,
    ) -> Result<T> {
        self.run_with(node, false, operation)
    }

    /// `here`: nothing is fetched; an operation hears that a block is absent, once, and may do without.
    pub(super) fn run_with<T>(
        &self,
        node: &Node,
        here: bool,
        mut operation: impl FnMut(&mut Tree, &Blocks) -> Result<Progress<T>>,
    ) -> Result<T> {
        let mut blocks = Blocks::default();
        for _ in 0..MAX_ROUNDS {
            let missing = match operation(&mut *node.lock(&self.tree)?, &blocks)? {
                Progress::Done(done) => return Ok(done),
                Progress::Need(missing) => missing,
            };
            for cid in missing {
                node.cancel().check()?;
                let found = if here {
                    node.local_block(&cid)
                } else {
                    node.block(&cid)
                };
                match found {
                    Ok(block) => blocks.insert(cid, block),
                    Err(Error::NotFound(_) | Error::Damaged { .. }) if here && !blocks.absent => {
                        blocks.absent = true;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Err(Error::Internal("a directory asked for blocks without end"))
    }

    /// As [`Open::run`] for a change: `guard` keeps its blocks until they are committed.
    pub(super) fn change<T>(
        &self,
        node: &Node,
        guard: &Arc<Guard>,
        mut operation: impl FnMut(&mut Tree, &Blocks) -> Result<Progress<T>>,
    ) -> Result<T> {
        self.run(node, |tree, blocks| {
            let done = operation(tree, blocks)?;
            if matches!(done, Progress::Done(_)) {
                tree.keep(guard);
            }
            Ok(done)
        })
    }

    /// The block of a directory as it is now, stored but not yet durable.
    pub(super) fn snapshot(&self, node: &Node, find: &DirFinder<'_>) -> Result<Target> {
        // What is not written yet is put here.
        if node.must_not_wait() && node.lock(&self.tree)?.has_changes() {
            node.check_may_wait()?;
        }
        let mut writing = node.lock(&self.writing)?;
        let guard = self.guard(node);
        let mut encoded = std::mem::take(&mut writing.left);
        let target = self.run_with(node, true, |tree, blocks| {
            let id = match find(tree, blocks)? {
                Progress::Done(id) => id,
                Progress::Need(missing) => return Ok(Progress::Need(missing)),
            };
            // A look at what is committed leaves nothing to commit.
            if tree.has_changes() {
                tree.keep(&guard);
                // The blocks that are made here are known to the tree only.
                tree.whole = true;
            }
            tree.write(id, &mut encoded, blocks)
        });
        self.put(node, &guard, &mut writing, encoded)?;
        target
    }

    /// Puts what was encoded.
    pub(super) fn put(
        &self,
        node: &Node,
        guard: &Guard,
        writing: &mut Writing,
        encoded: Vec<Block>,
    ) -> Result<()> {
        if encoded.is_empty() {
            return Ok(());
        }
        let put = node.put(guard, &encoded);
        if put.is_err() {
            writing.left = encoded;
            return put;
        }
        self.tree.lock().close_idle();
        put
    }
}

/// Finds a directory.
pub(super) type DirFinder<'a> = dyn Fn(&mut Tree, &Blocks) -> Result<Progress<DirId>> + 'a;

impl Tree {
    /// Keeps a guard until what it keeps is committed.
    pub(super) fn keep(&mut self, guard: &Arc<Guard>) {
        if !self.guards.iter().any(|kept| Arc::ptr_eq(kept, guard)) {
            self.guards.push(Arc::clone(guard));
        }
    }
}

fn load_root(node: &Node, defaults: &DirectoryOptions, cid: &Cid) -> Result<Directory> {
    let refused = |reason: String| MfsError::Root {
        root: cid.to_string(),
        reason,
    };
    let block = node
        .local_block(cid)
        .map_err(|error| refused(format!("error loading filesroot from dagservice: {error}")))?;
    let mut directory = load(defaults, cid, &block).map_err(|error| refused(error.to_string()))?;
    // As Kubo's root, which is named as the configuration says whatever it was.
    if CidSpec::of(cid)? != defaults.cid {
        directory.set_cid_spec(defaults.cid);
    }
    Ok(directory)
}
