//! The tree over a file's leaves, built in one pass and in bounded memory.
//!
//! Shapes and bytes are those of boxo `ipld/unixfs/importer/{balanced,trickle}`.

mod balanced;
mod trickle;

use bytes::Bytes;
use ipfs_kit_blockstore::Block;

use crate::leaf::{FileError, LeafEncoder};
use crate::links::{Root, link_len, put_link, seal};
use crate::node::{Kind, Mtime, attributes_len, put_attributes};
use crate::options::{CidSpec, FileOptions, Layout, OptionsError};
use crate::proto::{put_bytes_header, put_varint_field, varint_len};
use balanced::Balanced;
use trickle::Trickle;

/// Builds the DAG of one file from its leaves in order.
///
/// At any time it holds at most one unfinished node per level of the tree, so memory is bounded by
/// depth times links per node, whatever the file's length.
#[derive(Debug)]
pub struct FileBuilder {
    nodes: NodeWriter,
    tree: Tree,
    /// For a file without a single leaf.
    leaves: LeafEncoder,
}

#[derive(Debug)]
enum Tree {
    Balanced(Balanced),
    Trickle(Trickle),
}

impl FileBuilder {
    /// A builder for one file.
    ///
    /// # Errors
    /// [`OptionsError::FileLinks`] if no tree can be built with so few links.
    pub fn new(options: &FileOptions) -> Result<Self, OptionsError> {
        options.check()?;
        Ok(Self {
            nodes: NodeWriter {
                spec: options.cid,
                mode: options.stored_mode(),
                mtime: options.mtime,
            },
            tree: match options.layout {
                Layout::Balanced => Tree::Balanced(Balanced::new(options.max_links)),
                Layout::Trickle => Tree::Trickle(Trickle::new(options.max_links)),
            },
            leaves: LeafEncoder::new(options),
        })
    }

    /// Takes the next leaf, as [`LeafEncoder`] made it. Inner nodes that this completes are
    /// appended to `out`; the leaf itself is the caller's to store.
    ///
    /// # Errors
    /// [`FileError::Hash`] if the hash function is identity and a node is longer than a CID may
    /// hold.
    pub fn push(&mut self, leaf: Root, out: &mut Vec<Block>) -> Result<(), FileError> {
        match &mut self.tree {
            Tree::Balanced(tree) => tree.push(leaf, &self.nodes, out),
            Tree::Trickle(tree) => tree.push(leaf, &self.nodes, out),
        }
    }

    /// Ends the file: appends the remaining blocks to `out` and gives the root. Without any leaf
    /// this is the empty file.
    ///
    /// If there was one leaf only, a balanced tree has that leaf as its root, so it must have been
    /// encoded as the sole one.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(self, out: &mut Vec<Block>) -> Result<Root, FileError> {
        match self.tree {
            Tree::Balanced(tree) => match tree.finish(&self.nodes, out)? {
                Some(root) => Ok(root),
                None => {
                    let (root, block) = self.leaves.leaf(Bytes::new(), true)?;
                    out.extend(block);
                    Ok(root)
                }
            },
            Tree::Trickle(tree) => tree.finish(&self.nodes, out),
        }
    }
}

/// Whether a node is the root of its file, which alone carries the attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Inner,
}

/// Encodes inner nodes.
#[derive(Debug)]
struct NodeWriter {
    spec: CidSpec,
    mode: Option<u32>,
    mtime: Option<Mtime>,
}

impl NodeWriter {
    fn write(
        &self,
        children: &[Root],
        place: Place,
        out: &mut Vec<Block>,
    ) -> Result<Root, FileError> {
        let (mode, mtime) = match place {
            Place::Root => (self.mode, self.mtime),
            Place::Inner => (None, None),
        };
        let file_size: u64 = children.iter().map(|child| child.file_size).sum();
        let tsize: u64 = children.iter().map(|child| child.tsize).sum();
        let sizes_len: usize = children
            .iter()
            .map(|child| 1 + varint_len(child.file_size))
            .sum();
        let message_len = 2 + 1 + varint_len(file_size) + sizes_len + attributes_len(mode, mtime);
        let links_len: usize = children
            .iter()
            .map(|child| link_len(child.cid.encoded_len(), 0, child.tsize))
            .sum();

        let mut block = Vec::with_capacity(links_len + 6 + message_len);
        for child in children {
            put_link(&mut block, &child.cid, [&[], &[]], child.tsize);
        }
        put_bytes_header(&mut block, 1, message_len);
        put_varint_field(&mut block, 1, Kind::File as u64);
        put_varint_field(&mut block, 3, file_size);
        for child in children {
            put_varint_field(&mut block, 4, child.file_size);
        }
        put_attributes(&mut block, mode, mtime);
        Ok(seal(block, tsize, file_size, &self.spec, &mut |block| {
            out.push(block)
        })?)
    }
}

#[cfg(test)]
mod tests;
