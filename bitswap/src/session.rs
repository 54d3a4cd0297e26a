//! Sessions, as callers see them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ipfs_kit_blockstore::{Block, Cid, CidError};
use parking_lot::{Condvar, Mutex};
use thiserror::Error;
use tokio::sync::Notify;

use crate::driver::Shared;
use crate::engine::SessionId;
use crate::stats::SessionStats;

/// Taken bytes are told to the engine in steps of this size.
const TOLD_EVERY: u64 = 1 << 20;

/// Why CIDs cannot be wanted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WantError {
    /// The CID may not name data that is fetched.
    #[error("cannot fetch {cid}: {error}")]
    Cid {
        /// The CID.
        cid: Cid,
        /// What is wrong with it.
        error: CidError,
    },
    /// The session wants as many CIDs as it may. Take blocks first.
    #[error("a session may not want more than {0} blocks at a time")]
    TooMany(usize),
    /// The node is shutting down.
    #[error("bitswap is closed")]
    Closed,
}

/// Why no block came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Nothing came in the time given. What is wanted stays wanted.
    #[error("no block arrived in time")]
    TimedOut,
    /// The node is shutting down.
    #[error("bitswap is closed")]
    Closed,
}

/// Fetches blocks that belong together, from the peers that had the others. Blocks come in the
/// order of arrival. Dropping a session cancels what it still wants.
///
/// Blocks that were received and not taken count against the session's window: a slow caller slows
/// the fetch down and never fills the memory.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
}

impl Session {
    pub(crate) fn open(shared: &Arc<Shared>) -> Self {
        let inbox = Arc::new(Inbox::default());
        Self {
            id: shared.open_session(&inbox),
            shared: Arc::clone(shared),
            inbox,
        }
    }

    /// The name by which routing knows the session.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Asks for blocks, in the order of use; CIDs that are wanted already are left as they are.
    ///
    /// # Errors
    /// [`WantError`]: then none of them is wanted.
    pub fn want(&self, cids: &[Cid]) -> Result<(), WantError> {
        let mut identities = Vec::new();
        for cid in cids {
            let error = |error| WantError::Cid {
                cid: cid.clone(),
                error,
            };
            cid.check().map_err(error)?;
            if cid.hash().is_identity() {
                let data = Bytes::copy_from_slice(cid.hash().digest());
                identities.push(Block::trusted(cid.clone(), data));
            }
        }
        if identities.is_empty() {
            return self.shared.want(self.id, &self.inbox, cids);
        }
        let others = cids.iter().filter(|cid| !cid.hash().is_identity());
        let others = others.cloned().collect::<Vec<_>>();
        self.shared.want(self.id, &self.inbox, &others)?;
        self.inbox.state.lock().identities.extend(identities);
        self.inbox.wake();
        Ok(())
    }

    /// Of what is wanted, these blocks are asked for first, as far as no peer was asked for them yet.
    pub fn prioritize(&self, cids: &[Cid]) {
        self.shared.prioritize(self.id, cids);
    }

    /// Wants these blocks no more. One that has arrived may still be given out.
    pub fn cancel(&self, cids: &[Cid]) {
        self.shared.cancel(self.id, &self.inbox, cids);
        self.inbox.wake();
    }

    /// The next block. `None` once nothing is wanted any more.
    ///
    /// # Errors
    /// [`SessionError::Closed`].
    pub async fn next(&self) -> Option<Result<Block, SessionError>> {
        loop {
            let notified = self.inbox.notify.notified();
            match self.try_next() {
                Next::Block(block) => return Some(Ok(block)),
                Next::Nothing => return None,
                Next::Closed => return Some(Err(SessionError::Closed)),
                Next::Wait => notified.await,
            }
        }
    }

    /// Everything that has arrived, and at least one block. Empty once nothing is wanted any more.
    ///
    /// # Errors
    /// [`SessionError::Closed`].
    pub async fn next_batch(&self) -> Result<Vec<Block>, SessionError> {
        let first = match self.next().await {
            None => return Ok(Vec::new()),
            Some(first) => first?,
        };
        let mut blocks = vec![first];
        while let Next::Block(block) = self.try_next() {
            blocks.push(block);
        }
        Ok(blocks)
    }

    /// The next block, for threads that may block. `None` once nothing is wanted any more.
    ///
    /// # Errors
    /// [`SessionError::TimedOut`] after `timeout`, [`SessionError::Closed`].
    pub fn next_blocking(&self, timeout: Duration) -> Result<Option<Block>, SessionError> {
        let until = Instant::now() + timeout;
        loop {
            match self.try_next() {
                Next::Block(block) => return Ok(Some(block)),
                Next::Nothing => return Ok(None),
                Next::Closed => return Err(SessionError::Closed),
                Next::Wait => {}
            }
            let mut state = self.inbox.state.lock();
            if !state.has_news() && self.inbox.arrived.wait_until(&mut state, until).timed_out() {
                return Err(SessionError::TimedOut);
            }
        }
    }

    /// What is wanted that no connected peer is known to have.
    #[must_use]
    pub fn searched(&self) -> Vec<Cid> {
        self.shared.searched(self.id)
    }

    /// The progress.
    #[must_use]
    pub fn stats(&self) -> SessionStats {
        self.shared.session_stats(self.id)
    }

    fn try_next(&self) -> Next {
        let mut state = self.inbox.state.lock();
        if let Some(block) = state.identities.pop_front() {
            return Next::Block(block);
        }
        let Some(block) = state.blocks.pop_front() else {
            return match &*state {
                state if state.closed => Next::Closed,
                state if state.wanted == 0 => Next::Nothing,
                _ => Next::Wait,
            };
        };
        state.untold += block.data().len() as u64;
        let tell = state.blocks.is_empty() || state.untold >= TOLD_EVERY;
        let taken = if tell {
            std::mem::take(&mut state.untold)
        } else {
            0
        };
        drop(state);
        if tell {
            self.shared.taken(self.id, taken);
        }
        Next::Block(block)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.close_session(self.id);
    }
}

enum Next {
    Block(Block),
    Wait,
    Nothing,
    Closed,
}

/// What arrived for a session and was not taken yet. The engine bounds its bytes.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<InboxState>,
    arrived: Condvar,
    notify: Notify,
}

#[derive(Debug, Default)]
struct InboxState {
    blocks: VecDeque<Block>,
    identities: VecDeque<Block>,
    /// CIDs for which no block came yet.
    wanted: usize,
    untold: u64,
    closed: bool,
}

impl InboxState {
    fn has_news(&self) -> bool {
        let nothing_there = self.blocks.is_empty() && self.identities.is_empty();
        !nothing_there || self.wanted == 0 || self.closed
    }
}

impl Inbox {
    pub(crate) fn push(&self, block: Block) {
        let mut state = self.state.lock();
        state.wanted = state.wanted.saturating_sub(1);
        state.blocks.push_back(block);
    }

    pub(crate) fn add_wanted(&self, count: usize) {
        self.state.lock().wanted += count;
    }

    pub(crate) fn remove_wanted(&self, count: usize) {
        let mut state = self.state.lock();
        state.wanted = state.wanted.saturating_sub(count);
    }

    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.wake();
    }

    pub(crate) fn wake(&self) {
        self.arrived.notify_all();
        self.notify.notify_waiters();
    }
}
