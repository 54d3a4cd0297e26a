//! Regions of the key space whose peers are all known, and which of them a key belongs to. No IO.
//!
//! A lookup gives the [`CLOSEST`] peers closest to a key. If the farthest of them has `n` bits in common with the key, every
//! peer that has more than `n` is among them: so much of the space is explored. All of them have `n`, which makes the
//! prefix of `n` bits a region with enough peers of its own; what of it is not explored yet takes one or a few lookups
//! more. From then on any number of keys in the region is given to exactly the peers that a lookup for each would give.

use rustc_hash::FxHashMap;

use super::keyspace::{BITS, Key, Prefix, SEARCH_BITS_MAX};

/// Peers that keep one key, and that a lookup gives (the DHT's replication).
pub const CLOSEST: usize = 20;

/// Peers and lookups of one region at most: who answers with invented peers nearby ends it, not us.
const PEERS_MAX: usize = 1024;
const LOOKUPS_MAX: usize = 64;

/// Explores the region around a key.
#[derive(Debug)]
pub struct Explorer<T> {
    start: Key,
    region: Option<Prefix>,
    explored: Vec<Prefix>,
    peers: Vec<(Key, T)>,
    /// What was tried to be explored by now.
    lookups: usize,
}

/// Where to look next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// At the key that the explorer began with.
    Start(Key),
    /// At any key that begins so.
    Within(Prefix),
}

impl<T: Clone> Explorer<T> {
    /// Begins at a key.
    pub fn new(start: Key) -> Self {
        Self {
            start,
            region: None,
            explored: Vec::new(),
            peers: Vec::new(),
            lookups: 0,
        }
    }

    /// The next lookup; `None` when the region is explored.
    pub fn target(&self) -> Option<Target> {
        let Some(region) = self.region else {
            return Some(Target::Start(self.start));
        };
        if self.lookups >= LOOKUPS_MAX || self.peers.len() >= PEERS_MAX {
            return None;
        }
        self.gap(region).map(Target::Within)
    }

    /// The first part of a prefix that is not explored.
    fn gap(&self, prefix: Prefix) -> Option<Prefix> {
        if self.explored.iter().any(|done| done.covers(prefix)) || prefix.bits() > SEARCH_BITS_MAX {
            return None;
        }
        if !self.explored.iter().any(|done| prefix.covers(*done)) {
            return Some(prefix);
        }
        let gap = self.gap(prefix.half(false));
        gap.or_else(|| self.gap(prefix.half(true)))
    }

    /// The peers closest to `key` were found: fewer than [`CLOSEST`] are all that there are.
    pub fn handle_found(&mut self, key: Key, found: Vec<(Key, T)>) {
        self.lookups += 1;
        let mut found = found;
        found.sort_by_key(|(peer, _)| key.distance(*peer));
        found.dedup_by_key(|(peer, _)| *peer);
        found.truncate(CLOSEST);
        let farthest = found.last().filter(|_| found.len() == CLOSEST);
        let bits = farthest.map(|(peer, _)| key.common(*peer));
        let explored = bits.map_or(Prefix::ALL, |bits| Prefix::of(key, bits + 1));
        if self.region.is_none() {
            self.region = Some(bits.map_or(Prefix::ALL, |bits| Prefix::of(key, bits)));
        }
        self.explored.push(explored);
        let known: rustc_hash::FxHashSet<Key> = self.peers.iter().map(|(key, _)| *key).collect();
        let new = found.into_iter().filter(|(peer, _)| !known.contains(peer));
        self.peers.extend(new);
    }

    /// The region's prefix, once the first lookup is done.
    pub fn prefix(&self) -> Option<Prefix> {
        self.region
    }

    /// What was found so far, for the key that it began with alone.
    pub fn finish_early(self) -> Region<T> {
        Region {
            prefix: Prefix::of(self.start, BITS),
            peers: self.peers,
        }
    }

    /// What was found, whole or not.
    pub fn finish(self) -> Region<T> {
        Region {
            prefix: self.region.unwrap_or(Prefix::of(self.start, BITS)),
            peers: self.peers,
        }
    }
}

/// A region with its peers and some around it.
#[derive(Clone, Debug)]
pub struct Region<T> {
    prefix: Prefix,
    peers: Vec<(Key, T)>,
}

impl<T: Clone> Region<T> {
    /// The keys that it is about.
    pub fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// Its peers.
    pub fn peers(&self) -> &[(Key, T)] {
        &self.peers
    }

    /// The [`CLOSEST`] peers of a key, by their place in [`Region::peers`], in no order.
    pub fn closest(&self, key: Key) -> Vec<usize> {
        let distances = self.peers.iter().map(|(peer, _)| key.distance(*peer));
        let mut order: Vec<([u8; 32], usize)> = distances.zip(0..).collect();
        if order.len() > CLOSEST {
            order.select_nth_unstable(CLOSEST - 1);
            order.truncate(CLOSEST);
        }
        order.into_iter().map(|(_, peer)| peer).collect()
    }

    /// Which of these keys each peer gets: places in [`Region::peers`], and in `keys`.
    pub fn batches(&self, keys: &[Key]) -> Vec<(usize, Vec<usize>)> {
        let mut batches: FxHashMap<usize, Vec<usize>> = FxHashMap::default();
        for (at, key) in keys.iter().enumerate() {
            for peer in self.closest(*key) {
                batches.entry(peer).or_default().push(at);
            }
        }
        let mut batches: Vec<_> = batches.into_iter().collect();
        batches.sort_unstable_by_key(|(peer, _)| *peer);
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A network whose lookups are right.
    struct Network(Vec<Key>);

    impl Network {
        fn new(size: usize, seed: u64) -> Self {
            let peer =
                |at: usize| Key::of(&[seed.to_be_bytes(), (at as u64).to_be_bytes()].concat());
            Self((0..size).map(peer).collect())
        }

        fn closest(&self, key: Key) -> Vec<(Key, ())> {
            let mut peers: Vec<_> = self
                .0
                .iter()
                .map(|peer| (key.distance(*peer), *peer))
                .collect();
            if peers.len() > CLOSEST {
                peers.select_nth_unstable(CLOSEST);
                peers.truncate(CLOSEST);
            }
            peers.sort();
            peers.into_iter().map(|(_, peer)| (peer, ())).collect()
        }

        fn explore(&self, start: Key, seed: u64) -> (Region<()>, usize) {
            let mut explorer = Explorer::new(start);
            let mut lookups = 0;
            while let Some(target) = explorer.target() {
                let key = match target {
                    Target::Start(key) => key,
                    Target::Within(prefix) => Key::of(&prefix.preimage(seed).unwrap()),
                };
                explorer.handle_found(key, self.closest(key));
                lookups += 1;
            }
            (explorer.finish(), lookups)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// The point of it all: no key of the region is given to other peers than its own lookup would give.
        #[test]
        fn every_key_of_a_region_has_its_own_closest_peers(
            size in 1_usize..3000, seed in any::<u64>(), start in any::<[u8; 32]>(),
        ) {
            let network = Network::new(size, seed);
            let (region, lookups) = network.explore(Key(start), seed);
            prop_assert!(region.prefix().has(Key(start)));
            prop_assert!(lookups <= 16, "{lookups}");
            for other in 0..20_u64 {
                let mut key = Key::of(&other.to_be_bytes());
                // Moved into the region.
                for bit in 0..region.prefix().bits() {
                    if key.bit(bit) != Key(start).bit(bit) {
                        key.0[usize::from(bit / 8)] ^= 0x80 >> (bit % 8);
                    }
                }
                prop_assert!(region.prefix().has(key));
                let mut found: Vec<Key> =
                    region.closest(key).into_iter().map(|at| region.peers()[at].0).collect();
                found.sort_by_key(|peer| key.distance(*peer));
                let right: Vec<Key> = network.closest(key).into_iter().map(|(peer, ())| peer).collect();
                prop_assert_eq!(found, right);
            }
        }

        #[test]
        fn whatever_peers_answer_exploring_ends(
            answers in prop::collection::vec(prop::collection::vec(any::<[u8; 32]>(), 0..25), 1..20),
            start in any::<[u8; 32]>(),
        ) {
            let mut explorer = Explorer::new(Key(start));
            let mut lookups = 0;
            while let Some(target) = explorer.target() {
                let key = match target {
                    Target::Start(key) => key,
                    Target::Within(prefix) => prefix.first(),
                };
                let answer = answers[lookups % answers.len()].iter().map(|peer| (Key(*peer), ()));
                explorer.handle_found(key, answer.collect());
                lookups += 1;
                prop_assert!(lookups <= LOOKUPS_MAX);
            }
        }
    }

    #[test]
    fn invented_peers_nearby_do_not_make_it_endless() {
        let start = Key::of(b"victim");
        let mut explorer = Explorer::new(start);
        let mut lookups = 0;
        while let Some(target) = explorer.target() {
            let key = match target {
                Target::Start(key) => key,
                Target::Within(prefix) => prefix.first(),
            };
            let near = (0..CLOSEST as u8).map(|last| {
                let mut peer = key;
                peer.0[31] ^= last + 1;
                (peer, ())
            });
            explorer.handle_found(key, near.collect());
            lookups += 1;
        }
        assert!(lookups <= LOOKUPS_MAX, "{lookups}");
        assert!(explorer.finish().peers().len() <= PEERS_MAX + CLOSEST);
    }

    #[test]
    fn a_sweep_over_ten_thousand_peers_takes_few_lookups() {
        let network = Network::new(10_000, 7);
        let (mut next, mut lookups, mut regions) = (Some(Key::ZERO), 0, 0);
        while let Some(key) = next {
            let (region, took) = network.explore(key, 1);
            lookups += took;
            regions += 1;
            next = region.prefix().last().next();
        }
        assert!(lookups < 3000, "{lookups} lookups, {regions} regions");
    }

    #[test]
    fn batches_give_every_key_to_twenty_peers() {
        let network = Network::new(50, 3);
        let (region, _) = network.explore(Key::of(b"x"), 0);
        let keys: Vec<Key> = (0..100_u8).map(|at| Key::of(&[at])).collect();
        let batches = region.batches(&keys);
        let mut counts = vec![0; keys.len()];
        for (_, batch) in &batches {
            batch.iter().for_each(|at| counts[*at] += 1);
        }
        assert!(counts.iter().all(|count| *count == CLOSEST), "{counts:?}");
    }
}
