//! The task that runs ahead of an operation.

use std::sync::Arc;
use std::time::Instant;

use ipfs_kit_bitswap::Session;
use ipfs_kit_blockstore::block::Block;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::store::Guard;
use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashSet;
use tokio::sync::Notify;

use super::over_http::OverHttp;
use super::plan::Plan;
use super::{AHEAD_MAX, AHEAD_MIN, Failure, Reach, Search, Shared, State};
use crate::error::Result;
use crate::jobs::Meter;
use crate::net::Net;
use crate::node::Node;

/// CIDs that a session is asked for at the same time. The session itself counts in bytes what is on the wire.
const WANTS_MAX: usize = 4096;

/// Length of a block before any is known, in bytes: the usual chunk.
const BLOCK_LEN: u64 = 256 << 10;

/// Local blocks that one step walks over.
const LOCAL_MAX: usize = 4096;

/// Starts the task on the network's runtime.
pub fn start(node: Node, net: &Arc<Net>, reach: &Reach) -> Arc<Shared> {
    let shared = Arc::new(Shared {
        state: Mutex::new(State::default()),
        changed: Condvar::new(),
        wake: Notify::new(),
    });
    let plan = match reach {
        Reach::Single => Plan::new(&[]),
        Reach::Ahead(roots) | Reach::Whole(roots) => Plan::new(roots),
        Reach::Inner(roots) => Plan::inner(roots),
        Reach::From(root, start) => Plan::from(root, *start),
    };
    let whole = match reach {
        Reach::Ahead(roots) | Reach::Whole(roots) => roots.clone(),
        Reach::Single | Reach::Inner(_) | Reach::From(..) => Vec::new(),
    };
    let limited = matches!(reach, Reach::Ahead(_) | Reach::From(..));
    let bitswap = net.bitswap().clone();
    let retrieval = net.retrieval().cloned();
    let meter = node.meter().cloned();
    let work = Work {
        plan,
        guard: node.store().guard(),
        node,
    };
    let told = Arc::clone(&shared);
    net.runtime().spawn(async move {
        let session = bitswap.session();
        let http = retrieval.map(|retrieval| OverHttp::new(retrieval.lease(session.id()), whole));
        let ahead = Ahead {
            session,
            bitswap,
            http,
            shared: Arc::clone(&told),
            outstanding: FxHashSet::default(),
            fetched: 0,
            blocks: 0,
            limited,
            meter,
        };
        let failure = ahead.run(work).await.err();
        let mut state = told.state.lock();
        state.failed = Some(failure.unwrap_or(Failure::Stopped));
        told.changed.notify_all();
    });
    shared
}

/// What needs a thread that may block: the store, and reading links.
struct Work {
    plan: Plan,
    guard: Guard,
    node: Node,
}

/// What a step found.
struct Step {
    /// Of what the operation waits for, what is not in the store.
    demanded: Vec<Cid>,
    /// What comes next and is not in the store.
    wants: Vec<Cid>,
    /// There may be more to find.
    more: bool,
}

impl Work {
    /// Stores a batch and finds up to `room` blocks to ask for.
    fn step(&mut self, batch: &[Block], demanded: Vec<Cid>, room: usize) -> Result<Step> {
        if !batch.is_empty() {
            self.node.put_quietly(&self.guard, batch)?;
        }
        for block in batch {
            self.plan.handle_block(block.cid(), block.data());
        }
        let mut step = Step {
            demanded: Vec::new(),
            wants: Vec::new(),
            more: false,
        };
        for cid in demanded {
            let info = self.node.store().info(cid.hash())?;
            if info.is_none_or(|info| info.quarantined) {
                step.demanded.push(cid);
            }
        }
        for _ in 0..LOCAL_MAX {
            if step.wants.len() >= room {
                return Ok(step);
            }
            let Some(cid) = self.plan.poll_next() else {
                return Ok(step);
            };
            let info = self.node.store().info(cid.hash())?;
            match info.filter(|info| !info.quarantined) {
                None => step.wants.push(cid),
                Some(info) if info.is_leaf_as(cid.codec()) => {}
                Some(_) => {
                    if let Ok(data) = self.node.local_block(&cid) {
                        self.plan.handle_block(&cid, &data);
                    }
                }
            }
        }
        step.more = true;
        Ok(step)
    }
}

struct Ahead {
    session: Session,
    bitswap: ipfs_kit_bitswap::Bitswap,
    /// Unless it is switched off.
    http: Option<OverHttp>,
    shared: Arc<Shared>,
    outstanding: FxHashSet<Cid>,
    /// Bytes and blocks that came.
    fetched: u64,
    blocks: u64,
    /// Stay within reach of the reader.
    limited: bool,
    /// Somebody wants to know what comes.
    meter: Option<Arc<Meter>>,
}

impl Ahead {
    /// Runs until the operation is over.
    async fn run(mut self, mut work: Work) -> Result<(), Failure> {
        let mut batch: Vec<Block> = Vec::new();
        loop {
            let demanded = {
                let mut state = self.shared.state.lock();
                if state.dropped {
                    return Ok(());
                }
                std::mem::take(&mut state.demanded)
            };
            let room = self.room();
            let arrived = std::mem::take(&mut batch);
            let stored = arrived.clone();
            let step = tokio::task::spawn_blocking(move || {
                let found = work.step(&stored, demanded, room);
                (work, found)
            });
            let (back, found) = step.await.map_err(|_| Failure::Stopped)?;
            work = back;
            let found = found.map_err(|error| Failure::Refused(error.to_string()))?;
            self.tell_arrived(&arrived);
            self.demand(&found.demanded)?;
            self.want(&found.wants)?;
            if found.more {
                continue;
            }
            batch = self.wait().await?;
        }
    }

    /// How many more blocks may be asked for.
    fn room(&self) -> usize {
        let read = self.shared.state.lock().read;
        let free = WANTS_MAX.saturating_sub(self.outstanding.len());
        if !self.limited {
            return free;
        }
        // What is asked for counts as blocks of the size seen so far.
        let mean = self
            .fetched
            .checked_div(self.blocks)
            .unwrap_or(BLOCK_LEN)
            .max(1);
        let ahead = self.fetched.saturating_sub(read) + mean * self.outstanding.len() as u64;
        let reach = AHEAD_MIN.saturating_add(read).min(AHEAD_MAX);
        let more = reach.saturating_sub(ahead) / mean;
        free.min(usize::try_from(more).unwrap_or(usize::MAX))
    }

    /// What the operation waits for goes first, however far the fetch has run ahead.
    fn demand(&mut self, demanded: &[Cid]) -> Result<(), Failure> {
        if demanded.is_empty() {
            return Ok(());
        }
        self.want(demanded)?;
        self.session.prioritize(demanded);
        if let Some(http) = &mut self.http {
            http.prioritize(demanded);
        }
        Ok(())
    }

    /// Asks for what is not on its way: that may have arrived, and would come once more.
    fn want(&mut self, cids: &[Cid]) -> Result<(), Failure> {
        let new = cids.iter().filter(|cid| !self.outstanding.contains(*cid));
        let new: Vec<Cid> = new.cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        if let Some(http) = &mut self.http {
            http.want(&new);
        }
        match self.session.want(&new) {
            Ok(()) => {
                self.outstanding.extend(new);
                Ok(())
            }
            Err(error) if new.len() == 1 => Err(Failure::Refused(error.to_string())),
            // One CID that may not be fetched is no reason to give up the others.
            Err(_) => {
                for cid in new {
                    if self.session.want(std::slice::from_ref(&cid)).is_ok() {
                        self.outstanding.insert(cid);
                    }
                }
                Ok(())
            }
        }
    }

    fn tell_arrived(&mut self, batch: &[Block]) {
        if batch.is_empty() {
            return;
        }
        let (blocks, bytes) = (self.blocks, self.fetched);
        for block in batch {
            if let Some(http) = &mut self.http {
                http.forget(block.cid());
            }
            // What comes with a whole DAG has not been asked for by itself.
            self.outstanding.remove(block.cid());
            self.fetched += block.data().len() as u64;
            self.blocks += 1;
        }
        let stats = self.session.stats();
        if let Some(meter) = &self.meter {
            let now = Instant::now();
            meter.handle_fetched(self.blocks - blocks, self.fetched - bytes, now);
            meter.handle_search(stats.peers.iter().map(ToString::to_string), stats.searching);
        }
        let mut state = self.shared.state.lock();
        state.arrived += 1;
        state.search = Search {
            asked: stats.peers.len(),
            searching: stats.searching,
            over_http: state.search.over_http.take(),
        };
        drop(state);
        self.shared.changed.notify_all();
        self.bitswap.notify_new_blocks(batch);
    }

    /// Waits for blocks, or for the operation to ask, read or end.
    async fn wait(&mut self) -> Result<Vec<Block>, Failure> {
        if self.outstanding.is_empty() {
            self.shared.wake.notified().await;
            return Ok(Vec::new());
        }
        if let Some(http) = &mut self.http {
            http.start(&self.outstanding, &self.session);
            self.shared.state.lock().search.over_http = http.failure();
        }
        let over_http = async {
            match &mut self.http {
                Some(http) => http.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            batch = self.session.next_batch() => batch.map_err(|_| Failure::Stopped),
            () = self.shared.wake.notified() => Ok(Vec::new()),
            blocks = over_http => {
                // Peers are told that these are not wanted any more; they do not come through the session as well.
                let cids: Vec<Cid> = blocks.iter().map(|block| block.cid().clone()).collect();
                self.session.cancel(&cids);
                Ok(blocks)
            }
        }
    }
}
