//! `pin`, and the short forms `pin CID`, `unpin`, `list-pins`.

use super::harness::{Home, json, ndjson};
use super::read::ABSENT;

/// A tree that is not pinned: its root and the CID of `d/sub/b`.
fn tree(home: &Home) -> (String, String, String) {
    home.write("d/a", "a");
    home.write("d/sub/b", "b");
    let root = home.ok(["add", "-rQ", "--pin=false", "d"]);
    let cid = |path: &str| {
        let resolved = home.ok(["resolve", &format!("{root}/{path}")]);
        resolved.trim_start_matches("/ipfs/").to_owned()
    };
    let (sub, b) = (cid("sub"), cid("sub/b"));
    (root, sub, b)
}

#[test]
fn add_and_rm() {
    let home = Home::new();
    let (root, sub, _) = tree(&home);
    assert_eq!(
        home.ok(["pin", "add", &root]),
        format!("pinned {root} recursively")
    );
    assert_eq!(
        home.ok(["pin", "add", "--enc=json", &root]),
        format!(r#"{{"Pins":["{root}"]}}"#)
    );
    assert_eq!(
        home.ok(["pin", "add", "-r=false", &sub]),
        format!("pinned {sub} directly")
    );
    assert_eq!(home.ok(["-q", "pin", "add", &root]), root);
    let error = home.fails(["pin", "add", "-r=false", &root]);
    assert!(error.contains("already pinned recursively"), "{error}");
    let error = home.fails(["pin", "rm", "-r=false", &root]);
    assert!(error.contains("is pinned recursively"), "{error}");
    assert_eq!(home.ok(["pin", "rm", &sub]), format!("unpinned {sub}"));
    assert!(
        home.fails(["pin", "rm", &sub])
            .contains("not pinned or pinned indirectly")
    );
    assert_eq!(
        home.ok(["pin", "rm", "--enc=json", &root]),
        format!(r#"{{"Pins":["{root}"]}}"#)
    );
    home.fails(["pin", "add", ABSENT]);
    home.fails(["pin", "add", "bogus"]);
    home.fails(["pin", "add", "--name", &"x".repeat(256), &root]);
}

#[test]
fn ls() {
    let home = Home::new();
    let (root, sub, b) = tree(&home);
    home.ok(["pin", "add", "--name=tree", &root]);
    let through = format!("indirect through {root}");
    assert_eq!(home.ok(["pin", "ls", &root]), format!("{root} recursive"));
    assert_eq!(
        home.ok(["pin", "ls", &format!("{root}/sub")]),
        format!("{sub} {through}")
    );
    assert_eq!(
        home.ok(["pin", "ls", "--enc=json", &b]),
        format!(r#"{{"Keys":{{"{b}":{{"Type":"{through}","Name":""}}}}}}"#)
    );
    let all = home.ok(["pin", "ls"]);
    for line in [
        format!("{root} recursive"),
        format!("{sub} indirect"),
        format!("{b} indirect"),
    ] {
        assert!(all.lines().any(|known| known == line), "{all}");
    }
    assert_eq!(
        home.ok(["pin", "ls", "-n", "re"]).lines().next(),
        Some(&*format!("{root} recursive tree"))
    );
    assert_eq!(
        home.ok(["pin", "ls", "-t", "recursive", "-q", "-n", "tree"]),
        root
    );
    let keys = json(&home.ok(["pin", "ls", "--enc=json"]));
    assert_eq!(keys["Keys"][&sub]["Type"], "indirect");
    let streamed = ndjson(&home.ok(["pin", "ls", "--stream", "--names", "--enc=json"]));
    let named = streamed
        .iter()
        .find(|pin| pin["Cid"] == root.as_str())
        .unwrap();
    assert_eq!(
        (&named["Name"], &named["Type"]),
        (&"tree".into(), &"recursive".into())
    );

    assert!(
        home.fails(["pin", "ls", "-t", "bogus"])
            .contains("invalid type 'bogus'")
    );
    let error = home.fails(["pin", "ls", "-t", "recursive", &sub]);
    assert!(
        error.contains(&format!("path '{sub}' is not pinned")),
        "{error}"
    );
    let error = home.fails(["pin", "ls", "-t", "direct", &root]);
    assert!(error.contains("is not pinned"), "{error}");
}

#[test]
fn short_forms() {
    let home = Home::new();
    let (root, sub, _) = tree(&home);
    assert_eq!(
        home.ok(["pin", &root]),
        format!("pinned {root} recursively")
    );
    assert!(home.ok(["list-pins"]).contains(&format!("{sub} indirect")));
    let quiet = home.ok(["list-pins", "--type=recursive", "--quiet"]);
    assert!(quiet.lines().any(|line| line == root));
    assert_eq!(home.ok(["unpin", &root]), format!("unpinned {root}"));
    home.fails(["unpin", &root]);
    assert!(home.ok(["pin"]).contains("ipfs-kit pin add"));
    assert_eq!(
        home.ok(["pin", "-r=false", "--name", "n", &sub]),
        format!("pinned {sub} directly")
    );
}

#[test]
fn update_and_verify() {
    let home = Home::new();
    let (root, sub, b) = tree(&home);
    home.fails(["pin", "update", &root, &sub]);
    home.ok(["pin", "add", &root]);
    assert_eq!(
        home.ok(["pin", "update", &root, &sub]),
        format!("updated {root} to {sub}")
    );
    home.fails(["pin", "ls", "-t", "recursive", &root]);
    home.ok(["pin", "update", "--unpin=false", &sub, &root]);
    assert_eq!(
        home.ok(["pin", "ls", "-t", "recursive", &sub]),
        format!("{sub} recursive")
    );

    assert_eq!(home.ok(["pin", "verify"]), "");
    let verbose = home.ok(["pin", "verify", "--verbose"]);
    assert!(
        verbose.lines().any(|line| line == format!("{root} ok")),
        "{verbose}"
    );
    let lines = ndjson(&home.ok(["pin", "verify", "--verbose", "--enc=json"]));
    assert!(
        lines
            .iter()
            .any(|pin| pin["Cid"] == root.as_str() && pin["Ok"] == true)
    );
    home.fails(["pin", "verify", "--verbose", "-q"]);
    assert!(b.starts_with("Qm"));
}
