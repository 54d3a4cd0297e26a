//! The text forms of a CID, and the names of the multibases.

use std::fmt;
use std::str::FromStr;

use multibase::Base;

use super::{Cid, CidError, MAX_CID_LEN, Multihash, SHA2_256, Version};

/// The longest text that is tried as a CID, in bytes: the longest binary CID in base2. Decoding a
/// base whose size is not a power of two costs the square of the length, so a cap is needed.
pub const MAX_TEXT_LEN: usize = 1 + 8 * MAX_CID_LEN;

/// The multibases with the names that go-multibase gives them: first those that it encodes, in the
/// order in which Kubo lists them, then those that are only read here.
const BASES: [(Base, &str); 25] = [
    (Base::Identity, "identity"),
    (Base::Base2, "base2"),
    (Base::Base32Lower, "base32"),
    (Base::Base32Upper, "base32upper"),
    (Base::Base32PadLower, "base32pad"),
    (Base::Base32PadUpper, "base32padupper"),
    (Base::Base16Lower, "base16"),
    (Base::Base16Upper, "base16upper"),
    (Base::Base36Lower, "base36"),
    (Base::Base36Upper, "base36upper"),
    (Base::Base64, "base64"),
    (Base::Base64Pad, "base64pad"),
    (Base::Base32HexPadLower, "base32hexpad"),
    (Base::Base32HexPadUpper, "base32hexpadupper"),
    (Base::Base64Url, "base64url"),
    (Base::Base64UrlPad, "base64urlpad"),
    (Base::Base32HexLower, "base32hex"),
    (Base::Base32HexUpper, "base32hexupper"),
    (Base::Base58Btc, "base58btc"),
    (Base::Base58Flickr, "base58flickr"),
    (Base::Base256Emoji, "base256emoji"),
    (Base::Base8, "base8"),
    (Base::Base10, "base10"),
    (Base::Base32Z, "base32z"),
    (Base::Base45, "base45"),
];
/// How many of [`BASES`] text is written in.
const WRITTEN: usize = 21;

/// Every multibase that text is written in, with its name, in the order in which Kubo lists them.
#[must_use]
pub fn bases() -> &'static [(Base, &'static str)] {
    &BASES[..WRITTEN]
}

/// The name of a multibase, such as `base32`.
#[must_use]
pub fn base_name(base: Base) -> &'static str {
    BASES
        .iter()
        .find(|(known, _)| *known == base)
        .map_or("unknown", |(_, name)| name)
}

/// The multibase of that name, such as `base32`, also of those that are only read.
#[must_use]
pub fn base_from_name(name: &str) -> Option<Base> {
    BASES
        .iter()
        .find(|(_, known)| *known == name)
        .map(|(base, _)| *base)
}

/// Decodes multibase text of any length and tells its base. Bases whose size is not a power of two
/// (10, 36, 45, 58) cost the square of the length: who takes text from outside limits it.
///
/// # Errors
/// [`multibase::Error`] for an unknown prefix or a character outside the alphabet.
pub fn decode_multibase(text: &str) -> Result<(Base, Vec<u8>), multibase::Error> {
    multibase::decode(text)
}

/// The multibase text of any bytes. The identity base is the bytes themselves: those that are not
/// UTF-8 become U+FFFD, because text cannot hold them.
#[must_use]
pub fn encode_multibase(base: Base, bytes: &[u8]) -> String {
    match base {
        // The crate panics on bytes that are not UTF-8.
        Base::Identity => format!("\0{}", String::from_utf8_lossy(bytes)),
        other => multibase::encode(other, bytes),
    }
}

impl Cid {
    /// Parses the text of a CID and tells the multibase it was written in.
    ///
    /// # Errors
    /// [`CidError`] when the text is no CID. The hash function is not checked, see [`Cid::check`].
    pub fn parse_with_base(text: &str) -> Result<(Self, Base), CidError> {
        if text.len() < 2 {
            return Err(CidError::TooShort);
        }
        if text.len() > MAX_TEXT_LEN {
            return Err(CidError::TextTooLong(text.len()));
        }
        if text.len() == 46 && text.starts_with("Qm") {
            let hash = Multihash::from_bytes(&Base::Base58Btc.decode(text)?)?;
            return Ok((Self::v0(hash)?, Base::Base58Btc));
        }
        let (base, bytes) = multibase::decode(text)?;
        Ok((Self::try_from(bytes.as_slice())?, base))
    }

    /// The text in a chosen multibase, see [`encode_multibase`]. Version 0 has no multibase: it is
    /// always bare base58btc.
    #[must_use]
    pub fn to_string_of_base(&self, base: Base) -> String {
        match self.version {
            Version::V0 => base58_v0(&self.hash)
                .iter()
                .copied()
                .map(char::from)
                .collect(),
            Version::V1 => encode_multibase(base, &self.to_bytes()),
        }
    }

    /// Appends the text that [`fmt::Display`] gives. For version 0 nothing is allocated: listings
    /// print one CID a line.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        match self.version {
            Version::V0 => out.extend_from_slice(&base58_v0(&self.hash)),
            Version::V1 => {
                let text = self.to_string_of_base(Base::Base32Lower);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

/// Base58btc of a version 0 multihash, which always has 34 bytes and 46 digits: many times as fast
/// as the conversion for any length.
fn base58_v0(hash: &Multihash) -> [u8; 46] {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    const FIVE_DIGITS: u64 = 58 * 58 * 58 * 58 * 58;
    let mut bytes = [0u8; 36];
    bytes[2] = SHA2_256 as u8;
    bytes[3] = 32;
    bytes[4..].copy_from_slice(hash.digest());
    let mut limbs = [0u32; 9];
    for (limb, bytes) in limbs.iter_mut().zip(bytes.chunks_exact(4)) {
        *limb = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    // Ten groups of five digits from the right; the first four digits are always zero and cut off.
    let mut digits = [0u8; 50];
    let mut first = 0;
    for group in digits.chunks_exact_mut(5).rev() {
        let mut rest = 0u64;
        for limb in &mut limbs[first..] {
            let value = (rest << 32) | u64::from(*limb);
            *limb = (value / FIVE_DIGITS) as u32;
            rest = value % FIVE_DIGITS;
        }
        while first < limbs.len() && limbs[first] == 0 {
            first += 1;
        }
        for digit in group.iter_mut().rev() {
            *digit = ALPHABET[(rest % 58) as usize];
            rest /= 58;
        }
    }
    let mut text = [0u8; 46];
    text.copy_from_slice(&digits[4..]);
    text
}

impl FromStr for Cid {
    type Err = CidError;

    fn from_str(text: &str) -> Result<Self, CidError> {
        Self::parse_with_base(text).map(|(cid, _)| cid)
    }
}

impl fmt::Display for Cid {
    /// Version 0 in base58btc, version 1 in base32.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_string_of_base(Base::Base32Lower))
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_0_text_equals_the_general_conversion() {
        let mut digest = [0u8; 32];
        for round in 0..2_000u32 {
            for (at, byte) in digest.iter_mut().enumerate() {
                *byte = byte.wrapping_mul(31).wrapping_add((round as u8) ^ at as u8);
            }
            let digest = match round {
                0 => [0; 32],
                1 => [0xff; 32],
                _ => digest,
            };
            let cid = Cid::v0(Multihash::sha2_256(&digest)).unwrap();
            let expected = Base::Base58Btc.encode(cid.to_bytes());
            assert_eq!(cid.to_string(), expected);
            assert_eq!(expected.parse::<Cid>().unwrap(), cid);
            let mut written = Vec::new();
            cid.write_text(&mut written);
            assert_eq!(written, expected.as_bytes());
            let v1 = cid.to_v1();
            written.clear();
            v1.write_text(&mut written);
            assert_eq!(written, v1.to_string().as_bytes());
        }
    }
}
