//! What goes over the streams of all connections: bytes counted for the node, each peer and each protocol.
//!
//! Counted is what streams carry, negotiation included, as Kubo does: without the overhead of encryption, multiplexing
//! and QUIC's packets. The limits of bandwidth are for the same bytes. What a relayed connection carries is in the total once, with the connection to the relay.

mod muxer;
mod negotiation;
mod open;
mod pace;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libp2p::PeerId;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

pub use muxer::Metered;
pub use open::{ByConnection, OpenStreams};
use pace::Limit;

use super::limits::BandwidthLimits;

/// Peers without a connection are remembered for this long after their last byte (Kubo's value), and so many of them.
const KEPT_FOR: Duration = Duration::from_secs(3600);
const KEPT_MAX: usize = 1024;

/// Protocols counted by name; there are some thirty, and those of tunnels.
const PROTOCOLS_MAX: usize = 1024;

/// A rate below this is none.
const RATE_MIN: f64 = 1e-3;

/// Bytes that went each way, and how fast they go.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bandwidth {
    /// Bytes received.
    pub total_in: u64,
    /// Bytes sent.
    pub total_out: u64,
    /// Bytes received in a second, of late.
    pub rate_in: f64,
    /// Bytes sent in a second, of late.
    pub rate_out: f64,
}

/// Open streams each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// Opened by peers.
    pub inbound: u32,
    /// Opened by this node.
    pub outbound: u32,
}

/// Counts of one peer, one protocol or everything.
#[derive(Default)]
pub struct Meter {
    received: AtomicU64,
    sent: AtomicU64,
    inbound: AtomicU32,
    outbound: AtomicU32,
    pace: Mutex<Pace>,
}

/// The moving average, over about a second.
#[derive(Default)]
struct Pace {
    seen_in: u64,
    seen_out: u64,
    rate_in: f64,
    rate_out: f64,
    active: Option<Instant>,
}

impl Meter {
    fn add_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    fn add_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    fn open(&self, inbound: bool) -> &AtomicU32 {
        if inbound {
            &self.inbound
        } else {
            &self.outbound
        }
    }

    fn bandwidth(&self) -> Bandwidth {
        let pace = self.pace.lock();
        Bandwidth {
            total_in: self.received.load(Ordering::Relaxed),
            total_out: self.sent.load(Ordering::Relaxed),
            rate_in: pace.rate_in,
            rate_out: pace.rate_out,
        }
    }

    fn streams(&self) -> Streams {
        Streams {
            inbound: self.inbound.load(Ordering::Relaxed),
            outbound: self.outbound.load(Ordering::Relaxed),
        }
    }

    fn tick(&self, now: Instant, passed: Duration) {
        let (received, sent) = (
            self.received.load(Ordering::Relaxed),
            self.sent.load(Ordering::Relaxed),
        );
        let mut pace = self.pace.lock();
        let (new_in, new_out) = (received - pace.seen_in, sent - pace.seen_out);
        if new_in + new_out > 0 || pace.active.is_none() {
            pace.active = Some(now);
        }
        let seconds = passed.as_secs_f64();
        let share = 1.0 - (-seconds).exp();
        let next = |rate: f64, new: u64| {
            let next = rate + share * (new as f64 / seconds - rate);
            if next < RATE_MIN { 0.0 } else { next }
        };
        pace.rate_in = next(pace.rate_in, new_in);
        pace.rate_out = next(pace.rate_out, new_out);
        (pace.seen_in, pace.seen_out) = (received, sent);
    }
}

/// Every meter of a node.
pub struct Traffic {
    /// `false` where `Swarm.DisableBandwidthMetrics` says so: only open streams are counted then.
    told: bool,
    /// `Swarm.Bandwidth.Up` and `Down`.
    up: Option<Limit>,
    down: Option<Limit>,
    total: Arc<Meter>,
    peers: Mutex<FxHashMap<PeerId, Arc<Meter>>>,
    protocols: Mutex<FxHashMap<Box<str>, Arc<Meter>>>,
    /// What the streams of each connection speak.
    pub open: ByConnection,
    ticked: Mutex<Instant>,
}

impl Traffic {
    /// Nothing counted yet. With limits, inside a tokio runtime.
    pub fn new(told: bool, limits: BandwidthLimits, now: Instant) -> Self {
        Self {
            told,
            up: limits.up.map(Limit::start),
            down: limits.down.map(Limit::start),
            total: Arc::default(),
            peers: Mutex::default(),
            protocols: Mutex::default(),
            open: ByConnection::default(),
            ticked: Mutex::new(now),
        }
    }

    /// Whether bytes are told.
    pub fn is_told(&self) -> bool {
        self.told
    }

    /// Everything.
    pub fn total(&self) -> Bandwidth {
        self.total.bandwidth()
    }

    /// What went to and came from a peer; nothing when it is not known.
    pub fn of_peer(&self, peer: &PeerId) -> Bandwidth {
        let peers = self.peers.lock();
        peers
            .get(peer)
            .map(|meter| meter.bandwidth())
            .unwrap_or_default()
    }

    /// What streams of a protocol carried; nothing when there was none.
    pub fn of_protocol(&self, name: &str) -> Bandwidth {
        let protocols = self.protocols.lock();
        protocols
            .get(name)
            .map(|meter| meter.bandwidth())
            .unwrap_or_default()
    }

    /// Open streams of all connections.
    pub fn streams(&self) -> Streams {
        self.total.streams()
    }

    /// Open streams of each peer that has any.
    pub fn streams_by_peer(&self) -> Vec<(PeerId, Streams)> {
        let peers = self.peers.lock();
        let open = peers.iter().map(|(peer, meter)| (*peer, meter.streams()));
        open.filter(|(_, open)| *open != Streams::default())
            .collect()
    }

    /// Open streams of each protocol that has any.
    pub fn streams_by_protocol(&self) -> Vec<(String, Streams)> {
        let protocols = self.protocols.lock();
        let open = protocols
            .iter()
            .map(|(name, meter)| (name.to_string(), meter.streams()));
        open.filter(|(_, open)| *open != Streams::default())
            .collect()
    }

    /// Takes the rates anew, and forgets peers that are long gone. To be called about once a second.
    pub fn tick(&self, now: Instant) {
        let passed = {
            let mut ticked = self.ticked.lock();
            let passed = now.saturating_duration_since(*ticked);
            if passed.is_zero() {
                return;
            }
            *ticked = now;
            passed
        };
        self.total.tick(now, passed);
        for meter in self.protocols.lock().values() {
            meter.tick(now, passed);
        }
        self.peers.lock().retain(|_, meter| {
            meter.tick(now, passed);
            let last = meter.pace.lock().active;
            Arc::strong_count(meter) > 1
                || last.is_some_and(|last| now.saturating_duration_since(last) < KEPT_FOR)
        });
    }

    /// The meter of a peer that is being connected.
    fn peer(&self, peer: PeerId) -> Arc<Meter> {
        let mut peers = self.peers.lock();
        if !peers.contains_key(&peer) {
            let gone = peers
                .values()
                .filter(|meter| Arc::strong_count(meter) == 1)
                .count();
            if gone >= KEPT_MAX {
                peers.retain(|_, meter| Arc::strong_count(meter) > 1);
            }
        }
        Arc::clone(peers.entry(peer).or_default())
    }

    /// The meter of a protocol that a stream has agreed on; `None` when there are too many.
    fn protocol(&self, name: &str) -> Option<Arc<Meter>> {
        let mut protocols = self.protocols.lock();
        if let Some(meter) = protocols.get(name) {
            return Some(Arc::clone(meter));
        }
        if protocols.len() >= PROTOCOLS_MAX {
            return None;
        }
        let meter = Arc::<Meter>::default();
        protocols.insert(name.into(), Arc::clone(&meter));
        Some(meter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_follows_what_goes_and_falls_to_nothing() {
        let start = Instant::now();
        let traffic = Traffic::new(true, BandwidthLimits::default(), start);
        let peer = traffic.peer(PeerId::random());
        let second = Duration::from_secs(1);
        for n in 1..=20 {
            traffic.total.add_received(1000);
            peer.add_sent(7);
            traffic.tick(start + n * second);
        }
        let total = traffic.total();
        assert_eq!((total.total_in, total.total_out), (20_000, 0));
        assert!((total.rate_in - 1000.0).abs() < 1.0, "{total:?}");
        assert!((peer.bandwidth().rate_out - 7.0).abs() < 0.1);
        for n in 21..=60 {
            traffic.tick(start + n * second);
        }
        assert_eq!(traffic.total().rate_in, 0.0);
        assert_eq!(traffic.total().total_in, 20_000);
    }

    #[test]
    fn peers_and_protocols_are_bounded_and_connected_ones_stay() {
        let start = Instant::now();
        let traffic = Traffic::new(true, BandwidthLimits::default(), start);
        let connected = PeerId::random();
        let meter = traffic.peer(connected);
        meter.add_received(5);
        for _ in 0..5 * KEPT_MAX {
            traffic.peer(PeerId::random());
        }
        assert!(traffic.peers.lock().len() <= KEPT_MAX + 1);
        traffic.tick(start + Duration::from_secs(1));
        traffic.tick(start + Duration::from_secs(1) + KEPT_FOR);
        assert_eq!(traffic.peers.lock().len(), 1, "only the connected one");
        assert_eq!(traffic.of_peer(&connected).total_in, 5);
        for n in 0..2 * PROTOCOLS_MAX {
            traffic.protocol(&format!("/x/{n}"));
        }
        assert_eq!(traffic.protocols.lock().len(), PROTOCOLS_MAX);
        assert!(traffic.protocol("/x/0").is_some());
        assert!(traffic.protocol("/y").is_none());
    }
}
