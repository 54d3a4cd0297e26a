//! SHA-256 of many blocks at once.
//!
//! The SHA instructions of x86-64 wait for their own results: one message keeps the unit busy for
//! about half of the time. Two messages interleaved fill the gaps. Where the instructions are
//! missing, `sha2` hashes block after block.
//!
//! Spec: FIPS 180-4.

#![allow(unsafe_code)]

use sha2::{Digest, Sha256};

/// The SHA-256 digests of `blocks`, in their order.
#[must_use]
pub fn sha256_many(blocks: &[&[u8]]) -> Vec<[u8; 32]> {
    #[cfg(target_arch = "x86_64")]
    if blocks.len() > 1 && x86::is_available() {
        // SAFETY: the instructions that `hash` is compiled for were just found on this processor.
        return unsafe { x86::hash(blocks) };
    }
    blocks
        .iter()
        .map(|block| Sha256::digest(block).into())
        .collect()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_loadu_si128, _mm_set_epi64x,
        _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
        _mm_shuffle_epi32, _mm_storeu_si128,
    };

    pub(super) fn is_available() -> bool {
        std::arch::is_x86_feature_detected!("sha")
            && std::arch::is_x86_feature_detected!("ssse3")
            && std::arch::is_x86_feature_detected!("sse4.1")
    }

    const INITIAL: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];

    /// The round constants, four to a vector and sixteen to a use of the chunk's words.
    #[rustfmt::skip]
    static ROUND: [[[u32; 4]; 4]; 4] = [
        [[0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5], [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
         [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3], [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174]],
        [[0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc], [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
         [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7], [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967]],
        [[0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13], [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
         [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3], [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070]],
        [[0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5], [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
         [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208], [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2]],
    ];

    /// One message on its way: first the whole 64-byte chunks of its data, then its padded end.
    struct Lane<'a> {
        /// Which block it is.
        at: usize,
        state: [u32; 8],
        /// Whole chunks of the data that are left.
        data: &'a [u8],
        end: [u8; 128],
        /// Where the end that is left begins and stops.
        end_from: usize,
        end_to: usize,
    }

    impl<'a> Lane<'a> {
        fn new(at: usize, message: &'a [u8]) -> Self {
            let (data, rest) = message.split_at(message.len() & !63);
            let mut end = [0; 128];
            end[..rest.len()].copy_from_slice(rest);
            end[rest.len()] = 0x80;
            let end_to = if rest.len() < 56 { 64 } else { 128 };
            let bits = (message.len() as u64) << 3;
            end[end_to - 8..end_to].copy_from_slice(&bits.to_be_bytes());
            Self {
                at,
                state: INITIAL,
                data,
                end,
                end_from: 0,
                end_to,
            }
        }

        /// The chunks that can be hashed in one go.
        fn chunks(&self) -> &[u8] {
            if self.data.is_empty() {
                &self.end[self.end_from..self.end_to]
            } else {
                self.data
            }
        }

        fn skip(&mut self, len: usize) {
            if self.data.is_empty() {
                self.end_from += len;
            } else {
                self.data = &self.data[len..];
            }
        }

        fn digest(&self) -> [u8; 32] {
            let mut digest = [0; 32];
            for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
                bytes.copy_from_slice(&word.to_be_bytes());
            }
            digest
        }
    }

    /// Keeps two lanes busy until the blocks run out; the last one runs alone.
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    pub(super) fn hash(blocks: &[&[u8]]) -> Vec<[u8; 32]> {
        let mut digests = vec![[0; 32]; blocks.len()];
        let mut waiting = blocks
            .iter()
            .enumerate()
            .map(|(at, block)| Lane::new(at, block));
        let (Some(mut a), Some(mut b)) = (waiting.next(), waiting.next()) else {
            unreachable!("the caller passes two blocks at least");
        };
        loop {
            let len = a.chunks().len().min(b.chunks().len());
            let (mut left, mut right) = (a.state, b.state);
            compress_two(
                &mut left,
                &a.chunks()[..len],
                &mut right,
                &b.chunks()[..len],
            );
            (a.state, b.state) = (left, right);
            a.skip(len);
            b.skip(len);
            while a.chunks().is_empty() {
                digests[a.at] = a.digest();
                match waiting.next() {
                    Some(next) => a = next,
                    None => return finish(b, digests),
                }
            }
            while b.chunks().is_empty() {
                digests[b.at] = b.digest();
                match waiting.next() {
                    Some(next) => b = next,
                    None => return finish(a, digests),
                }
            }
        }
    }

    /// The last message has no partner.
    fn finish(mut lane: Lane<'_>, mut digests: Vec<[u8; 32]>) -> Vec<[u8; 32]> {
        while !lane.chunks().is_empty() {
            let len = lane.chunks().len();
            let mut state = lane.state;
            sha2::block_api::compress256(&mut state, lane.chunks().as_chunks().0);
            lane.state = state;
            lane.skip(len);
        }
        digests[lane.at] = lane.digest();
        digests
    }

    /// The state of one message in the order that the instructions want.
    #[derive(Clone, Copy)]
    struct Vectors {
        abef: __m128i,
        cdgh: __m128i,
    }

    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn load_state(state: &[u32; 8]) -> Vectors {
        let dcba = _mm_shuffle_epi32(load(&state[..4]), 0xb1);
        let hgfe = _mm_shuffle_epi32(load(&state[4..]), 0x1b);
        Vectors {
            abef: _mm_alignr_epi8(dcba, hgfe, 8),
            cdgh: _mm_blend_epi16(hgfe, dcba, 0xf0),
        }
    }

    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn store_state(vectors: Vectors, state: &mut [u32; 8]) {
        let feba = _mm_shuffle_epi32(vectors.abef, 0x1b);
        let dchg = _mm_shuffle_epi32(vectors.cdgh, 0xb1);
        let (low, high) = state.split_at_mut(4);
        store(_mm_blend_epi16(feba, dchg, 0xf0), low);
        store(_mm_alignr_epi8(dchg, feba, 8), high);
    }

    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn load(words: &[u32]) -> __m128i {
        assert!(words.len() >= 4);
        // SAFETY: there are 16 bytes behind the pointer, and the load needs no alignment.
        unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn store(vector: __m128i, words: &mut [u32]) {
        assert!(words.len() >= 4);
        // SAFETY: there are 16 bytes behind the pointer, and the store needs no alignment.
        unsafe { _mm_storeu_si128(words.as_mut_ptr().cast(), vector) }
    }

    /// The sixteen words of a chunk, turned from big endian.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn load_chunk(chunk: &[u8; 64]) -> [__m128i; 4] {
        let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        let word = |at: usize| {
            // SAFETY: `at` is below 4, so 16 bytes of the chunk are behind the pointer, and the
            // load needs no alignment.
            _mm_shuffle_epi8(
                unsafe { _mm_loadu_si128(chunk.as_ptr().add(16 * at).cast()) },
                swap,
            )
        };
        [word(0), word(1), word(2), word(3)]
    }

    /// Hashes as many chunks of the one message as of the other, one instruction of each in turn.
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn compress_two(a: &mut [u32; 8], a_data: &[u8], b: &mut [u32; 8], b_data: &[u8]) {
        let (mut x, mut y) = (load_state(a), load_state(b));
        for (x_chunk, y_chunk) in a_data.as_chunks().0.iter().zip(b_data.as_chunks().0) {
            let (x_before, y_before) = (x, y);
            let (mut v, mut w) = (load_chunk(x_chunk), load_chunk(y_chunk));
            sixteen_rounds::<false>(&ROUND[0], &mut x, &mut v, &mut y, &mut w);
            for constants in &ROUND[1..] {
                sixteen_rounds::<true>(constants, &mut x, &mut v, &mut y, &mut w);
            }
            x.abef = _mm_add_epi32(x.abef, x_before.abef);
            x.cdgh = _mm_add_epi32(x.cdgh, x_before.cdgh);
            y.abef = _mm_add_epi32(y.abef, y_before.abef);
            y.cdgh = _mm_add_epi32(y.cdgh, y_before.cdgh);
        }
        store_state(x, a);
        store_state(y, b);
    }

    /// Sixteen rounds of both messages. The words of the chunk are used first as they are, later
    /// after `SCHEDULE` has made the next sixteen of them. Written out, because in a loop the
    /// compiler keeps the words in memory.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn sixteen_rounds<const SCHEDULE: bool>(
        constants: &[[u32; 4]; 4],
        x: &mut Vectors,
        v: &mut [__m128i; 4],
        y: &mut Vectors,
        w: &mut [__m128i; 4],
    ) {
        macro_rules! four_rounds {
            ($at:literal) => {
                if SCHEDULE {
                    v[$at] = schedule(v, $at);
                    w[$at] = schedule(w, $at);
                }
                let constant = load(&constants[$at]);
                let (v_add, w_add) = (
                    _mm_add_epi32(v[$at], constant),
                    _mm_add_epi32(w[$at], constant),
                );
                x.cdgh = _mm_sha256rnds2_epu32(x.cdgh, x.abef, v_add);
                y.cdgh = _mm_sha256rnds2_epu32(y.cdgh, y.abef, w_add);
                let (v_add, w_add) = (
                    _mm_shuffle_epi32(v_add, 0x0e),
                    _mm_shuffle_epi32(w_add, 0x0e),
                );
                x.abef = _mm_sha256rnds2_epu32(x.abef, x.cdgh, v_add);
                y.abef = _mm_sha256rnds2_epu32(y.abef, y.cdgh, w_add);
            };
        }
        four_rounds!(0);
        four_rounds!(1);
        four_rounds!(2);
        four_rounds!(3);
    }

    /// The next four words of the message schedule; they replace the oldest four, those at `at`.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn schedule(words: &[__m128i; 4], at: usize) -> __m128i {
        let [oldest, second, third, newest] = [
            words[at],
            words[(at + 1) % 4],
            words[(at + 2) % 4],
            words[(at + 3) % 4],
        ];
        let sum = _mm_sha256msg1_epu32(oldest, second);
        let sum = _mm_add_epi32(sum, _mm_alignr_epi8(newest, third, 4));
        _mm_sha256msg2_epu32(sum, newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one_by_one(blocks: &[&[u8]]) -> Vec<[u8; 32]> {
        blocks
            .iter()
            .map(|block| Sha256::digest(block).into())
            .collect()
    }

    #[test]
    fn every_length_around_the_padding_equals_sha2() {
        let data: Vec<u8> = (0..4096_u32).map(|n| (n * 7 + n / 251) as u8).collect();
        let blocks: Vec<&[u8]> = (0..300)
            .chain([4096, 0, 1, 64])
            .map(|len| &data[..len])
            .collect();
        assert_eq!(sha256_many(&blocks), one_by_one(&blocks));
        for count in 0..5 {
            assert_eq!(
                sha256_many(&blocks[60..60 + count]),
                one_by_one(&blocks[60..60 + count])
            );
        }
    }

    proptest! {
        #[test]
        fn any_blocks_equal_sha2(
            blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..9)
        ) {
            let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(sha256_many(&blocks), one_by_one(&blocks));
        }
    }
}
