//! The engine: what to ask whom, and what to answer whom. It does no IO, reads no clock, draws no
//! random numbers and hashes nothing.
//!
//! Inputs are the `handle_*` methods and the calls of sessions; each takes the time. After any of
//! them, the caller takes the outputs, in this order, until each has no more:
//!
//! 1. [`Engine::poll_event`]: blocks for sessions, requests to routing.
//! 2. [`Engine::poll_peer`]: a peer whose want list must be sent; [`Engine::take_wants`] gives it
//!    when the peer's stream can take it, merged until then.
//! 3. [`Engine::poll_lookups`]: sizes to look up; the answer is [`Engine::handle_sizes`].
//! 4. [`Engine::poll_response`]: blocks to read and send; the answer is [`Engine::handle_sent`].
//! 5. [`Engine::poll_timeout`]: when to call [`Engine::handle_timeout`].

mod asks;
mod client;
mod ids;
mod link;
mod server;
mod session;
#[cfg(test)]
mod tests;

use std::time::Instant;

use ipfs_kit_blockstore::{Block, Cid};
use libp2p::PeerId;

pub use client::Event;
pub use ids::SessionId;
pub use server::{Lookup, Response};

use crate::wire::Outgoing;
use crate::wire::WantEntry;
use crate::{Config, Ledger, SessionStats, Stat};
use client::Client;
use server::Server;

/// The engine of one node. See the module for the order of calls.
#[derive(Debug)]
pub struct Engine {
    client: Client,
    server: Server,
    messages_received: u64,
}

impl Engine {
    /// An engine without peers. `seed` keeps strangers from choosing CIDs that collide in its tables.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            client: Client::new(config.clone(), seed as usize),
            server: Server::new(config, seed as usize),
            messages_received: 0,
        }
    }

    /// A peer that speaks Bitswap, as far as is known.
    pub fn handle_connected(&mut self, now: Instant, peer: PeerId) {
        self.server.handle_connected(peer);
        self.client.handle_connected(now, peer);
    }

    /// The last connection to a peer is gone, or it does not speak Bitswap.
    pub fn handle_disconnected(&mut self, now: Instant, peer: &PeerId) {
        self.server.handle_disconnected(peer);
        self.client.handle_disconnected(now, peer);
    }

    /// The stream that messages were sent on is gone, and with it what was on its way.
    pub fn handle_stream_lost(&mut self, peer: &PeerId) {
        self.client.handle_stream_lost(peer);
    }

    /// A message without its blocks, which come verified with [`Engine::handle_blocks`].
    pub fn handle_message(
        &mut self,
        now: Instant,
        peer: &PeerId,
        full: bool,
        wants: Vec<WantEntry>,
        presences: &[(Cid, bool)],
    ) {
        self.messages_received += 1;
        self.server.handle_wants(peer, full, wants);
        self.client.accept_presences(now, peer, presences);
    }

    /// Whether blocks from this peer are worth hashing: it was asked for something.
    #[must_use]
    pub fn is_expected(&self, peer: &PeerId) -> bool {
        self.client.is_expected(peer)
    }

    /// Blocks that were dropped without hashing, see [`Engine::is_expected`].
    pub fn handle_unexpected(&mut self, blocks: u64, bytes: u64) {
        let received = &mut self.client.received;
        received.blocks += blocks;
        received.bytes += bytes;
        received.unsolicited_blocks += blocks;
        received.unsolicited_bytes += bytes;
    }

    /// Blocks from a peer, each with the CID that its bytes have.
    pub fn handle_blocks(&mut self, now: Instant, peer: &PeerId, blocks: Vec<Block>) {
        let count = blocks.len() as u64;
        let bytes = self.client.accept_blocks(now, peer, blocks);
        self.server.on_received(peer, count, bytes);
        self.client.fill(now);
    }

    /// Blocks that are now in the local store, wherever they came from.
    pub fn handle_new_blocks(&mut self, now: Instant, blocks: &[Block]) {
        let sizes = blocks.iter().map(|block| {
            let len = u32::try_from(block.data().len()).unwrap_or(u32::MAX);
            (block.cid().clone(), len)
        });
        self.server.handle_new(sizes);
        for block in blocks {
            self.client.accept_local(now, block);
        }
        self.client.fill(now);
    }

    /// The sizes for [`Engine::poll_lookups`], one for each CID.
    pub fn handle_sizes(&mut self, lookups: Vec<Lookup>, sizes: &[Option<u32>]) {
        self.server.handle_sizes(lookups, sizes);
    }

    /// A [`Response`] with these `reserved` bytes was written with so many blocks and bytes, or was
    /// lost.
    pub fn handle_sent(&mut self, peer: &PeerId, reserved: u64, written: Option<(u64, u64)>) {
        self.server.handle_sent(peer, reserved, written);
    }

    /// The time that [`Engine::poll_timeout`] gave has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
    }

    /// Opens a session.
    pub fn open_session(&mut self, now: Instant) -> SessionId {
        self.client.open_session(now)
    }

    /// Ends a session; what it still wants is cancelled.
    pub fn close_session(&mut self, now: Instant, session: SessionId) {
        self.client.close_session(now, session);
    }

    /// Whether a session may want `more` CIDs.
    #[must_use]
    pub fn has_room(&self, session: SessionId, more: usize) -> bool {
        self.client.has_room(session, more)
    }

    /// Wants CIDs, in the order of use. Returns how many were not wanted by the session before.
    pub fn want(&mut self, now: Instant, session: SessionId, cids: &[Cid]) -> usize {
        self.client.want(now, session, cids)
    }

    /// Of what the session wants, these are asked for first, as far as nobody was asked for them yet.
    pub fn prioritize(&mut self, now: Instant, session: SessionId, cids: &[Cid]) {
        self.client.prioritize(now, session, cids);
    }

    /// Wants them no more. Returns how many were wanted.
    pub fn cancel(&mut self, now: Instant, session: SessionId, cids: &[Cid]) -> usize {
        self.client.cancel(now, session, cids)
    }

    /// The caller took `bytes` of a session's blocks: that many more may come.
    pub fn taken(&mut self, now: Instant, session: SessionId, bytes: u64) {
        self.client.taken(now, session, bytes);
    }

    /// What a session wants that no connected peer is known to have.
    pub fn searched(&self, session: SessionId) -> Vec<Cid> {
        self.client.searched(session)
    }

    /// Peers that are said to have what the session wants.
    pub fn add_providers(&mut self, now: Instant, session: SessionId, peers: &[PeerId]) {
        self.client.add_providers(now, session, peers);
    }

    /// Whether anybody is served.
    pub fn set_serving(&mut self, serving: bool) {
        self.server.set_serving(serving);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.client.poll_event()
    }

    /// The next peer whose want list has changed.
    pub fn poll_peer(&mut self) -> Option<PeerId> {
        self.client.poll_peer()
    }

    /// The changes of the want list for a peer.
    pub fn take_wants(&mut self, peer: &PeerId) -> Option<Outgoing> {
        let (full, wants) = self.client.take_entries(peer)?;
        Some(Outgoing {
            full,
            wants,
            ..Outgoing::default()
        })
    }

    /// Up to `max` sizes to look up.
    pub fn poll_lookups(&mut self, max: usize) -> Vec<Lookup> {
        self.server.poll_lookups(max)
    }

    /// The next message with blocks or presences.
    pub fn poll_response(&mut self) -> Option<Response> {
        self.server.poll_response()
    }

    /// Whether peers wait for their turn because of what others have been sent and not read.
    pub fn is_pressed(&self) -> bool {
        self.server.is_pressed()
    }

    /// Whether [`Engine::poll_lookups`] or [`Engine::poll_response`] has something to do.
    #[must_use]
    pub fn has_server_work(&self) -> bool {
        self.server.has_work()
    }

    /// When [`Engine::handle_timeout`] is due; `None` while nothing is wanted.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout()
    }

    /// Whether a connection to the peer is of use to either side.
    #[must_use]
    pub fn is_used(&self, peer: &PeerId) -> bool {
        self.server.is_used(peer) || self.client.is_used(peer)
    }

    /// Counters.
    #[must_use]
    pub fn stat(&self) -> Stat {
        let received = &self.client.received;
        Stat {
            blocks_received: received.blocks,
            data_received: received.bytes,
            blocks_sent: self.server.sent.blocks,
            data_sent: self.server.sent.bytes,
            dup_blks_received: received.dup_blocks,
            dup_data_received: received.dup_bytes,
            unsolicited_blocks: received.unsolicited_blocks,
            unsolicited_data: received.unsolicited_bytes,
            messages_received: self.messages_received,
            peers: self.client.peers(),
            wantlist: self.client.wantlist(),
        }
    }

    /// The progress of a session.
    #[must_use]
    pub fn session_stats(&self, now: Instant, session: SessionId) -> SessionStats {
        self.client.session_stats(now, session).unwrap_or_default()
    }

    /// What a peer wants of us.
    #[must_use]
    pub fn peer_wantlist(&self, peer: &PeerId) -> Vec<Cid> {
        self.server.wantlist(peer)
    }

    /// What was exchanged with a peer.
    #[must_use]
    pub fn ledger(&self, peer: &PeerId) -> Ledger {
        self.server.ledger(peer)
    }

    /// The bytes that the want lists of peers take, about.
    #[must_use]
    pub fn ledger_memory(&self) -> usize {
        self.server.memory()
    }

    #[cfg(test)]
    fn outstanding(&self) -> u64 {
        self.server.outstanding()
    }

    /// Whether nothing is left of what came and went.
    #[cfg(test)]
    fn is_clean(&self) -> bool {
        self.client.is_clean() && self.server.is_clean()
    }
}
