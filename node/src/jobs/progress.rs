//! What a job has come by, counted while it works.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The time that a rate is taken over.
const WINDOW: Duration = Duration::from_secs(10);

/// Peers that are named at most.
const PROVIDERS_MAX: usize = 32;

/// What a job has come by, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobProgress {
    /// Blocks that are there and held, of this run.
    pub checked_blocks: u64,
    /// Their bytes.
    pub checked_bytes: u64,
    /// Blocks that came from others, of all runs.
    pub fetched_blocks: u64,
    /// Their bytes.
    pub fetched_bytes: u64,
    /// Bytes that came in a second, of late.
    pub rate: f64,
    /// Peers that gave, or say they have, blocks of it.
    pub providers: Vec<String>,
    /// Blocks that no connected peer is known to have.
    pub searching: usize,
}

/// Counts for one operation.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    progress: JobProgress,
    /// What came of late, and when.
    late: VecDeque<(Instant, u64)>,
}

impl Meter {
    /// Goes on from what an earlier run came by.
    pub fn after(earlier: &JobProgress) -> Self {
        Self(Mutex::new(State {
            progress: JobProgress {
                fetched_blocks: earlier.fetched_blocks,
                fetched_bytes: earlier.fetched_bytes,
                ..JobProgress::default()
            },
            late: VecDeque::new(),
        }))
    }

    /// A block is there and held.
    pub fn handle_checked(&self, len: u32) {
        let progress = &mut self.0.lock().progress;
        progress.checked_blocks += 1;
        progress.checked_bytes += u64::from(len);
    }

    /// Blocks came.
    pub fn handle_fetched(&self, blocks: u64, bytes: u64, now: Instant) {
        let mut state = self.0.lock();
        state.progress.fetched_blocks += blocks;
        state.progress.fetched_bytes += bytes;
        state.forget(now);
        match state.late.back_mut() {
            // A few entries for the whole window, however small the batches are.
            Some((at, sum)) if now.duration_since(*at) < WINDOW / 20 => *sum += bytes,
            _ => state.late.push_back((now, bytes)),
        }
    }

    /// Who has it, and what nobody is known to have.
    pub fn handle_search(&self, providers: impl Iterator<Item = String>, searching: usize) {
        let progress = &mut self.0.lock().progress;
        progress.providers = providers.take(PROVIDERS_MAX).collect();
        progress.searching = searching;
    }

    /// What there is at this moment.
    pub fn read(&self, now: Instant) -> JobProgress {
        let mut state = self.0.lock();
        state.forget(now);
        let span = state
            .late
            .front()
            .map_or(Duration::ZERO, |(first, _)| now.duration_since(*first));
        let sum: u64 = state.late.iter().map(|(_, bytes)| bytes).sum();
        // Less than a second says nothing about a second.
        state.progress.rate = sum as f64 / span.as_secs_f64().max(1.0);
        state.progress.clone()
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        while self
            .late
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > WINDOW)
        {
            self.late.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_late_and_counts_of_all_runs() {
        let earlier = JobProgress {
            fetched_blocks: 5,
            fetched_bytes: 50,
            checked_blocks: 9,
            ..JobProgress::default()
        };
        let meter = Meter::after(&earlier);
        let start = Instant::now();
        for second in 0..100 {
            meter.handle_fetched(1, 1000, start + Duration::from_secs(second));
        }
        let progress = meter.read(start + Duration::from_secs(99));
        assert_eq!(
            (progress.fetched_blocks, progress.fetched_bytes),
            (105, 100_050)
        );
        assert_eq!(progress.checked_blocks, 0);
        assert!(
            (900.0..1300.0).contains(&progress.rate),
            "{}",
            progress.rate
        );
        assert!(meter.read(start + Duration::from_secs(200)).rate < 1.0);
        assert!(meter.0.lock().late.len() <= 21);
        meter.handle_search((0..100).map(|n| n.to_string()), 3);
        let progress = meter.read(start);
        assert_eq!(
            (progress.providers.len(), progress.searching),
            (PROVIDERS_MAX, 3)
        );
    }
}
