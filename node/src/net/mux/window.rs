//! How much a peer may send on a stream before it is read.
//!
//! A stream begins with 256 KiB, as the protocol has it. Whoever sends a lot over a long way would wait for most of the time
//! with that: so the window becomes [`FAR`] with the first bytes that look like more, and grows as long as half of it is read
//! within two round trips, which is up to four times what the way holds: four times as wide over a long way, else twice.
//! What windows have beyond their first size is limited for a connection and for the node.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Every stream's first window.
pub const FIRST: u32 = 256 << 10;

/// The second one where the peer is far away.
const FAR: u32 = 8 << 20;

/// So much of a stream looks like more, and a round trip of so long is a long way.
const MUCH: u32 = 32 << 10;
const LONG: Duration = Duration::from_millis(5);

/// No way is taken for longer.
const FARTHEST: Duration = Duration::from_secs(1);

/// The widest window of a stream: what 320 MB/s have on their way in 200 ms.
const STREAM_MAX: u32 = 64 << 20;

/// A wide window is granted in so many steps.
const STEPS: u32 = 16;

/// What all windows of a connection have beyond their first size, and those of all connections.
const CONNECTION_MAX: usize = 96 << 20;
const NODE_MAX: usize = 512 << 20;

/// What is left for windows.
#[derive(Debug)]
pub struct Budget {
    node: Arc<AtomicUsize>,
    /// Taken by this connection.
    taken: usize,
}

impl Budget {
    /// For all connections of a node.
    pub fn of_node() -> Arc<AtomicUsize> {
        Arc::new(AtomicUsize::new(NODE_MAX))
    }

    /// A connection's, which has taken nothing yet.
    pub fn new(node: Arc<AtomicUsize>) -> Self {
        Self { node, taken: 0 }
    }

    /// Takes as much as there is, up to `wanted`.
    fn take(&mut self, wanted: u32) -> u32 {
        let most = (wanted as usize).min(CONNECTION_MAX - self.taken);
        let mut given = 0;
        let _ = self
            .node
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                // Never all of it: those who come later get something too.
                given = most.min(left / 4);
                Some(left - given)
            });
        self.taken += given;
        // No more than `wanted`.
        given as u32
    }

    fn give_back(&mut self, bytes: u32) {
        self.taken -= bytes as usize;
        self.node.fetch_add(bytes as usize, Ordering::Relaxed);
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.node.fetch_add(self.taken, Ordering::Relaxed);
    }
}

/// A stream's window: what may still come, what lies here unread, and what was read and not granted again are `size`.
#[derive(Debug)]
pub struct Window {
    size: u32,
    /// What may still come.
    credit: u32,
    /// Read since the last grant.
    read: u32,
    /// Read since the size was looked at, and when that was.
    looked: u32,
    since: Instant,
}

impl Window {
    pub fn new(now: Instant) -> Self {
        Self {
            size: FIRST,
            credit: FIRST,
            read: 0,
            looked: 0,
            since: now,
        }
    }

    /// So much comes; `false` if that is more than it may be.
    #[must_use]
    pub fn handle_received(&mut self, bytes: u32) -> bool {
        let left = self.credit.checked_sub(bytes);
        self.credit = left.unwrap_or(0);
        left.is_some()
    }

    /// So much was read. Returns what the peer is to be granted now, if anything.
    pub fn handle_read(
        &mut self,
        bytes: u32,
        now: Instant,
        round_trip: Option<Duration>,
        budget: &mut Budget,
    ) -> Option<u32> {
        self.read += bytes;
        self.looked = self.looked.saturating_add(bytes);
        let more = self.growth(now, round_trip, budget);
        // With one grant for each half of it, as small windows have, half of a window is all that is ever on its way.
        let step = (self.size / STEPS).max(FIRST / 2);
        if more == 0 && self.read < step {
            return None;
        }
        let grant = self.read + more;
        self.size += more;
        self.credit += grant;
        self.read = 0;
        Some(grant)
    }

    /// By how much the window gets wider now.
    fn growth(&mut self, now: Instant, round_trip: Option<Duration>, budget: &mut Budget) -> u32 {
        let Some(round_trip) = round_trip else {
            return 0;
        };
        // The peer could answer late.
        let round_trip = round_trip.min(FARTHEST);
        let is_far = round_trip >= LONG;
        let starts = self.size == FIRST && self.looked >= MUCH && is_far;
        if !starts && self.looked < self.size / 2 {
            return 0;
        }
        let is_busy = now.saturating_duration_since(self.since) < round_trip * 2;
        (self.looked, self.since) = (0, now);
        let size = match (starts, is_busy, is_far) {
            // One that carries a little now and then for hours needs nothing.
            (_, false, _) => self.size,
            (true, true, _) => FAR,
            (false, true, true) => self.size.saturating_mul(4),
            (false, true, false) => self.size.saturating_mul(2),
        };
        budget.take(size.min(STREAM_MAX) - self.size)
    }

    /// The stream is gone.
    pub fn end(&mut self, budget: &mut Budget) {
        budget.give_back(self.size - FIRST);
        self.size = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Sends and reads whatever the window allows, once a round trip; how much that was each time.
    fn rounds(round_trip: Duration, count: usize, budget: &mut Budget) -> Vec<u32> {
        let mut now = Instant::now();
        let mut window = Window::new(now);
        let mut may_send = FIRST;
        let mut sent = Vec::new();
        for _ in 0..count {
            now += round_trip;
            let mut left = std::mem::take(&mut may_send);
            sent.push(left);
            assert!(window.handle_received(left));
            while left > 0 {
                let read = left.min(16 << 10);
                left -= read;
                let grant = window.handle_read(read, now, Some(round_trip), budget);
                may_send += grant.unwrap_or(0);
            }
        }
        sent
    }

    #[test]
    fn a_far_stream_gets_wide_in_a_few_round_trips_and_a_near_one_when_it_is_busy() {
        let mut budget = Budget::new(Budget::of_node());
        let far = rounds(200 * MS, 8, &mut budget);
        assert_eq!(far[0], FIRST);
        assert!(far[1] > 7 << 20, "{far:?}");
        assert!(far[4] >= STREAM_MAX / 2, "{far:?}");
        let near = rounds(MS, 2, &mut budget);
        assert!(near[1] <= 2 * FIRST, "{near:?}");
    }

    #[test]
    fn a_stream_that_carries_little_keeps_its_first_window() {
        let mut budget = Budget::new(Budget::of_node());
        let mut now = Instant::now();
        let mut window = Window::new(now);
        for _ in 0..10_000 {
            // As late as it likes to answer a ping.
            now += 2_500 * MS;
            assert!(window.handle_received(1 << 10));
            let _ = window.handle_read(1 << 10, now, Some(60_000 * MS), &mut budget);
        }
        assert_eq!(window.size, FIRST);
    }

    #[test]
    fn a_wide_window_is_granted_again_in_small_steps() {
        let mut budget = Budget::new(Budget::of_node());
        let mut now = Instant::now();
        let mut window = Window::new(now);
        let mut late = 0;
        for _ in 0..10_000 {
            now += MS;
            assert!(window.handle_received(16 << 10));
            match window.handle_read(16 << 10, now, Some(200 * MS), &mut budget) {
                Some(_) => late = 0,
                None => late += 16 << 10,
            }
            assert!(late <= (window.size / STEPS).max(FIRST / 2), "{late}");
        }
    }

    #[test]
    fn who_reads_slowly_gets_what_was_read() {
        let mut budget = Budget::new(Budget::of_node());
        let mut now = Instant::now();
        let mut window = Window::new(now);
        for _ in 0..100 {
            assert!(window.handle_received(128 << 10));
            now += 10 * MS;
            let grant = window.handle_read(128 << 10, now, Some(MS), &mut budget);
            assert_eq!(grant, Some(128 << 10));
        }
        assert!(!window.handle_received(FIRST + 1), "more than it may be");
    }

    #[test]
    fn windows_have_a_limit_together_and_give_back() {
        let node = Budget::of_node();
        {
            let mut one = Budget::new(Arc::clone(&node));
            let mut windows = Vec::new();
            let now = Instant::now();
            for _ in 0..100 {
                let mut window = Window::new(now);
                let _ = window.handle_received(MUCH);
                let _ = window.handle_read(MUCH, now, Some(100 * MS), &mut one);
                windows.push(window);
            }
            let all: usize = windows.iter().map(|it| (it.size - FIRST) as usize).sum();
            assert_eq!(all, CONNECTION_MAX);
            assert_eq!(node.load(Ordering::Relaxed), NODE_MAX - CONNECTION_MAX);
            windows[0].end(&mut one);
            assert_eq!(one.taken, CONNECTION_MAX - (FAR - FIRST) as usize);
        }
        assert_eq!(node.load(Ordering::Relaxed), NODE_MAX);
        node.store(40, Ordering::Relaxed);
        assert_eq!(Budget::new(node).take(100), 10);
    }
}
