//! When which part of the key space is announced again. No IO, no clock: times are seconds since 1970.
//!
//! A lap goes over the key space once, in the order of keys, at an even pace: it takes the interval. So the time at which
//! a key is due follows from where it lies and from one key whose time is known; that pair is all there is to keep over
//! restarts. A node that has announced nothing for too long makes a rush: a lap as fast as it can.

use std::ops::Range;
use std::time::Duration;

use super::keyspace::Key;

/// How long records last with others. Two announcements of one key must never lie so far apart.
const VALIDITY: u64 = 48 * 3600;

/// What is kept over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Keys before it are done in this lap.
    pub next: Key,
    /// When `next` is due.
    pub due: u64,
    /// Everything is due at once.
    pub rush: bool,
    /// When the lap began.
    pub began: u64,
}

/// The pace of announcing.
#[derive(Clone, Debug)]
pub struct Schedule {
    interval: u64,
    position: Position,
}

impl Schedule {
    /// Goes on where a node stopped, or begins.
    pub fn new(interval: Duration, kept: Option<Position>, now: u64) -> Self {
        let interval = interval.as_secs().max(1);
        let rush = Position {
            next: Key::ZERO,
            due: now,
            rush: true,
            began: now,
        };
        let position = match kept {
            // A whole lap was missed: where it stopped is of no matter.
            Some(kept) if !kept.rush && kept.due.saturating_add(interval) < now => rush,
            Some(kept) => Position {
                // The clock was set back, or the interval is shorter now.
                due: kept.due.min(now.saturating_add(interval)),
                ..kept
            },
            None => rush,
        };
        Self { interval, position }
    }

    /// What is to be kept.
    pub fn position(&self) -> Position {
        self.position
    }

    /// When a key that is not done yet in this lap is due.
    pub fn due(&self, key: Key) -> u64 {
        if self.position.rush {
            return self.position.due;
        }
        let ahead = key.fraction().saturating_sub(self.position.next.fraction());
        self.position.due + self.span(ahead)
    }

    /// The time for a part of the key space.
    fn span(&self, fraction: u64) -> u64 {
        ((u128::from(fraction) * u128::from(self.interval)) >> 64) as u64
    }

    /// How many of these keys, which are in order, are due.
    pub fn due_now(&self, keys: impl Iterator<Item = Key>, now: u64) -> usize {
        keys.take_while(|key| self.due(*key) <= now).count()
    }

    /// Everything up to this key is done.
    pub fn handle_done(&mut self, last: Key, now: u64) {
        match last.next() {
            Some(next) => {
                self.position.due = self.due(next);
                self.position.next = next;
            }
            None => self.handle_end(now),
        }
    }

    /// Nothing is left in this lap.
    pub fn handle_end(&mut self, now: u64) {
        let due = if self.position.rush {
            // Announced just now, and due again in order: half an interval later, where records last long enough.
            let wait = self.interval / 2;
            let lasts = self.interval + wait + self.interval / 2 < VALIDITY;
            now + if lasts { wait } else { 0 }
        } else {
            let left = u64::MAX - self.position.next.fraction();
            self.position.due + self.span(left)
        };
        self.position = Position {
            next: Key::ZERO,
            due,
            rush: false,
            began: now,
        };
    }

    /// Everything is due now.
    pub fn rush(&mut self, now: u64) {
        self.position = Position {
            next: Key::ZERO,
            due: now,
            rush: true,
            began: now,
        };
    }
}

/// Cuts `count` keys into shares for at most `workers`; a share is no smaller than `least`, but the only one.
pub fn shares(count: usize, workers: usize, least: usize) -> Vec<Range<usize>> {
    let shares = (count / least.max(1)).clamp(1, workers.max(1));
    (0..shares)
        .map(|share| share * count / shares..(share + 1) * count / shares)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3600;
    const INTERVAL: Duration = Duration::from_secs(22 * HOUR);
    const START: u64 = 1_000_000_000;

    fn key(hundredths: u64) -> Key {
        let mut key = Key::ZERO;
        key.0[..8].copy_from_slice(&(u64::MAX / 100 * hundredths).to_be_bytes());
        key
    }

    #[test]
    fn a_new_node_hurries_once_and_then_keeps_the_pace() {
        let mut schedule = Schedule::new(INTERVAL, None, START);
        let keys = [key(10), key(50), key(90)];
        assert_eq!(schedule.due_now(keys.into_iter(), START), 3);
        schedule.handle_done(keys[2], START + 60);
        schedule.handle_end(START + 60);
        assert_eq!(schedule.due_now(keys.into_iter(), START + 120), 0);
        let due = schedule.due(key(50)) - START;
        assert!(due > 20 * HOUR && due < 24 * HOUR, "{due}");
    }

    #[test]
    fn a_restart_goes_on_where_it_was_and_a_long_absence_begins_anew() {
        let mut schedule = Schedule::new(INTERVAL, None, START);
        schedule.handle_end(START);
        schedule.handle_done(key(40), START);
        let kept = schedule.position();
        let later = START + 21 * HOUR;
        let again = Schedule::new(INTERVAL, Some(kept), later);
        assert_eq!(again.position(), kept);
        assert_eq!(again.due_now([key(41), key(90)].into_iter(), later), 1);
        let late = Schedule::new(INTERVAL, Some(kept), START + 100 * HOUR).position();
        assert!(late.rush && late.next == Key::ZERO);
        let back = Schedule::new(INTERVAL, Some(kept), START - 1000 * HOUR);
        assert!(back.due(key(41)) <= START - 1000 * HOUR + 24 * HOUR);
        let mut rushing = Schedule::new(INTERVAL, None, START);
        rushing.handle_done(key(40), START);
        let kept = rushing.position();
        let again = Schedule::new(INTERVAL, Some(kept), START + 9 * HOUR).position();
        assert!(again.rush && again.next == kept.next);
    }

    proptest! {
        /// No record of a node that runs is forgotten by the network, wherever its key lies and however keys are cut into
        /// regions.
        #[test]
        fn no_two_announcements_of_a_key_lie_too_far_apart(
            interval in 600_u64..=22 * HOUR, bits in 0_u16..10, place in any::<[u8; 32]>(), others in 1_usize..40,
        ) {
            use crate::provide::keyspace::Prefix;
            let mut keys: Vec<Key> = (0..others as u64).map(|at| Key::of(&at.to_be_bytes())).collect();
            keys.push(Key(place));
            keys.sort();
            let mut schedule = Schedule::new(Duration::from_secs(interval), None, START);
            let (mut now, mut last) = (START, START);
            for _ in 0..4 {
                let mut at = 0;
                while at < keys.len() {
                    now = now.max(schedule.due(keys[at]));
                    let region = Prefix::of(keys[at], bits).last();
                    if keys[at] <= Key(place) && Key(place) <= region {
                        prop_assert!(now - last <= 2 * interval + 2, "{}", now - last);
                        last = now;
                    }
                    at += keys[at..].iter().take_while(|key| **key <= region).count();
                    schedule.handle_done(region, now);
                    if schedule.position().next == Key::ZERO { break; }
                }
                if schedule.position().next != Key::ZERO { schedule.handle_end(now); }
            }
            prop_assert!(now - START <= 5 * interval);
        }

        #[test]
        fn shares_are_all_there_is_and_in_order(count in 0_usize..100_000, workers in 0_usize..40) {
            let shares = shares(count, workers, 1024);
            prop_assert!(shares.len() <= workers.max(1));
            prop_assert_eq!(shares[0].start, 0);
            prop_assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
            prop_assert_eq!(shares[shares.len() - 1].end, count);
            prop_assert!(shares.len() == 1 || shares.iter().all(|share| share.len() >= 1024));
        }
    }
}
