//! Unsigned varints as multiformats defines them: minimal encoding only, at most nine bytes.
//!
//! Spec: <https://github.com/multiformats/unsigned-varint>.

use thiserror::Error;

/// The longest varint that multiformats allow, in bytes (a value below 2^63).
pub const MAX_LEN: usize = 9;

/// Why a varint was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VarintError {
    /// The input ended inside the varint.
    #[error("varint is cut short")]
    Truncated,
    /// The value does not fit in 63 bits.
    #[error("varint is longer than 9 bytes")]
    TooLong,
    /// A shorter encoding of the same value exists.
    #[error("varint is not minimally encoded")]
    NotMinimal,
}

/// Reads one varint from the start of `bytes` and tells how many bytes it took.
///
/// # Errors
/// [`VarintError`] when the bytes end early, the value needs more than 63 bits, or the encoding is
/// longer than needed.
#[inline]
pub fn read(bytes: &[u8]) -> Result<(u64, usize), VarintError> {
    let mut value = 0_u64;
    for (at, &byte) in bytes.iter().take(MAX_LEN).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            if byte == 0 && at > 0 {
                return Err(VarintError::NotMinimal);
            }
            return Ok((value, at + 1));
        }
    }
    Err(if bytes.len() < MAX_LEN {
        VarintError::Truncated
    } else {
        VarintError::TooLong
    })
}

/// Appends `value` to `out`.
#[inline]
pub fn write(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The number of bytes that [`write()`] appends for `value`.
#[inline]
#[must_use]
pub const fn len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        for value in [
            0,
            1,
            127,
            128,
            255,
            300,
            16_383,
            16_384,
            u64::from(u32::MAX),
            (1 << 63) - 1,
        ] {
            let mut bytes = Vec::new();
            write(value, &mut bytes);
            assert_eq!(bytes.len(), len(value), "{value}");
            assert_eq!(read(&bytes), Ok((value, bytes.len())));
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut]), Err(VarintError::Truncated));
            }
        }
    }

    #[test]
    fn refuses_overlong_and_too_large() {
        assert_eq!(read(&[0x80, 0x00]), Err(VarintError::NotMinimal));
        assert_eq!(read(&[0x81, 0x80, 0x00]), Err(VarintError::NotMinimal));
        assert_eq!(read(&[0xff; 9]), Err(VarintError::TooLong));
        assert_eq!(read(&[0xff; 12]), Err(VarintError::TooLong));
        assert_eq!(len(u64::MAX), 10);
    }
}
