//! Rabin fingerprints over the last 16 bytes, restarted with every chunk.
//!
//! The fingerprint is those 16 bytes, read as a polynomial over GF(2), modulo an irreducible
//! polynomial of degree 53. Because it depends on those bytes alone, the scan may start anywhere:
//! nothing before the minimum is read, and several stretches are scanned at once, which hides the
//! latency of the table look-ups.

/// Bytes that the fingerprint covers.
pub(super) const WINDOW: usize = 16;

const POLYNOMIAL: u64 = 17_437_180_132_763_653;
const DEGREE: u32 = 53;

/// Stretches scanned side by side.
const LANES: usize = 4;
/// Positions per stretch.
const LANE: usize = 1024;

#[derive(Debug, Clone)]
pub(super) struct Rabin {
    min: usize,
    max: usize,
    mask: u64,
    /// The shortest chunk length not yet ruled out.
    candidate: usize,
}

impl Rabin {
    pub(super) fn new(min: u32, avg: u32, max: u32) -> Self {
        Self {
            min: min as usize,
            max: max as usize,
            mask: (1 << avg.checked_ilog2().unwrap_or(0)) - 1,
            candidate: min as usize,
        }
    }

    pub(super) fn restart(&mut self) {
        self.candidate = self.min;
    }

    /// The length of the chunk at the start of `window`, if the bytes there decide it.
    pub(super) fn next(&mut self, window: &[u8]) -> Option<usize> {
        // Kubo counts down `min - 16` bytes before it starts to look for a cut; with a smaller
        // minimum its counter wraps around and it never looks. `rabin-N` with N < 48 gets there.
        if self.min < WINDOW || window.len() < self.candidate {
            return None;
        }
        let end = window.len().min(self.max);
        let cut = match find(&window[self.candidate - WINDOW..end], self.mask) {
            Some(offset) => self.candidate + offset,
            None if end == self.max => self.max,
            None => {
                self.candidate = end + 1;
                return None;
            }
        };
        self.restart();
        Some(cut)
    }
}

/// The first `i` for which the fingerprint of `bytes[i..i + WINDOW]` calls for a cut behind it.
fn find(bytes: &[u8], mask: u64) -> Option<usize> {
    let mut start = 0;
    while let Some(block) = bytes[start..].first_chunk::<{ LANES * LANE + WINDOW }>() {
        if block_has_cut(block, mask) {
            return find_slowly(&bytes[start..], mask).map(|i| start + i);
        }
        start += LANES * LANE;
    }
    find_slowly(&bytes[start..], mask).map(|i| start + i)
}

/// Whether any of the block's `LANES * LANE` windows calls for a cut. Which one is left to the
/// plain scan: there is at most one such block in a chunk.
fn block_has_cut(block: &[u8; LANES * LANE + WINDOW], mask: u64) -> bool {
    let mut state: [u64; LANES] = std::array::from_fn(|lane| {
        let start = lane * LANE;
        fingerprint(&block[start..start + WINDOW])
    });
    let mut found = false;
    for i in 0..LANE {
        for (lane, state) in state.iter_mut().enumerate() {
            found |= *state & mask == 0;
            let at = lane * LANE + i;
            *state = append(*state ^ LEAVING[block[at] as usize], block[at + WINDOW]);
        }
        if found {
            return true;
        }
    }
    false
}

fn find_slowly(bytes: &[u8], mask: u64) -> Option<usize> {
    let (first, entering) = bytes.split_at_checked(WINDOW)?;
    let mut state = fingerprint(first);
    for (i, (&leaves, &enters)) in bytes.iter().zip(entering).enumerate() {
        if state & mask == 0 {
            return Some(i);
        }
        state = append(state ^ LEAVING[leaves as usize], enters);
    }
    (state & mask == 0).then_some(entering.len())
}

fn fingerprint(window: &[u8]) -> u64 {
    window.iter().fold(0, |state, &byte| append(state, byte))
}

/// `state * x^8 + byte` modulo the polynomial.
fn append(state: u64, byte: u8) -> u64 {
    let top = (state >> (DEGREE - 8)) as u8;
    (state << 8 | u64::from(byte)) ^ REDUCTION[top as usize]
}

/// For the eight bits that a shift by one byte pushes past the degree: those bits themselves, so
/// that they cancel out, and what they are modulo the polynomial.
static REDUCTION: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let above = (byte as u64) << DEGREE;
        table[byte] = above | reduce(above);
        byte += 1;
    }
    table
};

/// What a byte contributes to the fingerprint when it is the oldest of the window.
static LEAVING: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut state = byte as u64;
        let mut i = 1;
        while i < WINDOW {
            state = reduce(state << 8);
            i += 1;
        }
        table[byte] = state;
        byte += 1;
    }
    table
};

/// Remainder of a polynomial of degree below 61.
const fn reduce(mut value: u64) -> u64 {
    let mut bit = 63;
    while bit >= DEGREE {
        if value >> bit & 1 == 1 {
            value ^= POLYNOMIAL << (bit - DEGREE);
        }
        bit -= 1;
    }
    value
}
