//! Listeners on the logs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use parking_lot::Mutex;

use super::level::Level;

/// Lines that wait for one listener; more are dropped, and logging never waits.
const QUEUE: usize = 1024;

/// All listeners.
#[derive(Debug, Default)]
pub struct Tails {
    /// How many there are, so that a line without one costs a load.
    count: AtomicUsize,
    open: Mutex<Vec<(Level, Sender<Arc<str>>)>>,
}

/// Lines from the moment it was opened on.
#[derive(Debug)]
pub struct Tail(Receiver<Arc<str>>);

impl Tails {
    /// Opens a listener for this level and above.
    pub fn open(&self, level: Level) -> Tail {
        let (send, receive) = bounded(QUEUE);
        let mut open = self.open.lock();
        open.push((level, send));
        self.count.store(open.len(), Relaxed);
        Tail(receive)
    }

    /// Hands a line to everybody who wants it.
    pub fn send(&self, level: Level, line: &str) {
        if self.count.load(Relaxed) == 0 {
            return;
        }
        let line: Arc<str> = line.into();
        let mut open = self.open.lock();
        open.retain(|(least, send)| {
            level < *least
                || !matches!(
                    send.try_send(Arc::clone(&line)),
                    Err(TrySendError::Disconnected(_))
                )
        });
        self.count.store(open.len(), Relaxed);
    }
}

impl Tail {
    /// The next line, if one comes in time.
    pub fn next(&self, patience: Duration) -> Option<Arc<str>> {
        self.0.recv_timeout(patience).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gets_its_levels_and_nobody_is_waited_for() {
        let tails = Tails::default();
        let (all, worst) = (tails.open(Level::Debug), tails.open(Level::Error));
        tails.send(Level::Info, "i\n");
        tails.send(Level::Error, "e\n");
        let now = Duration::ZERO;
        assert_eq!(all.next(now).as_deref(), Some("i\n"));
        assert_eq!(all.next(now).as_deref(), Some("e\n"));
        assert_eq!(worst.next(now).as_deref(), Some("e\n"));
        assert_eq!(worst.next(now), None);
        (0..QUEUE * 2).for_each(|_| tails.send(Level::Info, "x\n"));
        assert_eq!(std::iter::from_fn(|| all.next(now)).count(), QUEUE);
        drop((all, worst));
        tails.send(Level::Error, "x\n");
        assert_eq!(tails.count.load(Relaxed), 0);
    }
}
