//! The routes of the Python kit at the port of `serve`.

use serde_json::{Value, json};

use super::harness::{Daemon, Home, noise};
use super::http::Answer;

fn serve(home: &Home) -> Daemon {
    Daemon::run(home, &["serve", "--port=0", "--offline"])
}

fn value(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

fn call(served: &Daemon, method: &str, body: &Value) -> (u16, Value) {
    let json = ("Content-Type", "application/json");
    let answer = served.ask(
        "POST",
        &format!("/api/{method}"),
        &[json],
        body.to_string().as_bytes(),
    );
    (answer.status, value(&answer))
}

#[track_caller]
fn done(served: &Daemon, method: &str, body: &Value) -> Value {
    let (status, result) = call(served, method, body);
    assert_eq!(
        (status, &result["success"]),
        (200, &json!(true)),
        "{method} {body}: {result}"
    );
    assert!(
        result["timestamp"].is_f64() && result["correlation_id"].is_string(),
        "{result}"
    );
    result
}

/// Every refusal says the same in its status and in its body.
#[track_caller]
fn refused(answer: &Answer, status: u16, class: &str) {
    let told = value(answer);
    assert_eq!(answer.status, status, "{told}");
    let wanted = (&json!(false), &json!(class), &json!(status));
    assert_eq!(
        (&told["success"], &told["error_type"], &told["status_code"]),
        wanted,
        "{told}"
    );
    assert!(!told["error"].as_str().unwrap().is_empty());
}

#[test]
fn f100_methods_are_called_with_arguments_in_json() {
    let home = Home::alone();
    let served = serve(&home);
    // A text is content: no file of this machine is read.
    home.write("secret", "of this machine");
    let path = home.work("secret").display().to_string();
    let added = done(&served, "add", &json!({"args": [path]}));
    let cid = added["cid"].as_str().unwrap().to_owned();
    assert_eq!(
        (&added["Hash"], &added["operation"]),
        (&json!(cid), &json!("add"))
    );
    assert_eq!(
        (&added["count"], &added["Size"], &added["size"]),
        (&json!(1), &added["size"], &added["Size"])
    );
    let data = |result: &Value| {
        assert_eq!(result["encoding"], "base64");
        result["data"].as_str().unwrap().to_owned()
    };
    assert_eq!(home.ok(["cat", &cid]), path);
    let bytes =
        json!({"args": [{"data": "AP8KAA==", "encoding": "base64"}], "kwargs": {"pin": false}});
    let cid = done(&served, "add", &bytes)["cid"].clone();
    for method in ["get", "cat", "ipfs_cat"] {
        let got = done(&served, method, &json!({"args": [cid]}));
        assert_eq!(
            (data(&got), &got["operation"]),
            ("AP8KAA==".to_owned(), &json!("cat"))
        );
    }
    let part = json!({"kwargs": {"path": cid, "offset": 1, "length": 2}});
    assert_eq!(data(&done(&served, "cat", &part)), "/wo=");
    let wrapped = json!({"args": ["x"], "kwargs": {"wrap_with_directory": true}});
    let wrapped = done(&served, "add", &wrapped);
    assert_eq!(
        (&wrapped["count"], &wrapped["cid"]),
        (&json!(2), &wrapped["items"][1]["cid"])
    );
    let pinned = done(&served, "pin", &json!({"args": [cid]}));
    assert_eq!(
        (&pinned["pins"], &pinned["operation"]),
        (&json!([cid]), &json!("pin/add"))
    );
    let pins = done(
        &served,
        "list_pins",
        &json!({"kwargs": {"type": "recursive"}}),
    );
    assert_eq!(pins["Keys"][cid.as_str().unwrap()]["Type"], "recursive");
    let unpinned = done(&served, "unpin", &json!({"args": [cid]}));
    assert_eq!(unpinned["pins"], json!([cid]));
    assert_eq!(
        done(&served, "exists", &json!({"args": [cid]}))["items"][0]["exists"],
        true
    );
    let missing = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    assert_eq!(
        done(&served, "exists", &json!({"args": [missing]}))["items"][0]["exists"],
        false
    );
    let made = json!({"args": ["/a"], "kwargs": {"parents": true}});
    assert_eq!(
        done(&served, "files/mkdir", &made)["operation"],
        "files/mkdir"
    );
    let written = json!({"args": ["/a/b", "text"], "kwargs": {"create": true}});
    done(&served, "files_write", &written);
    assert_eq!(home.ok(["files", "read", "/a/b"]), "text");
    assert!(done(&served, "id", &json!({}))["ID"].is_string());
}

#[test]
fn f100_a_result_of_any_length_streams() {
    let home = Home::alone();
    let served = serve(&home);
    let content = noise(7, 3 << 20);
    let cid = home.add(&content);
    let got = done(&served, "get", &json!({"args": [cid]}));
    let wanted = home.ok_with(["multibase", "encode", "-b", "base64pad", "-"], &content);
    assert_eq!(
        Some(got["data"].as_str().unwrap()),
        wanted.strip_prefix('M')
    );
    let links = done(
        &served,
        "refs",
        &json!({"args": [cid], "kwargs": {"recursive": true}}),
    );
    assert_eq!(
        (&links["count"], links["items"].as_array().unwrap().len()),
        (&json!(12), 12)
    );
}

#[test]
fn f103_every_error_has_its_status_and_the_shape_of_the_kit() {
    let home = Home::alone();
    let served = serve(&home);
    let post = |path: &str, body: &str| served.ask("POST", path, &[], body.as_bytes());
    refused(&post("/api/nothing", "{}"), 404, "IPFSValidationError");
    refused(&post("/api/cat", "{"), 400, "IPFSValidationError");
    refused(
        &post("/api/cat", "{\"args\": [\"no cid\"]}"),
        500,
        "IPFSError",
    );
    refused(&post("/api/add", ""), 400, "IPFSValidationError");
    refused(
        &post("/api/cat", "{\"kwargs\": {\"nothing\": 1}}"),
        400,
        "IPFSValidationError",
    );
    let missing = "{\"args\": [\"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy\"]}";
    refused(&post("/api/cat", missing), 404, "IPFSContentNotFoundError");
    refused(
        &post(
            "/api/swarm/connect",
            "{\"args\": [\"/ip4/127.0.0.1/tcp/1\"]}",
        ),
        503,
        "IPFSConnectionError",
    );
    refused(&post("/api/upload", "x"), 400, "IPFSValidationError");
    refused(&post("/api/config", ""), 405, "IPFSValidationError");
    refused(&post("/elsewhere", ""), 404, "IPFSValidationError");
    refused(
        &served.ask("GET", "/api/add", &[], b""),
        405,
        "IPFSValidationError",
    );
    refused(
        &served.ask("GET", "/api/download/x", &[], b""),
        400,
        "IPFSValidationError",
    );
    let foreign = ("Origin", "http://evil.example");
    refused(
        &served.ask("POST", "/api/id", &[foreign], b"{}"),
        403,
        "IPFSError",
    );
    let long = format!("{{\"args\": [\"{}\"]}}", "x".repeat((8 << 20) + 1000));
    refused(&post("/api/add", &long), 413, "IPFSValidationError");
    for (method, path) in [("GET", "pins"), ("POST", "pin/add"), ("GET", "status")] {
        let answer = served.ask(method, &format!("/api/v0/cluster/{path}"), &[], b"");
        refused(&answer, 501, "IPFSConfigurationError");
    }
    // Clients of Kubo's RPC get Kubo's errors.
    let kubo = value(&post("/api/v0/cat?arg=x", ""));
    assert_eq!(
        (&kubo["Type"], &kubo["success"]),
        (&json!("error"), &Value::Null)
    );
}

#[test]
fn f101_files_are_uploaded_with_their_fields_before_them() {
    let home = Home::alone();
    let served = serve(&home);
    let form = |parts: &[(&str, Option<&str>, &[u8])], query: &str| {
        let mut body = Vec::new();
        for (name, file, content) in parts {
            let file = file.map_or(String::new(), |file| format!("; filename=\"{file}\""));
            let head =
                format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--B--\r\n");
        let kind = ("Content-Type", "multipart/form-data; boundary=B");
        served.ask("POST", &format!("/api/upload{query}"), &[kind], &body)
    };
    let content = noise(3, 300_000);
    let file = ("file", Some("a.bin"), &content[..]);
    let added = value(&form(&[file], ""));
    let cid = added["cid"].as_str().unwrap().to_owned();
    assert_eq!(
        (&added["success"], &added["Name"]),
        (&json!(true), &json!("a.bin")),
        "{added}"
    );
    assert_eq!(home.run(["cat", &cid]).stdout, content);
    assert!(home.ok(["pin", "ls", "-t", "recursive"]).contains(&cid));
    home.ok(["pin", "rm", &cid]);
    let pinned_before = home.ok(["pin", "ls", "-t", "recursive"]);
    let wrapped = value(&form(
        &[
            ("pin", None, b"false"),
            ("wrap_with_directory", None, b"true"),
            file,
        ],
        "",
    ));
    assert_eq!(wrapped["count"], 2, "{wrapped}");
    assert_eq!(home.ok(["pin", "ls", "-t", "recursive"]), pinned_before);
    let inside = format!("{}/a.bin", wrapped["cid"].as_str().unwrap());
    assert_eq!(home.run(["cat", &inside]).stdout, content);
    assert_eq!(
        value(&form(&[file], "?wrap_with_directory=true&pin=false"))["count"],
        2
    );
    for (parts, query) in [
        (vec![file, ("pin", None, &b"true"[..])], ""),
        (vec![("pin", None, &b"maybe"[..]), file], ""),
        (vec![("pin", None, &[b'x'; 100][..]), file], ""),
        (vec![("other", None, &b"true"[..]), file], ""),
        (vec![("pin", None, &b"true"[..])], ""),
        (vec![], ""),
        (vec![file], "?pin=maybe"),
    ] {
        let answer = form(&parts, query);
        let told = value(&answer);
        assert!(
            answer.status >= 400 && told["success"] == false,
            "{query}: {told}"
        );
    }
    let pinned = home.ok(["pin", "ls", "-t", "recursive"]);
    assert_eq!(pinned, pinned_before, "nothing is half kept");
}

#[test]
fn f102_content_is_downloaded_whole_and_in_parts() {
    let home = Home::alone();
    let served = serve(&home);
    let content = noise(5, 600_000);
    let cid = home.add(&content);
    let path = format!("/api/download/{cid}?filename=a.bin");
    let whole = served.ask("GET", &path, &[], b"");
    assert_eq!((whole.status, whole.body == content), (200, true));
    assert_eq!(whole.header("content-length"), "600000");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let head = served.ask("HEAD", &path, &[], b"");
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, "600000")
    );
    for (range, wanted) in [
        ("bytes=0-9", 0..10),
        ("bytes=262140-262150", 262_140..262_151),
        ("bytes=599999-", 599_999..600_000),
        ("bytes=599990-700000", 599_990..600_000),
        ("bytes=-10", 599_990..600_000),
        ("bytes=-600000", 0..600_000),
        ("bytes=-700000", 0..600_000),
    ] {
        for path in [
            &path,
            &format!("/api/v0/cat?arg={cid}"),
            &format!("/api/v1/cat?arg={cid}"),
        ] {
            let part = served.ask("GET", path, &[("Range", range)], b"");
            assert_eq!(
                (part.status, part.body == content[wanted.clone()]),
                (206, true),
                "{range}"
            );
            let told = format!("bytes {}-{}/600000", wanted.start, wanted.end - 1);
            assert_eq!(part.header("content-range"), told);
        }
    }
    let beyond = served.ask("GET", &path, &[("Range", "bytes=600000-")], b"");
    refused(&beyond, 416, "IPFSValidationError");
    assert_eq!(beyond.header("content-range"), "bytes */600000");
    let none = served.ask("GET", &path, &[("Range", "bytes=-0")], b"");
    refused(&none, 416, "IPFSValidationError");
    assert_eq!(none.header("content-range"), "bytes */600000");
    // Of nothing all is the last; and what has no validator is not what somebody has a part of.
    let nothing = format!("/api/v0/cat?arg={}", home.add(b""));
    for (path, headers) in [
        (&nothing, &[("Range", "bytes=-5")][..]),
        (&path, &[("Range", "bytes=-5"), ("If-Range", "\"x\"")]),
    ] {
        let all = served.ask("GET", path, headers, b"");
        assert_eq!((all.status, all.header("content-range")), (200, ""));
    }
    let missing = served.ask(
        "GET",
        "/api/v0/cat?arg=/ipfs/bafkqaaa/x",
        &[("Range", "bytes=-5")],
        b"",
    );
    assert_eq!(missing.status, 500);
    let posted = served.ask(
        "POST",
        &format!("/api/v0/cat?arg={cid}"),
        &[("Range", "bytes=0-9")],
        b"",
    );
    assert_eq!((posted.status, posted.body.len()), (200, 600_000));
}

#[test]
fn f91_f94_f95_pages_are_there_without_the_network() {
    let home = Home::alone();
    let served = serve(&home);
    let get = |path: &str, headers: &[(&str, &str)]| served.ask("GET", path, headers, b"");
    let health = value(&get("/health", &[]));
    assert_eq!(
        (&health["status"], &health["ready"]),
        (&json!("ok"), &json!(true))
    );
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert!(get("/metrics", &[]).text().contains("# TYPE"));
    let page = get("/docs", &[]);
    assert!(page.header("content-type").starts_with("text/html"));
    let page = page.text();
    let files = page.split('"').filter(|text| text.starts_with("/docs/"));
    assert_eq!(files.clone().count(), 3);
    for file in files {
        let plain = get(file, &[]);
        let packed = get(file, &[("Accept-Encoding", "gzip")]);
        assert_eq!((plain.status, packed.status), (200, 200), "{file}");
        assert!(plain.body.len() >= packed.body.len());
    }
    assert_eq!(get("/docs/nothing", &[]).status, 404);
    let document = value(&get("/openapi.json", &[]));
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/api/v0/cat"]["get"].is_object());
    assert!(document["paths"]["/api/{method}"]["post"].is_object());
}

#[test]
fn f226_the_id_of_a_request_comes_back() {
    let home = Home::alone();
    let served = serve(&home);
    let answer = served.ask("POST", "/api/id", &[("X-Correlation-Id", "mine-1")], b"");
    assert_eq!(answer.header("x-correlation-id"), "mine-1");
    assert_eq!(value(&answer)["correlation_id"], "mine-1");
}
