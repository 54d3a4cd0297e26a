//! One inner node of a file: which child holds which bytes.

use std::ops::Range;

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec::dag_pb::PbLink;

/// An inner node, placed in the file. All positions are bytes from the start of the file.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Bytes in the node itself, before those of its children.
    pub(super) inline: Bytes,
    pub(super) children: Vec<Child>,
}

#[derive(Debug)]
pub(super) struct Child {
    cid: Cid,
    start: u64,
}

impl Frame {
    /// The caller has checked that there is a size for each link and that they add up.
    pub(super) fn new(start: u64, inline: Bytes, links: Vec<PbLink>, sizes: &[u64]) -> Self {
        let mut end = start + inline.len() as u64;
        let mut children = Vec::with_capacity(links.len());
        for (link, size) in links.into_iter().zip(sizes) {
            children.push(Child {
                cid: link.cid,
                start: end,
            });
            end += size;
        }
        Self {
            start,
            end,
            inline,
            children,
        }
    }

    pub(super) fn covers(&self, position: u64) -> bool {
        (self.start..self.end).contains(&position)
    }

    pub(super) fn inline_end(&self) -> u64 {
        self.start + self.inline.len() as u64
    }

    /// The child that holds the byte at `position`, and its place in the file.
    pub(super) fn child_at(&self, position: u64) -> Option<(&Cid, Range<u64>)> {
        // Of several children that start at one place, all but the last are empty.
        let index = self
            .children
            .partition_point(|child| child.start <= position)
            .checked_sub(1)?;
        let child = self.children.get(index)?;
        Some((&child.cid, child.start..self.child_end(index)))
    }

    /// Appends the children that hold bytes of `range`, until `out` has `full` entries.
    pub(super) fn wants(&self, range: Range<u64>, full: usize, out: &mut Vec<Cid>) {
        let after = self
            .children
            .partition_point(|child| child.start <= range.start);
        for (index, child) in self
            .children
            .iter()
            .enumerate()
            .skip(after.saturating_sub(1))
        {
            if child.start >= range.end || out.len() >= full {
                return;
            }
            let end = self.child_end(index);
            if end > range.start && end > child.start {
                out.push(child.cid.clone());
            }
        }
    }

    fn child_end(&self, index: usize) -> u64 {
        self.children
            .get(index + 1)
            .map_or(self.end, |next| next.start)
    }
}
