//! What runs on blocking threads: hashing what came, looking up and reading what is wanted.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use ipfs_kit_blockstore::{Block, Cid, Multihash, Version, hash};
use libp2p::PeerId;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use super::Shared;
use crate::peer::Reply;
use crate::wire::{Outgoing, Prefix, RawBlock};

/// Bytes that are hashed before their blocks are handed on.
const HASH_BATCH: usize = 2 << 20;
/// CIDs in one call of [`crate::Blocks::sizes`].
const LOOKUP_BATCH: usize = 1024;
/// Blocks below this length are copied out of the message, which would stay in memory for them.
const COPY_BELOW: usize = 4096;

const SHA2_256: u64 = 0x12;

/// Blocks of one message, on their way to be verified.
pub(crate) struct Incoming {
    pub(crate) peer: PeerId,
    pub(crate) blocks: Vec<RawBlock>,
    pub(crate) bytes: usize,
    /// Gives the bytes back to the peer's budget once they are verified.
    pub(crate) permits: Vec<OwnedSemaphorePermit>,
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<Incoming>,
    threads: usize,
}

impl Shared {
    /// Hands blocks to the hashing threads. The budgets of the peers bound what waits here.
    pub(crate) fn verify(self: &Arc<Self>, incoming: Incoming) {
        let mut state = self.jobs.state.lock();
        state.waiting.push_back(incoming);
        if state.threads < self.config.threads {
            state.threads += 1;
            drop(state);
            let shared = Arc::clone(self);
            self.runtime.spawn_blocking(move || shared.verify_all());
        }
    }

    fn verify_all(self: &Arc<Self>) {
        loop {
            let batch = {
                let mut state = self.jobs.state.lock();
                let batch = take_batch(&mut state.waiting);
                if batch.is_empty() {
                    state.threads -= 1;
                    return;
                }
                batch
            };
            let verified = verify_batch(&batch);
            self.with(|engine, now| {
                for (peer, blocks) in verified {
                    engine.handle_blocks(now, &peer, blocks);
                }
            });
            for incoming in &batch {
                debug_assert!(incoming.permits.len() <= 2);
            }
        }
    }

    /// Answers peers until there is nothing to answer.
    pub(super) fn serve(self: &Arc<Self>) {
        loop {
            let lookups = self.with(|engine, _| engine.poll_lookups(LOOKUP_BATCH));
            if !lookups.is_empty() {
                let cids = lookups.iter().map(|lookup| lookup.cid.clone());
                let sizes = self.blocks.sizes(&cids.collect::<Vec<_>>());
                self.with(|engine, _| engine.handle_sizes(lookups, &sizes));
            }
            let response = self.with_core(|core, _| {
                let response = core.engine.poll_response();
                if response.is_none() && !core.engine.has_server_work() {
                    core.serve_jobs -= 1;
                    return None;
                }
                Some(response.map(|response| {
                    let io = core.peers.get(&response.peer).cloned();
                    (response, io)
                }))
            });
            let Some(response) = response else { return };
            let Some((response, Some(io))) = response else {
                continue;
            };
            let read = if response.blocks.is_empty() {
                Vec::new()
            } else {
                self.blocks.get(&response.blocks)
            };
            let message = with_blocks(
                response.blocks,
                read,
                response.presences,
                response.pending_bytes,
            );
            io.push(Reply {
                message,
                reserved: response.reserved,
            });
        }
    }
}

/// The message with what could be read; what could not is told.
fn with_blocks(
    cids: Vec<Cid>,
    read: Vec<Option<Bytes>>,
    mut presences: Vec<(Cid, bool)>,
    pending_bytes: i32,
) -> Outgoing {
    let mut blocks = Vec::with_capacity(cids.len());
    let mut read = read.into_iter();
    for cid in cids {
        match read.next().flatten() {
            Some(data) => blocks.push((cid, data)),
            None => presences.push((cid, false)),
        }
    }
    Outgoing {
        blocks,
        presences,
        pending_bytes,
        ..Outgoing::default()
    }
}

fn take_batch(waiting: &mut VecDeque<Incoming>) -> Vec<Incoming> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < HASH_BATCH
        && let Some(incoming) = waiting.pop_front()
    {
        bytes += incoming.bytes;
        batch.push(incoming);
    }
    batch
}

/// Hashes all blocks, SHA-256 many at a time, and names them. Blocks with forbidden hashes are left
/// out: nobody can have asked for them.
fn verify_batch(batch: &[Incoming]) -> Vec<(PeerId, Vec<Block>)> {
    let is_sha = |prefix: &Prefix| prefix.hash == SHA2_256 && prefix.digest_len == 32;
    let all = batch.iter().flat_map(|incoming| &incoming.blocks);
    let sha = all.filter(|block| is_sha(&block.prefix));
    let sha = sha.map(|block| &block.data[..]).collect::<Vec<_>>();
    let mut digests = hash::sha256_many(&sha).into_iter();
    let mut verified = Vec::with_capacity(batch.len());
    for incoming in batch {
        let mut blocks = Vec::with_capacity(incoming.blocks.len());
        for block in &incoming.blocks {
            let digest = if is_sha(&block.prefix) {
                digests.next().map(|digest| Multihash::sha2_256(&digest))
            } else {
                let RawBlock { prefix, data } = block;
                hash::digest(prefix.hash, prefix.digest_len.into(), data).ok()
            };
            let cid = digest.and_then(|digest| name(&block.prefix, digest));
            if let Some(cid) = cid {
                let data = keep(&block.data, incoming.bytes);
                blocks.push(Block::trusted(cid, data));
            }
        }
        verified.push((incoming.peer, blocks));
    }
    verified
}

fn name(prefix: &Prefix, digest: Multihash) -> Option<Cid> {
    match prefix.version {
        Version::V0 => Cid::v0(digest).ok(),
        Version::V1 => Some(Cid::v1(prefix.codec, digest)),
    }
}

fn keep(data: &Bytes, message: usize) -> Bytes {
    if data.len() < COPY_BELOW && message > 2 * COPY_BELOW {
        Bytes::copy_from_slice(data)
    } else {
        data.clone()
    }
}
