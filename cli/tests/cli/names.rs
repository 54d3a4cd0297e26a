//! `key`, `name` and `id`.

use super::harness::{Home, json};

#[test]
fn keys_are_made_listed_renamed_and_removed() {
    let home = Home::new();
    let id = home.ok(["key", "gen", "a"]);
    assert!(id.starts_with("k51"), "{id}");
    assert_eq!(home.ok(["key", "ls"]), "self\na");
    let long = home.ok(["key", "list", "-l"]);
    assert!(
        long.lines().nth(1).unwrap().starts_with(&format!("{id} a")),
        "{long}"
    );
    assert_eq!(
        home.ok(["key", "rename", "a", "b"]),
        format!("Key {id} renamed to b")
    );
    let listed = json(&home.ok(["key", "ls", "--enc=json", "--ipns-base=b58mh"]));
    assert_eq!(listed["Keys"][1]["Name"], "b");
    let own = home.ok(["id", "--format=<id>"]);
    assert_eq!(listed["Keys"][0]["Id"], own.as_str());
    assert!(home.fails(["key", "gen", "b"]).contains("exists"));
    home.fails(["key", "rm", "missing"]);
    home.fails(["key", "rm", "self"]);
    assert_eq!(home.ok(["key", "rm", "b"]), "b");
    for kind in ["rsa", "secp256k1"] {
        home.ok(["key", "gen", "-t", kind, kind]);
    }
    home.fails(["key", "gen", "-t", "dsa", "x"]);
}

#[test]
fn signatures() {
    let home = Home::new();
    home.ok(["key", "gen", "a"]);
    home.write("data", "signed");
    let signed = json(&home.ok(["key", "sign", "--key=a", "data"]));
    let signature = format!("--signature={}", signed["Signature"].as_str().unwrap());
    let verify = |file: &str| {
        let verified = json(&home.ok(["key", "verify", "--key=a", &signature, file]));
        verified["SignatureValid"].as_bool().unwrap()
    };
    assert!(verify("data"));
    home.write("other", "signed?");
    assert!(!verify("other"));
    home.fails(["key", "verify", "--key=a", "data"]);
}

#[test]
fn keys_leave_and_come_back() {
    let home = Home::alone();
    let id = home.ok(["key", "gen", "a"]);
    for (format, file) in [
        ("libp2p-protobuf-cleartext", "a.key"),
        ("pem-pkcs8-cleartext", "a.pem"),
    ] {
        home.ok(["key", "export", "-f", format, "a"]);
        home.fails(["key", "export", "-f", format, "a"]);
        let other = Home::new();
        let path = home.work(file);
        assert_eq!(
            other.ok(["key", "import", "-f", format, "b", path.to_str().unwrap()]),
            id
        );
        assert_eq!(other.ok(["key", "ls"]), "self\nb");
    }
    let before = home.ok(["id", "-f", "<id>"]);
    let text = home.ok(["key", "rotate", "--oldkey=old"]);
    let after = home.ok(["id", "-f", "<id>"]);
    assert!(text.ends_with(&after) && after != before, "{text}");
    assert_eq!(home.ok(["key", "ls"]), "self\na\nold");
    home.fails(["key", "rotate"]);
}

#[test]
fn names_are_published_and_resolved() {
    let home = Home::new();
    let cid = home.add("named");
    let own = home.ok(["id", "--peerid-base=base36", "-f", "<id>"]);
    let error = home.fails(["name", "publish", &cid]);
    assert!(error.contains("offline"), "{error}");
    let publish = ["name", "publish", "--allow-offline", &cid];
    assert_eq!(home.ok(publish), format!("Published to {own}: /ipfs/{cid}"));
    for name in [vec!["name", "resolve"], vec!["name", "resolve", &own]] {
        assert_eq!(home.ok(name), format!("/ipfs/{cid}"));
    }
    assert_eq!(home.ok(["cat", &format!("/ipns/{own}")]), "named");
    let record = home.run(["name", "get", &own]);
    home.write("record", &record.stdout);
    let inspected = json(&home.ok(["name", "inspect", "--enc=json", "--verify", &own, "record"]));
    assert_eq!(inspected["Validation"]["Valid"], true);
    assert_eq!(inspected["Entry"]["Value"], format!("/ipfs/{cid}"));
    let text = home.ok(["name", "inspect", "--dump=false", "record"]);
    assert!(text.contains("TTL:            5m0s\n"), "{text}");
    let other = Home::new();
    let path = home.work("record");
    other.ok([
        "name",
        "put",
        "--allow-offline",
        &own,
        path.to_str().unwrap(),
    ]);
    assert_eq!(
        other.ok(["name", "resolve", "-r=false", &own]),
        format!("/ipfs/{cid}")
    );
    other.fails(["name", "put", "--allow-offline", &own, "missing"]);
    home.write("nonsense", "x");
    home.fails(["name", "inspect", "nonsense"]);
    home.fails(["name", "resolve", "k51nonsense"]);
}

#[test]
fn id_of_others_is_not_made_up() {
    let home = Home::new();
    let own = home.ok(["id", "-f", "<id>"]);
    assert_eq!(home.ok(["id", "-f", "<id>", &own]), own);
    let other = "12D3KooWJdR5WjtdQdFSiXGVPBiKwGAKRnWgk6frpzoxx28rj5ho";
    assert!(home.fails(["id", other]).contains("running daemon"));
}
