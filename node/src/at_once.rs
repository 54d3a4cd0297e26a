//! Operations that must not wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Blocks that one operation may read, so that it gives a thread back that has others to serve. A path has a few, and short
/// ones; at 320 KiB, which the store gives at most, these are 5 MiB to copy and check.
const BLOCKS_MAX: usize = 16;

/// Given to [`crate::Node::at_once`]: tells afterwards whether something was asked for that was not at hand. Clones share
/// what they know.
#[derive(Clone, Debug, Default)]
pub struct AtOnce {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    missed: AtomicBool,
    blocks: AtomicUsize,
}

impl AtOnce {
    /// Whether something was not at hand. What the operation came to says nothing then.
    pub fn missed(&self) -> bool {
        self.shared.missed.load(Ordering::Relaxed)
    }

    /// Something is not at hand.
    pub fn miss(&self) {
        self.shared.missed.store(true, Ordering::Relaxed);
    }

    /// Counts a block that is read; whether it is not one too many.
    pub(crate) fn takes_block(&self) -> bool {
        self.shared.blocks.fetch_add(1, Ordering::Relaxed) < BLOCKS_MAX
    }
}
