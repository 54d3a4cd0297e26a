use std::io::{Read, Seek, SeekFrom};

use super::*;
use crate::Error;

fn node() -> Node {
    Node::builder().in_memory().open().unwrap()
}

fn add(node: &Node, sources: Vec<Source>, options: &AddOptions) -> String {
    node.files()
        .add(sources, options, &mut |_| Ok(()))
        .unwrap()
        .roots[0]
        .cid
        .to_string()
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

#[test]
fn content_comes_back_whole_and_in_parts() {
    let node = node();
    for len in [0, 1, 262_144, 262_145, 7_000_000] {
        let data = noise(len);
        for trickle in [false, true] {
            let options = AddOptions {
                trickle: Some(trickle),
                ..AddOptions::default()
            };
            let cid = add(&node, vec![Source::bytes("f", data.clone())], &options);
            let mut stream = node.files().cat(&cid).unwrap();
            assert_eq!(stream.size(), len as u64);
            let mut out = Vec::new();
            stream.copy_to(&mut out, None).unwrap();
            assert!(out == data, "{len} trickle {trickle}");

            stream.seek(SeekFrom::Start(len as u64 / 3)).unwrap();
            out.clear();
            stream.by_ref().take(300_000).read_to_end(&mut out).unwrap();
            let end = (len / 3 + 300_000).min(len);
            assert!(out == data[len / 3..end], "{len} trickle {trickle}");
            stream.seek(SeekFrom::End(0)).unwrap();
            assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
            assert!(stream.seek(SeekFrom::Current(-(len as i64) - 1)).is_err());
        }
    }
}

/// A directory with a file, a link to it, and a larger file one level down.
fn tree_of_three() -> (tempfile::TempDir, Node, String) {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("t");
    std::fs::create_dir_all(tree.join("sub")).unwrap();
    std::fs::write(tree.join("a"), "hello").unwrap();
    std::fs::write(tree.join("sub/big"), noise(600_000)).unwrap();
    std::os::unix::fs::symlink("a", tree.join("l")).unwrap();
    let node = node();
    let cid = add(&node, vec![Source::path(&tree)], &AddOptions::default());
    (dir, node, cid)
}

#[test]
fn directories_are_listed_and_fetched() {
    let (dir, node, cid) = tree_of_three();

    let mut seen = Vec::new();
    node.files()
        .ls(&cid, &LsOptions::default(), &mut |entry| {
            seen.push((entry.name, entry.kind, entry.size, entry.target));
            Ok(())
        })
        .unwrap();
    let entry = |name: &str, kind, size, target: Option<&str>| {
        (name.to_owned(), kind, size, target.map(str::to_owned))
    };
    let expected = [
        entry("a", EntryKind::File, 5, None),
        entry("l", EntryKind::Symlink, 1, Some("a")),
        entry("sub", EntryKind::Directory, 0, None),
    ];
    assert_eq!(seen, expected);
    assert_eq!(
        node.files().stat(&format!("{cid}/sub/big")).unwrap().size,
        600_000
    );
    assert!(
        matches!(node.files().cat(&cid), Err(Error::Read(_))),
        "a directory has no content"
    );
    assert!(matches!(
        node.files().stat(&format!("{cid}/nope")),
        Err(Error::Read(_))
    ));

    let out = dir.path().join("out");
    node.files().get(&cid, &out, &mut |_| Ok(())).unwrap();
    assert_eq!(std::fs::read_to_string(out.join("a")).unwrap(), "hello");
    assert_eq!(std::fs::read(out.join("sub/big")).unwrap(), noise(600_000));
    assert_eq!(
        std::fs::read_link(out.join("l")).unwrap(),
        std::path::Path::new("a")
    );
}

#[test]
fn archives_hold_the_tree_under_the_name_asked_for() {
    let (_dir, node, cid) = tree_of_three();
    let mut archive = Vec::new();
    node.files()
        .get_tar(&cid, Some("top"), Some(6), &mut archive, &mut |_| Ok(()))
        .unwrap();
    let mut paths = Vec::new();
    let mut reader = tar::Archive::new(flate2::read::GzDecoder::new(&archive[..]));
    for entry in reader.entries().unwrap() {
        paths.push(
            entry
                .unwrap()
                .path()
                .unwrap()
                .to_string_lossy()
                .trim_end_matches('/')
                .to_owned(),
        );
    }
    assert_eq!(paths, ["top", "top/a", "top/l", "top/sub", "top/sub/big"]);

    let mut packed = Vec::new();
    node.files()
        .get_gzip(&format!("{cid}/sub/big"), 1, &mut packed, &mut |_| Ok(()))
        .unwrap();
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, noise(600_000));
}
