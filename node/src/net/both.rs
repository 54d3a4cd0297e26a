//! Routing by the DHTs and by delegated routers side by side: whoever answers first is first.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use ipfs_kit_blockstore::cid::Cid;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;

use super::command::Command;
use super::kad::Scopes;
use super::providers::is_http;
use super::routing::{FOUND_MAX, Provider, RECORDS_MAX, Routing};
use super::{Net, NetError};
use crate::delegated::Delegated;
use crate::names::record::{Record, better};

/// What stands before a name in the key of its record.
const IPNS: &[u8] = b"/ipns/";

pub(super) fn name_of(key: &[u8]) -> Option<PeerId> {
    PeerId::from_bytes(key.strip_prefix(IPNS)?).ok()
}

/// Providers as they come, each once, until there are `limit`. `again`: a second time with the first address for HTTP.
pub async fn providers(
    net: &Arc<Net>,
    delegated: &Arc<Delegated>,
    cid: &Cid,
    limit: usize,
    again: bool,
) -> mpsc::Receiver<Provider> {
    let (told, inner) = mpsc::channel::<Provider>(FOUND_MAX);
    let routing = Routing {
        net: Arc::clone(net),
    };
    // Without a DHT, or when it is busy, there are the routers.
    let _ = routing.in_dht(Scopes::BOTH, cid, limit, told.clone()).await;
    let (delegated, cid) = (Arc::clone(delegated), cid.clone());
    net.runtime()
        .spawn(async move { delegated.providers(&cid, &told).await });
    each_once(net, inner, limit, again)
}

/// What comes, each once, until there are `limit`. `again`: a second time with the first address for HTTP.
pub fn each_once(
    net: &Net,
    mut inner: mpsc::Receiver<Provider>,
    limit: usize,
    again: bool,
) -> mpsc::Receiver<Provider> {
    let (found, receiver) = mpsc::channel(FOUND_MAX);
    net.runtime().spawn(async move {
        let mut seen = HashMap::new();
        while seen.len() < limit {
            let next = tokio::select! {
                next = inner.recv() => next,
                () = found.closed() => None,
            };
            let Some(provider) = next else {
                return;
            };
            let http = provider.addresses.iter().any(is_http);
            let before = seen.get(&provider.peer).copied();
            seen.insert(provider.peer, http || before == Some(true));
            let is_new = before.is_none() || (again && http && before == Some(false));
            if is_new && found.send(provider).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Where a peer is, by whoever knows it first.
pub async fn peer(
    net: &Arc<Net>,
    delegated: &Delegated,
    peer: PeerId,
) -> Result<Vec<Multiaddr>, NetError> {
    let dht = net.ask(|reply| Command::FindPeer {
        scopes: Scopes::BOTH,
        peer,
        reply,
    });
    let told = delegated.peer(peer);
    tokio::pin!(dht, told);
    tokio::select! {
        found = &mut dht => match found? {
            Ok(found) if !found.is_empty() => Ok(found),
            nothing => {
                let told = told.await;
                if told.is_empty() { nothing } else { Ok(told) }
            }
        },
        told = &mut told => if told.is_empty() { dht.await? } else { Ok(told) },
    }
}

/// The best record of a key: of what a DHT and the routers have.
pub async fn record(
    net: &Arc<Net>,
    delegated: &Delegated,
    key: Vec<u8>,
) -> Result<Vec<u8>, NetError> {
    let name = name_of(&key);
    let dht = net.ask(|reply| Command::GetRecord {
        scopes: Scopes::BOTH,
        key,
        reply,
    });
    let Some(name) = name else {
        return dht.await?;
    };
    let (found, mut records) = mpsc::channel(RECORDS_MAX);
    let asking = async {
        let found = found;
        delegated.records(name, &found).await;
    };
    let taking = async {
        let mut best: Option<Record> = None;
        while let Some(bytes) = records.recv().await {
            let record = Record::validate(bytes.into(), &name, SystemTime::now()).ok();
            best = [best, record].into_iter().flatten().max_by(better);
        }
        best
    };
    let (dht, (), told) = tokio::join!(dht, asking, taking);
    let own = dht?;
    let Some(told) = told else {
        return own;
    };
    let own = own
        .ok()
        .and_then(|bytes| Record::validate(bytes.into(), &name, SystemTime::now()).ok());
    let best = [Some(told), own].into_iter().flatten().max_by(better);
    let best = best.ok_or(NetError::NotFound)?;
    Ok(best.bytes().to_vec())
}

/// The valid records of a key as they are found.
pub async fn records(
    net: &Arc<Net>,
    delegated: &Arc<Delegated>,
    key: Vec<u8>,
) -> Result<mpsc::Receiver<Vec<u8>>, NetError> {
    let (found, receiver) = mpsc::channel(RECORDS_MAX);
    let name = name_of(&key);
    let told = found.clone();
    let dht = net.ask(|reply| Command::FindRecords {
        scopes: Scopes::BOTH,
        key,
        found,
        reply,
    });
    let dht = dht.await?;
    let Some(name) = name else {
        return dht.map(|()| receiver);
    };
    let delegated = Arc::clone(delegated);
    net.runtime().spawn(async move {
        tokio::select! {
            () = delegated.records(name, &told) => {}
            () = told.closed() => {}
        }
    });
    Ok(receiver)
}

/// Stores a record in the DHTs and with the publishers; one of them is enough.
pub async fn store(
    net: &Arc<Net>,
    delegated: &Delegated,
    key: Vec<u8>,
    value: Vec<u8>,
) -> Result<(), NetError> {
    let name = name_of(&key).filter(|_| delegated.publishes());
    let Some(name) = name else {
        return net
            .ask(|reply| Command::PutRecord {
                scopes: Scopes::BOTH,
                key,
                value,
                reply,
            })
            .await?;
    };
    Record::validate(value.clone().into(), &name, SystemTime::now())
        .map_err(|error| NetError::BadRecord(error.to_string()))?;
    let giving = delegated.publish(name, &value);
    let record = value.clone();
    let dht = net.ask(|reply| Command::PutRecord {
        scopes: Scopes::BOTH,
        key,
        value: record,
        reply,
    });
    let (dht, given) = tokio::join!(dht, giving);
    match (dht?, given) {
        (Ok(()), _) | (_, Ok(())) => Ok(()),
        (Err(error), Err(reason)) => Err(NetError::NotStored(format!("{error}; {reason}"))),
    }
}
