use std::collections::HashMap;

use ipfs_kit_blockstore::{HashFunction, HashSpec, Version, codec};

use super::*;
use crate::options::FileOptions;
use crate::{FileBuilder, FileReader, LeafEncoder};

#[derive(Default)]
struct Memory {
    blocks: HashMap<Cid, Bytes>,
    read: usize,
    put: usize,
}

impl BlockAccess for Memory {
    type Error = EditError;

    fn get(&mut self, cid: &Cid) -> Result<Bytes, EditError> {
        self.read += 1;
        if cid.hash().is_identity() {
            return Ok(Bytes::copy_from_slice(cid.hash().digest()));
        }
        Ok(self.blocks[cid].clone())
    }

    fn put(&mut self, block: Block) -> Result<(), EditError> {
        self.put += 1;
        let (cid, data) = block.into_parts();
        self.blocks.insert(cid, data);
        Ok(())
    }
}

impl Memory {
    fn content(&mut self, root: &Cid) -> Vec<u8> {
        let mut content = Vec::new();
        crate::run::<_, EditError>(
            &mut FileReader::new(root.clone()),
            |cid| self.get(cid),
            |piece| {
                content.extend_from_slice(&piece);
                Ok(())
            },
        )
        .unwrap();
        content
    }

    fn add(&mut self, data: &[u8], options: &FileOptions) -> Cid {
        let mut builder = FileBuilder::new(options).unwrap();
        let leaves = LeafEncoder::new(options);
        let mut out = Vec::new();
        for chunk in data.chunks(100) {
            let (root, block) = leaves
                .leaf(Bytes::copy_from_slice(chunk), data.len() <= 100)
                .unwrap();
            out.extend(block);
            builder.push(root, &mut out).unwrap();
        }
        let root = builder.finish(&mut out).unwrap();
        out.into_iter().for_each(|block| self.put(block).unwrap());
        root.cid
    }

    fn open(&mut self, cid: &Cid, raw_leaves: Option<bool>) -> FileEditor {
        let block = self.get(cid).unwrap();
        FileEditor::open(cid, block, &options(raw_leaves)).unwrap()
    }
}

fn options(raw_leaves: Option<bool>) -> EditOptions {
    EditOptions {
        raw_leaves,
        chunker: Chunker::Size(50),
        max_links: 5,
        now: Mtime {
            seconds: 1_700_000_000,
            nanos: 5,
        },
    }
}

struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % bound
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

/// Every kind of file that there may be, edited at random, has the bytes that a plain vector has.
#[test]
fn edits_are_those_of_a_vector() {
    let identity = CidSpec::new(Version::V1, HashSpec::from(HashFunction::IDENTITY), None);
    for seed in 1..=40u64 {
        let mut draw = Draw(seed * 0x9e37_79b9_7f4a);
        let mut store = Memory::default();
        let len = [0, 1, 100, 101, 1000, 5000][draw.below(6)];
        let mut expected = draw.bytes(len);
        let mut root = store.add(
            &expected,
            &FileOptions {
                cid: [CidSpec::V0, CidSpec::V1][draw.below(2)],
                raw_leaves: draw.below(2) == 0,
                layout: [crate::Layout::Balanced, crate::Layout::Trickle][draw.below(2)],
                max_links: [3, 5, 8][draw.below(3)],
                ..FileOptions::default()
            },
        );
        if seed % 10 == 0 {
            let small = vec![7; 90];
            root = identity.clone().unwrap().cid(codec::RAW, &small).unwrap();
            expected = small;
        }
        for step in 0..30 {
            let mut editor = store.open(&root, [None, Some(true), Some(false)][draw.below(3)]);
            assert_eq!(
                editor.size(),
                expected.len() as u64,
                "seed {seed}, step {step}"
            );
            if draw.below(3) == 0 {
                let len = draw.below(expected.len() + 200);
                editor.set_len(&mut store, len as u64).unwrap();
                expected.resize(len, 0);
            }
            if draw.below(4) > 0 {
                let offset = draw.below(expected.len() + 100);
                let len = [0, 1, 49, 50, 51, 700][draw.below(6)];
                let data = draw.bytes(len);
                editor
                    .write(&mut store, offset as u64, data.clone().into())
                    .unwrap();
                let end = offset + data.len();
                expected.resize(expected.len().max(offset).max(end), 0);
                expected[offset..end].copy_from_slice(&data);
            }
            let written = editor.finish(&mut store).unwrap();
            assert_eq!(written.file_size, expected.len() as u64);
            root = written.cid;
            assert!(store.content(&root) == expected, "seed {seed}, step {step}");
        }
    }
}

#[test]
fn an_edit_touches_leaves_and_their_path_only() {
    let mut store = Memory::default();
    let data = Draw(5).bytes(100_000);
    let root = store.add(
        &data,
        &FileOptions {
            max_links: 10,
            ..FileOptions::default()
        },
    );
    let mut editor = store.open(&root, None);
    (store.read, store.put) = (0, 0);
    editor
        .write(&mut store, 50_050, Bytes::from_static(&[1; 60]))
        .unwrap();
    editor.finish(&mut store).unwrap();
    // Two leaves, three levels of nodes, of which the root was there.
    assert!(
        store.read <= 6 && store.put <= 6,
        "{} read, {} put",
        store.read,
        store.put
    );
    (store.read, store.put) = (0, 0);
    editor.set_len(&mut store, 500).unwrap();
    editor.finish(&mut store).unwrap();
    assert!(
        store.read <= 3 && store.put <= 4,
        "{} read, {} put",
        store.read,
        store.put
    );
}

#[test]
fn a_hole_costs_little_however_long_it_is() {
    let mut store = Memory::default();
    let root = store.add(b"start", &FileOptions::default());
    for raw_leaves in [false, true] {
        let mut editor = store.open(&root, Some(raw_leaves));
        store.put = 0;
        editor
            .write(&mut store, 1 << 60, Bytes::from_static(b"end"))
            .unwrap();
        assert_eq!(editor.finish(&mut store).unwrap().file_size, (1 << 60) + 3);
        assert!(store.put < 5_000, "{} blocks", store.put);
        editor.set_len(&mut store, 10_000_001).unwrap();
        let root = editor.finish(&mut store).unwrap().cid;
        let mut expected = vec![0; 10_000_001];
        expected[..5].copy_from_slice(b"start");
        assert!(store.content(&root) == expected);
    }
}

#[test]
fn a_time_is_moved_on_by_an_edit_and_a_mode_is_kept() {
    let mut store = Memory::default();
    let root = store.add(b"content", &FileOptions::default());
    let block = store.get(&root).unwrap();
    let (root, block) = set_attributes(&root, block, &mut |mode, mtime| {
        *mode = Some(0o640);
        *mtime = Some(Mtime {
            seconds: 1,
            nanos: 0,
        });
    })
    .unwrap();
    store.put(block.unwrap()).unwrap();
    let mut editor = store.open(&root.cid, None);
    editor
        .write(&mut store, 3, Bytes::from_static(b"x"))
        .unwrap();
    let root = editor.finish(&mut store).unwrap().cid;
    let stat = crate::NodeStat::of(&root, store.get(&root).unwrap()).unwrap();
    assert_eq!(stat.attributes.mode, Some(0o640));
    assert_eq!(stat.attributes.mtime, Some(options(None).now));
    assert_eq!(store.content(&root), b"conxent");
}

#[test]
fn what_is_no_file_or_lies_about_sizes_is_refused() {
    let mut store = Memory::default();
    let (link, block) = crate::symlink(b"target", None, &CidSpec::V0).unwrap();
    let opened = FileEditor::open(&link.cid, block.unwrap().data().clone(), &options(None));
    assert!(matches!(opened, Err(EditError::NotAFile(Kind::Symlink))));

    // A parent that says its leaf has more bytes than it has.
    let leaf = store.add(
        b"short",
        &FileOptions {
            raw_leaves: true,
            ..FileOptions::default()
        },
    );
    let mut node = node::FileNode::new(CidSpec::V0);
    for _ in 0..2 {
        node.push(Root {
            cid: leaf.clone(),
            file_size: 90,
            tsize: 5,
        });
    }
    let root = node.write(&mut store).unwrap();
    let mut editor = store.open(&root.cid, None);
    let refused = editor.write(&mut store, 10, Bytes::from_static(b"x"));
    assert!(matches!(refused, Err(EditError::Read(_))), "{refused:?}");
    let mut editor = store.open(&root.cid, None);
    let refused = editor.set_len(&mut store, 95);
    assert!(matches!(refused, Err(EditError::Read(_))), "{refused:?}");
    let far = editor.write(&mut store, u64::MAX, Bytes::from_static(b"x"));
    assert!(matches!(far, Err(EditError::TooLong)), "{far:?}");
}
