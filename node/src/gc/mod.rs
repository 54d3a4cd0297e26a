//! Garbage collection: mark and sweep beside running writes.
//!
//! The sweep begins first and takes the end of the store as its watermark; the pins are read after that. Whatever is put
//! later is newer than the watermark; whatever an add or a pin in the making holds is kept by its guard, also when that
//! guard ends during the sweep. So a block that a pin reaches is found by the mark or kept by the store, whichever side of
//! the beginning it was pinned on.

mod collect;
pub mod mark;
mod periodic;
mod room;
#[cfg(test)]
mod tests;

use ipfs_kit_blockstore::cid::Cid;

use crate::error::Error;

pub(crate) use collect::collect;
pub use periodic::PeriodicGc;
pub(crate) use room::make_room;

/// What [`crate::Repo::gc`] reports while it runs.
#[derive(Debug)]
pub enum GcEvent {
    /// A block was removed; durable when the call returns.
    Removed(Cid),
    /// Something below a pin could not be read: what hangs below it is unknown, the rest goes on.
    Damaged(Error),
}

/// Answer of [`crate::Repo::gc`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Blocks removed.
    pub removed_blocks: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Blocks that pins keep.
    pub live_blocks: u64,
    /// Blocks below pins that are missing or damaged.
    pub damaged: u64,
}
