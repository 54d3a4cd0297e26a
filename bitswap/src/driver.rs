//! Around the engine: one lock, short calls, and threads for what takes time.
//!
//! Any thread may call into the engine with [`Shared::with`]. Its outputs are moved to queues under
//! the same lock (so that their order holds) and whoever waits for them is woken after it:
//! writers of peers, sessions, jobs on blocking threads that verify, look up and read blocks, and
//! the task that keeps the time.

mod jobs;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipfs_kit_blockstore::Cid;
use libp2p::PeerId;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use crate::blocks::Blocks;
use crate::config::Config;
use crate::engine::{Engine, Event, SessionId};
use crate::handle::NeedProviders;
use crate::peer::PeerIo;
use crate::session::{Inbox, WantError};
use crate::stats::SessionStats;
use crate::wire::{Message, Outgoing};

pub(crate) use jobs::Incoming;

/// Requests to routing that wait to be taken.
const NEED_PROVIDERS: usize = 256;
/// How often it is checked which connections are still of use.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(5);

/// Everything that the behaviour, its tasks and the handles share.
pub(crate) struct Shared {
    core: Mutex<Core>,
    jobs: jobs::Queue,
    pub(crate) config: Config,
    pub(crate) runtime: Handle,
    blocks: Arc<dyn Blocks>,
    /// Bytes of messages that strangers are sending.
    pub(crate) strangers: Arc<Semaphore>,
    timer: Notify,
    providers: Notify,
}

struct Core {
    engine: Engine,
    peers: FxHashMap<PeerId, Arc<PeerIo>>,
    inboxes: FxHashMap<SessionId, Arc<Inbox>>,
    need_providers: VecDeque<NeedProviders>,
    /// When the time keeper wakes by itself.
    armed: Option<Instant>,
    keep_alive: Option<Instant>,
    serve_jobs: usize,
    closed: bool,
}

/// Who is to be woken once the lock is released.
#[derive(Default)]
struct Wakes {
    peers: Vec<Arc<PeerIo>>,
    inboxes: Vec<Arc<Inbox>>,
    providers: bool,
    timer: bool,
    serve_jobs: usize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        blocks: Arc<dyn Blocks>,
        runtime: Handle,
        seed: u64,
    ) -> Arc<Self> {
        let core = Core {
            engine: Engine::new(config.clone(), seed),
            peers: FxHashMap::default(),
            inboxes: FxHashMap::default(),
            need_providers: VecDeque::new(),
            armed: None,
            keep_alive: None,
            serve_jobs: 0,
            closed: false,
        };
        let permits = config.inbound_bytes_total.min(Semaphore::MAX_PERMITS);
        let shared = Arc::new(Self {
            core: Mutex::new(core),
            jobs: jobs::Queue::default(),
            config,
            runtime,
            blocks,
            strangers: Arc::new(Semaphore::new(permits)),
            timer: Notify::new(),
            providers: Notify::new(),
        });
        shared.runtime.spawn(keep_time(Arc::clone(&shared)));
        shared
    }

    /// Calls into the engine and passes on what follows from it.
    pub(crate) fn with<R>(self: &Arc<Self>, call: impl FnOnce(&mut Engine, Instant) -> R) -> R {
        self.with_core(|core, now| call(&mut core.engine, now))
    }

    fn with_core<R>(self: &Arc<Self>, call: impl FnOnce(&mut Core, Instant) -> R) -> R {
        let mut wakes = Wakes::default();
        let result = {
            let mut core = self.core.lock();
            let result = call(&mut core, Instant::now());
            core.pass_on(&mut wakes, self.config.threads);
            result
        };
        for _ in 0..wakes.serve_jobs {
            let shared = Arc::clone(self);
            self.runtime.spawn_blocking(move || shared.serve());
        }
        for peer in wakes.peers {
            peer.wake();
        }
        for inbox in wakes.inboxes {
            inbox.wake();
        }
        if wakes.providers {
            self.providers.notify_one();
        }
        if wakes.timer {
            self.timer.notify_one();
        }
        result
    }

    pub(crate) fn open_session(self: &Arc<Self>, inbox: &Arc<Inbox>) -> SessionId {
        self.with_core(|core, now| {
            let id = core.engine.open_session(now);
            if core.closed {
                inbox.close();
            }
            core.inboxes.insert(id, Arc::clone(inbox));
            id
        })
    }

    pub(crate) fn close_session(self: &Arc<Self>, id: SessionId) {
        self.with_core(|core, now| {
            core.engine.close_session(now, id);
            core.inboxes.remove(&id);
        });
    }

    pub(crate) fn want(
        self: &Arc<Self>,
        id: SessionId,
        inbox: &Inbox,
        cids: &[Cid],
    ) -> Result<(), WantError> {
        self.with_core(|core, now| {
            if core.closed {
                return Err(WantError::Closed);
            }
            if !core.engine.has_room(id, cids.len()) {
                return Err(WantError::TooMany(self.config.session_wants));
            }
            // Under the lock: no block can arrive before it is counted as wanted.
            inbox.add_wanted(core.engine.want(now, id, cids));
            Ok(())
        })
    }

    pub(crate) fn prioritize(self: &Arc<Self>, id: SessionId, cids: &[Cid]) {
        self.with(|engine, now| engine.prioritize(now, id, cids));
    }

    pub(crate) fn cancel(self: &Arc<Self>, id: SessionId, inbox: &Inbox, cids: &[Cid]) {
        self.with_core(|core, now| inbox.remove_wanted(core.engine.cancel(now, id, cids)));
    }

    pub(crate) fn taken(self: &Arc<Self>, id: SessionId, bytes: u64) {
        self.with(|engine, now| engine.taken(now, id, bytes));
    }

    pub(crate) fn session_stats(self: &Arc<Self>, id: SessionId) -> SessionStats {
        self.with(|engine, now| engine.session_stats(now, id))
    }

    pub(crate) fn searched(self: &Arc<Self>, id: SessionId) -> Vec<Cid> {
        self.with(|engine, _| engine.searched(id))
    }

    pub(crate) async fn need_providers(self: &Arc<Self>) -> Option<NeedProviders> {
        loop {
            {
                let mut core = self.core.lock();
                if let Some(request) = core.need_providers.pop_front() {
                    if !core.need_providers.is_empty() {
                        self.providers.notify_one();
                    }
                    return Some(request);
                }
                if core.closed {
                    self.providers.notify_one();
                    return None;
                }
            }
            self.providers.notified().await;
        }
    }

    pub(crate) fn connected(self: &Arc<Self>, io: &Arc<PeerIo>) {
        self.with_core(|core, now| {
            core.peers.insert(io.peer, Arc::clone(io));
            core.engine.handle_connected(now, io.peer);
        });
    }

    pub(crate) fn disconnected(self: &Arc<Self>, peer: &PeerId) {
        let io = self.with_core(|core, now| {
            core.engine.handle_disconnected(now, peer);
            core.peers.remove(peer)
        });
        if let Some(io) = io {
            io.close();
        }
    }

    /// The peer is connected but does not speak Bitswap, as far as can be seen.
    pub(crate) fn disconnected_by_failure(self: &Arc<Self>, io: &PeerIo) {
        let replies = io.drain();
        self.with_core(|core, now| {
            for reply in replies {
                core.engine.handle_sent(&io.peer, reply.reserved, None);
            }
            core.engine.handle_disconnected(now, &io.peer);
            io.set_used(false);
        });
    }

    pub(crate) fn stream_lost(self: &Arc<Self>, peer: &PeerId) {
        self.with(|engine, _| engine.handle_stream_lost(peer));
    }

    pub(crate) fn is_expected(&self, peer: &PeerId) -> bool {
        self.core.lock().engine.is_expected(peer)
    }

    /// The want list for a peer whose stream is ready for it.
    pub(crate) fn take_wants(&self, peer: &PeerId) -> Option<Outgoing> {
        self.core.lock().engine.take_wants(peer)
    }

    pub(crate) fn sent(
        self: &Arc<Self>,
        peer: &PeerId,
        reserved: u64,
        written: Option<(u64, u64)>,
    ) {
        self.with(|engine, _| engine.handle_sent(peer, reserved, written));
    }

    /// Whether peers wait because others do not read.
    pub(crate) fn is_pressed(&self) -> bool {
        self.core.lock().engine.is_pressed()
    }

    /// A message, except for its blocks.
    pub(crate) fn received(self: &Arc<Self>, io: &Arc<PeerIo>, message: &mut Message) {
        let wants = std::mem::take(&mut message.wants);
        let presences = std::mem::take(&mut message.presences);
        let full = message.full;
        self.with_core(|core, now| {
            core.engine
                .handle_message(now, &io.peer, full, wants, &presences);
            core.mark_used(io, now);
        });
    }

    pub(crate) fn unexpected(self: &Arc<Self>, blocks: u64, bytes: u64) {
        self.with(|engine, _| engine.handle_unexpected(blocks, bytes));
    }

    /// The behaviour is gone: nothing will arrive any more.
    pub(crate) fn close(&self) {
        let inboxes = {
            let mut core = self.core.lock();
            core.closed = true;
            core.inboxes.values().cloned().collect::<Vec<_>>()
        };
        for inbox in inboxes {
            inbox.close();
        }
        self.providers.notify_one();
        self.timer.notify_one();
    }
}

impl Core {
    fn pass_on(&mut self, wakes: &mut Wakes, threads: usize) {
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Block { session, block } => {
                    if let Some(inbox) = self.inboxes.get(&session) {
                        inbox.push(block);
                        if wakes.inboxes.iter().all(|known| !Arc::ptr_eq(known, inbox)) {
                            wakes.inboxes.push(Arc::clone(inbox));
                        }
                    }
                }
                Event::NeedProviders { session, cid } => {
                    if self.need_providers.len() == NEED_PROVIDERS {
                        self.need_providers.pop_front();
                    }
                    self.need_providers
                        .push_back(NeedProviders { session, cid });
                    wakes.providers = true;
                }
                // The engine asks it for nothing more, and its blocks are dropped unhashed.
                Event::Misbehaving(_) => {}
            }
        }
        while let Some(peer) = self.engine.poll_peer() {
            if let Some(io) = self.peers.get(&peer).cloned() {
                io.set_has_wants();
                self.mark_used(&io, Instant::now());
                wakes.peers.push(io);
            }
        }
        if self.engine.has_server_work() && self.serve_jobs < threads {
            self.serve_jobs += 1;
            wakes.serve_jobs = 1;
        }
        let due = self.next_due();
        wakes.timer |= match (due, self.armed) {
            (Some(due), Some(armed)) => due < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if wakes.timer {
            self.armed = due;
        }
    }

    fn next_due(&self) -> Option<Instant> {
        match (self.engine.poll_timeout(), self.keep_alive) {
            (Some(timeout), Some(check)) => Some(timeout.min(check)),
            (timeout, check) => timeout.or(check),
        }
    }

    fn mark_used(&mut self, io: &PeerIo, now: Instant) {
        if io.set_used(true) {
            self.keep_alive.get_or_insert(now + KEEP_ALIVE_EVERY);
        }
    }

    /// Connections that nobody needs any more may be closed.
    fn check_keep_alive(&mut self, now: Instant) {
        self.keep_alive = None;
        for io in self.peers.values() {
            if io.is_used() && !self.engine.is_used(&io.peer) {
                io.set_used(false);
                io.wake_handlers();
            }
            if io.is_used() {
                self.keep_alive = Some(now + KEEP_ALIVE_EVERY);
            }
        }
    }
}

/// Calls the engine when it is due. Ends with the behaviour.
async fn keep_time(shared: Arc<Shared>) {
    loop {
        let due = {
            let mut core = shared.core.lock();
            if core.closed {
                return;
            }
            core.armed = core.next_due();
            core.armed
        };
        match due {
            None => shared.timer.notified().await,
            Some(due) => {
                let sleep = tokio::time::sleep_until(due.into());
                tokio::select! {
                    () = sleep => {}
                    () = shared.timer.notified() => continue,
                }
                shared.with_core(|core, now| {
                    core.engine.handle_timeout(now);
                    if core.keep_alive.is_some_and(|at| at <= now) {
                        core.check_keep_alive(now);
                    }
                });
            }
        }
    }
}
