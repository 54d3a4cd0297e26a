//! The commands that run for clients, and the end of those whose clients are too slow.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipfs_kit_node::CancelToken;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use super::waiting::{For, Waiting};

/// What stops one command: its work, and its waiting for input or for room for output.
#[derive(Clone)]
pub struct Stops {
    /// The work.
    pub work: CancelToken,
    /// The waiting.
    pub io: CancellationToken,
    /// How long it has been waiting; `None` for who may take any time.
    pub waiting: Option<Arc<Waiting>>,
}

impl Stops {
    fn stop(&self) {
        self.work.cancel();
        self.io.cancel();
    }
}

/// The commands that run.
#[derive(Default)]
pub struct Registry {
    running: Mutex<HashMap<u64, Stops>>,
    next: AtomicU64,
}

/// Cancels a command when its response is dropped, and forgets it.
pub struct Running {
    registry: Arc<Registry>,
    number: u64,
    stops: Stops,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stops.stop();
        self.registry.running.lock().remove(&self.number);
    }
}

impl Registry {
    /// Enters a command.
    pub fn enter(self: &Arc<Registry>, stops: Stops) -> Running {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.running.lock().insert(number, stops.clone());
        Running {
            registry: Arc::clone(self),
            number,
            stops,
        }
    }

    /// Tells every command to stop.
    pub fn stop_all(&self) {
        self.running.lock().values().for_each(Stops::stop);
    }

    /// Stops the commands whose clients took too long.
    pub fn stop_slow(&self, limits: &Limits) {
        for stops in self.running.lock().values() {
            let slow = stops.waiting.as_ref().is_some_and(|waiting| {
                waiting.waits(For::Body) >= limits.body || waiting.waits(For::Reply) >= limits.reply
            });
            if slow {
                stops.stop();
            }
        }
    }

    /// Stops the command that has waited longest for its client, at least so long. Whether there was one.
    pub fn stop_slowest(&self, least: Duration) -> bool {
        let running = self.running.lock();
        let slowest = running
            .values()
            .filter(|stops| !stops.io.is_cancelled())
            .filter_map(|stops| {
                let waiting = stops.waiting.as_ref()?;
                let longest = waiting.waits(For::Body).max(waiting.waits(For::Reply));
                (longest >= least).then_some((longest, stops))
            })
            .max_by_key(|(longest, _)| *longest);
        slowest.inspect(|(_, stops)| stops.stop()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops() -> (Arc<Waiting>, Stops) {
        let waiting = Arc::new(Waiting::default());
        let stops = Stops {
            work: CancelToken::new(),
            io: CancellationToken::new(),
            waiting: Some(Arc::clone(&waiting)),
        };
        (waiting, stops)
    }

    #[test]
    fn the_slowest_goes_first_and_nobody_who_is_served() {
        let registry = Arc::new(Registry::default());
        let [(_, busy), (waits, slow), (waits_longer, slower)] = [stops(), stops(), stops()];
        let _running = [&busy, &slow, &slower].map(|stops| registry.enter(stops.clone()));
        let moment = Duration::from_millis(20);
        waits_longer.begin(For::Body, Duration::ZERO);
        std::thread::sleep(moment);
        waits.begin(For::Reply, Duration::ZERO);
        std::thread::sleep(moment);
        assert!(!registry.stop_slowest(Duration::from_secs(3600)));
        let least = Duration::from_millis(1);
        assert!(registry.stop_slowest(least));
        assert!(slower.io.is_cancelled() && !slow.io.is_cancelled());
        assert!(registry.stop_slowest(least));
        assert!(slow.io.is_cancelled() && !busy.io.is_cancelled());
        assert!(!registry.stop_slowest(least));
        let limits = Limits {
            body: Duration::ZERO,
            ..Limits::default()
        };
        registry.stop_slow(&limits);
        assert!(busy.io.is_cancelled(), "a limit of zero is passed at once");
    }
}
