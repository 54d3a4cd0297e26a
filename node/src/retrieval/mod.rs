//! Blocks over HTTP: trustless gateways are asked for single blocks, those of the configuration for whole DAGs too ([`car`]),
//! and what they give is verified before anything else sees it.
//!
//! A fetch takes a [`Lease`] for its Bitswap session. The search for providers tells what it finds by the session's id
//! ([`Retrieval::offer`]), and the fetch asks for what no connected peer has ([`Lease::block`]).

mod car;
mod endpoint;
mod ranking;
mod settings;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hyper::body::Incoming;
use hyper::{Method, Response, StatusCode, Uri};
use ipfs_kit_bitswap::SessionId;
use ipfs_kit_blockstore::block::Block;
use ipfs_kit_blockstore::cid::Cid;
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::net::Provider;
use crate::web::{Ask, WebClient, WebError, failed, read};

use endpoint::Endpoint;
use ranking::{Outcome, Ranking};
pub use settings::RetrievalSettings;

/// Longest wait for an answer's head, and for a block.
const HEAD_MAX: Duration = Duration::from_secs(10);
const BLOCK_MAX: Duration = Duration::from_secs(30);

/// After this time without a block the next gateway is asked beside the first.
const HEDGE: Duration = Duration::from_secs(2);

/// Gateways of one fetch.
const ENDPOINTS_MAX: usize = 32;

/// A gateway that has lacked so many blocks in a row is not asked by this fetch any more.
const MISSES_MAX: u32 = 16;

const RAW: &str = "application/vnd.ipld.raw";

/// Why there is no block.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetrievalError {
    /// Nobody to ask, or all are left alone for a while.
    #[error("no HTTP gateway can be asked now")]
    NoGateway,
    /// The gateway does not have it.
    #[error("{0}: it does not have the block")]
    Missing(String),
    /// The gateway gave other bytes.
    #[error("{0}: the bytes are not those of the block")]
    Lie(String),
    /// The request failed.
    #[error("{0}: {1}")]
    Web(String, WebError),
}

/// Retrieval over HTTP of a node.
pub struct Retrieval {
    settings: RetrievalSettings,
    client: WebClient,
    workers: Semaphore,
    ranking: Mutex<Ranking>,
    sessions: Mutex<FxHashMap<SessionId, Arc<Sources>>>,
    /// Gateways of the configuration that gave no CAR when they were asked for one.
    without_cars: Mutex<FxHashSet<String>>,
}

/// The gateways of a fetch, each with how many blocks in a row it did not have.
#[derive(Default)]
struct Sources {
    known: Mutex<Vec<(Endpoint, u32)>>,
    changed: Notify,
}

impl Retrieval {
    /// `None` when it is switched off.
    pub fn new(settings: RetrievalSettings) -> Result<Option<Arc<Self>>, WebError> {
        if !settings.enabled {
            return Ok(None);
        }
        Ok(Some(Arc::new(Self {
            client: WebClient::new(settings.verify)?,
            workers: Semaphore::new(settings.workers),
            ranking: Mutex::default(),
            sessions: Mutex::default(),
            without_cars: Mutex::default(),
            settings,
        })))
    }

    /// A fetch begins.
    pub fn lease(self: &Arc<Self>, session: SessionId) -> Lease {
        let sources = Arc::new(Sources::default());
        self.sessions.lock().insert(session, Arc::clone(&sources));
        Lease {
            retrieval: Arc::clone(self),
            session,
            sources,
        }
    }

    /// Tells a fetch of the configuration's gateways.
    pub fn offer_gateways(&self, session: SessionId) {
        self.add(session, self.settings.gateways.iter().cloned());
    }

    /// Tells a fetch of a provider's gateways.
    pub fn offer(&self, session: SessionId, provider: &Provider) {
        let addresses = provider.addresses.iter();
        self.add(
            session,
            addresses.filter_map(|address| Endpoint::of_address(address, provider.near)),
        );
    }

    fn add(&self, session: SessionId, endpoints: impl Iterator<Item = Endpoint>) {
        let Some(sources) = self.sessions.lock().get(&session).cloned() else {
            return;
        };
        let mut known = sources.known.lock();
        let before = known.len();
        for endpoint in endpoints {
            let is_new = !known.iter().any(|(other, _)| other.base == endpoint.base);
            let allowed = self.settings.hosts.allow(&endpoint.host);
            if is_new && allowed && known.len() < ENDPOINTS_MAX {
                known.push((endpoint, 0));
            }
        }
        if known.len() > before {
            sources.changed.notify_one();
        }
    }

    /// The best gateway that was not tried.
    fn choose(&self, sources: &Sources, tried: &[String]) -> Option<Endpoint> {
        let (now, ranking) = (Instant::now(), self.ranking.lock());
        let known = sources.known.lock();
        let open = known
            .iter()
            .filter(|(at, misses)| *misses < MISSES_MAX && !tried.contains(&at.base));
        let costs = open.filter_map(|(at, misses)| {
            let cost = ranking.cost(now, &at.base)?;
            Some((at, cost * f64::from(misses + 1)))
        });
        let best = costs.min_by(|(_, a), (_, b)| a.total_cmp(b));
        best.map(|(at, _)| at.clone())
    }

    /// Asks one gateway after the other, and two at a time where the first is slow.
    async fn block(&self, sources: &Sources, cid: &Cid) -> Result<Block, RetrievalError> {
        let mut tried = Vec::new();
        let mut running = FuturesUnordered::new();
        let mut last = RetrievalError::NoGateway;
        loop {
            // Reached with nobody running, after a failure, and when who is running is slow.
            match self.choose(sources, &tried) {
                Some(endpoint) => {
                    tried.push(endpoint.base.clone());
                    running.push(self.ask(sources, endpoint, cid));
                }
                None if running.is_empty() => return Err(last),
                None => {}
            }
            tokio::select! {
                Some(outcome) = running.next() => match outcome {
                    Ok(block) => return Ok(block),
                    Err(error) => last = error,
                },
                () = tokio::time::sleep(HEDGE) => {}
            }
        }
    }

    async fn ask(
        &self,
        sources: &Sources,
        endpoint: Endpoint,
        cid: &Cid,
    ) -> Result<Block, RetrievalError> {
        // The semaphore is never closed.
        let _permit = self.workers.acquire().await;
        let mut running = Running::begin(self, &endpoint.base);
        let got = self.get(&endpoint, cid).await;
        let missing = matches!(got, Err(RetrievalError::Missing(_)));
        running.outcome = Some(match &got {
            Ok(block) => Outcome::Block(block.data().len(), running.start.elapsed()),
            Err(RetrievalError::Missing(_)) => Outcome::Missing,
            Err(RetrievalError::Lie(_)) => Outcome::Lie,
            Err(_) => Outcome::Failed,
        });
        drop(running);
        let mut known = sources.known.lock();
        if let Some((_, misses)) = known.iter_mut().find(|(at, _)| *at == endpoint) {
            *misses = if missing { *misses + 1 } else { 0 };
        }
        got
    }

    /// The reply of a gateway that has what is asked for.
    async fn request(
        &self,
        endpoint: &Endpoint,
        cid: &Cid,
        query: &str,
        accept: &'static str,
    ) -> Result<Response<Incoming>, RetrievalError> {
        let web = |error| RetrievalError::Web(endpoint.base.clone(), error);
        let uri = format!("{}/ipfs/{cid}?{query}", endpoint.base);
        let uri: Uri = uri.parse().map_err(|error| web(failed(&error)))?;
        let hosts = &self.settings.hosts;
        let ask = Ask {
            method: Method::GET,
            uri,
            accept,
            authorization: None,
            body: None,
            private: endpoint.private,
            // A private gateway's word is not enough to reach other hosts by private addresses.
            allows: &|host| hosts.allow(host) && (!endpoint.private || host == endpoint.host),
        };
        let reply = self.client.send(ask, HEAD_MAX).await.map_err(web)?;
        match reply.status() {
            StatusCode::OK => Ok(reply),
            StatusCode::NOT_FOUND
            | StatusCode::GONE
            | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
                Err(RetrievalError::Missing(endpoint.base.clone()))
            }
            status => Err(web(WebError::Status(status))),
        }
    }

    async fn get(&self, endpoint: &Endpoint, cid: &Cid) -> Result<Block, RetrievalError> {
        let web = |error| RetrievalError::Web(endpoint.base.clone(), error);
        let reply = self.request(endpoint, cid, "format=raw", RAW).await?;
        let body = read(reply.into_body(), self.settings.block_max, BLOCK_MAX);
        let data = body.await.map_err(web)?;
        let cid = cid.clone();
        let verified = tokio::task::spawn_blocking(move || Block::verified(cid, data)).await;
        match verified {
            Ok(Ok(block)) => Ok(block),
            _ => Err(RetrievalError::Lie(endpoint.base.clone())),
        }
    }
}

/// A request under way; one that is given up is counted too.
struct Running<'a> {
    retrieval: &'a Retrieval,
    base: String,
    start: Instant,
    outcome: Option<Outcome>,
}

impl<'a> Running<'a> {
    fn begin(retrieval: &'a Retrieval, base: &str) -> Self {
        let start = Instant::now();
        retrieval.ranking.lock().begin(start, base);
        Self {
            retrieval,
            base: base.to_owned(),
            start,
            outcome: None,
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        let slow = now - self.start >= HEDGE;
        let given_up = if slow {
            Outcome::Failed
        } else {
            Outcome::Dropped
        };
        let outcome = self.outcome.unwrap_or(given_up);
        self.retrieval.ranking.lock().end(now, &self.base, outcome);
    }
}

/// A fetch's share.
pub struct Lease {
    retrieval: Arc<Retrieval>,
    session: SessionId,
    sources: Arc<Sources>,
}

impl Lease {
    /// Whether there is anybody to ask.
    pub fn has_gateways(&self) -> bool {
        !self.sources.known.lock().is_empty()
    }

    /// Waits for another gateway to be found.
    pub async fn changed(&self) {
        self.sources.changed.notified().await;
    }

    /// Requests that may run at the same time.
    pub fn workers(&self) -> usize {
        self.retrieval.settings.workers
    }

    /// Asks one of the configuration's gateways for a whole DAG, if one may give it.
    pub fn car(&self, root: Cid) -> Option<mpsc::Receiver<Block>> {
        let endpoint = self.retrieval.choose_for_car(&self.sources)?;
        Some(self.retrieval.car(endpoint, root))
    }

    /// Asks for a block. The future does not borrow the lease.
    pub fn block(
        &self,
        cid: Cid,
    ) -> impl Future<Output = (Cid, Result<Block, RetrievalError>)> + Send + 'static {
        let (retrieval, sources) = (Arc::clone(&self.retrieval), Arc::clone(&self.sources));
        async move {
            let got = retrieval.block(&sources, &cid).await;
            (cid, got)
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.retrieval.sessions.lock().remove(&self.session);
    }
}
