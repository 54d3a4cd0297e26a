//! The client's view of one peer: what it was asked for, and what it is still to be told.

use std::collections::VecDeque;
use std::time::Instant;

use ipfs_kit_blockstore::Cid;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::ids::SessionId;
use super::link::{Link, Mark};
use crate::wire::{WantEntry, WantKind};

/// Asks that were withdrawn and may still be answered, remembered for each peer.
const RECENT: usize = 4096;
/// Entries in one want list message, so that it stays below boxo's 2 MiB.
const ENTRIES_PER_MESSAGE: usize = 4096;
/// Sessions remembered with each of them.
const SESSIONS: usize = 4;
/// Unsolicited blocks that are forgiven, besides one for each eight good ones.
const FORGIVEN: u64 = 16;

#[derive(Debug)]
pub(super) struct Ask {
    pub(super) kind: WantKind,
    /// The answer is still expected, and for a block its bytes count as in flight.
    pub(super) open: bool,
    pub(super) mark: Mark,
    /// The bytes that were expected.
    pub(super) estimate: u64,
    /// When to send it again where nobody else could be asked.
    pub(super) again: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) link: Link,
    pub(super) asks: FxHashMap<Cid, Ask>,
    /// Bytes expected, for the open asks for blocks.
    pub(super) in_flight: u64,
    /// Their number.
    pub(super) flights: usize,
    /// Wanted blocks that came.
    pub(super) blocks: u64,
    pub(super) received_at: Option<Instant>,
    /// Nothing came for longer than it should have taken.
    pub(super) stalled: bool,
    pub(super) unsolicited: u64,
    /// Too much came that was not asked for: it is not asked again.
    pub(super) banned: bool,
    /// Queued for its want list to be sent.
    pub(super) in_ring: bool,
    recent: Recent,
    out: Out,
    pub(super) resend: bool,
}

impl Peer {
    pub(super) fn new() -> Self {
        Self {
            link: Link::new(),
            asks: FxHashMap::default(),
            in_flight: 0,
            flights: 0,
            blocks: 0,
            received_at: None,
            stalled: false,
            unsolicited: 0,
            banned: false,
            in_ring: false,
            recent: Recent::default(),
            out: Out::default(),
            resend: false,
        }
    }

    pub(super) fn ask(&mut self, now: Instant, entry: WantEntry, estimate: u64) {
        self.withdraw(&entry.cid);
        let mark = self.link.mark(now, self.in_flight);
        if entry.kind == WantKind::Block {
            if self.flights == 0 {
                // Time that passed without asks is no time without answers.
                self.link.progress = Some(now);
            }
            self.in_flight += estimate;
            self.flights += 1;
        }
        let ask = Ask {
            kind: entry.kind,
            open: true,
            mark,
            estimate,
            again: None,
        };
        self.asks.insert(entry.cid.clone(), ask);
        self.out.push(entry);
    }

    /// Ends the wait for an answer; the ask itself stays at the peer.
    pub(super) fn close(&mut self, cid: &Cid) {
        if let Some(ask) = self.asks.get_mut(cid)
            && std::mem::take(&mut ask.open)
            && ask.kind == WantKind::Block
        {
            self.in_flight -= ask.estimate;
            self.flights -= 1;
        }
    }

    /// Removes an ask without telling the peer.
    pub(super) fn withdraw(&mut self, cid: &Cid) -> Option<Ask> {
        let open = self.asks.get(cid)?.open;
        self.close(cid);
        let mut ask = self.asks.remove(cid)?;
        ask.open = open;
        Some(ask)
    }

    /// Removes an ask and tells the peer. `received`: the block is here, and would be a duplicate. `sessions`: who
    /// wanted it, and may have more to ask the peer for if it turns out to have it too.
    pub(super) fn cancel(
        &mut self,
        cid: &Cid,
        received: bool,
        sessions: impl Iterator<Item = SessionId>,
    ) {
        if self.withdraw(cid).is_none() {
            self.recent.update(cid, received);
        } else {
            self.recent.insert(cid, received, sessions.take(SESSIONS));
            self.out.push(WantEntry {
                cid: cid.clone(),
                priority: 0,
                cancel: true,
                kind: WantKind::Block,
                send_dont_have: false,
            });
        }
    }

    /// Whether the block was asked for and cancelled, and if so, whether it is a duplicate.
    pub(super) fn was_asked(&self, cid: &Cid) -> Option<bool> {
        self.recent.asks.get(cid).map(|ask| ask.received)
    }

    /// The sessions that wanted a block which was asked for and cancelled.
    pub(super) fn was_asked_for(&self, cid: &Cid) -> SmallVec<[SessionId; 1]> {
        let ask = self.recent.asks.get(cid);
        ask.map(|ask| ask.sessions.clone()).unwrap_or_default()
    }

    /// Whether a block from this peer could be one that was asked for.
    pub(super) fn is_expected(&self) -> bool {
        !self.banned && (!self.asks.is_empty() || !self.recent.is_empty())
    }

    /// Counts a block that was not asked for; true when the peer is banned for it.
    pub(super) fn on_unsolicited(&mut self) -> bool {
        self.unsolicited += 1;
        let over = self.unsolicited > FORGIVEN + self.blocks / 8;
        over && !std::mem::replace(&mut self.banned, true)
    }

    pub(super) fn has_entries(&self) -> bool {
        self.resend || !self.out.is_empty()
    }

    /// The next want list to send: whether it replaces the last one, and its entries.
    pub(super) fn take_entries(
        &mut self,
        mut priority: impl FnMut() -> i32,
    ) -> (bool, Vec<WantEntry>) {
        if !std::mem::take(&mut self.resend) {
            return (false, self.out.take(ENTRIES_PER_MESSAGE));
        }
        self.out = Out::default();
        let open = self.asks.iter().filter(|(_, ask)| ask.open);
        let entries = open.map(|(cid, ask)| WantEntry {
            cid: cid.clone(),
            priority: priority(),
            cancel: false,
            kind: ask.kind,
            send_dont_have: true,
        });
        (true, entries.take(ENTRIES_PER_MESSAGE).collect())
    }

    pub(super) fn again(&mut self, cid: &Cid, priority: i32) {
        let Some(ask) = self.asks.get(cid) else {
            return;
        };
        self.out.push(WantEntry {
            cid: cid.clone(),
            priority,
            cancel: false,
            kind: ask.kind,
            send_dont_have: true,
        });
    }
}

/// Entries that were not sent yet, one for each CID.
#[derive(Debug, Default)]
struct Out {
    entries: FxHashMap<Cid, WantEntry>,
    order: VecDeque<Cid>,
}

impl Out {
    fn push(&mut self, entry: WantEntry) {
        // A cancel replaces a want that was not sent yet, but goes out all the same: an earlier
        // entry for the CID may have been sent.
        let cid = entry.cid.clone();
        if self.entries.insert(cid.clone(), entry).is_none() {
            self.order.push_back(cid);
        }
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn take(&mut self, max: usize) -> Vec<WantEntry> {
        let mut taken = Vec::with_capacity(self.order.len().min(max));
        while taken.len() < max
            && let Some(cid) = self.order.pop_front()
        {
            taken.extend(self.entries.remove(&cid));
        }
        taken
    }
}

/// An ask that was cancelled.
#[derive(Debug)]
struct Cancelled {
    received: bool,
    sessions: SmallVec<[SessionId; 1]>,
}

#[derive(Debug, Default)]
struct Recent {
    asks: FxHashMap<Cid, Cancelled>,
    order: VecDeque<Cid>,
}

impl Recent {
    fn insert(&mut self, cid: &Cid, received: bool, sessions: impl Iterator<Item = SessionId>) {
        let ask = Cancelled {
            received,
            sessions: sessions.collect(),
        };
        if self.asks.insert(cid.clone(), ask).is_none() {
            self.order.push_back(cid.clone());
        }
        if self.order.len() > RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.asks.remove(&oldest);
        }
    }

    fn update(&mut self, cid: &Cid, received: bool) {
        if let Some(known) = self.asks.get_mut(cid) {
            known.received = received;
        }
    }

    fn is_empty(&self) -> bool {
        self.asks.is_empty()
    }
}
