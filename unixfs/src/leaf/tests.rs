use bytes::Bytes;
use ipfs_kit_blockstore::codec::dag_pb::PbNode;

use super::*;
use crate::node::UnixFs;

fn options(layout: Layout, raw_leaves: bool) -> FileOptions {
    FileOptions {
        layout,
        raw_leaves,
        mode: Some(0o7777),
        mtime: Some(Mtime {
            seconds: -1,
            nanos: 999_999_999,
        }),
        ..FileOptions::default()
    }
}

/// The leaf as the codecs would encode it.
fn encoded(kind: Kind, chunk: &Bytes, mode: Option<u32>, mtime: Option<Mtime>) -> Vec<u8> {
    let mut message = UnixFs::new(kind);
    message.data = (!chunk.is_empty()).then(|| chunk.clone());
    message.file_size = Some(chunk.len() as u64);
    message.mode = mode;
    message.mtime = mtime;
    let node = PbNode {
        links: Vec::new(),
        data: Some(message.encode().into()),
    };
    node.encode()
}

#[test]
fn frames_are_what_the_codecs_write() {
    for len in [0, 1, 127, 128, 16_383, 16_384, 262_144, MAX_BLOCK_LEN] {
        let chunk = Bytes::from(vec![7; len]);
        for (layout, kind) in [(Layout::Balanced, Kind::File), (Layout::Trickle, Kind::Raw)] {
            let options = options(layout, false);
            let encoder = LeafEncoder::new(&options);
            for sole in [false, true] {
                let frame = encoder.frame(len, sole).unwrap();
                let joined = [frame.head(), &chunk, frame.tail()].concat();
                let (mode, mtime) = match sole && kind == Kind::File {
                    true => (options.mode, options.mtime),
                    false => (None, None),
                };
                assert_eq!(
                    joined,
                    encoded(kind, &chunk, mode, mtime),
                    "{len} {layout:?} {sole}"
                );
                assert!(frame.head().len() <= HEADROOM && frame.tail().len() <= TAILROOM);
                let (root, block) = encoder.leaf(chunk.clone(), sole).unwrap();
                assert_eq!(
                    (root.file_size, root.tsize),
                    (len as u64, joined.len() as u64)
                );
                assert_eq!(block.unwrap().data(), &joined);
            }
        }
    }
}

#[test]
fn raw_leaves_share_the_chunk() {
    let encoder = LeafEncoder::new(&options(Layout::Balanced, true));
    let chunk = Bytes::from_static(b"content");
    let (root, block) = encoder.leaf(chunk.clone(), true).unwrap();
    assert!(!encoder.sole_differs());
    assert_eq!(root.tsize, 7);
    assert_eq!(block.unwrap().data().as_ptr(), chunk.as_ptr());
}

#[test]
fn an_inlined_leaf_has_no_block() {
    let spec = CidSpec::new(
        ipfs_kit_blockstore::Version::V0,
        Default::default(),
        Some(7),
    )
    .unwrap();
    let options = FileOptions {
        cid: spec,
        raw_leaves: true,
        ..FileOptions::default()
    };
    let encoder = LeafEncoder::new(&options);
    let (root, block) = encoder.leaf(Bytes::from_static(b"content"), true).unwrap();
    assert_eq!(root.cid.hash().digest(), b"content");
    assert_eq!(block, None);
    assert!(
        encoder
            .leaf(Bytes::from_static(b"content."), true)
            .unwrap()
            .1
            .is_some()
    );
}

#[test]
fn a_chunk_beyond_the_block_limit_is_refused() {
    let encoder = LeafEncoder::new(&FileOptions::default());
    let error = encoder.frame(MAX_BLOCK_LEN + 1, false).unwrap_err();
    assert_eq!(error, FileError::ChunkTooLong(MAX_BLOCK_LEN + 1));
}
