//! How often tokens are used.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ipfs_kit_node::tokens::{MAX_TOKENS, Rate, Token};
use parking_lot::Mutex;

/// When each token may be used again. In memory only: a restart forgives.
#[derive(Debug, Default)]
pub struct Rates(Mutex<HashMap<String, Instant>>);

impl Rates {
    /// Counts a use of the token at `now`.
    ///
    /// # Errors
    /// When it is used too often: how long to wait.
    pub fn count(&self, token: &Token, now: Instant) -> Result<(), Duration> {
        let Some(rate) = token.scope.rate else {
            return Ok(());
        };
        let mut used = self.0.lock();
        if used.len() > MAX_TOKENS {
            // Of tokens that are gone: what lies in the past says nothing.
            used.retain(|_, until| *until > now);
        }
        let until = used.entry(token.name.clone()).or_insert(now);
        *until = spend(*until, rate, now)?;
        Ok(())
    }
}

/// The virtual queue of GCRA: `until` is when everything counted so far has been worked off at the
/// rate. A full second's (or whatever the rate's time is) worth may come at once.
fn spend(until: Instant, rate: Rate, now: Instant) -> Result<Instant, Duration> {
    let whole = Duration::from_secs(rate.seconds.into());
    let one = whole / rate.requests;
    let next = until.max(now) + one;
    let ahead = next - now;
    match ahead.checked_sub(whole) {
        Some(excess) if !excess.is_zero() => Err(excess),
        _ => Ok(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let rate = Rate {
            requests: 4,
            seconds: 2,
        };
        let start = Instant::now();
        let mut until = start;
        for _ in 0..4 {
            until = spend(until, rate, start).unwrap();
        }
        assert_eq!(spend(until, rate, start), Err(Duration::from_millis(500)));
        let later = start + Duration::from_millis(500);
        until = spend(until, rate, later).unwrap();
        assert!(spend(until, rate, later).is_err());
        let much_later = start + Duration::from_secs(60);
        let mut passed = 0;
        while let Ok(next) = spend(until, rate, much_later) {
            until = next;
            passed += 1;
        }
        assert_eq!(passed, 4, "an idle hour earns no more than one burst");
    }
}
