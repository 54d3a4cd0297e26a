//! When a host that failed is asked again.

use std::time::{Duration, Instant};

/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// The failures of a host in a row: after the nth it is left alone for 2^(n-1) seconds, five minutes at most.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// Whether the host is to be left alone now.
    pub fn pauses(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// It answered as it should.
    pub fn on_success(&mut self) {
        *self = Self::default();
    }

    /// It did not.
    pub fn on_failure(&mut self, now: Instant) {
        let pause = Duration::from_secs(1_u64 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + pause.min(PAUSE_MAX));
    }

    /// It lied: the longest pause at once.
    pub fn on_lie(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(16);
        self.until = Some(now + PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes_and_end_with_a_success() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        assert!(!backoff.pauses(now));
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            backoff.on_failure(now);
            let end = now + Duration::from_secs(seconds);
            assert!(backoff.pauses(end - Duration::from_millis(1)), "{seconds}");
            assert!(!backoff.pauses(end), "{seconds}");
        }
        backoff.on_success();
        assert!(!backoff.pauses(now));
        backoff.on_lie(now);
        assert!(backoff.pauses(now + Duration::from_secs(299)));
    }
}
