//! Lookups that somebody waits for. One may run in both DHTs; its answer is put together here. No IO.

use libp2p::kad::QueryId;
use libp2p::{Multiaddr, PeerId};
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::mpsc;

use super::Validators;
use crate::net::NetError;
use crate::net::command::Reply;
use crate::net::peers::split_peer;
use crate::net::routing::{PeerAddresses, Provider};

/// Lookups under way at most.
const OPS_MAX: usize = 1024;

/// Valid records after which a lookup of a value ends (the DHT's quorum in Kubo).
const QUORUM: usize = 16;

/// What a lookup gives, and to whom.
pub enum Started {
    /// Providers of a key, as they are found.
    Providers {
        limit: usize,
        found: mpsc::Sender<Provider>,
    },
    /// The peers closest to a key.
    Closest(Reply<Result<PeerAddresses, NetError>>),
    /// The same, or why the lookup did not get that far.
    Whole(Reply<Result<PeerAddresses, NetError>>),
    /// The addresses of a peer.
    Peer(PeerId, Reply<Result<Vec<Multiaddr>, NetError>>),
    /// The best record of a key.
    Get(Vec<u8>, Reply<Result<Vec<u8>, NetError>>),
    /// The valid records of a key, as they are found.
    Records(Vec<u8>, mpsc::Sender<Vec<u8>>),
    /// Storing a record, or announcing a key.
    Store(Reply<Result<(), NetError>>),
}

#[derive(Default)]
struct Gathered {
    seen: FxHashSet<PeerId>,
    peers: PeerAddresses,
    addresses: Vec<Multiaddr>,
    best: Option<Vec<u8>>,
    valid: usize,
    stored: usize,
    failure: Option<String>,
}

struct Op {
    started: Started,
    gathered: Gathered,
    running: usize,
}

/// A DHT and one of its queries.
pub type Key = (bool, QueryId);

/// Lookups under way.
#[derive(Default)]
pub struct Ops {
    next: u64,
    ops: FxHashMap<u64, Op>,
    queries: FxHashMap<Key, u64>,
}

impl Ops {
    /// Whether another lookup may begin.
    pub fn has_room(&self) -> bool {
        self.ops.len() < OPS_MAX
    }

    /// A lookup began with these queries. Without any it ends at once.
    pub fn begin(&mut self, started: Started, queries: Vec<Key>) {
        let op = Op {
            started,
            gathered: Gathered::default(),
            running: queries.len(),
        };
        if queries.is_empty() {
            finish(op);
            return;
        }
        self.next += 1;
        for query in queries {
            self.queries.insert(query, self.next);
        }
        self.ops.insert(self.next, op);
    }

    fn op(&mut self, query: Key) -> Option<&mut Op> {
        let id = self.queries.get(&query)?;
        self.ops.get_mut(id)
    }

    /// A provider was found. `true` when the query need not go on.
    pub fn handle_provider(&mut self, query: Key, peer: PeerId, addresses: Vec<Multiaddr>) -> bool {
        let Some(op) = self.op(query) else {
            return true;
        };
        let Started::Providers { limit, found } = &op.started else {
            return false;
        };
        if !op.gathered.seen.insert(peer) {
            return false;
        }
        // A receiver that does not take them has enough for now.
        let taken = found
            .try_send(Provider {
                addresses: plain(&peer, addresses),
                peer,
                near: false,
            })
            .is_ok();
        !taken || op.gathered.seen.len() >= *limit
    }

    /// Peers close to the key were found.
    pub fn handle_closest(&mut self, query: Key, peers: PeerAddresses) {
        let Some(op) = self.op(query) else {
            return;
        };
        for (peer, addresses) in peers {
            let addresses = plain(&peer, addresses);
            if matches!(op.started, Started::Peer(wanted, _) if wanted == peer) {
                op.gathered.addresses.extend(addresses.iter().cloned());
            }
            if op.gathered.seen.insert(peer) {
                op.gathered.peers.push((peer, addresses));
            }
        }
    }

    /// A record was found; one that is not valid counts for nothing. `true` when there are enough.
    pub fn handle_record(&mut self, query: Key, value: Vec<u8>, validators: &Validators) -> bool {
        let Some(op) = self.op(query) else {
            return true;
        };
        let (Started::Get(key, _) | Started::Records(key, _)) = &op.started else {
            return false;
        };
        if let Err(reason) = validators.validate(key, &value) {
            op.gathered.failure = Some(reason);
            return false;
        }
        op.gathered.valid += 1;
        if let Started::Records(_, found) = &op.started {
            // A receiver that does not take them has enough.
            let taken = found.try_send(value).is_ok();
            return !taken || op.gathered.valid >= QUORUM;
        }
        let better = op
            .gathered
            .best
            .as_ref()
            .is_none_or(|best| validators.is_better(key, &value, best));
        if better {
            op.gathered.best = Some(value);
        }
        op.gathered.valid >= QUORUM
    }

    /// A query ended. The answer goes out with the last one of its lookup.
    pub fn handle_end(&mut self, query: Key, outcome: Result<(), String>) {
        let Some(id) = self.queries.remove(&query) else {
            return;
        };
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        match outcome {
            Ok(()) => op.gathered.stored += 1,
            Err(reason) => op.gathered.failure = Some(reason),
        }
        op.running -= 1;
        if op.running == 0
            && let Some(op) = self.ops.remove(&id)
        {
            finish(op);
        }
    }

    /// Whether whoever asked has gone.
    pub fn is_abandoned(&self, query: &Key) -> bool {
        let op = self.queries.get(query).and_then(|id| self.ops.get(id));
        op.is_none_or(|op| match &op.started {
            Started::Providers { found, .. } => found.is_closed(),
            Started::Closest(reply) | Started::Whole(reply) => reply.is_closed(),
            Started::Peer(_, reply) => reply.is_closed(),
            Started::Get(_, reply) => reply.is_closed(),
            Started::Records(_, found) => found.is_closed(),
            // What was asked to be stored is stored.
            Started::Store(_) => false,
        })
    }

    /// Every query under way.
    pub fn queries(&self) -> impl Iterator<Item = &Key> {
        self.queries.keys()
    }
}

/// Addresses of a peer, each once and without the `/p2p/ID` that some peers' answers have at the end. One with another id
/// there is somebody else's.
fn plain(peer: &PeerId, addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let mut plain: Vec<Multiaddr> = addresses
        .iter()
        .filter_map(|address| match split_peer(address) {
            (_, Some(other)) if other != *peer => None,
            (address, _) => Some(address),
        })
        .filter(|address| !address.is_empty())
        .collect();
    plain.sort();
    plain.dedup();
    plain
}

/// A reply that cannot be delivered belongs to a caller that gave up.
fn finish(op: Op) {
    let gathered = op.gathered;
    match op.started {
        Started::Providers { .. } | Started::Records(..) => {}
        Started::Closest(reply) => {
            let _ = reply.send(Ok(gathered.peers));
        }
        Started::Whole(reply) => {
            let failed = gathered.failure.is_some();
            let answer = if failed {
                Err(NetError::TimedOut("a lookup in the DHT"))
            } else {
                Ok(gathered.peers)
            };
            let _ = reply.send(answer);
        }
        Started::Peer(_, reply) => {
            let mut addresses = gathered.addresses;
            addresses.sort();
            addresses.dedup();
            let found = !addresses.is_empty();
            let _ = reply.send(found.then_some(addresses).ok_or(NetError::NotFound));
        }
        Started::Get(_, reply) => {
            let answer = match (gathered.best, gathered.failure) {
                (Some(best), _) => Ok(best),
                (None, Some(reason)) if reason != NOT_FOUND => Err(NetError::BadRecord(reason)),
                (None, _) => Err(NetError::NotFound),
            };
            let _ = reply.send(answer);
        }
        Started::Store(reply) => {
            let answer = match (gathered.stored, gathered.failure) {
                (0, reason) => {
                    Err(NetError::NotStored(reason.unwrap_or_else(|| {
                        "no peers in the routing tables".to_owned()
                    })))
                }
                _ => Ok(()),
            };
            let _ = reply.send(answer);
        }
    }
}

/// How a lookup without any record ends.
pub const NOT_FOUND: &str = "not found";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_once_and_without_the_peer() {
        let (peer, other) = (PeerId::random(), PeerId::random());
        let at = |text: String| -> Multiaddr { text.parse().unwrap() };
        let direct = at("/ip4/192.0.2.1/tcp/4001".to_owned());
        let relayed = format!("/ip4/192.0.2.2/tcp/4001/p2p/{other}/p2p-circuit");
        let told = vec![
            at(format!("{direct}/p2p/{peer}")),
            at(format!("{relayed}/p2p/{peer}")),
            direct.clone(),
            at(format!("/ip4/192.0.2.3/tcp/4001/p2p/{other}")),
        ];
        assert_eq!(plain(&peer, told), [direct, at(relayed)]);
    }
}
