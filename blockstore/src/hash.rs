//! The hash functions that may name data.
//!
//! The list is the one of boxo `verifcid`; names and default digest lengths are those of
//! go-multihash.

mod blake2;
mod names;
mod sha256_many;

use sha2::Digest;
use sha3::digest::{ExtendableOutput, Update, XofReader};
use thiserror::Error;

use crate::block::BlockError;
use crate::cid::{Cid, MAX_DIGEST_LEN, MIN_DIGEST_LEN, Multihash};

pub use names::of as name;
pub use sha256_many::sha256_many;

/// Why data cannot be hashed as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HashError {
    /// Nothing here computes this function.
    #[error("unknown multihash code {0} (0x{0:x})")]
    Unknown(u64),
    /// The name is no hash function's.
    #[error("unrecognized hash function: {0:?}; `cid hashes` lists the known ones")]
    UnknownName(String),
    /// The function does not make digests of that length.
    #[error("{hash} cannot make a digest of {asked} bytes: it makes {min} to {max}")]
    Length {
        /// The name of the hash function.
        hash: &'static str,
        /// The length asked for, in bytes.
        asked: usize,
        /// The shortest digest, in bytes.
        min: usize,
        /// The longest digest, in bytes.
        max: usize,
    },
    /// An identity hash holds the data itself and at most 128 bytes of it.
    #[error("{0} bytes do not fit an identity hash: it holds at most {MAX_DIGEST_LEN}")]
    IdentityTooLong(usize),
}

/// A hash function that may name data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HashFunction(u64);

const BLAKE2B_MIN: u64 = 0xb201;
const BLAKE2B_MAX: u64 = 0xb240;
const BLAKE2S_MIN: u64 = 0xb241;
const BLAKE2S_MAX: u64 = 0xb260;

impl HashFunction {
    /// The data itself, at most 128 bytes.
    pub const IDENTITY: Self = Self(0x00);
    /// SHA-1. Broken; allowed because git objects use it.
    pub const SHA1: Self = Self(0x11);
    /// SHA-256, the default.
    pub const SHA2_256: Self = Self(0x12);
    /// SHA-512.
    pub const SHA2_512: Self = Self(0x13);
    /// SHA3-512.
    pub const SHA3_512: Self = Self(0x14);
    /// SHA3-384.
    pub const SHA3_384: Self = Self(0x15);
    /// SHA3-256.
    pub const SHA3_256: Self = Self(0x16);
    /// SHA3-224.
    pub const SHA3_224: Self = Self(0x17);
    /// SHAKE-256 with 64 bytes of output.
    pub const SHAKE_256: Self = Self(0x19);
    /// Keccak-224, the padding before SHA-3 was a standard.
    pub const KECCAK_224: Self = Self(0x1a);
    /// Keccak-256.
    pub const KECCAK_256: Self = Self(0x1b);
    /// Keccak-384.
    pub const KECCAK_384: Self = Self(0x1c);
    /// Keccak-512.
    pub const KECCAK_512: Self = Self(0x1d);
    /// BLAKE3, 32 bytes unless another length is asked for.
    pub const BLAKE3: Self = Self(0x1e);
    /// SHA-256 of the SHA-256, as Bitcoin does.
    pub const DBL_SHA2_256: Self = Self(0x56);
    /// BLAKE2b with 32 bytes.
    pub const BLAKE2B_256: Self = Self(BLAKE2B_MIN + 31);
    /// BLAKE2s with 32 bytes.
    pub const BLAKE2S_256: Self = Self(BLAKE2S_MAX);

    /// Every allowed function in the order of the codes.
    pub fn all() -> impl Iterator<Item = Self> {
        names::all().filter_map(|(code, _)| Self::from_code(code))
    }

    /// The function with this multicodec code, if it is allowed.
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        let shortest = MIN_DIGEST_LEN as u64 - 1;
        match code {
            0x00 | 0x11..=0x17 | 0x19..=0x1e | 0x56 => Some(Self(code)),
            _ if code >= BLAKE2B_MIN + shortest && code <= BLAKE2B_MAX => Some(Self(code)),
            _ if code >= BLAKE2S_MIN + shortest && code <= BLAKE2S_MAX => Some(Self(code)),
            _ => None,
        }
    }

    /// The function with this name, such as `sha2-256`.
    ///
    /// # Errors
    /// [`HashError::UnknownName`].
    pub fn from_name(name: &str) -> Result<Self, HashError> {
        // go-multihash keeps this older name of sha3-512.
        let name = if name == "sha3" { "sha3-512" } else { name };
        Self::all()
            .find(|function| function.name() == name)
            .ok_or_else(|| HashError::UnknownName(name.to_owned()))
    }

    /// The multicodec code.
    #[inline]
    #[must_use]
    pub const fn code(self) -> u64 {
        self.0
    }

    /// The name that go-multihash gives the function.
    #[must_use]
    pub fn name(self) -> &'static str {
        names::of(self.0).unwrap_or("unknown")
    }

    /// The digest length when none is asked for, in bytes. For identity that is the longest.
    #[must_use]
    pub const fn default_len(self) -> usize {
        match self.0 {
            0x00 => MAX_DIGEST_LEN,
            0x11 => 20,
            0x17 | 0x1a => 28,
            0x15 | 0x1c => 48,
            0x13 | 0x14 | 0x19 | 0x1d => 64,
            code if code >= BLAKE2S_MIN => (code - BLAKE2S_MIN + 1) as usize,
            code if code >= BLAKE2B_MIN => (code - BLAKE2B_MIN + 1) as usize,
            _ => 32,
        }
    }

    /// The longest digest the function makes, in bytes.
    #[must_use]
    pub const fn max_len(self) -> usize {
        match self {
            Self::BLAKE3 => MAX_DIGEST_LEN,
            _ => self.default_len(),
        }
    }
}

/// A hash function and the length of the digest to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HashSpec {
    function: HashFunction,
    len: u8,
}

impl HashSpec {
    /// sha2-256 with its whole digest.
    pub const SHA2_256: Self = Self {
        function: HashFunction::SHA2_256,
        len: 32,
    };

    /// A function with its default digest length, or with another one.
    ///
    /// # Errors
    /// [`HashError::Length`] when the function does not make digests of that length, or when they
    /// would be too short to be safe. Identity takes no length: its digest is the data.
    pub fn new(function: HashFunction, len: Option<usize>) -> Result<Self, HashError> {
        let (min, max) = (MIN_DIGEST_LEN, function.max_len());
        let len = len.unwrap_or(function.default_len());
        if function == HashFunction::IDENTITY {
            return Ok(Self {
                function,
                len: MAX_DIGEST_LEN as u8,
            });
        }
        if !(min..=max).contains(&len) {
            return Err(HashError::Length {
                hash: function.name(),
                asked: len,
                min,
                max,
            });
        }
        Ok(Self {
            function,
            len: len as u8,
        })
    }

    /// The function.
    #[inline]
    #[must_use]
    pub const fn function(self) -> HashFunction {
        self.function
    }

    /// The digest length, in bytes. For identity it is the longest one.
    #[inline]
    #[must_use]
    pub const fn digest_len(self) -> usize {
        self.len as usize
    }

    /// Hashes `data`.
    ///
    /// # Errors
    /// [`HashError::IdentityTooLong`]: the only function that can fail is identity.
    pub fn digest(self, data: &[u8]) -> Result<Multihash, HashError> {
        let len = if self.function == HashFunction::IDENTITY {
            data.len()
        } else {
            self.len.into()
        };
        digest(self.function.code(), len, data)
    }
}

impl Default for HashSpec {
    fn default() -> Self {
        Self::SHA2_256
    }
}

impl From<HashFunction> for HashSpec {
    /// The function with its default digest length.
    fn from(function: HashFunction) -> Self {
        Self {
            function,
            len: function.default_len() as u8,
        }
    }
}

/// Hashes `data` with the function of that code and keeps `len` bytes of the digest, for any
/// length that a CID may ask for.
///
/// # Errors
/// [`HashError`] when the function is not allowed or does not make that many bytes.
pub fn digest(code: u64, len: usize, data: &[u8]) -> Result<Multihash, HashError> {
    let function = HashFunction::from_code(code).ok_or(HashError::Unknown(code))?;
    if function == HashFunction::IDENTITY {
        if data.len() > MAX_DIGEST_LEN {
            return Err(HashError::IdentityTooLong(data.len()));
        }
        if data.len() == len {
            return Ok(Multihash::computed(code, data));
        }
    }
    let (min, max) = (MIN_DIGEST_LEN, function.max_len());
    if function == HashFunction::IDENTITY || !(min..=max).contains(&len) {
        return Err(HashError::Length {
            hash: function.name(),
            asked: len,
            min,
            max,
        });
    }
    let mut full = [0_u8; MAX_DIGEST_LEN];
    let made = function.hash_into(data, &mut full[..max]);
    debug_assert_eq!(made, max);
    Ok(Multihash::computed(code, &full[..len]))
}

/// Whether `data` is what `cid` names.
///
/// # Errors
/// [`BlockError::Cid`] when the CID's hash is not allowed, [`BlockError::Mismatch`] when the hash
/// of the data is another one.
pub fn verify(cid: &Cid, data: &[u8]) -> Result<(), BlockError> {
    cid.check()?;
    let named = cid.hash();
    let mismatch = || BlockError::Mismatch(cid.clone());
    let matches = match named.code() {
        0x00 => named.digest() == data,
        0x12 => sha2::Sha256::digest(data).starts_with(named.digest()),
        // A digest longer than the function makes, or a wrong identity, matches no data.
        code => *named == digest(code, named.digest().len(), data).map_err(|_| mismatch())?,
    };
    if matches { Ok(()) } else { Err(mismatch()) }
}

/// The name of a hash function for messages, also of those that are not allowed.
pub(crate) fn name_of(code: u64) -> String {
    name(code).map_or_else(|| format!("unknown(0x{code:x})"), str::to_owned)
}

impl HashFunction {
    /// Writes the whole digest to the start of `out` and tells its length. `out` holds the longest
    /// digest of the function.
    fn hash_into(self, data: &[u8], out: &mut [u8]) -> usize {
        fn put(out: &mut [u8], digest: &[u8]) -> usize {
            out[..digest.len()].copy_from_slice(digest);
            digest.len()
        }
        match self {
            Self::SHA1 => put(out, &sha1::Sha1::digest(data)),
            Self::SHA2_256 => put(out, &sha2::Sha256::digest(data)),
            Self::SHA2_512 => put(out, &sha2::Sha512::digest(data)),
            Self::DBL_SHA2_256 => put(out, &sha2::Sha256::digest(sha2::Sha256::digest(data))),
            Self::SHA3_224 => put(out, &sha3::Sha3_224::digest(data)),
            Self::SHA3_256 => put(out, &sha3::Sha3_256::digest(data)),
            Self::SHA3_384 => put(out, &sha3::Sha3_384::digest(data)),
            Self::SHA3_512 => put(out, &sha3::Sha3_512::digest(data)),
            Self::KECCAK_224 => put(out, &sha3::Keccak224::digest(data)),
            Self::KECCAK_256 => put(out, &sha3::Keccak256::digest(data)),
            Self::KECCAK_384 => put(out, &sha3::Keccak384::digest(data)),
            Self::KECCAK_512 => put(out, &sha3::Keccak512::digest(data)),
            Self::SHAKE_256 => {
                let mut shake = sha3::Shake256::default();
                shake.update(data);
                shake.finalize_xof().read(out);
                out.len()
            }
            Self::BLAKE3 => {
                let mut hasher = ::blake3::Hasher::new();
                hasher.update(data);
                hasher.finalize_xof().fill(out);
                out.len()
            }
            Self(code) if code >= BLAKE2S_MIN => blake2::blake2s(data, out),
            Self(_) => blake2::blake2b(data, out),
        }
    }
}

#[cfg(test)]
mod tests;
