use ipfs_kit_blockstore::Block;

use super::{NodeWriter, Place};
use crate::leaf::FileError;
use crate::links::Root;

/// Sub-trees of equal depth before the next ones are one deeper.
const REPEAT: usize = 4;

/// Every node takes `max_links` leaves first, then sub-trees: four of depth 1, four of depth 2 and
/// so on, below its own depth.
#[derive(Debug)]
pub(super) struct Trickle {
    max_links: usize,
    /// The unfinished nodes from the root down.
    path: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    children: Vec<Root>,
    /// Sub-trees must be less deep than this; the root has no such bound.
    depth: Option<usize>,
    /// Sub-trees already begun.
    subtrees: usize,
}

impl Open {
    fn new(depth: Option<usize>) -> Self {
        Self {
            children: Vec::new(),
            depth,
            subtrees: 0,
        }
    }

    /// The depth of the next sub-tree, if one more is allowed.
    fn next_depth(&self) -> Option<usize> {
        let next = self.subtrees / REPEAT + 1;
        self.depth.is_none_or(|depth| next < depth).then_some(next)
    }
}

impl Trickle {
    pub(super) fn new(max_links: usize) -> Self {
        Self {
            max_links,
            path: vec![Open::new(None)],
        }
    }

    pub(super) fn push(
        &mut self,
        leaf: Root,
        nodes: &NodeWriter,
        out: &mut Vec<Block>,
    ) -> Result<(), FileError> {
        while let Some(node) = self.path.last_mut() {
            // As long as a node has no sub-tree all its children are leaves.
            if node.subtrees == 0 && node.children.len() < self.max_links {
                node.children.push(leaf);
                return Ok(());
            }
            match node.next_depth() {
                Some(depth) => {
                    node.subtrees += 1;
                    self.path.push(Open::new(Some(depth)));
                }
                None => self.close_last(nodes, out)?,
            }
        }
        Ok(())
    }

    pub(super) fn finish(
        mut self,
        nodes: &NodeWriter,
        out: &mut Vec<Block>,
    ) -> Result<Root, FileError> {
        while self.path.len() > 1 {
            self.close_last(nodes, out)?;
        }
        let children = self.path.pop().map_or_else(Vec::new, |root| root.children);
        nodes.write(&children, Place::Root, out)
    }

    fn close_last(&mut self, nodes: &NodeWriter, out: &mut Vec<Block>) -> Result<(), FileError> {
        if let Some(node) = self.path.pop() {
            let closed = nodes.write(&node.children, Place::Inner, out)?;
            if let Some(parent) = self.path.last_mut() {
                parent.children.push(closed);
            }
        }
        Ok(())
    }
}
