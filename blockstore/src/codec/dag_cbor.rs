//! dag-cbor, and cbor as go-ipld-prime reads it: the same without links.
//!
//! [`decode`] and [`links`] accept what go-ipld-prime accepts: any order of map keys, floats of any
//! width, `undefined` for null; never indefinite lengths, overlong integers, tags other than 42,
//! NaN, infinity, a key twice or bytes after the value. [`decode_canonical`] takes only the one
//! form that the specification allows, so that encoding the value gives the same bytes again.
//!
//! Spec: <https://ipld.io/specs/codecs/dag-cbor/spec/>.

mod read;
mod write;

use thiserror::Error;

use crate::cid::CidError;

pub use read::{decode, decode_canonical, decode_plain, links};
pub(crate) use write::write_head;
pub use write::{encode, encode_plain};

/// The tag of a link.
const LINK_TAG: u64 = 42;

/// Why bytes are not dag-cbor, or a value cannot be written as dag-cbor.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CborError {
    /// The bytes end inside a value.
    #[error("unexpected end of cbor")]
    Truncated,
    /// Bytes follow the value.
    #[error("unexpected content after end of cbor object")]
    TrailingBytes,
    /// Lists and maps are nested too deep.
    #[error(
        "message structure exceeded maximum nesting depth of {}",
        super::value::MAX_DEPTH
    )]
    TooDeep,
    /// The values would cost too much memory.
    #[error("message structure demanded too many resources to process")]
    TooLarge,
    /// An integer or a length is longer than needed.
    #[error("integer is not minimally encoded")]
    NotMinimal,
    /// A length that is only told by a break.
    #[error("indefinite length is not allowed")]
    Indefinite,
    /// A first byte that means nothing.
    #[error("invalid cbor byte 0x{0:02x}")]
    Invalid(u8),
    /// A tag other than 42, or any tag in plain cbor.
    #[error("unhandled cbor tag {0}")]
    Tag(u64),
    /// Tag 42 holds bytes that begin with zero, and a CID after it.
    #[error("invalid multibase on IPLD link")]
    LinkForm,
    /// The CID of a link is malformed.
    #[error("link: {0}")]
    Cid(#[from] CidError),
    /// Text is not UTF-8.
    #[error("string is not valid UTF-8")]
    Utf8,
    /// A map key is not text.
    #[error("map key is not a string")]
    KeyKind,
    /// A map has a key twice.
    #[error("duplicate map key {0:?}")]
    DuplicateKey(String),
    /// Map keys are not in the order of their length and bytes.
    #[error("map keys are not sorted")]
    KeyOrder,
    /// A float that is not 64 bits wide, or `undefined`.
    #[error("not the canonical form of a float or null")]
    NotCanonical,
    /// NaN and infinity are not part of the data model.
    #[error("NaN and infinity are not allowed")]
    NotFinite,
    /// An integer outside -2^64 to 2^64 - 1.
    #[error("integer {0} does not fit in cbor")]
    IntRange(i128),
    /// Plain cbor has no links.
    #[error("cannot encode IPLD links as cbor, use dag-cbor")]
    NoLinks,
}
