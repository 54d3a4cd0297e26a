use super::{Fanout, HamtError};

/// Which slots of a shard are taken. On the wire it is a big-endian number without leading zero
/// bytes, as go-bitfield writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bitfield {
    /// Slot `i` is bit `i % 64` of word `i / 64`.
    words: [u64; 16],
}

impl Bitfield {
    /// No slot taken.
    pub const fn empty() -> Self {
        Self { words: [0; 16] }
    }

    /// Reads the Data field of a shard.
    ///
    /// # Errors
    /// [`HamtError::BitfieldTooLong`] if it has more bytes than the fan-out has slots for; leading
    /// zero bytes within that length are accepted.
    pub fn from_bytes(bytes: &[u8], fanout: Fanout) -> Result<Self, HamtError> {
        if bytes.len() > fanout.slots() / 8 {
            return Err(HamtError::BitfieldTooLong {
                bytes: bytes.len(),
                fanout: fanout.0,
            });
        }
        let mut field = Self::empty();
        for (i, &byte) in bytes.iter().rev().enumerate() {
            field.words[i / 8] |= u64::from(byte) << (8 * (i % 8));
        }
        Ok(field)
    }

    /// Appends the wire form.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut leading = true;
        for word in self.words.iter().rev() {
            for byte in word.to_be_bytes() {
                leading &= byte == 0;
                if !leading {
                    out.push(byte);
                }
            }
        }
    }

    /// Marks a slot as taken. Slots are below 1024.
    pub fn set(&mut self, slot: usize) {
        self.words[slot / 64] |= 1 << (slot % 64);
    }

    /// Whether a slot is taken. Slots are below 1024.
    pub fn contains(&self, slot: usize) -> bool {
        self.words[slot / 64] >> (slot % 64) & 1 == 1
    }

    /// Number of taken slots.
    pub fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Number of taken slots below `slot`: the position of that slot's link.
    pub fn count_below(&self, slot: usize) -> usize {
        let whole: usize = self.words[..slot / 64]
            .iter()
            .map(|w| w.count_ones() as usize)
            .sum();
        let part = self.words[slot / 64] & ((1 << (slot % 64)) - 1);
        whole + part.count_ones() as usize
    }

    /// The taken slots in ascending order.
    pub fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(i, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(64 * i + bit)
            })
        })
    }
}
