//! Where frames lie in a CARv1 file, read without the code under test.

use anyhow::{Context, Result, ensure};

/// One section of a CAR: `varint(length) | CID | data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Offset of the length.
    pub start: usize,
    /// Offset of the data.
    pub data: usize,
    /// Offset after the data.
    pub end: usize,
}

/// The frames of the CAR `bytes`, up to its end or a zero length.
pub fn frames(bytes: &[u8]) -> Result<Vec<Frame>> {
    let (header, read) = varint(bytes, 0).context("no header")?;
    let mut at = read + header;
    let mut frames = Vec::new();
    while at < bytes.len() && bytes[at] != 0 {
        let (length, cid) = varint(bytes, at).context("a frame has no length")?;
        let end = cid + length;
        ensure!(end <= bytes.len(), "the frame at {at} is cut off");
        frames.push(Frame {
            start: at,
            data: after_cid(bytes, cid).context("a frame has no CID")?,
            end,
        });
        at = end;
    }
    Ok(frames)
}

fn after_cid(bytes: &[u8], at: usize) -> Option<usize> {
    let (first, next) = varint(bytes, at)?;
    if first == 0x12 {
        // CIDv0 is the bare multihash: SHA2-256 and 32 bytes.
        return Some(at + 34);
    }
    let (_codec, next) = varint(bytes, next)?;
    let (_hash, next) = varint(bytes, next)?;
    let (length, next) = varint(bytes, next)?;
    Some(next + length)
}

fn varint(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut value = 0;
    for shift in (0..28).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((value, at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_both_kinds_of_cids_and_stops_at_padding() {
        let mut car = vec![3, 0xa0, 0xa0, 0xa0];
        car.extend([36, 0x12, 0x20]);
        car.extend([7; 32]);
        car.extend([1, 2]);
        car.extend([37, 1, 0x55, 0x12, 0x20]);
        car.extend([8; 32]);
        car.push(9);
        car.extend([0; 100]);
        let found = frames(&car).unwrap();
        assert_eq!(
            found,
            [
                Frame {
                    start: 4,
                    data: 39,
                    end: 41
                },
                Frame {
                    start: 41,
                    data: 78,
                    end: 79
                }
            ]
        );
    }
}
