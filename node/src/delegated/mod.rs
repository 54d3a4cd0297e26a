//! Routers that are asked over HTTP (Delegated Routing V1): who has a block, where is a peer, and IPNS records.
//!
//! They are asked beside the DHTs, all at once, and what they tell is taken as hints: a block is verified whoever gives
//! it, a record by its signature. A router that fails is left alone for a while.

mod records;
mod settings;

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::future::join_all;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Response, StatusCode, Uri};
use ipfs_kit_blockstore::cid::Cid;
use libp2p::{Multiaddr, PeerId};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::keys::{IdBase, format_peer_id};
use crate::names::record::{MAX_RECORD_LEN, Record};
use crate::net::{Provider, is_public};
use crate::web::{Ask, Backoff, WebClient, WebError, failed, read};

use records::{Lines, PeerRecord};
use settings::Topic;
pub use settings::{DelegatedSettings, RouterAddress};

/// Longest wait for one router (Kubo's value).
const ROUTER_MAX: Duration = Duration::from_secs(15);

/// Largest reply, and the records taken of it.
const REPLY_MAX: usize = 4 << 20;
const RECORDS_MAX: usize = 500;

/// Records about one peer that wait to be looked at.
const PEERS_MAX: usize = 64;

const RECORDS: &str = "application/x-ndjson, application/json";
const IPNS_RECORD: &str = "application/vnd.ipfs.ipns-record";

/// The routers of a node.
pub struct Delegated {
    client: WebClient,
    routers: Vec<Router>,
    publishers: Vec<Router>,
}

struct Router {
    address: RouterAddress,
    backoff: Mutex<Backoff>,
}

impl Delegated {
    /// `None` when there is nobody to ask.
    pub fn new(settings: DelegatedSettings) -> Result<Option<Self>, WebError> {
        if settings == DelegatedSettings::default() {
            return Ok(None);
        }
        Self::of(settings).map(Some)
    }

    /// These routers.
    pub fn of(settings: DelegatedSettings) -> Result<Self, WebError> {
        let routers = |addresses: Vec<RouterAddress>| {
            let routers = addresses.into_iter().map(|address| Router {
                address,
                backoff: Mutex::default(),
            });
            routers.collect()
        };
        Ok(Self {
            client: WebClient::new(true)?,
            routers: routers(settings.routers),
            publishers: routers(settings.publishers),
        })
    }

    /// Gives who has a block, as they are told, until `found` is dropped.
    pub async fn providers(&self, cid: &Cid, found: &mpsc::Sender<Provider>) {
        let key = cid.to_string();
        let mut asking = Vec::new();
        for router in self.asked(Topic::Providers) {
            asking.push(self.ask_peers(router, Topic::Providers, &key, found));
        }
        tokio::select! {
            _ = join_all(asking) => {}
            () = found.closed() => {}
        }
    }

    /// Where a peer is, by the first router that knows it.
    pub async fn peer(&self, peer: PeerId) -> Vec<Multiaddr> {
        let key = format_peer_id(&peer, IdBase::default());
        let (found, mut told) = mpsc::channel(PEERS_MAX);
        let mut asking = Vec::new();
        for router in self.asked(Topic::Peers) {
            asking.push(self.ask_peers(router, Topic::Peers, &key, &found));
        }
        let first = async {
            while let Some(record) = told.recv().await {
                if record.peer == peer && !record.addresses.is_empty() {
                    return record.addresses;
                }
            }
            Vec::new()
        };
        let all = join_all(asking);
        tokio::pin!(first, all);
        tokio::select! {
            addresses = &mut first => addresses,
            // What was told is in the channel.
            _ = &mut all => tokio::select! {
                biased;
                addresses = &mut first => addresses,
                () = std::future::ready(()) => Vec::new(),
            },
        }
    }

    /// The valid records of a name, as they come.
    pub async fn records(&self, name: PeerId, found: &mpsc::Sender<Vec<u8>>) {
        let mut asking = Vec::new();
        for router in self.asked(Topic::Ipns) {
            asking.push(self.ask_record(router, name, found));
        }
        join_all(asking).await;
    }

    /// Whether records are given to anybody.
    pub fn publishes(&self) -> bool {
        !self.publishers.is_empty()
    }

    /// Gives a record to the publishers.
    ///
    /// # Errors
    /// What each of them said, when none took it.
    pub async fn publish(&self, name: PeerId, record: &[u8]) -> Result<(), String> {
        let key = format_peer_id(&name, IdBase::default());
        let record = Bytes::copy_from_slice(record);
        let mut giving = Vec::new();
        for router in &self.publishers {
            giving.push(self.give_record(router, &key, record.clone()));
        }
        let outcomes = join_all(giving).await;
        if outcomes.iter().any(Result::is_ok) {
            return Ok(());
        }
        let errors: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
        Err(errors.join("; "))
    }

    /// Who is asked for a topic now.
    fn asked(&self, topic: Topic) -> impl Iterator<Item = &Router> {
        let now = Instant::now();
        self.routers.iter().filter(move |router| {
            let only = router.address.only;
            only.is_none_or(|only| only == topic) && !router.backoff.lock().pauses(now)
        })
    }

    /// Asks one router for peers and hands on what it tells while somebody takes it.
    async fn ask_peers(
        &self,
        router: &Router,
        topic: Topic,
        key: &str,
        found: &mpsc::Sender<Provider>,
    ) {
        let asking = async {
            let reply = self.send(router, Method::GET, topic, key, RECORDS, None);
            let reply = reply.await?;
            match reply.status() {
                StatusCode::OK => read_peers(reply, router.address.loopback, found).await,
                StatusCode::NOT_FOUND => Ok(()),
                status => Err(WebError::Status(status)),
            }
        };
        let outcome = tokio::time::timeout(ROUTER_MAX, asking).await;
        router.note(&outcome.unwrap_or(Err(WebError::TimedOut(ROUTER_MAX))));
    }

    /// Asks one router for a name's record, and hands it on if it is valid.
    async fn ask_record(&self, router: &Router, name: PeerId, found: &mpsc::Sender<Vec<u8>>) {
        let key = format_peer_id(&name, IdBase::default());
        let asking = async {
            let reply = self.send(router, Method::GET, Topic::Ipns, &key, IPNS_RECORD, None);
            let reply = reply.await?;
            match reply.status() {
                StatusCode::OK => read(reply.into_body(), MAX_RECORD_LEN, ROUTER_MAX)
                    .await
                    .map(Some),
                StatusCode::NOT_FOUND => Ok(None),
                status => Err(WebError::Status(status)),
            }
        };
        let outcome = tokio::time::timeout(ROUTER_MAX, asking).await;
        let outcome = outcome.unwrap_or(Err(WebError::TimedOut(ROUTER_MAX)));
        router.note(&outcome);
        let Ok(Some(record)) = outcome else {
            return;
        };
        if Record::validate(record.clone(), &name, SystemTime::now()).is_ok() {
            // Whoever waited may have enough.
            let _ = found.send(record.to_vec()).await;
        }
    }

    async fn give_record(&self, router: &Router, key: &str, record: Bytes) -> Result<(), String> {
        let body = Some((IPNS_RECORD, record));
        let reply = self.send(router, Method::PUT, Topic::Ipns, key, IPNS_RECORD, body);
        let outcome = match reply.await {
            Ok(reply) if reply.status().is_success() => Ok(()),
            Ok(reply) => Err(WebError::Status(reply.status())),
            Err(error) => Err(error),
        };
        outcome.map_err(|error| format!("{}: {error}", router.address.base))
    }

    async fn send(
        &self,
        router: &Router,
        method: Method,
        topic: Topic,
        key: &str,
        accept: &'static str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Response<Incoming>, WebError> {
        let uri = format!("{}{}/{key}", router.address.base, topic.path());
        let uri: Uri = uri.parse().map_err(|error| failed(&error))?;
        let own = uri.host().map(str::to_owned);
        let ask = Ask {
            method,
            uri,
            accept,
            authorization: None,
            body,
            // The host is the user's choice; where it redirects to is not.
            private: true,
            allows: &|host| Some(host) == own.as_deref(),
        };
        self.client.send(ask, ROUTER_MAX).await
    }
}

impl Router {
    fn note<T>(&self, outcome: &Result<T, WebError>) {
        let mut backoff = self.backoff.lock();
        match outcome {
            Ok(_) => backoff.on_success(),
            Err(_) => backoff.on_failure(Instant::now()),
        }
    }
}

/// Reads records from a reply's body as they come.
async fn read_peers(
    reply: Response<Incoming>,
    loopback: bool,
    found: &mpsc::Sender<Provider>,
) -> Result<(), WebError> {
    let kind = reply
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let streams = kind.is_some_and(|kind| kind.starts_with("application/x-ndjson"));
    let mut body = reply.into_body();
    if !streams {
        let document = read(body, REPLY_MAX, ROUTER_MAX).await?;
        for record in records::of_document(&document)
            .into_iter()
            .take(RECORDS_MAX)
        {
            if found.send(filtered(record, loopback)).await.is_err() {
                break;
            }
        }
        return Ok(());
    }
    let mut lines = Lines::default();
    let (mut len, mut count) = (0, 0);
    loop {
        let frame = body.frame().await.transpose();
        let frame = frame.map_err(|error| failed(&error))?;
        let ends = frame.is_none();
        let records = match frame {
            Some(frame) => {
                let data = frame.into_data().unwrap_or_default();
                len += data.len();
                lines.push(&data)
            }
            None => lines.finish().into_iter().collect(),
        };
        for record in records {
            count += 1;
            if count > RECORDS_MAX || found.send(filtered(record, loopback)).await.is_err() {
                return Ok(());
            }
        }
        if ends {
            return Ok(());
        }
        if len > REPLY_MAX {
            return Err(WebError::TooLarge(REPLY_MAX));
        }
    }
}

/// Leaves out addresses that only mean something where the router is.
fn filtered(record: PeerRecord, loopback: bool) -> Provider {
    let mut addresses = record.addresses;
    addresses.retain(|address| loopback || is_public(address));
    Provider {
        peer: record.peer,
        addresses,
        near: loopback,
    }
}
