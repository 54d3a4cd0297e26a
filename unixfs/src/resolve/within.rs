//! Paths inside one block, as far as the next link.

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec::{self, Value};

use crate::ReadError;

/// Where some segments lead inside a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// To a link, after `used` segments.
    Link { cid: Cid, used: usize },
    /// To a value that is no link, with the last segment.
    Value,
    /// Nowhere: the segment after `used` ones does not exist.
    Nothing { used: usize },
}

/// Follows `rest`, whose next segment is its last, inside a block.
///
/// # Errors
/// [`ReadError::Codec`] when the block does not decode, or its codec is not known.
pub(super) fn find(cid: &Cid, data: &Bytes, rest: &[Bytes]) -> Result<Within, ReadError> {
    let root = codec::decode(cid.codec(), data).map_err(|source| ReadError::codec(cid, source))?;
    let mut value = &root;
    for (used, segment) in rest.iter().rev().enumerate() {
        if let Value::Link(cid) = value {
            return Ok(Within::Link {
                cid: Cid::clone(cid),
                used,
            });
        }
        let name = std::str::from_utf8(segment).ok();
        match name.and_then(|name| value.get(name)) {
            Some(next) => value = next,
            None => return Ok(Within::Nothing { used }),
        }
    }
    match value {
        Value::Link(cid) => Ok(Within::Link {
            cid: Cid::clone(cid),
            used: rest.len(),
        }),
        _ => Ok(Within::Value),
    }
}
