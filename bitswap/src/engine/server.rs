//! The serving side: what peers want of us, and whose turn it is.
//!
//! A want is first looked up (the caller asks the store for its size), then its block or its
//! presence is queued, or it waits until the block arrives. Peers take turns; a turn is one message
//! of up to `message_target` bytes, so that all are served at the same speed however much they ask.

mod answers;

use std::collections::{BTreeMap, HashMap, VecDeque};

use ipfs_kit_blockstore::Cid;
use libp2p::PeerId;
use rustc_hash::{FxBuildHasher, FxSeededState};
use smallvec::SmallVec;

use super::ids::{PeerNo, Peers};
use crate::wire::{WantEntry, WantKind};
use crate::{Config, Ledger};

/// Entries that the table of missing blocks has room for in any case.
const KEPT_ROOM: usize = 4096;

/// The place in a peer's queue: the most urgent first, then by arrival.
type Place = (i64, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Lookup,
    Queued(Place),
    /// Not here; the peer hears of it when it comes.
    Waiting,
}

#[derive(Debug, Clone, Copy)]
struct Wanted {
    kind: WantKind,
    priority: i32,
    send_dont_have: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, Default)]
struct Account {
    sent: u64,
    received: u64,
    exchanged: u64,
}

#[derive(Debug)]
struct Peer {
    wants: HashMap<Cid, Wanted, FxSeededState>,
    want_bytes: usize,
    lookups: VecDeque<Cid>,
    blocks: BTreeMap<Place, (Cid, u32)>,
    presences: HashMap<Cid, bool, FxSeededState>,
    /// Bytes of blocks handed out and not yet written.
    outstanding: u64,
    /// Their limit: it grows while the peer keeps reading.
    limit: u64,
    /// Bytes of blocks that were written since it connected.
    written: u64,
    /// It is known to read.
    reads: bool,
    in_lookup_ring: bool,
    in_ring: bool,
    account: Account,
}

impl Peer {
    fn has_answers(&self) -> bool {
        !self.blocks.is_empty() || !self.presences.is_empty()
    }

    fn remove(&mut self, cid: &Cid) -> Option<Wanted> {
        let wanted = self.wants.remove(cid)?;
        self.want_bytes -= cid.encoded_len();
        self.presences.remove(cid);
        if let State::Queued(place) = wanted.state {
            self.blocks.remove(&place);
        }
        Some(wanted)
    }
}

/// One message for a peer: the caller reads the blocks and writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The peer.
    pub peer: PeerId,
    /// The blocks to read.
    pub blocks: Vec<Cid>,
    /// Bytes of the blocks, by the sizes that were looked up; given back with `handle_sent`.
    pub reserved: u64,
    /// What is here (`true`) and what is not.
    pub presences: Vec<(Cid, bool)>,
    /// Bytes that the peer still waits for.
    pub pending_bytes: i32,
}

/// A CID whose size is needed, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    peer: PeerNo,
    /// The CID.
    pub cid: Cid,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Sent {
    pub(super) blocks: u64,
    pub(super) bytes: u64,
}

#[derive(Debug)]
pub(super) struct Server {
    config: Config,
    seed: usize,
    serving: bool,
    peers: Peers<Peer>,
    lookup_ring: VecDeque<PeerNo>,
    ring: VecDeque<PeerNo>,
    /// Who waits for a block that is not here.
    waiting: HashMap<Cid, SmallVec<[PeerNo; 2]>, FxSeededState>,
    outstanding: u64,
    /// Those of peers that are not known to read.
    unproven: u64,
    /// Entries of all want lists.
    wants: usize,
    arrivals: u64,
    past: HashMap<PeerId, Account, FxBuildHasher>,
    past_order: VecDeque<PeerId>,
    pub(super) sent: Sent,
}

impl Server {
    pub(super) fn new(config: Config, seed: usize) -> Self {
        Self {
            serving: config.serving,
            config,
            seed,
            peers: Peers::new(),
            lookup_ring: VecDeque::new(),
            ring: VecDeque::new(),
            waiting: HashMap::with_hasher(FxSeededState::with_seed(seed)),
            outstanding: 0,
            unproven: 0,
            wants: 0,
            arrivals: 0,
            past: HashMap::default(),
            past_order: VecDeque::new(),
            sent: Sent::default(),
        }
    }

    pub(super) fn handle_connected(&mut self, peer: PeerId) {
        if self.peers.number(&peer).is_some() {
            return;
        }
        let account = self.past.remove(&peer).unwrap_or_default();
        let state = Peer {
            wants: HashMap::with_hasher(FxSeededState::with_seed(self.seed)),
            want_bytes: 0,
            lookups: VecDeque::new(),
            blocks: BTreeMap::new(),
            presences: HashMap::with_hasher(FxSeededState::with_seed(self.seed)),
            outstanding: 0,
            limit: (self.config.outstanding_peer / 8).max(1),
            written: 0,
            reads: false,
            in_lookup_ring: false,
            in_ring: false,
            account,
        };
        self.peers.insert(peer, state);
    }

    pub(super) fn handle_disconnected(&mut self, peer: &PeerId) {
        let Some((number, state)) = self.peers.remove(peer) else {
            return;
        };
        self.outstanding -= state.outstanding;
        if !state.reads {
            self.unproven -= state.outstanding;
        }
        self.wants -= state.wants.len();
        for (cid, wanted) in &state.wants {
            if wanted.state == State::Waiting {
                self.stop_waiting(cid, number);
            }
        }
        if state.account.exchanged > 0 && self.past.insert(*peer, state.account).is_none() {
            self.past_order.push_back(*peer);
        }
        while self.past_order.len() > self.config.past_ledgers
            && let Some(oldest) = self.past_order.pop_front()
        {
            self.past.remove(&oldest);
        }
    }

    pub(super) fn set_serving(&mut self, serving: bool) {
        self.serving = serving;
        if serving {
            return;
        }
        for number in self.peers.sorted() {
            self.clear_wants(number);
        }
    }

    pub(super) fn handle_wants(&mut self, peer: &PeerId, full: bool, entries: Vec<WantEntry>) {
        let Some(number) = self.peers.number(peer) else {
            return;
        };
        if full {
            self.clear_wants(number);
        }
        for entry in entries {
            if entry.cancel {
                self.cancel(number, &entry.cid);
            } else {
                self.want(number, entry);
            }
        }
    }

    fn want(&mut self, number: PeerNo, entry: WantEntry) {
        let Some(peer) = self.peers.get_mut(number) else {
            return;
        };
        if !self.serving {
            if entry.send_dont_have && peer.presences.len() < self.config.ledger_wants {
                peer.presences.insert(entry.cid, false);
                self.enqueue(number);
            }
            return;
        }
        if let Some(known) = peer.wants.get_mut(&entry.cid) {
            known.send_dont_have |= entry.send_dont_have;
            let upgrade = known.kind == WantKind::Have && entry.kind == WantKind::Block;
            if known.state == State::Lookup || (!upgrade && known.state != State::Waiting) {
                if upgrade {
                    known.kind = WantKind::Block;
                }
                return;
            }
            // Asked again for what was not here, or for the block after "have".
            self.cancel(number, &entry.cid);
        }
        let connected = self.peers.len();
        let Some(peer) = self.peers.get_mut(number) else {
            return;
        };
        let share = self.config.ledger_wants_total / (2 * connected.max(1));
        let is_full = peer.wants.len() >= self.config.ledger_wants
            || (self.wants >= self.config.ledger_wants_total && peer.wants.len() >= share)
            || peer.lookups.len() >= 2 * self.config.ledger_wants
            || peer.presences.len() >= 2 * self.config.ledger_wants;
        if is_full {
            return;
        }
        peer.want_bytes += entry.cid.encoded_len();
        peer.lookups.push_back(entry.cid.clone());
        let wanted = Wanted {
            kind: entry.kind,
            priority: entry.priority,
            send_dont_have: entry.send_dont_have,
            state: State::Lookup,
        };
        peer.wants.insert(entry.cid, wanted);
        self.wants += 1;
        if !std::mem::replace(&mut peer.in_lookup_ring, true) {
            self.lookup_ring.push_back(number);
        }
    }

    fn cancel(&mut self, number: PeerNo, cid: &Cid) {
        let Some(peer) = self.peers.get_mut(number) else {
            return;
        };
        peer.presences.remove(cid);
        if let Some(wanted) = peer.remove(cid) {
            self.wants -= 1;
            if wanted.state == State::Waiting {
                self.stop_waiting(cid, number);
            }
        }
    }

    fn clear_wants(&mut self, number: PeerNo) {
        let Some(peer) = self.peers.get_mut(number) else {
            return;
        };
        peer.lookups.clear();
        let cids = peer.wants.keys().cloned().collect::<Vec<_>>();
        for cid in cids {
            self.cancel(number, &cid);
        }
    }

    fn stop_waiting(&mut self, cid: &Cid, number: PeerNo) {
        if let Some(waiting) = self.waiting.get_mut(cid) {
            if let Some(at) = waiting.iter().position(|peer| *peer == number) {
                waiting.swap_remove(at);
            }
            if waiting.is_empty() {
                self.waiting.remove(cid);
            }
        }
        // A table keeps its room; after a flood that would be megabytes.
        if self.waiting.capacity() > KEPT_ROOM && self.waiting.len() < self.waiting.capacity() / 8 {
            self.waiting.shrink_to(2 * self.waiting.len());
        }
    }

    pub(super) fn on_received(&mut self, peer: &PeerId, blocks: u64, bytes: u64) {
        let number = self.peers.number(peer);
        if let Some(peer) = number.and_then(|number| self.peers.get_mut(number)) {
            peer.account.received += bytes;
            peer.account.exchanged += blocks;
        }
    }

    pub(super) fn ledger(&self, peer: &PeerId) -> Ledger {
        let number = self.peers.number(peer);
        let live = number.and_then(|number| self.peers.get(number));
        let live = live.map(|peer| peer.account);
        let account = live
            .or_else(|| self.past.get(peer).copied())
            .unwrap_or_default();
        Ledger {
            peer: *peer,
            value: account.sent as f64 / (account.received + 1) as f64,
            sent: account.sent,
            received: account.received,
            exchanged: account.exchanged,
        }
    }

    pub(super) fn wantlist(&self, peer: &PeerId) -> Vec<Cid> {
        let number = self.peers.number(peer);
        let peer = number.and_then(|number| self.peers.get(number));
        peer.map_or(Vec::new(), |peer| peer.wants.keys().cloned().collect())
    }

    /// Whether the peer waits for something.
    pub(super) fn is_used(&self, peer: &PeerId) -> bool {
        let number = self.peers.number(peer);
        let peer = number.and_then(|number| self.peers.get(number));
        peer.is_some_and(|peer| !peer.wants.is_empty() || peer.outstanding > 0)
    }

    /// Whether [`Server::poll_lookups`] or [`Server::poll_response`] has something to do.
    pub(super) fn has_work(&self) -> bool {
        let may_send = self.outstanding < self.config.outstanding_total;
        !self.lookup_ring.is_empty() || (may_send && !self.ring.is_empty())
    }

    #[cfg(test)]
    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        let mut peers = self.peers.sorted().into_iter();
        let quiet = peers.all(|number| {
            self.peers.get(number).is_some_and(|peer| {
                peer.wants.is_empty()
                    && peer.want_bytes == 0
                    && peer.blocks.is_empty()
                    && peer.presences.is_empty()
                    && peer.lookups.is_empty()
            })
        });
        quiet && self.waiting.is_empty() && self.wants == 0
    }

    /// The bytes that want lists take, about.
    pub(super) fn memory(&self) -> usize {
        let peers = self.peers.sorted();
        let sizes = peers
            .into_iter()
            .filter_map(|number| self.peers.get(number));
        sizes
            .map(|peer| {
                let entry = size_of::<(Cid, Wanted)>();
                peer.want_bytes + peer.wants.capacity() * entry + peer.lookups.capacity() * entry
            })
            .sum()
    }
}
