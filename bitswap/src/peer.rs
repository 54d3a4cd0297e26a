//! What waits to be sent to one peer, and who is to be woken for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::Waker;

use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::config::Config;
use crate::wire::Outgoing;

/// Streams that failed one after the other before a message went out: then the peer is taken for
/// one that does not speak Bitswap, until it does.
const MAX_FAILURES: usize = 3;

const NO_STREAM: u8 = 0;
const OPENING: u8 = 1;
const RUNNING: u8 = 2;

/// An answer to a peer. The engine bounds the bytes of all answers that wait here.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) message: Outgoing,
    /// To be given back to the engine once written.
    pub(crate) reserved: u64,
}

/// The connections of one peer, and what of the stream depends on them.
#[derive(Debug, Default)]
struct Handlers {
    all: Vec<Registered>,
    /// The stream is on a relayed connection, or is being opened there.
    on_relayed: bool,
}

#[derive(Debug)]
struct Registered {
    connection: ConnectionId,
    relayed: bool,
    waker: Waker,
}

/// The queues of one peer over all its connections.
#[derive(Debug)]
pub(crate) struct PeerIo {
    pub(crate) peer: PeerId,
    replies: Mutex<VecDeque<Reply>>,
    has_wants: AtomicBool,
    /// It has begun to ask: there will be an answer.
    expects: AtomicBool,
    used: AtomicBool,
    closed: AtomicBool,
    /// It told us that it has none of our protocols.
    unsupported: AtomicBool,
    stream: AtomicU8,
    failures: AtomicUsize,
    pub(crate) writer: Notify,
    /// The stream is on a relayed connection and there is a direct one now.
    moving: AtomicBool,
    moves: Notify,
    handlers: Mutex<Handlers>,
    pub(crate) inbound: AtomicUsize,
    /// Bytes of its messages that may be read and not yet verified.
    pub(crate) budget: Arc<Semaphore>,
}

impl PeerIo {
    pub(crate) fn new(peer: PeerId, config: &Config) -> Self {
        let budget = config.inbound_bytes_peer.max(crate::wire::MAX_MESSAGE_LEN);
        Self {
            peer,
            replies: Mutex::default(),
            has_wants: AtomicBool::new(false),
            expects: AtomicBool::new(false),
            used: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            unsupported: AtomicBool::new(false),
            stream: AtomicU8::new(NO_STREAM),
            failures: AtomicUsize::new(0),
            writer: Notify::new(),
            moving: AtomicBool::new(false),
            moves: Notify::new(),
            handlers: Mutex::default(),
            inbound: AtomicUsize::new(0),
            budget: Arc::new(Semaphore::new(budget.min(Semaphore::MAX_PERMITS))),
        }
    }

    pub(crate) fn push(&self, reply: Reply) {
        self.replies.lock().push_back(reply);
        self.wake();
    }

    pub(crate) fn pop(&self) -> Option<Reply> {
        self.replies.lock().pop_front()
    }

    /// It could not be written, or not whole: it goes first on the next stream.
    pub(crate) fn put_back(&self, reply: Reply) {
        self.replies.lock().push_front(reply);
    }

    pub(crate) fn set_has_wants(&self) {
        self.has_wants.store(true, Ordering::Release);
    }

    pub(crate) fn take_has_wants(&self) -> bool {
        self.has_wants.swap(false, Ordering::AcqRel)
    }

    /// True when that is a change.
    pub(crate) fn set_used(&self, used: bool) -> bool {
        self.used.swap(used, Ordering::Relaxed) != used
    }

    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.replies.lock().clear();
        self.writer.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// There is something to send: to the writer if there is one, else a stream is opened.
    pub(crate) fn wake(&self) {
        if self.stream.load(Ordering::Acquire) == RUNNING {
            self.writer.notify_one();
        } else {
            self.wake_handlers();
        }
    }

    pub(crate) fn wake_handlers(&self) {
        let handlers = self.handlers.lock();
        let wakers = handlers.all.iter().map(|handler| handler.waker.clone());
        let wakers = wakers.collect::<Vec<_>>();
        drop(handlers);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// A connection of the peer, and how to wake its handler. A stream on a relayed connection moves to a direct one:
    /// relays are slow and cut connections off.
    pub(crate) fn register(&self, connection: ConnectionId, relayed: bool, waker: &Waker) {
        let mut handlers = self.handlers.lock();
        let known = handlers.all.iter_mut();
        match known
            .into_iter()
            .find(|handler| handler.connection == connection)
        {
            Some(handler) => handler.waker.clone_from(waker),
            None => handlers.all.push(Registered {
                connection,
                relayed,
                waker: waker.clone(),
            }),
        }
        if !relayed && handlers.on_relayed {
            self.moving.store(true, Ordering::Release);
            drop(handlers);
            self.moves.notify_one();
            self.writer.notify_one();
        }
    }

    pub(crate) fn unregister(&self, connection: ConnectionId) {
        self.handlers
            .lock()
            .all
            .retain(|handler| handler.connection != connection);
        self.wake_handlers();
    }

    /// Whether the stream is to end because there is a better connection.
    pub(crate) fn is_moving(&self) -> bool {
        self.moving.load(Ordering::Acquire)
    }

    /// Waits until the stream is to move.
    pub(crate) async fn moves(&self) {
        while !self.is_moving() {
            self.moves.notified().await;
        }
    }

    /// The peer opens a stream to us. Ours is opened at once, and is there when the answer is: on a far peer's first
    /// request that saves a round trip.
    pub(crate) fn set_expects(&self) {
        if self.stream.load(Ordering::Acquire) == NO_STREAM {
            self.expects.store(true, Ordering::Release);
        }
    }

    fn has_something(&self) -> bool {
        self.has_wants.load(Ordering::Acquire)
            || self.expects.load(Ordering::Acquire)
            || !self.replies.lock().is_empty()
    }

    /// Whether the caller must open the stream.
    pub(crate) fn claim_stream(&self, relayed: bool) -> bool {
        if self.stream.load(Ordering::Acquire) != NO_STREAM
            || self.unsupported.load(Ordering::Relaxed)
            || !self.has_something()
        {
            return false;
        }
        let mut handlers = self.handlers.lock();
        if relayed && handlers.all.iter().any(|handler| !handler.relayed) {
            return false;
        }
        let claimed = self
            .stream
            .compare_exchange(NO_STREAM, OPENING, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if claimed {
            handlers.on_relayed = relayed;
            self.expects.store(false, Ordering::Release);
        }
        claimed
    }

    pub(crate) fn stream_opened(&self) {
        self.stream.store(RUNNING, Ordering::Release);
    }

    /// There is no stream any more, wherever it was.
    fn no_stream(&self) {
        let mut handlers = self.handlers.lock();
        handlers.on_relayed = false;
        self.moving.store(false, Ordering::Release);
        self.stream.store(NO_STREAM, Ordering::Release);
    }

    /// The stream is gone or could not be opened; true when the peer is given up.
    pub(crate) fn stream_failed(&self) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= MAX_FAILURES {
            self.unsupported.store(true, Ordering::Relaxed);
        }
        self.no_stream();
        failures >= MAX_FAILURES
    }

    /// The stream ended, or could not be opened because its connection closed: the next one is opened elsewhere.
    pub(crate) fn unclaim_stream(&self) {
        self.no_stream();
        self.wake_handlers();
    }

    pub(crate) fn set_unsupported(&self) {
        self.unsupported.store(true, Ordering::Relaxed);
        self.no_stream();
    }

    /// It spoke Bitswap to us; true when that is news.
    pub(crate) fn set_supported(&self) -> bool {
        self.unsupported.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn message_written(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    pub(crate) fn drain(&self) -> Vec<Reply> {
        self.replies.lock().drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_moves_from_a_relayed_connection_to_a_direct_one_and_back() {
        let io = PeerIo::new(PeerId::random(), &Config::default());
        let (relayed, direct) = (
            ConnectionId::new_unchecked(1),
            ConnectionId::new_unchecked(2),
        );
        io.set_has_wants();
        io.register(relayed, true, Waker::noop());
        assert!(io.claim_stream(true));
        io.stream_opened();
        assert!(!io.is_moving() && !io.claim_stream(true));
        io.register(direct, false, Waker::noop());
        assert!(io.is_moving());
        // Until the one there is has ended, there is no other.
        assert!(!io.claim_stream(false));
        io.unclaim_stream();
        assert!(!io.is_moving());
        assert!(!io.claim_stream(true), "there is a direct connection");
        assert!(io.claim_stream(false));
        io.stream_opened();
        io.register(ConnectionId::new_unchecked(3), false, Waker::noop());
        assert!(
            !io.is_moving(),
            "one direct connection is as good as another"
        );
        io.unregister(direct);
        io.unregister(ConnectionId::new_unchecked(3));
        assert!(!io.stream_failed());
        assert!(io.claim_stream(true), "only the relay is left");
    }

    #[test]
    fn a_peer_that_asks_gets_a_stream_before_there_is_an_answer() {
        let io = PeerIo::new(PeerId::random(), &Config::default());
        assert!(!io.claim_stream(false));
        io.set_expects();
        assert!(io.claim_stream(false));
        io.stream_opened();
        // The streams that it opens later change nothing, also when ours has ended.
        io.set_expects();
        io.unclaim_stream();
        assert!(!io.claim_stream(false));
    }

    #[tokio::test]
    async fn what_was_not_written_goes_first_on_the_next_stream() {
        let io = PeerIo::new(PeerId::random(), &Config::default());
        let reply = |reserved| Reply {
            message: Outgoing::default(),
            reserved,
        };
        io.push(reply(1));
        io.push(reply(2));
        let current = io.pop().unwrap();
        io.put_back(current);
        let order: Vec<u64> = io.drain().iter().map(|reply| reply.reserved).collect();
        assert_eq!(order, [1, 2]);
        // A call to move that came before anybody waits is not lost.
        io.set_has_wants();
        io.register(ConnectionId::new_unchecked(1), true, Waker::noop());
        assert!(io.claim_stream(true));
        io.register(ConnectionId::new_unchecked(2), false, Waker::noop());
        io.moves().await;
    }
}
