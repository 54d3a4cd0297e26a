//! One section of a CAR: `varint(length) | CID | data`. The segment store writes the same form.

use std::ops::Range;

use thiserror::Error;

use crate::cid::{Cid, CidError};
use crate::varint::{self, VarintError};

/// The longest section, in bytes: a block and its CID.
pub const MAX_SECTION_LEN: usize = 4 << 20;

/// Why bytes are not a section.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is malformed.
    #[error("malformed section length: {0}")]
    Length(#[from] VarintError),
    /// The length is zero: there is no section.
    #[error("section of zero length")]
    Zero,
    /// The section is longer than allowed.
    #[error("section of {len} bytes is longer than the limit of {max}")]
    TooLong {
        /// The announced length, in bytes.
        len: u64,
        /// The limit, in bytes.
        max: usize,
    },
    /// The section does not begin with a CID.
    #[error("section does not begin with a cid: {0}")]
    Cid(#[from] CidError),
}

/// A section found by [`read_frame`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The CID of the block.
    pub cid: Cid,
    /// Where the data stands in the bytes that were read.
    pub data: Range<usize>,
}

impl Frame {
    /// The length of the whole section with its length prefix, in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.data.end
    }

    /// Never: a frame holds at least a CID.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }
}

/// Appends what stands before the data of a section: its length and the CID.
pub fn frame_prefix(cid: &Cid, data_len: usize, out: &mut Vec<u8>) {
    varint::write((cid.encoded_len() + data_len) as u64, out);
    cid.write_to(out);
}

/// Reads the section at the start of `bytes`; `None` when `bytes` end before the section does.
///
/// # Errors
/// [`FrameError`] when no continuation of `bytes` could be a section.
pub fn read_frame(bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
    let (len, prefix) = match varint::read(bytes) {
        Ok(read) => read,
        Err(VarintError::Truncated) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if len == 0 {
        return Err(FrameError::Zero);
    }
    if len > MAX_SECTION_LEN as u64 {
        return Err(FrameError::TooLong {
            len,
            max: MAX_SECTION_LEN,
        });
    }
    let end = prefix + len as usize;
    let Some(section) = bytes.get(prefix..end) else {
        return Ok(None);
    };
    let (cid, cid_len) = Cid::read(section)?;
    Ok(Some(Frame {
        cid,
        data: prefix + cid_len..end,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let cid: Cid = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
            .parse()
            .unwrap();
        let mut bytes = Vec::new();
        frame_prefix(&cid, 5, &mut bytes);
        for cut in 0..bytes.len() {
            assert_eq!(read_frame(&bytes[..cut]), Ok(None));
        }
        let at = bytes.len();
        bytes.extend_from_slice(b"hello");
        let frame = read_frame(&bytes).unwrap().unwrap();
        assert_eq!(
            (frame.len(), &frame.data, &frame.cid),
            (at + 5, &(at..at + 5), &cid)
        );
        assert_eq!(read_frame(&[0]), Err(FrameError::Zero));
    }
}
