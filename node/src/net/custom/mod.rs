//! Routing as the user composed it (`Routing.Type=custom`): for each method a router, which is a DHT, a router over HTTP,
//! or a group of routers that work at once or one after the other ([`plan`]). The rules are Kubo's.

mod plan;

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::{BoxFuture, join_all};
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, TryFutureExt};
use ipfs_kit_blockstore::cid::Cid;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;

pub use plan::{Plan, read};

use super::both::name_of;
use super::command::Command;
use super::routing::{FOUND_MAX, Provider, RECORDS_MAX, Routing};
use super::{Net, NetError};
use crate::delegated::{Delegated, DelegatedSettings, RouterAddress};
use crate::web::WebError;
use plan::{Member, Methods, Route};

/// A router that can be asked.
type Live = Route<Arc<Delegated>>;

/// The routers of a node.
pub struct Custom(Methods<Arc<Delegated>>);

impl Custom {
    /// Sets up who is asked over HTTP. A router that is named several times is the same one, also when it fails.
    pub fn new(plan: Plan) -> Result<Self, WebError> {
        let mut known: HashMap<String, Arc<Delegated>> = HashMap::new();
        let mut make = |address: RouterAddress| {
            if let Some(router) = known.get(&address.base) {
                return Ok(Arc::clone(router));
            }
            let base = address.base.clone();
            let router = Arc::new(Delegated::of(DelegatedSettings {
                routers: vec![address.clone()],
                publishers: vec![address],
            })?);
            known.insert(base, Arc::clone(&router));
            Ok(router)
        };
        Ok(Self(Methods {
            provide: plan.provide.map(&mut make)?,
            find_providers: plan.find_providers.map(&mut make)?,
            find_peers: plan.find_peers.map(&mut make)?,
            get_ipns: plan.get_ipns.map(&mut make)?,
            put_ipns: plan.put_ipns.map(&mut make)?,
        }))
    }

    /// Whether blocks are announced in a DHT.
    pub fn provides(&self, wan: bool) -> bool {
        self.0.provide.scopes().has(wan)
    }

    /// Gives who has a block, as they are told, until `found` is dropped.
    pub async fn providers(
        &self,
        net: &Arc<Net>,
        cid: &Cid,
        limit: usize,
        found: &mpsc::Sender<Provider>,
    ) {
        let routing = routing(net);
        let ask = |route: &Live| {
            let (route, routing, cid, found) =
                (route.clone(), routing.clone(), cid.clone(), found.clone());
            async move {
                match route {
                    Route::Dht(scopes) => {
                        let (told, mut next) = mpsc::channel(FOUND_MAX);
                        routing.in_dht(scopes, &cid, limit, told).await?;
                        while let Some(provider) = next.recv().await {
                            if found.send(provider).await.is_err() {
                                break;
                            }
                        }
                    }
                    Route::Http(router) => router.providers(&cid, &found).await,
                    Route::Group { .. } => {}
                }
                Ok(())
            }
            .boxed()
        };
        let all = run(&self.0.find_providers, &ask);
        tokio::select! {
            // What was told is in the channel, whoever failed.
            _ = all => {}
            () = found.closed() => {}
        }
    }

    /// Where a peer is, by the first router that knows.
    pub async fn peer(&self, net: &Arc<Net>, peer: PeerId) -> Result<Vec<Multiaddr>, NetError> {
        first(&self.0.find_peers, &|route: &Live| {
            let (route, net) = (route.clone(), Arc::clone(net));
            async move {
                let found = match route {
                    Route::Dht(scopes) => {
                        net.ask(|reply| Command::FindPeer {
                            scopes,
                            peer,
                            reply,
                        })
                        .await??
                    }
                    Route::Http(router) => router.peer(peer).await,
                    Route::Group { .. } => Vec::new(),
                };
                if found.is_empty() {
                    Err(NetError::NotFound)
                } else {
                    Ok(found)
                }
            }
            .boxed()
        })
        .await
    }

    /// The record that the first router has.
    pub async fn record(&self, net: &Arc<Net>, key: Vec<u8>) -> Result<Vec<u8>, NetError> {
        first(&self.0.get_ipns, &|route: &Live| {
            let (route, net, key) = (route.clone(), Arc::clone(net), key.clone());
            async move {
                match route {
                    Route::Dht(scopes) => {
                        net.ask(|reply| Command::GetRecord { scopes, key, reply })
                            .await?
                    }
                    Route::Http(router) => {
                        let name = name_of(&key).ok_or(NetError::NotFound)?;
                        let (found, mut records) = mpsc::channel(RECORDS_MAX);
                        router.records(name, &found).await;
                        drop(found);
                        records.recv().await.ok_or(NetError::NotFound)
                    }
                    Route::Group { .. } => Err(NetError::NotFound),
                }
            }
            .boxed()
        })
        .await
    }

    /// The valid records of a key, as they are found, until `found` is dropped.
    pub async fn records(&self, net: &Arc<Net>, key: Vec<u8>, found: &mpsc::Sender<Vec<u8>>) {
        let ask = |route: &Live| {
            let (route, net, key, found) =
                (route.clone(), Arc::clone(net), key.clone(), found.clone());
            async move {
                match route {
                    Route::Dht(scopes) => {
                        let (told, mut next) = mpsc::channel(RECORDS_MAX);
                        net.ask(|reply| Command::FindRecords {
                            scopes,
                            key,
                            found: told,
                            reply,
                        })
                        .await??;
                        while let Some(record) = next.recv().await {
                            if found.send(record).await.is_err() {
                                break;
                            }
                        }
                    }
                    Route::Http(router) => {
                        if let Some(name) = name_of(&key) {
                            router.records(name, &found).await;
                        }
                    }
                    Route::Group { .. } => {}
                }
                Ok(())
            }
            .boxed()
        };
        let all = run(&self.0.get_ipns, &ask);
        tokio::select! {
            _ = all => {}
            () = found.closed() => {}
        }
    }

    /// Stores a record with every router whose failure counts.
    pub async fn put(&self, net: &Arc<Net>, key: Vec<u8>, value: Vec<u8>) -> Result<(), NetError> {
        run(&self.0.put_ipns, &|route: &Live| {
            let (route, net, key, value) =
                (route.clone(), Arc::clone(net), key.clone(), value.clone());
            async move {
                match route {
                    Route::Dht(scopes) => {
                        net.ask(|reply| Command::PutRecord {
                            scopes,
                            key,
                            value,
                            reply,
                        })
                        .await?
                    }
                    Route::Http(router) => {
                        let name = name_of(&key).ok_or(NetError::NoRouting)?;
                        router
                            .publish(name, &value)
                            .map_err(NetError::NotStored)
                            .await
                    }
                    Route::Group { .. } => Ok(()),
                }
            }
            .boxed()
        })
        .await
    }

    /// Announces a block in the DHTs.
    pub async fn provide(&self, net: &Arc<Net>, cid: &Cid) -> Result<(), NetError> {
        run(&self.0.provide, &|route: &Live| {
            let (route, net, key) = (route.clone(), Arc::clone(net), cid.hash().to_bytes());
            async move {
                match route {
                    Route::Dht(scopes) => {
                        net.ask(|reply| Command::Provide { scopes, key, reply })
                            .await?
                    }
                    // There is no standard for it; a start has told so.
                    Route::Http(_) | Route::Group { .. } => Ok(()),
                }
            }
            .boxed()
        })
        .await
    }
}

fn routing(net: &Arc<Net>) -> Routing {
    Routing {
        net: Arc::clone(net),
    }
}

/// Asks one router that is no group.
type Asking<'a, T> = dyn Fn(&Live) -> BoxFuture<'static, Result<T, NetError>> + Sync + 'a;

/// Everybody has to do it. Those at once all do, whoever fails; those in order end with the first that fails.
fn run<'a>(route: &'a Live, ask: &'a Asking<'a, ()>) -> BoxFuture<'a, Result<(), NetError>> {
    async move {
        let Route::Group { at_once, members } = route else {
            return ask(route).await;
        };
        let one = |member: &'a Member<Arc<Delegated>>| async move {
            let outcome = within(member, *at_once, run(&member.route, ask)).await;
            if member.ignore_errors {
                Ok(())
            } else {
                outcome
            }
        };
        if *at_once {
            return join_all(members.iter().map(one))
                .await
                .into_iter()
                .collect();
        }
        for member in members {
            match one(member).await {
                Ok(()) | Err(NetError::NotFound) => {}
                failed => return failed,
            }
        }
        Ok(())
    }
    .boxed()
}

/// The first that somebody has. A failure that counts ends it.
fn first<'a, T: Send + 'a>(
    route: &'a Live,
    ask: &'a Asking<'a, T>,
) -> BoxFuture<'a, Result<T, NetError>> {
    async move {
        let Route::Group { at_once, members } = route else {
            return ask(route).await;
        };
        let one = |member: &'a Member<Arc<Delegated>>| async move {
            match within(member, *at_once, first(&member.route, ask)).await {
                Err(_) if member.ignore_errors => Err(NetError::NotFound),
                outcome => outcome,
            }
        };
        if *at_once {
            let mut running: FuturesUnordered<_> = members.iter().map(one).collect();
            while let Some(outcome) = running.next().await {
                if !matches!(outcome, Err(NetError::NotFound)) {
                    return outcome;
                }
            }
        } else {
            for member in members {
                let outcome = one(member).await;
                if !matches!(outcome, Err(NetError::NotFound)) {
                    return outcome;
                }
            }
        }
        Err(NetError::NotFound)
    }
    .boxed()
}

/// A member's work at its time and within its time.
async fn within<T>(
    member: &Member<Arc<Delegated>>,
    at_once: bool,
    work: BoxFuture<'_, Result<T, NetError>>,
) -> Result<T, NetError> {
    if at_once && !member.after.is_zero() {
        tokio::time::sleep(member.after).await;
    }
    match member.timeout {
        None => work.await,
        Some(timeout) => tokio::time::timeout(timeout, work)
            .await
            .unwrap_or(Err(NetError::TimedOut("a router of Routing.Routers"))),
    }
}
