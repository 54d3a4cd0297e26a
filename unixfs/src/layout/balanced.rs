use ipfs_kit_blockstore::Block;

use super::{NodeWriter, Place};
use crate::leaf::FileError;
use crate::links::Root;

/// All leaves at the same depth, every node but the rightmost of a level full.
#[derive(Debug)]
pub(super) struct Balanced {
    max_links: usize,
    /// The unfinished node of each level, the one over the leaves first.
    levels: Vec<Vec<Root>>,
}

impl Balanced {
    pub(super) fn new(max_links: usize) -> Self {
        Self {
            max_links,
            levels: Vec::new(),
        }
    }

    pub(super) fn push(
        &mut self,
        leaf: Root,
        nodes: &NodeWriter,
        out: &mut Vec<Block>,
    ) -> Result<(), FileError> {
        self.push_at(0, leaf, nodes, out)
    }

    /// A full node is closed only when one more child must go beside it: if none comes it is a root.
    fn push_at(
        &mut self,
        bottom: usize,
        child: Root,
        nodes: &NodeWriter,
        out: &mut Vec<Block>,
    ) -> Result<(), FileError> {
        let mut rising = child;
        for level in bottom.. {
            let Some(node) = self.levels.get_mut(level) else {
                self.levels.push(vec![rising]);
                break;
            };
            if node.len() < self.max_links {
                node.push(rising);
                break;
            }
            let full = nodes.write(node, Place::Inner, out)?;
            node.clear();
            node.push(rising);
            rising = full;
        }
        Ok(())
    }

    /// Children held in unfinished nodes.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.levels.iter().map(Vec::len).sum()
    }

    /// The root, or `None` if there was no leaf.
    pub(super) fn finish(
        mut self,
        nodes: &NodeWriter,
        out: &mut Vec<Block>,
    ) -> Result<Option<Root>, FileError> {
        if let [only] = &mut self.levels[..]
            && only.len() == 1
        {
            return Ok(only.pop());
        }
        let mut level = 0;
        while level < self.levels.len() {
            let node = std::mem::take(&mut self.levels[level]);
            if level + 1 == self.levels.len() {
                return nodes.write(&node, Place::Root, out).map(Some);
            }
            let closed = nodes.write(&node, Place::Inner, out)?;
            self.push_at(level + 1, closed, nodes, out)?;
            level += 1;
        }
        Ok(None)
    }
}
