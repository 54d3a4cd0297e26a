//! Repos on disk: made, opened, refused.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

use std::fs;
use std::path::Path;

use ipfs_kit_node::config::ConfigFile;
use ipfs_kit_node::repo::{InitOptions, RepoError, init};
use ipfs_kit_node::{AddOptions, Error, Node, PinKind, PinList, Source};

fn made(path: &Path) -> Node {
    init(path, &InitOptions::default()).unwrap();
    Node::builder().repo(path).open().unwrap()
}

fn refusal(path: &Path) -> RepoError {
    match Node::builder().repo(path).open() {
        Err(Error::Repo(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("opened"),
    }
}

/// Every file below a directory with its bytes.
fn snapshot(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() {
            files.extend(snapshot(&entry));
        } else {
            files.push((entry.display().to_string(), fs::read(&entry).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn a_new_repo_has_what_wrappers_look_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/repo");
    let options = InitOptions {
        profiles: vec!["test".to_owned()],
        empty_repo: false,
        ..InitOptions::default()
    };
    let made = init(&path, &options).unwrap();
    let config = ConfigFile::load(&path).unwrap().show();
    assert_eq!(config["Identity"]["PeerID"], made.peer_id.as_str());
    assert_eq!(
        config["Identity"].as_object().unwrap().len(),
        1,
        "the private key is not shown"
    );
    assert_eq!(config["Addresses"]["API"], "/ip4/127.0.0.1/tcp/0");
    assert!(config["API"].is_object() && config["Experimental"].is_object());
    use std::os::unix::fs::PermissionsExt;
    let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("config"), mode("keystore"), mode("")),
        (0o600, 0o700, 0o700)
    );

    let node = Node::builder().repo(&path).open().unwrap();
    let mut pins = Vec::new();
    node.pins()
        .list(
            &PinList {
                filter: ipfs_kit_node::PinFilter::Recursive,
                name: None,
            },
            &mut |pin| {
                assert_eq!(pin.kind, PinKind::Recursive);
                pins.push(pin.cid.to_string());
                Ok(())
            },
        )
        .unwrap();
    assert!(
        pins.contains(&"QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn".to_owned()),
        "the empty directory"
    );
    assert!(pins.contains(&made.welcome.unwrap().to_string()));
    drop(node);

    let before = snapshot(&path);
    let again = init(&path, &InitOptions::default()).unwrap_err();
    assert!(
        matches!(again, Error::Repo(RepoError::AlreadyInitialised(_))),
        "{again}"
    );
    assert_eq!(snapshot(&path), before);
}

#[test]
fn what_was_added_is_there_after_closing_and_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let node = made(dir.path());
    let add = |node: &Node, text: &str| {
        let sources = vec![Source::bytes("f", text.to_owned())];
        node.files()
            .add(sources, &AddOptions::default(), &mut |_| Ok(()))
            .unwrap()
            .roots[0]
            .cid
            .to_string()
    };
    let first = add(&node, "first");
    node.close().unwrap();
    let node = Node::builder().repo(dir.path()).open().unwrap();
    let second = add(&node, "second");
    // As a kill would leave it: copied while it is open.
    let copy = tempfile::tempdir().unwrap();
    for (name, bytes) in snapshot(dir.path()) {
        let target = copy
            .path()
            .join(Path::new(&name).strip_prefix(dir.path()).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
    let killed = Node::builder().repo(copy.path()).open().unwrap();
    for (cid, text) in [(first, "first"), (second, "second")] {
        let mut out = Vec::new();
        killed
            .files()
            .cat(&cid)
            .unwrap()
            .copy_to(&mut out, None)
            .unwrap();
        assert_eq!(out, text.as_bytes());
        killed
            .pins()
            .check(&[cid], ipfs_kit_node::PinFilter::Recursive)
            .unwrap();
    }
}

#[test]
fn a_locked_repo_says_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let node = made(dir.path());
    let error = refusal(dir.path());
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    drop(node);
    Node::builder().repo(dir.path()).open().unwrap();
}

#[test]
fn what_is_no_repo_of_ours_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(refusal(dir.path()), RepoError::NotInitialised(_)));
    assert!(matches!(
        refusal(&dir.path().join("nowhere")),
        RepoError::NotInitialised(_)
    ));

    let kubo = dir.path().join("kubo");
    fs::create_dir(&kubo).unwrap();
    for (name, text) in [
        ("version", "18\n"),
        ("config", "{}"),
        ("datastore_spec", "{}"),
    ] {
        fs::write(kubo.join(name), text).unwrap();
    }
    let before = snapshot(&kubo);
    assert!(matches!(refusal(&kubo), RepoError::KuboRepo(_)));
    let error = init(&kubo, &InitOptions::default()).unwrap_err();
    assert!(
        matches!(error, Error::Repo(RepoError::KuboRepo(_))),
        "{error}"
    );
    assert_eq!(snapshot(&kubo), before);

    let newer = dir.path().join("newer");
    made(&newer).close().unwrap();
    fs::write(newer.join("version"), "ipfs-kit/2\n").unwrap();
    let before = snapshot(&newer);
    assert!(matches!(
        refusal(&newer),
        RepoError::TooNew { found: 2, .. }
    ));
    assert_eq!(snapshot(&newer), before);
}

#[test]
fn a_refused_init_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r");
    let refused = [
        InitOptions {
            algorithm: "dsa".to_owned(),
            ..InitOptions::default()
        },
        InitOptions {
            profiles: vec!["pebbleds".to_owned()],
            ..InitOptions::default()
        },
        InitOptions {
            profiles: vec!["nope".to_owned()],
            ..InitOptions::default()
        },
        InitOptions {
            config: Some("[".to_owned()),
            ..InitOptions::default()
        },
    ];
    for options in refused {
        assert!(init(&path, &options).is_err());
        assert!(!path.exists());
    }
}

#[test]
fn looking_costs_no_write() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path()).close().unwrap();
    let unchanged = |name: &str| !name.ends_with("repo.lock");
    let files = || {
        snapshot(dir.path())
            .into_iter()
            .filter(|(name, _)| unchanged(name))
            .collect::<Vec<_>>()
    };
    let before = files();
    let node = Node::builder().repo(dir.path()).open().unwrap();
    node.pins()
        .list(&PinList::default(), &mut |_| Ok(()))
        .unwrap();
    node.repo().stat().unwrap();
    node.close().unwrap();
    assert_eq!(files(), before);
}
