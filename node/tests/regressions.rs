//! Races and full disks that cost users of other nodes their data, each by the name it is known under.

#![allow(clippy::unwrap_used, clippy::result_large_err)] // a failed step is a failed test

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ipfs_kit_node::{
    AddOptions, Cid, Error, Node, PinAdd, PinFilter, PinKind, RefEvent, RefsOptions, Source,
};

fn node() -> Node {
    Node::builder().in_memory().open().unwrap()
}

fn small_blocks(pin: bool) -> AddOptions {
    AddOptions {
        pin,
        chunker: Some("size-16".to_owned()),
        max_file_links: Some(3),
        raw_leaves: Some(true),
        ..AddOptions::default()
    }
}

fn add(node: &Node, text: &str, pin: bool) -> Cid {
    let sources = vec![Source::bytes("f", text.to_owned())];
    node.files()
        .add(sources, &small_blocks(pin), &mut |_| Ok(()))
        .unwrap()
        .roots[0]
        .cid
        .clone()
}

fn read(node: &Node, cid: &Cid) -> Result<String, String> {
    let mut text = String::new();
    let mut stream = node
        .files()
        .cat(&cid.to_string())
        .map_err(|error| error.to_string())?;
    stream
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    Ok(text)
}

fn leaf_of(node: &Node, root: &Cid) -> Cid {
    let mut last = None;
    let options = RefsOptions {
        recursive: true,
        unique: true,
        max_depth: None,
    };
    node.refs(&[root.to_string()], &options, &mut |event| {
        if let RefEvent::Link { target, .. } = event {
            last = Some(target);
        }
        Ok(())
    })
    .unwrap();
    last.unwrap()
}

fn pin_add(node: &Node, cid: &Cid, recursive: bool) -> Result<(), Error> {
    let options = PinAdd {
        recursive,
        name: None,
    };
    node.pins()
        .add(&[cid.to_string()], &options, &mut |_| Ok(()))
        .map(|_| ())
}

/// kubo#6252: `add` found its blocks in the store, a garbage collection that was already marking took them, and the pin
/// of the add pointed at nothing. Here an add keeps blocks that it finds by its guard.
#[test]
fn kubo_6252_add_of_known_blocks_beside_gc() {
    let node = node();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                node.repo().gc(&mut |_| Ok(())).unwrap();
            }
        });
        for round in 0..300 {
            let text = format!(
                "round {} {}",
                round % 7,
                "the same words again and again ".repeat(8)
            );
            let cid = add(&node, &text, true);
            assert_eq!(read(&node, &cid).unwrap(), text, "round {round}");
            node.pins().remove(&[cid.to_string()], true).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// kubo#6310: `block rm` looked at the pins, `pin add` then saw the block and pinned its root, and `block rm` deleted it.
/// Here a removal is a sweep, which leaves what a pin in the making has touched.
#[test]
fn kubo_6310_block_rm_beside_pin_add() {
    let node = node();
    let (mut pinned, mut removed) = (0, 0);
    for round in 0..400 {
        let text = format!("{round} {}", "words to cut into many blocks ".repeat(6));
        let root = add(&node, &text, false);
        let leaf = leaf_of(&node, &root);
        let (pin, refused) = thread::scope(|scope| {
            let pin = scope.spawn(|| pin_add(&node, &root, true));
            let refused = node
                .blocks()
                .remove(std::slice::from_ref(&leaf), false, &mut |_| Ok(()))
                .unwrap();
            (pin.join().unwrap(), refused)
        });
        if pin.is_ok() {
            pinned += 1;
            assert_eq!(
                read(&node, &root).unwrap(),
                text,
                "round {round}: a pin with a hole"
            );
        } else {
            assert_eq!(
                refused, 0,
                "round {round}: refused for a pin that was never made"
            );
        }
        removed += u32::from(refused == 0);
    }
    assert!(
        pinned + removed >= 400,
        "{pinned} pinned, {removed} removed"
    );
}

/// kubo#4650: a recursive pin over a direct one failed half-way, and the direct one was gone.
#[test]
fn kubo_4650_a_failed_recursive_pin_leaves_the_direct_one() {
    let node = node();
    let root = add(&node, &"words to cut into many blocks ".repeat(6), false);
    pin_add(&node, &root, false).unwrap();
    let leaf = leaf_of(&node, &root);
    assert_eq!(
        node.blocks()
            .remove(&[leaf], false, &mut |_| Ok(()))
            .unwrap(),
        0
    );
    assert!(matches!(
        pin_add(&node, &root, true),
        Err(Error::NotFound(_))
    ));
    let pin = &node
        .pins()
        .check(&[root.to_string()], PinFilter::All)
        .unwrap()[0];
    assert_eq!(pin.kind, PinKind::Direct);
}

/// kubo#3453: on a full disk nothing worked any more, not even making room. Here a full store serves reads, unpins and
/// collects, an add that does not fit leaves nothing pinned, and unpinned blocks make room by themselves.
#[test]
fn kubo_3453_a_full_store_still_works() {
    let node = Node::builder()
        .in_memory()
        .set("Datastore.StorageMax", "100kB")
        .open()
        .unwrap();
    let page = |n: usize| format!("{n} {}", "y".repeat(3000));
    let plain = |pin| AddOptions {
        pin,
        ..AddOptions::default()
    };
    let put = |n: usize, pin| {
        let sources = vec![Source::bytes("f", page(n))];
        node.files()
            .add(sources, &plain(pin), &mut |_| Ok(()))
            .map(|report| report.roots[0].cid.clone())
    };
    for n in 0..200 {
        put(n, false).unwrap();
    }
    let stats = node.repo().stat().unwrap();
    assert!(
        stats.size <= 100_000 && stats.objects > 10,
        "{stats:?}: unpinned blocks made room"
    );

    let mut kept = Vec::new();
    let error = loop {
        match put(1000 + kept.len(), true) {
            Ok(cid) => kept.push(cid),
            Err(error) => break error,
        }
        assert!(kept.len() < 100, "the limit was never reached");
    };
    assert!(error.to_string().contains("storage full"), "{error}");
    assert_eq!(node.pins().count().unwrap(), kept.len() as u64);
    for (n, cid) in kept.iter().enumerate() {
        assert_eq!(read(&node, cid).unwrap(), page(1000 + n));
    }
    node.pins().remove(&[kept[0].to_string()], true).unwrap();
    node.repo().gc(&mut |_| Ok(())).unwrap();
    put(5000, true).unwrap();
}
