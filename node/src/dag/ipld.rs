//! Single nodes: put and get, in any codec.

use bytes::Bytes;
use ipfs_kit_blockstore::block::{Block, MAX_BLOCK_LEN};
use ipfs_kit_blockstore::codec::{self, Value};
use ipfs_kit_blockstore::{HashFunction, HashSpec, Version};

use super::{Cid, DagPut};
use crate::error::{Error, Result};
use crate::node::Node;
use crate::pins::PinAdd;

pub(super) fn put(node: &Node, input: &[u8], options: &DagPut) -> Result<Cid> {
    let from = codec_of("input-codec", &options.input_codec)?;
    let to = codec_of("store-codec", &options.store_codec)?;
    let data = codec::transcode(from, to, &Bytes::copy_from_slice(input))?;
    if data.len() > MAX_BLOCK_LEN && !options.allow_big {
        return Err(Error::BlockTooBig);
    }
    let hash = options
        .hash
        .as_deref()
        .or_else(|| node.config().text("Import.HashFunction"));
    let hash = match hash {
        Some(name) => HashSpec::new(HashFunction::from_name(name)?, None)?,
        None => HashSpec::SHA2_256,
    };
    let block = Block::new(Version::V1, to, hash, data.into())?;
    let cid = block.cid().clone();
    let guard = node.store().guard();
    node.put(&guard, &[block])?;
    node.store().sync()?;
    if options.pin {
        node.pins()
            .add(&[cid.to_string()], &PinAdd::default(), &mut |_| Ok(()))?;
    }
    Ok(cid)
}

pub(super) fn get(node: &Node, path: &str, output_codec: &str) -> Result<Vec<u8>> {
    let to = codec_of("output-codec", output_codec)?;
    let resolved = node.resolve_partial(path)?;
    let block = node.block(&resolved.cid)?;
    if resolved.remainder.is_empty() {
        return Ok(codec::transcode(resolved.cid.codec(), to, &block)?);
    }
    let value = codec::decode(resolved.cid.codec(), &block)?;
    Ok(codec::encode(to, inside(&value, &resolved.remainder)?)?)
}

/// The value that a path inside one block names.
fn inside<'a>(root: &'a Value, remainder: &str) -> Result<&'a Value> {
    let segments: Vec<&str> = remainder
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    Ok(codec::walk(root, &segments)?.value)
}

fn codec_of(option: &'static str, name: &str) -> Result<u64> {
    let code = codec::code(name).filter(|code| codec::is_supported(*code));
    code.ok_or_else(|| Error::BadOption {
        option,
        reason: format!(
            "{name:?} is not supported: use dag-pb, raw, dag-cbor, dag-json, cbor or json"
        ),
    })
}
