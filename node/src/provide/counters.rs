//! What announcing has done in one DHT, for whoever watches.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

/// Counts since the node went online; the last few are of this moment.
#[derive(Debug, Default)]
pub struct Counters {
    /// Lookups.
    pub lookups: AtomicU64,
    /// Messages that peers took.
    pub records: AtomicU64,
    /// Keys that at least one peer took.
    pub keys: AtomicU64,
    /// Keys that none took.
    pub failed: AtomicU64,
    /// Keys and milliseconds of workers, for what is due and for what was asked for.
    pub pace: [(AtomicU64, AtomicU64); 2],
    /// Regions done.
    pub regions: AtomicU64,
    /// Milliseconds that these took.
    pub region_millis: AtomicU64,
    /// Peers of these regions.
    pub peers: AtomicU64,
    /// Bits of their prefixes.
    pub bits: AtomicU64,
    /// Keys of these regions.
    pub region_keys: AtomicU64,
    /// The last lap that ended, and this one.
    pub laps: Mutex<(Option<LapCounts>, LapCounts)>,
    /// Workers that do what is due, at this moment.
    pub periodic: Gauge,
    /// Workers that do what was asked for, at this moment.
    pub burst: Gauge,
    /// Keys that they have in work.
    pub periodic_keys: Gauge,
    /// Keys that they have in work.
    pub burst_keys: Gauge,
}

/// What one lap came by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LapCounts {
    /// Regions.
    pub regions: u64,
    /// Peers of these regions.
    pub peers: u64,
    /// Of these, those that took what they were told.
    pub reached: u64,
}

/// Adds, and gives the count before.
pub fn count(counter: &AtomicU64, more: usize) -> u64 {
    counter.fetch_add(more as u64, Relaxed)
}

/// A count that goes down again.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Counts while the answer lives.
    pub fn hold(&self, count: usize) -> Held<'_> {
        self.0.fetch_add(count as u64, Relaxed);
        Held(&self.0, count as u64)
    }

    /// The count at this moment.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What [`Gauge::hold`] counts.
pub struct Held<'a>(&'a AtomicU64, u64);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Relaxed);
    }
}

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Lookups.
    pub lookups: u64,
    /// Messages that peers took.
    pub records: u64,
    /// Keys that at least one peer took.
    pub keys: u64,
    /// Keys that none took.
    pub failed: u64,
    /// The last lap that ended, or else the first one so far.
    pub lap: LapCounts,
    /// Whether a lap has ended.
    pub whole_lap: bool,
    /// Average bits of a region's prefix, peers in it, keys in it, and the time it took.
    pub bits: Option<f64>,
    /// Average peers of a region.
    pub region_peers: f64,
    /// Average keys of a region.
    pub region_keys: f64,
    /// Average time for a region.
    pub region_time: Duration,
    /// Average peers that took one key.
    pub holders: f64,
    /// Keys in a minute of one worker's time, of what is due and of what was asked for.
    pub keys_per_minute: (f64, f64),
    /// Workers at this moment that do what is due, and what was asked for.
    pub active: (u64, u64),
    /// Keys that they have in work.
    pub ongoing: (u64, u64),
}

impl Counters {
    /// A lap ended.
    pub fn handle_lap(&self) {
        let mut laps = self.laps.lock();
        *laps = (Some(laps.1), LapCounts::default());
    }

    /// Reads them.
    pub fn counts(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        let per = |sum: u64, of: u64| if of == 0 { 0.0 } else { sum as f64 / of as f64 };
        let (regions, keys) = (get(&self.regions), get(&self.keys));
        let pace = |burst: usize| {
            let (keys, millis) = &self.pace[burst];
            60_000.0 * per(get(keys), get(millis))
        };
        let laps = *self.laps.lock();
        let region_millis = get(&self.region_millis);
        Counts {
            lookups: get(&self.lookups),
            records: get(&self.records),
            keys,
            failed: get(&self.failed),
            lap: laps.0.unwrap_or(laps.1),
            whole_lap: laps.0.is_some(),
            bits: (regions > 0).then(|| per(get(&self.bits), regions)),
            region_peers: per(get(&self.peers), regions),
            region_keys: per(get(&self.region_keys), regions),
            region_time: Duration::from_millis(region_millis.checked_div(regions).unwrap_or(0)),
            holders: per(get(&self.records), keys),
            keys_per_minute: (pace(0), pace(1)),
            active: (self.periodic.get(), self.burst.get()),
            ongoing: (self.periodic_keys.get(), self.burst_keys.get()),
        }
    }
}
