//! Relays that this node asks to keep a place for it (`Swarm.RelayClient.StaticRelays`). A plain state machine.

use std::time::{Duration, Instant};

use libp2p::core::transport::ListenerId;
use libp2p::{Multiaddr, PeerId};
use rustc_hash::FxHashMap;

/// Between two requests to one relay.
const RETRY: Duration = Duration::from_secs(30);

struct Relay {
    address: Multiaddr,
    listener: Option<ListenerId>,
    due: Instant,
}

/// The relays. Call [`Relays::poll_due`], listen where it says, and tell the listener.
#[derive(Default)]
pub struct Relays(FxHashMap<PeerId, Relay>);

impl Relays {
    /// Takes a relay in, whose address does not end with its id.
    pub fn add(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
        let relay = Relay {
            address,
            listener: None,
            due: now,
        };
        self.0.insert(peer, relay);
    }

    /// The relays to ask now.
    pub fn poll_due(&mut self, now: Instant) -> Vec<(PeerId, Multiaddr)> {
        let due = self
            .0
            .iter_mut()
            .filter(|(_, relay)| relay.listener.is_none() && relay.due <= now);
        due.map(|(peer, relay)| {
            relay.due = now + RETRY;
            (*peer, relay.address.clone())
        })
        .collect()
    }

    /// A request is under way or granted.
    pub fn handle_listener(&mut self, peer: &PeerId, listener: ListenerId) {
        if let Some(relay) = self.0.get_mut(peer) {
            relay.listener = Some(listener);
        }
    }

    /// A listener ended.
    pub fn handle_closed(&mut self, listener: ListenerId) {
        for relay in self.0.values_mut() {
            if relay.listener == Some(listener) {
                relay.listener = None;
            }
        }
    }

    /// Whether the peer is one of them.
    pub fn contains(&self, peer: &PeerId) -> bool {
        self.0.contains_key(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asked_once_until_the_listener_ends_and_not_too_often() {
        let now = Instant::now();
        let mut relays = Relays::default();
        let peer = PeerId::random();
        relays.add(peer, "/ip4/1.2.3.4/tcp/1".parse().unwrap(), now);
        assert_eq!(relays.poll_due(now).len(), 1);
        let listener = ListenerId::next();
        relays.handle_listener(&peer, listener);
        assert!(relays.poll_due(now + RETRY).is_empty());
        relays.handle_closed(listener);
        assert!(relays.poll_due(now + RETRY / 2).is_empty());
        assert_eq!(relays.poll_due(now + RETRY).len(), 1);
    }
}
