//! Blocks that are not here yet: where [`crate::Node::block`] goes when the store does not have one.
//!
//! A [`Fetch`] belongs to one operation, as a `cat` or a `pin add`. With the first block that is missing it opens a Bitswap
//! session and a task, which from then on runs ahead of the operation: it walks the DAG below the operation's roots in
//! the order of reading ([`plan`]), asks for what is not local, and puts what arrives into the store in batches. The
//! operation itself reads from the store and waits there. The order is: local store, connected peers, providers found by
//! routing, which the session asks for by itself, and HTTP gateways for what no connected peer has ([`over_http`]).
//!
//! What was fetched is in the store but durable only after the next sync, as everything that is not pinned. The task
//! holds a guard, so that no garbage collection takes what the operation has not read yet.

mod over_http;
mod plan;
mod task;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::cancel::{CancelToken, Cancelled};
use crate::error::{Error, Result};
use crate::net::Net;
use crate::node::Node;

/// Between two looks at the cancel token while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How far a fetch runs ahead of whoever reads, in bytes: at first, and once as much has been read. Who reads a little of
/// a big file does not want the rest.
const AHEAD_MIN: u64 = 16 << 20;
const AHEAD_MAX: u64 = 256 << 20;

/// What to fetch besides what is asked for.
#[derive(Clone, Debug)]
pub enum Reach {
    /// Nothing.
    Single,
    /// The DAGs below these roots, in the order of reading, a limited distance ahead of the reader.
    Ahead(Vec<Cid>),
    /// As `Ahead`, a file from a byte on.
    From(Cid, u64),
    /// As `Whole`, without raw leaves.
    Inner(Vec<Cid>),
    /// The DAGs below these roots, as fast as they come: everything will be needed.
    Whole(Vec<Cid>),
}

/// The fetches of one operation. Started by the first missing block; ends when the operation drops it.
pub struct Fetch {
    reach: Reach,
    shared: OnceLock<Arc<Shared>>,
}

/// What the operation and the task share.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Wakes the task.
    wake: Notify,
}

#[derive(Default)]
struct State {
    /// Asked for by the operation and not yet taken up by the task.
    demanded: Vec<Cid>,
    /// Counts up with every batch that came into the store.
    arrived: u64,
    /// Bytes that the operation has read.
    read: u64,
    /// Why the task ended, if it did by itself.
    failed: Option<Failure>,
    /// The operation is over.
    dropped: bool,
    /// What the search has come to, for an error's text.
    search: Search,
}

#[derive(Clone, Debug, Default)]
struct Search {
    asked: usize,
    searching: usize,
    /// What went wrong over HTTP.
    over_http: Option<String>,
}

/// Why a fetch ended.
#[derive(Clone, Debug)]
enum Failure {
    /// The network was shut down.
    Stopped,
    /// A CID that may not be fetched, or a store that takes no more; with the text.
    Refused(String),
}

impl Fetch {
    /// Nothing happens before the first missing block.
    pub fn new(reach: Reach) -> Self {
        Self {
            reach,
            shared: OnceLock::new(),
        }
    }

    /// Waits for a block that is not in the store. Not for async tasks: it blocks the thread.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::NotFetched`] when the time is up, [`Error::Net`] when the network stops.
    pub fn block(&self, node: &Node, net: &Arc<Net>, cid: &Cid) -> Result<Bytes> {
        let shared = self
            .shared
            .get_or_init(|| task::start(node.detached(), net, &self.reach));
        let mut demanded = false;
        loop {
            let before = shared.state.lock().arrived;
            match node.local_block(cid) {
                Err(Error::NotFound(_) | Error::Damaged { .. }) => {}
                found => return found,
            }
            check(node.cancel(), cid, shared)?;
            let mut state = shared.state.lock();
            if let Some(failure) = &state.failed {
                return Err(failure.clone().into_error(cid));
            }
            if !demanded {
                demanded = true;
                state.demanded.push(cid.clone());
                shared.wake.notify_one();
            }
            if state.arrived == before {
                shared.changed.wait_for(&mut state, LOOK_EVERY);
            }
        }
    }

    /// The operation has read a block: the fetch may run further ahead.
    pub fn handle_read(&self, len: usize) {
        if let Some(shared) = self.shared.get() {
            shared.state.lock().read += len as u64;
            shared.wake.notify_one();
        }
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.get() {
            shared.state.lock().dropped = true;
            shared.wake.notify_one();
        }
    }
}

impl Failure {
    fn into_error(self, cid: &Cid) -> Error {
        match self {
            Self::Stopped => crate::net::NetError::Stopped.into(),
            Self::Refused(reason) => Error::NotFetched {
                cid: cid.clone(),
                reason: reason.into(),
            },
        }
    }
}

/// Time that is up while waiting for a block is told with what was tried.
fn check(cancel: &CancelToken, cid: &Cid, shared: &Shared) -> Result<()> {
    match cancel.check() {
        Ok(()) => Ok(()),
        Err(Cancelled::TimedOut) => {
            let search = shared.state.lock().search.clone();
            let mut reason = format!(
                "the time is up; {} connected peers have parts of it, {} blocks are looked for through routing",
                search.asked, search.searching
            );
            if let Some(failure) = search.over_http {
                reason.push_str("; ");
                reason.push_str(&failure);
            }
            Err(Error::NotFetched {
                cid: cid.clone(),
                reason: reason.into(),
            })
        }
        Err(interrupted) => Err(interrupted.into()),
    }
}
