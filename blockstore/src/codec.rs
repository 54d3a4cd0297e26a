//! Codecs: how the bytes of a block are read, and which other blocks they link to.
//!
//! [`links`] is what the store and the garbage collector need of a block, and reads no more than
//! that. [`decode`] and [`encode`] go through the data model, [`transcode`] from one codec to
//! another. What is accepted and what is written is that of Kubo; the modules of the codecs name
//! the few differences.

pub mod dag_cbor;
pub mod dag_json;
pub mod dag_pb;
mod names;
mod value;

use bytes::Bytes;
use thiserror::Error;

use crate::cid::Cid;

pub use names::{block_formats, code, is_supported, name};
pub use value::{MAX_DEPTH, Value, Walk, walk};

/// Bytes without structure.
pub const RAW: u64 = 0x55;
/// UnixFS nodes.
pub const DAG_PB: u64 = 0x70;
/// CBOR with links.
pub const DAG_CBOR: u64 = 0x71;
/// JSON with links.
pub const DAG_JSON: u64 = 0x0129;
/// CBOR without links.
pub const CBOR: u64 = 0x51;
/// JSON without links.
pub const JSON: u64 = 0x0200;
/// A public key, as in the names of IPNS.
pub const LIBP2P_KEY: u64 = 0x72;

/// Why the bytes of a block cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// Malformed dag-pb.
    #[error("dag-pb: {0}")]
    DagPb(#[from] dag_pb::DagPbError),
    /// The value is not a dag-pb node.
    #[error("{0}")]
    DagPbForm(#[from] dag_pb::FormError),
    /// A name of a dag-pb link is not text, so no other codec can keep it.
    #[error("a link name is not valid UTF-8: only dag-pb can hold it")]
    NameNotText,
    /// Malformed dag-cbor or cbor, or a value that it cannot hold.
    #[error("cbor: {0}")]
    Cbor(#[from] dag_cbor::CborError),
    /// Malformed dag-json or json, or a value that it cannot hold.
    #[error("json: {0}")]
    Json(#[from] dag_json::JsonError),
    /// Raw blocks are bytes.
    #[error("only bytes can be encoded as raw, not a {0}")]
    NotBytes(&'static str),
    /// Nothing here reads or writes this codec.
    #[error(
        "no codec registered for multicodec code {0} (0x{0:x}); `cid codecs --supported` lists the known ones"
    )]
    Unsupported(u64),
    /// A path goes through something that is not there.
    #[error("no segment {segment:?} in a {kind}")]
    NoSegment {
        /// The segment that was not found.
        segment: String,
        /// The kind of value that it was looked for in.
        kind: &'static str,
    },
}

/// Calls `visit` with each block that `data` links to, in their order in the bytes. Raw, cbor and
/// json have no links; neither has a codec that is not known here.
///
/// # Errors
/// [`CodecError`] when the bytes are malformed; `visit` may have been called by then.
pub fn links(codec: u64, data: &[u8], visit: &mut dyn FnMut(Cid)) -> Result<(), CodecError> {
    match codec {
        DAG_PB => {
            for link in dag_pb::links(data) {
                visit(link?.cid);
            }
        }
        DAG_CBOR => dag_cbor::links(data, visit)?,
        DAG_JSON => dag_json::decode(data)?.for_each_link(&mut |cid| visit(cid.clone())),
        _ => {}
    }
    Ok(())
}

/// Decodes a block to the data model.
///
/// # Errors
/// [`CodecError`] when the bytes are malformed or the codec is not supported.
pub fn decode(codec: u64, data: &Bytes) -> Result<Value, CodecError> {
    match codec {
        RAW => Ok(Value::Bytes(data.to_vec())),
        DAG_PB => Ok(dag_pb::PbNode::decode(data)?.to_value()),
        DAG_CBOR => Ok(dag_cbor::decode(data)?),
        CBOR => Ok(dag_cbor::decode_plain(data)?),
        DAG_JSON => Ok(dag_json::decode(data)?),
        JSON => Ok(dag_json::decode_plain(data)?),
        other => Err(CodecError::Unsupported(other)),
    }
}

/// Encodes a value of the data model as a block.
///
/// # Errors
/// [`CodecError`] when the codec cannot hold the value or is not supported.
pub fn encode(codec: u64, value: &Value) -> Result<Vec<u8>, CodecError> {
    match codec {
        RAW => match value {
            Value::Bytes(bytes) => Ok(bytes.clone()),
            other => Err(CodecError::NotBytes(other.kind())),
        },
        DAG_PB => Ok(dag_pb::PbNode::from_value(value)?.encode()),
        DAG_CBOR => Ok(dag_cbor::encode(value)?),
        CBOR => Ok(dag_cbor::encode_plain(value)?),
        DAG_JSON => Ok(dag_json::encode(value)?),
        JSON => Ok(dag_json::encode_plain(value)?),
        other => Err(CodecError::Unsupported(other)),
    }
}

/// Reads a block of one codec and writes it in another, or in the canonical form of the same.
///
/// # Errors
/// As [`decode`] and [`encode`], and [`CodecError::NameNotText`] when a name would be changed on
/// the way to cbor. In json, which is for reading, each such byte becomes U+FFFD, as in Kubo.
pub fn transcode(from: u64, to: u64, data: &Bytes) -> Result<Vec<u8>, CodecError> {
    if from == DAG_PB {
        let node = dag_pb::PbNode::decode(data)?;
        if to == DAG_PB {
            return Ok(node.encode());
        }
        if matches!(to, DAG_CBOR | CBOR) && !node.names_are_text() {
            return Err(CodecError::NameNotText);
        }
        return encode(to, &node.to_value());
    }
    encode(to, &decode(from, data)?)
}
