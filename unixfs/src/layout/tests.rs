use std::collections::VecDeque;

use bytes::Bytes;
use ipfs_kit_blockstore::codec::dag_pb::PbNode;

use super::*;
use crate::node::UnixFs;

fn options(layout: Layout, max_links: usize) -> FileOptions {
    FileOptions {
        layout,
        max_links,
        raw_leaves: true,
        mode: Some(0o644),
        ..FileOptions::default()
    }
}

fn leaves(count: usize) -> VecDeque<Root> {
    let encoder = LeafEncoder::new(&options(Layout::Balanced, 2));
    let leaf = |i: usize| encoder.leaf(Bytes::from(i.to_string()), false).unwrap().0;
    (0..count).map(leaf).collect()
}

fn build(options: &FileOptions, leaves: VecDeque<Root>) -> (Root, Vec<Block>) {
    let mut builder = FileBuilder::new(options).unwrap();
    let mut blocks = Vec::new();
    for leaf in leaves {
        builder.push(leaf, &mut blocks).unwrap();
    }
    let root = builder.finish(&mut blocks).unwrap();
    (root, blocks)
}

/// The layouts as they are defined: by recursion, with all leaves at hand.
struct Recursive<'a> {
    nodes: NodeWriter,
    max_links: usize,
    leaves: &'a mut VecDeque<Root>,
}

impl Recursive<'_> {
    fn balanced(&mut self, depth: usize, first: Option<Root>) -> Vec<Root> {
        let mut children = Vec::from_iter(first);
        while children.len() < self.max_links && !self.leaves.is_empty() {
            children.push(if depth == 1 {
                self.leaves.pop_front().unwrap()
            } else {
                let below = self.balanced(depth - 1, None);
                self.nodes
                    .write(&below, Place::Inner, &mut Vec::new())
                    .unwrap()
            });
        }
        children
    }

    fn balanced_root(&mut self) -> Root {
        let mut root = self.leaves.pop_front().unwrap();
        for depth in 1.. {
            if self.leaves.is_empty() {
                break;
            }
            let children = self.balanced(depth, Some(root));
            let place = match self.leaves.is_empty() {
                true => Place::Root,
                false => Place::Inner,
            };
            root = self.nodes.write(&children, place, &mut Vec::new()).unwrap();
        }
        root
    }

    fn trickle(&mut self, bound: usize) -> Vec<Root> {
        let direct = self.leaves.len().min(self.max_links);
        let mut children: Vec<Root> = self.leaves.drain(..direct).collect();
        for depth in 1..bound {
            for _ in 0..4 {
                if self.leaves.is_empty() {
                    return children;
                }
                let below = self.trickle(depth);
                children.push(
                    self.nodes
                        .write(&below, Place::Inner, &mut Vec::new())
                        .unwrap(),
                );
            }
        }
        children
    }

    fn trickle_root(&mut self) -> Root {
        let children = self.trickle(usize::MAX);
        self.nodes
            .write(&children, Place::Root, &mut Vec::new())
            .unwrap()
    }
}

#[test]
fn trees_built_in_one_pass_equal_their_recursive_definition() {
    for layout in [Layout::Balanced, Layout::Trickle] {
        for max_links in [1, 2, 3, 5] {
            let options = options(layout, max_links);
            if options.check().is_err() {
                continue;
            }
            for count in 1..130 {
                let mut rest = leaves(count);
                let mut recursive = Recursive {
                    nodes: FileBuilder::new(&options).unwrap().nodes,
                    max_links,
                    leaves: &mut rest,
                };
                let expected = match layout {
                    Layout::Balanced => recursive.balanced_root(),
                    Layout::Trickle => recursive.trickle_root(),
                };
                let (root, _) = build(&options, leaves(count));
                assert_eq!(root, expected, "{layout:?} {max_links} {count}");
            }
        }
    }
}

#[test]
fn an_empty_balanced_file_is_a_leaf_and_an_empty_trickle_file_a_node() {
    let (root, blocks) = build(&options(Layout::Balanced, 2), VecDeque::new());
    assert_eq!(root.cid.codec(), ipfs_kit_blockstore::codec::RAW);
    assert_eq!((root.tsize, blocks.len()), (0, 1));

    let (root, blocks) = build(&options(Layout::Trickle, 2), VecDeque::new());
    let node = PbNode::decode(blocks[0].data()).unwrap();
    let message = UnixFs::decode(node.data.as_ref().unwrap()).unwrap();
    assert_eq!(
        (message.kind, message.file_size, message.mode),
        (Kind::File, Some(0), Some(0o644))
    );
    assert_eq!(root.tsize, blocks[0].data().len() as u64);
}

#[test]
fn only_the_root_carries_the_attributes() {
    for layout in [Layout::Balanced, Layout::Trickle] {
        let (root, blocks) = build(&options(layout, 3), leaves(40));
        for block in &blocks {
            let node = PbNode::decode(block.data()).unwrap();
            let message = UnixFs::decode(node.data.as_ref().unwrap()).unwrap();
            assert_eq!(message.mode.is_some(), *block.cid() == root.cid);
            assert_eq!(message.block_sizes.len(), node.links.len());
            assert_eq!(message.file_size, Some(message.block_sizes.iter().sum()));
        }
    }
}

#[test]
fn the_builder_holds_one_node_per_level() {
    let leaf = leaves(1).pop_front().unwrap();
    let options = options(Layout::Balanced, 10);
    let mut builder = FileBuilder::new(&options).unwrap();
    let mut out = Vec::new();
    for _ in 0..100_000 {
        builder.push(leaf.clone(), &mut out).unwrap();
        out.clear();
        let Tree::Balanced(tree) = &builder.tree else {
            panic!("a balanced tree was asked for");
        };
        assert!(tree.held() <= 6 * options.max_links);
    }
}

#[test]
fn trees_that_never_end_are_refused() {
    let error = FileBuilder::new(&options(Layout::Balanced, 1)).unwrap_err();
    assert_eq!(error, OptionsError::FileLinks { links: 1, min: 2 });
    assert!(FileBuilder::new(&options(Layout::Trickle, 1)).is_ok());
    assert!(FileBuilder::new(&options(Layout::Trickle, 0)).is_err());
}
