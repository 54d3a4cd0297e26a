//! Putting leaves behind the last one, as boxo `ipld/unixfs/importer/trickle` appends: a node takes `max_links` leaves,
//! then sub-trees, four of each depth. Where it goes on counts from what is there, with boxo's own offsets.

use std::collections::HashMap;

use bytes::Bytes;

use super::node::{FileNode, Part, fitting};
use super::{BlockAccess, EditError, FileEditor, HOLE_CHUNK};
use crate::chunker::{Chunker, Splitter};
use crate::leaf::{HEADROOM, LeafEncoder};
use crate::links::Root;
use crate::node::Kind;
use crate::options::{FileOptions, Layout};

/// Sub-trees of equal depth before the next ones are one deeper.
const REPEAT: usize = 4;

/// What is to be put behind a file.
pub(super) enum Feed {
    Bytes {
        rest: Bytes,
        splitter: Box<Splitter>,
    },
    Zeros {
        left: u64,
        whole: Option<Root>,
        /// Full sub-trees by their depth: they are all the same.
        trees: HashMap<isize, Root>,
    },
}

impl Feed {
    pub(super) fn bytes(data: Bytes, chunker: &Chunker) -> Self {
        Self::Bytes {
            rest: data,
            splitter: Box::new(chunker.splitter()),
        }
    }

    pub(super) fn zeros(count: u64) -> Self {
        Self::Zeros {
            left: count,
            whole: None,
            trees: HashMap::new(),
        }
    }

    fn done(&self) -> bool {
        match self {
            Self::Bytes { rest, .. } => rest.is_empty(),
            Self::Zeros { left, .. } => *left == 0,
        }
    }

    /// A full sub-tree of this depth, if one is known and there is enough for it.
    fn known_tree(&mut self, depth: isize) -> Option<Root> {
        let Self::Zeros { left, trees, .. } = self else {
            return None;
        };
        let tree = trees.get(&depth)?;
        *left = left.checked_sub(tree.file_size)?;
        Some(tree.clone())
    }

    /// Takes a sub-tree that was made. There is more only if it is full.
    fn learn_tree(&mut self, depth: isize, tree: &Root) {
        if let Self::Zeros { left, trees, .. } = self
            && *left > 0
        {
            trees.insert(depth, tree.clone());
        }
    }

    /// The next leaf, put. Whole chunks of zeros are all the same block.
    fn next_leaf<S: BlockAccess>(
        &mut self,
        editor: &FileEditor,
        raw: bool,
        store: &mut S,
    ) -> Result<Root, S::Error> {
        match self {
            Self::Bytes { rest, splitter } => {
                let len = splitter.next(rest, true).unwrap_or(rest.len());
                let chunk = rest.split_to(len);
                editor.put_leaf(chunk, raw, store)
            }
            Self::Zeros { left, whole, .. } => {
                let len = (*left).min(HOLE_CHUNK as u64);
                *left -= len;
                if len < HOLE_CHUNK as u64 {
                    return editor.put_leaf(vec![0; len as usize].into(), raw, store);
                }
                if let Some(leaf) = whole {
                    return Ok(leaf.clone());
                }
                let leaf = editor.put_leaf(vec![0; HOLE_CHUNK].into(), raw, store)?;
                *whole = Some(leaf.clone());
                Ok(leaf)
            }
        }
    }
}

impl FileEditor {
    pub(super) fn append<S: BlockAccess>(
        &mut self,
        store: &mut S,
        feed: &mut Feed,
    ) -> Result<(), S::Error> {
        let (mut node, raw) = match self.root.clone() {
            Part::Node(node) => (node, self.raw_leaves),
            Part::Raw { .. } => {
                let leaf = self.root.write(store)?;
                let mut node = FileNode::new(self.spec);
                node.push(leaf);
                (node, true)
            }
        };
        let grow = Grow { editor: self, raw };
        grow.root(&mut node, feed, store)?;
        self.root = Part::Node(node);
        Ok(())
    }

    fn put_leaf<S: BlockAccess>(
        &self,
        chunk: Bytes,
        raw: bool,
        store: &mut S,
    ) -> Result<Root, S::Error> {
        let room = if raw { 0 } else { HEADROOM };
        let options = FileOptions {
            cid: fitting(self.spec, chunk.len() + room).map_err(EditError::from)?,
            raw_leaves: raw,
            layout: Layout::Trickle,
            ..FileOptions::default()
        };
        let leaf = LeafEncoder::new(&options).leaf(chunk, false);
        let (root, block) = leaf.map_err(EditError::from)?;
        if let Some(block) = block {
            store.put(block)?;
        }
        Ok(root)
    }
}

struct Grow<'a> {
    editor: &'a FileEditor,
    raw: bool,
}

impl Grow<'_> {
    fn root<S: BlockAccess>(
        &self,
        node: &mut FileNode,
        feed: &mut Feed,
        store: &mut S,
    ) -> Result<(), S::Error> {
        let (mut depth, repeat) = self.progress(node);
        if depth == 0 {
            self.fill_leaves(node, feed, store)?;
            if feed.done() {
                self.editor.touch(&mut node.message);
                node.changed();
                return Ok(());
            }
            depth += 1;
        }
        self.fill_last(node, depth - 1, repeat, feed, store, 0)?;
        if !feed.done() {
            depth += 1;
        }
        while !feed.done() {
            self.subtrees(node, depth, 0, feed, store)?;
            depth += 1;
        }
        Ok(())
    }

    /// The depth of the sub-trees that come next, 0 for leaves, and how many of that depth are there.
    fn progress(&self, node: &FileNode) -> (isize, usize) {
        let Some(trees) = node.children.len().checked_sub(self.editor.max_links) else {
            return (0, 0);
        };
        ((trees / REPEAT + 1) as isize, trees % REPEAT)
    }

    fn fill_leaves<S: BlockAccess>(
        &self,
        node: &mut FileNode,
        feed: &mut Feed,
        store: &mut S,
    ) -> Result<(), S::Error> {
        while node.children.len() < self.editor.max_links && !feed.done() {
            let leaf = feed.next_leaf(self.editor, self.raw, store)?;
            node.push(leaf);
        }
        Ok(())
    }

    /// Goes on with the last sub-tree, then with those of its depth.
    fn fill_last<S: BlockAccess>(
        &self,
        node: &mut FileNode,
        depth: isize,
        repeat: usize,
        feed: &mut Feed,
        store: &mut S,
        at: usize,
    ) -> Result<(), S::Error> {
        if node.children.len() <= self.editor.max_links {
            return Ok(());
        }
        let last = node.children.len() - 1;
        let loaded = self.editor.load(store, &node.children[last], at)?;
        // A leaf here means that the file was not laid out by us: it stays as it is.
        if let Part::Node(mut below) = loaded
            && !(below.children.is_empty() && below.message.kind == Kind::Raw)
        {
            self.fill(&mut below, depth - 1, feed, store, at + 1)?;
            node.children[last] = below.write(store)?;
            node.resized();
        }
        if repeat != 0 {
            self.subtrees(node, depth, repeat, feed, store)?;
        }
        Ok(())
    }

    fn fill<S: BlockAccess>(
        &self,
        node: &mut FileNode,
        max_depth: isize,
        feed: &mut Feed,
        store: &mut S,
        at: usize,
    ) -> Result<(), S::Error> {
        if max_depth == 0 || feed.done() {
            return Ok(());
        }
        let (mut depth, repeat) = self.progress(node);
        if depth == 0 {
            self.fill_leaves(node, feed, store)?;
            depth += 1;
        }
        if depth == max_depth {
            return Ok(());
        }
        self.fill_last(node, depth, repeat, feed, store, at)?;
        if !feed.done() {
            depth += 1;
        }
        while depth < max_depth && !feed.done() {
            self.subtrees(node, depth, 0, feed, store)?;
            depth += 1;
        }
        Ok(())
    }

    /// New sub-trees of one depth, as many as there are still to be.
    fn subtrees<S: BlockAccess>(
        &self,
        node: &mut FileNode,
        depth: isize,
        there: usize,
        feed: &mut Feed,
        store: &mut S,
    ) -> Result<(), S::Error> {
        for _ in there..REPEAT {
            if feed.done() {
                break;
            }
            let child = self.new_tree(depth, feed, store)?;
            node.push(child);
        }
        Ok(())
    }

    fn new_tree<S: BlockAccess>(
        &self,
        max_depth: isize,
        feed: &mut Feed,
        store: &mut S,
    ) -> Result<Root, S::Error> {
        if let Some(tree) = feed.known_tree(max_depth) {
            return Ok(tree);
        }
        let mut node = FileNode::new(self.editor.spec);
        self.fill_leaves(&mut node, feed, store)?;
        let mut depth = 1;
        while depth < max_depth && !feed.done() {
            self.subtrees(&mut node, depth, 0, feed, store)?;
            depth += 1;
        }
        let tree = node.write(store)?;
        feed.learn_tree(max_depth, &tree);
        Ok(tree)
    }
}
