//! Peers whose connections carry something that would break, so that they are the last to be trimmed.

use std::sync::Arc;

use libp2p::PeerId;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// How often each peer is held.
#[derive(Default)]
pub struct Busy(Mutex<FxHashMap<PeerId, u32>>);

impl Busy {
    /// The peer counts as busy while the hold lives.
    pub fn hold(self: &Arc<Self>, peer: PeerId) -> Hold {
        *self.0.lock().entry(peer).or_default() += 1;
        Hold {
            busy: Arc::clone(self),
            peer,
        }
    }

    /// Whether anything holds the peer.
    pub fn contains(&self, peer: &PeerId) -> bool {
        self.0.lock().contains_key(peer)
    }
}

/// See [`Busy::hold`].
pub struct Hold {
    busy: Arc<Busy>,
    peer: PeerId,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.busy.0.lock();
        if let Some(count) = held.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_busy_until_the_last_hold_ends() {
        let busy = Arc::new(Busy::default());
        let peer = PeerId::random();
        let (one, two) = (busy.hold(peer), busy.hold(peer));
        drop(one);
        assert!(busy.contains(&peer));
        drop(two);
        assert!(!busy.contains(&peer));
    }
}
