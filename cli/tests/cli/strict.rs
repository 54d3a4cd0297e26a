//! `/api/v1`: the methods of `/api/v0`, always in JSON.

use serde_json::{Value, json};

use super::harness::{Daemon, Home};
use super::http::{Answer, multipart};

/// The document of an answer, which says that it is one of this version.
#[track_caller]
fn document(answer: &Answer) -> Value {
    assert_eq!(
        answer.header("content-type"),
        "application/json",
        "{}",
        answer.text()
    );
    assert_eq!(answer.header("x-api-version"), "v1");
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

#[track_caller]
fn refused(answer: &Answer, status: u16, class: &str) {
    let told = document(answer);
    assert_eq!(answer.status, status, "{told}");
    let wanted = json!([false, class, status]);
    assert_eq!(
        json!([told["success"], told["error_type"], told["status_code"]]),
        wanted,
        "{told}"
    );
}

fn upload(daemon: &Daemon, call: &str, content: &[u8]) -> Answer {
    let kind = ("Content-Type", "multipart/form-data; boundary=XyZ");
    let body = multipart(&[("a.txt", "text/plain", content)]);
    daemon.ask("POST", &format!("/api/v1/{call}"), &[kind], &body)
}

fn post(daemon: &Daemon, call: &str) -> Answer {
    daemon.ask("POST", &format!("/api/v1/{call}"), &[], b"")
}

fn documents(daemon: &Daemon) {
    let added = document(&upload(daemon, "add?wrap-with-directory=true", b"hello"));
    assert_eq!(added.as_array().unwrap().len(), 2, "{added}");
    let cid = added[0]["Hash"].as_str().unwrap();
    let one = document(&post(daemon, &format!("ls?arg={cid}")));
    assert_eq!(one["Objects"][0]["Hash"], json!(cid));
    let many = document(&post(daemon, "pin/ls?stream=true"));
    assert_eq!(many[0]["Type"], "recursive");
    assert_eq!(
        document(&post(daemon, "refs?arg=bafkqaaa")),
        json!([]),
        "none are an array too"
    );
    assert_eq!(
        document(&post(daemon, "files/mkdir?arg=/d")),
        Value::Null,
        "nothing to report"
    );
    let already = document(&post(daemon, "repo/migrate"));
    assert!(
        already.as_str().unwrap().contains("already at version"),
        "{already}"
    );
    let content = post(daemon, &format!("cat?arg={cid}"));
    assert_eq!((content.status, content.text().as_str()), (200, "hello"));
    assert_eq!(content.header("content-type"), "application/octet-stream");
    let node = document(&post(daemon, &format!("dag/get?arg={cid}")));
    assert!(
        node["/"]["bytes"].is_string() || node["Data"].is_object(),
        "{node}"
    );
}

/// What the records of a result tell is part of it, however many there are.
fn failures_in_records(daemon: &Daemon) {
    let pinned = document(&upload(daemon, "add", b"pinned"))[0]["Hash"].clone();
    let pinned = pinned.as_str().unwrap();
    // So many are too long to be held until the end is known.
    for (blocks, is_long) in [(3, false), (950, true)] {
        let others: String = (0..blocks)
            .map(|nth| {
                let put = document(&upload(daemon, "block/put", format!("{nth}").as_bytes()));
                format!("&arg={}", put[0]["Key"].as_str().unwrap())
            })
            .collect();
        let removed = post(daemon, &format!("block/rm?arg={pinned}{others}"));
        assert_eq!(removed.status, 200, "{}", removed.text());
        assert_eq!(removed.body.len() > 64 << 10, is_long);
        let removed = document(&removed);
        let removed = removed.as_array().unwrap();
        assert_eq!(removed.len(), 1 + blocks);
        let failed = removed.iter().filter(|one| one["Error"].is_string());
        assert_eq!(failed.count(), 1, "{removed:?}");
    }
}

fn refusals(daemon: &Daemon) {
    let added = document(&upload(daemon, "add?wrap-with-directory=true", b"hello"));
    let directory = added[1]["Hash"].as_str().unwrap();
    for encoding in ["yaml", "text"] {
        refused(
            &post(daemon, &format!("refs?arg={directory}&format={encoding}")),
            400,
            "IPFSValidationError",
        );
    }
    refused(&post(daemon, "nothing"), 404, "IPFSValidationError");
    refused(&post(daemon, "cat"), 400, "IPFSValidationError");
    refused(
        &post(daemon, "id?encoding=text"),
        400,
        "IPFSValidationError",
    );
    refused(
        &post(daemon, "files/stat?arg=/nothing"),
        404,
        "IPFSContentNotFoundError",
    );
    refused(&post(daemon, "pin/rm?arg=bafkqaaa"), 500, "IPFSError");
    refused(
        &daemon.ask("GET", "/api/v1/add", &[], b""),
        405,
        "IPFSValidationError",
    );
    let evil = ("Origin", "http://evil.example");
    refused(
        &daemon.ask("POST", "/api/v1/id", &[evil], b""),
        403,
        "IPFSError",
    );
}

#[test]
fn f96_the_second_version_is_json_at_both_ports() {
    for words in [
        &["daemon", "--offline"][..],
        &["serve", "--port=0", "--offline"],
    ] {
        let home = Home::alone();
        home.ok(["config", "Addresses.API", "/ip4/127.0.0.1/tcp/0"]);
        let daemon = Daemon::run(&home, words);
        documents(&daemon);
        failures_in_records(&daemon);
        refusals(&daemon);
        let old = daemon.post("id");
        assert_eq!(old.header("x-api-version"), "v0");
        let lines = daemon.post("pin/ls?stream=true").text();
        assert!(
            lines.lines().count() == 4 && !lines.starts_with('['),
            "the first stays as it was: {lines}"
        );
    }
}

#[test]
fn f96_reads_are_answered_to_get_at_the_kits_port() {
    let home = Home::alone();
    let served = Daemon::run(&home, &["serve", "--port=0", "--offline"]);
    let cid = document(&upload(&served, "add", b"0123456789"))[0]["cid"]
        .as_str()
        .unwrap()
        .to_owned();
    let target = format!("/api/v1/cat?arg={cid}");
    assert_eq!(served.ask("GET", &target, &[], b"").text(), "0123456789");
    let part = served.ask("GET", &target, &[("Range", "bytes=2-4")], b"");
    assert_eq!((part.status, part.text().as_str()), (206, "234"));
    assert_eq!(
        document(&served.ask("GET", "/api/v1/pin/ls", &[], b""))["Keys"][&cid]["Type"],
        "recursive"
    );
    refused(
        &served.ask("GET", "/api/v1/cluster/pins", &[], b""),
        501,
        "IPFSConfigurationError",
    );
}

/// What opens a method opens it in both versions, and nothing else.
#[test]
fn f96_a_token_for_a_method_holds_for_both_versions() {
    let home = Home::alone();
    home.ok(["config", "Addresses.API", "/ip4/127.0.0.1/tcp/0"]);
    let secret = home.ok(["auth", "token", "add", "adder", "--path=add"]);
    let daemon = Daemon::run(&home, &["daemon", "--offline"]);
    let bearer = format!("Bearer {}", secret.trim());
    let body = multipart(&[("a.txt", "text/plain", b"hello")]);
    for version in ["v0", "v1"] {
        let ask = |method: &str, headers: &[(&str, &str)]| {
            let kind = ("Content-Type", "multipart/form-data; boundary=XyZ");
            let headers = [headers, &[kind]].concat();
            daemon
                .ask("POST", &format!("/api/{version}/{method}"), &headers, &body)
                .status
        };
        let bearer = ("Authorization", bearer.as_str());
        assert_eq!(ask("add", &[bearer]), 200, "{version}");
        assert_eq!(ask("version", &[bearer]), 200, "{version}");
        assert_eq!(ask("id", &[bearer]), 403, "{version}");
        assert_eq!(ask("add", &[]), 403, "{version}");
    }
}

/// What breaks off after it began is no document, and is not taken for one.
#[test]
fn f96_half_an_array_is_no_answer() {
    let home = Home::alone();
    home.ok(["config", "Addresses.API", "/ip4/127.0.0.1/tcp/0"]);
    let daemon = Daemon::run(&home, &["daemon", "--offline"]);
    let added = document(&upload(&daemon, "add", b"hello"));
    let cid = added[0]["Hash"].as_str().unwrap();
    // The first is there, the second is not.
    let broken = daemon.ask(
        "POST",
        &format!(
            "/api/v1/stat?arg={cid}&arg=bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
        ),
        &[],
        b"",
    );
    assert!(broken.status != 200 || !broken.whole, "{}", broken.text());
}
