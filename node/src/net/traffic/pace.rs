//! A limit of bytes in a second, shared by all streams: a bucket that fills at that rate, and a queue in front of it.
//!
//! A stream may go when the bucket is not empty and pays afterwards, so the bucket may owe one chunk for each stream
//! that went at the same moment. What is owed is earned back first: on average the rate is never passed.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

/// Between two looks at who may go, while somebody waits.
const TICK: Duration = Duration::from_millis(5);

/// The bucket holds what comes in this time: so much may go at once after a pause.
const BURST: Duration = Duration::from_millis(100);

/// The most that one stream may send or take before it is another's turn.
const CHUNK_MIN: u64 = 512;
const CHUNK_MAX: u64 = 16 << 10;

/// The bucket and its queue; the time is an argument.
struct Bucket {
    rate: f64,
    full: f64,
    chunk: u64,
    level: f64,
    filled: Instant,
    queue: VecDeque<u64>,
    waiting: FxHashMap<u64, Waker>,
}

impl Bucket {
    fn new(rate: u64, now: Instant) -> Self {
        let chunk = (rate / 50).clamp(CHUNK_MIN, CHUNK_MAX);
        let full = (rate as f64 * BURST.as_secs_f64()).max(chunk as f64);
        Self {
            rate: rate as f64,
            full,
            chunk,
            level: full,
            filled: now,
            queue: VecDeque::new(),
            waiting: FxHashMap::default(),
        }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled);
        self.level = (self.level + passed.as_secs_f64() * self.rate).min(self.full);
        self.filled = now;
    }

    fn may_go(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level > 0.0
    }

    fn pay(&mut self, bytes: u64) {
        self.level -= bytes as f64;
    }

    /// A stream waits, once in the queue however often it asks.
    fn wait(&mut self, id: u64, waker: &Waker) {
        if let Some(known) = self.waiting.get_mut(&id) {
            known.clone_from(waker);
            return;
        }
        self.waiting.insert(id, waker.clone());
        self.queue.push_back(id);
    }

    fn leave(&mut self, id: u64) {
        if self.waiting.remove(&id).is_some() && self.waiting.is_empty() {
            self.queue.clear();
        }
        // Those that left are skipped when their turn comes; here they must not pile up.
        if self.queue.len() > 64 && self.queue.len() > 2 * self.waiting.len() {
            let waiting = &self.waiting;
            self.queue.retain(|id| waiting.contains_key(id));
        }
    }

    /// Those whose turn it is: as many as there are chunks.
    fn next(&mut self, now: Instant) -> Vec<Waker> {
        self.fill(now);
        let mut next = Vec::new();
        let chunks = (self.level.max(0.0) / self.chunk as f64).ceil() as usize;
        while next.len() < chunks {
            let Some(id) = self.queue.pop_front() else {
                break;
            };
            next.extend(self.waiting.remove(&id));
        }
        next
    }
}

struct Shared {
    bucket: Mutex<Bucket>,
    ids: std::sync::atomic::AtomicU64,
    wanted: Arc<Notify>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The task that fills sees that it is to end.
        self.wanted.notify_one();
    }
}

/// A limit. Clones are the same one.
#[derive(Clone)]
pub struct Limit(Arc<Shared>);

impl Limit {
    /// So many bytes in a second. Inside a tokio runtime.
    pub fn start(rate: u64) -> Self {
        let wanted = Arc::new(Notify::new());
        let shared = Arc::new(Shared {
            bucket: Mutex::new(Bucket::new(rate, Instant::now())),
            ids: std::sync::atomic::AtomicU64::new(0),
            wanted: Arc::clone(&wanted),
        });
        tokio::spawn(fill(Arc::downgrade(&shared), wanted));
        Self(shared)
    }

    /// A place for one stream.
    pub fn place(&self) -> Place {
        let ids = &self.0.ids;
        Place {
            limit: self.clone(),
            id: ids.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
        }
    }
}

/// Wakes those whose turn it is, as long as anybody waits.
async fn fill(shared: Weak<Shared>, wanted: Arc<Notify>) {
    loop {
        wanted.notified().await;
        loop {
            tokio::time::sleep(TICK).await;
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let (next, idle) = {
                let mut bucket = shared.bucket.lock();
                let next = bucket.next(Instant::now());
                (next, bucket.waiting.is_empty())
            };
            next.into_iter().for_each(Waker::wake);
            if idle {
                break;
            }
        }
    }
}

/// One stream's place before a limit.
pub struct Place {
    limit: Limit,
    id: u64,
}

impl Place {
    /// Ready with the number of bytes that may go.
    pub fn poll_go(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut bucket = self.limit.0.bucket.lock();
        if bucket.may_go(Instant::now()) {
            bucket.leave(self.id);
            return Poll::Ready(bucket.chunk as usize);
        }
        bucket.wait(self.id, cx.waker());
        drop(bucket);
        self.limit.0.wanted.notify_one();
        Poll::Pending
    }

    /// So many went.
    pub fn pay(&mut self, bytes: usize) {
        self.limit.0.bucket.lock().pay(bytes as u64);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.limit.0.bucket.lock().leave(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_whatever_the_pieces() {
        for rate in [1024_u64, 1_000_000, 300_000_000] {
            for piece in [1, 700, CHUNK_MAX] {
                let start = Instant::now();
                let mut now = start;
                let mut bucket = Bucket::new(rate, now);
                let mut gone = 0;
                for _ in 0..2000 {
                    // Goes until it may not, as a busy stream does; the pieces are bounded to keep the test short.
                    for _ in 0..20_000 {
                        if !bucket.may_go(now) {
                            break;
                        }
                        let bytes = piece.min(bucket.chunk);
                        bucket.pay(bytes);
                        gone += bytes;
                    }
                    now += TICK;
                }
                let most =
                    rate as f64 * (now - start).as_secs_f64() + bucket.full + bucket.chunk as f64;
                assert!(gone as f64 <= most, "{rate} {piece}: {gone} of {most}");
                if piece == CHUNK_MAX {
                    assert!(gone as f64 >= most * 0.8, "{rate}: {gone} of {most}");
                }
            }
        }
    }

    #[test]
    fn turns_are_taken_in_order_and_the_gone_are_skipped() {
        let now = Instant::now();
        let mut bucket = Bucket::new(100_000, now);
        bucket.pay(bucket.full as u64);
        let waker = Waker::noop();
        for id in 0..1000 {
            bucket.wait(id, waker);
            bucket.wait(id, waker);
        }
        assert_eq!(
            bucket.queue.len(),
            1000,
            "asking again takes no second place"
        );
        for id in 0..998 {
            bucket.leave(id);
        }
        assert!(bucket.queue.len() <= 64, "{}", bucket.queue.len());
        let second = now + Duration::from_millis(30);
        assert_eq!(bucket.next(now).len(), 0);
        assert_eq!(bucket.next(second).len(), 2);
        assert!(bucket.queue.is_empty() && bucket.waiting.is_empty());
    }

    #[tokio::test]
    async fn a_place_that_waits_is_woken_and_the_task_ends_with_the_limit() {
        let limit = Limit::start(100_000);
        let mut place = limit.place();
        let start = Instant::now();
        let mut gone = 0;
        while gone < 60_000 {
            let bytes = std::future::poll_fn(|cx| place.poll_go(cx)).await;
            place.pay(bytes);
            gone += bytes;
        }
        let took = start.elapsed();
        assert!((450..2000).contains(&took.as_millis()), "{took:?}");
        let wanted = Arc::clone(&limit.0.wanted);
        drop((limit, place));
        let ended = async {
            while Arc::strong_count(&wanted) > 1 {
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(2), ended)
            .await
            .unwrap();
    }
}
