use proptest::prelude::*;

use super::*;
use crate::test_dag::{Dag, link, nowhere};

/// A file of random shape: what its bytes are, and its root.
fn build(dag: &mut Dag, shape: &Shape, content: &mut Vec<u8>) -> (Cid, u64) {
    match shape {
        Shape::Raw(bytes) => {
            content.extend_from_slice(bytes);
            (dag.raw(bytes), bytes.len() as u64)
        }
        Shape::Node(inline, children) => {
            let start = content.len();
            content.extend_from_slice(inline);
            let children: Vec<_> = children
                .iter()
                .map(|child| build(dag, child, content))
                .collect();
            (dag.file(inline, &children), (content.len() - start) as u64)
        }
    }
}

#[derive(Clone, Debug)]
enum Shape {
    Raw(Vec<u8>),
    Node(Vec<u8>, Vec<Shape>),
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..20)
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        bytes().prop_map(Shape::Raw),
        bytes().prop_map(|inline| Shape::Node(inline, Vec::new())),
    ];
    leaf.prop_recursive(4, 60, 6, |inner| {
        // Most inner nodes hold no bytes of their own.
        let inline = prop_oneof![3 => Just(Vec::new()), 1 => bytes()];
        (inline, proptest::collection::vec(inner, 0..6)).prop_map(|(i, c)| Shape::Node(i, c))
    })
}

fn flat(pieces: Vec<Bytes>) -> Vec<u8> {
    pieces.concat()
}

proptest! {
    #[test]
    fn any_range_of_any_layout_is_the_same_range_of_the_bytes(
        shape in shape(),
        ranges in proptest::collection::vec((0_u64..300, 0_u64..300), 1..8),
    ) {
        let (mut dag, mut content) = (Dag::default(), Vec::new());
        let (root, size) = build(&mut dag, &shape, &mut content);
        let mut reader = FileReader::new(root.clone());
        prop_assert_eq!(flat(dag.drive(&mut reader).unwrap()), content.clone());
        prop_assert_eq!(reader.size(), Some(size));
        for (start, len) in ranges {
            let cut = |at: u64| (at as usize).min(content.len());
            let expected = &content[cut(start)..cut(start + len)];
            // The reader that has read other ranges before, and a new one.
            reader.set_range(start..start + len);
            prop_assert_eq!(flat(dag.drive(&mut reader).unwrap()), expected);
            let mut fresh = FileReader::new(root.clone());
            fresh.set_range(start..start + len);
            prop_assert_eq!(flat(dag.drive(&mut fresh).unwrap()), expected);
        }
    }

    #[test]
    fn wants_are_the_blocks_that_come_next(shape in shape(), start in 0_u64..100) {
        let (mut dag, mut content) = (Dag::default(), Vec::new());
        let (root, _) = build(&mut dag, &shape, &mut content);
        let mut reader = FileReader::new(root);
        reader.seek(start);
        let mut wants = Vec::new();
        loop {
            reader.wants(3, &mut wants);
            prop_assert!(wants.len() <= 3);
            match reader.step().unwrap() {
                Step::Need(cid) => {
                    prop_assert_eq!(wants.first(), Some(&cid));
                    reader.supply(&cid, dag.get(&cid)).unwrap();
                }
                Step::Item(_) => {}
                Step::Done => break,
            }
            wants.clear();
        }
        prop_assert!(wants.is_empty());
    }
}

/// Four leaves of ten bytes below two nodes.
fn two_levels(dag: &mut Dag) -> (Cid, [Cid; 2], [Cid; 4]) {
    let leaves = [b'a', b'b', b'c', b'd'].map(|letter| dag.raw(&[letter; 10]));
    let [a, b, c, d] = leaves.clone().map(|cid| (cid, 10));
    let left = dag.file(b"", &[a, b]);
    let right = dag.file(b"", &[c, d]);
    (
        dag.file(b"", &[(left.clone(), 20), (right.clone(), 20)]),
        [left, right],
        leaves,
    )
}

#[test]
fn a_range_touches_only_the_blocks_that_hold_it() {
    let mut dag = Dag::default();
    let (root, [left, right], [_, b, c, d]) = two_levels(&mut dag);
    let mut reader = FileReader::new(root.clone());
    reader.set_range(15..18);
    assert_eq!(flat(dag.drive(&mut reader).unwrap()), b"bbb");
    assert_eq!(dag.asked(), [root, left, b]);
    // Going on from there needs neither the root nor the leaf again.
    reader.set_range(18..25);
    assert_eq!(flat(dag.drive(&mut reader).unwrap()), b"bbccccc");
    assert_eq!(dag.asked(), [right.clone(), c]);
    reader.set_range(30..31);
    assert_eq!(flat(dag.drive(&mut reader).unwrap()), b"d");
    assert_eq!(dag.asked(), [d]);
    // Behind the end and nothing at all.
    for range in [40..50, 100..u64::MAX, 7..7] {
        reader.set_range(range);
        assert!(dag.drive(&mut reader).unwrap().is_empty());
    }
    assert!(dag.asked().is_empty());
    // Back into the left half.
    reader.set_range(0..1);
    assert_eq!(flat(dag.drive(&mut reader).unwrap()), b"a");
    assert_eq!(dag.asked().len(), 2);
}

#[test]
fn a_range_that_is_set_before_the_root_is_known_holds() {
    let mut dag = Dag::default();
    let (root, [left, _], [_, b, ..]) = two_levels(&mut dag);
    let mut reader = FileReader::new(root.clone());
    assert_eq!(reader.step().unwrap(), Step::Need(root.clone()));
    reader.set_range(10..12);
    assert_eq!(flat(dag.drive(&mut reader).unwrap()), b"bb");
    assert_eq!(dag.asked(), [root, left, b]);
}

#[test]
fn pieces_are_slices_of_the_blocks() {
    let mut dag = Dag::default();
    let leaf = dag.raw(&[1; 100]);
    let block = dag.get(&leaf);
    let root = dag.file(b"", &[(leaf, 100)]);
    let pieces = dag.run(FileReader::new(root)).unwrap();
    assert_eq!(pieces[0].as_ptr(), block.as_ptr());
}

#[test]
fn sizes_that_do_not_add_up_are_refused() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"12345");
    let fault = |dag: &Dag, root| match dag.run(FileReader::new(root)) {
        Err(ReadError::File { fault, .. }) => fault,
        other => panic!("{other:?}"),
    };
    let mut message = UnixFs::new(Kind::File);
    message.block_sizes = vec![5, 5];
    let root = dag.node(&message, vec![link(&leaf, None, 5)]);
    assert_eq!(
        fault(&dag, root),
        FileFault::SizeCount { links: 1, sizes: 2 }
    );

    message.block_sizes = vec![5];
    message.file_size = Some(6);
    let root = dag.node(&message, vec![link(&leaf, None, 5)]);
    assert_eq!(
        fault(&dag, root),
        FileFault::SizeSum {
            declared: 6,
            actual: 5
        }
    );

    message.file_size = Some(5);
    let root = dag.node(&message, vec![link(&leaf, Some(b"x"), 5)]);
    assert_eq!(fault(&dag, root), FileFault::NamedLink);

    let root = dag.file(b"", &[(leaf.clone(), 6)]);
    assert_eq!(
        fault(&dag, root),
        FileFault::ChildSize {
            declared: 6,
            actual: 5
        }
    );
    let inner = dag.file(b"", &[(leaf.clone(), 5)]);
    let root = dag.file(b"", &[(inner, 4)]);
    assert_eq!(
        fault(&dag, root),
        FileFault::ChildSize {
            declared: 4,
            actual: 5
        }
    );

    message.block_sizes = vec![u64::MAX, 1];
    message.file_size = Some(0);
    let root = dag.node(&message, vec![link(&leaf, None, 5), link(&leaf, None, 5)]);
    assert_eq!(fault(&dag, root), FileFault::Overflow);
}

#[test]
fn what_is_not_a_file_is_refused() {
    let mut dag = Dag::default();
    let directory = dag.directory(&[]);
    let error = dag.run(FileReader::new(directory.clone())).unwrap_err();
    assert_eq!(error.to_string(), "this dag node is a directory");
    let symlink = dag.symlink(b"target");
    assert!(matches!(
        dag.run(FileReader::new(symlink)),
        Err(ReadError::NotAFile {
            kind: Kind::Symlink,
            ..
        })
    ));
    // As a part of a file a directory is no better.
    let root = dag.file(b"", &[(directory, 1)]);
    assert!(matches!(
        dag.run(FileReader::new(root)),
        Err(ReadError::NotAFile { .. })
    ));
    let cbor = dag.put(0x71, vec![0xa0]);
    assert!(matches!(
        dag.run(FileReader::new(cbor)),
        Err(ReadError::NotUnixFs { .. })
    ));
    let junk = dag.put(0x70, vec![0xff; 9]);
    assert!(matches!(
        dag.run(FileReader::new(junk)),
        Err(ReadError::Codec { .. })
    ));
    let empty = dag.put(0x70, Vec::new());
    assert!(matches!(
        dag.run(FileReader::new(empty)),
        Err(ReadError::Node { .. })
    ));
}

#[test]
fn metadata_leads_to_its_file() {
    let mut dag = Dag::default();
    let file = dag.raw(b"content");
    let message = UnixFs::new(Kind::Metadata);
    let root = dag.node(&message, vec![link(&file, None, 7)]);
    assert_eq!(
        flat(dag.run(FileReader::new(root.clone())).unwrap()),
        b"content"
    );
    let chain = dag.node(&message, vec![link(&root, None, 7)]);
    assert!(matches!(
        dag.run(FileReader::new(chain)),
        Err(ReadError::NotAFile { .. })
    ));
    let bare = dag.node(&message, Vec::new());
    assert!(matches!(
        dag.run(FileReader::new(bare)),
        Err(ReadError::File { .. })
    ));
}

#[test]
fn only_the_needed_block_is_taken() {
    let mut dag = Dag::default();
    let (root, ..) = two_levels(&mut dag);
    let mut reader = FileReader::new(root.clone());
    let refused = reader.supply(&nowhere(), Bytes::new());
    assert!(matches!(refused, Err(ReadError::NotNeeded { .. })));
    assert_eq!(reader.step().unwrap(), Step::Need(root.clone()));
    reader.supply(&root, dag.get(&root)).unwrap();
    assert!(reader.supply(&root, dag.get(&root)).is_err());
}

/// Sixty nodes of two equal links: 2^60 bytes and more in a few kilobytes.
#[test]
fn a_bomb_can_be_read_anywhere_in_bounded_memory() {
    let mut dag = Dag::default();
    let mut cid = dag.raw(b"boom");
    let mut size = 4_u64;
    for _ in 0..60 {
        cid = dag.file(b"", &[(cid.clone(), size), (cid, size)]);
        size *= 2;
    }
    let mut reader = FileReader::new(cid);
    reader.set_range(size / 3..size / 3 + 10);
    assert_eq!(flat(dag.drive(&mut reader).unwrap()).len(), 10);
    assert_eq!(reader.size(), Some(size));
    assert!(dag.asked().len() < 70);
    reader.seek(size - 3);
    assert_eq!(flat(dag.drive(&mut reader).unwrap()), b"oom");
    let mut wants = Vec::new();
    reader.seek(0);
    reader.wants(5, &mut wants);
    assert!(wants.len() <= 5);
}

#[test]
fn a_file_of_endless_depth_stops_at_the_limit() {
    let mut dag = Dag::default();
    let mut cid = dag.raw(b"deep");
    for _ in 0..100_000 {
        cid = dag.file(b"", &[(cid, 4)]);
    }
    let error = dag.run(FileReader::new(cid)).unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Limit {
                what: Limit::Depth,
                max: 128,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn links_that_wait_are_bounded() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"");
    let one = dag.raw(b"1");
    let mut children = vec![(leaf, 0); 100];
    children.push((one, 1));
    let root = dag.file(b"", &children);
    assert_eq!(flat(dag.run(FileReader::new(root.clone())).unwrap()), b"1");
    let limits = Limits {
        pending_links: 100,
        ..Limits::default()
    };
    let error = dag.run(FileReader::with_limits(root, limits)).unwrap_err();
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
fn attributes_are_those_of_the_root() {
    let mut dag = Dag::default();
    let mut message = UnixFs::new(Kind::File);
    message.mode = Some(0o104755);
    message.mtime = Some(Mtime {
        seconds: -5,
        nanos: 9,
    });
    let root = dag.node(&message, Vec::new());
    let mut reader = FileReader::new(root);
    assert!(dag.drive(&mut reader).unwrap().is_empty());
    let expected = Attributes {
        mode: Some(0o4755),
        mtime: message.mtime,
    };
    assert_eq!(reader.attributes(), expected);
    message.mode = Some(0o100000);
    assert_eq!(Attributes::of(&message).mode, None);
}
