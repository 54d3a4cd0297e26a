//! How the swarm task answers commands, and dials.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Instant;

use libp2p::core::transport::TransportError;
use libp2p::core::upgrade::ProtocolError;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId};

use super::behaviour::PROTOCOL_VERSION;
use super::book::without_peer;
use super::command::{Command, FilterChange, PeeringChange, Reply};
use super::filter::IpRange;
use super::peers::{PeerIdentity, with_peer};
use super::routing::PeerAddresses;
use super::task::{Dial, SwarmTask};
use super::{NetError, listen};

/// Dials that somebody waits for at most.
const DIALS_MAX: usize = 1024;

/// Ranges in the address filter at most.
const FILTERS_MAX: usize = 1024;

/// Peers kept connected at most.
const PEERING_MAX: usize = 1024;

impl SwarmTask {
    // A reply that cannot be delivered belongs to a caller that gave up, which is no error anywhere below.
    pub(super) fn handle_command(&mut self, command: Command) {
        match command {
            Command::Connect {
                peer,
                addresses,
                reply,
            } => self.connect(peer, addresses, reply),
            Command::Disconnect {
                peer,
                address,
                reply,
            } => {
                let _ = reply.send(self.disconnect(peer, address.as_ref()));
            }
            Command::Connected { reply } => {
                let _ = reply.send(self.swarm.connected_peers().copied().collect());
            }
            Command::Latency { peer, latency } => self.book.handle_latency(&peer, latency),
            Command::Peers { reply } => {
                let _ = reply.send(self.book.list());
            }
            Command::Identity { peer, reply } => {
                let _ = reply.send(self.identity(peer));
            }
            Command::Known { reply } => {
                let _ = reply.send(self.book.known());
            }
            Command::Listening { reply } => {
                let _ = reply.send(self.swarm.listeners().cloned().collect());
            }
            Command::Filters { change, reply } => {
                let _ = reply.send(self.change_filters(change));
            }
            Command::Peering { change, reply } => {
                let _ = reply.send(self.change_peering(change));
            }
            Command::Resources { reply } => {
                let _ = reply.send(self.resources());
            }
            Command::Shutdown { .. } => {}
            routing => self.handle_routing(routing),
        }
    }

    fn handle_routing(&mut self, command: Command) {
        match command {
            Command::FindProviders {
                key,
                limit,
                found,
                reply,
            } => {
                let _ = reply.send(self.find_providers(&key, limit, found));
            }
            Command::FindPeer { peer, reply } => self.find_peer(peer, reply),
            Command::ClosestPeers { key, reply } => self.closest_peers(key, reply),
            Command::ClosestIn { wan, key, reply } => self.closest_in(wan, key, reply),
            Command::DhtState { wan, reply } => {
                let _ = reply.send(self.dht_state(wan));
            }
            Command::Provide { key, reply } => self.provide(&key, reply),
            Command::GetRecord { key, reply } => self.get_record(key, reply),
            Command::FindRecords { key, found, reply } => {
                let _ = reply.send(self.find_records(key, found));
            }
            Command::PutRecord { key, value, reply } => self.put_record(&key, value, reply),
            Command::Tables { reply } => {
                let _ = reply.send(self.tables());
            }
            pubsub => self.handle_pubsub(pubsub),
        }
    }

    fn handle_pubsub(&mut self, command: Command) {
        match command {
            Command::Publish { topic, data, reply } => {
                let _ = reply.send(self.publish(topic, data));
            }
            Command::Subscribe { topic, sink, reply } => {
                let _ = reply.send(self.subscribe(&topic, sink));
            }
            Command::Topics { reply } => {
                let _ = reply.send(self.topic_names());
            }
            Command::TopicPeers { topic, reply } => {
                let _ = reply.send(self.topic_peers(topic));
            }
            _ => {}
        }
    }

    fn connect(
        &mut self,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        reply: Reply<Result<PeerId, NetError>>,
    ) {
        let target = match (&peer, addresses.first()) {
            (Some(peer), _) => peer.to_string(),
            (None, Some(address)) => address.to_string(),
            (None, None) => String::new(),
        };
        if let Some(peer) = peer.filter(|peer| self.swarm.is_connected(peer)) {
            let _ = reply.send(Ok(peer));
            return;
        }
        if peer.as_ref() == Some(self.swarm.local_peer_id()) {
            let _ = reply.send(Err(NetError::DialSelf));
            return;
        }
        self.dials.retain(|_, dial| !dial.reply.is_closed());
        if self.dials.len() >= DIALS_MAX {
            let reason = "too many dials are under way: try again later".to_owned();
            let _ = reply.send(Err(NetError::Dial {
                peer: target,
                reason,
            }));
            return;
        }
        let first = addresses.first().cloned();
        let options = match (peer, first) {
            (Some(peer), _) => self.dial_options(peer, addresses, PeerCondition::Always),
            (None, Some(address)) => DialOpts::unknown_peer_id().address(address).build(),
            (None, None) => {
                let _ = reply.send(Err(NetError::BadAddress {
                    text: String::new(),
                    reason: "it is empty".to_owned(),
                }));
                return;
            }
        };
        let id = options.connection_id();
        self.dials.insert(
            id,
            Dial {
                peer,
                target,
                reply,
            },
        );
        if let Err(error) = self.swarm.dial(options) {
            self.dial_failed(id, error);
        }
    }

    fn dial_options(
        &self,
        peer: PeerId,
        addresses: impl IntoIterator<Item = Multiaddr>,
        condition: PeerCondition,
    ) -> DialOpts {
        let mut all: Vec<Multiaddr> = addresses.into_iter().collect();
        let explicit = !all.is_empty();
        // Where somebody says where the peer is, stale addresses from before would only cost time.
        if !explicit {
            all = self.book.addresses(&peer);
        }
        DialOpts::peer_id(peer)
            .condition(condition)
            .addresses(all)
            .extend_addresses_through_behaviour()
            .build()
    }

    /// Dials where nobody waits for the outcome.
    pub(super) fn dial_quietly(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let addresses = addresses.iter().map(without_peer);
        let options = self.dial_options(peer, addresses, PeerCondition::DisconnectedAndNotDialing);
        // It is tried again when it is due; what is wrong shows in the peer's absence.
        let _ = self.swarm.dial(options);
    }

    /// Answers everyone who waits for this connection or peer.
    pub(super) fn dial_succeeded(&mut self, connection: ConnectionId, peer: PeerId) {
        let waiting: Vec<ConnectionId> = self
            .dials
            .iter()
            .filter(|(id, dial)| **id == connection || dial.peer == Some(peer))
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            if let Some(dial) = self.dials.remove(&id) {
                let _ = dial.reply.send(Ok(peer));
            }
        }
    }

    pub(super) fn dial_failed(&mut self, connection: ConnectionId, error: DialError) {
        let Some(dial) = self.dials.remove(&connection) else {
            return;
        };
        let error = match (error, dial.peer) {
            (DialError::NoAddresses, Some(peer)) => NetError::NoAddresses(peer),
            (DialError::LocalPeerId { .. }, _) => NetError::DialSelf,
            (DialError::WrongPeerId { obtained, address }, Some(expected)) => NetError::WrongPeer {
                expected: expected.to_string(),
                obtained: obtained.to_string(),
                address: address.to_string(),
            },
            (error, _) => NetError::Dial {
                peer: dial.target,
                reason: dial_text(&error, self.settings.private_network.is_some()),
            },
        };
        let _ = dial.reply.send(Err(error));
    }

    fn disconnect(&mut self, peer: PeerId, address: Option<&Multiaddr>) -> Result<(), NetError> {
        let entry = self.book.get(&peer).ok_or(NetError::NotConnected(peer))?;
        let ids: Vec<ConnectionId> = entry
            .connections
            .iter()
            .filter(|connection| address.is_none_or(|address| connection.address == *address))
            .map(|connection| connection.id)
            .collect();
        if ids.is_empty() {
            return Err(NetError::NotConnected(peer));
        }
        for id in ids {
            self.swarm.close_connection(id);
        }
        Ok(())
    }

    fn identity(&self, peer: Option<PeerId>) -> Result<PeerIdentity, NetError> {
        let local = *self.swarm.local_peer_id();
        if let Some(peer) = peer.filter(|peer| *peer != local) {
            let entry = self.book.get(&peer).ok_or(NetError::NotConnected(peer))?;
            return entry.identity.clone().ok_or(NetError::TimedOut("identify"));
        }
        let wan = self.swarm.behaviour().wan.as_ref();
        let serves_wan = wan.is_some_and(|dht| dht.inner.mode() == libp2p::kad::Mode::Server);
        let listening: Vec<Multiaddr> = self.swarm.listeners().cloned().collect();
        let mut addresses = listen::announced(&self.settings, &listening);
        for external in self.swarm.external_addresses() {
            if !addresses.contains(external) {
                addresses.push(external.clone());
            }
        }
        Ok(PeerIdentity {
            id: local,
            public_key: self.public_key.clone(),
            addresses: addresses
                .iter()
                .map(|address| with_peer(address, local))
                .collect(),
            agent_version: self.settings.agent.clone(),
            protocol_version: PROTOCOL_VERSION.to_owned(),
            protocols: super::protocols::of(&self.settings, serves_wan),
        })
    }

    fn change_filters(&mut self, change: FilterChange) -> Result<Vec<IpRange>, NetError> {
        let filters = self.swarm.behaviour().gate.filters();
        match change {
            FilterChange::None => {}
            FilterChange::Add(range) => {
                if !filters.close(range, FILTERS_MAX) {
                    return Err(NetError::TooMany("address filters", FILTERS_MAX));
                }
            }
            FilterChange::Remove(range) => filters.open(range),
        }
        Ok(filters.list())
    }

    fn change_peering(&mut self, change: PeeringChange) -> Result<PeerAddresses, NetError> {
        match change {
            PeeringChange::None => {}
            PeeringChange::Add(peer, addresses) => {
                if !self.peering.contains(&peer) && self.peering.list().count() >= PEERING_MAX {
                    return Err(NetError::TooMany("peers kept connected", PEERING_MAX));
                }
                self.keep_connected(peer, addresses, Instant::now());
            }
            PeeringChange::Remove(peer) => {
                self.peering.remove(&peer);
                let behaviour = self.swarm.behaviour_mut();
                behaviour.limits.remove_peer_id(&peer);
                behaviour.gate.distrust(&peer);
            }
        }
        let list = self.peering.list();
        Ok(list
            .map(|(peer, addresses)| (*peer, addresses.to_vec()))
            .collect())
    }
}

/// Every address that was tried, with what happened. `private`: this node is in a private network.
fn dial_text(error: &DialError, private: bool) -> String {
    match error {
        DialError::Transport(tried) if !tried.is_empty() => {
            let each = tried.iter().map(|(address, error)| {
                let reason = match error {
                    TransportError::MultiaddrNotSupported(_) => {
                        "no transport for this kind of address".to_owned()
                    }
                    TransportError::Other(error) => {
                        causes(error) + private_network_hint(innermost(error), private)
                    }
                };
                format!("[{address}] {reason}")
            });
            format!("all dials failed: {}", each.collect::<Vec<_>>().join("; "))
        }
        DialError::Denied { cause } => causes(cause),
        error => causes(error),
    }
}

/// What libp2p says when a dial or its handshake took too long. The type of that error is generic over the whole transport.
const TIMEOUT: &str = "Timeout has been reached";

/// A private network's key garbles every byte for whoever has another one or none, and the handshake then fails with
/// errors that do not say so.
fn private_network_hint(cause: &(dyn Error + 'static), private: bool) -> &'static str {
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    let not_there = matches!(
        kind,
        Some(
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
        )
    );
    let cut_off = matches!(
        kind,
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
    );
    // What the system did not say, the handshake says of bytes that it cannot read.
    let unreadable = cause
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.raw_os_error().is_none())
        || cause.is::<ProtocolError>();
    if private && !not_there {
        " (this node is in a private network: the peer must have the same swarm.key)"
    } else if !private && (cut_off || unreadable) {
        " (the handshake failed: if the peer is in a private network, its swarm.key is needed)"
    } else if !private && cause.to_string() == TIMEOUT {
        " (nothing answered, or nothing that could be read: if the peer is in a private network, its swarm.key is needed)"
    } else {
        ""
    }
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost
}

/// The innermost cause says most: the outer ones name library layers.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = innermost(error).to_string();
    text.truncate(text.floor_char_boundary(300));
    text
}
