//! What is known of peers: open connections, what identify told, and addresses of peers met before.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use libp2p::core::ConnectedPoint;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, identify};
use rustc_hash::FxHashMap;

use super::peers::{Direction, PeerConnection, PeerIdentity, with_peer};

/// Peers whose addresses are remembered.
const KNOWN_MAX: usize = 4096;

/// Addresses remembered of one peer, and protocols (reliability limits of identify).
const ADDRESSES_MAX: usize = 32;
const PROTOCOLS_MAX: usize = 64;

/// One open connection.
pub struct Connection {
    pub id: ConnectionId,
    pub address: Multiaddr,
    pub direction: Direction,
    pub opened: Instant,
}

/// What is known of a connected peer.
#[derive(Default)]
pub struct Entry {
    pub connections: Vec<Connection>,
    pub latency: Option<Duration>,
    pub identity: Option<PeerIdentity>,
}

/// Peers, connected ones and known ones.
#[derive(Default)]
pub struct Book {
    connected: FxHashMap<PeerId, Entry>,
    known: FxHashMap<PeerId, Vec<Multiaddr>>,
    /// Peers of `known`, the oldest first.
    order: VecDeque<PeerId>,
}

impl Book {
    /// A connection was made.
    pub fn handle_connected(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        endpoint: &ConnectedPoint,
        now: Instant,
    ) {
        let direction = match endpoint {
            ConnectedPoint::Dialer { address, .. } => {
                self.learn(peer, [without_peer(address)]);
                Direction::Outbound
            }
            ConnectedPoint::Listener { .. } => Direction::Inbound,
        };
        let entry = self.connected.entry(peer).or_default();
        entry.connections.push(Connection {
            id,
            address: shown_address(endpoint),
            direction,
            opened: now,
        });
    }

    /// A connection ended. `true` when it was the peer's last.
    pub fn handle_closed(&mut self, peer: &PeerId, id: ConnectionId) -> bool {
        let Some(entry) = self.connected.get_mut(peer) else {
            return false;
        };
        entry.connections.retain(|connection| connection.id != id);
        let last = entry.connections.is_empty();
        if last {
            self.connected.remove(peer);
        }
        last
    }

    /// A ping came back.
    pub fn handle_latency(&mut self, peer: &PeerId, latency: Duration) {
        if let Some(entry) = self.connected.get_mut(peer) {
            entry.latency = Some(latency);
        }
    }

    /// The peer told who it is.
    pub fn handle_identity(&mut self, peer: PeerId, mut info: identify::Info) {
        info.listen_addrs.truncate(ADDRESSES_MAX);
        info.protocols.truncate(PROTOCOLS_MAX);
        self.learn(peer, info.listen_addrs.iter().map(without_peer));
        let Some(entry) = self.connected.get_mut(&peer) else {
            return;
        };
        let addresses = info.listen_addrs.iter();
        entry.identity = Some(PeerIdentity {
            id: peer,
            public_key: info.public_key.encode_protobuf(),
            addresses: addresses.map(|address| with_peer(address, peer)).collect(),
            agent_version: info.agent_version,
            protocol_version: info.protocol_version,
            protocols: info.protocols.iter().map(ToString::to_string).collect(),
        });
    }

    /// Remembers addresses of a peer; the oldest peers are forgotten when there are too many.
    pub fn learn(&mut self, peer: PeerId, addresses: impl IntoIterator<Item = Multiaddr>) {
        if !self.known.contains_key(&peer) {
            while self.known.len() >= KNOWN_MAX {
                let Some(oldest) = self.order.pop_front() else {
                    break;
                };
                self.known.remove(&oldest);
            }
            self.order.push_back(peer);
        }
        let known = self.known.entry(peer).or_default();
        for address in addresses {
            if !known.contains(&address) {
                if known.len() >= ADDRESSES_MAX {
                    known.remove(0);
                }
                known.push(address);
            }
        }
    }

    /// Where a peer was or said to be.
    pub fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.known.get(peer).cloned().unwrap_or_default()
    }

    /// Every known peer with its addresses.
    pub fn known(&self) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let known = self
            .known
            .iter()
            .filter(|(_, addresses)| !addresses.is_empty());
        known
            .map(|(peer, addresses)| (*peer, addresses.clone()))
            .collect()
    }

    /// A connected peer.
    pub fn get(&self, peer: &PeerId) -> Option<&Entry> {
        self.connected.get(peer)
    }

    /// Every connected peer.
    pub fn connected(&self) -> impl Iterator<Item = (&PeerId, &Entry)> {
        self.connected.iter()
    }

    /// Who answered at an address that this node dialled and is connected to.
    pub fn dialled_at(&self, address: &Multiaddr) -> Option<PeerId> {
        let is_there = |connection: &Connection| {
            connection.direction == Direction::Outbound && connection.address == *address
        };
        let mut connected = self.connected.iter();
        connected
            .find(|(_, entry)| entry.connections.iter().any(is_there))
            .map(|(peer, _)| *peer)
    }

    /// Number of connected peers.
    pub fn count(&self) -> usize {
        self.connected.len()
    }

    /// Every connection, as it is shown.
    pub fn list(&self) -> Vec<PeerConnection> {
        let each = self.connected.iter().flat_map(|(peer, entry)| {
            entry.connections.iter().map(|connection| PeerConnection {
                peer: *peer,
                address: connection.address.clone(),
                direction: connection.direction,
                latency: entry.latency,
                opened: connection.opened,
                agent_version: entry
                    .identity
                    .as_ref()
                    .map(|identity| identity.agent_version.clone()),
                protocols: entry
                    .identity
                    .as_ref()
                    .map(|identity| identity.protocols.clone())
                    .unwrap_or_default(),
            })
        });
        each.collect()
    }
}

/// The address at which a connection is shown.
pub fn shown_address(endpoint: &ConnectedPoint) -> Multiaddr {
    match endpoint {
        // Of a peer behind a relay only the id is known: where it came in is the relay's circuit.
        ConnectedPoint::Listener { local_addr, .. } if endpoint.is_relayed() => local_addr.clone(),
        _ => without_peer(endpoint.get_remote_address()),
    }
}

/// An address without its trailing `/p2p/ID`.
pub fn without_peer(address: &Multiaddr) -> Multiaddr {
    super::peers::split_peer(address).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_came_through_a_relay_is_shown_at_the_relays_circuit() {
        let mut book = Book::default();
        let (relay, peer) = (PeerId::random(), PeerId::random());
        let circuit = format!("/ip4/1.2.3.4/tcp/1/p2p/{relay}/p2p-circuit");
        let endpoint = ConnectedPoint::Listener {
            local_addr: circuit.parse().unwrap(),
            send_back_addr: format!("/p2p/{peer}").parse().unwrap(),
        };
        let id = ConnectionId::new_unchecked(1);
        book.handle_connected(peer, id, &endpoint, Instant::now());
        let shown: Vec<String> = book
            .list()
            .iter()
            .map(|connection| connection.address.to_string())
            .collect();
        assert_eq!(shown, [circuit]);
    }

    #[test]
    fn known_peers_and_addresses_are_bounded() {
        let mut book = Book::default();
        let first = PeerId::random();
        let address = |n: usize| {
            format!("/ip4/1.2.3.4/tcp/{}", n + 1)
                .parse::<Multiaddr>()
                .unwrap()
        };
        book.learn(first, (0..100).map(address));
        assert_eq!(book.addresses(&first).len(), ADDRESSES_MAX);
        assert!(book.addresses(&first).contains(&address(99)));
        for _ in 0..KNOWN_MAX {
            book.learn(PeerId::random(), [address(1)]);
        }
        assert_eq!(book.known().len(), KNOWN_MAX);
        assert!(book.addresses(&first).is_empty(), "the oldest is forgotten");
    }
}
