//! Whose turn it is, and what is sent.

use ipfs_kit_blockstore::Cid;
use libp2p::PeerId;

use super::{Lookup, Peer, Response, Server, State};
use crate::engine::ids::PeerNo;
use crate::wire::{MAX_BLOCKS, MAX_PRESENCES, WantKind};

/// Bytes that must have been written to a peer before it is known to read: less may lie in buffers on the way over
/// TCP, as a window of the muxer. Over QUIC more may: who reads nothing there is found out by the time that he takes.
const PROVEN: u64 = 1 << 20;

/// CIDs of one peer in a lookup before the next peer has its turn.
const LOOKUPS: usize = 256;

impl Server {
    /// Up to `max` CIDs whose sizes are needed.
    pub(in crate::engine) fn poll_lookups(&mut self, max: usize) -> Vec<Lookup> {
        let mut lookups = Vec::new();
        while lookups.len() < max
            && let Some(number) = self.lookup_ring.pop_front()
        {
            let Some(peer) = self.peers.get_mut(number) else {
                continue;
            };
            for _ in 0..LOOKUPS.min(max - lookups.len()) {
                let Some(cid) = peer.lookups.pop_front() else {
                    break;
                };
                let wanted = peer.wants.get(&cid);
                if wanted.is_some_and(|wanted| wanted.state == State::Lookup) {
                    lookups.push(Lookup { peer: number, cid });
                }
            }
            peer.in_lookup_ring = !peer.lookups.is_empty();
            if peer.in_lookup_ring {
                self.lookup_ring.push_back(number);
            }
        }
        lookups
    }

    pub(in crate::engine) fn handle_sizes(&mut self, lookups: Vec<Lookup>, sizes: &[Option<u32>]) {
        for (at, lookup) in lookups.into_iter().enumerate() {
            let size = sizes.get(at).copied().flatten();
            let peer = self.peers.get_mut(lookup.peer);
            let wanted = peer.and_then(|peer| peer.wants.get_mut(&lookup.cid));
            if wanted.is_some_and(|wanted| wanted.state == State::Lookup) {
                match size {
                    Some(size) => self.answer(lookup.peer, &lookup.cid, size),
                    None => self.answer_missing(lookup.peer, &lookup.cid),
                }
            }
        }
    }

    fn answer(&mut self, number: PeerNo, cid: &Cid, size: u32) {
        let Some(peer) = self.peers.get_mut(number) else {
            return;
        };
        let Some(wanted) = peer.wants.get_mut(cid) else {
            return;
        };
        if wanted.kind == WantKind::Block || size <= self.config.have_as_block {
            self.arrivals += 1;
            let place = (-i64::from(wanted.priority), self.arrivals);
            wanted.state = State::Queued(place);
            peer.blocks.insert(place, (cid.clone(), size));
            peer.presences.remove(cid);
        } else {
            // The answer ends the want: whoever wants the block asks for it next.
            peer.remove(cid);
            self.wants -= 1;
            peer.presences.insert(cid.clone(), true);
        }
        self.enqueue(number);
    }

    fn answer_missing(&mut self, number: PeerNo, cid: &Cid) {
        let Some(peer) = self.peers.get_mut(number) else {
            return;
        };
        let Some(wanted) = peer.wants.get_mut(cid) else {
            return;
        };
        wanted.state = State::Waiting;
        if wanted.send_dont_have {
            peer.presences.insert(cid.clone(), false);
        }
        self.waiting.entry(cid.clone()).or_default().push(number);
        self.enqueue(number);
    }

    /// Blocks that are here now, with their sizes.
    pub(in crate::engine) fn handle_new(&mut self, blocks: impl IntoIterator<Item = (Cid, u32)>) {
        for (cid, size) in blocks {
            for number in self.waiting.remove(&cid).unwrap_or_default() {
                self.answer(number, &cid, size);
            }
        }
    }

    /// Peers that are not yet known to read share half of what all may have. When half of that is taken, each has one
    /// message at a time.
    fn may_send(&self, peer: &Peer) -> bool {
        let share = self.config.outstanding_total / 2;
        let known = peer.reads
            || (self.unproven < share && (self.unproven < share / 2 || peer.outstanding == 0));
        known
            && peer.has_answers()
            && peer.outstanding < peer.limit
            && self.outstanding < self.config.outstanding_total
    }

    /// Whether peers wait because of what others have not read.
    pub(in crate::engine) fn is_pressed(&self) -> bool {
        self.unproven >= self.config.outstanding_total / 2
            || self.outstanding >= self.config.outstanding_total
    }

    pub(super) fn enqueue(&mut self, number: PeerNo) {
        let may_send = self
            .peers
            .get(number)
            .is_some_and(|peer| self.may_send(peer));
        if may_send
            && let Some(peer) = self.peers.get_mut(number)
            && !std::mem::replace(&mut peer.in_ring, true)
        {
            self.ring.push_back(number);
        }
    }

    /// The next message to make, and whose turn it is.
    pub(in crate::engine) fn poll_response(&mut self) -> Option<Response> {
        while self.outstanding < self.config.outstanding_total {
            let number = self.ring.pop_front()?;
            let Some(peer) = self.peers.get_mut(number) else {
                continue;
            };
            peer.in_ring = false;
            if !self
                .peers
                .get(number)
                .is_some_and(|peer| self.may_send(peer))
            {
                continue;
            }
            let mut response = Response {
                peer: self.peers.id(number)?,
                blocks: Vec::new(),
                reserved: 0,
                presences: Vec::new(),
                pending_bytes: 0,
            };
            let peer = self.peers.get_mut(number)?;
            take_presences(peer, &mut response);
            // A new peer gets small messages first: it is not known to read.
            let target = (self.config.message_target as u64).min(peer.limit / 2);
            self.wants -= take_blocks(peer, target.max(1), &mut response);
            peer.outstanding += response.reserved;
            self.outstanding += response.reserved;
            if !peer.reads {
                self.unproven += response.reserved;
            }
            self.enqueue(number);
            return Some(response);
        }
        None
    }

    /// A response was written, or lost when `written` is `None`: the blocks and bytes that went out.
    pub(in crate::engine) fn handle_sent(
        &mut self,
        peer: &PeerId,
        reserved: u64,
        written: Option<(u64, u64)>,
    ) {
        let Some(number) = self.peers.number(peer) else {
            return;
        };
        // Some stop at half of their share already.
        let was_full = self.unproven >= self.config.outstanding_total / 4 || self.is_pressed();
        if let Some(peer) = self.peers.get_mut(number) {
            let reserved = reserved.min(peer.outstanding);
            peer.outstanding -= reserved;
            self.outstanding -= reserved;
            if !peer.reads {
                self.unproven -= reserved;
            }
            if let Some((blocks, bytes)) = written {
                peer.written += bytes;
                if !peer.reads && peer.written >= PROVEN {
                    peer.reads = true;
                    self.unproven -= peer.outstanding;
                }
                peer.limit = (peer.limit + bytes).min(self.config.outstanding_peer);
                peer.account.sent += bytes;
                peer.account.exchanged += blocks;
                self.sent.blocks += blocks;
                self.sent.bytes += bytes;
            }
        }
        // Others may have stopped at the common limit.
        if was_full {
            for number in self.peers.sorted() {
                self.enqueue(number);
            }
        } else {
            self.enqueue(number);
        }
    }
}

fn take_presences(peer: &mut Peer, response: &mut Response) {
    if peer.presences.len() <= MAX_PRESENCES {
        response.presences = peer.presences.drain().collect();
    } else {
        let some = peer.presences.keys().take(MAX_PRESENCES).cloned();
        for cid in some.collect::<Vec<_>>() {
            if let Some(have) = peer.presences.remove(&cid) {
                response.presences.push((cid, have));
            }
        }
    }
    response.presences.sort_unstable();
}

/// Returns how many wants were taken off the peer's list.
fn take_blocks(peer: &mut Peer, target: u64, response: &mut Response) -> usize {
    let before = peer.wants.len();
    while response.reserved < target
        && response.blocks.len() < MAX_BLOCKS
        && let Some((_, (cid, size))) = peer.blocks.pop_first()
    {
        if peer.wants.remove(&cid).is_some() {
            peer.want_bytes -= cid.encoded_len();
        }
        // A message of empty blocks must count for something.
        response.reserved += u64::from(size) + 64;
        response.blocks.push(cid);
    }
    let pending = peer
        .blocks
        .values()
        .map(|(_, size)| u64::from(*size))
        .sum::<u64>();
    response.pending_bytes = i32::try_from(pending).unwrap_or(i32::MAX);
    before - peer.wants.len()
}
