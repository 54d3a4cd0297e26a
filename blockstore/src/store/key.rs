//! The order of blocks in tables: by digest first, so that the first eight bytes of a digest are
//! a fingerprint of the block and the front of its key.

use std::cmp::Ordering;

use smallvec::SmallVec;

use crate::cid::Multihash;
use crate::varint;

/// The binary form of a key.
pub(crate) type KeyBytes = SmallVec<[u8; 48]>;

/// The first eight bytes of the digest.
#[inline]
pub(crate) fn fingerprint(hash: &Multihash) -> u64 {
    let mut first = [0; 8];
    let digest = hash.digest();
    let len = digest.len().min(8);
    first[..len].copy_from_slice(&digest[..len]);
    u64::from_be_bytes(first)
}

/// A multihash in the order of its key bytes: digest, code as a varint, length of the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    fingerprint: u64,
    hash: Multihash,
}

impl Key {
    #[inline]
    pub(crate) fn new(hash: Multihash) -> Self {
        Self {
            fingerprint: fingerprint(&hash),
            hash,
        }
    }

    /// Not after any key with this fingerprint; no key of a block itself.
    pub(crate) fn floor(fingerprint: u64) -> Self {
        Self {
            fingerprint,
            hash: Multihash::computed(0, &[]),
        }
    }

    #[inline]
    pub(crate) fn hash(&self) -> &Multihash {
        &self.hash
    }

    pub(crate) fn into_hash(self) -> Multihash {
        self.hash
    }

    #[inline]
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(crate) fn to_bytes(&self) -> KeyBytes {
        key_bytes(&self.hash)
    }
}

/// The key of a multihash.
pub(crate) fn key_bytes(hash: &Multihash) -> KeyBytes {
    let mut out = KeyBytes::from_slice(hash.digest());
    let mut code = hash.code();
    while code >= 0x80 {
        out.push(code as u8 | 0x80);
        code >>= 7;
    }
    out.push(code as u8);
    out.push(hash.digest().len() as u8);
    out
}

/// The multihash of a key; `None` when the bytes are no key.
pub(crate) fn parse_key(bytes: &[u8]) -> Option<Multihash> {
    let (&len, rest) = bytes.split_last()?;
    let (digest, code) = rest.split_at_checked(usize::from(len))?;
    let (code, read) = varint::read(code).ok()?;
    if read != rest.len() - digest.len() {
        return None;
    }
    Multihash::new(code, digest).ok()
}

impl Ord for Key {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.fingerprint
            .cmp(&other.fingerprint)
            .then_with(|| compare(&self.hash, &other.hash))
    }
}

impl PartialOrd for Key {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn compare(a: &Multihash, b: &Multihash) -> Ordering {
    if a.digest().len() == b.digest().len() && a.code() == b.code() {
        return a.digest().cmp(b.digest());
    }
    key_bytes(a).cmp(&key_bytes(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash;

    #[test]
    fn keys_round_trip_in_the_order_of_their_bytes() {
        let mut hashes: Vec<Multihash> = Vec::new();
        for n in 0..200_u32 {
            let data = n.to_be_bytes();
            for (code, len) in [(0x12, 32), (0x12, 20), (0x13, 64), (0xb220, 32), (0x1e, 32)] {
                hashes.push(hash::digest(code, len, &data).unwrap());
            }
        }
        let mut keys: Vec<Key> = hashes.iter().cloned().map(Key::new).collect();
        keys.sort();
        let bytes: Vec<KeyBytes> = keys.iter().map(Key::to_bytes).collect();
        assert!(bytes.windows(2).all(|pair| pair[0] < pair[1]));
        for (key, bytes) in keys.iter().zip(&bytes) {
            assert_eq!(parse_key(bytes).as_ref(), Some(key.hash()));
            assert!(bytes.starts_with(&key.fingerprint().to_be_bytes()));
        }
    }
}
