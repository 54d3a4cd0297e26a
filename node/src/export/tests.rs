use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use ipfs_kit_blockstore::HashSpec;
use ipfs_kit_blockstore::codec::dag_pb::{PbLink, PbNode};
use ipfs_kit_blockstore::codec::{DAG_PB, RAW};
use ipfs_kit_unixfs::{Kind, Limit, Mtime, UnixFs};
use tempfile::TempDir;

use super::*;

mod hostile;

/// Blocks in memory, with nodes that no importer would make.
#[derive(Default)]
pub(super) struct Dag(HashMap<Cid, Bytes>);

impl Dag {
    fn put(&mut self, codec: u64, data: Vec<u8>) -> Cid {
        let cid = Cid::v1(codec, HashSpec::SHA2_256.digest(&data).unwrap());
        self.0.insert(cid.clone(), data.into());
        cid
    }

    fn raw(&mut self, data: &[u8]) -> Cid {
        self.put(RAW, data.to_vec())
    }

    fn node(&mut self, message: &UnixFs, links: Vec<PbLink>) -> Cid {
        let data = Some(message.encode().into());
        self.put(DAG_PB, PbNode { links, data }.encode())
    }

    fn directory(&mut self, entries: &[(&[u8], &Cid)]) -> Cid {
        self.node(&UnixFs::new(Kind::Directory), links(entries))
    }

    fn symlink(&mut self, target: &[u8]) -> Cid {
        let mut message = UnixFs::new(Kind::Symlink);
        message.data = Some(Bytes::copy_from_slice(target));
        self.node(&message, Vec::new())
    }

    fn file(&mut self, children: &[(Cid, u64)]) -> Cid {
        let mut message = UnixFs::new(Kind::File);
        message.block_sizes = children.iter().map(|(_, size)| *size).collect();
        message.file_size = Some(message.block_sizes.iter().sum());
        let link = |(cid, size): &(Cid, u64)| PbLink {
            cid: cid.clone(),
            name: None,
            tsize: Some(*size),
        };
        self.node(&message, children.iter().map(link).collect())
    }

    fn export(&self, root: &Cid, target: &Path) -> Result<ExportReport, ExportError> {
        self.export_as(root, b"name", target)
    }

    fn export_as(
        &self,
        root: &Cid,
        name: &[u8],
        target: &Path,
    ) -> Result<ExportReport, ExportError> {
        let options = ExportOptions::default();
        let source = |cid: &Cid| {
            self.0
                .get(cid)
                .cloned()
                .ok_or_else(|| "no such block".into())
        };
        export(root, name, target, &options, &source, &mut |_| Ok(()))
    }
}

fn links(entries: &[(&[u8], &Cid)]) -> Vec<PbLink> {
    let link = |(name, cid): &(&[u8], &Cid)| PbLink {
        cid: Cid::clone(cid),
        name: Some(Bytes::copy_from_slice(name)),
        tsize: Some(1),
    };
    entries.iter().map(link).collect()
}

fn attributes(kind: Kind, mode: Option<u32>, seconds: Option<i64>) -> UnixFs {
    let mut message = UnixFs::new(kind);
    message.mode = mode;
    message.mtime = seconds.map(|seconds| Mtime {
        seconds,
        nanos: 123_456_789,
    });
    message
}

/// Everything below a directory: paths with what they are.
fn snapshot(top: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![top.to_path_buf()];
    while let Some(path) = pending.pop() {
        let kind = fs::symlink_metadata(&path).unwrap();
        let text = if kind.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else if kind.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            format!("dir {:o}", kind.mode())
        } else {
            let content = fs::read(&path).unwrap();
            format!("{:o} {}", kind.mode(), String::from_utf8_lossy(&content))
        };
        found.insert(path.strip_prefix(top).unwrap().to_path_buf(), text);
    }
    found
}

fn paths(top: &Path) -> Vec<String> {
    snapshot(top)
        .into_keys()
        .map(|path| path.display().to_string())
        .collect()
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_tree_is_written_with_contents_links_and_usual_modes() {
    let (mut dag, dir) = (Dag::default(), TempDir::new().unwrap());
    let leaf = dag.raw(b"hello");
    let file = dag.file(&[(leaf.clone(), 5), (leaf.clone(), 5)]);
    let to = dag.symlink(b"../elsewhere");
    let inner = dag.directory(&[(b"big", &file), (b"link", &to)]);
    let empty = dag.directory(&[]);
    let root = dag.directory(&[(b"a", &leaf), (b"dir", &inner), (b"none", &empty)]);
    let target = dir.path().join("not/there/yet");
    let report = dag.export(&root, &target).unwrap();
    assert_eq!(
        report,
        ExportReport {
            files: 2,
            directories: 3,
            symlinks: 1,
            bytes: 15
        }
    );
    let expected = [
        ("", "dir 40755"),
        ("a", "100644 hello"),
        ("dir", "dir 40755"),
        ("dir/big", "100644 hellohello"),
        ("dir/link", "-> ../elsewhere"),
        ("none", "dir 40755"),
    ];
    let expected = expected.map(|(path, what)| (PathBuf::from(path), what.to_owned()));
    assert_eq!(snapshot(&target), BTreeMap::from(expected));
    // Once more over itself.
    dag.export(&root, &target).unwrap();
    assert_eq!(snapshot(&target).len(), 6);
}

#[test]
fn mode_and_time_are_restored_below_closed_directories_too() {
    let (mut dag, dir) = (Dag::default(), TempDir::new().unwrap());
    let leaf = dag.raw(b"x");
    let mut message = attributes(Kind::File, Some(0o6751), Some(-86_400));
    message.data = Some(Bytes::from_static(b"data"));
    let file = dag.node(&message, Vec::new());
    let mut message = attributes(Kind::Symlink, None, Some(1_000_000));
    message.data = Some(Bytes::from_static(b"file"));
    let link = dag.node(&message, Vec::new());
    let message = attributes(Kind::Directory, Some(0o500), Some(7));
    let inner = dag.node(
        &message,
        links(&[(b"file", &file), (b"link", &link), (b"x", &leaf)]),
    );
    let message = attributes(Kind::Directory, Some(0o1500), Some(8));
    let root = dag.node(&message, links(&[(b"inner", &inner), (b"x", &leaf)]));
    let target = dir.path().join("t");
    dag.export(&root, &target).unwrap();
    let found = |path: &str| {
        let found = fs::symlink_metadata(target.join(path)).unwrap();
        (found.mode() & 0o7777, found.mtime(), found.mtime_nsec())
    };
    assert_eq!(found(""), (0o1500, 8, 123_456_789));
    assert_eq!(found("inner"), (0o500, 7, 123_456_789));
    assert_eq!(found("inner/file"), (0o6751, -86_400, 123_456_789));
    assert_eq!(found("inner/link"), (0o777, 1_000_000, 123_456_789));
    assert_eq!(mode_of(&target.join("inner/x")), 0o644);
    for closed in ["", "inner"] {
        fs::set_permissions(target.join(closed), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn a_single_file_goes_to_the_target_or_into_it() {
    let (mut dag, dir) = (Dag::default(), TempDir::new().unwrap());
    let file = dag.raw(b"hello");
    let target = dir.path().join("out");
    let report = dag.export(&file, &target).unwrap();
    assert_eq!(
        report,
        ExportReport {
            files: 1,
            directories: 0,
            symlinks: 0,
            bytes: 5
        }
    );
    assert_eq!(fs::read(&target).unwrap(), b"hello");
    fs::create_dir(dir.path().join("d")).unwrap();
    dag.export(&file, &dir.path().join("d")).unwrap();
    assert_eq!(fs::read(dir.path().join("d/name")).unwrap(), b"hello");
    let link = dag.symlink(b"anywhere");
    dag.export(&link, &dir.path().join("d/")).unwrap();
    assert_eq!(
        fs::read_link(dir.path().join("d/name")).unwrap(),
        Path::new("anywhere")
    );
    let missing = dag.export(&file, &dir.path().join("no/such/dir"));
    assert!(matches!(missing, Err(ExportError::Local { .. })));
    for name in [&b".."[..], b"", b".", b"a/b", b"../x", b"a\0"] {
        let refused = dag.export_as(&file, name, &dir.path().join("d"));
        assert!(matches!(refused, Err(ExportError::UnsafeName { .. })));
    }
    assert_eq!(
        dag.export(&file, Path::new("/dev/null")).unwrap(),
        ExportReport::default()
    );
}

#[test]
fn what_exists_is_replaced_or_merged_as_kubo_does() {
    let (mut dag, dir) = (Dag::default(), TempDir::new().unwrap());
    let (new, target) = (dag.raw(b"new"), dir.path().join("t"));
    let link = dag.symlink(b"to");
    let inner = dag.directory(&[(b"f", &new)]);
    let names: [&[u8]; 4] = [b"empty", b"file", b"link", b"sub"];
    let [empty, file, over, sub] = names;
    let root = dag.directory(&[(empty, &new), (file, &new), (over, &link), (sub, &inner)]);
    fs::create_dir_all(target.join("sub")).unwrap();
    fs::create_dir(target.join("empty")).unwrap();
    fs::write(target.join("file"), "old and longer").unwrap();
    fs::write(target.join("kept"), "kept").unwrap();
    fs::write(target.join("sub/kept"), "kept").unwrap();
    symlink("file", target.join("link")).unwrap();
    fs::set_permissions(target.join("sub"), fs::Permissions::from_mode(0o700)).unwrap();
    dag.export(&root, &target).unwrap();
    let expected = [
        "", "empty", "file", "kept", "link", "sub", "sub/f", "sub/kept",
    ];
    assert_eq!(paths(&target), expected);
    assert_eq!(fs::read(target.join("file")).unwrap(), b"new");
    assert_eq!(fs::read(target.join("empty")).unwrap(), b"new");
    assert_eq!(fs::read_link(target.join("link")).unwrap(), Path::new("to"));
    // Nobody asked to open a closed directory to others.
    assert_eq!(mode_of(&target.join("sub")), 0o700);
}

#[test]
fn what_is_in_the_way_is_named() {
    let (mut dag, dir) = (Dag::default(), TempDir::new().unwrap());
    let (leaf, target) = (dag.raw(b"new"), dir.path().join("t"));
    let inner = dag.directory(&[(b"f", &leaf)]);
    let root = dag.directory(&[(b"x", &inner)]);
    let flat = dag.directory(&[(b"x", &leaf)]);
    fs::create_dir_all(dir.path().join("outside")).unwrap();
    fs::create_dir(&target).unwrap();

    fs::write(target.join("x"), "file").unwrap();
    let error = dag.export(&root, &target).unwrap_err();
    assert!(matches!(&error, ExportError::NotADirectory { path } if path.ends_with("x")));
    fs::remove_file(target.join("x")).unwrap();

    symlink("../outside", target.join("x")).unwrap();
    let error = dag.export(&root, &target).unwrap_err();
    assert!(matches!(&error, ExportError::SymlinkInTheWay { path } if path.ends_with("x")));
    fs::remove_file(target.join("x")).unwrap();

    fs::create_dir_all(target.join("x/y")).unwrap();
    let error = dag.export(&flat, &target).unwrap_err();
    assert!(matches!(&error, ExportError::DirectoryInTheWay { path } if path.ends_with("x")));
    assert_eq!(paths(&target), ["", "x", "x/y"]);

    for name in ["link", "link/"] {
        let link = dir.path().join(name);
        symlink("outside", dir.path().join("link")).unwrap();
        let error = dag.export(&root, &link).unwrap_err();
        assert!(
            matches!(error, ExportError::SymlinkInTheWay { .. }),
            "{error}"
        );
        fs::remove_file(dir.path().join("link")).unwrap();
    }
    symlink("nowhere", dir.path().join("link")).unwrap();
    assert!(dag.export(&root, &dir.path().join("link")).is_err());
    // A single file takes the place of the link and not of what it points to.
    fs::write(dir.path().join("nowhere"), "kept").unwrap();
    dag.export(&leaf, &dir.path().join("link")).unwrap();
    assert_eq!(fs::read(dir.path().join("nowhere")).unwrap(), b"kept");
    assert_eq!(fs::read(dir.path().join("link")).unwrap(), b"new");
    assert_eq!(paths(&dir.path().join("outside")), [""]);
    let file = dir.path().join("nowhere");
    assert!(matches!(
        dag.export(&root, &file),
        Err(ExportError::NotADirectory { .. })
    ));
}

#[test]
fn a_failure_leaves_no_partly_written_file() {
    let (mut dag, dir) = (Dag::default(), TempDir::new().unwrap());
    let leaf = dag.raw(&[1; 1000]);
    let gone = Cid::v1(RAW, HashSpec::SHA2_256.digest(b"gone").unwrap());
    let short = dag.file(&[(leaf.clone(), 1000), (leaf.clone(), 999)]);
    let cut = dag.file(&[(leaf.clone(), 1000), (gone.clone(), 1000)]);
    for (bad, is_block) in [(&short, false), (&cut, true)] {
        let root = dag.directory(&[(b"bad", bad)]);
        let target = dir.path().join("t");
        let error = dag.export(&root, &target).unwrap_err();
        assert_eq!(
            matches!(&error, ExportError::Block { cid, .. } if *cid == gone),
            is_block
        );
        assert_eq!(paths(&target), [""]);
    }
    let root = dag.directory(&[(b"a", &leaf), (b"b", &leaf)]);
    let source = |cid: &Cid| Ok(dag.0[cid].clone());
    let stop = &mut |_| Err(io::Error::other("closed"));
    let target = dir.path().join("t");
    let stopped = export(
        &root,
        b"n",
        &target,
        &ExportOptions::default(),
        &source,
        stop,
    );
    assert!(matches!(stopped, Err(ExportError::Progress(_))));
}

#[test]
fn a_file_bigger_than_the_disk_is_refused_before_it_is_begun() {
    let (mut dag, dir) = (Dag::default(), TempDir::new().unwrap());
    let mut cid = dag.raw(b"boom");
    let mut size = 4;
    for _ in 0..60 {
        cid = dag.file(&[(cid.clone(), size), (cid, size)]);
        size *= 2;
    }
    let target = dir.path().join("t");
    let error = dag.export(&cid, &target).unwrap_err();
    let ExportError::Read(ipfs_kit_unixfs::ReadError::Limit {
        what: Limit::ContentBytes,
        ..
    }) = error
    else {
        panic!("{error}")
    };
    let limits = Limits {
        content_bytes: u64::MAX,
        ..Limits::default()
    };
    let options = ExportOptions {
        limits,
        ..ExportOptions::default()
    };
    let source = |cid: &Cid| Ok(dag.0[cid].clone());
    let error = export(&cid, b"n", &target, &options, &source, &mut |_| Ok(())).unwrap_err();
    assert!(
        matches!(error, ExportError::NoSpace { needed, .. } if needed == size),
        "{error}"
    );
    assert_eq!(paths(dir.path()), [""]);
}

/// Deeper than the descriptors that are held open, so that directories are opened again.
#[test]
fn deep_trees_are_written() {
    let (mut dag, dir) = (Dag::default(), TempDir::new().unwrap());
    let leaf = dag.raw(b"x");
    let mut root = dag.directory(&[(b"f", &leaf)]);
    for _ in 0..1000 {
        root = dag.directory(&[(b"d", &root), (b"z", &leaf)]);
    }
    let report = dag.export(&root, &dir.path().join("t")).unwrap();
    assert_eq!((report.files, report.directories), (1001, 1001));
    let mut deepest = dir.path().join("t");
    for _ in 0..1000 {
        assert!(deepest.join("z").is_file());
        deepest.push("d");
    }
    assert_eq!(fs::read(deepest.join("f")).unwrap(), b"x");
}

#[test]
fn progress_ends_with_all_bytes() {
    let (mut dag, dir) = (Dag::default(), TempDir::new().unwrap());
    let leaf = dag.raw(&[5; 100_000]);
    let file = dag.file(&vec![(leaf, 100_000); 100]);
    let root = dag.directory(&[(b"a", &file), (b"b", &file)]);
    let source = |cid: &Cid| Ok(dag.0[cid].clone());
    let mut told = Vec::new();
    let mut progress = |bytes| {
        told.push(bytes);
        Ok(())
    };
    let target = dir.path().join("t");
    export(
        &root,
        b"n",
        &target,
        &ExportOptions::default(),
        &source,
        &mut progress,
    )
    .unwrap();
    assert!(told.is_sorted());
    assert_eq!(told.last(), Some(&20_000_000));
    assert_eq!(fs::read(target.join("b")).unwrap(), vec![5; 10_000_000]);
}
