//! Small keys for what the engine keeps many references to.

use libp2p::PeerId;
use rustc_hash::FxHashMap;

/// A session of an engine. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub(crate) u64);

/// A connected peer. Never used twice: a peer that comes back is a new number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PeerNo(u64);

/// Connected peers with their state, found by id or by number.
#[derive(Debug)]
pub(super) struct Peers<T> {
    numbers: FxHashMap<PeerId, PeerNo>,
    states: FxHashMap<PeerNo, (PeerId, T)>,
    next: u64,
}

impl<T> Peers<T> {
    pub(super) fn new() -> Self {
        Self {
            numbers: FxHashMap::default(),
            states: FxHashMap::default(),
            next: 0,
        }
    }

    pub(super) fn insert(&mut self, peer: PeerId, state: T) -> PeerNo {
        let number = PeerNo(self.next);
        self.next += 1;
        self.numbers.insert(peer, number);
        self.states.insert(number, (peer, state));
        number
    }

    pub(super) fn remove(&mut self, peer: &PeerId) -> Option<(PeerNo, T)> {
        let number = self.numbers.remove(peer)?;
        let (_, state) = self.states.remove(&number)?;
        Some((number, state))
    }

    pub(super) fn number(&self, peer: &PeerId) -> Option<PeerNo> {
        self.numbers.get(peer).copied()
    }

    pub(super) fn id(&self, number: PeerNo) -> Option<PeerId> {
        self.states.get(&number).map(|(id, _)| *id)
    }

    pub(super) fn get(&self, number: PeerNo) -> Option<&T> {
        self.states.get(&number).map(|(_, state)| state)
    }

    pub(super) fn get_mut(&mut self, number: PeerNo) -> Option<&mut T> {
        self.states.get_mut(&number).map(|(_, state)| state)
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &PeerId> {
        self.numbers.keys()
    }

    /// In the order of connection, so that a seed gives one run.
    pub(super) fn sorted(&self) -> Vec<PeerNo> {
        let mut numbers = self.states.keys().copied().collect::<Vec<_>>();
        numbers.sort_unstable();
        numbers
    }
}
