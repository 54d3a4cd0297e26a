//! The headers of CARv1 and CARv2.

use thiserror::Error;

use crate::cid::Cid;
use crate::codec::Value;
use crate::codec::dag_cbor::{self, CborError, write_head};
use crate::varint;

/// Why a header is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The header is not cbor.
    #[error("{0}")]
    Cbor(#[from] CborError),
    /// The header lacks something, or has it as another kind of value.
    #[error("no valid {0:?} in the header")]
    Field(&'static str),
    /// Only versions 1 and 2 exist, and 2 holds a 1.
    #[error("unsupported version {0}")]
    Version(i128),
    /// More roots than allowed.
    #[error("{found} roots are more than the limit of {max}")]
    Roots {
        /// The number of roots.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// The payload of a version 2 begins inside its header, or has no length.
    #[error("payload of {size} bytes at offset {offset} cannot be")]
    Payload {
        /// The offset of the payload in the file, in bytes.
        offset: u64,
        /// The length of the payload, in bytes.
        size: u64,
    },
}

/// The header of a CARv1 with these roots, length prefix included.
#[must_use]
pub fn header_v1(roots: &[Cid]) -> Vec<u8> {
    let mut body = vec![0xa2, 0x65];
    body.extend_from_slice(b"roots");
    write_head(4, roots.len() as u64, &mut body);
    for root in roots {
        write_head(6, 42, &mut body);
        write_head(2, root.encoded_len() as u64 + 1, &mut body);
        body.push(0);
        root.write_to(&mut body);
    }
    body.push(0x67);
    body.extend_from_slice(b"version");
    body.push(0x01);
    let mut out = Vec::with_capacity(body.len() + 2);
    varint::write(body.len() as u64, &mut out);
    out.append(&mut body);
    out
}

/// What the first header of a file says.
pub(super) enum First {
    V1(Vec<Cid>),
    /// The pragma of version 2: another header follows.
    V2,
}

/// Reads the cbor of a header.
pub(super) fn parse(body: &[u8], max_roots: usize) -> Result<First, HeaderError> {
    let header = dag_cbor::decode(body)?;
    match header
        .get("version")
        .filter(|_| matches!(header, Value::Map(_)))
    {
        Some(Value::Int(1)) => {}
        Some(Value::Int(2)) => return Ok(First::V2),
        Some(Value::Int(other)) => return Err(HeaderError::Version(*other)),
        _ => return Err(HeaderError::Field("version")),
    }
    let Some(Value::List(roots)) = header.get("roots") else {
        return Err(HeaderError::Field("roots"));
    };
    if roots.len() > max_roots {
        return Err(HeaderError::Roots {
            found: roots.len(),
            max: max_roots,
        });
    }
    let cids = roots.iter().map(|root| match root {
        Value::Link(cid) => Ok((**cid).clone()),
        _ => Err(HeaderError::Field("roots")),
    });
    Ok(First::V1(cids.collect::<Result<_, _>>()?))
}

/// The length of the pragma of version 2 with its length prefix, in bytes.
pub(super) const PRAGMA_LEN: u64 = 11;
/// The length of the header that follows the pragma, in bytes.
pub(super) const V2_HEADER_LEN: usize = 40;

/// Where the payload of a version 2 stands.
pub(super) struct Payload {
    /// Bytes between the header and the payload.
    pub(super) skip: u64,
    pub(super) size: u64,
}

/// Reads the header of version 2: characteristics (16 bytes), then the offset and the size of the
/// payload and the offset of the index, each in 8 bytes, little endian.
pub(super) fn parse_v2(header: &[u8; V2_HEADER_LEN]) -> Result<Payload, HeaderError> {
    let word = |at: usize| {
        header[at..at + 8]
            .iter()
            .rev()
            .fold(0_u64, |word, byte| word << 8 | u64::from(*byte))
    };
    let (offset, size) = (word(16), word(24));
    let skip = offset.checked_sub(PRAGMA_LEN + V2_HEADER_LEN as u64);
    match skip {
        Some(skip) if size > 0 && offset.checked_add(size).is_some() => Ok(Payload { skip, size }),
        _ => Err(HeaderError::Payload { offset, size }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_the_one_of_the_specification() {
        assert_eq!(header_v1(&[])[..], *b"\x11\xa2eroots\x80gversion\x01");
    }

    #[test]
    fn reads_the_roots_that_it_writes() {
        let root: Cid = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
            .parse()
            .unwrap();
        let roots = vec![root; 30];
        let header = header_v1(&roots);
        let (len, prefix) = varint::read(&header).unwrap();
        assert_eq!(header.len(), prefix + len as usize);
        assert!(matches!(parse(&header[prefix..], 30), Ok(First::V1(read)) if read == roots));
        let found = HeaderError::Roots { found: 30, max: 29 };
        assert!(matches!(parse(&header[prefix..], 29), Err(error) if error == found));
    }
}
