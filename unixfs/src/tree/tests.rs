use super::*;
use crate::names::NameFault;
use crate::node::UnixFs;
use crate::test_dag::{Dag, link};

fn list(dag: &Dag, root: &Cid) -> Vec<String> {
    let entries = dag.run(TreeReader::new(root.clone())).unwrap();
    let text = |entry: TreeEntry| {
        let path = String::from_utf8(entry.path.to_vec()).unwrap();
        match entry.content {
            TreeContent::Directory => format!("{path}/"),
            TreeContent::File(reader) => format!("{path} {}", reader.size().unwrap()),
            TreeContent::Symlink(to) => format!("{path} -> {}", String::from_utf8_lossy(&to)),
        }
    };
    entries.into_iter().map(text).collect()
}

#[test]
fn a_tree_comes_parents_first_in_the_order_of_the_links() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"12345");
    let file = dag.file(b"", &[(leaf.clone(), 5), (leaf.clone(), 5)]);
    let symlink = dag.symlink(b"../../etc");
    let metadata = dag.node(&UnixFs::new(Kind::Metadata), vec![link(&leaf, None, 5)]);
    let empty = dag.directory(&[]);
    let inner = dag.directory(&[(b"big", &file), (b"link", &symlink), (b"meta", &metadata)]);
    let root = dag.directory(&[(b"a", &leaf), (b"dir", &inner), (b"none", &empty)]);
    let expected = [
        "/",
        "a 5",
        "dir/",
        "dir/big 10",
        "dir/link -> ../../etc",
        "dir/meta 5",
        "none/",
    ];
    assert_eq!(list(&dag, &root), expected);
    // Only first blocks were needed.
    assert_eq!(dag.asked().len(), 8);
    assert_eq!(list(&dag, &leaf), [" 5"]);
    assert_eq!(list(&dag, &symlink), [" -> ../../etc"]);
}

#[test]
fn sharded_directories_are_part_of_a_tree() {
    let mut dag = Dag::default();
    let file = dag.raw(b"x");
    let entries: Vec<_> = (0..500)
        .map(|i| (format!("{i}").into_bytes(), file.clone()))
        .collect();
    let sharded = dag.sharded(16, &entries);
    let root = dag.directory(&[(b"s", &sharded), (b"t", &sharded)]);
    assert_eq!(list(&dag, &root).len(), 1003);
}

#[test]
fn raw_files_can_be_deferred() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"12345");
    let root = dag.directory(&[(b"a", &leaf), (b"b", &leaf)]);
    let options = TreeOptions {
        defer_raw: true,
        ..TreeOptions::default()
    };
    let entries = dag
        .run(TreeReader::with_options(root.clone(), options))
        .unwrap();
    assert_eq!(dag.asked(), [root]);
    for entry in entries.into_iter().skip(1) {
        let TreeContent::File(reader) = entry.content else {
            panic!()
        };
        assert_eq!(reader.size(), None);
        assert_eq!(dag.run(reader).unwrap().concat(), b"12345");
    }
}

#[test]
fn names_and_parents_of_entries() {
    let entry = |path: &'static str| TreeEntry {
        path: Bytes::from_static(path.as_bytes()),
        cid: crate::test_dag::nowhere(),
        content: TreeContent::Directory,
        attributes: Attributes::default(),
    };
    for (path, parent, name) in [
        ("", "", ""),
        ("a", "", "a"),
        ("a/b", "a", "b"),
        ("a/b/c", "a/b", "c"),
    ] {
        assert_eq!(entry(path).parent(), parent.as_bytes());
        assert_eq!(entry(path).name(), name.as_bytes());
    }
}

/// CVE-2020-26279.
#[test]
fn a_directory_with_an_unsafe_name_is_refused_before_its_entries() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"x");
    let cases: &[(&[u8], NameFault)] = &[
        (b"", NameFault::Empty),
        (b".", NameFault::Dot),
        (b"..", NameFault::DotDot),
        (b"../x", NameFault::Slash),
        (b"a/../../x", NameFault::Slash),
        (b"/etc/passwd", NameFault::Slash),
        (b"a\0", NameFault::Nul),
        (&[b'n'; 256], NameFault::TooLong),
    ];
    for (name, expected) in cases {
        let inner = dag.directory(&[(b"good", &leaf), (name, &leaf)]);
        let root = dag.directory(&[(b"inner", &inner)]);
        let mut tree = TreeReader::new(root);
        let mut seen = Vec::new();
        let error = loop {
            match tree.step() {
                Ok(Step::Need(cid)) => {
                    if let Err(error) = tree.supply(&cid, dag.get(&cid)) {
                        break error;
                    }
                }
                Ok(Step::Item(entry)) => seen.push(entry.path),
                Ok(Step::Done) => panic!("accepted {name:?}"),
                Err(error) => break error,
            }
        };
        assert_eq!(seen, [""], "nothing of the directory was given");
        let ReadError::UnsafeName { fault, cid, .. } = error else {
            panic!("{error}")
        };
        assert_eq!((fault, cid), (*expected, inner));
    }
    let twice = dag.directory(&[(b"b", &leaf), (b"a", &leaf), (b"b", &leaf)]);
    let error = dag.run(TreeReader::new(twice)).unwrap_err();
    assert!(matches!(error, ReadError::DuplicateName { name, .. } if name == b"b"));
    let windows = dag.directory(&[(b"a\\..\\b", &leaf)]);
    let options = TreeOptions {
        names: NameRules::Windows,
        ..TreeOptions::default()
    };
    assert!(
        dag.run(TreeReader::with_options(windows.clone(), options))
            .is_err()
    );
    assert_eq!(list(&dag, &windows).len(), 2);
}

/// A HAMT entry can have an unsafe name in the right slot.
#[test]
fn a_shard_with_an_unsafe_name_is_refused() {
    for name in [&b".."[..], b"a/b", b"."] {
        let mut dag = Dag::default();
        let leaf = dag.raw(b"x");
        let slot = (crate::hamt::name_hash(name) >> 56) as usize;
        let mut message = UnixFs::new(Kind::HamtShard);
        let mut field = vec![0_u8; 32];
        field[31 - slot / 8] |= 1 << (slot % 8);
        message.data = Some(field.into());
        message.hash_type = Some(0x22);
        message.fanout = Some(256);
        let mut full = format!("{slot:02X}").into_bytes();
        full.extend_from_slice(name);
        let root = dag.node(&message, vec![link(&leaf, Some(&full), 1)]);
        let error = dag.run(TreeReader::new(root)).unwrap_err();
        assert!(matches!(error, ReadError::UnsafeName { .. }), "{error}");
    }
}

#[test]
fn targets_that_cannot_be_stored_are_refused() {
    let mut dag = Dag::default();
    for target in [&b""[..], b"a\0b", &[b'x'; 4096]] {
        let root = dag.symlink(target);
        let error = dag.run(TreeReader::new(root)).unwrap_err();
        assert!(matches!(error, ReadError::SymlinkTarget { .. }), "{error}");
    }
}

#[test]
fn bombs_stop_at_the_limits() {
    let mut dag = Dag::default();
    let mut bomb = dag.raw(b"boom");
    for _ in 0..60 {
        bomb = dag.directory(&[(b"a", &bomb), (b"b", &bomb)]);
    }
    let mut deep = dag.raw(b"deep");
    for _ in 0..100_000 {
        deep = dag.directory(&[(b"d", &deep)]);
    }
    let long_name = [b'n'; 255];
    let mut long = dag.raw(b"long");
    for _ in 0..20 {
        long = dag.directory(&[(&long_name, &long)]);
    }
    let leaf = dag.raw(b"1234");
    let heavy = dag.directory(&[(b"a", &leaf), (b"b", &leaf)]);
    let stopped = |root: &Cid, limits| {
        let options = TreeOptions {
            limits,
            ..TreeOptions::default()
        };
        match dag.run(TreeReader::with_options(root.clone(), options)) {
            Err(ReadError::Limit { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    };
    let few = Limits {
        entries: 1000,
        ..Limits::default()
    };
    assert_eq!(stopped(&bomb, few), Limit::Entries);
    assert_eq!(stopped(&deep, Limits::default()), Limit::Depth);
    assert_eq!(stopped(&long, Limits::default()), Limit::PathBytes);
    let light = Limits {
        content_bytes: 7,
        ..Limits::default()
    };
    assert_eq!(stopped(&heavy, light), Limit::ContentBytes);
}

#[test]
fn wants_name_the_needed_block_first() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"12345");
    let file = dag.file(b"", &[(leaf.clone(), 5)]);
    let inner = dag.directory(&[(b"f", &file), (b"g", &leaf)]);
    let root = dag.directory(&[(b"a", &inner), (b"b", &leaf)]);
    let mut tree = TreeReader::new(root);
    let mut wants = Vec::new();
    loop {
        wants.clear();
        match tree.step().unwrap() {
            Step::Need(cid) => {
                tree.wants(10, &mut wants);
                assert_eq!(wants.first(), Some(&cid));
                tree.supply(&cid, dag.get(&cid)).unwrap();
            }
            Step::Item(_) => {}
            Step::Done => break,
        }
    }
}
