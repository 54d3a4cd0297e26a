//! What is announced, read from a repo.

use ipfs_kit_blockstore::block::Block;
use ipfs_kit_blockstore::cid::{Cid, Version};
use ipfs_kit_blockstore::codec;
use ipfs_kit_blockstore::hash::HashSpec;
use proptest::prelude::*;

use super::keyspace::Key;
use super::settings::Strategy as Announced;
use super::source::{self, Page, Source};
use crate::{AddOptions, Node, PinAdd, Source as Input};

fn node() -> Node {
    Node::builder().in_memory().open().unwrap()
}

fn raw(node: &Node, count: usize) -> Vec<Cid> {
    let block = |at: usize| {
        let data = at.to_be_bytes().to_vec();
        Block::new(Version::V1, codec::RAW, HashSpec::SHA2_256, data.into()).unwrap()
    };
    let blocks: Vec<Block> = (0..count).map(block).collect();
    node.store().put_many(&blocks).unwrap();
    blocks.iter().map(|block| block.cid().clone()).collect()
}

/// A directory of a file of several blocks and a small one.
fn tree(node: &Node, salt: &str) -> Cid {
    let options = AddOptions {
        wrap: true,
        pin: false,
        chunker: Some("size-100".to_owned()),
        max_file_links: Some(3),
        ..AddOptions::default()
    };
    let long: String = (0..100).map(|line| format!("{salt} {line}\n")).collect();
    let sources = vec![
        Input::bytes("long", long),
        Input::bytes("short", "the same"),
    ];
    let report = node
        .files()
        .add(sources, &options, &mut |_| Ok(()))
        .unwrap();
    report.roots[0].cid.clone()
}

fn strategy(text: &str) -> Source {
    Source::Strategy(Announced::read(text).unwrap())
}

fn all(node: &Node, text: &str) -> Page {
    source::page(node, &strategy(text), Key::ZERO, 1 << 20).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pages_give_every_block_once_in_the_order_of_the_space(count in 0_usize..300, limit in 1_usize..120) {
        let node = node();
        let cids = raw(&node, count);
        let mut expected: Vec<Key> = cids.iter().map(|cid| Key::of(&cid.hash().to_bytes())).collect();
        expected.sort();
        let (mut found, mut from) = (Vec::new(), Key::ZERO);
        loop {
            let page = source::page(&node, &strategy("all"), from, limit).unwrap();
            prop_assert!(page.items.len() <= limit);
            prop_assert_eq!(page.seen, count as u64);
            found.extend(page.items.iter().map(|item| item.key));
            match page.items.last() {
                Some(last) if !page.last => from = last.key.next().unwrap(),
                _ => break,
            }
        }
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn strategies_choose_what_they_say() {
    let node = node();
    let (pinned, loose) = (tree(&node, "pinned"), tree(&node, "loosed"));
    let direct = raw(&node, 1)[0].clone();
    let pin = |cid: &Cid, recursive| {
        let options = PinAdd {
            recursive,
            name: None,
        };
        let paths = [cid.to_string()];
        node.pins().add(&paths, &options, &mut |_| Ok(())).unwrap();
    };
    pin(&pinned, true);
    pin(&direct, false);
    let stored = node.store().stats().blocks as usize;
    let below = |cid: &Cid| {
        let page = source::page(&node, &Source::Dags(vec![cid.clone()]), Key::ZERO, 1 << 20);
        page.unwrap().items.len()
    };
    assert_eq!(all(&node, "all").items.len(), stored);
    assert_eq!(all(&node, "pinned").items.len(), below(&pinned) + 1);
    assert_eq!(
        all(&node, "pinned+unique+mfs").items.len(),
        below(&pinned) + 1
    );
    assert_eq!(all(&node, "roots").items.len(), 2);
    // The directory, the root of the long file, the short one, and the direct pin.
    assert_eq!(all(&node, "pinned+entities").items.len(), 4);
    assert!(below(&pinned) > 10 && below(&loose) == below(&pinned));
    // What both have in common is there once.
    let both = source::page(
        &node,
        &Source::Dags(vec![pinned, loose]),
        Key::ZERO,
        1 << 20,
    );
    assert_eq!(both.unwrap().items.len() + 1, stored);
    assert!(all(&node, "mfs").items.is_empty());
}

#[test]
fn only_what_is_here_is_announced() {
    let node = node();
    let root = tree(&node, "holes");
    let whole = source::page(&node, &Source::Dags(vec![root.clone()]), Key::ZERO, 1 << 20).unwrap();
    let gone = whole.items[0].hash.clone();
    let is_root = gone == *root.hash();
    node.store()
        .delete_many(std::slice::from_ref(&gone))
        .unwrap();
    let left = source::page(&node, &Source::Dags(vec![root]), Key::ZERO, 1 << 20).unwrap();
    assert!(left.items.iter().all(|item| item.hash != gone));
    assert!(left.items.len() < whole.items.len() && (is_root || !left.items.is_empty()));
    let blocks = source::page(&node, &Source::Blocks(raw(&node, 3)), Key::ZERO, 1 << 20).unwrap();
    assert_eq!(blocks.items.len(), 3);
}
