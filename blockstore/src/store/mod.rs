//! Where blocks are kept: a crash-safe store in segment files and one in memory, behind one
//! handle with one contract.
//!
//! - [`BlockStore::put_many`] makes blocks visible at once and durable with the next
//!   [`BlockStore::sync`]; deletes are durable when they return.
//! - Blocks are known by multihash: two CIDs with the same multihash name the same stored bytes.
//!   Identity hashes carry their data, are answered from themselves and never stored.
//! - A [`Guard`] keeps what its owner puts or touches from every [`Sweep`] and delete, until it
//!   is dropped; see [`guard`].
//! - Bytes that do not match what was put are never returned: the block is quarantined, and put
//!   again it heals.
//!
//! What is on disk, and what survives which crash, is told in [`segment`].

pub mod disk;
mod entry;
mod error;
pub mod guard;
mod key;
mod memory;
mod options;
pub mod pages;
mod scan;
pub mod segment;
mod types;

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::block::Block;
use crate::cid::Multihash;

pub use error::StoreError;
pub use guard::{Guard, Sweep};
pub use options::{MemoryOptions, SegmentOptions};
pub use scan::{Blocks, ScrubStep};
pub use types::{
    BlockInfo, CompactReport, Deletion, Position, PutReport, StoreStats, VerifyReport,
};

use disk::{Disk, Folder};
use guard::{GuardId, Registry, Scope};
use types::Victim;

/// What every kind of store does. [`BlockStore`] documents the contract.
trait Store: Send + Sync {
    fn info(&self, hash: &Multihash) -> Result<Option<BlockInfo>, StoreError>;
    fn get(&self, hash: &Multihash) -> Result<Option<Bytes>, StoreError>;
    fn at_hand(&self, hash: &Multihash) -> Option<Bytes>;
    /// Reads the block, hashes it, and quarantines it when it is not what it should be. `None`
    /// when it is not there.
    fn check(&self, hash: &Multihash) -> Result<Option<bool>, StoreError>;
    fn put(&self, blocks: &[Block], guard: Option<GuardId>) -> Result<PutReport, StoreError>;
    fn sync(&self) -> Result<(), StoreError>;
    /// Takes out the victims that nothing protects; visible at once, durable with `sync_deletes`.
    fn delete(&self, victims: &[Victim<'_>], scope: Scope) -> Result<Vec<Deletion>, StoreError>;
    fn sync_deletes(&self) -> Result<(), StoreError>;
    /// Removes files in which nothing lives.
    fn drop_dead(&self) -> Result<CompactReport, StoreError>;
    fn compact(&self, dead_ratio: f64) -> Result<CompactReport, StoreError>;
    fn page(&self, after: Option<&Multihash>, limit: usize) -> Result<Page, StoreError>;
    fn parents(&self, hash: &Multihash) -> Result<Vec<Multihash>, StoreError>;
    fn stats(&self) -> StoreStats;
    /// Where the next block will be appended, or before.
    fn position(&self) -> Position;
    fn registry(&self) -> &Registry;
    fn close(&self) -> Result<(), StoreError>;
}

/// Some blocks in key order.
type Page = Vec<(Multihash, BlockInfo)>;

/// A handle on a store of blocks; clones are cheap and share the store.
#[derive(Clone)]
pub struct BlockStore(Arc<dyn Store>);

impl BlockStore {
    /// A store that lives in memory and dies with the last handle.
    #[must_use]
    pub fn memory(options: MemoryOptions) -> Self {
        Self(Arc::new(memory::MemoryStore::new(options)))
    }

    /// Opens the segment store in `dir`, creating it when there is none, and recovers what a
    /// crash has left.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it open, [`StoreError::NewerFormat`] when
    /// a newer version wrote it (nothing is changed then), [`StoreError::ReadOnly`] when it must
    /// be created or recovered and cannot be written, [`StoreError::Io`] otherwise.
    pub fn open(dir: &Path, options: SegmentOptions) -> Result<Self, StoreError> {
        Self::open_on(Arc::new(Folder::new(dir, options.direct)), options)
    }

    /// As [`BlockStore::open`], on another filesystem: for tests of what goes wrong.
    ///
    /// # Errors
    /// As [`BlockStore::open`].
    pub fn open_on(disk: Arc<dyn Disk>, options: SegmentOptions) -> Result<Self, StoreError> {
        Ok(Self(segment::SegmentStore::open(disk, options)?))
    }

    /// Whether the block is there and sound, as far as is known.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub fn has(&self, hash: &Multihash) -> Result<bool, StoreError> {
        Ok(self.info(hash)?.is_some_and(|info| !info.quarantined))
    }

    /// What is known of the block without reading it; `None` when it is not there.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub fn info(&self, hash: &Multihash) -> Result<Option<BlockInfo>, StoreError> {
        if hash.is_identity() {
            return Ok(Some(BlockInfo::identity(hash.digest().len() as u32)));
        }
        self.0.info(hash)
    }

    /// The block's bytes, checked; `None` when it is not there. From a segment store they point
    /// into the mapped file, which they keep alive.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the stored bytes are damaged, [`StoreError::Io`] when they
    /// cannot be read.
    pub fn get(&self, hash: &Multihash) -> Result<Option<Bytes>, StoreError> {
        if hash.is_identity() {
            return Ok(Some(Bytes::copy_from_slice(hash.digest())));
        }
        self.0.get(hash)
    }

    /// The bytes of a short block that can be had at once: from memory, where a page of the index is all that may have to
    /// be read from the device. `None` says nothing about whether the block is there: [`BlockStore::get`] knows.
    pub fn at_hand(&self, hash: &Multihash) -> Option<Bytes> {
        if hash.is_identity() {
            return self.get(hash).ok().flatten();
        }
        self.0.at_hand(hash)
    }

    /// Stores the blocks that are not there yet. They are visible when this returns and durable
    /// when a later [`BlockStore::sync`] returns. Nothing keeps a block that was already there
    /// from a sweep that runs now: put through a [`Guard`] for that.
    ///
    /// # Errors
    /// [`StoreError::StorageFull`] and [`StoreError::BlockTooLarge`] before anything is stored;
    /// [`StoreError::DiskFull`] and [`StoreError::Io`] with some of the blocks stored, each whole.
    pub fn put_many(&self, blocks: &[Block]) -> Result<PutReport, StoreError> {
        self.0.put(blocks, None)
    }

    /// Returns when every put and delete that returned before this call is durable. Calls at the
    /// same time share one write to the disk.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] when the disk could not keep them; the store is read-only then.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.0.sync()
    }

    /// A guard that keeps everything put through it or touched by it, and everything newer than
    /// itself, from being deleted.
    #[must_use]
    pub fn guard(&self) -> Guard {
        Guard::new(self.clone())
    }

    /// Begins a garbage collection. Waits for a running one or a compaction to end.
    #[must_use]
    pub fn sweep(&self) -> Sweep {
        Sweep::new(self.clone())
    }

    /// Whether a garbage collection runs. One that begins after the answer sees what was told before the question.
    #[must_use]
    pub fn is_sweeping(&self) -> bool {
        self.0.registry().lock().is_sweeping()
    }

    /// Deletes blocks, unless a guard keeps them; the answers are in the order of `hashes` and
    /// durable on return.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] and [`StoreError::Io`]; which of the deletes last is unknown then.
    pub fn delete_many(&self, hashes: &[Multihash]) -> Result<Vec<Deletion>, StoreError> {
        let victims: Vec<Victim<'_>> = hashes.iter().map(|hash| (hash, None)).collect();
        let deleted = self.0.delete(&victims, Scope::Request)?;
        self.0.sync_deletes()?;
        Ok(deleted)
    }

    /// Up to `limit` blocks after `after`, in an order that does not change. Nothing is locked
    /// between pages; blocks put or deleted meanwhile may be missed or listed.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub fn list(
        &self,
        after: Option<&Multihash>,
        limit: usize,
    ) -> Result<Vec<(Multihash, BlockInfo)>, StoreError> {
        self.0.page(after, limit)
    }

    /// Every block, as [`BlockStore::list`].
    #[must_use]
    pub fn blocks(&self) -> Blocks {
        Blocks::new(self.clone())
    }

    /// The stored blocks that link to this one, in key order.
    ///
    /// # Errors
    /// [`StoreError`] when the index or a possible parent cannot be read.
    pub fn parents(&self, hash: &Multihash) -> Result<Vec<Multihash>, StoreError> {
        self.0.parents(hash)
    }

    /// The counts.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.0.stats()
    }

    /// Reads and hashes every block. `on_block` hears of each whether it is sound, and may stop.
    /// Damaged blocks are quarantined.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub fn verify(
        &self,
        on_block: &mut dyn FnMut(&Multihash, bool) -> ControlFlow<()>,
    ) -> Result<VerifyReport, StoreError> {
        scan::verify(self, on_block)
    }

    /// Reads and hashes the blocks after `after` until `max_bytes` are read: one step of a pass in
    /// the background.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub fn scrub_step(
        &self,
        after: Option<&Multihash>,
        max_bytes: u64,
    ) -> Result<ScrubStep, StoreError> {
        scan::scrub_step(self, after, max_bytes)
    }

    /// The blocks that are quarantined.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub fn quarantined(&self) -> Result<Vec<Multihash>, StoreError> {
        scan::quarantined(self)
    }

    /// Gives back the space of deleted blocks, from every file in which more than a share of
    /// `dead_ratio` (0.0 to 1.0) of the bytes is dead. Waits for a running sweep to end.
    ///
    /// # Errors
    /// [`StoreError`]; what was done until then stays sound.
    pub fn compact(&self, dead_ratio: f64) -> Result<CompactReport, StoreError> {
        let _maintenance = self.0.registry().maintenance();
        self.0.compact(dead_ratio)
    }

    /// Makes everything durable and the next opening cheap. Writes are refused afterwards. The
    /// last handle does the same when it is dropped, but cannot report errors.
    ///
    /// # Errors
    /// As [`BlockStore::sync`].
    pub fn close(&self) -> Result<(), StoreError> {
        self.0.close()
    }
}

impl fmt::Debug for BlockStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockStore").field(&self.stats()).finish()
    }
}
