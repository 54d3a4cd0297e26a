//! The fetching side: sessions, wants, and who was asked for what.
//!
//! A want is *idle* (nobody is being asked for the block), *in flight* (one peer is) or *searched*
//! (no connected peer is known to have it; all are asked whether they do). Idle wants stand in the
//! queues of the sessions that want them.

mod answers;
mod fill;
mod time;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Instant;

use ipfs_kit_blockstore::{Block, Cid};
use libp2p::PeerId;
use rustc_hash::{FxHashMap, FxSeededState};
use smallvec::SmallVec;
use std::collections::HashMap;

use super::asks::Peer;
use super::ids::{PeerNo, Peers, SessionId};
use super::session::Session;
use crate::wire::WantEntry;
use crate::{Config, SessionStats};

/// Where a want stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Flight { peer: PeerNo, estimate: u64 },
    Search { serial: u64 },
}

/// What a peer said about a want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Have,
    DontHave,
    /// It was asked for the block and took too long.
    Late,
}

#[derive(Debug)]
struct Want {
    /// The sessions that want it; true while the want stands in the session's queue.
    sessions: SmallVec<[(SessionId, bool); 1]>,
    asked: SmallVec<[(PeerNo, Said); 1]>,
    state: State,
    /// Searches so far.
    attempts: u32,
}

/// Something the caller must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A wanted block for a session.
    Block {
        /// The session.
        session: SessionId,
        /// The block.
        block: Block,
    },
    /// No connected peer is known to have a block.
    NeedProviders {
        /// The session that wants it.
        session: SessionId,
        /// The block.
        cid: Cid,
    },
    /// A peer sent too many blocks that nobody asked it for. It is not asked any more.
    Misbehaving(PeerId),
}

/// Received blocks, counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Received {
    pub(super) blocks: u64,
    pub(super) bytes: u64,
    pub(super) dup_blocks: u64,
    pub(super) dup_bytes: u64,
    pub(super) unsolicited_blocks: u64,
    pub(super) unsolicited_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Client {
    config: Config,
    peers: Peers<Peer>,
    wants: HashMap<Cid, Want, FxSeededState>,
    sessions: BTreeMap<SessionId, Session>,
    /// Sessions that could ask for more as soon as a peer has room.
    hungry: VecDeque<SessionId>,
    /// Searches by serial: a newly connected peer is asked for them.
    searches: BTreeMap<u64, Cid>,
    search_timers: BinaryHeap<Reverse<(Instant, u64)>>,
    next_check: Option<Instant>,
    ring: VecDeque<PeerNo>,
    events: VecDeque<Event>,
    hints: FxHashMap<PeerId, SmallVec<[SessionId; 1]>>,
    serial: u64,
    priority: i32,
    pub(super) received: Received,
}

impl Client {
    pub(super) fn new(config: Config, seed: usize) -> Self {
        Self {
            config,
            peers: Peers::new(),
            wants: HashMap::with_hasher(FxSeededState::with_seed(seed)),
            sessions: BTreeMap::new(),
            hungry: VecDeque::new(),
            searches: BTreeMap::new(),
            search_timers: BinaryHeap::new(),
            next_check: None,
            ring: VecDeque::new(),
            events: VecDeque::new(),
            hints: FxHashMap::default(),
            serial: 0,
            priority: i32::MAX,
            received: Received::default(),
        }
    }

    pub(super) fn handle_connected(&mut self, now: Instant, peer: PeerId) {
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

    pub(super) fn handle_disconnected(&mut self, now: Instant, peer: &PeerId) {
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
    pub(super) fn handle_stream_lost(&mut self, peer: &PeerId) {
        if let Some(number) = self.peers.number(peer)
            && let Some(state) = self.peers.get_mut(number)
        {
            state.resend = true;
            self.enqueue(number);
        }
    }

    pub(super) fn open_session(&mut self, now: Instant) -> SessionId {
        self.serial += 1;
        let id = SessionId(self.serial);
        self.sessions.insert(id, Session::new(now));
        id
    }

    pub(super) fn close_session(&mut self, now: Instant, id: SessionId) {
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
    pub(super) fn has_room(&self, id: SessionId, more: usize) -> bool {
        let live = self
            .sessions
            .get(&id)
            .map_or(0, |session| session.live.len());
        live + more <= self.config.session_wants
    }

    pub(super) fn want(&mut self, now: Instant, id: SessionId, cids: &[Cid]) -> usize {
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
    pub(super) fn prioritize(&mut self, now: Instant, id: SessionId, cids: &[Cid]) {
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

    pub(super) fn cancel(&mut self, now: Instant, id: SessionId, cids: &[Cid]) -> usize {
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
    pub(super) fn taken(&mut self, now: Instant, id: SessionId, bytes: u64) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.ready = session.ready.saturating_sub(bytes);
            self.wake(id);
            self.fill(now);
        }
    }

    /// Peers that are said to have the session's blocks.
    pub(super) fn add_providers(&mut self, now: Instant, id: SessionId, peers: &[PeerId]) {
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
    pub(super) fn searched(&self, id: SessionId) -> Vec<Cid> {
        let live = self.sessions.get(&id).into_iter();
        let live = live.flat_map(|session| session.live.iter());
        let searched = live.filter(|cid| {
            let want = self.wants.get(*cid);
            want.is_some_and(|want| matches!(want.state, State::Search { .. }))
        });
        searched.cloned().collect()
    }

    pub(super) fn session_stats(&self, now: Instant, id: SessionId) -> Option<SessionStats> {
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

    pub(super) fn peers(&self) -> Vec<PeerId> {
        self.peers.ids().copied().collect()
    }

    pub(super) fn wantlist(&self) -> Vec<Cid> {
        self.wants.keys().cloned().collect()
    }

    /// Whether a block from this peer could be a wanted one.
    pub(super) fn is_expected(&self, peer: &PeerId) -> bool {
        let number = self.peers.number(peer);
        let peer = number.and_then(|number| self.peers.get(number));
        peer.is_some_and(Peer::is_expected)
    }

    /// Whether the connection to this peer is of use to a session.
    pub(super) fn is_used(&self, peer: &PeerId) -> bool {
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

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next peer that has to be told something, until it was told with [`Client::take_entries`].
    pub(super) fn poll_peer(&mut self) -> Option<PeerId> {
        while let Some(number) = self.ring.pop_front() {
            if let Some(peer) = self.peers.get_mut(number) {
                peer.in_ring = false;
                return self.peers.id(number);
            }
        }
        None
    }

    pub(super) fn take_entries(&mut self, peer: &PeerId) -> Option<(bool, Vec<WantEntry>)> {
        let peer = self.peers.get_mut(self.peers.number(peer)?)?;
        let priority = &mut self.priority;
        peer.has_entries()
            .then(|| peer.take_entries(|| next_priority(priority)))
    }

    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        let peers = self.peers.sorted();
        let mut peers = peers
            .into_iter()
            .filter_map(|number| self.peers.get(number));
        let sessions_idle = self.sessions.values().all(|session| {
            (session.in_flight, session.flights, session.searching) == (0, 0, 0)
                && session.live.is_empty()
        });
        self.wants.is_empty()
            && self.searches.is_empty()
            && sessions_idle
            && peers.all(|peer| peer.asks.is_empty() && peer.in_flight == 0 && peer.flights == 0)
    }

    fn enqueue(&mut self, number: PeerNo) {
        if let Some(peer) = self.peers.get_mut(number)
            && !std::mem::replace(&mut peer.in_ring, true)
        {
            self.ring.push_back(number);
        }
    }

    fn wake(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && !session.pending.is_empty()
            && !std::mem::replace(&mut session.hungry, true)
        {
            self.hungry.push_back(id);
        }
    }

    fn wake_all(&mut self) {
        for (id, session) in &mut self.sessions {
            session.pending.extend(session.parked.drain(..));
            if !session.pending.is_empty() && !std::mem::replace(&mut session.hungry, true) {
                self.hungry.push_back(*id);
            }
        }
    }

    /// Moves a want and keeps the counts of its sessions.
    fn set_state(&mut self, cid: &Cid, state: State) {
        let Some(want) = self.wants.get_mut(cid) else {
            return;
        };
        let before = std::mem::replace(&mut want.state, state);
        if let State::Search { serial } = before {
            self.searches.remove(&serial);
        }
        for (id, queued) in &mut want.sessions {
            let Some(session) = self.sessions.get_mut(id) else {
                continue;
            };
            count(session, before, false);
            count(session, state, true);
            if state == State::Idle && !std::mem::replace(queued, true) {
                session.pending.push_front(cid.clone());
            }
            if !session.pending.is_empty() && !std::mem::replace(&mut session.hungry, true) {
                self.hungry.push_back(*id);
            }
        }
    }

    /// Removes a want that came or is not wanted any more, and cancels it at everybody who was
    /// asked, except at the peer that sent it.
    fn forget(&mut self, cid: &Cid, sender: Option<PeerNo>, received: bool) -> Option<Want> {
        let want = self.wants.remove(cid)?;
        if let State::Search { serial } = want.state {
            self.searches.remove(&serial);
        }
        for (number, said) in &want.asked {
            let Some(peer) = self.peers.get_mut(*number) else {
                continue;
            };
            let was_have = peer
                .asks
                .get(cid)
                .is_some_and(|ask| ask.kind == crate::wire::WantKind::Have);
            if Some(*number) == sender || (*said == Said::Have && was_have) {
                peer.withdraw(cid);
            } else {
                let sessions = want.sessions.iter().map(|(session, _)| *session);
                peer.cancel(cid, received, sessions);
                self.enqueue(*number);
            }
        }
        Some(want)
    }
}

fn count(session: &mut Session, state: State, add: bool) {
    let step = |value: &mut usize| {
        *value = if add {
            *value + 1
        } else {
            value.saturating_sub(1)
        }
    };
    match state {
        State::Idle => {}
        State::Flight { estimate, .. } => {
            step(&mut session.flights);
            session.in_flight = if add {
                session.in_flight + estimate
            } else {
                session.in_flight.saturating_sub(estimate)
            };
        }
        State::Search { .. } => step(&mut session.searching),
    }
}

/// Earlier wants are more urgent. After 2^31 of them the order starts anew.
fn next_priority(priority: &mut i32) -> i32 {
    *priority = if *priority <= 1 {
        i32::MAX
    } else {
        *priority - 1
    };
    *priority
}
