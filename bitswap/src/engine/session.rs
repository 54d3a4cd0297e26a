//! What one session wants, and the peers that it gets it from.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ipfs_kit_blockstore::Cid;
use libp2p::PeerId;
use rustc_hash::FxHashSet;

use super::ids::PeerNo;

/// The size that a block is taken to have before any came: the default chunk of Kubo.
const FIRST_ESTIMATE: f64 = 262_144.0;
/// Peers of a session that are remembered.
const MAX_PEERS: usize = 64;
/// "Don't have" in a row after which a peer is asked only when nobody else could be.
const MISSES: u32 = 4;

#[derive(Debug)]
pub(super) struct SessionPeer {
    pub(super) number: PeerNo,
    misses: u32,
}

impl SessionPeer {
    pub(super) fn is_weak(&self) -> bool {
        self.misses >= MISSES
    }
}

#[derive(Debug)]
pub(super) struct Session {
    /// Everything that is wanted.
    pub(super) live: FxHashSet<Cid>,
    /// What nobody was asked for yet, in order. May name CIDs that are not wanted any more.
    pub(super) pending: VecDeque<Cid>,
    /// Set aside until somebody new can be asked.
    pub(super) parked: VecDeque<Cid>,
    /// Bytes expected, of wants that some peer was asked for.
    pub(super) in_flight: u64,
    pub(super) flights: usize,
    pub(super) searching: usize,
    /// Bytes delivered that the caller has not taken.
    pub(super) ready: u64,
    pub(super) hungry: bool,
    pub(super) peers: Vec<SessionPeer>,
    pub(super) hints: Vec<PeerId>,
    /// A search found nobody among the connected peers.
    pub(super) search_failed: bool,
    /// Routing may not be asked before.
    pub(super) providers_next: Option<Instant>,
    estimate: f64,
    pub(super) blocks: u64,
    pub(super) bytes: u64,
    pub(super) duplicates: u64,
    pub(super) opened: Instant,
    meter: Meter,
}

impl Session {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            live: FxHashSet::default(),
            pending: VecDeque::new(),
            parked: VecDeque::new(),
            in_flight: 0,
            flights: 0,
            searching: 0,
            ready: 0,
            hungry: false,
            peers: Vec::new(),
            hints: Vec::new(),
            search_failed: false,
            providers_next: None,
            estimate: FIRST_ESTIMATE,
            blocks: 0,
            bytes: 0,
            duplicates: 0,
            opened: now,
            meter: Meter::new(now),
        }
    }

    /// The bytes that a block of this session is expected to have.
    pub(super) fn estimate(&self) -> u64 {
        (self.estimate as u64).max(256)
    }

    pub(super) fn on_block(&mut self, now: Instant, len: usize) {
        self.blocks += 1;
        self.bytes += len as u64;
        self.ready += len as u64;
        self.estimate += (len as f64 - self.estimate) / 8.0;
        self.meter.add(now, len);
    }

    pub(super) fn rate(&self, now: Instant) -> f64 {
        self.meter.rate(now)
    }

    /// A peer that has something of this session.
    pub(super) fn add_peer(&mut self, number: PeerNo) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.number == number) {
            peer.misses = 0;
        } else if self.peers.len() < MAX_PEERS {
            self.peers.push(SessionPeer { number, misses: 0 });
            self.pending.extend(self.parked.drain(..));
        }
    }

    pub(super) fn on_miss(&mut self, number: PeerNo) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.number == number) {
            peer.misses += 1;
        }
    }

    pub(super) fn remove_peer(&mut self, number: PeerNo) {
        self.peers.retain(|peer| peer.number != number);
    }

    pub(super) fn hint(&mut self, peer: PeerId) {
        if self.hints.len() < MAX_PEERS && !self.hints.contains(&peer) {
            self.hints.push(peer);
        }
    }
}

/// Bytes per second over the last one to two seconds.
#[derive(Debug)]
struct Meter {
    since: Instant,
    bytes: u64,
    before: f64,
}

impl Meter {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            bytes: 0,
            before: 0.0,
        }
    }

    fn add(&mut self, now: Instant, len: usize) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= Duration::from_secs(1) {
            self.before = self.bytes as f64 / elapsed.as_secs_f64();
            (self.since, self.bytes) = (now, 0);
        }
        self.bytes += len as u64;
    }

    fn rate(&self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.since).as_secs_f64();
        let current = self.bytes as f64 / elapsed.max(1e-3);
        if elapsed > 1.0 || self.before == 0.0 {
            current
        } else {
            self.before * (1.0 - elapsed) + current * elapsed
        }
    }
}
