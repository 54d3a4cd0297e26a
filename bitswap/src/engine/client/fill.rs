//! Asking: which peer is asked for which want.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use ipfs_kit_blockstore::Cid;

use super::{Client, Said, State, next_priority};
use crate::engine::ids::{PeerNo, SessionId};
use crate::wire::{WantEntry, WantKind};

/// Wants that a session asks for before the next session has its turn.
const TURN: usize = 64;
/// Searches that a session begins before it knows any peer: they find the peers for the rest.
const OPENING: usize = 2;
/// Searches that a new peer is asked for.
const PROBES: usize = 64;
/// A peer that gave something in this time is asked for the first block of a session at once.
const GOOD_FOR: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Peer(PeerNo),
    /// Those who could be asked are busy.
    Busy,
    Nobody,
}

enum Turn {
    Done,
    Over,
    Blocked,
}

impl Client {
    /// Asks for as much as the windows allow.
    pub(in crate::engine) fn fill(&mut self, now: Instant) {
        let mut blocked = Vec::new();
        while let Some(id) = self.hungry.pop_front() {
            match self.fill_session(now, id) {
                Turn::Done => {
                    if let Some(session) = self.sessions.get_mut(&id) {
                        session.hungry = false;
                    }
                }
                Turn::Over => self.hungry.push_back(id),
                Turn::Blocked => blocked.push(id),
            }
        }
        self.hungry.extend(blocked);
    }

    fn fill_session(&mut self, now: Instant, id: SessionId) -> Turn {
        for _ in 0..TURN {
            let Some(session) = self.sessions.get_mut(&id) else {
                return Turn::Done;
            };
            if session.in_flight + session.ready >= self.config.session_window {
                return Turn::Done;
            }
            let Some(cid) = self.next_idle(id) else {
                return Turn::Done;
            };
            match self.choose(id, &cid) {
                Choice::Peer(peer) => self.fly(now, id, peer, &cid),
                Choice::Busy => {
                    self.put_back(id, cid);
                    return Turn::Blocked;
                }
                Choice::Nobody => {
                    if !self.may_search(id) {
                        self.put_aside(id, cid);
                        continue;
                    }
                    self.search(now, id, &cid);
                }
            }
        }
        Turn::Over
    }

    /// The next want of the session's queue that nobody is asked for.
    fn next_idle(&mut self, id: SessionId) -> Option<Cid> {
        let session = self.sessions.get_mut(&id)?;
        while let Some(cid) = session.pending.pop_front() {
            let Some(want) = self.wants.get_mut(&cid) else {
                continue;
            };
            let place = want.sessions.iter_mut().find(|(session, _)| *session == id);
            if let Some((_, queued)) = place
                && std::mem::take(queued)
                && want.state == State::Idle
            {
                return Some(cid);
            }
        }
        None
    }

    fn put_back(&mut self, id: SessionId, cid: Cid) {
        self.mark_queued(id, &cid);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.pending.push_front(cid);
        }
    }

    fn put_aside(&mut self, id: SessionId, cid: Cid) {
        self.mark_queued(id, &cid);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.parked.push_back(cid);
        }
    }

    fn mark_queued(&mut self, id: SessionId, cid: &Cid) {
        let sessions = self.wants.get_mut(cid).map(|want| &mut want.sessions);
        for (session, queued) in sessions.into_iter().flatten() {
            *queued |= *session == id;
        }
    }

    /// The peer of the session from which the block would be here first.
    pub(super) fn choose(&self, id: SessionId, cid: &Cid) -> Choice {
        let (Some(session), Some(want)) = (self.sessions.get(&id), self.wants.get(cid)) else {
            return Choice::Nobody;
        };
        let estimate = session.estimate();
        let mut best: Option<(bool, f64, PeerNo)> = None;
        let (mut strong_busy, mut any_busy) = (false, false);
        for candidate in &session.peers {
            let number = candidate.number;
            let Some(peer) = self.peers.get(number).filter(|peer| !peer.banned) else {
                continue;
            };
            let said = want.asked.iter().find(|(asked, _)| *asked == number);
            let said = said.map(|(_, said)| *said);
            if matches!(said, Some(Said::DontHave | Said::Late)) {
                continue;
            }
            let is_weak = peer.stalled || (candidate.is_weak() && said != Some(Said::Have));
            let fits = peer.in_flight + estimate <= peer.link.window(&self.config);
            let has_room = peer.flights == 0 || (fits && peer.flights < self.config.peer_wants);
            if !has_room {
                strong_busy |= !is_weak;
                any_busy |= !peer.stalled;
                continue;
            }
            let cost = peer.link.seconds_for(peer.in_flight + estimate);
            if best.is_none_or(|(weak, least, _)| (is_weak, cost) < (weak, least)) {
                best = Some((is_weak, cost, number));
            }
        }
        match best {
            Some((true, ..)) if strong_busy => Choice::Busy,
            Some((_, _, peer)) => Choice::Peer(peer),
            None if any_busy => Choice::Busy,
            None => Choice::Nobody,
        }
    }

    /// Asks a peer for a block.
    pub(super) fn fly(&mut self, now: Instant, id: SessionId, peer: PeerNo, cid: &Cid) {
        let estimate = self
            .sessions
            .get(&id)
            .map_or(0, |session| session.estimate());
        self.ask(now, peer, cid, WantKind::Block, estimate);
        self.set_state(cid, State::Flight { peer, estimate });
        self.schedule_check(now);
    }

    pub(super) fn ask(
        &mut self,
        now: Instant,
        number: PeerNo,
        cid: &Cid,
        kind: WantKind,
        estimate: u64,
    ) {
        let (Some(peer), Some(want)) = (self.peers.get_mut(number), self.wants.get_mut(cid)) else {
            return;
        };
        let entry = WantEntry {
            cid: cid.clone(),
            priority: next_priority(&mut self.priority),
            cancel: false,
            kind,
            send_dont_have: true,
        };
        peer.ask(now, entry, estimate);
        match want.asked.iter_mut().find(|(asked, _)| *asked == number) {
            Some((_, said)) => *said = Said::Nothing,
            None => want.asked.push((number, Said::Nothing)),
        }
        self.enqueue(number);
    }

    fn may_search(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| {
            if session.peers.is_empty() && !session.search_failed {
                session.searching + session.flights < OPENING
            } else {
                session.searching < self.config.session_broadcast
            }
        })
    }

    /// Asks every connected peer whether it has the block, and the likeliest for the block itself.
    fn search(&mut self, now: Instant, id: SessionId, cid: &Cid) {
        let guess = self.guess(now, cid);
        self.serial += 1;
        let serial = self.serial;
        self.set_state(cid, State::Search { serial });
        self.searches.insert(serial, cid.clone());
        let asked = self.broadcast(now, cid, guess);
        if let Some(peer) = guess {
            self.fly(now, id, peer, cid);
            return;
        }
        let wait = if asked {
            self.config.provider_delay
        } else {
            Duration::ZERO
        };
        self.search_timers.push(Reverse((now + wait, serial)));
    }

    /// True when somebody may still answer.
    pub(super) fn broadcast(&mut self, now: Instant, cid: &Cid, except: Option<PeerNo>) -> bool {
        let Some(want) = self.wants.get(cid) else {
            return false;
        };
        let waits = want.asked.iter().any(|(_, said)| *said == Said::Nothing);
        let fresh = self.peers.sorted().into_iter().filter(|number| {
            Some(*number) != except
                && self.peers.get(*number).is_some_and(|peer| !peer.banned)
                && want.asked.iter().all(|(asked, _)| asked != number)
        });
        let fresh = fresh.take(self.config.broadcast_peers).collect::<Vec<_>>();
        for number in &fresh {
            self.ask(now, *number, cid, WantKind::Have, 0);
        }
        waits || !fresh.is_empty()
    }

    /// A peer worth being asked for a block before it said that it has it.
    fn guess(&self, now: Instant, cid: &Cid) -> Option<PeerNo> {
        let want = self.wants.get(cid)?;
        let unasked = |number: &PeerNo| want.asked.iter().all(|(asked, _)| asked != number);
        let peers = self.peers.sorted();
        if let [only] = peers[..] {
            let banned = self.peers.get(only)?.banned;
            return Some(only).filter(|only| unasked(only) && !banned);
        }
        let good = peers.into_iter().filter(unasked).filter_map(|number| {
            let peer = self.peers.get(number)?;
            let at = peer.received_at?;
            let recent = now.saturating_duration_since(at) < GOOD_FOR;
            (recent && !peer.banned && !peer.stalled).then_some((at, number))
        });
        good.max().map(|(_, number)| number)
    }

    /// Asks a new peer for what is being searched, and one want of each session without a search.
    pub(super) fn probe(&mut self, now: Instant, number: PeerNo) {
        let searched = self.searches.values().take(PROBES).cloned();
        let mut cids = searched.collect::<Vec<_>>();
        for session in self.sessions.values().take(PROBES) {
            if session.searching == 0 {
                cids.extend(session.pending.front().cloned());
            }
        }
        for cid in cids {
            let known = self.wants.get(&cid);
            if known.is_some_and(|want| want.asked.iter().all(|(asked, _)| *asked != number)) {
                self.ask(now, number, &cid, WantKind::Have, 0);
            }
        }
    }

    pub(super) fn peer_count(&self) -> usize {
        self.peers.len()
    }
}
