//! What the node last said of itself, for who asks again before anything has changed.

use std::sync::Arc;

use parking_lot::Mutex;

use super::peers::PeerIdentity;

/// The answer, kept by the swarm's task for others to read. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(Arc<Mutex<Option<PeerIdentity>>>);

impl Told {
    pub fn get(&self) -> Option<PeerIdentity> {
        self.0.lock().clone()
    }

    /// Only for the task: what others set could be old already.
    pub fn set(&self, identity: &PeerIdentity) {
        *self.0.lock() = Some(identity.clone());
    }

    /// It may not be true any more.
    pub fn forget(&self) {
        *self.0.lock() = None;
    }
}
