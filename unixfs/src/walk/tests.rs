use std::collections::BTreeSet;

use super::*;
use crate::test_dag::{Dag, nowhere};

fn cids(visits: &[Visit]) -> Vec<Cid> {
    visits.iter().map(|visit| visit.cid.clone()).collect()
}

/// root -> (left, right), left -> (shared, leaf), right -> (shared).
fn diamond(dag: &mut Dag) -> [Cid; 5] {
    let leaf = dag.raw(b"leaf");
    let shared = dag.directory(&[(b"deep", &leaf)]);
    let left = dag.directory(&[(b"s", &shared), (b"x", &leaf)]);
    let right = dag.directory(&[(b"s", &shared)]);
    let root = dag.directory(&[(b"l", &left), (b"r", &right)]);
    [root, left, right, shared, leaf]
}

#[test]
fn each_block_is_visited_once_in_the_order_of_the_links() {
    let mut dag = Dag::default();
    let [root, left, right, shared, leaf] = diamond(&mut dag);
    let visits = dag.run(DagWalk::new(root.clone())).unwrap();
    let order = [root.clone(), left, shared, leaf.clone(), right];
    assert_eq!(cids(&visits), order);
    assert_eq!(
        visits.iter().map(|v| v.depth).collect::<Vec<_>>(),
        [0, 1, 2, 3, 1]
    );
    assert!(
        visits
            .iter()
            .all(|visit| visit.block == Some(dag.get(&visit.cid)))
    );
    assert_eq!(dag.asked(), order);

    let options = WalkOptions {
        load_leaves: false,
        ..WalkOptions::default()
    };
    let visits = dag.run(DagWalk::with_options(root, options)).unwrap();
    assert_eq!(cids(&visits), order);
    assert!(!dag.asked().contains(&leaf));
}

#[test]
fn edges_are_told_with_their_names() {
    let mut dag = Dag::default();
    let [root, ..] = diamond(&mut dag);
    let edges = |unique, max_depth| {
        let options = WalkOptions {
            unique,
            max_depth,
            edges: true,
            ..WalkOptions::default()
        };
        let visits = dag
            .run(DagWalk::with_options(root.clone(), options))
            .unwrap();
        let names = visits.into_iter().filter_map(|visit| visit.edge);
        names
            .map(|edge| String::from_utf8(edge.name.to_vec()).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        edges(false, None),
        ["l", "s", "deep", "x", "r", "s", "deep"]
    );
    assert_eq!(edges(true, None), ["l", "s", "deep", "r"]);
    assert_eq!(edges(false, Some(1)), ["l", "r"]);
    assert_eq!(edges(false, Some(2)), ["l", "s", "x", "r", "s"]);
    assert_eq!(edges(true, Some(2)), ["l", "s", "x", "r"]);
    assert!(edges(true, Some(0)).is_empty());
}

/// What was first seen at the depth limit and then further up is followed further, and told once.
#[test]
fn a_shorter_way_is_followed_deeper() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"leaf");
    let shared = dag.directory(&[(b"leaf", &leaf)]);
    let left = dag.directory(&[(b"s", &shared)]);
    let root = dag.directory(&[(b"a", &left), (b"b", &shared)]);
    let options = WalkOptions {
        max_depth: Some(2),
        ..WalkOptions::default()
    };
    let visits = dag
        .run(DagWalk::with_options(root.clone(), options))
        .unwrap();
    assert_eq!(cids(&visits), [root, left, shared, leaf]);
}

#[test]
fn a_missing_block_can_be_skipped() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"leaf");
    let root = dag.directory(&[(b"gone", &nowhere()), (b"here", &leaf)]);
    let options = WalkOptions {
        edges: true,
        ..WalkOptions::default()
    };
    let mut walk = DagWalk::with_options(root.clone(), options);
    let mut visited = Vec::new();
    loop {
        match walk.step().unwrap() {
            Step::Need(cid) if cid == nowhere() => {
                let skipped = walk.skip().unwrap();
                assert_eq!((skipped.cid, skipped.block), (nowhere(), None));
                assert_eq!(&skipped.edge.unwrap().name[..], b"gone");
            }
            Step::Need(cid) => walk.supply(&cid, dag.get(&cid)).unwrap(),
            Step::Item(visit) => visited.push(visit.cid),
            Step::Done => break,
        }
    }
    assert_eq!(visited, [root, leaf]);
    assert!(walk.skip().is_none());
}

#[test]
fn more_roots_share_what_was_seen() {
    let mut dag = Dag::default();
    let [root, left, right, ..] = diamond(&mut dag);
    let mut walk = DagWalk::new(left);
    assert_eq!(dag.drive(&mut walk).unwrap().len(), 3);
    walk.add_root(right.clone());
    walk.add_root(root.clone());
    assert_eq!(cids(&dag.drive(&mut walk).unwrap()), [right, root]);
    assert_eq!(walk.visited(), 5);
}

#[test]
fn a_bomb_is_small_when_unique_and_stops_at_the_limit_when_not() {
    let mut dag = Dag::default();
    let mut cid = dag.raw(b"boom");
    for _ in 0..60 {
        cid = dag.directory(&[(b"a", &cid), (b"b", &cid)]);
    }
    assert_eq!(dag.run(DagWalk::new(cid.clone())).unwrap().len(), 61);
    let limits = Limits {
        blocks: 10_000,
        ..Limits::default()
    };
    let options = WalkOptions {
        unique: false,
        limits,
        ..WalkOptions::default()
    };
    let error = dag.run(DagWalk::with_options(cid, options)).unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Limit {
                what: Limit::Blocks,
                max: 10_000,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn depth_costs_no_stack() {
    let mut dag = Dag::default();
    let mut cid = dag.raw(b"deep");
    for _ in 0..100_000 {
        cid = dag.directory(&[(b"d", &cid)]);
    }
    assert_eq!(dag.run(DagWalk::new(cid)).unwrap().len(), 100_001);
}

#[test]
fn links_that_wait_are_bounded() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"x");
    let root = dag.directory(&vec![(&b"n"[..], &leaf); 500]);
    let limits = Limits {
        pending_links: 499,
        ..Limits::default()
    };
    let options = WalkOptions {
        limits,
        ..WalkOptions::default()
    };
    let error = dag.run(DagWalk::with_options(root, options)).unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Limit {
                what: Limit::PendingLinks,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn the_same_digest_under_other_codecs_versions_and_identities_is_another_block() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"x");
    let node = dag.directory(&[(b"x", &leaf)]);
    let as_raw = Cid::v1(codec::RAW, node.hash().clone());
    let v0 = node.to_v0().unwrap();
    let inline = |text: &[u8]| {
        let hash = ipfs_kit_blockstore::Multihash::new(0, text).unwrap();
        Cid::v1(codec::RAW, hash)
    };
    let (one, two) = (
        inline(b"same first sixteen bytes 1"),
        inline(b"same first sixteen bytes 2"),
    );
    let all = [&node, &as_raw, &v0, &one, &two, &one, &node];
    let root = dag.directory(&all.map(|cid| (&b"n"[..], cid)));
    let options = WalkOptions {
        load_leaves: false,
        max_depth: Some(1),
        ..WalkOptions::default()
    };
    let mut walk = DagWalk::with_options(root.clone(), options);
    let mut visited = Vec::new();
    loop {
        match walk.step().unwrap() {
            Step::Need(cid) if cid == v0 => walk.supply(&cid, dag.get(&node)).unwrap(),
            Step::Need(cid) => walk.supply(&cid, dag.get(&cid)).unwrap(),
            Step::Item(visit) => visited.push(visit.cid),
            Step::Done => break,
        }
    }
    assert_eq!(visited.len(), 6);
    let expected = BTreeSet::from([root, node, as_raw, v0, one, two]);
    assert_eq!(visited.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn other_codecs_are_followed_too() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"leaf");
    let json = format!("{{\"a\":[{{\"/\":\"{leaf}\"}}],\"b\":1}}");
    let root = dag.put(codec::DAG_JSON, json.into_bytes());
    let visits = dag.run(DagWalk::new(root.clone())).unwrap();
    assert_eq!(cids(&visits), [root, leaf]);
    let broken = dag.put(codec::DAG_CBOR, vec![0xff]);
    assert!(matches!(
        dag.run(DagWalk::new(broken)),
        Err(ReadError::Codec { .. })
    ));
}
