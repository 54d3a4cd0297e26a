//! What sessions call: wanting, wanting no more, and how it goes.

use std::time::Instant;

use ipfs_kit_blockstore::Cid;
use libp2p::PeerId;
use smallvec::SmallVec;

use super::{Client, State, Want, count, fill};
use crate::SessionStats;
use crate::engine::ids::SessionId;
use crate::engine::session::Session;

impl Client {
    pub(in crate::engine) fn open_session(&mut self, now: Instant) -> SessionId {
        self.serial += 1;
        let id = SessionId(self.serial);
        self.sessions.insert(id, Session::new(now));
        id
    }

    pub(in crate::engine) fn close_session(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let live = session.live.iter().cloned().collect::<Vec<_>>();
        self.cancel(now, id, &live);
        if let Some(session) = self.sessions.remove(&id) {
            for peer in &session.hints {
                if let Some(sessions) = self.hints.get_mut(peer) {
                    sessions.retain(|session| *session != id);
                    if sessions.is_empty() {
                        self.hints.remove(peer);
                    }
                }
            }
        }
    }

    /// Whether the session may want `more` CIDs.
    pub(in crate::engine) fn has_room(&self, id: SessionId, more: usize) -> bool {
        let live = self
            .sessions
            .get(&id)
            .map_or(0, |session| session.live.len());
        live + more <= self.config.session_wants
    }

    pub(in crate::engine) fn want(&mut self, now: Instant, id: SessionId, cids: &[Cid]) -> usize {
        let Some(session) = self.sessions.get_mut(&id) else {
            return 0;
        };
        let before = session.live.len();
        for cid in cids {
            if !session.live.insert(cid.clone()) {
                continue;
            }
            let want = self.wants.entry(cid.clone()).or_insert_with(|| Want {
                sessions: SmallVec::new(),
                asked: SmallVec::new(),
                state: State::Idle,
                attempts: 0,
            });
            let is_idle = want.state == State::Idle;
            want.sessions.push((id, is_idle));
            match want.state {
                State::Idle => session.pending.push_back(cid.clone()),
                State::Flight { estimate, .. } => {
                    session.flights += 1;
                    session.in_flight += estimate;
                }
                State::Search { .. } => session.searching += 1,
            }
        }
        if session.pending.len() > 2 * session.live.len() + 64 {
            let live = &session.live;
            session.pending.retain(|cid| live.contains(cid));
        }
        let added = session.live.len() - before;
        self.wake(id);
        self.fill(now);
        added
    }

    /// Moves wants that nobody was asked for yet before all others of the session.
    pub(in crate::engine) fn prioritize(&mut self, now: Instant, id: SessionId, cids: &[Cid]) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        for cid in cids.iter().rev().filter(|cid| session.live.contains(*cid)) {
            let want = self.wants.get(cid);
            if want.is_some_and(|want| want.state == State::Idle) {
                // Its old place in the queue is passed over: an idle want is taken once.
                session.pending.push_front(cid.clone());
            }
        }
        self.wake(id);
        self.fill(now);
    }

    pub(in crate::engine) fn cancel(&mut self, now: Instant, id: SessionId, cids: &[Cid]) -> usize {
        let mut removed = 0;
        for cid in cids {
            let Some(session) = self.sessions.get_mut(&id) else {
                return 0;
            };
            if !session.live.remove(cid) {
                continue;
            }
            removed += 1;
            let Some(want) = self.wants.get_mut(cid) else {
                continue;
            };
            want.sessions.retain(|(session, _)| *session != id);
            count(session, want.state, false);
            if want.sessions.is_empty() {
                self.forget(cid, None, false);
            }
        }
        self.wake(id);
        self.fill(now);
        removed
    }

    /// The caller took `bytes` of delivered blocks.
    pub(in crate::engine) fn taken(&mut self, now: Instant, id: SessionId, bytes: u64) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.ready = session.ready.saturating_sub(bytes);
            self.wake(id);
            self.fill(now);
        }
    }

    /// Peers that are said to have the session's blocks.
    pub(in crate::engine) fn add_providers(
        &mut self,
        now: Instant,
        id: SessionId,
        peers: &[PeerId],
    ) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        for peer in peers {
            session.hint(*peer);
            if !session.hints.contains(peer) {
                continue;
            }
            let sessions = self.hints.entry(*peer).or_default();
            if !sessions.contains(&id) {
                sessions.push(id);
            }
            if let Some(number) = self.peers.number(peer) {
                session.add_peer(number);
            }
        }
        // Searched wants may now be asked of somebody by name.
        let searched = session.live.iter().filter(|cid| {
            let want = self.wants.get(*cid);
            want.is_some_and(|want| matches!(want.state, State::Search { .. }))
        });
        let mut searched = searched.cloned().collect::<Vec<_>>();
        searched.sort_unstable();
        for cid in searched {
            if matches!(self.choose(id, &cid), fill::Choice::Peer(_)) {
                self.set_state(&cid, State::Idle);
            }
        }
        self.wake(id);
        self.fill(now);
    }

    /// What no connected peer is known to have.
    pub(in crate::engine) fn searched(&self, id: SessionId) -> Vec<Cid> {
        let live = self.sessions.get(&id).into_iter();
        let live = live.flat_map(|session| session.live.iter());
        let searched = live.filter(|cid| {
            let want = self.wants.get(*cid);
            want.is_some_and(|want| matches!(want.state, State::Search { .. }))
        });
        searched.cloned().collect()
    }

    pub(in crate::engine) fn session_stats(
        &self,
        now: Instant,
        id: SessionId,
    ) -> Option<SessionStats> {
        let session = self.sessions.get(&id)?;
        let peers = session.peers.iter();
        Some(SessionStats {
            blocks: session.blocks,
            bytes: session.bytes,
            duplicates: session.duplicates,
            wanted: session.live.len(),
            in_flight: session.flights,
            searching: session.searching,
            peers: peers
                .filter_map(|peer| self.peers.id(peer.number))
                .collect(),
            rate: session.rate(now),
            age: now.saturating_duration_since(session.opened),
        })
    }
}
