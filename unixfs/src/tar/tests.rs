use super::*;
use crate::node::{Kind, UnixFs};
use crate::test_dag::{Dag, link};

const NOW: Mtime = Mtime {
    seconds: 1_700_000_000,
    nanos: 0,
};

fn archive(dag: &Dag, root: &Cid, name: &str) -> Vec<u8> {
    dag.run(TarReader::new(root.clone(), name.as_bytes(), NOW).unwrap())
        .unwrap()
        .concat()
}

fn text(block: &[u8]) -> String {
    let end = block
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(block.len());
    String::from_utf8(block[..end].to_vec()).unwrap()
}

#[test]
fn entries_have_headers_content_and_padding() {
    let mut dag = Dag::default();
    let small = dag.raw(b"hello");
    let full = dag.raw(&[7; 512]);
    let symlink = dag.symlink(b"small");
    let root = dag.directory(&[(b"full", &full), (b"link", &symlink), (b"small", &small)]);
    let tar = archive(&dag, &root, "top");
    let blocks: Vec<&[u8]> = tar.chunks(512).collect();
    assert_eq!(blocks.len(), 4 + 1 + 1 + 2);
    let heads = [0, 1, 3, 4].map(|at| (text(&blocks[at][..100]), blocks[at][156]));
    let expected = [
        ("top", b'5'),
        ("top/full", b'0'),
        ("top/link", b'2'),
        ("top/small", b'0'),
    ];
    assert_eq!(heads, expected.map(|(name, kind)| (name.to_owned(), kind)));
    assert_eq!(blocks[2], [7; 512]);
    assert_eq!(text(&blocks[3][157..257]), "small");
    assert_eq!(&blocks[5][..6], b"hello\0");
    assert!(blocks[6..].iter().all(|block| *block == [0; 512]));
}

#[test]
fn mode_and_time_are_stored_or_usual() {
    let mut dag = Dag::default();
    let mut message = UnixFs::new(Kind::File);
    message.mode = Some(0o4711);
    message.mtime = Some(Mtime {
        seconds: 8,
        nanos: 500_000_000,
    });
    let with = dag.node(&message, Vec::new());
    let without = dag.raw(b"");
    let field = |dag: &Dag, cid: &Cid| {
        let tar = archive(dag, cid, "f");
        (text(&tar[100..108]), text(&tar[136..148]))
    };
    assert_eq!(field(&dag, &with), ("0004711".into(), "00000000011".into()));
    assert_eq!(
        field(&dag, &without),
        ("0000644".into(), "14524770400".into())
    );
    let directory = dag.directory(&[]);
    assert_eq!(field(&dag, &directory).0, "0000755");
    let symlink = dag.symlink(b"x");
    assert_eq!(field(&dag, &symlink).0, "0000777");
}

/// Names that a tar reader would take out of its directory are refused, those of the root too.
#[test]
fn unsafe_names_are_refused() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"x");
    for name in ["", ".", "..", "a/b", "/a", "a\0"] {
        assert!(
            TarReader::new(leaf.clone(), name.as_bytes(), NOW).is_err(),
            "{name:?}"
        );
        let root = dag.directory(&[(name.as_bytes(), &leaf)]);
        let tar = TarReader::new(root, b"top", NOW).unwrap();
        assert!(
            matches!(dag.run(tar), Err(ReadError::UnsafeName { .. })),
            "{name:?}"
        );
    }
}

#[test]
fn contents_are_slices_of_the_blocks() {
    let mut dag = Dag::default();
    let leaf = dag.raw(&[3; 600]);
    let block = dag.get(&leaf);
    let pieces = dag.run(TarReader::new(leaf, b"f", NOW).unwrap()).unwrap();
    assert_eq!(pieces[1].as_ptr(), block.as_ptr());
    assert_eq!(
        pieces.iter().map(Bytes::len).sum::<usize>(),
        512 + 1024 + 1024
    );
}

#[test]
fn files_behind_metadata_and_of_many_blocks_are_complete() {
    let mut dag = Dag::default();
    let leaf = dag.raw(&[9; 700]);
    let file = dag.file(b"", &[(leaf.clone(), 700), (leaf, 700)]);
    let root = dag.node(&UnixFs::new(Kind::Metadata), vec![link(&file, None, 1400)]);
    let tar = archive(&dag, &root, "m");
    assert_eq!(text(&tar[124..136]), "00000002570");
    assert!(tar[512..1912].iter().all(|byte| *byte == 9));
    assert!(tar[1912..].iter().all(|byte| *byte == 0));
    assert_eq!(tar.len(), 512 + 1536 + 1024);
}
