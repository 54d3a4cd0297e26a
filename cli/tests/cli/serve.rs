//! `serve`: the port of the Python kit.

use serde_json::{Value, json};

use super::harness::{Daemon, Home};

const PORT: &str = "--port=0";

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn reads_are_answered_to_get_and_changes_are_not() {
    let home = Home::alone();
    let served = Daemon::run(&home, &["serve", PORT, "--offline"]);
    // The client of the README: add by POST, cat and ls by GET.
    let added = served.upload("add", &[("example.txt", "text/plain", b"hello")]);
    assert_eq!(added.status, 200);
    let cid = value(&added.body)["Hash"].as_str().unwrap().to_owned();
    let get = |target: &str| served.ask("GET", target, &[], b"");
    assert_eq!(get(&format!("/api/v0/cat?arg={cid}")).text(), "hello");
    let listed = get(&format!("/api/v0/ls?arg={cid}"));
    assert_eq!(value(&listed.body)["Objects"][0]["Hash"], json!(cid));
    assert_eq!(get("/api/v0/pin/ls").status, 200);
    for change in ["add", "pin/rm", "repo/gc", "shutdown"] {
        let refused = get(&format!("/api/v0/{change}"));
        assert_eq!(
            (refused.status, refused.header("allow")),
            (405, "GET, OPTIONS, POST")
        );
    }
    let saved = get(&format!("/api/download/{cid}?filename=a%20b.txt"));
    assert_eq!(saved.text(), "hello");
    assert_eq!(
        saved.header("content-disposition"),
        "attachment; filename*=UTF-8''a%20b.txt"
    );
    let bad = get("/api/download/nothing");
    assert_eq!(
        (bad.status, value(&bad.body)["success"].clone()),
        (400, json!(false))
    );
    let config = value(&get("/api/config").body);
    assert_eq!(
        (&config["role"], &config["timeouts"]["api"]),
        (&json!("leecher"), &json!(30.0))
    );
    let methods = value(&get("/api/methods").body);
    let names = methods["methods"].as_array().unwrap();
    assert!(names.iter().any(|method| method["name"] == "pin/add"));
    assert!(
        names
            .iter()
            .all(|method| !method["doc"].as_str().unwrap().is_empty())
    );
    let foreign = served.ask(
        "GET",
        "/api/v0/id",
        &[("Origin", "http://evil.example")],
        b"",
    );
    assert_eq!(foreign.status, 403);
    // Commands find it by the socket in the repo.
    assert_eq!(home.ok(["cat", &cid]), "hello");
    assert_eq!(home.ok(["shutdown"]), "");
    assert_eq!(served.end(), 0);
}

#[test]
fn a_token_is_asked_for_when_it_should_be() {
    let home = Home::alone();
    let refused = home.fails(["serve", PORT, "--offline", "--auth-enabled"]);
    assert!(refused.contains("auth token add"), "{refused}");
    let refused = home.fails(["serve", "--host=0.0.0.0", PORT, "--offline"]);
    assert!(refused.contains("--allow-unguarded"), "{refused}");
    let secret = home.ok(["auth", "token", "add", "app", "--method=GET"]);
    let origins = "--cors-origins=https://app.example";
    let words = ["serve", PORT, "--offline", "--auth-enabled", origins];
    let served = Daemon::run(&home, &words);
    let ask =
        |method: &str, headers: &[(&str, &str)]| served.ask(method, "/api/v0/id", headers, b"");
    let without = ask("GET", &[]);
    assert_eq!(
        (without.status, without.header("www-authenticate")),
        (401, "Bearer")
    );
    let bearer = format!("Bearer {}", secret.trim());
    let bearer = ("Authorization", bearer.as_str());
    assert_eq!(ask("GET", &[bearer]).status, 200);
    assert_eq!(ask("POST", &[bearer]).status, 401);
    let origin = ("Origin", "https://app.example");
    let page = ask("GET", &[bearer, origin]);
    assert_eq!(
        (page.status, page.header("access-control-allow-origin")),
        (200, origin.1)
    );
    assert_eq!(
        ask("GET", &[bearer, ("Origin", "https://other.example")]).status,
        403
    );
}
