//! The key space of the DHTs: 256 bits, a block or a peer lies at the SHA-256 of its multihash or id. No IO.

use ipfs_kit_blockstore::hash::HashSpec;

/// Bits of a key.
pub const BITS: u16 = 256;

/// Longest prefix that a key is searched for by trial, which takes 2^bits hashes: enough for millions of peers.
pub const SEARCH_BITS_MAX: u16 = 20;

/// A place in the key space. The order of keys is the order of the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 32]);

impl Key {
    /// The first key.
    pub const ZERO: Self = Self([0; 32]);

    /// The last key.
    pub const MAX: Self = Self([0xff; 32]);

    /// Where a multihash or a peer id lies.
    pub fn of(bytes: &[u8]) -> Self {
        let mut key = [0; 32];
        if let Ok(hash) = HashSpec::SHA2_256.digest(bytes) {
            key.copy_from_slice(hash.digest());
        }
        Self(key)
    }

    /// The bit at this place, the most significant one first.
    pub fn bit(self, at: u16) -> bool {
        let byte = self.0[usize::from(at / 8)];
        byte & (0x80 >> (at % 8)) != 0
    }

    /// How many leading bits two keys have in common.
    pub fn common(self, other: Self) -> u16 {
        let mut bits = 0;
        for (one, two) in self.0.iter().zip(other.0) {
            let differing = one ^ two;
            bits += differing.leading_zeros() as u16;
            if differing != 0 {
                break;
            }
        }
        bits
    }

    /// The Kademlia distance, to be compared.
    pub fn distance(self, other: Self) -> [u8; 32] {
        let mut distance = self.0;
        for (byte, other) in distance.iter_mut().zip(other.0) {
            *byte ^= other;
        }
        distance
    }

    /// The next key; `None` after the last.
    pub fn next(mut self) -> Option<Self> {
        for byte in self.0.iter_mut().rev() {
            let (next, over) = byte.overflowing_add(1);
            *byte = next;
            if !over {
                return Some(self);
            }
        }
        None
    }

    /// How far into the space it lies, in 2^-64 of it.
    pub fn fraction(self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(first)
    }
}

/// All keys that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The first of them.
    first: Key,
    bits: u16,
}

impl Prefix {
    /// Every key.
    pub const ALL: Self = Self {
        first: Key::ZERO,
        bits: 0,
    };

    /// The keys that have the first `bits` bits in common with `key`.
    pub fn of(key: Key, bits: u16) -> Self {
        let bits = bits.min(BITS);
        let mut first = key;
        for (at, byte) in first.0.iter_mut().enumerate() {
            let kept = bits.saturating_sub(at as u16 * 8).min(8);
            *byte &= !(0xff_u16 >> kept) as u8;
        }
        Self { first, bits }
    }

    /// Number of bits.
    pub fn bits(self) -> u16 {
        self.bits
    }

    /// The first key.
    #[cfg(test)]
    pub fn first(self) -> Key {
        self.first
    }

    /// The last key.
    #[cfg(test)]
    pub fn last(self) -> Key {
        let mut last = self.first;
        for (at, byte) in last.0.iter_mut().enumerate() {
            let kept = self.bits.saturating_sub(at as u16 * 8).min(8);
            *byte |= (0xff_u16 >> kept) as u8;
        }
        last
    }

    /// Whether a key begins so.
    pub fn has(self, key: Key) -> bool {
        self.first.common(key) >= self.bits
    }

    /// Whether all of another prefix lies in this one.
    pub fn covers(self, other: Self) -> bool {
        self.bits <= other.bits && self.has(other.first)
    }

    /// The half whose next bit is `bit`.
    pub fn half(self, bit: bool) -> Self {
        let mut first = self.first;
        if bit && self.bits < BITS {
            first.0[usize::from(self.bits / 8)] |= 0x80 >> (self.bits % 8);
        }
        Self {
            first,
            bits: (self.bits + 1).min(BITS),
        }
    }

    /// Bytes in the form of a multihash whose key begins so, for lookups where no block lies: found by trial from `seed`
    /// on. `None` when the prefix is too long for that.
    pub fn preimage(self, seed: u64) -> Option<Vec<u8>> {
        if self.bits > SEARCH_BITS_MAX {
            return None;
        }
        let mut bytes = vec![0; 34];
        bytes[..2].copy_from_slice(&[0x12, 0x20]);
        // A prefix is missed by so many trials once in e^64 times.
        for trial in 0..64_u64 << self.bits {
            bytes[26..].copy_from_slice(&seed.wrapping_add(trial).to_be_bytes());
            if self.has(Key::of(&bytes)) {
                return Some(bytes);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = Key> {
        any::<[u8; 32]>().prop_map(Key)
    }

    proptest! {
        #[test]
        fn a_prefix_is_the_range_from_its_first_to_its_last_key(
            key in key(), other in key(), bits in 0_u16..=256,
        ) {
            let prefix = Prefix::of(key, bits);
            prop_assert!(prefix.has(key) && prefix.first() <= key && key <= prefix.last());
            let within = prefix.first() <= other && other <= prefix.last();
            prop_assert_eq!(prefix.has(other), within);
            prop_assert_eq!(prefix.has(other), key.common(other) >= bits);
        }

        #[test]
        fn halves_share_a_prefix_between_them(key in key(), bits in 0_u16..256) {
            let prefix = Prefix::of(key, bits);
            let halves = [prefix.half(false), prefix.half(true)];
            prop_assert!(halves.iter().all(|half| prefix.covers(*half)));
            prop_assert_eq!(halves[0].first(), prefix.first());
            prop_assert_eq!(halves[0].last().next(), Some(halves[1].first()));
            prop_assert_eq!(halves[1].last(), prefix.last());
            prop_assert!(halves.iter().filter(|half| half.has(key)).count() == 1);
            prop_assert!(halves[usize::from(key.bit(bits))].has(key));
        }

        #[test]
        fn nearer_is_more_in_common(one in key(), two in key(), three in key()) {
            if one.common(two) > one.common(three) {
                prop_assert!(one.distance(two) < one.distance(three));
            }
        }

        #[test]
        fn preimages_lie_in_their_prefix(key in key(), bits in 0_u16..12, seed in any::<u64>()) {
            let prefix = Prefix::of(key, bits);
            let bytes = prefix.preimage(seed).unwrap();
            prop_assert!(prefix.has(Key::of(&bytes)));
        }
    }

    #[test]
    fn the_ends_of_the_space() {
        assert_eq!(Key::MAX.next(), None);
        assert_eq!(Prefix::ALL.last(), Key::MAX);
        assert_eq!((Key::ZERO.fraction(), Key::MAX.fraction()), (0, u64::MAX));
        assert_eq!(
            Prefix::of(Key::MAX, 60).preimage(0),
            None,
            "no endless search"
        );
        let known = Key::of(b"abc").0;
        assert_eq!(known[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
