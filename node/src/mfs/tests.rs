use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::*;
use crate::Source;

fn node() -> Node {
    Node::builder().in_memory().open().unwrap()
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut draw = Draw(seed | 1);
    (0..len).map(|_| draw.below(256) as u8).collect()
}

fn write(node: &Node, path: &str, data: &[u8], offset: u64) -> Result<()> {
    let options = MfsWrite {
        offset,
        create: true,
        ..MfsWrite::default()
    };
    node.mfs().write(path, &mut &data[..], &options)
}

fn read(node: &Node, path: &str) -> Vec<u8> {
    let mut content = Vec::new();
    node.mfs()
        .read(path)
        .unwrap()
        .read_to_end(&mut content)
        .unwrap();
    content
}

fn list(node: &Node, path: &str) -> Vec<String> {
    let mut names = Vec::new();
    node.mfs()
        .list(path, false, &mut |entry| {
            names.push(entry.name);
            Ok(())
        })
        .unwrap();
    names.sort();
    names
}

fn collect(node: &Node) -> u64 {
    node.repo().gc(&mut |_| Ok(())).unwrap().removed_blocks
}

struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % bound
    }
}

/// What the file system should be: directories are keys that end with a slash.
#[derive(Default)]
struct Model(BTreeMap<String, Vec<u8>>);

impl Model {
    fn is_dir(&self, path: &str) -> bool {
        path == "/" || self.0.contains_key(&format!("{path}/"))
    }

    fn exists(&self, path: &str) -> bool {
        self.is_dir(path) || self.0.contains_key(path)
    }

    fn below(&self, path: &str) -> Vec<String> {
        let below = format!("{path}/");
        let keys = self.0.keys();
        keys.filter(|key| *key == path || key.starts_with(&below))
            .cloned()
            .collect()
    }

    fn write(&mut self, path: &str, data: &[u8], offset: usize, truncate: bool) {
        let file = self.0.entry(path.to_owned()).or_default();
        if truncate {
            file.clear();
        }
        if file.len() < offset {
            file.resize(offset, 0);
        }
        let end = offset + data.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[offset..end].copy_from_slice(data);
    }

    fn move_to(&mut self, from: &str, to: &str) {
        for key in self.below(from) {
            if let Some(value) = self.0.remove(&key) {
                self.0.insert(format!("{to}{}", &key[from.len()..]), value);
            }
        }
    }

    fn check(&self, node: &Node) {
        for (path, content) in &self.0 {
            match path.strip_suffix('/') {
                Some(dir) => assert!(node.mfs().is_directory(dir).unwrap(), "{path}"),
                None => assert!(read(node, path) == *content, "{path}"),
            }
        }
        let dirs = self.0.keys().filter(|key| key.ends_with('/')).cloned();
        for dir in dirs.chain(["/".to_owned()]) {
            let expected: Vec<String> = self
                .0
                .keys()
                .filter_map(|key| key.strip_prefix(&dir))
                .map(|rest| rest.trim_end_matches('/'))
                .filter(|rest| !rest.is_empty() && !rest.contains('/'))
                .map(str::to_owned)
                .collect();
            assert_eq!(list(node, &dir), expected, "{dir}");
        }
    }
}

/// Drawn operations on both; neither may do what the other refuses.
struct Both<'a> {
    node: &'a Node,
    model: &'a mut Model,
    draw: &'a mut Draw,
}

impl Both<'_> {
    fn path(&mut self) -> String {
        (0..1 + self.draw.below(3))
            .map(|_| format!("/{}", ["a", "b", "c", "d"][self.draw.below(4)]))
            .collect()
    }

    fn step(&mut self, nth: u64) {
        let (at, to) = (self.path(), self.path());
        match self.draw.below(10) {
            0 | 1 => self.mkdir(&at),
            2..=5 => self.write(&at, nth),
            6 => self.unlink(&at),
            7 => self.put(&at, &to),
            8 => self.rename(&at, &to),
            _ => {
                self.node.mfs().flush("/").unwrap();
                collect(self.node);
                if nth.is_multiple_of(2) {
                    // What is asked next has to be read again.
                    self.node.mfs_state().close();
                }
            }
        }
    }

    fn has_parent(&self, path: &str) -> bool {
        self.model.is_dir(&path::clean(path::split(path).0))
    }

    fn mkdir(&mut self, at: &str) {
        let done = self.node.mfs().mkdir(at, false, &MfsNaming::default());
        let fits = self.has_parent(at) && !self.model.exists(at);
        assert_eq!(done.is_ok(), fits, "mkdir {at}");
        if fits {
            self.model.0.insert(format!("{at}/"), Vec::new());
        }
    }

    fn write(&mut self, at: &str, nth: u64) {
        let draw = &mut self.draw;
        let data = noise(nth, [0, 1, 700, 5000, 90_000][draw.below(5)]);
        let offset = [0, 0, 10, 4096, 70_000][draw.below(5)];
        let options = MfsWrite {
            offset: offset as u64,
            create: true,
            truncate: draw.below(4) == 0,
            raw_leaves: [None, Some(true), Some(false)][draw.below(3)],
            ..MfsWrite::default()
        };
        let done = self.node.mfs().write(at, &mut &data[..], &options);
        let fits = self.has_parent(at) && !self.model.is_dir(at);
        assert_eq!(done.is_ok(), fits, "write {at}: {done:?}");
        if fits {
            self.model.write(at, &data, offset, options.truncate);
        }
    }

    fn unlink(&mut self, at: &str) {
        let done = self.node.mfs().unlink(at);
        assert_eq!(done.is_ok(), self.model.exists(at), "unlink {at}");
        for key in self.model.below(at) {
            self.model.0.remove(&key);
        }
    }

    fn put(&mut self, at: &str, to: &str) {
        let Ok(source) = self.node.mfs().entry(at) else {
            assert!(!self.model.exists(at), "entry {at}");
            return;
        };
        let done = self.node.mfs().put(to, &source.cid);
        let fits = self.has_parent(to) && !self.model.exists(to);
        assert_eq!(done.is_ok(), fits, "put {at} at {to}: {done:?}");
        if fits {
            // Into itself a copy is one of what was there before.
            let copied: Vec<_> = self
                .model
                .below(at)
                .into_iter()
                .map(|key| {
                    (
                        format!("{to}{}", &key[at.len()..]),
                        self.model.0[&key].clone(),
                    )
                })
                .collect();
            self.model.0.extend(copied);
        }
    }

    fn rename(&mut self, at: &str, to: &str) {
        let into = self.model.is_dir(to);
        let target = match into {
            true => format!("{to}/{}", path::base(at)),
            false => to.to_owned(),
        };
        let free = match into {
            true => !self.model.exists(&target),
            false => self.has_parent(to),
        };
        let itself = target.starts_with(&format!("{at}/"));
        let fits = self.model.exists(at) && free && !itself;
        let done = self.node.mfs().rename(at, to);
        assert_eq!(done.is_ok(), fits, "rename {at} to {to}: {done:?}");
        if fits && at != target {
            self.model.0.remove(&target);
            self.model.move_to(at, &target);
        }
    }
}

#[test]
fn any_sequence_of_operations_is_that_of_a_plain_tree() {
    for seed in 1..=12u64 {
        // Small limits, so that directories shard and shrink and files have some levels.
        let node = Node::builder()
            .in_memory()
            .set("Import.UnixFSHAMTDirectorySizeThreshold", "90B")
            .set("Import.UnixFSChunker", "size-512")
            .open()
            .unwrap();
        let (mut model, mut draw) = (Model::default(), Draw(seed * 0x9e37_79b9));
        for nth in 0..250 {
            let mut both = Both {
                node: &node,
                model: &mut model,
                draw: &mut draw,
            };
            both.step(nth);
            if nth % 50 == 49 {
                model.check(&node);
            }
        }
        node.mfs().flush("/").unwrap();
        let root = node.mfs().entry("/").unwrap().cid;
        node.mfs_state().close();
        assert_eq!(
            node.mfs().entry("/").unwrap().cid,
            root,
            "seed {seed}: read again"
        );
        collect(&node);
        model.check(&node);
    }
}

#[test]
fn large_files_are_edited_in_place() {
    let node = node();
    let mut content = noise(7, 5_000_000);
    write(&node, "/f", &content, 0).unwrap();
    node.mfs().flush("/").unwrap();
    let before = node.repo().stat().unwrap().objects;
    for (nth, offset) in [0usize, 262_144, 2_129_919, 4_999_000]
        .into_iter()
        .enumerate()
    {
        let patch = noise(nth as u64 + 50, 900);
        write(&node, "/f", &patch, offset as u64).unwrap();
        content[offset..offset + 900].copy_from_slice(&patch);
    }
    node.mfs().flush("/").unwrap();
    let new = node.repo().stat().unwrap().objects - before;
    assert!(new < 20, "{new} blocks for four small edits");
    assert!(read(&node, "/f") == content);
    // A hole costs one leaf and the nodes above it.
    write(&node, "/f", b"end", 600_000_000).unwrap();
    node.mfs().flush("/").unwrap();
    let holes = node.repo().stat().unwrap().objects - before - new;
    assert!(holes < 100, "{holes} blocks for a hole");
    let mut stream = node.mfs().read("/f").unwrap();
    assert_eq!(stream.size(), 600_000_003);
    std::io::Seek::seek(&mut stream, std::io::SeekFrom::Start(599_999_998)).unwrap();
    let mut end = Vec::new();
    stream.read_to_end(&mut end).unwrap();
    assert_eq!(end, b"\0\0end");
}

#[test]
fn a_tree_may_be_deep() {
    let node = node();
    let path = "/d".repeat(2_000);
    node.mfs()
        .mkdir(&path, true, &MfsNaming::default())
        .unwrap();
    write(&node, &format!("{path}/f"), b"far down", 0).unwrap();
    node.mfs().flush("/").unwrap();
    node.mfs_state().close();
    assert_eq!(read(&node, &format!("{path}/f")), b"far down");
    node.mfs().unlink("/d").unwrap();
    node.mfs().flush("/").unwrap();
    assert!(list(&node, "/").is_empty());
}

#[test]
fn what_is_in_the_tree_is_kept_flushed_or_not() {
    let node = node();
    let add = |data: &'static str| {
        let options = AddOptions {
            pin: false,
            chunker: Some("size-10".to_owned()),
            ..AddOptions::default()
        };
        let report = node
            .files()
            .add(vec![Source::bytes("f", data)], &options, &mut |_| Ok(()))
            .unwrap();
        report.roots[0].cid.clone()
    };
    let kept = add("content that is put into the tree and never pinned at all");
    let dead = add("content that nobody wants and that goes with the first collection");
    node.mfs().put("/kept", &kept).unwrap();
    write(&node, "/written", &noise(3, 700_000), 0).unwrap();
    assert!(collect(&node) > 0);
    assert!(node.files().cat(&dead.to_string()).is_err());
    assert_eq!(read(&node, "/kept").len(), 57);
    assert!(read(&node, "/written") == noise(3, 700_000));
    assert_eq!(collect(&node), 0, "the collection had committed it");

    node.mfs().unlink("/kept").unwrap();
    assert!(collect(&node) > 0);
    assert!(node.files().cat(&kept.to_string()).is_err());
    assert!(read(&node, "/written") == noise(3, 700_000));
}

#[test]
fn a_dag_that_is_not_here_whole_may_be_in_the_tree() {
    let node = node();
    write(&node, "/f", &noise(3, 700_000), 0).unwrap();
    node.mfs().flush("/").unwrap();
    let file = node.mfs().entry("/f").unwrap().cid;
    assert_eq!(node.mfs().locality(&file).unwrap(), (true, 700_194));
    let mut links = Vec::new();
    let block = node.local_block(&file).unwrap();
    ipfs_kit_blockstore::codec::links(file.codec(), &block, &mut |link| links.push(link)).unwrap();
    node.store()
        .delete_many(&[links[1].hash().clone()])
        .unwrap();
    let report = node.repo().gc(&mut |_| Ok(())).unwrap();
    assert_eq!(report.damaged, 0);
    let (whole, bytes) = node.mfs().locality(&file).unwrap();
    assert!(!whole && bytes == 700_194 - 262_158, "{bytes}");
}

#[test]
fn unflushed_operations_are_limited() {
    let node = Node::builder()
        .in_memory()
        .set("Internal.MFSNoFlushLimit", 3)
        .open()
        .unwrap();
    let mfs = node.mfs();
    for _ in 0..3 {
        mfs.count(false).unwrap();
    }
    let refused = mfs.count(false).unwrap_err().to_string();
    assert!(
        refused.starts_with("reached limit of 3 unflushed MFS operations."),
        "{refused}"
    );
    mfs.count(true).unwrap();
    mfs.count(false).unwrap();
}

/// Flushed files need no blocks of the directories above them, and are there without them.
#[test]
fn flushed_files_are_read_back_from_the_log() {
    let node = node();
    let mfs = node.mfs();
    mfs.mkdir("/dir", false, &MfsNaming::default()).unwrap();
    mfs.flush("/").unwrap();
    let root = mfs.committed_root().unwrap();
    for nth in 0..50 {
        write(&node, &format!("/dir/{}", nth % 40), &noise(nth, 10), 0).unwrap();
        mfs.flush("/dir").unwrap();
    }
    assert_eq!(mfs.committed_root().unwrap(), root);
    // As after a kill: what is in memory is gone.
    node.mfs_state().close();
    assert_eq!(list(&node, "/dir").len(), 40);
    for nth in 10..50 {
        assert_eq!(read(&node, &format!("/dir/{}", nth % 40)), noise(nth, 10));
    }
    node.mfs_state().close();
    collect(&node);
    assert_eq!(read(&node, "/dir/5"), noise(45, 10));
    // Any other change commits all of it.
    mfs.unlink("/dir/5").unwrap();
    mfs.flush("/").unwrap();
    let committed = mfs.committed_root().unwrap();
    assert!(committed != root && committed == Some(mfs.entry("/").unwrap().cid));
    node.mfs_state().close();
    assert_eq!(list(&node, "/dir").len(), 39);
}

#[test]
fn a_write_that_breaks_off_leaves_the_file_as_it_was() {
    struct Breaks(usize);
    impl Read for Breaks {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0 {
                0 => Err(std::io::ErrorKind::ConnectionReset.into()),
                left => {
                    let len = left.min(buffer.len());
                    self.0 -= len;
                    Ok(len)
                }
            }
        }
    }
    let node = node();
    write(&node, "/f", b"as it was", 0).unwrap();
    let before = node.mfs().entry("/").unwrap();
    for path in ["/f", "/new"] {
        let options = MfsWrite {
            create: true,
            ..MfsWrite::default()
        };
        let broken = node.mfs().write(path, &mut Breaks(6_000_000), &options);
        assert!(matches!(broken, Err(Error::Input(_))), "{broken:?}");
    }
    assert_eq!(node.mfs().entry("/").unwrap(), before);
}

#[test]
fn a_root_that_is_gone_is_told_and_replaced() {
    let node = node();
    write(&node, "/f", b"x", 0).unwrap();
    node.mfs().flush("/").unwrap();
    node.mfs_state().flush_open(&node).unwrap();
    let root = node.mfs().committed_root().unwrap().unwrap();
    node.mfs_state().close();
    node.store().delete_many(&[root.hash().clone()]).unwrap();
    let refused = node.mfs().entry("/").unwrap_err().to_string();
    assert!(
        refused.contains("files chroot") && refused.contains(&root.to_string()),
        "{refused}"
    );
    assert!(matches!(
        node.mfs().set_root(Some(&root)),
        Err(Error::Mfs(MfsError::NewRootMissing(_)))
    ));
    let (old, new) = node.mfs().set_root(None).unwrap();
    assert_eq!(old, Some(root));
    assert_eq!(
        new.to_string(),
        "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
    );
    assert!(list(&node, "/").is_empty());
}

/// Writers, readers and collections at the same time: nothing is lost and nobody waits for ever.
#[test]
fn writers_and_collections_run_beside_each_other() {
    let node = Node::builder()
        .in_memory()
        .set("Import.UnixFSHAMTDirectorySizeThreshold", "300B")
        .open()
        .unwrap();
    const WRITERS: usize = 4;
    const FILES: usize = 40;
    let done = AtomicBool::new(false);
    let old = node
        .files()
        .add(
            vec![Source::bytes("f", noise(99, 900_000))],
            &AddOptions {
                pin: false,
                ..AddOptions::default()
            },
            &mut |_| Ok(()),
        )
        .unwrap()
        .roots[0]
        .cid
        .clone();
    node.mfs().put("/old", &old).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                collect(&node);
            }
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let node = &node;
                scope.spawn(move || {
                    for nth in 0..FILES {
                        let path = format!("/{writer}-{nth}");
                        let len = [10, 300_000][nth % 2];
                        write(node, &path, &noise((writer * 100 + nth) as u64, len), 0).unwrap();
                        let copy = format!("/copy-{writer}-{nth}");
                        let old = node.mfs().entry("/old").unwrap().cid;
                        node.mfs().put(&copy, &old).unwrap();
                        if nth % 3 == 0 {
                            node.mfs().flush("/").unwrap();
                        }
                        if nth % 5 != 0 {
                            node.mfs().unlink(&copy).unwrap();
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<bool> = writers
            .into_iter()
            .map(|writer| writer.join().is_ok())
            .collect();
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(|ended| *ended));
    });
    node.mfs().flush("/").unwrap();
    collect(&node);
    for writer in 0..WRITERS {
        for nth in 0..FILES {
            let len = [10, 300_000][nth % 2];
            let path = format!("/{writer}-{nth}");
            assert!(
                read(&node, &path) == noise((writer * 100 + nth) as u64, len),
                "{path}"
            );
        }
        assert!(read(&node, &format!("/copy-{writer}-0")) == noise(99, 900_000));
    }
}

/// Whatever is committed while something is moved has one of its names.
#[test]
fn a_move_is_one_change() {
    let node = Node::builder()
        .in_memory()
        .set("Import.UnixFSHAMTDirectorySizeThreshold", "100B")
        .open()
        .unwrap();
    let mfs = node.mfs();
    for dir in ["/a", "/b", "/a/dir"] {
        mfs.mkdir(dir, false, &MfsNaming::default()).unwrap();
    }
    for nth in 0..30 {
        write(&node, &format!("/a/{nth}"), b"content", 0).unwrap();
        write(&node, &format!("/a/dir/{nth}"), b"content", 0).unwrap();
    }
    let (done, commits) = (AtomicBool::new(false), AtomicUsize::new(0));
    let committed = thread::scope(|scope| {
        let committing = scope.spawn(|| {
            let mut roots = Vec::new();
            while !done.load(Ordering::Relaxed) {
                node.mfs().flush("/").unwrap();
                let root = node.mfs().committed_root().unwrap();
                if root != roots.last().cloned() {
                    roots.extend(root);
                }
                commits.fetch_add(1, Ordering::Relaxed);
            }
            roots
        });
        for nth in 0..400 {
            let (from, to) = match nth / 2 % 2 {
                0 => ("/a", "/b"),
                _ => ("/b", "/a"),
            };
            let name = ["dir", "7"][nth % 2];
            mfs.rename(&format!("{from}/{name}"), &format!("{to}/{name}"))
                .unwrap();
            let late = [b"late".as_slice(), b"later"][nth % 2];
            write(&node, &format!("{to}/dir/{}", nth % 30), late, 0).unwrap();
            // When both are moved, one commit at least begins.
            let seen = commits.load(Ordering::Relaxed);
            while nth % 2 == 1 && commits.load(Ordering::Relaxed) < seen + 2 {
                assert!(!committing.is_finished());
                thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
        committing.join().unwrap()
    });
    let mut seen = [0, 0];
    for root in committed {
        for name in ["dir/3", "7"] {
            let there = ["a", "b"].map(|dir| node.resolve(&format!("{root}/{dir}/{name}")).is_ok());
            assert!(there[0] != there[1], "{name} in {root}: {there:?}");
            seen[usize::from(there[1])] += 1;
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}

/// What a failed append left in the log must not come back when the file has been removed since.
#[test]
fn a_removal_behind_a_failed_append_lasts() {
    let place = tempfile::tempdir().unwrap();
    let repo = place.path().join("repo");
    crate::repo::init(&repo, &crate::repo::InitOptions::default()).unwrap();
    let node = Node::builder().repo(&repo).open().unwrap();
    let mfs = node.mfs();
    mfs.mkdir("/dir", false, &MfsNaming::default()).unwrap();
    mfs.flush("/").unwrap();
    let before = table::committed(node.database()).unwrap();
    std::fs::create_dir(repo.join("mfs.log")).unwrap();
    write(&node, "/dir/file", b"text", 0).unwrap();
    mfs.flush("/dir/file").unwrap_err();
    mfs.unlink("/dir/file").unwrap();
    mfs.flush("/").unwrap();
    let after = table::committed(node.database()).unwrap();
    assert_eq!(before.root, after.root);
    assert!(after.generation > before.generation);
}

#[test]
fn a_directory_without_room_for_its_block_is_not_made() {
    let node = Node::builder().in_memory();
    let node = node.set("Datastore.StorageMax", "1B").open().unwrap();
    let mfs = node.mfs();
    mfs.mkdir("/dir", false, &MfsNaming::default()).unwrap_err();
    assert!(matches!(
        mfs.entry("/dir"),
        Err(Error::Mfs(MfsError::NotFound))
    ));
}
