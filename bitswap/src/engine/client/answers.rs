//! What peers answer: blocks, "have" and "don't have".

use std::cmp::Reverse;
use std::time::Instant;

use ipfs_kit_blockstore::{Block, Cid};
use libp2p::PeerId;

use super::{Client, Event, Said, State};
use crate::engine::ids::PeerNo;
use crate::wire::WantKind;

impl Client {
    /// Verified blocks from a peer. Returns the bytes of those that were asked for.
    pub(in crate::engine) fn accept_blocks(
        &mut self,
        now: Instant,
        peer: &PeerId,
        blocks: Vec<Block>,
    ) -> u64 {
        let Some(number) = self.peers.number(peer) else {
            return 0;
        };
        let mut accepted = 0;
        for block in blocks {
            accepted += self.accept(now, number, block);
        }
        accepted
    }

    fn accept(&mut self, now: Instant, number: PeerNo, block: Block) -> u64 {
        let (cid, len) = (block.cid(), block.data().len());
        let Some(peer) = self.peers.get_mut(number) else {
            return 0;
        };
        self.received.blocks += 1;
        self.received.bytes += len as u64;
        let ask = peer.withdraw(cid);
        let cancelled = peer.was_asked(cid);
        if ask.is_none() && cancelled.is_none() {
            self.received.unsolicited_blocks += 1;
            self.received.unsolicited_bytes += len as u64;
            // Bytes that are wrong look just like this. It is asked last until it gives a good block.
            peer.stalled = true;
            if peer.on_unsolicited() {
                self.ban(number);
            }
            return 0;
        }
        peer.blocks += 1;
        peer.received_at = Some(now);
        peer.stalled = false;
        match ask {
            Some(ask) if ask.open => peer.link.on_block(now, ask.mark, len),
            _ => peer.link.progress = Some(now),
        }
        match self.forget(cid, Some(number), true) {
            Some(want) => {
                for (id, _) in &want.sessions {
                    let Some(session) = self.sessions.get_mut(id) else {
                        continue;
                    };
                    super::count(session, want.state, false);
                    session.live.remove(cid);
                    session.on_block(now, len);
                    session.add_peer(number);
                    let (session, block) = (*id, block.clone());
                    self.events.push_back(Event::Block { session, block });
                    self.wake(session);
                }
            }
            // Only cancelled: it crossed the cancel, and nobody has it from elsewhere.
            None if cancelled == Some(false) => {}
            None => {
                self.received.dup_blocks += 1;
                self.received.dup_bytes += len as u64;
                self.meet(number, cid);
                for session in self.sessions.values_mut() {
                    if session.peers.iter().any(|peer| peer.number == number) {
                        session.duplicates += 1;
                        break;
                    }
                }
            }
        }
        len as u64
    }

    /// The peer has a block that came from elsewhere before: whoever wanted it can ask the peer for the rest. A small root
    /// comes from all peers at once, and all but the first would not be known.
    fn meet(&mut self, number: PeerNo, cid: &Cid) {
        let Some(peer) = self.peers.get(number).filter(|peer| !peer.banned) else {
            return;
        };
        for id in peer.was_asked_for(cid) {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.add_peer(number);
                self.wake(id);
            }
        }
    }

    /// What the peer was asked for is asked elsewhere.
    fn ban(&mut self, number: PeerNo) {
        if let Some(id) = self.peers.id(number) {
            self.events.push_back(Event::Misbehaving(id));
        }
        let Some(peer) = self.peers.get(number) else {
            return;
        };
        let mut asked = peer.asks.keys().cloned().collect::<Vec<_>>();
        asked.sort_unstable();
        for cid in asked {
            let Some(want) = self.wants.get_mut(&cid) else {
                continue;
            };
            want.asked.retain(|(peer, _)| *peer != number);
            if matches!(want.state, State::Flight { peer, .. } if peer == number) {
                self.set_state(&cid, State::Idle);
            }
            if let Some(peer) = self.peers.get_mut(number) {
                peer.cancel(&cid, false, std::iter::empty());
            }
        }
        self.enqueue(number);
    }

    /// A block that came some other way than from a peer.
    pub(in crate::engine) fn accept_local(&mut self, now: Instant, block: &Block) {
        let Some(want) = self.forget(block.cid(), None, true) else {
            return;
        };
        for (id, _) in &want.sessions {
            if let Some(session) = self.sessions.get_mut(id) {
                super::count(session, want.state, false);
                session.live.remove(block.cid());
                session.on_block(now, block.data().len());
                let (session, block) = (*id, block.clone());
                self.events.push_back(Event::Block { session, block });
                self.wake(session);
            }
        }
    }

    pub(in crate::engine) fn accept_presences(
        &mut self,
        now: Instant,
        peer: &PeerId,
        presences: &[(Cid, bool)],
    ) {
        let Some(number) = self.peers.number(peer) else {
            return;
        };
        for (cid, have) in presences {
            if *have {
                self.on_have(now, number, cid);
            } else {
                self.on_dont_have(now, number, cid);
            }
        }
        self.fill(now);
    }

    fn on_have(&mut self, now: Instant, number: PeerNo, cid: &Cid) {
        if !self.wants.contains_key(cid) {
            self.meet(number, cid);
        }
        let (Some(peer), Some(want)) = (self.peers.get_mut(number), self.wants.get_mut(cid)) else {
            return;
        };
        let Some(ask) = peer.asks.get_mut(cid) else {
            return;
        };
        if ask.kind == WantKind::Have {
            if std::mem::take(&mut ask.open) {
                let mark = ask.mark;
                peer.link.on_answer(now, mark);
            }
            for (asked, said) in &mut want.asked {
                if *asked == number {
                    *said = Said::Have;
                }
            }
        }
        let is_searched = matches!(want.state, State::Search { .. });
        for (id, _) in want.sessions.clone() {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.add_peer(number);
            }
            self.wake(id);
        }
        if is_searched {
            self.set_state(cid, State::Idle);
        }
    }

    fn on_dont_have(&mut self, now: Instant, number: PeerNo, cid: &Cid) {
        let (Some(peer), Some(want)) = (self.peers.get_mut(number), self.wants.get_mut(cid)) else {
            return;
        };
        let Some(ask) = peer.asks.get(cid) else {
            return;
        };
        let (kind, mark) = (ask.kind, ask.mark);
        if ask.open {
            peer.link.on_answer(now, mark);
        }
        peer.close(cid);
        for (asked, said) in &mut want.asked {
            if *asked == number {
                *said = Said::DontHave;
            }
        }
        let (state, attempts) = (want.state, want.attempts);
        let all_answered = want.asked.iter().all(|(_, said)| *said != Said::Nothing);
        if kind == WantKind::Block {
            for (id, _) in &want.sessions {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.on_miss(number);
                }
            }
        }
        match state {
            State::Flight { peer, .. } if peer == number => self.set_state(cid, State::Idle),
            State::Search { serial } if all_answered && attempts == 0 => {
                self.search_timers.push(Reverse((now, serial)));
            }
            _ => {}
        }
    }
}
