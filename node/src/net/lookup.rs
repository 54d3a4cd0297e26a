//! How the swarm task runs lookups in the DHTs and keeps their routing tables.

use std::time::Instant;

use libp2p::kad::store::RecordStore;
use libp2p::kad::{
    self, GetClosestPeersError, GetProvidersOk, GetRecordOk, Mode, QueryId, QueryResult, Quorum,
    Record, RecordKey,
};
use libp2p::{Multiaddr, PeerId, identify};
use tokio::sync::mpsc;

use super::NetError;
use super::command::Reply;
use super::kad::{Dht, LAN, NOT_FOUND, Scopes, Started, WAN};
use super::one_dht::DhtState;
use super::routing::{PeerAddresses, Provider, RoutingTable, TablePeer};
use super::task::SwarmTask;

/// Addresses of this node that are told to others at most.
const ADDRESSES_MAX: usize = 16;

impl SwarmTask {
    pub(super) fn dht(&mut self, wan: bool) -> Option<&mut Dht> {
        let behaviour = self.swarm.behaviour_mut();
        if wan {
            behaviour.wan.as_mut()
        } else {
            behaviour.lan.as_mut()
        }
    }

    /// Starts a query in each of these DHTs.
    fn start(
        &mut self,
        scopes: Scopes,
        mut query: impl FnMut(&mut Dht) -> Result<QueryId, String>,
    ) -> Result<Vec<(bool, QueryId)>, NetError> {
        if !self.lookups.has_room() {
            let reason = "too many lookups are under way: try again later".to_owned();
            return Err(NetError::NotStored(reason));
        }
        let mut started = Vec::new();
        let mut any = false;
        for wan in [true, false] {
            if let Some(dht) = self.dht(wan).filter(|_| scopes.has(wan)) {
                any = true;
                if let Ok(id) = query(dht) {
                    started.push((wan, id));
                }
            }
        }
        if any {
            Ok(started)
        } else {
            Err(NetError::NoRouting)
        }
    }

    pub(super) fn find_providers(
        &mut self,
        scopes: Scopes,
        key: &[u8],
        limit: usize,
        found: mpsc::Sender<Provider>,
    ) -> Result<(), NetError> {
        let key = RecordKey::new(&key);
        let queries = self.start(scopes, |dht| Ok(dht.inner.get_providers(key.clone())))?;
        self.lookups
            .begin(Started::Providers { limit, found }, queries);
        Ok(())
    }

    pub(super) fn closest_peers(
        &mut self,
        key: Vec<u8>,
        reply: Reply<Result<PeerAddresses, NetError>>,
    ) {
        match self.start(Scopes::BOTH, |dht| {
            Ok(dht.inner.get_closest_peers(key.clone()))
        }) {
            Ok(queries) => self.lookups.begin(Started::Closest(reply), queries),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    pub(super) fn closest_in(
        &mut self,
        wan: bool,
        key: Vec<u8>,
        reply: Reply<Result<PeerAddresses, NetError>>,
    ) {
        if !self.lookups.has_room() {
            let _ = reply.send(Err(NetError::TimedOut("waiting for other lookups")));
            return;
        }
        match self.dht(wan) {
            Some(dht) => {
                let query = (wan, dht.inner.get_closest_peers(key));
                self.lookups.begin(Started::Whole(reply), vec![query]);
            }
            None => {
                let _ = reply.send(Err(NetError::NoRouting));
            }
        }
    }

    /// How many peers a DHT knows, and where they may be told that this node is.
    pub(super) fn dht_state(&mut self, wan: bool) -> Option<DhtState> {
        let listening: Vec<Multiaddr> = self.swarm.listeners().cloned().collect();
        let external: Vec<Multiaddr> = self.swarm.external_addresses().cloned().collect();
        let dht = self.dht(wan)?;
        let scope = dht.scope();
        // On a LAN whatever is listened on can be reached.
        let own = listening.into_iter().filter(|_| !wan).chain(external);
        let mut addresses: Vec<Multiaddr> = own.filter(|address| scope.has(address)).collect();
        addresses.sort();
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        let peers = dht.inner.kbuckets().map(|bucket| bucket.num_entries());
        Some(DhtState {
            peers: peers.sum(),
            addresses,
        })
    }

    /// A connected peer has told where it is; others are looked for.
    pub(super) fn find_peer(
        &mut self,
        scopes: Scopes,
        peer: PeerId,
        reply: Reply<Result<Vec<Multiaddr>, NetError>>,
    ) {
        if self.swarm.is_connected(&peer) {
            let known = self.book.addresses(&peer);
            if !known.is_empty() {
                let _ = reply.send(Ok(known));
                return;
            }
        }
        match self.start(scopes, |dht| Ok(dht.inner.get_closest_peers(peer))) {
            Ok(queries) => self.lookups.begin(Started::Peer(peer, reply), queries),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    pub(super) fn provide(
        &mut self,
        scopes: Scopes,
        key: &[u8],
        reply: Reply<Result<(), NetError>>,
    ) {
        let key = RecordKey::new(&key);
        let queries = self.start(scopes, |dht| {
            // The record is this node's own in any case: whoever asks it is answered.
            let query = dht.inner.start_providing(key.clone());
            let query = query.map_err(|error| error.to_string())?;
            if is_empty(dht) {
                return Err("no peers".to_owned());
            }
            Ok(query)
        });
        self.store_reply(queries, reply);
    }

    pub(super) fn get_record(
        &mut self,
        scopes: Scopes,
        key: Vec<u8>,
        reply: Reply<Result<Vec<u8>, NetError>>,
    ) {
        let record_key = RecordKey::new(&key);
        match self.start(scopes, |dht| Ok(dht.inner.get_record(record_key.clone()))) {
            Ok(queries) => self.lookups.begin(Started::Get(key, reply), queries),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    pub(super) fn find_records(
        &mut self,
        scopes: Scopes,
        key: Vec<u8>,
        found: mpsc::Sender<Vec<u8>>,
    ) -> Result<(), NetError> {
        let record_key = RecordKey::new(&key);
        let queries = self.start(scopes, |dht| Ok(dht.inner.get_record(record_key.clone())))?;
        self.lookups.begin(Started::Records(key, found), queries);
        Ok(())
    }

    pub(super) fn put_record(
        &mut self,
        scopes: Scopes,
        key: &[u8],
        value: Vec<u8>,
        reply: Reply<Result<(), NetError>>,
    ) {
        if let Err(reason) = self.validators.validate(key, &value) {
            let _ = reply.send(Err(NetError::BadRecord(reason)));
            return;
        }
        let record = Record::new(RecordKey::new(&key), value);
        let queries = self.start(scopes, |dht| {
            let query = dht.inner.put_record(record.clone(), Quorum::One);
            let query = query.map_err(|error| error.to_string())?;
            if is_empty(dht) {
                return Err("no peers".to_owned());
            }
            Ok(query)
        });
        self.store_reply(queries, reply);
    }

    fn store_reply(
        &mut self,
        queries: Result<Vec<(bool, QueryId)>, NetError>,
        reply: Reply<Result<(), NetError>>,
    ) {
        match queries {
            Ok(queries) => self.lookups.begin(Started::Store(reply), queries),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    pub(super) fn tables(&mut self) -> Vec<RoutingTable> {
        let mut tables = Vec::new();
        for (wan, name) in [(true, "wan"), (false, "lan")] {
            let Some(dht) = self.dht(wan) else {
                continue;
            };
            let (records, provider_keys, provided) = dht.inner.store_mut().counts();
            let server = dht.inner.mode() == Mode::Server;
            let mut peers = Vec::new();
            let mut buckets = Vec::new();
            for bucket in dht.inner.kbuckets() {
                let shared = 255 - bucket.range().0.ilog2().unwrap_or_default() as usize;
                let ids = bucket.iter().map(|entry| *entry.node.key.preimage());
                let ids: Vec<PeerId> = ids.collect();
                peers.extend_from_slice(&ids);
                buckets.push((shared, ids));
            }
            let buckets = self.table_peers(buckets);
            tables.push(RoutingTable {
                name,
                server,
                peers,
                buckets,
                records,
                provider_keys,
                provided,
            });
        }
        tables
    }

    /// What is known of the peers of buckets, each at its place.
    fn table_peers(&self, buckets: Vec<(usize, Vec<PeerId>)>) -> Vec<Vec<TablePeer>> {
        let len = buckets.iter().map(|(shared, _)| shared + 1).max();
        let mut table = vec![Vec::new(); len.unwrap_or_default()];
        for (shared, ids) in buckets {
            table[shared] = ids
                .into_iter()
                .map(|id| {
                    let entry = self.book.get(&id);
                    let identity = entry.and_then(|entry| entry.identity.as_ref());
                    TablePeer {
                        id,
                        connected: entry.is_some(),
                        agent_version: identity.map(|identity| identity.agent_version.clone()),
                    }
                })
                .collect();
        }
        table
    }

    /// Takes a peer into the tables it serves, with the addresses that belong there, or out of them.
    pub(super) fn route_identified(&mut self, peer: PeerId, info: &identify::Info) {
        for (wan, protocol) in [(true, WAN), (false, LAN)] {
            let serves = info.protocols.contains(&protocol);
            let Some(dht) = self.dht(wan) else {
                continue;
            };
            if !serves {
                dht.inner.remove_peer(&peer);
                continue;
            }
            let scope = dht.scope();
            for address in info
                .listen_addrs
                .iter()
                .filter(|address| scope.has(address))
            {
                dht.inner
                    .add_address(&peer, super::book::without_peer(address));
            }
        }
    }

    pub(super) fn handle_kad(&mut self, wan: bool, event: kad::Event) {
        match event {
            kad::Event::InboundRequest { request } => self.handle_request(wan, request),
            kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            } => {
                let key = (wan, id);
                let outcome = self.handle_result(key, result);
                if step.last {
                    self.lookups.handle_end(key, outcome);
                } else if self.lookups.is_abandoned(&key) {
                    self.finish(key);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, (wan, id): (bool, QueryId)) {
        if let Some(dht) = self.dht(wan)
            && let Some(mut query) = dht.inner.query_mut(&id)
        {
            query.finish();
        }
    }

    fn handle_result(&mut self, key: (bool, QueryId), result: QueryResult) -> Result<(), String> {
        match result {
            QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders {
                key: record,
                providers,
            })) => {
                self.handle_providers(key, &record, providers);
                Ok(())
            }
            QueryResult::GetProviders(Err(error)) => Err(error.to_string()),
            QueryResult::GetClosestPeers(result) => {
                let (peers, outcome) = match result {
                    Ok(found) => (found.peers, Ok(())),
                    Err(GetClosestPeersError::Timeout { peers, .. }) => {
                        (peers, Err("timed out".to_owned()))
                    }
                };
                let peers = peers.into_iter().map(|found| (found.peer_id, found.addrs));
                self.lookups.handle_closest(key, peers.collect());
                outcome
            }
            QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
                let validators = self.validators.clone();
                if self
                    .lookups
                    .handle_record(key, found.record.value, &validators)
                {
                    self.finish(key);
                }
                Ok(())
            }
            QueryResult::GetRecord(Err(_)) => Err(NOT_FOUND.to_owned()),
            QueryResult::PutRecord(Err(error)) => Err(error.to_string()),
            QueryResult::StartProviding(Err(error)) => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    fn handle_providers(
        &mut self,
        key: (bool, QueryId),
        record: &RecordKey,
        providers: impl IntoIterator<Item = PeerId>,
    ) {
        let local = *self.swarm.local_peer_id();
        for peer in providers {
            let mut addresses = Vec::new();
            if let Some(dht) = self.dht(key.0) {
                addresses = dht.addresses(peer);
                let kept = dht.inner.store_mut().providers(record);
                let kept = kept.into_iter().filter(|kept| kept.provider == peer);
                addresses.extend(kept.flat_map(|kept| kept.addresses));
            }
            addresses.extend(self.book.addresses(&peer));
            if peer == local {
                addresses = self.swarm.listeners().cloned().collect();
            }
            if self.lookups.handle_provider(key, peer, addresses) {
                self.finish(key);
            }
        }
    }

    /// Drops what has expired, and lookups that nobody waits for.
    pub(super) fn tend_routing(&mut self, now: Instant) {
        for wan in [true, false] {
            if let Some(dht) = self.dht(wan) {
                dht.inner.store_mut().expire(now);
            }
        }
        let abandoned: Vec<_> = self
            .lookups
            .queries()
            .filter(|key| self.lookups.is_abandoned(key))
            .copied()
            .collect();
        for key in abandoned {
            self.finish(key);
        }
    }
}

fn is_empty(dht: &mut Dht) -> bool {
    dht.inner.kbuckets().next().is_none()
}
