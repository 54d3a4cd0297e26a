use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use ipfs_kit_blockstore::{Block, HashSpec, codec};
use proptest::prelude::*;

use super::*;
use crate::hamt::{Fanout, name_hash};
use crate::links::Root;
use crate::options::{CidSpec, DEFAULT_SHARDING_THRESHOLD};

/// Two names whose hashes are equal, made by running the hash function backwards.
const COLLIDING: [[u8; 32]; 2] = [
    *b"fhbaheddhhgcdcga\xd0\xc3\xa7\x19\xbe\x02K\xa7!)\xe4\xf3\x01!\xb2\xcd",
    *b"hdegeggfgdfaecfb\xf5\x8b{\xb2V\x05\x9c\x81\x9afFx_\xba\xe2~",
];

fn target(content: u8) -> Target {
    Target {
        cid: Cid::v1(codec::RAW, HashSpec::SHA2_256.digest(&[content]).unwrap()),
        tsize: u64::from(content) * 1000,
    }
}

fn options(threshold: u64, estimate: SizeEstimate, fanout: u64) -> DirectoryOptions {
    DirectoryOptions {
        cid: CidSpec::V1,
        threshold,
        estimate,
        fanout: Fanout::new(fanout).unwrap(),
        ..DirectoryOptions::default()
    }
}

type Model = BTreeMap<Vec<u8>, Target>;

fn build(options: &DirectoryOptions, entries: &Model) -> Result<Root, DirectoryError> {
    let mut builder = DirectoryBuilder::new(options.clone());
    for (name, target) in entries {
        builder.insert(name, target.cid.clone(), target.tsize)?;
    }
    builder.finish(&mut |_| {})
}

/// A directory with the blocks that it asks for.
struct Editor {
    directory: Directory,
    blocks: HashMap<Cid, Bytes>,
    asked: usize,
}

impl Editor {
    fn new(options: DirectoryOptions) -> Self {
        Self {
            directory: Directory::new(options),
            blocks: HashMap::new(),
            asked: 0,
        }
    }

    fn run<T>(
        &mut self,
        operation: impl Fn(&mut Directory) -> Result<Progress<T>, DirectoryError>,
    ) -> Result<T, DirectoryError> {
        loop {
            match operation(&mut self.directory)? {
                Progress::Done(result) => return Ok(result),
                Progress::Need(cids) => {
                    self.asked += cids.len();
                    for cid in cids {
                        self.directory.supply(&cid, &self.blocks[&cid])?;
                    }
                }
            }
        }
    }

    fn write(&mut self) -> Root {
        let mut keep = |block: Block| {
            let (cid, data) = block.into_parts();
            self.blocks.insert(cid, data);
        };
        self.directory.write(&mut keep).unwrap()
    }

    fn reload(&mut self) {
        let root = self.write();
        let options = self.directory.options().clone();
        self.directory = Directory::load(options, &root.cid, &self.blocks[&root.cid]).unwrap();
        assert_eq!(self.write(), root);
    }
}

fn many(count: usize) -> Model {
    (0..count)
        .map(|i| (format!("name {i}").into_bytes(), target(i as u8)))
        .collect()
}

#[test]
fn the_empty_directory_is_the_known_one() {
    let root = build(&DirectoryOptions::default(), &Model::new()).unwrap();
    assert_eq!(
        root.cid.to_string(),
        "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
    );
    assert_eq!(root.tsize, 4);
    // It is never a shard, however low the threshold.
    assert_eq!(
        build(&options(1, SizeEstimate::Block, 8), &Model::new())
            .unwrap()
            .tsize,
        4
    );
}

#[test]
fn the_block_estimate_is_the_length_of_the_block() {
    for mode in [None, Some(0), Some(0o755)] {
        for seconds in [None, Some(-1), Some(0), Some(1_700_000_000)] {
            let options = DirectoryOptions {
                mode,
                mtime: seconds.map(|seconds| Mtime { seconds, nanos: 5 }),
                ..options(u64::MAX, SizeEstimate::Block, 8)
            };
            let entries = many(50);
            let estimate = entries.iter().fold(
                empty_estimate(options.estimate, options.mode, options.mtime),
                |sum, (name, target)| {
                    let cid_len = target.cid.encoded_len();
                    sum + entry_estimate(options.estimate, name.len(), cid_len, target.tsize)
                },
            );
            let below: u64 = entries.values().map(|target| target.tsize).sum();
            assert_eq!(build(&options, &entries).unwrap().tsize - below, estimate);
        }
    }
}

#[test]
fn names_that_no_path_reaches_are_refused() {
    for name in [&b""[..], b"a/b", b"/"] {
        let mut builder = DirectoryBuilder::new(DirectoryOptions::default());
        let result = builder.insert(name, target(1).cid, 1);
        assert!(matches!(result, Err(DirectoryError::Name(_))));
        let result = Directory::new(DirectoryOptions::default()).insert(name, target(1));
        assert!(matches!(result, Err(DirectoryError::Name(_))));
    }
}

#[test]
fn of_a_repeated_name_the_last_entry_counts() {
    let mut builder = DirectoryBuilder::new(DirectoryOptions::default());
    for (name, content) in [("b", 1), ("a", 2), ("b", 3), ("b", 4)] {
        let Target { cid, tsize } = target(content);
        builder.insert(name.as_bytes(), cid, tsize).unwrap();
    }
    let entries = Model::from([(b"a".to_vec(), target(2)), (b"b".to_vec(), target(4))]);
    let expected = build(&DirectoryOptions::default(), &entries);
    assert_eq!(builder.finish(&mut |_| {}), expected);
}

#[test]
fn max_links_shards_or_fails_as_the_threshold_allows() {
    let (ten, eleven) = (many(10), many(11));
    let mut by_count = DirectoryOptions {
        max_links: 10,
        ..options(DEFAULT_SHARDING_THRESHOLD, SizeEstimate::Disabled, 8)
    };
    let sharded = |options: &DirectoryOptions, entries: &Model| {
        let mut editor = Editor::new(options.clone());
        for (name, target) in entries {
            editor.run(|directory| directory.insert(name, target.clone()))?;
        }
        assert_eq!(editor.write(), build(options, entries)?);
        Ok(editor.directory.is_sharded())
    };
    assert_eq!(sharded(&by_count, &ten), Ok(false));
    assert_eq!(sharded(&by_count, &eleven), Ok(true));
    by_count.threshold = 0;
    assert_eq!(sharded(&by_count, &ten), Ok(false));
    assert_eq!(
        sharded(&by_count, &eleven),
        Err(DirectoryError::TooManyLinks(10))
    );
    assert_eq!(
        build(&by_count, &eleven),
        Err(DirectoryError::TooManyLinks(10))
    );
}

#[test]
fn colliding_names_are_an_error_and_change_nothing() {
    assert_eq!(name_hash(&COLLIDING[0]), name_hash(&COLLIDING[1]));
    let options = options(1, SizeEstimate::Links, 256);
    let mut editor = Editor::new(options.clone());
    editor
        .run(|directory| directory.insert(b"other", target(1)))
        .unwrap();
    editor
        .run(|directory| directory.insert(&COLLIDING[0], target(2)))
        .unwrap();
    let before = editor.write();
    let result = editor.run(|directory| directory.insert(&COLLIDING[1], target(3)));
    assert_eq!(result, Err(DirectoryError::Hamt(HamtError::TooDeep)));
    assert_eq!(editor.write(), before);

    let both = COLLIDING.map(|name| (name.to_vec(), target(1)));
    let result = build(&options, &Model::from(both));
    assert_eq!(result, Err(DirectoryError::Hamt(HamtError::TooDeep)));
}

#[test]
fn an_edit_of_a_large_directory_loads_its_path_only() {
    let options = options(1000, SizeEstimate::Links, 16);
    let mut editor = Editor::new(options.clone());
    let mut entries = many(5000);
    for (name, target) in &entries {
        editor
            .run(|directory| directory.insert(name, target.clone()))
            .unwrap();
    }
    editor.reload();
    editor
        .run(|directory| directory.insert(b"new", target(7)))
        .unwrap();
    assert!(editor.asked < 8, "{}", editor.asked);
    entries.insert(b"new".to_vec(), target(7));
    assert_eq!(Ok(editor.write()), build(&options, &entries));
    let found = editor.run(|directory| directory.get(b"name 77")).unwrap();
    assert_eq!(found, Some(target(77)));
    assert_eq!(
        editor.run(|directory| directory.remove(b"absent")).unwrap(),
        None
    );
}

#[test]
fn wrong_blocks_are_refused() {
    let mut editor = Editor::new(options(1000, SizeEstimate::Links, 16));
    for (name, target) in many(500) {
        editor
            .run(|directory| directory.insert(&name, target.clone()))
            .unwrap();
    }
    editor.reload();
    let Ok(Progress::Need(cids)) = editor.directory.get(b"name 1") else {
        panic!("the root alone cannot answer");
    };
    let other = target(1).cid;
    let result = editor.directory.supply(&other, &Bytes::new());
    assert_eq!(result, Err(DirectoryError::NotNeeded(other)));
    let result = editor
        .directory
        .supply(&cids[0], &Bytes::from_static(&[0x0a, 2, 8, 1]));
    assert_eq!(result, Err(DirectoryError::NotADirectory(Kind::Directory)));
    let file = Bytes::from_static(&[0x0a, 4, 8, 2, 0x18, 0]);
    let result = Directory::load(DirectoryOptions::default(), &cids[0], &file);
    assert_eq!(
        result.err(),
        Some(DirectoryError::NotADirectory(Kind::File))
    );
}

#[test]
fn attributes_survive_every_form() {
    let mtime = Some(Mtime {
        seconds: 5,
        nanos: 0,
    });
    let plain = options(1000, SizeEstimate::Block, 16);
    let options = DirectoryOptions {
        mode: Some(0o750),
        mtime,
        ..plain.clone()
    };
    let mut editor = Editor::new(plain);
    editor.directory.set_attributes(Some(0o750), mtime);
    let entries = many(100);
    for (name, target) in &entries {
        editor
            .run(|directory| directory.insert(name, target.clone()))
            .unwrap();
        editor.reload();
    }
    assert_eq!(Ok(editor.write()), build(&options, &entries));
    for name in entries.keys() {
        editor.run(|directory| directory.remove(name)).unwrap();
        editor.reload();
    }
    assert_eq!(Ok(editor.write()), build(&options, &Model::new()));
}

/// The same entries in the form that the directory has now.
fn rebuilt(editor: &Editor, entries: &Model) -> Root {
    let options = DirectoryOptions {
        threshold: if editor.directory.is_sharded() {
            1
        } else {
            u64::MAX >> 1
        },
        estimate: SizeEstimate::Links,
        max_links: 0,
        ..editor.directory.options().clone()
    };
    build(&options, entries).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever was added and removed on the way, and however much of it was loaded: the DAG is the
    /// one that the remaining entries make, and its form the one that their size asks for, but for
    /// the reach of one entry around the threshold.
    #[test]
    fn edits_give_what_a_fresh_build_gives(
        edits in prop::collection::vec((0u8..120, any::<u8>(), 0u8..10), 1..300),
        fanout in 3u32..=10,
        estimate in prop_oneof![Just(SizeEstimate::Links), Just(SizeEstimate::Block)],
    ) {
        let options = options(1200, estimate, 1 << fanout);
        let mut editor = Editor::new(options.clone());
        let mut entries = Model::new();
        for (name, content, choice) in edits {
            let name = format!("{name}").into_bytes();
            let old = if choice < 4 {
                let removed = editor.run(|directory| directory.remove(&name)).unwrap();
                prop_assert_eq!(&removed, &entries.remove(&name));
                removed
            } else {
                let old = editor.run(|directory| directory.insert(&name, target(content))).unwrap();
                prop_assert_eq!(&old, &entries.insert(name.clone(), target(content)));
                old
            };
            let found = editor.run(|directory| directory.get(&name)).unwrap();
            prop_assert_eq!(found.as_ref(), entries.get(&name));
            if choice % 3 == 0 || old.is_some() {
                editor.reload();
            }
            prop_assert_eq!(editor.write(), rebuilt(&editor, &entries));
            let size = entries.iter().fold(empty_estimate(estimate, None, None), |sum, (name, target)| {
                sum + entry_estimate(estimate, name.len(), target.cid.encoded_len(), target.tsize)
            });
            prop_assert!(editor.directory.is_sharded() || size <= options.threshold + 6);
            prop_assert!(!editor.directory.is_sharded() || size + 60 > options.threshold);
        }
    }

    /// What a move does to one directory or two, beside the threshold where shards become one block.
    #[test]
    fn what_is_prepared_asks_for_nothing(
        count in 1u8..80,
        moves in prop::collection::vec((0u8..90, 0u8..90, 0u8..10), 1..40),
        fanout in 3u32..=8,
        estimate in prop_oneof![
            Just(SizeEstimate::Links), Just(SizeEstimate::Block), Just(SizeEstimate::Disabled)
        ],
    ) {
        let options = DirectoryOptions {
            max_links: if estimate == SizeEstimate::Disabled { 25 } else { 0 },
            ..options(1000, estimate, 1 << fanout)
        };
        let mut editor = Editor::new(options);
        for nth in 0..count {
            let name = format!("{nth}").into_bytes();
            editor.run(|directory| directory.insert(&name, target(nth))).unwrap();
        }
        let done = |step: Result<Progress<Option<Target>>, DirectoryError>| match step {
            Ok(Progress::Done(old)) => old,
            other => panic!("{other:?}"),
        };
        for (from, to, choice) in moves {
            if choice < 7 {
                editor.reload();
            }
            if from == to {
                continue;
            }
            let (from, to) = (format!("{from}").into_bytes(), format!("{to}").into_bytes());
            let names = [&from[..], &to[..]];
            editor.run(|directory| directory.prepare(&names)).unwrap();
            let mut like = editor.directory.clone();
            let directory = &mut editor.directory;
            if choice % 2 == 0 {
                done(directory.remove(&to));
            }
            done(directory.insert(&to, target(choice)));
            done(directory.remove(&from));
            // Nor in another order.
            done(like.remove(&from));
            done(like.insert(&to, target(choice)));
        }
    }

    #[test]
    fn the_order_of_insertion_does_not_matter(
        names in prop::collection::vec("[a-c]{1,4}", 0..200),
        threshold in prop_oneof![Just(1u64), Just(3000)],
    ) {
        let options = options(threshold, SizeEstimate::Links, 8);
        let mut builder = DirectoryBuilder::new(options.clone());
        let mut entries = Model::new();
        for (i, name) in names.iter().enumerate() {
            let Target { cid, tsize } = target(i as u8);
            entries.insert(name.clone().into_bytes(), target(i as u8));
            builder.insert(name.as_bytes(), cid, tsize).unwrap();
        }
        prop_assert_eq!(builder.finish(&mut |_| {}), build(&options, &entries));
    }

    #[test]
    fn no_block_makes_the_loader_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = Directory::load(DirectoryOptions::default(), &target(0).cid, &Bytes::from(bytes));
    }
}
