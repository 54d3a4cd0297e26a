//! What is known of the path to one peer: the least round trip, the most that came through, and
//! from both the bytes that it pays to have in flight.

use std::time::{Duration, Instant};

use crate::Config;

/// Measurements are kept for one to two spans of this length.
const SPAN: Duration = Duration::from_secs(2);
/// The rate grows as long as it was a quarter more in the last so many round trips.
const GROWTH: f64 = 1.25;
const GROWS_FOR: f64 = 3.0;

/// Taken for a peer of which nothing is known, in bytes per second.
const UNKNOWN_RATE: f64 = 8e6;
const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(100);

/// The maximum over the last one to two spans.
#[derive(Debug, Default)]
struct Windowed {
    since: Option<Instant>,
    now: Option<f64>,
    before: Option<f64>,
}

impl Windowed {
    fn add(&mut self, now: Instant, value: f64) {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= SPAN {
            self.before = self.now.take();
            self.since = Some(now);
        }
        self.now = Some(self.now.map_or(value, |max| max.max(value)));
    }

    fn max(&self) -> Option<f64> {
        match (self.now, self.before) {
            (Some(now), Some(before)) => Some(now.max(before)),
            (now, before) => now.or(before),
        }
    }
}

/// A point in the stream of bytes from a peer, remembered with each ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) at: Instant,
    delivered: u64,
    /// Nothing else was in flight.
    alone: bool,
}

#[derive(Debug)]
pub(super) struct Link {
    rate: Windowed,
    /// Seconds. Under load every ask waits behind our own queue, so the least ever seen is kept
    /// until an ask that was alone tells how long it takes now.
    round_trip: Option<f64>,
    delivered: u64,
    /// The rate when it was last a quarter more than before, and the time.
    grown: Option<(f64, Instant)>,
    /// The last time that something came that had been asked for.
    pub(super) progress: Option<Instant>,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            rate: Windowed::default(),
            round_trip: None,
            delivered: 0,
            grown: None,
            progress: None,
        }
    }

    pub(super) fn mark(&self, now: Instant, in_flight: u64) -> Mark {
        Mark {
            at: now,
            delivered: self.delivered,
            alone: in_flight == 0,
        }
    }

    /// Bytes arrived that were asked for at `asked`.
    pub(super) fn on_block(&mut self, now: Instant, asked: Mark, len: usize) {
        self.delivered += len as u64;
        let elapsed = now.saturating_duration_since(asked.at).as_secs_f64();
        let elapsed = elapsed.max(1e-5);
        let rate = (self.delivered - asked.delivered) as f64 / elapsed;
        self.rate.add(now, rate);
        if self.grown.is_none_or(|(before, _)| rate >= GROWTH * before) {
            self.grown = Some((rate, now));
        }
        self.on_answer(now, asked);
    }

    /// An answer without a block.
    pub(super) fn on_answer(&mut self, now: Instant, asked: Mark) {
        let elapsed = now.saturating_duration_since(asked.at).as_secs_f64();
        self.round_trip = Some(match self.round_trip {
            Some(known) if elapsed > known && asked.alone => known + (elapsed - known) / 4.0,
            Some(known) => known.min(elapsed),
            None => elapsed,
        });
        self.progress = Some(now);
    }

    /// Bytes per second.
    pub(super) fn rate(&self) -> f64 {
        self.rate.max().unwrap_or(UNKNOWN_RATE)
    }

    pub(super) fn round_trip(&self) -> Duration {
        let known = self.round_trip;
        known.map_or(UNKNOWN_ROUND_TRIP, Duration::from_secs_f64)
    }

    /// Whether there may be much more to come: a far link is filled in a few round trips.
    fn grows(&self) -> bool {
        let (Some((_, at)), Some(last)) = (self.grown, self.progress) else {
            return false;
        };
        let since = last.saturating_duration_since(at).as_secs_f64();
        since < GROWS_FOR * self.round_trip().as_secs_f64()
    }

    /// The bytes to have in flight. Twice what the link holds lets the estimate grow until a queue
    /// forms at the peer, four times what it holds quickly; the second term covers the time that both sides work on a
    /// message.
    pub(super) fn window(&self, config: &Config) -> u64 {
        let Some(rate) = self.rate.max() else {
            return config.window_start;
        };
        let times = if self.grows() { 4.0 } else { 2.0 };
        let held = times * rate * self.round_trip().as_secs_f64();
        let work = (rate / 2.0).min(config.window_min as f64);
        // What came before so much was asked for at once, as a root and its children, tells nothing about the rate.
        let least = match self.delivered < config.window_start {
            true => config.window_start,
            false => config.window_min / 8,
        };
        ((held + work) as u64).clamp(least, config.window_max)
    }

    /// Seconds until `bytes` more would be here.
    pub(super) fn seconds_for(&self, bytes: u64) -> f64 {
        bytes as f64 / self.rate().max(1.0) + self.round_trip().as_secs_f64()
    }

    /// How long an ask may take with `in_flight` bytes before and behind it.
    pub(super) fn deadline(&self, in_flight: u64, config: &Config) -> Duration {
        let expected = Duration::from_secs_f64((4.0 * self.seconds_for(in_flight)).min(1e6));
        expected.clamp(config.reask_min, config.reask_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that sends one block after the other at the link's rate, for so many seconds.
    fn steady_window(rate: f64, round_trip: Duration, seconds: u64) -> u64 {
        const BLOCK: u64 = 1 << 18;
        let config = Config::default();
        let (mut link, start) = (Link::new(), Instant::now());
        let (mut now, mut free) = (start, start);
        let mut flights = std::collections::VecDeque::new();
        while now < start + Duration::from_secs(seconds) {
            let in_flight = |flights: usize| flights as u64 * BLOCK;
            while flights.is_empty() || in_flight(flights.len() + 1) <= link.window(&config) {
                let sent = free.max(now + round_trip);
                free = sent + Duration::from_secs_f64(BLOCK as f64 / rate);
                flights.push_back((link.mark(now, in_flight(flights.len())), free));
            }
            if let Some((asked, arrives)) = flights.pop_front() {
                now = arrives;
                link.on_block(now, asked, BLOCK as usize);
            }
        }
        link.window(&config)
    }

    #[test]
    fn window_covers_the_link() {
        let ms = Duration::from_millis;
        // 100 MB/s at 200 ms hold 20 MB.
        let window = steady_window(100e6, ms(200), 10);
        assert!((20_000_000..=64 << 20).contains(&window), "{window}");
        // A slow link never gets a long queue: at most about half a second.
        let window = steady_window(1e6, ms(20), 300);
        assert!(window <= 2 << 20, "{window}");
        // Loopback gets enough to hide the work on both sides.
        let window = steady_window(800e6, ms(0), 2);
        assert!(window >= 4 << 20, "{window}");
    }

    #[test]
    fn a_few_small_blocks_do_not_narrow_the_window() {
        let config = Config::default();
        let (mut link, mut now) = (Link::new(), Instant::now());
        let mut come = |link: &mut Link, len| {
            let asked = link.mark(now, 0);
            now += Duration::from_millis(200);
            link.on_block(now, asked, len);
            link.window(&config)
        };
        for len in [100, 9000, 9000] {
            assert!(come(&mut link, len) >= config.window_start);
        }
        // But a link on which even a window takes seconds does get less.
        for _ in 0..30 {
            come(&mut link, 200_000);
        }
        assert!(link.window(&config) < config.window_start);
    }

    #[test]
    fn old_measurements_fade() {
        let (mut link, start) = (Link::new(), Instant::now());
        let asked = link.mark(start, 0);
        link.on_block(start + Duration::from_millis(1), asked, 1 << 20);
        let fast = link.rate();
        for second in 1..8 {
            let at = start + Duration::from_secs(second);
            let asked = link.mark(at, 0);
            link.on_block(at + Duration::from_secs(1), asked, 1 << 20);
        }
        assert!(link.rate() < fast / 100.0);
    }
}
