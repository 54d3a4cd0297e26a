//! Peers that come and go, and what they are to be told.

use std::time::Instant;

use libp2p::PeerId;

use super::{Client, State, next_priority};
use crate::engine::asks::Peer;
use crate::engine::ids::PeerNo;
use crate::wire::WantEntry;

impl Client {
    pub(in crate::engine) fn handle_connected(&mut self, now: Instant, peer: PeerId) {
        if self.peers.number(&peer).is_some() {
            return;
        }
        let number = self.peers.insert(peer, Peer::new());
        for session in self.hints.get(&peer).into_iter().flatten() {
            if let Some(session) = self.sessions.get_mut(session) {
                session.add_peer(number);
            }
        }
        self.probe(now, number);
        self.wake_all();
        self.fill(now);
    }

    pub(in crate::engine) fn handle_disconnected(&mut self, now: Instant, peer: &PeerId) {
        let Some((number, state)) = self.peers.remove(peer) else {
            return;
        };
        for session in self.sessions.values_mut() {
            session.remove_peer(number);
        }
        for cid in state.asks.keys() {
            let Some(want) = self.wants.get_mut(cid) else {
                continue;
            };
            want.asked.retain(|(asked, _)| *asked != number);
            if matches!(want.state, State::Flight { peer, .. } if peer == number) {
                self.set_state(cid, State::Idle);
            }
        }
        self.wake_all();
        self.fill(now);
    }

    /// What was sent to the peer may be lost: its want list is sent anew.
    pub(in crate::engine) fn handle_stream_lost(&mut self, peer: &PeerId) {
        if let Some(number) = self.peers.number(peer)
            && let Some(state) = self.peers.get_mut(number)
        {
            state.resend = true;
            self.enqueue(number);
        }
    }

    pub(in crate::engine) fn peers(&self) -> Vec<PeerId> {
        self.peers.ids().copied().collect()
    }

    /// Whether a block from this peer could be a wanted one.
    pub(in crate::engine) fn is_expected(&self, peer: &PeerId) -> bool {
        let number = self.peers.number(peer);
        let peer = number.and_then(|number| self.peers.get(number));
        peer.is_some_and(Peer::is_expected)
    }

    /// Whether the connection to this peer is of use to a session.
    pub(in crate::engine) fn is_used(&self, peer: &PeerId) -> bool {
        let Some(number) = self.peers.number(peer) else {
            return false;
        };
        let asked = self.peers.get(number).is_some_and(|peer| peer.flights > 0);
        let mut sessions = self.sessions.values();
        asked
            || sessions.any(|session| {
                !session.live.is_empty() && session.peers.iter().any(|peer| peer.number == number)
            })
    }

    /// The next peer that has to be told something, until it was told with [`Client::take_entries`].
    pub(in crate::engine) fn poll_peer(&mut self) -> Option<PeerId> {
        while let Some(number) = self.ring.pop_front() {
            if let Some(peer) = self.peers.get_mut(number) {
                peer.in_ring = false;
                return self.peers.id(number);
            }
        }
        None
    }

    pub(in crate::engine) fn take_entries(
        &mut self,
        peer: &PeerId,
    ) -> Option<(bool, Vec<WantEntry>)> {
        let peer = self.peers.get_mut(self.peers.number(peer)?)?;
        let priority = &mut self.priority;
        peer.has_entries()
            .then(|| peer.take_entries(|| next_priority(priority)))
    }

    pub(in crate::engine) fn enqueue(&mut self, number: PeerNo) {
        if let Some(peer) = self.peers.get_mut(number)
            && !std::mem::replace(&mut peer.in_ring, true)
        {
            self.ring.push_back(number);
        }
    }
}
