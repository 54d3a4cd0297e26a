//! dag-json, and json as go-ipld-prime reads and writes it: the same without links and bytes.
//!
//! A link is `{"/": "<cid>"}`, bytes are `{"/": {"bytes": "<base64>"}}`; any other map with the key
//! `/` is a map. The numbers and escapes that are written are those of go-ipld-prime, so that
//! equal values have equal CIDs; that includes its flaw that a whole float is written without a
//! point and read back as an integer. Reading is stricter where Go lets two texts pass for one value:
//! text must be UTF-8 without lone surrogates, no comma may end a list, and nothing but white space
//! may follow the value.
//!
//! Spec: <https://ipld.io/specs/codecs/dag-json/spec/>.

mod read;
mod write;

use thiserror::Error;

use crate::cid::CidError;

pub use read::{decode, decode_plain};
pub use write::{encode, encode_plain};

/// The key that marks links and bytes.
const RESERVED: &str = "/";
/// The key of the base64 text of bytes.
const BYTES: &str = "bytes";

/// Why text is not dag-json, or a value cannot be written as dag-json. Positions are in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The text ends inside a value.
    #[error("unexpected end of json")]
    Truncated,
    /// Something follows the value.
    #[error("unexpected content after end of json object at byte {0}")]
    TrailingBytes(usize),
    /// A byte that cannot stand here.
    #[error("invalid byte 0x{byte:02x} at byte {at}, expected {expected}")]
    Unexpected {
        /// What would have been right.
        expected: &'static str,
        /// The byte that was found.
        byte: u8,
        /// Its position.
        at: usize,
    },
    /// A string holds a control character, a wrong escape or a lone surrogate, or is not UTF-8.
    #[error("invalid string at byte {0}")]
    String(usize),
    /// A number outside the range of integers or floats.
    #[error("number out of range at byte {0}")]
    NumberRange(usize),
    /// Lists and maps are nested too deep.
    #[error(
        "message structure exceeded maximum nesting depth of {}",
        super::value::MAX_DEPTH
    )]
    TooDeep,
    /// The values would cost too much memory.
    #[error("message structure demanded too many resources to process")]
    TooLarge,
    /// A map has a key twice.
    #[error("cannot repeat map key {0:?}")]
    DuplicateKey(String),
    /// The CID of a link is malformed.
    #[error("link: {0}")]
    Cid(#[from] CidError),
    /// The text of bytes is not base64.
    #[error("bytes are not valid base64")]
    Base64,
    /// NaN and infinity are not part of the data model.
    #[error("NaN and infinity are not allowed")]
    NotFinite,
    /// A map that would be read back as a link or bytes.
    #[error("a map with only the key \"/\" would be read back as a link or bytes")]
    Reserved,
    /// Plain json has no links.
    #[error("cannot encode IPLD links as json, use dag-json")]
    NoLinks,
    /// Plain json has no bytes.
    #[error("cannot encode IPLD bytes as json, use dag-json")]
    NoBytes,
}
