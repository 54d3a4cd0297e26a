use std::collections::BTreeSet;

use super::*;
use crate::files::{AddOptions, Source};
use crate::{Node, PinAdd};

fn node() -> Node {
    Node::builder().in_memory().open().unwrap()
}

fn add(node: &Node, name: &str, text: &str, pin: bool) -> Cid {
    let options = AddOptions {
        wrap: true,
        pin,
        chunker: Some("size-10".to_owned()),
        max_file_links: Some(3),
        ..AddOptions::default()
    };
    let sources = vec![Source::bytes(name, text.to_owned())];
    node.files()
        .add(sources, &options, &mut |_| Ok(()))
        .unwrap()
        .roots[0]
        .cid
        .clone()
}

fn gc(node: &Node) -> (GcReport, BTreeSet<Cid>, Vec<String>) {
    let (mut removed, mut damaged) = (BTreeSet::new(), Vec::new());
    let report = node
        .repo()
        .gc(&mut |event| {
            match event {
                GcEvent::Removed(cid) => assert!(removed.insert(cid), "told twice"),
                GcEvent::Damaged(error) => damaged.push(error.to_string()),
            }
            Ok(())
        })
        .unwrap();
    (report, removed, damaged)
}

const TEXT: &str =
    "a text that is long enough to be cut into more than a handful of pieces of ten bytes each";

fn content(node: &Node, path: &str) -> Vec<u8> {
    let mut out = Vec::new();
    node.files()
        .cat(path)
        .unwrap()
        .copy_to(&mut out, None)
        .unwrap();
    out
}

#[test]
fn what_pins_reach_stays_and_the_rest_goes() {
    let node = node();
    let kept = add(&node, "kept", TEXT, true);
    let before = node.repo().stat().unwrap().objects;
    let dead = add(&node, "dead", &TEXT.to_uppercase(), false);
    let direct = add(&node, "direct", "one", false);
    node.pins()
        .add(
            &[direct.to_string()],
            &PinAdd {
                recursive: false,
                name: None,
            },
            &mut |_| Ok(()),
        )
        .unwrap();

    let (report, removed, damaged) = gc(&node);
    assert_eq!(
        node.repo().stat().unwrap().objects,
        before + 1,
        "the direct pin keeps one block"
    );
    assert_eq!((report.live_blocks, damaged.len()), (before + 1, 0));
    assert_eq!(report.removed_blocks, removed.len() as u64);
    assert_eq!(content(&node, &format!("{kept}/kept")), TEXT.as_bytes());
    assert!(!node.blocks().exists(&dead.to_string()).unwrap());
    assert!(!node.blocks().exists(&format!("{direct}/direct")).unwrap());
    assert_eq!(gc(&node).0.removed_blocks, 0);
}

#[test]
fn a_damaged_pin_neither_stops_the_sweep_nor_loses_what_can_be_reached() {
    let node = node();
    let broken = add(&node, "f", TEXT, true);
    let whole = add(&node, "g", &TEXT.to_uppercase(), true);
    let dead = add(&node, "h", "nobody needs this any more", false);
    let file = node.resolve(&format!("{broken}/f")).unwrap();
    let mut links = Vec::new();
    node.refs(
        &[file.to_string()],
        &crate::RefsOptions::default(),
        &mut |event| {
            if let crate::RefEvent::Link { target, .. } = event {
                links.push(target);
            }
            Ok(())
        },
    )
    .unwrap();
    node.store()
        .delete_many(&[links[0].hash().clone()])
        .unwrap();

    let (report, removed, damaged) = gc(&node);
    assert_eq!((report.damaged, damaged.len()), (1, 1));
    assert!(damaged[0].contains(&links[0].to_string()), "{damaged:?}");
    assert!(
        removed.iter().any(|cid| cid.hash() == dead.hash()),
        "the sweep went on"
    );
    assert_eq!(
        content(&node, &format!("{whole}/g")),
        TEXT.to_uppercase().as_bytes()
    );
    for link in &links[1..] {
        assert!(
            node.blocks().exists(&link.to_string()).unwrap(),
            "reached another way"
        );
    }
}

#[test]
fn an_unfinished_add_is_not_collected() {
    let node = node();
    let guard = node.store().guard();
    let root = add(&node, "f", TEXT, false);
    assert_eq!(gc(&node).0.removed_blocks, 0, "newer than the guard");
    drop(guard);
    let guard = node.store().guard();
    assert!(guard.touch(root.hash()).unwrap());
    let (report, ..) = gc(&node);
    assert!(
        report.removed_blocks > 0 && node.blocks().exists(&root.to_string()).unwrap(),
        "touched"
    );
}
