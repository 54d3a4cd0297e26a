//! The handle that the rest of the node calls.

use std::sync::Arc;

use ipfs_kit_blockstore::{Block, Cid};
use libp2p::PeerId;

use crate::driver::Shared;
use crate::engine::SessionId;
use crate::session::Session;
use crate::stats::{Ledger, Stat};

/// A request to routing: no connected peer is known to have a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedProviders {
    /// The session that wants it.
    pub session: SessionId,
    /// The block.
    pub cid: Cid,
}

/// Bitswap of a node. Clones are cheap and mean the same; every call is short and may be made from
/// async tasks and from blocking threads.
#[derive(Debug, Clone)]
pub struct Bitswap {
    pub(crate) shared: Arc<Shared>,
}

impl Bitswap {
    /// Opens a session.
    #[must_use]
    pub fn session(&self) -> Session {
        Session::open(&self.shared)
    }

    /// Blocks that are now in the local store, or came another way. Peers and sessions that wait
    /// for them get them.
    pub fn notify_new_blocks(&self, blocks: &[Block]) {
        self.shared
            .with(|engine, now| engine.handle_new_blocks(now, blocks));
    }

    /// Counters since the start, peers and the want list.
    #[must_use]
    pub fn stat(&self) -> Stat {
        self.shared.with(|engine, _| engine.stat())
    }

    /// What is wanted by all sessions, or by a peer of us.
    #[must_use]
    pub fn wantlist(&self, peer: Option<PeerId>) -> Vec<Cid> {
        self.shared.with(|engine, _| match peer {
            None => engine.stat().wantlist,
            Some(peer) => engine.peer_wantlist(&peer),
        })
    }

    /// What was exchanged with a peer; zeros for one that is not known.
    #[must_use]
    pub fn ledger(&self, peer: PeerId) -> Ledger {
        self.shared.with(|engine, _| engine.ledger(&peer))
    }

    /// Serves peers, or nobody.
    pub fn set_serving(&self, serving: bool) {
        self.shared.with(|engine, _| engine.set_serving(serving));
    }

    /// Waits for the next request to routing. The oldest are forgotten when nobody takes them;
    /// each is repeated, less and less often, while the block is not found. `None` after the
    /// behaviour was dropped.
    pub async fn need_providers(&self) -> Option<NeedProviders> {
        self.shared.need_providers().await
    }

    /// Peers that are said to have what a session wants. Those that are connected are asked at
    /// once, others when they are.
    pub fn add_providers(&self, session: SessionId, peers: &[PeerId]) {
        self.shared
            .with(|engine, now| engine.add_providers(now, session, peers));
    }
}
