//! Where an import's blocks go.

use bytes::Bytes;
use ipfs_kit_blockstore::block::Block;
use ipfs_kit_blockstore::store::Guard;

use crate::error::Result;
use crate::node::Node;

/// The store, or nowhere with `only_hash`.
pub struct Sink<'a> {
    node: &'a Node,
    guard: Option<Guard>,
}

impl<'a> Sink<'a> {
    /// A sink into the node's store; what goes in is kept from garbage collection while the sink lives.
    pub fn store(node: &'a Node) -> Self {
        Self {
            node,
            guard: Some(node.store().guard()),
        }
    }

    /// A sink that stores nothing.
    pub fn nowhere(node: &'a Node) -> Self {
        Self { node, guard: None }
    }

    /// Stores blocks: visible at once, durable after [`Sink::sync`].
    pub fn put(&self, blocks: &[Block]) -> Result<()> {
        self.node.cancel().check()?;
        match &self.guard {
            Some(guard) if !blocks.is_empty() => self.node.put(guard, blocks),
            _ => Ok(()),
        }
    }

    /// Stores blocks that share a large buffer with others.
    pub fn put_shared(&self, blocks: Vec<Block>) -> Result<()> {
        if self.node.path().is_some() {
            return self.put(&blocks);
        }
        // A store in memory keeps the bytes; a slice would keep the whole buffer with them.
        let own = |block: Block| {
            let (cid, data) = block.into_parts();
            Block::trusted(cid, Bytes::copy_from_slice(&data))
        };
        let owned: Vec<Block> = blocks.into_iter().map(own).collect();
        self.put(&owned)
    }

    /// Makes everything put so far durable.
    pub fn sync(&self) -> Result<()> {
        if self.guard.is_some() {
            self.node.store().sync()?;
        }
        Ok(())
    }
}
