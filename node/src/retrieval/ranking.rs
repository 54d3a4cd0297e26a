//! Which gateway to ask next: by what was measured. It takes the time as an argument and does no IO.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::web::Backoff;

/// Bytes in a second before any were measured.
const RATE: f64 = 1e6;

/// Weight of a new measurement.
const NEW: f64 = 0.25;

/// Gateways remembered.
const KNOWN_MAX: usize = 1024;

#[derive(Debug)]
struct Score {
    backoff: Backoff,
    /// Bytes in a second, of one request from its start on.
    rate: f64,
    running: u32,
    used: Instant,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// So many bytes came, after this time.
    Block(usize, Duration),
    /// It does not have the block.
    Missing,
    /// No answer, or an error.
    Failed,
    /// Other bytes than those asked for.
    Lie,
    /// Somebody else was faster.
    Dropped,
}

/// What is known of gateways.
#[derive(Debug, Default)]
pub struct Ranking {
    scores: HashMap<String, Score>,
}

impl Ranking {
    /// How long a request to a gateway is likely to take, as a figure to compare; `None` while it is left alone.
    pub fn cost(&self, now: Instant, base: &str) -> Option<f64> {
        match self.scores.get(base) {
            None => Some(1.0 / RATE),
            Some(score) if score.backoff.pauses(now) => None,
            Some(score) => Some(f64::from(score.running + 1) / score.rate),
        }
    }

    pub fn begin(&mut self, now: Instant, base: &str) {
        if !self.scores.contains_key(base) && self.scores.len() >= KNOWN_MAX {
            let idle = self.scores.iter().filter(|(_, score)| score.running == 0);
            let oldest = idle.min_by_key(|(_, score)| score.used);
            if let Some(oldest) = oldest.map(|(base, _)| base.clone()) {
                self.scores.remove(&oldest);
            }
        }
        let score = self.scores.entry(base.to_owned()).or_insert(Score {
            backoff: Backoff::default(),
            rate: RATE,
            running: 0,
            used: now,
        });
        score.running += 1;
        score.used = now;
    }

    pub fn end(&mut self, now: Instant, base: &str, outcome: Outcome) {
        let Some(score) = self.scores.get_mut(base) else {
            return;
        };
        score.running = score.running.saturating_sub(1);
        match outcome {
            Outcome::Block(len, time) => {
                // A small block measures the latency, which counts as well.
                let rate = len.max(1) as f64 / time.as_secs_f64().max(1e-4);
                score.rate += (rate - score.rate) * NEW;
                score.backoff.on_success();
            }
            Outcome::Missing => score.backoff.on_success(),
            Outcome::Failed => score.backoff.on_failure(now),
            Outcome::Lie => score.backoff.on_lie(now),
            Outcome::Dropped => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_one_is_cheaper_and_shares_when_it_is_busy() {
        let now = Instant::now();
        let mut ranking = Ranking::default();
        for (base, millis) in [("fast", 10), ("slow", 400)] {
            for _ in 0..20 {
                ranking.begin(now, base);
                let time = Duration::from_millis(millis);
                ranking.end(now, base, Outcome::Block(100_000, time));
            }
        }
        let cost = |ranking: &Ranking, base| ranking.cost(now, base).unwrap();
        assert!(cost(&ranking, "fast") < cost(&ranking, "slow"));
        for _ in 0..100 {
            ranking.begin(now, "fast");
        }
        assert!(cost(&ranking, "fast") > cost(&ranking, "slow"));
    }

    #[test]
    fn failures_and_lies_are_left_alone_for_a_while() {
        let now = Instant::now();
        let mut ranking = Ranking::default();
        for (base, outcome, seconds) in [("a", Outcome::Failed, 1), ("b", Outcome::Lie, 300)] {
            ranking.begin(now, base);
            ranking.end(now, base, outcome);
            let later = now + Duration::from_secs(seconds);
            assert!(
                ranking
                    .cost(later - Duration::from_millis(1), base)
                    .is_none()
            );
            assert!(ranking.cost(later, base).is_some());
        }
        ranking.begin(now, "c");
        ranking.end(now, "c", Outcome::Missing);
        assert!(ranking.cost(now, "c").is_some());
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let now = Instant::now();
        let mut ranking = Ranking::default();
        for n in 0..3 * KNOWN_MAX {
            let base = n.to_string();
            ranking.begin(now, &base);
            ranking.end(now, &base, Outcome::Missing);
        }
        assert_eq!(ranking.scores.len(), KNOWN_MAX);
    }
}
