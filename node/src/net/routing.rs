//! The handle on routing: who has a block, where is a peer, records. The DHTs are asked, and delegated routers where there
//! are any ([`both`]), or the routers that the user composed ([`super::custom`]).

use std::sync::Arc;

use ipfs_kit_blockstore::cid::Cid;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;

use super::command::Command;
use super::custom::Custom;
use super::kad::Scopes;
use super::{Net, NetError, both};

/// Providers waiting to be taken at most.
pub(super) const FOUND_MAX: usize = 256;

/// Records waiting to be taken at most; a lookup is over with fewer.
pub(super) const RECORDS_MAX: usize = 64;

/// Somebody who has a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The peer.
    pub peer: PeerId,
    /// Where it can be reached; may be empty.
    pub addresses: Vec<Multiaddr>,
    /// A router on this machine told of it: its addresses may be private ones.
    pub near: bool,
}

/// Peers with the addresses that are known of them.
pub type PeerAddresses = Vec<(PeerId, Vec<Multiaddr>)>;

/// A peer in a routing table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePeer {
    /// The peer.
    pub id: PeerId,
    /// Whether it is connected.
    pub connected: bool,
    /// What it calls its program, if it is connected and has told.
    pub agent_version: Option<String>,
}

/// A routing table in numbers and peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingTable {
    /// `wan` or `lan`.
    pub name: &'static str,
    /// Whether this node answers lookups.
    pub server: bool,
    /// Peers in the table.
    pub peers: Vec<PeerId>,
    /// The same peers by how many bits at the front their keys share with the own one; as many as are needed.
    pub buckets: Vec<Vec<TablePeer>>,
    /// Records kept for others.
    pub records: usize,
    /// Keys for which providers are kept for others.
    pub provider_keys: usize,
    /// Keys that this node announced.
    pub provided: usize,
}

/// Verbs on routing, from [`crate::Node::routing`]. Clones are cheap.
#[derive(Clone)]
pub struct Routing {
    pub(crate) net: Arc<Net>,
}

impl Routing {
    /// Who has a block. The stream ends with the lookup, or after `limit` of them.
    ///
    /// # Errors
    /// [`NetError::NoRouting`], [`NetError::Stopped`].
    pub async fn find_providers(
        &self,
        cid: &Cid,
        limit: usize,
    ) -> Result<mpsc::Receiver<Provider>, NetError> {
        if let Some(custom) = self.net.custom() {
            return Ok(self.by_custom(custom, cid, limit, false));
        }
        if let Some(delegated) = self.net.delegated() {
            return Ok(both::providers(&self.net, delegated, cid, limit, false).await);
        }
        let (found, receiver) = mpsc::channel(FOUND_MAX);
        self.in_dht(Scopes::BOTH, cid, limit, found).await?;
        Ok(receiver)
    }

    fn by_custom(
        &self,
        custom: &Arc<Custom>,
        cid: &Cid,
        limit: usize,
        again: bool,
    ) -> mpsc::Receiver<Provider> {
        let (told, inner) = mpsc::channel(FOUND_MAX);
        let (custom, net, cid) = (Arc::clone(custom), Arc::clone(&self.net), cid.clone());
        self.net
            .runtime()
            .spawn(async move { custom.providers(&net, &cid, limit, &told).await });
        both::each_once(&self.net, inner, limit, again)
    }

    /// As [`Routing::find_providers`]; a provider comes again when it turns out to give blocks over HTTP.
    pub(super) async fn find_sources(
        &self,
        cid: &Cid,
        limit: usize,
    ) -> Result<mpsc::Receiver<Provider>, NetError> {
        if let Some(custom) = self.net.custom() {
            return Ok(self.by_custom(custom, cid, limit, true));
        }
        match self.net.delegated() {
            Some(delegated) => Ok(both::providers(&self.net, delegated, cid, limit, true).await),
            None => self.find_providers(cid, limit).await,
        }
    }

    /// The same in the DHTs alone.
    pub(super) async fn in_dht(
        &self,
        scopes: Scopes,
        cid: &Cid,
        limit: usize,
        found: mpsc::Sender<Provider>,
    ) -> Result<(), NetError> {
        let key = cid.hash().to_bytes();
        self.net
            .ask(|reply| Command::FindProviders {
                scopes,
                key,
                limit,
                found,
                reply,
            })
            .await?
    }

    /// Where a peer is.
    ///
    /// # Errors
    /// [`NetError::NotFound`], [`NetError::NoRouting`].
    pub async fn find_peer(&self, peer: PeerId) -> Result<Vec<Multiaddr>, NetError> {
        if let Some(custom) = self.net.custom() {
            return custom.peer(&self.net, peer).await;
        }
        if let Some(delegated) = self.net.delegated() {
            return both::peer(&self.net, delegated, peer).await;
        }
        self.net
            .ask(|reply| Command::FindPeer {
                scopes: Scopes::BOTH,
                peer,
                reply,
            })
            .await?
    }

    /// The peers closest to a key, closest first within each DHT.
    ///
    /// # Errors
    /// [`NetError::NoRouting`].
    pub async fn closest_peers(&self, key: Vec<u8>) -> Result<PeerAddresses, NetError> {
        self.net
            .ask(|reply| Command::ClosestPeers { key, reply })
            .await?
    }

    /// Announces that this node has a block.
    ///
    /// # Errors
    /// [`NetError::NotStored`] when no peer took it, [`NetError::NoRouting`].
    pub async fn provide(&self, cid: &Cid) -> Result<(), NetError> {
        if let Some(custom) = self.net.custom() {
            return custom.provide(&self.net, cid).await;
        }
        let key = cid.hash().to_bytes();
        self.net
            .ask(|reply| Command::Provide {
                scopes: Scopes::BOTH,
                key,
                reply,
            })
            .await?
    }

    /// The best valid record under a key.
    ///
    /// # Errors
    /// [`NetError::NotFound`], [`NetError::BadRecord`] when there are only invalid ones, [`NetError::NoRouting`].
    pub async fn get(&self, key: Vec<u8>) -> Result<Vec<u8>, NetError> {
        if let Some(custom) = self.net.custom() {
            return custom.record(&self.net, key).await;
        }
        if let Some(delegated) = self.net.delegated() {
            return both::record(&self.net, delegated, key).await;
        }
        self.net
            .ask(|reply| Command::GetRecord {
                scopes: Scopes::BOTH,
                key,
                reply,
            })
            .await?
    }

    /// The valid records under a key as they are found, better or not than those before. The stream ends with the lookup.
    ///
    /// # Errors
    /// [`NetError::NoRouting`], [`NetError::Stopped`].
    pub async fn find_records(&self, key: Vec<u8>) -> Result<mpsc::Receiver<Vec<u8>>, NetError> {
        if let Some(custom) = self.net.custom() {
            let (told, receiver) = mpsc::channel(RECORDS_MAX);
            let (custom, net) = (Arc::clone(custom), Arc::clone(&self.net));
            self.net
                .runtime()
                .spawn(async move { custom.records(&net, key, &told).await });
            return Ok(receiver);
        }
        if let Some(delegated) = self.net.delegated() {
            return both::records(&self.net, delegated, key).await;
        }
        let (found, receiver) = mpsc::channel(RECORDS_MAX);
        self.net
            .ask(|reply| Command::FindRecords {
                scopes: Scopes::BOTH,
                key,
                found,
                reply,
            })
            .await??;
        Ok(receiver)
    }

    /// Stores a record with the peers closest to its key.
    ///
    /// # Errors
    /// [`NetError::BadRecord`] when it is not valid, [`NetError::NotStored`], [`NetError::NoRouting`].
    pub async fn put(&self, key: Vec<u8>, value: Vec<u8>) -> Result<(), NetError> {
        if let Some(custom) = self.net.custom() {
            return custom.put(&self.net, key, value).await;
        }
        if let Some(delegated) = self.net.delegated() {
            return both::store(&self.net, delegated, key, value).await;
        }
        self.net
            .ask(|reply| Command::PutRecord {
                scopes: Scopes::BOTH,
                key,
                value,
                reply,
            })
            .await?
    }

    /// The routing tables.
    ///
    /// # Errors
    /// [`NetError::Stopped`].
    pub async fn tables(&self) -> Result<Vec<RoutingTable>, NetError> {
        self.net.ask(|reply| Command::Tables { reply }).await
    }
}
