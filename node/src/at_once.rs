//! Operations that must not wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Given to [`crate::Node::at_once`]: tells afterwards whether something was asked for that was not at hand. Clones share
/// what they know.
#[derive(Clone, Debug, Default)]
pub struct AtOnce {
    missed: Arc<AtomicBool>,
}

impl AtOnce {
    /// Whether something was not at hand. What the operation came to says nothing then.
    pub fn missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    /// Something is not at hand.
    pub fn miss(&self) {
        self.missed.store(true, Ordering::Relaxed);
    }
}
