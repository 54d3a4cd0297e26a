//! The part of a fetch that goes to HTTP gateways: what no connected peer has.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ipfs_kit_bitswap::Session;
use ipfs_kit_blockstore::block::Block;
use ipfs_kit_blockstore::cid::Cid;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::retrieval::{Lease, RetrievalError};

/// Between two looks at what failed and at what peers lack.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Places in the order above which it is cleared of what has arrived.
const ORDER_MAX: usize = 16 << 10;

/// Blocks of a whole DAG that are taken at once.
const CAR_BATCH: usize = 32;

/// Longest wait for the next block of a whole DAG; then its blocks are asked for one by one.
const CAR_PAUSE_MAX: Duration = Duration::from_secs(15);

/// Longest pause before a block is asked for again.
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// The requests of a fetch.
pub struct OverHttp {
    lease: Lease,
    /// What is wanted, in the order of use; what has arrived is left out when its turn comes.
    order: VecDeque<Cid>,
    running: JoinSet<(Cid, Result<Block, RetrievalError>)>,
    asked: FxHashMap<Cid, AbortHandle>,
    /// What could not be had: how often, and when to try again.
    failed: FxHashMap<Cid, (u32, Instant)>,
    failures: u64,
    last: Option<RetrievalError>,
    /// Roots whose whole DAGs are wanted and were not asked for as such.
    roots: Vec<Cid>,
    /// A whole DAG on its way.
    car: Option<mpsc::Receiver<Block>>,
    /// When a block of it came last.
    car_since: Instant,
}

impl OverHttp {
    /// `roots`: everything below them is wanted.
    pub fn new(lease: Lease, roots: Vec<Cid>) -> Self {
        Self {
            lease,
            order: VecDeque::new(),
            running: JoinSet::new(),
            asked: FxHashMap::default(),
            failed: FxHashMap::default(),
            failures: 0,
            last: None,
            roots,
            car: None,
            car_since: Instant::now(),
        }
    }

    /// Bitswap is asked for these too.
    pub fn want(&mut self, cids: &[Cid]) {
        self.order.extend(cids.iter().cloned());
    }

    /// These first.
    pub fn prioritize(&mut self, cids: &[Cid]) {
        for cid in cids.iter().rev() {
            self.order.push_front(cid.clone());
        }
    }

    /// It is there: a request for it is given up.
    pub fn forget(&mut self, cid: &Cid) {
        self.failed.remove(cid);
        if let Some(request) = self.asked.remove(cid) {
            request.abort();
        }
    }

    /// What went wrong, for an error's text.
    pub fn failure(&self) -> Option<String> {
        let last = self.last.as_ref()?;
        let failures = self.failures;
        Some(format!(
            "{failures} requests to HTTP gateways failed, the last one with {last}"
        ))
    }

    /// Asks for what is `wanted` and nobody in the session is known to have.
    pub fn start(&mut self, wanted: &FxHashSet<Cid>, session: &Session) {
        self.clear(wanted);
        let room = self.lease.workers().saturating_sub(self.running.len());
        if room == 0 || !self.lease.has_gateways() {
            return;
        }
        let alone = session.stats().peers.is_empty();
        let searched: FxHashSet<Cid> = if alone {
            FxHashSet::default()
        } else {
            session.searched().into_iter().collect()
        };
        if !alone && searched.is_empty() {
            return;
        }
        if self.car.is_none() && alone {
            self.start_car(wanted);
        }
        if self.car.is_some() {
            return;
        }
        let now = Instant::now();
        let mut later = VecDeque::new();
        while self.asked.len() < self.lease.workers() {
            let Some(cid) = self.order.pop_front() else {
                break;
            };
            if !wanted.contains(&cid) || self.asked.contains_key(&cid) {
                continue;
            }
            let paused = self.failed.get(&cid).is_some_and(|(_, until)| now < *until);
            if paused || !(alone || searched.contains(&cid)) {
                later.push_back(cid);
                continue;
            }
            let request = self.running.spawn(self.lease.block(cid.clone()));
            self.asked.insert(cid, request);
        }
        later.append(&mut self.order);
        self.order = later;
    }

    /// Asks for a whole DAG whose root is wanted. What it does not bring is asked for block by block.
    fn start_car(&mut self, wanted: &FxHashSet<Cid>) {
        if let Some(at) = self.roots.iter().position(|root| wanted.contains(root)) {
            self.car = self.lease.car(self.roots.swap_remove(at));
            self.car_since = Instant::now();
        }
    }

    /// Keeps the order from growing with everything that came by other ways.
    fn clear(&mut self, wanted: &FxHashSet<Cid>) {
        if self.order.len() > ORDER_MAX {
            let mut kept = FxHashSet::default();
            self.order
                .retain(|cid| wanted.contains(cid) && kept.insert(cid.clone()));
        }
    }

    /// Waits until blocks have come, or there may be more to start.
    pub async fn next(&mut self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let due = self.car_since + CAR_PAUSE_MAX;
        let car = async {
            match &mut self.car {
                Some(car) => {
                    // What has come is taken, however late it is.
                    let more = car.recv_many(&mut blocks, CAR_BATCH);
                    let more = tokio::time::timeout_at(due.into(), more).await;
                    matches!(more, Ok(1..)).then_some(())
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            more = car => {
                self.car_since = Instant::now();
                if more.is_none() {
                    self.car = None;
                }
                return blocks;
            }
            Some(ended) = self.running.join_next() => self.take(ended, &mut blocks),
            () = self.lease.changed() => self.failed.clear(),
            () = tokio::time::sleep(LOOK_EVERY), if !self.order.is_empty() && self.lease.has_gateways() => {}
        }
        while let Some(ended) = self.running.try_join_next() {
            self.take(ended, &mut blocks);
        }
        blocks
    }

    fn take(
        &mut self,
        ended: Result<(Cid, Result<Block, RetrievalError>), tokio::task::JoinError>,
        blocks: &mut Vec<Block>,
    ) {
        // A request that was given up.
        let Ok((cid, got)) = ended else {
            return;
        };
        if self.asked.remove(&cid).is_none() {
            return;
        }
        match got {
            Ok(block) => blocks.push(block),
            Err(error) => {
                self.failures += 1;
                let (times, until) = self
                    .failed
                    .entry(cid.clone())
                    .or_insert((0, Instant::now()));
                let pause = Duration::from_secs(1 << (*times).min(6)).min(AGAIN_MAX);
                (*times, *until) = (*times + 1, Instant::now() + pause);
                // That nobody can be asked for a while says less than why.
                if self.last.is_none() || !matches!(error, RetrievalError::NoGateway) {
                    self.last = Some(error);
                }
                self.order.push_front(cid);
            }
        }
    }
}
