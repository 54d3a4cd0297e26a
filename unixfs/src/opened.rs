//! A block seen as a part of UnixFS.

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec;
use ipfs_kit_blockstore::codec::dag_pb::{PbLink, PbNode};

use crate::ReadError;
use crate::hamt::Shard;
use crate::node::{Kind, UnixFs};
use crate::read_error::{FileFault, ShardFault};

/// A decoded block that UnixFS can be made of.
pub(crate) enum Opened {
    /// File bytes without a frame.
    Raw(Bytes),
    /// A dag-pb node with its UnixFS message.
    Node { node: PbNode, message: UnixFs },
}

impl Opened {
    pub(crate) fn decode(cid: &Cid, data: Bytes) -> Result<Self, ReadError> {
        match cid.codec() {
            codec::RAW => Ok(Self::Raw(data)),
            codec::DAG_PB => {
                let node = decode_pb(cid, &data)?;
                let message = decode_message(cid, &node)?;
                Ok(Self::Node { node, message })
            }
            codec => Err(ReadError::NotUnixFs {
                cid: cid.clone(),
                codec,
            }),
        }
    }
}

pub(crate) fn decode_pb(cid: &Cid, data: &Bytes) -> Result<PbNode, ReadError> {
    PbNode::decode(data).map_err(|source| ReadError::codec(cid, source))
}

pub(crate) fn decode_message(cid: &Cid, node: &PbNode) -> Result<UnixFs, ReadError> {
    // A node without data is an empty message, which has no type: the decoder says so.
    UnixFs::decode(node.data.as_ref().unwrap_or(&Bytes::new())).map_err(|source| ReadError::Node {
        cid: cid.clone(),
        source,
    })
}

pub(crate) fn decode_shard(cid: &Cid, node: &PbNode, message: &UnixFs) -> Result<Shard, ReadError> {
    let fault = |fault| ReadError::Shard {
        cid: cid.clone(),
        fault,
    };
    if message.kind != Kind::HamtShard {
        return Err(fault(ShardFault::NotAShard));
    }
    Shard::decode(node, message).map_err(|broken| fault(broken.into()))
}

/// The number of file bytes below a file node, after checking that it follows from its parts.
pub(crate) fn file_size(cid: &Cid, links: &[PbLink], message: &UnixFs) -> Result<u64, ReadError> {
    let fault = |fault| ReadError::File {
        cid: cid.clone(),
        fault,
    };
    if links.len() != message.block_sizes.len() {
        let (links, sizes) = (links.len(), message.block_sizes.len());
        return Err(fault(FileFault::SizeCount { links, sizes }));
    }
    if links
        .iter()
        .any(|link| link.name.as_ref().is_some_and(|name| !name.is_empty()))
    {
        return Err(fault(FileFault::NamedLink));
    }
    let inline = message.data.as_ref().map_or(0, Bytes::len) as u64;
    let actual = message
        .block_sizes
        .iter()
        .try_fold(inline, |sum, size| sum.checked_add(*size))
        .ok_or_else(|| fault(FileFault::Overflow))?;
    match message.file_size {
        Some(declared) if declared != actual => Err(fault(FileFault::SizeSum { declared, actual })),
        _ => Ok(actual),
    }
}
