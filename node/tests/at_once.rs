//! Operations that must not wait: what they give is right, and what is not at hand is told.

#![allow(clippy::unwrap_used, clippy::result_large_err)] // a failed step is a failed test

use ipfs_kit_node::{AddOptions, AtOnce, Error, MfsNaming, Node, Source};

const FOREIGN: &str = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";

fn node_with_file() -> (Node, String) {
    let node = Node::builder().in_memory().open().unwrap();
    let sources = vec![Source::bytes("f", "some text".to_owned())];
    let added = node
        .files()
        .add(sources, &AddOptions::default(), &mut |_| Ok(()))
        .unwrap();
    (node, added.roots[0].cid.to_string())
}

#[test]
fn what_is_in_memory_is_read_and_nothing_is_missed() {
    let (node, cid) = node_with_file();
    let at_once = AtOnce::default();
    let hurried = node.at_once(&at_once);
    assert_eq!(
        hurried.blocks().get(&cid).unwrap(),
        node.blocks().get(&cid).unwrap()
    );
    assert_eq!(
        hurried.files().stat(&cid).unwrap(),
        node.files().stat(&cid).unwrap()
    );
    assert!(!at_once.missed());
}

#[test]
fn what_has_to_be_fetched_looked_up_or_written_is_missed() {
    let (node, cid) = node_with_file();
    let missed = |act: &dyn Fn(&Node) -> Result<(), Error>| {
        let at_once = AtOnce::default();
        let done = act(&node.at_once(&at_once));
        assert!(matches!(done, Err(Error::NotAtHand)), "{done:?}");
        assert!(at_once.missed());
    };
    missed(&|node| node.blocks().get(FOREIGN).map(drop));
    missed(&|node| node.blocks().get("/ipns/example.org").map(drop));
    // Nobody has opened the file system yet, so it would have to be read.
    missed(&|node| node.mfs().entry("/").map(drop));
    node.mfs()
        .mkdir("/a", false, &MfsNaming::default())
        .unwrap();
    // The block of a directory that has changed would have to be written.
    missed(&|node| node.mfs().entry("/").map(drop));
    missed(&|node| node.mfs().locality(&cid.parse().unwrap()).map(drop));
    node.mfs().flush("/").unwrap();
    let at_once = AtOnce::default();
    let root = node.at_once(&at_once).mfs().entry("/").unwrap();
    assert!(!at_once.missed());
    assert_eq!(root, node.mfs().entry("/").unwrap());
}

#[test]
fn a_long_way_is_not_gone_at_once() {
    let node = Node::builder().in_memory().open().unwrap();
    let mut path = String::new();
    for depth in 0..70 {
        path.push_str(&format!("/{depth}"));
        node.mfs()
            .mkdir(&path, false, &MfsNaming::default())
            .unwrap();
    }
    node.mfs().flush("/").unwrap();
    let root = node.mfs().entry("/").unwrap().cid;
    for (depth, near) in [(10, true), (70, false)] {
        let names: Vec<String> = (0..depth).map(|depth: i32| depth.to_string()).collect();
        let path = format!("/ipfs/{root}/{}", names.join("/"));
        let at_once = AtOnce::default();
        let got = node.at_once(&at_once).files().stat(&path);
        assert_eq!((got.is_ok(), at_once.missed()), (near, !near), "{depth}");
        node.files().stat(&path).unwrap();
    }
}
