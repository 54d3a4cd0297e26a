//! The disk behind the store: what has changed is handed to it in batches, and what it has is taken after a start.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use libp2p::kad::{Record, RecordKey};

use super::super::disk::{Change, Loaded, Side};
use super::{ENTRY_BYTES, Records};

/// Parts of what the disk has read that are taken at once: the swarm waits meanwhile.
const LOADED_AT_ONCE: usize = 4;

/// Bytes of changes that wait for the disk. What does not fit is kept in memory only.
const CHANGES_MAX: usize = 8 << 20;

/// Changes are handed to the disk when they are so many bytes or so old.
const CHANGES_FULL: usize = 1 << 20;
const CHANGES_AGE: Duration = Duration::from_secs(30);

impl Records {
    pub(super) fn change(&mut self, change: Change) {
        let bytes = ENTRY_BYTES + change.payload();
        if self.change_bytes + bytes <= CHANGES_MAX {
            self.change_bytes += bytes;
            self.changes.push(change);
            self.changed.get_or_insert_with(Instant::now);
        }
    }

    /// Takes what the disk has read, and hands it what has changed. To be called every second or so.
    pub fn tend_disk(&mut self, now: Instant) {
        for _ in 0..LOADED_AT_ONCE {
            if let Some(loaded) = self.disk.as_ref().and_then(Side::poll_loaded) {
                self.handle_loaded(loaded, now);
            }
        }
        let due = self.change_bytes >= CHANGES_FULL
            || self
                .changed
                .is_some_and(|since| now.saturating_duration_since(since) >= CHANGES_AGE);
        if due {
            self.flush();
        }
    }

    /// Hands all changes to the disk, if it can take them now.
    pub fn flush(&mut self) {
        if let Some(disk) = &self.disk
            && !self.changes.is_empty()
        {
            self.changes = disk.write(std::mem::take(&mut self.changes));
            if self.changes.is_empty() {
                (self.changed, self.change_bytes) = (None, 0);
            }
        }
    }

    /// What was kept before the node started; newer things that came meanwhile stay.
    fn handle_loaded(&mut self, loaded: Loaded, now: Instant) {
        let disk = self.disk.take();
        for (key, peer, expires) in loaded.providers {
            let Some(expires) = instant(expires, now) else {
                continue;
            };
            let key = RecordKey::from(key);
            let known = self.keys.get(&self.distance(&key));
            let known =
                known.is_some_and(|held| held.providers.iter().any(|(held, _)| *held == peer));
            if !known && peer != self.local {
                // What does not fit any more is dropped.
                let _ = self.insert_provider(key, peer, expires);
            }
        }
        for (peer, addresses) in loaded.publishers {
            if self
                .publishers
                .get(&peer)
                .is_some_and(|peer| peer.addresses.is_empty())
            {
                self.learn(peer, addresses);
            }
        }
        for (key, value, source, expires) in loaded.values {
            let expires = match expires {
                Some(expires) => match instant(expires, now) {
                    Some(expires) => Some(expires),
                    None => continue,
                },
                None => None,
            };
            let record = Record {
                key: RecordKey::from(key),
                value,
                publisher: None,
                expires,
            };
            if !self.values.contains_key(&self.distance(&record.key)) {
                let _ = self.insert_value(source, record);
            }
        }
        self.disk = disk;
    }
}

/// Seconds since 1970 of a moment, for the disk.
pub(super) fn unix(moment: Instant) -> u64 {
    let left = moment.saturating_duration_since(Instant::now());
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().saturating_add(left).as_secs()
}

/// The moment, unless it is over. A clock that was set back makes no record last longer than it would have at first.
fn instant(unix: u64, now: Instant) -> Option<Instant> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let left = unix.checked_sub(since.unwrap_or_default().as_secs())?;
    let left = Duration::from_secs(left).min(super::super::PROVIDER_TTL);
    (!left.is_zero()).then(|| now + left)
}
