//! Repos that are not whole, or not to be read.

use super::*;

/// Blocks of which one is damaged by `damage`, and what is reported of it.
fn one_damaged(cid: &str, damage: impl FnOnce(&Path)) -> (MigrateReport, Place) {
    let place = Place::new();
    damage(&place.block(cid));
    let report = place.migrate();
    assert_eq!(
        report.blocks.taken + report.blocks.present,
        BLOCKS - 1,
        "{report:?}"
    );
    assert!(!report.is_complete());
    (report, place)
}

fn assert_others_are_taken(report: &MigrateReport, place: &Place, left: &[&str]) {
    assert_eq!(report.pins.left, left.len() as u64, "{report:?}");
    for cid in left {
        assert!(
            report.pins.named.iter().any(|pin| pin.what == *cid),
            "{report:?}"
        );
    }
    let mut expected = expected_pins();
    expected.retain(|(cid, ..)| !left.contains(&cid.as_str()));
    assert_eq!(pins(&place.open()), expected);
}

#[test]
fn a_truncated_block_is_told_with_the_pins_above_it() {
    let (report, place) = one_damaged(TREE, |file| {
        let data = fs::read(file).unwrap();
        fs::write(file, &data[..data.len() / 2]).unwrap();
    });
    let left = &report.blocks.named[0];
    assert!(left.reason.contains("do not have the hash"), "{left:?}");
    assert!(left.what.ends_with(".data"), "{left:?}");
    assert_others_are_taken(&report, &place, &[TREE, NODE]);
    // The tree is in MFS too, which Kubo allows to have gaps.
    assert_eq!(report.mfs.taken, 1);
    assert!(
        report.notes.iter().any(|note| note.contains("MFS")),
        "{report:?}"
    );
}

#[test]
fn an_empty_and_an_exchanged_block() {
    let (report, place) = one_damaged(DIRECT, |file| fs::write(file, "").unwrap());
    assert!(
        report.blocks.named[0].reason.contains("its 0 bytes"),
        "{report:?}"
    );
    assert_others_are_taken(&report, &place, &[DIRECT]);
    let (report, place) = one_damaged(JOURNAL, |file| fs::write(file, "loose").unwrap());
    assert_others_are_taken(&report, &place, &[JOURNAL]);
}

#[test]
fn something_that_cannot_be_read_as_a_block() {
    let (report, place) = one_damaged(LOOSE, |file| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    });
    assert!(
        report.blocks.named[0].reason.contains("no file"),
        "{report:?}"
    );
    assert_others_are_taken(&report, &place, &[]);
    let (report, _place) = one_damaged(LOOSE, |file| {
        fs::remove_file(file).unwrap();
        std::os::unix::fs::symlink("nowhere", file).unwrap();
    });
    assert!(
        report.blocks.named[0].reason.contains("cannot be read"),
        "{report:?}"
    );
    let (report, _place) = one_damaged(LOOSE, |file| {
        fs::remove_file(file).unwrap();
        let name = std::ffi::CString::new(file.to_str().unwrap()).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            name,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
    });
    assert!(
        report.blocks.named[0].reason.contains("no file"),
        "{report:?}"
    );
    let (report, _place) = one_damaged(LOOSE, |file| {
        let long = fs::OpenOptions::new().write(true).open(file).unwrap();
        long.set_len(1 << 40).unwrap();
    });
    assert!(
        report.blocks.named[0].reason.contains("more than a block"),
        "{report:?}"
    );
    let (report, _place) = one_damaged(LOOSE, |file| {
        fs::rename(file, file.with_file_name("NOT-BASE32.data")).unwrap();
    });
    assert!(
        report.blocks.named[0].reason.contains("no multihash"),
        "{report:?}"
    );
}

#[test]
fn files_that_a_killed_kubo_leaves_are_no_blocks() {
    let place = Place::new();
    let shard = place.block(LOOSE).parent().unwrap().to_owned();
    fs::write(shard.join("put-123456"), "half").unwrap();
    fs::create_dir_all(place.kubo().join("blocks/.temp")).unwrap();
    fs::write(place.kubo().join("blocks/.temp/x.data"), "half").unwrap();
    fs::write(place.kubo().join("blocks/diskUsage.cache"), "{}").unwrap();
    assert!(place.migrate().is_complete());
}

#[test]
fn a_damaged_key_leaves_the_others() {
    let place = Place::new();
    let keys = fs::read_dir(place.kubo().join("keystore")).unwrap();
    let first = keys.map(|entry| entry.unwrap().path()).min().unwrap();
    fs::write(first, "no key").unwrap();
    let report = place.migrate();
    assert_eq!((report.keys.taken, report.keys.left), (1, 1), "{report:?}");
}

/// Why the repo is refused after `change`.
fn refused(change: impl FnOnce(&Path)) -> String {
    let place = Place::new();
    change(&place.kubo());
    let before = everything(&place.kubo());
    let Err(error) = KuboRepo::open(place.kubo()) else {
        panic!("the repo was opened");
    };
    assert_eq!(everything(&place.kubo()), before);
    error.to_string()
}

fn assert_says(error: &str, part: &str) {
    assert!(error.contains(part), "{error}");
}

#[test]
fn repos_that_are_not_to_be_read() {
    let write = |name: &'static str, text: &'static str| {
        move |repo: &Path| fs::write(repo.join(name), text).unwrap()
    };
    let without = |name: &'static str| move |repo: &Path| fs::remove_file(repo.join(name)).unwrap();
    assert_says(&refused(without("blocks/SHARDING")), "SHARDING");
    let sharding = write("blocks/SHARDING", "/repo/flatfs/shard/v2/magic/9");
    assert_says(&refused(sharding), "magic");
    assert_says(&refused(write("version", "11\n")), "ipfs repo migrate");
    assert_says(&refused(write("version", "19\n")), "newer Kubo");
    assert_says(&refused(write("version", "many")), "no number");
    assert_says(&refused(without("version")), "version");
    assert_says(&refused(write("config", "{")), "no JSON");
    assert_says(&refused(without("datastore/CURRENT")), "CURRENT");
    for (kind, spec) in [
        ("pebbleds", r#"{"type":"pebbleds","path":"pebbleds"}"#),
        ("badgerds", r#"{"type":"badgerds","path":"badgerds"}"#),
    ] {
        let error = refused(|repo| fs::write(repo.join("datastore_spec"), spec).unwrap());
        assert_says(&error, kind);
        assert_says(&error, "ipfs-ds-convert");
    }
    let dir = tempfile::tempdir().unwrap();
    let refused = |path: &Path| KuboRepo::open(path).err().unwrap().to_string();
    assert_says(&refused(&dir.path().join("nowhere")), "nothing is there");
    repo::init(&dir.path().join("ours"), &InitOptions::default()).unwrap();
    assert_says(&refused(&dir.path().join("ours")), "a repo of ipfs-kit");
}

#[test]
fn a_repo_whose_daemon_answers_is_left_alone() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let api = place.kubo().join("api");
    fs::write(&api, format!("/ip4/127.0.0.1/tcp/{port}")).unwrap();
    let error = KuboRepo::open(place.kubo()).err().unwrap().to_string();
    assert_says(&error, "Kubo is running");
    drop(listener);
    KuboRepo::open(place.kubo()).unwrap();
}

#[test]
fn a_kubo_that_was_started_meanwhile_is_told() {
    let place = Place::new();
    fs::remove_file(place.kubo().join("repo.lock")).unwrap();
    let kubo = KuboRepo::open(place.kubo()).unwrap();
    fs::write(place.kubo().join("repo.lock"), "").unwrap();
    let node = place.open();
    let error = run(&node, &kubo, &mut |_| Ok(())).unwrap_err();
    assert_says(&error.to_string(), "started");
}
