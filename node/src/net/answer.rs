//! How the swarm task answers commands.

use std::time::Instant;

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

use super::behaviour::PROTOCOL_VERSION;
use super::command::{Command, FilterChange, PeeringChange};
use super::filter::IpRange;
use super::peers::{PeerIdentity, with_peer};
use super::routing::PeerAddresses;
use super::task::SwarmTask;
use super::{NetError, listen};

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
                let identity = self.identity(peer);
                if let (None, Ok(own)) = (peer, &identity) {
                    self.told.set(own);
                }
                let _ = reply.send(identity);
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
            Command::Reachability { reply } => {
                let _ = reply.send(self.reachability());
            }
            Command::Shutdown { .. } => {}
            routing => self.handle_routing(routing),
        }
    }

    fn handle_routing(&mut self, command: Command) {
        match command {
            Command::FindProviders {
                scopes,
                key,
                limit,
                found,
                reply,
            } => {
                let _ = reply.send(self.find_providers(scopes, &key, limit, found));
            }
            Command::FindPeer {
                scopes,
                peer,
                reply,
            } => self.find_peer(scopes, peer, reply),
            Command::ClosestPeers { key, reply } => self.closest_peers(key, reply),
            Command::ClosestIn { wan, key, reply } => self.closest_in(wan, key, reply),
            Command::DhtState { wan, reply } => {
                let _ = reply.send(self.dht_state(wan));
            }
            Command::Provide { scopes, key, reply } => self.provide(scopes, &key, reply),
            Command::GetRecord { scopes, key, reply } => self.get_record(scopes, key, reply),
            Command::FindRecords {
                scopes,
                key,
                found,
                reply,
            } => {
                let _ = reply.send(self.find_records(scopes, key, found));
            }
            Command::PutRecord {
                scopes,
                key,
                value,
                reply,
            } => self.put_record(scopes, &key, value, reply),
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
