//! Single blocks.

use bytes::Bytes;
use ipfs_kit_blockstore::block::{Block, MAX_BLOCK_LEN};
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec;
use ipfs_kit_blockstore::store::{Deletion, Sweep};
use ipfs_kit_blockstore::{HashFunction, HashSpec, Version};

use crate::error::{Emit, Error, Result};
use crate::node::Node;
use crate::pins::{self, PinAdd, PinError};

/// Verbs on single blocks, from [`Node::blocks`].
pub struct Blocks<'a> {
    pub(crate) node: &'a Node,
}

/// Options of [`Blocks::put`].
#[derive(Clone, Debug)]
pub struct BlockPut {
    /// Codec name, as `raw` or `dag-pb`. `v0` asks for a CIDv0.
    pub codec: String,
    /// Hash function name; the default is the repo's `Import.HashFunction`.
    pub hash: Option<String>,
    /// Digest length in bytes; the default is the function's own.
    pub hash_len: Option<usize>,
    /// Pin the block recursively.
    pub pin: bool,
    /// Accept blocks above 2 MiB.
    pub allow_big: bool,
}

impl Default for BlockPut {
    fn default() -> Self {
        Self {
            codec: "raw".to_owned(),
            hash: None,
            hash_len: None,
            pin: false,
            allow_big: false,
        }
    }
}

/// A block's name and length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockStat {
    /// Its CID.
    pub cid: Cid,
    /// Length in bytes.
    pub size: u64,
}

impl Blocks<'_> {
    /// Stores one block; durable on return.
    ///
    /// # Errors
    /// [`Error::BadOption`] for an unknown codec, [`Error::Hash`] for a hash that cannot do what is asked,
    /// [`Error::BlockTooBig`], [`Error::Store`] when there is no room.
    pub fn put(&self, data: Bytes, options: &BlockPut) -> Result<BlockStat> {
        if data.len() > MAX_BLOCK_LEN && !options.allow_big {
            return Err(Error::BlockTooBig);
        }
        let config = self.node.config();
        let name = options
            .hash
            .as_deref()
            .or_else(|| config.text("Import.HashFunction"));
        let function = name.map_or(Ok(HashFunction::SHA2_256), HashFunction::from_name)?;
        let hash = HashSpec::new(function, options.hash_len)?;
        let (version, codec) = match options.codec.as_str() {
            "v0" => (Version::V0, codec::DAG_PB),
            name => (Version::V1, codec_of(name)?),
        };
        let size = data.len() as u64;
        let block = Block::new(version, codec, hash, data)?;
        let cid = block.cid().clone();
        let guard = self.node.store().guard();
        self.node.put(&guard, &[block])?;
        self.node.store().sync()?;
        if options.pin {
            let path = [cid.to_string()];
            self.node
                .pins()
                .add(&path, &PinAdd::default(), &mut |_| Ok(()))?;
        }
        Ok(BlockStat { cid, size })
    }

    /// The bytes of the block a path leads to.
    ///
    /// # Errors
    /// As [`Node::resolve`]; [`Error::Damaged`].
    pub fn get(&self, path: &str) -> Result<Bytes> {
        self.node.block(&self.node.resolve(path)?)
    }

    /// Name and length of the block a path leads to.
    ///
    /// # Errors
    /// As [`Node::resolve`].
    pub fn stat(&self, path: &str) -> Result<BlockStat> {
        let cid = self.node.resolve(path)?;
        match self
            .node
            .store()
            .info(cid.hash())?
            .filter(|info| !info.quarantined)
        {
            Some(info) => Ok(BlockStat {
                size: u64::from(info.len),
                cid,
            }),
            None => Ok(BlockStat {
                size: self.node.block(&cid)?.len() as u64,
                cid,
            }),
        }
    }

    /// Whether the block a path leads to is in the repo.
    ///
    /// # Errors
    /// As [`Node::resolve`], but a block that is missing on the way is no error.
    pub fn exists(&self, path: &str) -> Result<bool> {
        match self.node.resolve(path) {
            Ok(cid) => Ok(self.node.store().has(cid.hash())?),
            Err(Error::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes blocks, each with its own outcome, durable on return. Pinned blocks are refused with the pin that holds
    /// them; with `force` a missing block is no error. Returns how many were refused.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Database`], [`Error::Output`], [`Error::Cancelled`].
    pub fn remove(
        &self,
        cids: &[Cid],
        force: bool,
        emit: Emit<'_, (Cid, Result<()>)>,
    ) -> Result<u64> {
        // As a sweep, so that a pin made between the look at the pins and the delete keeps its blocks: its guard
        // counts until the sweep ends.
        let sweep = self.node.store().sweep();
        let mut refused = 0;
        let mut outcomes = Vec::with_capacity(cids.len());
        for cid in cids {
            self.node.cancel().check()?;
            let outcome = self.remove_one(&sweep, cid, force)?;
            refused += u64::from(outcome.is_err());
            outcomes.push((cid.clone(), outcome));
        }
        sweep.finish()?;
        for outcome in outcomes {
            emit(outcome).map_err(Error::Output)?;
        }
        Ok(refused)
    }

    fn remove_one(&self, sweep: &Sweep, cid: &Cid, force: bool) -> Result<Result<()>> {
        if let Some(kind) = pins::holder(self.node, cid)? {
            return Ok(Err(PinError::Held(kind).into()));
        }
        let missing = if force {
            Ok(())
        } else {
            Err(Error::NotFound(cid.clone()))
        };
        let Some(info) = self.node.store().info(cid.hash())? else {
            return Ok(missing);
        };
        if cid.hash().is_identity() {
            return Ok(Ok(()));
        }
        let deleted = sweep.delete(&[(cid.hash().clone(), info.position)])?;
        Ok(match deleted.first() {
            Some(Deletion::Deleted) => Ok(()),
            Some(Deletion::InUse) => Err(Error::InUse(cid.clone())),
            _ => missing,
        })
    }
}

fn codec_of(name: &str) -> Result<u64> {
    codec::code(name).ok_or_else(|| Error::BadOption {
        option: "cid-codec",
        reason: format!("{name:?} is no known codec; raw is the usual one"),
    })
}
