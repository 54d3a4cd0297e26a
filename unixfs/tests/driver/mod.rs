//! The simplest driver of the importer: everything in memory, one thread, as a reader of the crate
//! would write it first.

use bytes::Bytes;
use ipfs_kit_blockstore::Block;
use ipfs_kit_unixfs::{FileBuilder, FileOptions, LeafEncoder, Root};

/// A file's root and every block that is not inlined, children before parents.
#[allow(dead_code, reason = "not every test looks at the blocks")]
pub struct Added {
    pub root: Root,
    pub blocks: Vec<Block>,
}

pub fn add_file(content: &[u8], options: &FileOptions) -> Added {
    let mut splitter = options.chunker.splitter();
    let leaves = LeafEncoder::new(options);
    let mut file = FileBuilder::new(options).unwrap();
    let mut blocks = Vec::new();
    let mut rest = content;
    while let Some(len) = splitter.next(rest, true) {
        let (chunk, after) = rest.split_at(len);
        let sole = len == content.len();
        let (leaf, block) = leaves.leaf(Bytes::copy_from_slice(chunk), sole).unwrap();
        blocks.extend(block);
        file.push(leaf, &mut blocks).unwrap();
        rest = after;
    }
    let root = file.finish(&mut blocks).unwrap();
    Added { root, blocks }
}
