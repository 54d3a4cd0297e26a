//! How long a command has been waiting for its client: to send more of a body, or to take more of a reply.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared by a request's body, its reply and whoever looks after slow clients.
#[derive(Debug)]
pub struct Waiting {
    zero: Instant,
    /// Milliseconds after `zero`, and one; nothing is waited for while it is 0.
    body: AtomicU64,
    reply: AtomicU64,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// More of the request's body.
    Body,
    /// Room for more of the reply.
    Reply,
}

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting {
            zero: Instant::now(),
            body: AtomicU64::new(0),
            reply: AtomicU64::new(0),
        }
    }
}

impl Waiting {
    fn cell(&self, what: For) -> &AtomicU64 {
        match what {
            For::Body => &self.body,
            For::Reply => &self.reply,
        }
    }

    /// The wait begins, as if it had begun so long ago; nothing changes if it has already.
    pub fn begin(&self, what: For, ago: Duration) {
        let since = self.zero.elapsed().saturating_sub(ago).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX - 1) + 1;
        let cell = self.cell(what);
        let _ = cell.compare_exchange(0, since, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The wait ends; how long it was.
    pub fn end(&self, what: For) -> Duration {
        let was = self.cell(what).swap(0, Ordering::Relaxed);
        self.since(was)
    }

    /// How long it has been waiting.
    pub fn waits(&self, what: For) -> Duration {
        self.since(self.cell(what).load(Ordering::Relaxed))
    }

    fn since(&self, mark: u64) -> Duration {
        let Some(since) = mark.checked_sub(1) else {
            return Duration::ZERO;
        };
        let since = Duration::from_millis(since);
        self.zero.elapsed().saturating_sub(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_begin_and_end() {
        let waiting = Waiting::default();
        assert_eq!(waiting.waits(For::Body), Duration::ZERO);
        waiting.begin(For::Body, Duration::ZERO);
        waiting.begin(For::Reply, Duration::ZERO);
        let ended = waiting.end(For::Body);
        assert!(ended < Duration::from_secs(60));
        assert_eq!(waiting.waits(For::Body), Duration::ZERO);
        assert_eq!(waiting.end(For::Body), Duration::ZERO);
    }
}
