//! Peers that are to stay connected, and when to dial them again. A plain state machine: the clock is an argument.

use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};
use rustc_hash::{FxHashMap, FxHasher};

/// Waits between dials of one peer.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// After the first failure.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

/// Kubo's values for `Peering.Peers`.
pub const PEERING: Pace = Pace {
    first: Duration::from_secs(5),
    longest: Duration::from_secs(600),
};

/// For the bootstrap list, which is only dialled while there are few peers.
pub const BOOTSTRAP: Pace = Pace {
    first: Duration::from_secs(30),
    longest: Duration::from_secs(600),
};

struct Entry {
    addresses: Vec<Multiaddr>,
    failures: u32,
    due: Instant,
    connected: bool,
}

/// Call [`Redial::poll_due`] with the time, dial what it returns, and tell what became of it.
pub struct Redial {
    pace: Pace,
    peers: FxHashMap<PeerId, Entry>,
}

impl Redial {
    /// Nobody yet.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            peers: FxHashMap::default(),
        }
    }

    /// Takes a peer in, due at once; addresses of one that is there are added.
    pub fn add(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant, connected: bool) {
        let entry = self.peers.entry(peer).or_insert_with(|| Entry {
            addresses: Vec::new(),
            failures: 0,
            due: now,
            connected,
        });
        for address in addresses {
            if !entry.addresses.contains(&address) {
                entry.addresses.push(address);
            }
        }
    }

    /// Lets a peer go. `false` when it was not there.
    pub fn remove(&mut self, peer: &PeerId) -> bool {
        self.peers.remove(peer).is_some()
    }

    /// Whether the peer is kept connected.
    pub fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    /// Everyone, with the addresses given for them.
    pub fn list(&self) -> impl Iterator<Item = (&PeerId, &[Multiaddr])> {
        self.peers
            .iter()
            .map(|(peer, entry)| (peer, entry.addresses.as_slice()))
    }

    /// A connection to the peer was made.
    pub fn handle_connected(&mut self, peer: &PeerId) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.connected = true;
            entry.failures = 0;
        }
    }

    /// The last connection to the peer ended.
    pub fn handle_disconnected(&mut self, peer: &PeerId, now: Instant) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.connected = false;
            entry.due = now + wait(self.pace, peer, 0);
        }
    }

    /// The peers to dial now. Each counts as failed until it is told to be connected.
    pub fn poll_due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut due = Vec::new();
        for (peer, entry) in &mut self.peers {
            if !entry.connected && entry.due <= now {
                entry.due = now + wait(self.pace, peer, entry.failures);
                entry.failures = entry.failures.saturating_add(1);
                due.push((*peer, entry.addresses.clone()));
            }
        }
        due
    }
}

/// Grows by half with each failure; a tenth of jitter, drawn from the peer's id, keeps many peers from one beat.
fn wait(pace: Pace, peer: &PeerId, failures: u32) -> Duration {
    let factor = 1.5_f64.powi(i32::try_from(failures.min(64)).unwrap_or(64));
    let plain = (pace.first.as_secs_f64() * factor).min(pace.longest.as_secs_f64());
    let mut hasher = FxHasher::default();
    (peer, failures).hash(&mut hasher);
    let jitter = (hasher.finish() % 1000) as f64 / 1000.0 * 0.1;
    Duration::from_secs_f64(plain * (1.0 + jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_first_to_longest_and_start_anew_after_a_connection() {
        let mut now = Instant::now();
        let mut redial = Redial::new(PEERING);
        let peer = PeerId::random();
        redial.add(peer, Vec::new(), now, false);
        let mut gaps = Vec::new();
        let mut last = now;
        while gaps.len() < 20 {
            if !redial.poll_due(now).is_empty() {
                gaps.push(now - last);
                last = now;
            }
            now += Duration::from_secs(1);
        }
        assert_eq!(gaps[0], Duration::ZERO);
        assert!((5..=6).contains(&gaps[1].as_secs()), "{gaps:?}");
        assert!((600..=661).contains(&gaps[19].as_secs()), "{gaps:?}");
        redial.handle_connected(&peer);
        assert!(redial.poll_due(now + Duration::from_secs(9999)).is_empty());
        redial.handle_disconnected(&peer, now);
        assert!(redial.poll_due(now).is_empty());
        assert_eq!(redial.poll_due(now + Duration::from_secs(6)).len(), 1);
    }
}
