//! Multihashes and content identifiers.
//!
//! Parsing is structural: varints must be minimal, nothing may follow the last byte, and a digest
//! is at most [`MAX_DIGEST_LEN`] bytes. Whether a hash may be trusted is a second question, asked
//! with [`Multihash::check`] wherever bytes are about to be stored or served under a CID; text
//! tools must be able to show a CID that fails it.
//!
//! Specs: <https://github.com/multiformats/cid>, <https://github.com/multiformats/multihash>,
//! limits as in boxo `verifcid` and IPIP-512.

mod text;

use std::fmt;

use smallvec::SmallVec;
use thiserror::Error;

use crate::codec;
use crate::hash::{self, HashFunction};
use crate::varint::{self, VarintError};

pub use multibase::Base;
pub use text::{
    MAX_TEXT_LEN, base_from_name, base_name, bases, decode_multibase, encode_multibase,
};

/// The longest digest that any multihash may carry, in bytes.
pub const MAX_DIGEST_LEN: usize = 128;
/// The shortest digest that counts as secure, in bytes. Identity is exempt: it is the data.
pub const MIN_DIGEST_LEN: usize = 20;
/// The longest binary CID, in bytes: version, codec, hash code and digest length as varints, and
/// the digest.
pub const MAX_CID_LEN: usize = 1 + varint::MAX_LEN + varint::MAX_LEN + 2 + MAX_DIGEST_LEN;

const SHA2_256: u64 = 0x12;
const IDENTITY: u64 = 0x00;

/// Why bytes or text are not a CID or multihash, or may not be used as one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CidError {
    /// The input ended before the CID did.
    #[error("invalid cid: cid too short")]
    TooShort,
    /// One of the varints is malformed.
    #[error("invalid cid: {0}")]
    Varint(#[from] VarintError),
    /// Only versions 0 and 1 exist.
    #[error("invalid cid: expected 1 as the cid version number, got: {0}")]
    Version(u64),
    /// Bytes follow the CID.
    #[error("invalid cid: {0} trailing bytes after the cid")]
    TrailingBytes(usize),
    /// The digest length does not agree with the bytes that follow.
    #[error("invalid cid: multihash announces {announced} digest bytes, {found} are there")]
    DigestCut {
        /// The length in the multihash.
        announced: u64,
        /// The bytes that are left.
        found: usize,
    },
    /// The digest is longer than any hash function makes it.
    #[error("digest too large: {hash} digest got {got} bytes, maximum {MAX_DIGEST_LEN}")]
    DigestTooLarge {
        /// The name of the hash function.
        hash: String,
        /// The length of the digest.
        got: u64,
    },
    /// The digest is too short to be safe from collisions.
    #[error("digest too small: {hash} digest got {got} bytes, minimum {MIN_DIGEST_LEN}")]
    DigestTooSmall {
        /// The name of the hash function.
        hash: String,
        /// The length of the digest.
        got: usize,
    },
    /// The hash function is not on the list of allowed ones.
    #[error("potentially insecure hash functions not allowed: {0}")]
    HashNotAllowed(String),
    /// Version 0 holds a 32-byte sha2-256 digest of a dag-pb block and nothing else.
    #[error("invalid hash for cidv0 {code}-{len}: it needs sha2-256 with 32 bytes")]
    NotV0 {
        /// The hash function's code.
        code: u64,
        /// The length of the digest.
        len: usize,
    },
    /// The text is longer than any CID.
    #[error("invalid cid: text of {0} bytes is longer than any cid")]
    TextTooLong(usize),
    /// The text does not begin with a known multibase prefix or holds a character outside its
    /// alphabet.
    #[error("invalid cid: {}", encoding_reason(.0))]
    Multibase(#[from] multibase::Error),
}

/// Go's words for a first letter that stands for no base.
fn encoding_reason(error: &multibase::Error) -> String {
    match error {
        multibase::Error::UnknownBase(_) => "selected encoding not supported".to_owned(),
        error => error.to_string(),
    }
}

/// A hash function's code and the digest it made.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Multihash {
    code: u64,
    digest: SmallVec<[u8; 32]>,
}

impl Multihash {
    /// A multihash that may name stored data: the function is allowed and the digest has a safe
    /// length.
    ///
    /// # Errors
    /// As [`Multihash::check`].
    pub fn new(code: u64, digest: &[u8]) -> Result<Self, CidError> {
        let hash = Self::structural(code, digest)?;
        hash.check()?;
        Ok(hash)
    }

    /// The sha2-256 multihash of a digest that was computed elsewhere.
    #[inline]
    #[must_use]
    pub fn sha2_256(digest: &[u8; 32]) -> Self {
        Self {
            code: SHA2_256,
            digest: SmallVec::from_buf(*digest),
        }
    }

    /// Reads a multihash from the start of `bytes` and tells how many bytes it took. The hash
    /// function is not checked, see [`Multihash::check`].
    ///
    /// # Errors
    /// [`CidError`] when a varint is malformed, the digest is cut, or it is longer than
    /// [`MAX_DIGEST_LEN`].
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<(Self, usize), CidError> {
        let (code, code_len) = varint::read(bytes)?;
        let rest = bytes.get(code_len..).ok_or(CidError::TooShort)?;
        let (announced, len_len) = varint::read(rest)?;
        if announced > MAX_DIGEST_LEN as u64 {
            return Err(CidError::DigestTooLarge {
                hash: hash::name_of(code),
                got: announced,
            });
        }
        let rest = rest.get(len_len..).ok_or(CidError::TooShort)?;
        let digest = rest.get(..announced as usize).ok_or(CidError::DigestCut {
            announced,
            found: rest.len(),
        })?;
        let read = code_len + len_len + digest.len();
        Ok((
            Self {
                code,
                digest: SmallVec::from_slice(digest),
            },
            read,
        ))
    }

    /// Reads a multihash that fills `bytes` to the end.
    ///
    /// # Errors
    /// As [`Multihash::read`], and [`CidError::TrailingBytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CidError> {
        let (hash, read) = Self::read(bytes)?;
        match bytes.len() - read {
            0 => Ok(hash),
            extra => Err(CidError::TrailingBytes(extra)),
        }
    }

    /// Whether this hash may name data that is stored, fetched or served.
    ///
    /// # Errors
    /// [`CidError::HashNotAllowed`] for a function outside the list of boxo `verifcid`,
    /// [`CidError::DigestTooSmall`] for a digest below 20 bytes that is not identity.
    pub fn check(&self) -> Result<(), CidError> {
        if HashFunction::from_code(self.code).is_none() {
            return Err(CidError::HashNotAllowed(hash::name_of(self.code)));
        }
        if self.code != IDENTITY && self.digest.len() < MIN_DIGEST_LEN {
            let (hash, got) = (hash::name_of(self.code), self.digest.len());
            return Err(CidError::DigestTooSmall { hash, got });
        }
        Ok(())
    }

    /// The code of the hash function.
    #[inline]
    #[must_use]
    pub const fn code(&self) -> u64 {
        self.code
    }

    /// The digest.
    #[inline]
    #[must_use]
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// Whether the digest is the data itself.
    #[inline]
    #[must_use]
    pub const fn is_identity(&self) -> bool {
        self.code == IDENTITY
    }

    /// The length of the binary form, in bytes.
    #[inline]
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        varint::len(self.code) + varint::len(self.digest.len() as u64) + self.digest.len()
    }

    /// Appends the binary form to `out`.
    #[inline]
    pub fn write_to(&self, out: &mut Vec<u8>) {
        varint::write(self.code, out);
        varint::write(self.digest.len() as u64, out);
        out.extend_from_slice(&self.digest);
    }

    /// The binary form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.write_to(&mut out);
        out
    }

    /// The result of a hash function: the caller keeps the rules of [`Multihash::new`].
    pub(crate) fn computed(code: u64, digest: &[u8]) -> Self {
        debug_assert!(digest.len() <= MAX_DIGEST_LEN);
        Self {
            code,
            digest: SmallVec::from_slice(digest),
        }
    }

    fn structural(code: u64, digest: &[u8]) -> Result<Self, CidError> {
        if digest.len() > MAX_DIGEST_LEN {
            let got = digest.len() as u64;
            return Err(CidError::DigestTooLarge {
                hash: hash::name_of(code),
                got,
            });
        }
        Ok(Self {
            code,
            digest: SmallVec::from_slice(digest),
        })
    }

    fn fits_v0(&self) -> bool {
        self.code == SHA2_256 && self.digest.len() == 32
    }
}

impl fmt::Debug for Multihash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base::Base16Lower.encode(self.to_bytes()))
    }
}

/// The version of a CID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// A bare sha2-256 multihash of a dag-pb block, written in base58btc.
    V0,
    /// Codec and multihash, written in any multibase.
    V1,
}

/// A content identifier: what the bytes are (codec) and the hash that they must have.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cid {
    version: Version,
    codec: u64,
    hash: Multihash,
}

impl Cid {
    /// A version 0 CID of a dag-pb block.
    ///
    /// # Errors
    /// [`CidError::NotV0`] unless `hash` is sha2-256 with 32 bytes.
    pub fn v0(hash: Multihash) -> Result<Self, CidError> {
        if !hash.fits_v0() {
            return Err(CidError::NotV0 {
                code: hash.code,
                len: hash.digest.len(),
            });
        }
        Ok(Self {
            version: Version::V0,
            codec: codec::DAG_PB,
            hash,
        })
    }

    /// A version 1 CID.
    #[inline]
    #[must_use]
    pub const fn v1(codec: u64, hash: Multihash) -> Self {
        Self {
            version: Version::V1,
            codec,
            hash,
        }
    }

    /// Reads a binary CID from the start of `bytes` and tells how many bytes it took.
    ///
    /// # Errors
    /// [`CidError`] when the bytes are no CID. The hash function is not checked, see [`Cid::check`].
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<(Self, usize), CidError> {
        if bytes.len() < 2 {
            return Err(CidError::TooShort);
        }
        if bytes[0] == SHA2_256 as u8 && bytes[1] == 32 {
            let digest = bytes.get(2..34).ok_or(CidError::TooShort)?;
            let hash = Multihash {
                code: SHA2_256,
                digest: SmallVec::from_slice(digest),
            };
            return Ok((
                Self {
                    version: Version::V0,
                    codec: codec::DAG_PB,
                    hash,
                },
                34,
            ));
        }
        let (version, version_len) = varint::read(bytes)?;
        if version != 1 {
            return Err(CidError::Version(version));
        }
        let rest = &bytes[version_len..];
        let (codec, codec_len) = varint::read(rest)?;
        let (hash, hash_len) = Multihash::read(&rest[codec_len..])?;
        Ok((Self::v1(codec, hash), version_len + codec_len + hash_len))
    }

    /// Whether this CID may name data that is stored, fetched or served.
    ///
    /// # Errors
    /// As [`Multihash::check`].
    pub fn check(&self) -> Result<(), CidError> {
        self.hash.check()
    }

    /// The version.
    #[inline]
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The code of the codec, see [`codec`].
    #[inline]
    #[must_use]
    pub const fn codec(&self) -> u64 {
        self.codec
    }

    /// The multihash.
    #[inline]
    #[must_use]
    pub const fn hash(&self) -> &Multihash {
        &self.hash
    }

    /// The multihash, without the rest.
    #[inline]
    #[must_use]
    pub fn into_hash(self) -> Multihash {
        self.hash
    }

    /// The length of the binary form, in bytes.
    #[inline]
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match self.version {
            Version::V0 => self.hash.encoded_len(),
            Version::V1 => 1 + varint::len(self.codec) + self.hash.encoded_len(),
        }
    }

    /// Appends the binary form to `out`.
    #[inline]
    pub fn write_to(&self, out: &mut Vec<u8>) {
        if self.version == Version::V1 {
            out.push(1);
            varint::write(self.codec, out);
        }
        self.hash.write_to(out);
    }

    /// The binary form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.write_to(&mut out);
        out
    }

    /// The same content as version 0, if version 0 can say it.
    #[must_use]
    pub fn to_v0(&self) -> Option<Self> {
        let fits = self.codec == codec::DAG_PB && self.hash.fits_v0();
        fits.then(|| Self {
            version: Version::V0,
            codec: self.codec,
            hash: self.hash.clone(),
        })
    }

    /// The same content as version 1.
    #[must_use]
    pub fn to_v1(&self) -> Self {
        Self::v1(self.codec, self.hash.clone())
    }
}

impl TryFrom<&[u8]> for Cid {
    type Error = CidError;

    /// Reads a binary CID that fills `bytes` to the end.
    fn try_from(bytes: &[u8]) -> Result<Self, CidError> {
        let (cid, read) = Self::read(bytes)?;
        match bytes.len() - read {
            0 => Ok(cid),
            extra => Err(CidError::TrailingBytes(extra)),
        }
    }
}

#[cfg(test)]
mod tests;
