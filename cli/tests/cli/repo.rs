//! `init` and `repo`.

use super::harness::{Home, json, ndjson, noise};

#[test]
fn init() {
    let home = Home::bare();
    let text = home.ok(["init"]);
    assert!(text.contains("peer identity: 12D3KooW"), "{text}");
    assert!(text.contains(&format!(
        "initializing IPFS node at {}",
        home.repo().display()
    )));
    let error = home.fails(["init"]);
    assert!(error.contains("already exists"), "{error}");
    let profiled = Home::bare();
    profiled.ok(["init", "-e", "--profile=test,unixfs-v1-2025"]);
    assert_eq!(profiled.ok(["config", "Import.CidVersion"]), "1");
    assert!(profiled.add("x").starts_with("bafkrei"));
    for args in [
        vec!["--algorithm=dsa"],
        vec!["--bits=2048"],
        vec!["--profile=nope"],
        vec!["missing.json"],
    ] {
        let bare = Home::bare();
        bare.fails([&["init"], args.as_slice()].concat());
        assert!(!bare.repo().join("config").exists(), "nothing half there");
        bare.ok(["init"]);
    }
    assert_eq!(Home::bare().ok(["-q", "init"]), "");
}

#[test]
fn stat_and_version() {
    let home = Home::new();
    home.add("x");
    let stat = json(&home.ok(["repo", "stat", "--enc=json"]));
    assert_eq!(stat["RepoPath"], home.repo().to_str().unwrap());
    assert_eq!(stat["Version"], "fs-repo@1");
    assert!(stat["RepoSize"].as_u64().unwrap() > 0);
    let text = home.ok(["repo", "stat"]);
    assert!(
        text.starts_with("NumObjects: ") && text.contains("\nStorageMax: 1"),
        "{text}"
    );
    assert!(
        home.ok(["repo", "stat", "-H"])
            .contains("StorageMax: 10 GB")
    );
    assert!(!home.ok(["repo", "stat", "-s"]).contains("NumObjects"));
    let sizes = json(&home.ok(["repo", "stat", "-s", "--enc=json"]));
    assert_eq!(sizes["NumObjects"], 0);
    assert_eq!(home.ok(["repo", "version"]), "ipfs repo version fs-repo@1");
    assert_eq!(home.ok(["repo", "version", "-q"]), "fs-repo@1");
    assert_eq!(
        home.ok(["repo", "version", "--enc=json"]),
        r#"{"Version":"1"}"#
    );
}

#[test]
fn gc() {
    let home = Home::new();
    let kept = home.add(noise(1, 400_000));
    let start = home.blocks();
    let garbage = || home.ok_with(["block", "put"], "garbage");
    let cid = garbage();
    assert_eq!(home.ok(["repo", "gc"]), format!("removed {cid}"));
    assert_eq!(home.blocks(), start);
    garbage();
    assert_eq!(home.ok(["repo", "gc", "-q"]), cid);
    garbage();
    let lines = ndjson(&home.ok(["repo", "gc", "--enc=json"]));
    assert_eq!(lines, [json(&format!(r#"{{"Key":{{"/":"{cid}"}}}}"#))]);
    garbage();
    assert_eq!(home.ok(["repo", "gc", "--silent"]), "");
    assert_eq!(home.ok(["repo", "gc"]), "");
    assert!(home.run(["cat", &kept]).stdout == noise(1, 400_000));
    home.ok(["pin", "rm", &kept]);
    assert!(home.ok(["repo", "gc"]).lines().count() >= 3);
    home.fails(["cat", &kept]);
    home.assert_sound();
}

#[test]
fn verify() {
    let home = Home::new();
    home.add("x");
    assert_eq!(
        home.ok(["repo", "verify"]),
        "verify complete, all blocks validated."
    );
    let lines = ndjson(&home.ok(["repo", "verify", "--enc=json"]));
    assert_eq!(
        lines.last().unwrap()["Msg"],
        "verify complete, all blocks validated."
    );
    assert!(home.fails(["repo", "verify", "--heal"]).contains("network"));
    assert_eq!(home.ok(["repo", "ls"]), home.ok(["refs", "local"]));
}
