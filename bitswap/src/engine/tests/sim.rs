//! N engines, a virtual clock, and links with latency, a rate, loss and liars, all from one seed.
//!
//! A node sends one message after the other at its own rate; between two nodes messages keep their
//! order, as on a stream. A lost message is lost without a word.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ipfs_kit_blockstore::{Block, Cid, HashSpec, Version};
use libp2p::PeerId;

use crate::engine::{Engine, Event, SessionId};
use crate::wire::Outgoing;
use crate::{Config, SessionStats};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Manners {
    Honest,
    /// Every block has a wrong byte.
    Corrupts,
    /// Says that it has everything and sends nothing.
    Promises,
    /// Answers nothing after so many messages.
    FallsSilent(u32),
}

pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) store: HashMap<Cid, Block>,
    pub(super) got: BTreeMap<SessionId, Vec<Block>>,
    /// Sessions whose blocks are left untaken.
    pub(super) lazy: bool,
    pub(super) misbehaving: Vec<PeerId>,
    pub(super) need_providers: Vec<Cid>,
    pub(super) rate: f64,
    manners: Manners,
    sent_messages: u32,
    free: Instant,
}

#[derive(Debug)]
enum Happening {
    Arrive {
        from: usize,
        to: usize,
        message: Outgoing,
    },
    Sent {
        node: usize,
        to: PeerId,
        reserved: u64,
        blocks: u64,
        bytes: u64,
    },
    Wake,
}

pub(super) struct Sim {
    pub(super) now: Instant,
    start: Instant,
    pub(super) nodes: Vec<Node>,
    ids: Vec<PeerId>,
    happenings: BTreeMap<(Instant, u64), Happening>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    links: HashMap<(usize, usize), Instant>,
    serial: u64,
    random: u64,
    pub(super) latency: Duration,
    /// Messages of a thousand that are lost.
    pub(super) loss: u64,
}

impl Sim {
    pub(super) fn new(seed: u64) -> Self {
        let now = Instant::now();
        Self {
            now,
            start: now,
            nodes: Vec::new(),
            ids: Vec::new(),
            happenings: BTreeMap::new(),
            timers: BinaryHeap::new(),
            links: HashMap::new(),
            serial: 0,
            random: seed,
            latency: Duration::from_millis(10),
            loss: 0,
        }
    }

    /// A node that sends so many bytes per second.
    pub(super) fn node(&mut self, rate: f64, manners: Manners) -> usize {
        self.node_with(rate, manners, Config::default())
    }

    pub(super) fn node_with(&mut self, rate: f64, manners: Manners, config: Config) -> usize {
        let seed = self.random();
        self.ids.push(peer_id(seed));
        self.nodes.push(Node {
            engine: Engine::new(config, seed),
            store: HashMap::new(),
            got: BTreeMap::new(),
            lazy: false,
            misbehaving: Vec::new(),
            need_providers: Vec::new(),
            rate,
            manners,
            sent_messages: 0,
            free: self.now,
        });
        self.nodes.len() - 1
    }

    pub(super) fn id(&self, node: usize) -> PeerId {
        self.ids[node]
    }

    pub(super) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.random;
        value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ value >> 31
    }

    /// `count` blocks of `len` bytes that no other call gives.
    pub(super) fn blocks(&mut self, count: usize, len: usize) -> Vec<Block> {
        let block = |_| {
            let mut data = vec![0; len];
            let head = self.random().to_le_bytes();
            let end = len.min(8);
            data[..end].copy_from_slice(&head[..end]);
            Block::new(Version::V1, 0x55, HashSpec::SHA2_256, data.into()).unwrap()
        };
        (0..count).map(block).collect()
    }

    pub(super) fn store(&mut self, node: usize, blocks: &[Block]) {
        let blocks = blocks
            .iter()
            .map(|block| (block.cid().clone(), block.clone()));
        self.nodes[node].store.extend(blocks);
    }

    pub(super) fn connect(&mut self, a: usize, b: usize) {
        let (now, id_a, id_b) = (self.now, self.ids[a], self.ids[b]);
        self.nodes[a].engine.handle_connected(now, id_b);
        self.nodes[b].engine.handle_connected(now, id_a);
        self.drain(a);
        self.drain(b);
    }

    pub(super) fn disconnect(&mut self, a: usize, b: usize) {
        let (now, id_a, id_b) = (self.now, self.ids[a], self.ids[b]);
        self.nodes[a].engine.handle_disconnected(now, &id_b);
        self.nodes[b].engine.handle_disconnected(now, &id_a);
        self.happenings.retain(|_, happening| match happening {
            Happening::Arrive { from, to, .. } => (*from, *to) != (a, b) && (*from, *to) != (b, a),
            Happening::Sent { node, to, .. } => {
                (*node, *to) != (a, id_b) && (*node, *to) != (b, id_a)
            }
            Happening::Wake => true,
        });
        self.drain(a);
        self.drain(b);
    }

    pub(super) fn want(&mut self, node: usize, blocks: &[Block]) -> SessionId {
        let now = self.now;
        let engine = &mut self.nodes[node].engine;
        let session = engine.open_session(now);
        engine.want(now, session, &cids(blocks));
        self.drain(node);
        session
    }

    pub(super) fn call(&mut self, node: usize, call: impl FnOnce(&mut Engine, Instant)) {
        call(&mut self.nodes[node].engine, self.now);
        self.drain(node);
    }

    pub(super) fn stats(&self, node: usize, session: SessionId) -> SessionStats {
        self.nodes[node].engine.session_stats(self.now, session)
    }

    pub(super) fn got(&self, node: usize, session: SessionId) -> usize {
        self.nodes[node].got.get(&session).map_or(0, Vec::len)
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Runs until the session has all of its blocks, and tells how long that took.
    pub(super) fn finish(&mut self, node: usize, session: SessionId, within: Duration) -> Duration {
        let begun = self.now;
        let until = self.now + within;
        while self.stats(node, session).wanted > 0 {
            let stats = self.stats(node, session);
            assert!(self.now < until, "not done in {within:?}: {stats:?}");
            assert!(self.step(until), "nothing happens any more: {stats:?}");
        }
        self.now - begun
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        self.serial += 1;
        self.happenings
            .insert((until, self.serial), Happening::Wake);
        while self.now < until && self.step(until) {}
    }

    /// The next thing that happens; false when nothing will before `until`.
    fn step(&mut self, until: Instant) -> bool {
        let happens = self.happenings.keys().next().map(|(at, _)| *at);
        let due = self.timers.peek().map(|Reverse((at, _))| *at);
        if due.is_some_and(|due| happens.is_none_or(|at| due < at)) {
            let Some(Reverse((at, node))) = self.timers.pop() else {
                return false;
            };
            self.now = self.now.max(at);
            let engine = &mut self.nodes[node].engine;
            if engine.poll_timeout().is_some_and(|at| at <= self.now) {
                engine.handle_timeout(self.now);
            }
            self.drain(node);
            return self.now <= until;
        }
        let Some(((at, _), happening)) = self.happenings.pop_first() else {
            return false;
        };
        self.now = self.now.max(at);
        match happening {
            Happening::Arrive { from, to, message } => self.arrive(from, to, message),
            Happening::Sent {
                node,
                to,
                reserved,
                blocks,
                bytes,
            } => {
                let engine = &mut self.nodes[node].engine;
                engine.handle_sent(&to, reserved, Some((blocks, bytes)));
                self.drain(node);
            }
            Happening::Wake => {}
        }
        true
    }

    fn arrive(&mut self, from: usize, to: usize, message: Outgoing) {
        let (now, peer) = (self.now, self.ids[from]);
        let engine = &mut self.nodes[to].engine;
        engine.handle_message(now, &peer, message.full, message.wants, &message.presences);
        if !message.blocks.is_empty() {
            if engine.is_expected(&peer) {
                let verified = message.blocks.into_iter().map(|(cid, data)| {
                    Block::new(cid.version(), cid.codec(), HashSpec::SHA2_256, data).unwrap()
                });
                engine.handle_blocks(now, &peer, verified.collect());
            } else {
                engine.handle_unexpected(message.blocks.len() as u64, 0);
            }
        }
        self.drain(to);
    }

    fn drain(&mut self, at: usize) {
        let now = self.now;
        loop {
            let node = &mut self.nodes[at];
            let mut busy = false;
            while let Some(event) = node.engine.poll_event() {
                match event {
                    Event::Block { session, block } => {
                        if !node.lazy {
                            let taken = block.data().len() as u64;
                            node.engine.taken(now, session, taken);
                        }
                        node.got.entry(session).or_default().push(block);
                    }
                    Event::NeedProviders { cid, .. } => node.need_providers.push(cid),
                    Event::Misbehaving(peer) => node.misbehaving.push(peer),
                }
            }
            while let Some(peer) = self.nodes[at].engine.poll_peer() {
                while let Some(message) = self.nodes[at].engine.take_wants(&peer) {
                    self.send(at, peer, message, 0);
                }
            }
            busy |= self.look_up(at);
            while let Some(response) = self.nodes[at].engine.poll_response() {
                busy = true;
                let node = &self.nodes[at];
                let blocks = response
                    .blocks
                    .iter()
                    .filter_map(|cid| node.store.get(cid).cloned());
                let blocks = blocks
                    .map(Block::into_parts)
                    .map(|(cid, data)| match node.manners {
                        Manners::Corrupts => (cid, corrupted(&data)),
                        _ => (cid, data),
                    });
                let blocks = match node.manners {
                    Manners::Promises => Vec::new(),
                    _ => blocks.collect(),
                };
                let message = Outgoing {
                    blocks,
                    presences: response.presences,
                    ..Outgoing::default()
                };
                self.send(at, response.peer, message, response.reserved);
            }
            if !busy {
                break;
            }
        }
        if let Some(due) = self.nodes[at].engine.poll_timeout() {
            self.timers.push(Reverse((due.max(now), at)));
        }
    }

    fn look_up(&mut self, at: usize) -> bool {
        let node = &mut self.nodes[at];
        let lookups = node.engine.poll_lookups(100);
        if lookups.is_empty() {
            return false;
        }
        let promises = node.manners == Manners::Promises;
        let size = |cid| match node.store.get(cid) {
            Some(block) => Some(block.data().len() as u32),
            None => promises.then_some(100_000),
        };
        let sizes = lookups.iter().map(|lookup| size(&lookup.cid));
        let sizes = sizes.collect::<Vec<_>>();
        node.engine.handle_sizes(lookups, &sizes);
        true
    }

    fn send(&mut self, from: usize, peer: PeerId, message: Outgoing, reserved: u64) {
        let Some(to) = self.ids.iter().position(|id| *id == peer) else {
            return;
        };
        let blocks = message.blocks.len() as u64;
        let bytes = message
            .blocks
            .iter()
            .map(|(_, data)| data.len() as u64)
            .sum::<u64>();
        let length = bytes + 48 * (message.wants.len() + message.presences.len()) as u64 + 20;
        let node = &mut self.nodes[from];
        node.sent_messages += 1;
        if matches!(node.manners, Manners::FallsSilent(after) if node.sent_messages > after) {
            return;
        }
        let sent = node.free.max(self.now) + Duration::from_secs_f64(length as f64 / node.rate);
        node.free = sent;
        if reserved > 0 {
            self.serial += 1;
            let happening = Happening::Sent {
                node: from,
                to: peer,
                reserved,
                blocks,
                bytes,
            };
            self.happenings.insert((sent, self.serial), happening);
        }
        if self.random() % 1000 < self.loss {
            return;
        }
        let last = self.links.entry((from, to)).or_insert(self.now);
        let arrives = (*last).max(sent + self.latency);
        *last = arrives;
        self.serial += 1;
        let happening = Happening::Arrive { from, to, message };
        self.happenings.insert((arrives, self.serial), happening);
    }
}

pub(super) fn cids(blocks: &[Block]) -> Vec<Cid> {
    blocks.iter().map(|block| block.cid().clone()).collect()
}

/// An Ed25519 identity is not needed: any multihash is a peer id.
pub(super) fn peer_id(seed: u64) -> PeerId {
    let mut bytes = vec![0x12, 32];
    for part in 0..4_u64 {
        let word = seed.wrapping_add(part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    PeerId::from_bytes(&bytes).unwrap()
}

fn corrupted(data: &Bytes) -> Bytes {
    let mut data = data.to_vec();
    match data.last_mut() {
        Some(last) => *last ^= 1,
        None => data.push(0),
    }
    data.into()
}
