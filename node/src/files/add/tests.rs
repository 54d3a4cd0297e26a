use std::fs;

use super::*;
use crate::files::AddedRoot;

fn node() -> Node {
    Node::builder().in_memory().open().unwrap()
}

fn roots(node: &Node, sources: Vec<Source>, options: &AddOptions) -> (Vec<AddedRoot>, Vec<String>) {
    let mut names = Vec::new();
    let report = node
        .files()
        .add(sources, options, &mut |event| {
            if let AddEvent::Added { name, .. } = event {
                names.push(name);
            }
            Ok(())
        })
        .unwrap();
    (report.roots, names)
}

fn one(sources: Vec<Source>, options: &AddOptions) -> String {
    roots(&node(), sources, options).0[0].cid.to_string()
}

fn bytes(data: &[u8]) -> Vec<Source> {
    vec![Source::bytes("f", data.to_vec())]
}

#[test]
fn small_inputs_have_kubos_cids() {
    let plain = AddOptions::default();
    let v1 = AddOptions {
        cid_version: Some(1),
        ..AddOptions::default()
    };
    assert_eq!(
        one(bytes(b"hello world"), &plain),
        "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"
    );
    assert_eq!(
        one(bytes(b"hello world"), &v1),
        "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    );
    assert_eq!(
        one(bytes(b""), &plain),
        "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"
    );
    assert_eq!(
        one(bytes(b""), &v1),
        "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    );
    let wrapped = AddOptions {
        wrap: true,
        ..AddOptions::default()
    };
    assert_eq!(
        one(Vec::new(), &wrapped),
        "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
    );
}

#[test]
fn streams_files_and_parts_agree() {
    let dir = tempfile::tempdir().unwrap();
    let data: Vec<u8> = (0..5_000_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for len in [
        0, 1, 262_143, 262_144, 262_145, 524_288, 524_289, 1_048_576, 1_048_577, 5_000_000,
    ] {
        let path = dir.path().join("f");
        fs::write(&path, &data[..len]).unwrap();
        for chunker in [
            "size-262144",
            "size-1000",
            "size-2096896",
            "buzhash",
            "rabin-1000-2000-4000",
        ] {
            for (trickle, mode) in [(false, None), (true, None), (false, Some(0o644))] {
                let options = AddOptions {
                    chunker: Some(chunker.to_owned()),
                    trickle: Some(trickle),
                    mode,
                    ..AddOptions::default()
                };
                if len > 600_000 && chunker == "size-1000" {
                    continue;
                }
                let from_file = one(vec![Source::path(&path)], &options);
                let from_bytes = one(bytes(&data[..len]), &options);
                assert_eq!(
                    from_file, from_bytes,
                    "{len} {chunker} trickle {trickle} mode {mode:?}"
                );
            }
        }
    }
}

#[test]
fn trees_come_in_kubos_order_with_kubos_cids() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().join("d");
    for sub in ["d/b/x", "d/a"] {
        fs::create_dir_all(dir.path().join(sub)).unwrap();
    }
    for (file, text) in [
        ("d/z", "1\n"),
        ("d/b/x/f", "2\n"),
        ("d/a/g", "3\n"),
        ("a", "a\n"),
        ("b", "b\n"),
    ] {
        fs::write(dir.path().join(file), text).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", d.join("link")).unwrap();
    let (found, names) = roots(&node(), vec![Source::path(&d)], &AddOptions::default());
    assert_eq!(
        names,
        [
            "d/a/g", "d/b/x/f", "d/link", "d/z", "d/a", "d/b/x", "d/b", "d"
        ]
    );
    assert_eq!(
        found[0].cid.to_string(),
        "QmY74h5Kz56kKBwG3fLNrj83fQDzoqqQ3zPAqLFqS6gQmf"
    );

    let all = vec![
        Source::path(dir.path().join("b")),
        Source::path(&d),
        Source::path(dir.path().join("a")),
    ];
    let wrap = AddOptions {
        wrap: true,
        ..AddOptions::default()
    };
    let (found, names) = roots(&node(), all, &wrap);
    assert_eq!(
        names,
        [
            "a", "b", "d/a/g", "d/b/x/f", "d/link", "d/z", "d/a", "d/b/x", "d/b", "d", ""
        ]
    );
    assert_eq!(
        found[0].cid.to_string(),
        "QmNr9okkr9vREiF4opsSNet8H2TEvRRZgftsCzskg5VvZN"
    );

    let nameless = Source::Reader {
        name: None,
        reader: Box::new(&b"hi\n"[..]),
    };
    let (found, names) = roots(&node(), vec![nameless], &wrap);
    assert_eq!(
        names,
        ["QmZLRFWaz9Kypt2ACNMDzA5uzACDRiCqwdkNSP1UZsu56D", ""]
    );
    assert_eq!(
        found[0].cid.to_string(),
        "QmXHpyCooZTfGUctrK29UcVuDhW24LmaEnswqnQNc6Jh6T"
    );

    let mode = AddOptions {
        wrap: true,
        mode: Some(0o644),
        ..AddOptions::default()
    };
    let (found, _) = roots(&node(), vec![Source::path(&d)], &mode);
    assert_eq!(
        found[0].cid.to_string(),
        "QmYYNQ83TZh9notVQnVtbT6HcjCt6rixpkYRpfG6dxi9Dk"
    );
}

#[test]
fn a_failing_file_is_named_and_nothing_is_pinned() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().join("d");
    fs::create_dir(&d).unwrap();
    for i in 0..300 {
        fs::write(d.join(format!("f{i}")), i.to_string()).unwrap();
    }
    std::os::unix::net::UnixListener::bind(d.join("socket")).unwrap();
    let node = node();
    let error = node
        .files()
        .add(vec![Source::path(&d)], &AddOptions::default(), &mut |_| {
            Ok(())
        })
        .unwrap_err();
    assert!(error.to_string().contains("socket"), "{error}");
    assert_eq!(node.pins().count().unwrap(), 0);
    let missing = vec![Source::path(d.join("f1")), Source::path(d.join("nope"))];
    let error = node
        .files()
        .add(missing, &AddOptions::default(), &mut |_| Ok(()))
        .unwrap_err();
    assert!(error.to_string().contains("nope"), "{error}");
    let flat = AddOptions {
        recursive: false,
        ..AddOptions::default()
    };
    let error = node
        .files()
        .add(vec![Source::path(&d)], &flat, &mut |_| Ok(()))
        .unwrap_err();
    assert!(error.to_string().contains("use the '-r' flag"), "{error}");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let refused = |options: AddOptions, needle: &str| {
        let error = node()
            .files()
            .add(bytes(b"x"), &options, &mut |_| Ok(()))
            .unwrap_err()
            .to_string();
        assert!(error.contains(needle), "{error}");
    };
    let plain = AddOptions::default;
    refused(
        AddOptions {
            cid_version: Some(0),
            hash: Some("blake3".to_owned()),
            ..plain()
        },
        "CIDv0",
    );
    refused(
        AddOptions {
            cid_version: Some(2),
            ..plain()
        },
        "unknown CID version",
    );
    refused(
        AddOptions {
            raw_leaves: Some(true),
            mode: Some(0o600),
            ..plain()
        },
        "raw-leaves",
    );
    refused(
        AddOptions {
            chunker: Some("size-0".to_owned()),
            ..plain()
        },
        "chunk",
    );
    refused(
        AddOptions {
            max_hamt_fanout: Some(7),
            ..plain()
        },
        "fan",
    );
    refused(
        AddOptions {
            pin_name: Some("x".repeat(256)),
            ..plain()
        },
        "pin name is 256 bytes",
    );
    refused(
        AddOptions {
            hash: Some("md0".to_owned()),
            ..plain()
        },
        "md0",
    );
}

#[test]
fn progress_and_cancelling() {
    let node = node();
    let mut progress = Vec::new();
    let options = AddOptions {
        progress: true,
        only_hash: true,
        ..AddOptions::default()
    };
    node.files()
        .add(bytes(&vec![7; 1_000_000]), &options, &mut |event| {
            if let AddEvent::Progress { bytes, .. } = event {
                progress.push(bytes);
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(progress, [262_144, 524_288, 786_432, 1_000_000]);
    assert_eq!(node.store().stats().blocks, 0, "only hashed");

    let token = crate::CancelToken::new();
    token.cancel();
    let stopped = node.with_cancel(token);
    let error = stopped
        .files()
        .add(bytes(b"x"), &AddOptions::default(), &mut |_| Ok(()))
        .unwrap_err();
    assert!(matches!(error, Error::Cancelled(_)), "{error}");
}

/// A tree of these paths, directories with a slash at their end; every file holds its path.
struct Listed(Vec<&'static str>, std::io::Cursor<Vec<u8>>);

impl crate::TreeStream for Listed {
    fn next_entry(&mut self) -> std::io::Result<Option<crate::StreamedEntry>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let path = self.0.remove(0);
        self.1 = std::io::Cursor::new(path.as_bytes().to_vec());
        Ok(Some(crate::StreamedEntry {
            path: path.as_bytes().to_vec(),
            kind: match path.ends_with('/') {
                true => crate::EntryKind::Directory,
                false => crate::EntryKind::File,
            },
            mode: None,
            mtime: None,
        }))
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        std::io::Read::read(&mut self.1, buffer)
    }
}

#[test]
fn a_directory_may_be_told_of_before_its_entries_come() {
    let add = |paths: &[&'static str]| {
        let node = node();
        let mut told = Vec::new();
        let tree = Listed(paths.to_vec(), std::io::Cursor::default());
        let report = node.files().add(
            vec![crate::Source::Tree(Box::new(tree))],
            &AddOptions::default(),
            &mut |event| {
                if let AddEvent::Added { name, .. } = event {
                    told.push(name);
                }
                Ok(())
            },
        );
        report.map(|report| (report.roots[0].cid.clone(), told))
    };
    let (usual, told) = add(&["t/", "t/a", "t/s/", "t/s/b", "t/e/"]).unwrap();
    assert_eq!(told, ["t/a", "t/s/b", "t/e", "t/s", "t"]);
    // As os.walk of Python lists it.
    let (walked, told) = add(&["t/", "t/s/", "t/e/", "t/a", "t/s/b"]).unwrap();
    assert_eq!(walked, usual);
    assert_eq!(told, ["t/a", "t/s/b", "t/e", "t/s", "t"]);
    // What came before would be lost.
    let error = add(&["t/s/b", "t/a", "t/s/c"]).unwrap_err();
    assert!(error.to_string().contains("follow each other"), "{error}");
}
