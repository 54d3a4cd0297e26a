//! The fetching side: sessions, wants, and who was asked for what.
//!
//! A want is *idle* (nobody is being asked for the block), *in flight* (one peer is) or *searched*
//! (no connected peer is known to have it; all are asked whether they do). Idle wants stand in the
//! queues of the sessions that want them.

mod answers;
mod fill;
mod peers;
mod sessions;
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
use crate::Config;

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

    pub(super) fn wantlist(&self) -> Vec<Cid> {
        self.wants.keys().cloned().collect()
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
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
