//! BLAKE2 with the digest length chosen at run time. The length is a parameter of the function, so a
//! shorter digest is not the prefix of a longer one.

use blake2::digest::consts::{
    U20, U21, U22, U23, U24, U25, U26, U27, U28, U29, U30, U31, U32, U33, U34, U35, U36, U37, U38,
    U39, U40, U41, U42, U43, U44, U45, U46, U47, U48, U49, U50, U51, U52, U53, U54, U55, U56, U57,
    U58, U59, U60, U61, U62, U63, U64,
};
use blake2::{Blake2b, Blake2s, Digest};

macro_rules! by_length {
    ($hash:ident, $data:ident, $out:ident, $($len:literal => $size:ident),+) => {
        match $out.len() {
            $($len => $out.copy_from_slice(&$hash::<$size>::digest($data)),)+
            other => unreachable!("no allowed BLAKE2 has {other} bytes"),
        }
    };
}

/// Fills `out`, 20 to 64 bytes, with BLAKE2b of that length.
pub(super) fn blake2b(data: &[u8], out: &mut [u8]) -> usize {
    #[rustfmt::skip]
    by_length!(Blake2b, data, out, 20 => U20, 21 => U21, 22 => U22, 23 => U23, 24 => U24, 25 => U25, 26 => U26, 27 => U27, 28 => U28, 29 => U29, 30 => U30, 31 => U31, 32 => U32, 33 => U33, 34 => U34, 35 => U35, 36 => U36, 37 => U37, 38 => U38, 39 => U39, 40 => U40, 41 => U41, 42 => U42, 43 => U43, 44 => U44, 45 => U45, 46 => U46, 47 => U47, 48 => U48, 49 => U49, 50 => U50, 51 => U51, 52 => U52, 53 => U53, 54 => U54, 55 => U55, 56 => U56, 57 => U57, 58 => U58, 59 => U59, 60 => U60, 61 => U61, 62 => U62, 63 => U63, 64 => U64);
    out.len()
}

/// Fills `out`, 20 to 32 bytes, with BLAKE2s of that length.
pub(super) fn blake2s(data: &[u8], out: &mut [u8]) -> usize {
    #[rustfmt::skip]
    by_length!(Blake2s, data, out, 20 => U20, 21 => U21, 22 => U22, 23 => U23, 24 => U24, 25 => U25, 26 => U26, 27 => U27, 28 => U28, 29 => U29, 30 => U30, 31 => U31, 32 => U32);
    out.len()
}
