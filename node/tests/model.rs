//! Many threads add, pin, unpin, remove and collect at the same time; each knows what it has pinned, and that must always be
//! readable. `MODEL_STEPS`, `MODEL_REPO_STEPS` and `MODEL_SEED` choose how long and which run; the seed of every run is printed.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Mutex;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use ipfs_kit_node::repo::{InitOptions, init};
use ipfs_kit_node::{
    AddOptions, Cid, Error, Node, PinAdd, PinFilter, PinKind, PinList, RefEvent, RefsOptions,
    Source, VerifyOptions,
};

const THREADS: u64 = 4;
const SHARED_TEXTS: u64 = 24;
const OWN_TREES: u64 = 30;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

/// A tree that one thread made: the texts of its files by name.
type Texts = BTreeMap<String, String>;

struct Actor<'a> {
    node: &'a Node,
    id: u64,
    random: Random,
    /// Roots that this thread made, with what it believes of their pin; nobody else pins or unpins them.
    trees: BTreeMap<Cid, (Texts, Option<PinKind>)>,
    /// Blocks of anybody's trees.
    blocks: &'a Mutex<Vec<Cid>>,
}

#[test]
fn concurrent_adds_pins_removals_and_collections_agree_with_a_model() {
    run(
        &Node::builder().in_memory().open().unwrap(),
        setting("MODEL_STEPS").unwrap_or(100_000),
    );
}

/// The same on a repo with segments so small that most collections remove and rewrite some, and once more after it was
/// closed and opened again.
#[test]
fn a_repo_agrees_with_the_model() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path(), &InitOptions::default()).unwrap();
    let open = || {
        Node::builder()
            .repo(dir.path())
            .set("Datastore.SegmentSize", 20_000)
            .open()
            .unwrap()
    };
    let node = open();
    node.pins()
        .remove(&[EMPTY_DIRECTORY.to_owned()], true)
        .unwrap();
    let expected = run(&node, setting("MODEL_REPO_STEPS").unwrap_or(4_000));
    node.close().unwrap();
    let node = open();
    assert_eq!(
        recursive_and_direct(&node),
        expected.0,
        "pins after opening again"
    );
    assert_eq!(stored(&node), expected.1, "blocks after opening again");
    assert_eq!(
        node.repo()
            .verify(&VerifyOptions::default(), &mut |_| Ok(()))
            .unwrap()
            .corrupt,
        0
    );
}

const EMPTY_DIRECTORY: &str = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs the threads on a node without pins, checks the end, and gives its pins and blocks.
fn run(node: &Node, steps: u64) -> (BTreeMap<Cid, PinKind>, BTreeSet<Vec<u8>>) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    let seed = setting("MODEL_SEED").unwrap_or(now | 1);
    println!("model: MODEL_SEED={seed}, {steps} steps");
    let blocks = Mutex::new(Vec::new());
    let actors: Vec<Actor<'_>> = thread::scope(|scope| {
        let running: Vec<_> = (0..THREADS)
            .map(|id| {
                let random = Random(seed.wrapping_mul(2 * id + 1) | 1);
                let mut actor = Actor {
                    node,
                    id,
                    random,
                    trees: BTreeMap::new(),
                    blocks: &blocks,
                };
                scope.spawn(move || {
                    (0..steps / THREADS).for_each(|_| actor.step());
                    actor
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    check_end(node, &actors)
}

/// The pins are exactly those of the models, and after a collection the blocks are exactly those that they reach.
fn check_end(node: &Node, actors: &[Actor<'_>]) -> (BTreeMap<Cid, PinKind>, BTreeSet<Vec<u8>>) {
    let mut expected = BTreeMap::new();
    let mut live: BTreeSet<Vec<u8>> = BTreeSet::new();
    for actor in actors {
        for (root, (texts, pin)) in &actor.trees {
            let Some(kind) = pin else { continue };
            expected.insert(root.clone(), kind.clone());
            live.insert(root.hash().to_bytes());
            if *kind == PinKind::Recursive {
                assert_readable(node, root, texts);
                live.extend(
                    below(node, root)
                        .into_iter()
                        .map(|cid| cid.hash().to_bytes()),
                );
            }
        }
    }
    let pinned = recursive_and_direct(node);
    assert_eq!(pinned, expected);
    let report = node.repo().gc(&mut |_| Ok(())).unwrap();
    assert_eq!(report.damaged, 0);
    let stored = stored(node);
    assert_eq!(stored, live);
    println!(
        "model: {} pins, {} blocks at the end",
        pinned.len(),
        stored.len()
    );
    (pinned, stored)
}

fn recursive_and_direct(node: &Node) -> BTreeMap<Cid, PinKind> {
    let mut pinned = BTreeMap::new();
    for filter in [PinFilter::Recursive, PinFilter::Direct] {
        node.pins()
            .list(&PinList { filter, name: None }, &mut |pin| {
                pinned.insert(pin.cid, pin.kind);
                Ok(())
            })
            .unwrap();
    }
    pinned
}

fn stored(node: &Node) -> BTreeSet<Vec<u8>> {
    let mut stored = BTreeSet::new();
    node.repo()
        .ls(&mut |cid| {
            stored.insert(cid.hash().to_bytes());
            Ok(())
        })
        .unwrap();
    stored
}

fn below(node: &Node, root: &Cid) -> Vec<Cid> {
    let mut found = Vec::new();
    let options = RefsOptions {
        recursive: true,
        unique: true,
        max_depth: None,
    };
    let failed = node.refs(&[root.to_string()], &options, &mut |event| {
        if let RefEvent::Link { target, .. } = event {
            found.push(target);
        }
        Ok(())
    });
    assert_eq!(failed.unwrap(), 0);
    found
}

fn assert_readable(node: &Node, root: &Cid, texts: &Texts) {
    for (name, text) in texts {
        let mut read = String::new();
        node.files()
            .cat(&format!("{root}/{name}"))
            .unwrap()
            .read_to_string(&mut read)
            .unwrap();
        assert_eq!(&read, text);
    }
}

impl Actor<'_> {
    fn step(&mut self) {
        match self.random.below(1000) {
            0..200 => self.add(),
            200..350 => self.pin(true),
            350..400 => self.pin(false),
            400..550 => self.unpin(),
            550..800 => self.look(),
            800..990 => self.remove_block(),
            _ => self.collect(),
        }
    }

    fn add(&mut self) {
        let mut texts = Texts::new();
        // Few different trees, so that the same ones come and go, and collections stay short.
        let tree = self.random.below(OWN_TREES);
        texts.insert(
            "own".to_owned(),
            format!("tree {tree} of thread {}", self.id),
        );
        for file in 0..=tree % 3 {
            let shared = (tree * 7 + file * 5) % SHARED_TEXTS;
            texts.insert(
                format!("s{shared}"),
                format!("{shared} ").repeat(20 + 7 * shared as usize),
            );
        }
        let pin = self.random.below(2) == 0;
        let options = AddOptions {
            wrap: true,
            pin,
            chunker: Some("size-32".to_owned()),
            max_file_links: Some(4),
            raw_leaves: Some(self.random.below(2) == 0),
            ..AddOptions::default()
        };
        let sources = texts
            .iter()
            .map(|(name, text)| Source::bytes(name.clone(), text.clone()))
            .collect();
        let mut cids = Vec::new();
        let report = self
            .node
            .files()
            .add(sources, &options, &mut |event| {
                if let ipfs_kit_node::AddEvent::Added { cid, .. } = event {
                    cids.push(cid);
                }
                Ok(())
            })
            .unwrap();
        let root = report.roots[0].cid.clone();
        let tree = self.trees.entry(root.clone()).or_insert((texts, None));
        if pin {
            tree.1 = Some(PinKind::Recursive);
            assert_readable(self.node, &root, &tree.0);
            cids.extend(below(self.node, &root));
        }
        let mut blocks = self.blocks.lock().unwrap();
        blocks.extend(cids);
        let excess = blocks.len().saturating_sub(2000);
        blocks.drain(..excess);
    }

    fn any_tree(&mut self) -> Option<Cid> {
        let count = self.trees.len() as u64;
        (count > 0)
            .then(|| {
                self.trees
                    .keys()
                    .nth(self.random.below(count) as usize)
                    .cloned()
            })
            .flatten()
    }

    fn pin(&mut self, recursive: bool) {
        let Some(root) = self.any_tree() else { return };
        let outcome = self.node.pins().add(
            &[root.to_string()],
            &PinAdd {
                recursive,
                name: None,
            },
            &mut |_| Ok(()),
        );
        let tree = self.trees.get_mut(&root).unwrap();
        match (outcome, &tree.1) {
            (Ok(_), _) if recursive => tree.1 = Some(PinKind::Recursive),
            (Ok(_), before) => {
                assert_ne!(*before, Some(PinKind::Recursive));
                tree.1 = Some(PinKind::Direct);
            }
            (Err(Error::Pin(_)), before) => {
                assert_eq!((recursive, before), (false, &Some(PinKind::Recursive)))
            }
            (Err(Error::NotFound(_)), before) => assert_ne!(*before, Some(PinKind::Recursive)),
            (Err(error), _) => panic!("{error}"),
        }
    }

    fn unpin(&mut self) {
        let Some(root) = self.any_tree() else { return };
        let outcome = self.node.pins().remove(&[root.to_string()], true);
        let tree = self.trees.get_mut(&root).unwrap();
        assert_eq!(outcome.is_ok(), tree.1.is_some(), "{outcome:?}");
        tree.1 = None;
    }

    fn look(&mut self) {
        let Some(root) = self.any_tree() else { return };
        let (texts, pin) = &self.trees[&root];
        if *pin != Some(PinKind::Recursive) {
            return;
        }
        assert_readable(self.node, &root, texts);
        let file = format!("{root}/own");
        let held = self.node.pins().check(&[file], PinFilter::All).unwrap();
        assert!(
            matches!(held[0].kind, PinKind::Indirect { through: Some(_) }),
            "{held:?}"
        );
    }

    fn remove_block(&mut self) {
        let victims: Vec<Cid> = {
            let blocks = self.blocks.lock().unwrap();
            let count = blocks.len() as u64;
            (0..count.min(3))
                .map(|_| blocks[self.random.below(count) as usize].clone())
                .collect()
        };
        self.node
            .blocks()
            .remove(&victims, false, &mut |_| Ok(()))
            .unwrap();
    }

    fn collect(&mut self) {
        let report = self.node.repo().gc(&mut |_| Ok(())).unwrap();
        assert_eq!(report.damaged, 0);
    }
}
