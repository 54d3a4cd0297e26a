//! What keeps blocks from being deleted while they are in use.
//!
//! A sweep deletes what was not reached from the pins when it looked. Three rules keep it from
//! deleting what is being used by then, whatever runs beside it:
//!
//! 1. Blocks at or after the sweep's watermark, the end of the store when it began, stay.
//! 2. Everything at or after the start of a guard stays, so new blocks need no registration.
//! 3. A block that a guard touched, or tried to put but found there, is registered with the guard
//!    *before* its existence is looked up again. Deletes check and remove under the same lock, so
//!    either the sweep sees the registration, or the guard sees the block gone and puts it anew.
//!
//! A guard that ends during a sweep counts until the sweep ends: its owner has just pinned what
//! the sweep could no longer see. Pin first, then drop the guard.

use std::collections::{HashMap, HashSet};
use std::fmt;

use parking_lot::{Condvar, Mutex, MutexGuard};
use rustc_hash::FxBuildHasher;

use super::key::fingerprint;
use super::types::Victim;
use super::{BlockStore, CompactReport, Deletion, Position, PutReport, StoreError};
use crate::block::Block;
use crate::cid::Multihash;

/// Registrations of one guard; beyond, it keeps every block, which is safe and needs no memory.
const REGISTERED_MAX: usize = 1 << 20;
/// Deletes under one lock, so that puts never wait long.
const DELETE_BATCH: usize = 4_096;

/// Keeps what is put through it or touched by it from every delete, while it lives.
pub struct Guard {
    store: BlockStore,
    id: GuardId,
}

impl Guard {
    pub(super) fn new(store: BlockStore) -> Self {
        let id = store.0.registry().open(|| store.0.position());
        Self { store, id }
    }

    /// As [`BlockStore::put_many`]; every one of the blocks stays while the guard lives.
    ///
    /// # Errors
    /// As [`BlockStore::put_many`].
    pub fn put_many(&self, blocks: &[Block]) -> Result<PutReport, StoreError> {
        self.store.0.put(blocks, Some(self.id))
    }

    /// Keeps a block that is already there. False when it is not there, or damaged.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub fn touch(&self, hash: &Multihash) -> Result<bool, StoreError> {
        if !hash.is_identity() {
            self.store
                .0
                .registry()
                .lock()
                .register(self.id, [fingerprint(hash)]);
        }
        self.store.has(hash)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.store.0.registry().lock().close(self.id);
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&self.id).finish()
    }
}

/// A garbage collection: what is deleted in it is durable after [`Sweep::finish`].
///
/// Begin it *before* reading the pins, mark what they reach, then delete the rest of
/// [`BlockStore::list`]. Puts, reads and new guards go on meanwhile; compaction and other sweeps
/// wait.
pub struct Sweep {
    store: BlockStore,
    watermark: Position,
}

impl Sweep {
    pub(super) fn new(store: BlockStore) -> Self {
        let watermark = store.0.registry().begin_sweep(|| store.0.position());
        Self { store, watermark }
    }

    /// Blocks at or after this position are newer than the sweep and stay.
    #[must_use]
    pub const fn watermark(&self) -> Position {
        self.watermark
    }

    /// Whether the position alone keeps a block from this sweep.
    #[must_use]
    pub fn is_protected(&self, position: Position) -> bool {
        position >= self.watermark
    }

    /// Deletes the blocks that are still at the positions named and that nothing protects. They
    /// are gone for readers at once; a crash before [`Sweep::finish`] may bring them back.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] and [`StoreError::Io`].
    pub fn delete(&self, victims: &[(Multihash, Position)]) -> Result<Vec<Deletion>, StoreError> {
        let mut answers = Vec::with_capacity(victims.len());
        for batch in victims.chunks(DELETE_BATCH) {
            let batch: Vec<Victim<'_>> = batch.iter().map(|(hash, at)| (hash, Some(*at))).collect();
            answers.extend(self.store.0.delete(&batch, Scope::Sweep)?);
        }
        Ok(answers)
    }

    /// Makes the deletes durable and removes the files in which nothing lives any more.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] and [`StoreError::Io`].
    pub fn finish(self) -> Result<CompactReport, StoreError> {
        self.store.0.sync_deletes()?;
        self.store.0.drop_dead()
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        self.store.0.registry().end_sweep();
    }
}

impl fmt::Debug for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sweep").field(&self.watermark).finish()
    }
}

/// Names a guard in the registry of its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct GuardId(u64);

/// Who asks for a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// A user: live guards protect.
    Request,
    /// The running sweep: also its watermark and the guards that ended since it began.
    Sweep,
}

/// The guards of a store, and the lock of sweep and compaction.
#[derive(Default)]
pub(super) struct Registry {
    guards: Mutex<Guards>,
    idle: Condvar,
}

/// Holds the maintenance lock of a store.
pub(super) struct Maintenance<'a>(&'a Registry);

impl Registry {
    pub(super) fn lock(&self) -> MutexGuard<'_, Guards> {
        self.guards.lock()
    }

    /// Excludes sweeps and compactions until dropped.
    pub(super) fn maintenance(&self) -> Maintenance<'_> {
        self.wait_idle().busy = true;
        Maintenance(self)
    }

    fn open(&self, position: impl FnOnce() -> Position) -> GuardId {
        let mut guards = self.guards.lock();
        let id = GuardId(guards.next);
        guards.next += 1;
        let since = position();
        guards.live.insert(
            id,
            Held {
                since,
                ..Held::default()
            },
        );
        id
    }

    fn begin_sweep(&self, position: impl FnOnce() -> Position) -> Position {
        let mut guards = self.wait_idle();
        guards.busy = true;
        let watermark = position();
        guards.sweep = Some(Held {
            since: watermark,
            ..Held::default()
        });
        watermark
    }

    fn end_sweep(&self) {
        self.guards.lock().sweep = None;
        self.end_maintenance();
    }

    fn wait_idle(&self) -> MutexGuard<'_, Guards> {
        let mut guards = self.guards.lock();
        while guards.busy {
            self.idle.wait(&mut guards);
        }
        guards
    }

    fn end_maintenance(&self) {
        self.guards.lock().busy = false;
        self.idle.notify_one();
    }
}

impl Drop for Maintenance<'_> {
    fn drop(&mut self) {
        self.0.end_maintenance();
    }
}

/// The state of a [`Registry`].
#[derive(Default)]
pub(super) struct Guards {
    next: u64,
    live: HashMap<GuardId, Held, FxBuildHasher>,
    /// What the running sweep must leave: its watermark and what ended guards held.
    sweep: Option<Held>,
    busy: bool,
}

impl Guards {
    /// Protects the blocks with these fingerprints while the guard lives.
    pub(super) fn register(&mut self, id: GuardId, fingerprints: impl IntoIterator<Item = u64>) {
        if let Some(held) = self.live.get_mut(&id) {
            held.register(fingerprints);
        }
    }

    pub(super) const fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    /// Whether a block may not be deleted.
    pub(super) fn protects(&self, hash: &Multihash, position: Position, scope: Scope) -> bool {
        let fingerprint = fingerprint(hash);
        let sweep = self.sweep.as_ref().filter(|_| scope == Scope::Sweep);
        self.live
            .values()
            .chain(sweep)
            .any(|held| held.holds(fingerprint, position))
    }

    fn close(&mut self, id: GuardId) {
        if let (Some(ended), Some(sweep)) = (self.live.remove(&id), &mut self.sweep) {
            sweep.since = sweep.since.min(ended.since);
            sweep.everything |= ended.everything;
            sweep.register(ended.hashes);
        }
    }
}

/// What one guard protects.
#[derive(Default)]
struct Held {
    since: Position,
    hashes: HashSet<u64, FxBuildHasher>,
    everything: bool,
}

impl Held {
    fn register(&mut self, fingerprints: impl IntoIterator<Item = u64>) {
        if self.everything {
            return;
        }
        self.hashes.extend(fingerprints);
        if self.hashes.len() > REGISTERED_MAX {
            self.everything = true;
            self.hashes = HashSet::default();
        }
    }

    fn holds(&self, fingerprint: u64, position: Position) -> bool {
        self.everything || position >= self.since || self.hashes.contains(&fingerprint)
    }
}
