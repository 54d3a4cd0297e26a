//! `config`.

use std::fs;

use super::harness::{Home, failed, json};

#[test]
fn get_and_set() {
    let home = Home::alone();
    assert_eq!(home.ok(["config", "Datastore.StorageMax"]), "10GB");
    assert_eq!(home.ok(["config", "Datastore.StorageMax", "5GB"]), "");
    assert_eq!(home.ok(["config", "Datastore.StorageMax"]), "5GB");
    home.ok(["config", "--json", "Datastore.StorageGCWatermark", "91"]);
    assert_eq!(
        home.ok(["config", "--enc=json", "Datastore.StorageGCWatermark"]),
        r#"{"Key":"Datastore.StorageGCWatermark","Value":91}"#
    );
    home.ok(["config", "--bool", "Swarm.DisableNatPortMap", "true"]);
    assert_eq!(home.ok(["config", "Swarm.DisableNatPortMap"]), "true");
    home.ok(["config", "--json", "Import.CidVersion", "1"]);
    assert!(home.add("x").starts_with("bafkrei"));
}

#[test]
fn refusals_change_nothing() {
    let home = Home::new();
    let before = fs::read(home.repo().join("config")).unwrap();
    for args in [
        vec!["Nope"],
        vec!["Nope.Nope", "1"],
        vec!["Identity.PrivKey"],
        vec!["Identity"],
        vec![
            "Identity.PeerID",
            "12D3KooWGrkrKwQveqqFkeLQ1X2Qd9wwsgbwetfe4GfciuwtqB8J",
        ],
        vec!["Datastore.StorageGCWatermark", "abc"],
        vec!["Datastore.StorageMax", "lots"],
        vec!["--json", "Datastore.StorageMax", "{"],
        vec!["--bool", "Swarm.DisableNatPortMap", "maybe"],
        vec!["profile", "apply", "nope"],
        vec!["replace", "missing"],
        vec!["edit"],
    ] {
        failed(home.run([&["config"], args.as_slice()].concat()));
    }
    assert_eq!(fs::read(home.repo().join("config")).unwrap(), before);
    assert!(
        Home::bare()
            .fails(["config", "show"])
            .contains("no IPFS repo found")
    );
}

#[test]
fn show_and_replace() {
    let home = Home::new();
    let shown = home.ok(["config", "show"]);
    let document = json(&shown);
    assert!(
        document["Identity"]["PeerID"]
            .as_str()
            .unwrap()
            .starts_with("12D3KooW")
    );
    assert!(
        document["Identity"].get("PrivKey").is_none(),
        "the key is not shown"
    );
    for key in ["Addresses", "API", "Experimental", "Datastore"] {
        assert!(document.get(key).is_some(), "{key}");
    }
    let changed = home.write("new.json", shown.replace("\"10GB\"", "\"7GB\""));
    home.ok(["config", "replace", changed.to_str().unwrap()]);
    assert_eq!(home.ok(["config", "Datastore.StorageMax"]), "7GB");
    let file = fs::read_to_string(home.repo().join("config")).unwrap();
    assert!(file.contains("PrivKey"), "the key stays");
    let secret = home.write("secret.json", &file);
    home.fails(["config", "replace", secret.to_str().unwrap()]);
    let broken = home.write("broken.json", "{");
    home.fails(["config", "replace", broken.to_str().unwrap()]);
}

#[test]
fn profiles() {
    let home = Home::alone();
    let dry = home.ok(["config", "profile", "apply", "unixfs-v1-2025", "--dry-run"]);
    assert!(dry.contains("** \"CidVersion\": 1"), "{dry}");
    let before = home.add("x");
    assert!(before.starts_with("Qm"), "a dry run changes nothing");
    let both = json(&home.ok(["config", "profile", "apply", "unixfs-v1-2025", "--enc=json"]));
    assert_eq!(both["NewCfg"]["Import"]["CidVersion"], 1);
    assert!(home.add("x").starts_with("bafkrei"));
    assert!(
        home.ok(["config", "profile", "list"])
            .contains("unixfs-v0-2015")
    );
}

#[test]
fn edit() {
    let home = Home::new();
    let mut command = home.command(["config", "edit"]);
    command.env("EDITOR", "sed -i 's/10GB/3GB/'");
    let ran = command.output().unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert_eq!(home.ok(["config", "Datastore.StorageMax"]), "3GB");
    let mut command = home.command(["config", "edit"]);
    command.env("EDITOR", "no-such-editor");
    assert_eq!(command.output().unwrap().status.code(), Some(1));
}

#[test]
fn bootstrap_peers() {
    let home = Home::new();
    assert_eq!(home.ok(["bootstrap"]), "auto");
    let peer = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWJdR5WjtdQdFSiXGVPBiKwGAKRnWgk6frpzoxx28rj5ho";
    assert_eq!(home.ok(["bootstrap", "add", peer]), format!("added {peer}"));
    assert_eq!(home.ok(["bootstrap", "add", peer]), format!("added {peer}"));
    assert_eq!(home.ok(["bootstrap", "list"]), format!("{peer}\nauto"));
    for bad in [
        "nonsense",
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/1.2.3.4/tcp/1/p2p/x",
    ] {
        assert!(
            home.fails(["bootstrap", "add", bad])
                .contains("peer address")
        );
    }
    assert_eq!(
        home.ok(["bootstrap", "rm", peer]),
        format!("removed {peer}")
    );
    // What may be removed, and how.
    assert!(home.ok(["bootstrap", "rm"]).contains("bootstrap rm all"));
    assert_eq!(home.ok(["bootstrap", "rm", "--all"]), "removed auto");
    assert_eq!(
        home.ok(["bootstrap", "list", "--enc=json"]),
        r#"{"Peers":[]}"#
    );
}
