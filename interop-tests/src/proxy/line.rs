//! One direction of a connection: what goes in comes out in order, later and not too fast.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The limit of one direction of a link, which all its connections share.
pub struct Pace {
    /// Bytes a second.
    rate: Option<u64>,
    /// When everything handed over so far has left.
    free: Mutex<Instant>,
}

impl Pace {
    /// A limit of so many bytes a second, or none.
    pub fn new(rate: Option<u64>) -> Self {
        Self {
            rate,
            free: Mutex::new(Instant::now()),
        }
    }

    /// Whether there is a limit.
    pub fn is_limited(&self) -> bool {
        self.rate.is_some()
    }

    /// When the last of `length` bytes has left if they are handed over now.
    fn leave(&self, length: usize) -> Instant {
        let now = Instant::now();
        let Some(rate) = self.rate else {
            return now;
        };
        let mut free = lock(&self.free);
        let takes = Duration::from_secs_f64(length as f64 / rate as f64);
        *free = now.max(*free) + takes;
        *free
    }
}

/// A bounded queue whose items come out when they are due.
pub struct Line<T> {
    pace: Arc<Pace>,
    delay: Duration,
    room: usize,
    queue: Mutex<Queue<T>>,
    filled: Condvar,
    drained: Condvar,
}

struct Queue<T> {
    items: VecDeque<(Instant, usize, T)>,
    bytes: usize,
    closed: bool,
}

impl<T> Line<T> {
    /// A line that holds `room` bytes.
    pub fn new(pace: Arc<Pace>, delay: Duration, room: usize) -> Self {
        Self {
            pace,
            delay,
            room,
            queue: Mutex::new(Queue {
                items: VecDeque::new(),
                bytes: 0,
                closed: false,
            }),
            filled: Condvar::new(),
            drained: Condvar::new(),
        }
    }

    /// Puts an item of `length` bytes in when there is room; `false` when the line is closed.
    pub fn push(&self, length: usize, item: T) -> bool {
        let mut queue = lock(&self.queue);
        while !queue.closed && !self.fits(&queue, length) {
            queue = self
                .drained
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.put(queue, length, item)
    }

    /// Puts an item of `length` bytes in if there is room now.
    pub fn offer(&self, length: usize, item: T) -> bool {
        let queue = lock(&self.queue);
        self.fits(&queue, length) && self.put(queue, length, item)
    }

    fn fits(&self, queue: &Queue<T>, length: usize) -> bool {
        queue.items.is_empty() || queue.bytes + length <= self.room
    }

    fn put(&self, mut queue: MutexGuard<'_, Queue<T>>, length: usize, item: T) -> bool {
        if queue.closed {
            return false;
        }
        let due = self.pace.leave(length) + self.delay;
        queue.bytes += length;
        queue.items.push_back((due, length, item));
        if queue.items.len() == 1 {
            self.filled.notify_one();
        }
        true
    }

    /// The next item when it is due; none when the line is closed.
    pub fn pull(&self) -> Option<T> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.closed {
                return None;
            }
            let Some((due, _, _)) = queue.items.front() else {
                queue = self
                    .filled
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let early = due.saturating_duration_since(Instant::now());
            if early.is_zero() {
                break;
            }
            // Only one thread takes items out, so this one stays the first.
            drop(queue);
            std::thread::sleep(early);
            queue = lock(&self.queue);
        }
        let (_, length, item) = queue.items.pop_front()?;
        queue.bytes -= length;
        self.drained.notify_one();
        Some(item)
    }

    /// Ends the line at once; what is in it is lost.
    pub fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        queue.items.clear();
        queue.bytes = 0;
        self.filled.notify_all();
        self.drained.notify_all();
    }
}

/// The lock, also after a panic in another thread: every state of the queue is valid.
fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(rate: Option<u64>, delay: u64, room: usize) -> Line<u32> {
        Line::new(
            Arc::new(Pace::new(rate)),
            Duration::from_millis(delay),
            room,
        )
    }

    #[test]
    fn items_come_out_in_order_and_late() {
        let line = line(None, 20, 100);
        let start = Instant::now();
        assert!(line.push(10, 1) && line.push(10, 2));
        assert_eq!((line.pull(), line.pull()), (Some(1), Some(2)));
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_full_line_takes_no_more() {
        let line = line(None, 0, 100);
        assert!(line.offer(60, 1));
        assert!(!line.offer(60, 2));
        assert_eq!(line.pull(), Some(1));
        assert!(line.offer(60, 3));
        assert_eq!(line.pull(), Some(3));
        assert!(line.offer(1000, 4), "an item larger than the line");
    }

    #[test]
    fn a_rate_is_kept() {
        let line = line(Some(100_000), 0, 100_000);
        let start = Instant::now();
        for item in 0..10 {
            assert!(line.push(1_000, item));
        }
        for item in 0..10 {
            assert_eq!(line.pull(), Some(item));
        }
        assert!(start.elapsed() >= Duration::from_millis(100));
    }

    #[test]
    fn a_closed_line_wakes_everybody() {
        let line = line(None, 0, 100);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| line.pull());
            std::thread::sleep(Duration::from_millis(10));
            line.close();
            assert_eq!(waiting.join().unwrap(), None);
        });
        assert!(!line.push(1, 1));
    }
}
