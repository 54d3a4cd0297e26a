//! What happens because nothing happened: late blocks are asked elsewhere, searches go to routing.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use ipfs_kit_blockstore::Cid;

use super::{Client, Event, Said, State, fill, next_priority};
use crate::engine::ids::{PeerNo, SessionId};
use crate::wire::WantKind;

/// How often asks are checked for being late.
const CHECK: Duration = Duration::from_millis(100);
/// A session asks routing at most this often.
const PROVIDERS_EVERY: Duration = Duration::from_millis(250);
/// A want is sent again to the only peer that could have it, at most this often.
const AGAIN: Duration = Duration::from_secs(5);

/// Every so many searches, peers that said "don't have" or nothing are asked anew: what they were
/// told may be lost. The pauses between searches double.
const REPEAT: u32 = 5;

impl Client {
    pub(super) fn schedule_check(&mut self, now: Instant) {
        self.next_check.get_or_insert(now + CHECK);
    }

    pub(in crate::engine) fn poll_timeout(&self) -> Option<Instant> {
        let search = self.search_timers.peek().map(|Reverse((at, _))| *at);
        match (search, self.next_check) {
            (Some(search), Some(check)) => Some(search.min(check)),
            (search, check) => search.or(check),
        }
    }

    pub(in crate::engine) fn handle_timeout(&mut self, now: Instant) {
        while let Some(Reverse((at, serial))) = self.search_timers.peek().copied()
            && at <= now
        {
            self.search_timers.pop();
            self.on_search_timer(now, serial);
        }
        if self.next_check.is_some_and(|at| at <= now) {
            self.next_check = None;
            let mut in_flight = false;
            for number in self.peers.sorted() {
                in_flight |= self.check_peer(now, number);
            }
            if in_flight {
                self.schedule_check(now);
            }
        }
        self.fill(now);
    }

    fn on_search_timer(&mut self, now: Instant, serial: u64) {
        let Some(cid) = self.searches.get(&serial).cloned() else {
            return;
        };
        let Some(want) = self.wants.get_mut(&cid) else {
            return;
        };
        let Some((id, _)) = want.sessions.first().copied() else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if let Some(next) = session.providers_next.filter(|next| *next > now) {
            self.search_timers.push(Reverse((next, serial)));
            return;
        }
        session.providers_next = Some(now + PROVIDERS_EVERY);
        session.search_failed = true;
        session.pending.extend(session.parked.drain(..));
        let factor = 1_u32 << want.attempts.min(16);
        let wait = self.config.provider_delay.saturating_mul(factor);
        want.attempts += 1;
        let wait = wait.min(self.config.provider_backoff_max);
        self.search_timers.push(Reverse((now + wait, serial)));
        let event = Event::NeedProviders {
            session: id,
            cid: cid.clone(),
        };
        self.events.push_back(event);
        let repeat = want.attempts % REPEAT == 0;
        want.asked.retain(|(_, said)| match said {
            Said::Late => false,
            Said::Nothing | Said::DontHave => !repeat,
            Said::Have => true,
        });
        self.broadcast(now, &cid, None);
        if matches!(self.choose(id, &cid), fill::Choice::Peer(_)) {
            self.set_state(&cid, State::Idle);
        }
        self.wake(id);
    }

    /// Finds the late asks of a peer; true while it has any.
    fn check_peer(&mut self, now: Instant, number: PeerNo) -> bool {
        let Some(peer) = self.peers.get_mut(number) else {
            return false;
        };
        let waiting = peer.asks.iter().any(|(_, ask)| ask.kind == WantKind::Block);
        if !waiting {
            return false;
        }
        let progress = peer.link.progress;
        let whole = peer.link.deadline(peer.in_flight, &self.config) * 2;
        let mut late = Vec::new();
        for (cid, ask) in &mut peer.asks {
            if ask.kind != WantKind::Block {
                continue;
            }
            let last = progress.map_or(ask.mark.at, |at| at.max(ask.mark.at));
            let quiet = peer.link.deadline(ask.estimate, &self.config);
            let is_late = now.saturating_duration_since(last) > quiet
                || now.saturating_duration_since(ask.mark.at) > whole;
            if is_late && ask.again.is_none_or(|at| at <= now) {
                ask.again = Some(now + quiet.max(AGAIN));
                late.push((ask.mark.at, cid.clone()));
            }
        }
        let silent = progress.is_some_and(|at| {
            now.saturating_duration_since(at) > peer.link.deadline(0, &self.config)
        });
        peer.stalled = silent && peer.flights > 0 && !late.is_empty() || (peer.stalled && silent);
        late.sort_unstable();
        for (_, cid) in late.into_iter().rev() {
            self.ask_elsewhere(now, number, &cid);
        }
        true
    }

    /// A block took too long: somebody else is asked, or the same peer again.
    fn ask_elsewhere(&mut self, now: Instant, number: PeerNo, cid: &Cid) {
        let Some(want) = self.wants.get_mut(cid) else {
            return;
        };
        let Some((id, _)) = want.sessions.first().copied() else {
            return;
        };
        let is_flying = matches!(want.state, State::Flight { peer, .. } if peer == number);
        if !is_flying {
            return;
        }
        set_said(want, number, Said::Late);
        match self.choose(id, cid) {
            fill::Choice::Peer(other) => self.move_flight(now, id, number, other, cid),
            fill::Choice::Busy => {
                if let Some(want) = self.wants.get_mut(cid) {
                    set_said(want, number, Said::Nothing);
                }
                self.retry_soon(now, number, cid);
            }
            fill::Choice::Nobody => {
                if let Some(want) = self.wants.get_mut(cid) {
                    // Whoever was late before gets another chance the next time.
                    want.asked.retain(|(_, said)| *said != Said::Late);
                    want.asked.push((number, Said::Nothing));
                }
                if self.peer_count() > 1 {
                    self.broadcast(now, cid, None);
                }
                let priority = next_priority(&mut self.priority);
                if let Some(peer) = self.peers.get_mut(number) {
                    peer.again(cid, priority);
                    self.enqueue(number);
                }
                self.need_providers(now, id, cid);
            }
        }
    }

    fn move_flight(&mut self, now: Instant, id: SessionId, from: PeerNo, to: PeerNo, cid: &Cid) {
        if let Some(peer) = self.peers.get_mut(from) {
            peer.cancel(cid, false, std::iter::empty());
            self.enqueue(from);
        }
        self.fly(now, id, to, cid);
    }

    fn retry_soon(&mut self, now: Instant, number: PeerNo, cid: &Cid) {
        let peer = self.peers.get_mut(number);
        if let Some(ask) = peer.and_then(|peer| peer.asks.get_mut(cid)) {
            ask.again = Some(now + CHECK);
        }
    }

    fn need_providers(&mut self, now: Instant, id: SessionId, cid: &Cid) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.providers_next.is_none_or(|next| next <= now) {
            session.providers_next = Some(now + AGAIN);
            let cid = cid.clone();
            self.events
                .push_back(Event::NeedProviders { session: id, cid });
        }
    }
}

fn set_said(want: &mut super::Want, number: PeerNo, new: Said) {
    for (asked, said) in &mut want.asked {
        if *asked == number {
            *said = new;
        }
    }
}
