//! The daemon and its RPC, spoken to in plain HTTP.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::harness::{Daemon, Home, json, ndjson, noise};
use super::http::answer;

const FILE: &str = "application/octet-stream";
const DIRECTORY: &str = "application/x-directory";

/// Not in any repo here.
const ABSENT: &str = "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEJ";

fn started() -> (Home, Daemon) {
    let home = Home::alone();
    let daemon = Daemon::start(&home);
    (home, daemon)
}

#[test]
fn it_says_what_tools_wait_for() {
    let (home, daemon) = started();
    assert_eq!(daemon.lines[0], "Initializing daemon...");
    let (host, port) = daemon.address.split_once(':').unwrap();
    let api = std::fs::read_to_string(home.repo().join("api")).unwrap();
    assert_eq!(api, format!("/ip4/{host}/tcp/{port}"));
    let answer = daemon.post("id");
    assert_eq!(answer.status, 200);
    let id = json(&answer.text());
    assert_eq!(id["ID"], home.ok(["config", "Identity.PeerID"]).as_str());
    assert_eq!(answer.header("server"), "ipfs-kit/0.1.0");
    assert_eq!(daemon.post("shutdown").status, 200);
    assert_eq!(daemon.end(), 0);
    for gone in ["api", "api.sock"] {
        assert!(!home.repo().join(gone).exists(), "{gone}");
    }
    home.assert_sound();
}

#[test]
fn add_and_cat() {
    let (_home, daemon) = started();
    let answer = daemon.upload("add?pin=true", &[("f", FILE, b"hello\n")]);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text(),
        "{\"Name\":\"f\",\"Hash\":\"QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN\",\"Size\":\"14\"}\n"
    );
    assert_eq!(answer.header("x-chunked-output"), "1");
    let cat = "cat?arg=QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN";
    let answer = daemon.post(cat);
    assert_eq!(answer.body, b"hello\n");
    assert_eq!(answer.header("x-stream-output"), "1");
    assert_eq!(answer.header("x-content-length"), "6");
    assert_eq!(answer.header("content-type"), "text/plain");
    assert_eq!(
        daemon.post(&format!("{cat}&offset=1&length=3")).body,
        b"ell"
    );
    let block = "block/get?arg=QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN";
    let answer = daemon.post(block);
    assert_eq!(answer.header("content-type"), "application/vnd.ipld.raw");
    assert_eq!(answer.body.len(), 14);

    let big = noise(5, 3 << 20);
    let answer = daemon.upload("add?progress=true&cid-version=1", &[("big", FILE, &big)]);
    let events = ndjson(&answer.text());
    assert_eq!(events[0], json!({"Name": "big", "Bytes": 262_144}));
    let hash = events[events.len() - 1]["Hash"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(daemon.post(&format!("cat?arg={hash}")).body, big);
}

#[test]
fn trees_come_as_kubo_clients_send_them() {
    let (home, daemon) = started();
    home.write("d/a", "a");
    home.write("d/e/b", "b");
    std::os::unix::fs::symlink("a", home.work("d/l")).unwrap();
    let wanted = home.ok(["add", "-rQ", "--only-hash", "d"]);
    let whole: &[(&str, &str, &[u8])] = &[
        ("d", DIRECTORY, b""),
        ("d%2Fa", FILE, b"a"),
        ("d%2Fe", DIRECTORY, b""),
        ("d%2Fe%2Fb", FILE, b"b"),
        ("d%2Fl", "application/symlink", b"a"),
    ];
    // Other clients send no directories, and slashes as they are.
    let implied: &[(&str, &str, &[u8])] = &[
        ("/d/a", FILE, b"a"),
        ("/d/e/b", "text/plain", b"b"),
        ("/d/l", "application/symlink", b"a"),
    ];
    for parts in [whole, implied] {
        let added = ndjson(&daemon.upload("add", parts).text());
        let last = added.last().unwrap();
        assert_eq!(
            (&last["Name"], &last["Hash"]),
            (&json!("d"), &json!(wanted))
        );
    }
    let wrapped = daemon.upload(
        "add?wrap-with-directory=true",
        &[("x", FILE, b"1"), ("y", FILE, b"2")],
    );
    let wrapped = ndjson(&wrapped.text());
    let names: Vec<&str> = wrapped
        .iter()
        .map(|added| added["Name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["x", "y", ""]);
    let evil = daemon.upload("add", &[("../../evil", FILE, b"1")]);
    assert_eq!(ndjson(&evil.text())[0]["Name"], "evil");
}

#[test]
fn guards() {
    let (_home, daemon) = started();
    let (_, port) = daemon.address.split_once(':').unwrap();
    let status = |method: &str, headers: &[(&str, &str)]| {
        daemon.ask(method, "/api/v0/version", headers, b"").status
    };
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH"] {
        let answer = daemon.ask(method, "/api/v0/version", &[], b"");
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), "OPTIONS, POST");
    }
    let own = format!("http://localhost:{port}");
    assert_eq!(status("POST", &[("Origin", own.as_str())]), 200);
    assert_eq!(status("POST", &[("Origin", "http://evil.example")]), 403);
    assert_eq!(status("POST", &[("Referer", "http://evil.example/x")]), 403);
    assert_eq!(status("POST", &[("User-Agent", "Mozilla/5.0")]), 403);
    assert_eq!(
        status("POST", &[("User-Agent", "Mozilla/5.0 Electron/9")]),
        200
    );
    let asked = ("Access-Control-Request-Method", "POST");
    let answer = daemon.ask(
        "OPTIONS",
        "/api/v0/id",
        &[("Origin", own.as_str()), asked],
        b"",
    );
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), own);
    let evil = ("Origin", "http://evil.example");
    let answer = daemon.ask("OPTIONS", "/api/v0/id", &[evil, asked], b"");
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[test]
fn bad_input() {
    let (home, daemon) = started();
    let before = home.blocks();
    for (call, status, text) in [
        ("nosuch", 404, "404 page not found\n"),
        ("config/edit", 404, "404 page not found\n"),
        ("init", 404, "404 page not found\n"),
        ("cat", 400, "argument \"ipfs-path\" is required\n"),
        ("add", 400, "file argument 'path' is required\n"),
        (
            "cat?arg=x&offset=y",
            400,
            "could not convert value \"y\" to type \"int64\" (for option \"-offset\")\n",
        ),
        ("id?encoding=bad", 400, "invalid encoding: bad\n"),
    ] {
        let answer = daemon.post(call);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, text),
            "{call}"
        );
    }
    let answer = daemon.post(&format!("cat?arg={ABSENT}"));
    assert_eq!(answer.status, 500);
    let message = format!("block was not found locally (offline): ipld: could not find {ABSENT}");
    assert_eq!(
        answer.error(),
        json!({"Message": message, "Code": 0, "Type": "error"})
    );
    let kind = [("Content-Type", "multipart/form-data; boundary=XyZ")];
    let head = format!("--XyZ\r\nX: {}", "x".repeat(1 << 20));
    for body in [&b"nonsense"[..], b"", b"--XyZ\r\n", head.as_bytes()] {
        let answer = daemon.ask("POST", "/api/v0/add", &kind, body);
        assert!(answer.status >= 400 || !answer.whole || answer.body.is_empty());
    }
    let long = "x".repeat(20 << 10);
    assert_eq!(
        daemon
            .ask("POST", "/api/v0/id", &[("X-Long", &long)], b"")
            .status,
        431
    );
    assert_eq!(home.blocks(), before, "nothing half is kept");
}

#[test]
fn an_upload_that_breaks_off_keeps_nothing() {
    let (home, daemon) = started();
    let pins = home.ok(["pin", "ls", "-t", "recursive"]);
    let mut stream = daemon.connect();
    let head = "POST /api/v0/add HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\
                Content-Type: multipart/form-data; boundary=XyZ\r\n\r\n\
                --XyZ\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&noise(1, 4 << 20)).unwrap();
    drop(stream);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(home.ok(["pin", "ls", "-t", "recursive"]), pins);
    home.assert_sound();
}

#[test]
fn an_upload_that_stalls_ends_with_its_time() {
    let (home, daemon) = started();
    let pins = home.ok(["pin", "ls", "-t", "recursive"]);
    let mut stream = daemon.connect();
    let head = "POST /api/v0/add?timeout=1s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\
                Connection: close\r\nContent-Type: multipart/form-data; boundary=XyZ\r\n\r\n\
                --XyZ\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\nhalf";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = answer(stream);
    assert_eq!(answer.status, 500);
    let message = answer.error()["Message"].as_str().unwrap().to_owned();
    assert!(message.contains("timed out"), "{message}");
    assert_eq!(home.ok(["pin", "ls", "-t", "recursive"]), pins);
}

#[test]
fn an_error_in_the_middle_is_told() {
    let (home, daemon) = started();
    let big = noise(2, 40 << 20);
    let root = home.ok_with(["add", "-Q", "--raw-leaves"], &big);
    let links = home.ok(["refs", &root]);
    let last = links.lines().last().unwrap();
    home.ok(["pin", "rm", &root]);
    home.ok(["block", "rm", last]);
    let call = format!("/api/v0/cat?arg={root}");
    let answer = daemon.ask("POST", &call, &[("TE", "trailers")], b"");
    assert_eq!(answer.status, 200);
    assert!(answer.whole && answer.body.len() < big.len());
    assert!(
        answer.header("x-stream-error").contains("could not find"),
        "{:?}",
        answer.headers
    );
    let answer = daemon.ask("POST", &call, &[], b"");
    assert!(!answer.whole, "half a result is not taken for a whole one");
    let ran = home.run(["cat", &root]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("could not find"), "{}", ran.stderr);
}

#[test]
fn slow_heads_are_dropped() {
    let (_home, daemon) = started();
    let openings = [
        "",
        "P",
        "PRI * HT",
        "POST /api/v0/id HTTP/1.1\r\nHost: localhost\r\n",
    ];
    let mut slow: Vec<_> = openings
        .iter()
        .map(|opening| {
            let mut stream = daemon.connect();
            stream.write_all(opening.as_bytes()).unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    assert_eq!(daemon.post("id").status, 200);
    for (stream, opening) in slow.iter_mut().zip(openings) {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(14), "{opening:?}: {waited:?}");
    }
    assert!(start.elapsed() > Duration::from_secs(8));
}

#[test]
fn signals_end_it_under_load() {
    for signal in [Signal::TERM, Signal::INT] {
        let (home, daemon) = started();
        let pins = home.ok(["pin", "ls", "-t", "recursive"]);
        let mut upload = daemon.connect();
        let head = "POST /api/v0/add HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\
                    Content-Type: multipart/form-data; boundary=XyZ\r\n\r\n\
                    --XyZ\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\n";
        upload.write_all(head.as_bytes()).unwrap();
        upload.write_all(&noise(1, 1 << 20)).unwrap();
        let idle = daemon.connect();
        std::thread::sleep(Duration::from_millis(200));
        let start = Instant::now();
        kill_process(Pid::from_child(daemon.child()), signal).unwrap();
        assert_eq!(daemon.end(), 0);
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
        drop((upload, idle));
        assert!(!home.repo().join("api.sock").exists());
        assert_eq!(home.ok(["pin", "ls", "-t", "recursive"]), pins);
        home.assert_sound();
    }
}

#[test]
fn garbage_is_collected_while_files_are_added() {
    let (home, daemon) = started();
    let mut roots = Vec::new();
    std::thread::scope(|scope| {
        let gc = scope.spawn(|| {
            for _ in 0..10 {
                assert_eq!(daemon.post("repo/gc").status, 200);
            }
        });
        for seed in 0..20 {
            let data = noise(seed, 600_000);
            let answer = daemon.upload("add", &[("f", FILE, &data)]);
            let hash = ndjson(&answer.text())[0]["Hash"]
                .as_str()
                .unwrap()
                .to_owned();
            roots.push((hash, data));
        }
        gc.join().unwrap();
    });
    for (hash, data) in roots {
        assert_eq!(daemon.post(&format!("cat?arg={hash}")).body, data);
    }
    home.assert_sound();
}

#[test]
fn the_command_line_goes_to_the_daemon_it_is_told() {
    let (home, daemon) = started();
    let cid = home.add("told");
    let other = Home::alone();
    let (host, port) = daemon.address.split_once(':').unwrap();
    let socket = home.repo().join("api.sock");
    for api in [
        format!("--api=/ip4/{host}/tcp/{port}"),
        format!("--api-url=http://{}", daemon.address),
        format!("--api-url=unix://{}", socket.display()),
    ] {
        assert_eq!(other.ok(["cat", &api, &cid]), "told", "{api}");
    }
    let error = other.fails(["cat", "--api=/ip4/127.0.0.1/tcp/1", &cid]);
    assert!(error.contains("cannot reach a daemon"), "{error}");
    let error = other.fails(["cat", "--api=nonsense", &cid]);
    assert!(error.contains("no address of a daemon"), "{error}");
}

#[test]
fn a_secret_is_asked_on_the_network_only() {
    let home = Home::alone();
    let secrets = r#"{"a": {"AuthSecret": "bearer:tok", "AllowedPaths": ["/api/v0"]}}"#;
    home.ok(["config", "--json", "API.Authorizations", secrets]);
    let daemon = Daemon::start(&home);
    assert_eq!(daemon.post("id").status, 403);
    let token = [("Authorization", "Bearer tok")];
    assert_eq!(daemon.ask("POST", "/api/v0/id", &token, b"").status, 200);
    home.ok(["id"]);
    let api = format!("--api-url=http://{}", daemon.address);
    let other = Home::alone();
    assert!(other.fails(["id", &api]).contains("--api-auth"));
    other.ok(["id", &api, "--api-auth=tok"]);
}

#[test]
fn what_a_killed_daemon_leaves_is_no_hindrance() {
    let (home, daemon) = started();
    drop(daemon);
    assert!(home.repo().join("api").exists());
    home.add("embedded");
    let daemon = Daemon::start(&home);
    home.add("attached");
    let second = home.run(["daemon"]);
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("lock"), "{}", second.stderr);
    assert_eq!(daemon.post("id").status, 200);
}

#[test]
fn many_connections_and_pipelined_requests() {
    let (_home, daemon) = started();
    let mut stream = daemon.connect();
    let one = "POST /api/v0/version HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let last = "POST /api/v0/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream
        .write_all((one.repeat(10) + last).as_bytes())
        .unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 11);
    let many: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = daemon.connect();
            stream.write_all(last.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert!(many.into_iter().all(|stream| answer(stream).status == 200));
}
