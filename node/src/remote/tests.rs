//! Against a service on loopback that answers by a script: what is asked, what is made of each answer.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::settings::normalize;
use super::*;
use crate::repo::{self, InitOptions};
use crate::{AddOptions, CancelToken, Cid, Source};

/// The key, which no text may show.
const KEY: &str = "secret-of-the-service";

/// What was asked: method, path with query, the header `Authorization`, body.
type Asked = (String, String, String, String);

/// A service that gives the answers of its script one after the other.
struct Service {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Service {
    /// Each answer is a status, a media type and a body; what is asked beyond them is kept waiting.
    fn start(script: &[(u16, &'static str, String)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(VecDeque::from(script.to_vec())));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        // It ends with the process: a thread that waits costs nothing.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                thread::spawn(move || serve(stream, &script, &seen));
            }
        });
        Self { address, asked }
    }

    fn json(script: &[(u16, Value)]) -> Self {
        let script = script.iter();
        let script: Vec<_> = script
            .map(|(status, body)| (*status, "application/json", body.to_string()))
            .collect();
        Self::start(&script)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    /// Method and path of each.
    fn lines(&self) -> Vec<String> {
        let asked = self.asked();
        let asked = asked.iter();
        asked
            .map(|(method, path, ..)| format!("{method} {path}"))
            .collect()
    }
}

fn serve(
    stream: TcpStream,
    script: &Mutex<VecDeque<(u16, &'static str, String)>>,
    seen: &Mutex<Vec<Asked>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => head.push(line.trim_end().to_owned()),
            }
        }
        let header = |wanted: &str| {
            let found = head.iter().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case(wanted)
                    .then(|| value.trim().to_owned())
            });
            found.unwrap_or_default()
        };
        let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let mut words = head[0].split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let body = String::from_utf8(body).unwrap();
        seen.lock()
            .push((method, path, header("authorization"), body));
        let Some((status, kind, text)) = script.lock().pop_front() else {
            // Until the other end has had enough.
            let _ = reader.read(&mut [0]);
            return;
        };
        let answer = format!(
            "HTTP/1.1 {status} Word\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A node with a repo, and the service configured as `it`.
struct Place {
    node: Node,
    _dir: tempfile::TempDir,
}

impl Place {
    fn new(service: &Service) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        repo::init(&repo, &InitOptions::default()).unwrap();
        let node = Node::builder().repo(&repo).open().unwrap();
        let endpoint = format!("http://{}/api/", service.address);
        node.remote_pins()
            .add_service("it", &endpoint, KEY)
            .unwrap();
        Self { node, _dir: dir }
    }

    fn cid(&self, text: &str) -> Cid {
        let sources = vec![Source::bytes("f", text.as_bytes().to_vec())];
        let options = AddOptions::default();
        let report = self.node.files().add(sources, &options, &mut |_| Ok(()));
        report.unwrap().roots[0].cid.clone()
    }
}

fn status(request: &str, status: &str, cid: &Cid) -> Value {
    json!({
        "requestid": request,
        "status": status,
        "created": "2026-01-01T00:00:00Z",
        "pin": {"cid": cid.to_string(), "name": "n"},
        "delegates": [],
    })
}

#[track_caller]
fn says(error: &Error, wanted: &str) {
    let text = error.to_string();
    assert!(text.contains(wanted), "{text}");
    assert!(
        !text.contains(KEY) && !format!("{error:?}").contains(KEY),
        "{text}"
    );
}

#[test]
fn services_are_kept_by_name_without_their_keys_being_told() {
    let service = Service::json(&[]);
    let place = Place::new(&service);
    let remote = place.node.remote_pins();
    let listed = remote.services().unwrap();
    assert_eq!(listed[0].name, "it");
    assert_eq!(
        listed[0].endpoint,
        format!("http://{}/api", service.address)
    );
    assert!(!format!("{listed:?}").contains(KEY));
    says(
        &remote.add_service("it", "http://x", KEY).unwrap_err(),
        "already present",
    );
    says(
        &remote.add_service("other", "ftp://x", KEY).unwrap_err(),
        "valid HTTP URL",
    );
    says(&remote.counts("nobody").unwrap_err(), "service not known");
    says(&remote.counts("").unwrap_err(), "name not specified");
    remote
        .add_service("bad", "http://127.0.0.1:1", "a\nb")
        .unwrap();
    says(&remote.counts("bad").unwrap_err(), "characters");
    remote.remove_service("nobody").unwrap();
    remote.remove_service("bad").unwrap();
    remote.remove_service("it").unwrap();
    assert!(remote.services().unwrap().is_empty());
    assert!(service.asked().is_empty());
}

#[test]
fn endpoints_have_one_form() {
    for (given, wanted) in [
        ("http://a.example", "http://a.example"),
        (
            "HTTPS://a.example:1//x/./y/../z/",
            "https://a.example:1/x/z",
        ),
        ("http://a/?", "http://a"),
    ] {
        assert_eq!(normalize(given).as_deref(), Ok(wanted));
    }
    for bad in [
        "",
        "a.example",
        "http://",
        "http:///x",
        "http://a/pins",
        "http://a/?x=1",
        "http://a b",
    ] {
        assert!(normalize(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_pin_is_waited_for_until_it_is_made() {
    let cid = |place: &Place| place.cid("kept");
    let probe = Place::new(&Service::json(&[]));
    let known = cid(&probe);
    let service = Service::json(&[
        (202, status("r 1", "queued", &known)),
        (200, status("r 1", "pinning", &known)),
        (200, status("r 1", "pinned", &known)),
    ]);
    let place = Place::new(&service);
    let pin = place
        .node
        .remote_pins()
        .add("it", &cid(&place).to_string(), Some("a name"), false)
        .unwrap();
    assert_eq!((pin.status, pin.cid == known), (RemoteStatus::Pinned, true));
    let wanted = [
        "POST /api/pins",
        "GET /api/pins/r%201",
        "GET /api/pins/r%201",
    ];
    assert_eq!(service.lines(), wanted);
    let asked = service.asked();
    assert!(
        asked
            .iter()
            .all(|(_, _, key, _)| *key == format!("Bearer {KEY}"))
    );
    let body: Value = serde_json::from_str(&asked[0].3).unwrap();
    assert_eq!(body, json!({"cid": known.to_string(), "name": "a name"}));
}

#[test]
fn what_a_service_does_wrong_is_told() {
    let probe = Place::new(&Service::json(&[]));
    let known = probe.cid("x");
    let refused = json!({"error": {"reason": "INSUFFICIENT_FUNDS", "details": "pay"}});
    let long = json!({"error": {"reason": "x".repeat(100_000)}});
    let text = |status, kind, body: &str| Service::start(&[(status, kind, body.to_owned())]);
    let other = status("other", "pinned", &known);
    let failed = status("r", "failed", &known);
    let queued = (202, status("r", "queued", &known));
    for (service, wanted) in [
        (Service::json(&[(402, refused)]), "INSUFFICIENT_FUNDS"),
        (Service::json(&[(500, long)]), "reason"),
        (text(500, "text/html", "<p>"), "undefined response type"),
        (text(200, "text/html", "<p>"), "undefined response type"),
        (text(200, "application/json", "{"), "http error 200"),
        (text(200, "application/json", "{}"), "http error 200"),
        (text(404, "application/json", "7"), "http error 404"),
        (
            Service::json(&[(202, json!({"pin": {"cid": "nothing"}}))]),
            "is no CID",
        ),
        (
            Service::json(&[queued.clone(), (200, other)]),
            "unexpected requestid=\"other\"",
        ),
        (
            Service::json(&[queued.clone(), (200, failed)]),
            "failed to pin",
        ),
        (
            Service::json(&[queued, (404, json!({"error": {"reason": "GONE"}}))]),
            "GONE",
        ),
    ] {
        let place = Place::new(&service);
        let cid = place.cid("x").to_string();
        let error = place.node.remote_pins().add("it", &cid, None, false);
        let error = error.unwrap_err();
        says(&error, wanted);
        assert!(error.to_string().len() < 5_000);
    }
    // Nobody is there.
    let place = Place::new(&Service::json(&[]));
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let remote = place.node.remote_pins();
    remote
        .add_service("gone", &format!("http://{free}"), KEY)
        .unwrap();
    says(&remote.counts("gone").unwrap_err(), "empty response");
}

#[test]
fn pages_are_read_to_the_end_and_not_round_and_round() {
    let probe = Place::new(&Service::json(&[]));
    let known = probe.cid("x");
    let page = |count: u64, created: &[&str]| {
        let pins: Vec<Value> = created
            .iter()
            .map(|created| {
                let mut pin = status(created, "pinned", &known);
                pin["created"] = json!(created);
                pin
            })
            .collect();
        (200, json!({"count": count, "results": pins}))
    };
    let list = |script: &[(u16, Value)]| {
        let service = Service::json(script);
        let place = Place::new(&service);
        let filter = RemotePinFilter {
            name: Some("a b".to_owned()),
            cids: vec![known.clone()],
            statuses: vec![RemoteStatus::Pinned, RemoteStatus::Failed],
        };
        let mut pins = Vec::new();
        let listed = place.node.remote_pins().list("it", &filter, &mut |pin| {
            pins.push(pin.request_id);
            Ok(())
        });
        (listed.map(|()| pins), service.lines())
    };
    let (pins, asked) = list(&[page(3, &["c", "b"]), page(1, &["a"])]);
    assert_eq!(pins.unwrap(), ["c", "b", "a"]);
    let rest = format!("cid={known}&limit=1000&name=a%20b&status=pinned%2Cfailed");
    assert_eq!(
        asked,
        [
            format!("GET /api/pins?{rest}"),
            format!("GET /api/pins?before=b&{rest}")
        ]
    );
    assert_eq!(list(&[page(0, &[])]).0.unwrap(), [""; 0]);
    let (error, asked) = list(&[page(9, &["b"]), page(9, &["b"])]);
    says(&error.unwrap_err(), "do not go on");
    assert_eq!(asked.len(), 2);
    says(
        &list(&[page(9, &[])]).0.unwrap_err(),
        "no PinResults.results",
    );
    says(&list(&[page(9, &[""])]).0.unwrap_err(), "do not go on");
}

#[test]
fn several_pins_are_removed_only_when_that_is_meant() {
    let probe = Place::new(&Service::json(&[]));
    let known = probe.cid("x");
    let pins = [
        status("r1", "pinned", &known),
        status("r2", "pinned", &known),
    ];
    let page = (200, json!({"count": 2, "results": pins}));
    let gone = (202, json!({}));
    let refused = (500, json!({"error": {"reason": "NO"}}));
    let remove = |script: &[(u16, Value)], force| {
        let service = Service::json(script);
        let place = Place::new(&service);
        let filter = RemotePinFilter::default();
        let removed = place.node.remote_pins().remove("it", &filter, force);
        (removed, service.lines()[1..].to_vec())
    };
    let (removed, asked) = remove(std::slice::from_ref(&page), false);
    says(&removed.unwrap_err(), "--force");
    assert!(asked.is_empty());
    let (removed, asked) = remove(&[page.clone(), gone.clone(), gone.clone()], true);
    assert_eq!(removed.unwrap(), 2);
    assert_eq!(asked, ["DELETE /api/pins/r1", "DELETE /api/pins/r2"]);
    let (removed, _) = remove(&[page, gone, refused.clone()], true);
    says(&removed.unwrap_err(), "requestid=\"r2\" failed");
    says(&remove(&[refused], true).0.unwrap_err(), "listing");
}

#[test]
fn counts_are_asked_for_by_status() {
    let count = |count: u64| (200, json!({"count": count, "results": []}));
    let service = Service::json(&[count(7), count(7), count(7), count(7)]);
    let place = Place::new(&service);
    let counts = place.node.remote_pins().counts("it").unwrap();
    let all = RemotePinCounts {
        queued: 7,
        pinning: 7,
        pinned: 7,
        failed: 7,
    };
    assert_eq!(counts, all);
    let mut asked = service.lines();
    asked.sort();
    let wanted = ["failed", "pinned", "pinning", "queued"];
    assert_eq!(
        asked,
        wanted.map(|word| format!("GET /api/pins?limit=1&status={word}"))
    );
}

#[test]
fn a_service_that_hangs_is_left_when_the_operation_is_cancelled() {
    let service = Service::json(&[]);
    let place = Place::new(&service);
    let soon = Instant::now() + Duration::from_millis(200);
    let node = place
        .node
        .with_cancel(CancelToken::new().with_deadline(soon));
    let error = node.remote_pins().counts("it").unwrap_err();
    assert!(matches!(error, Error::Cancelled(_)), "{error}");
}

/// Runs the policy until the service has been asked so often.
fn keep(place: &Place, service: &Service, asked: usize) -> Vec<String> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (node, heard) = (place.node.clone(), Arc::clone(&told));
        let tell = move |text: &str| heard.lock().push(text.to_owned());
        let policy = tokio::spawn(keep_mfs_pinned(node, Duration::from_millis(5), tell));
        let deadline = Instant::now() + Duration::from_secs(60);
        while service.asked().len() < asked {
            assert!(
                Instant::now() < deadline,
                "{:?} {:?}",
                service.lines(),
                told.lock()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        policy.abort();
    });
    told.lock().clone()
}

#[test]
fn mfs_is_pinned_by_policy_in_the_place_of_what_was_pinned_before() {
    let probe = Place::new(&Service::json(&[]));
    let root = probe.node.mfs().entry("/").unwrap().cid;
    let older = probe.cid("older");
    let page = |pins: Vec<Value>| (200, json!({"count": pins.len(), "results": pins}));
    for (before, wanted) in [
        (vec![], "POST /api/pins"),
        (vec![status("old", "pinned", &older)], "POST /api/pins/old"),
        (vec![status("mine", "failed", &root)], "POST /api/pins/mine"),
    ] {
        let service = Service::json(&[page(before), (202, status("new", "queued", &root))]);
        let place = Place::new(&service);
        let repo = place.node.path().unwrap();
        let mut file = ConfigFile::load(repo).unwrap();
        let entry = json!({
            "API": {"Endpoint": format!("http://{}/api", service.address), "Key": KEY},
            "Policies": {"MFS": {"Enable": true, "PinName": "tree", "RepinInterval": "1h"}},
        });
        file.set_remote_service("it", Some(entry)).unwrap();
        let told = keep(&place, &service, 2);
        let lines = service.lines();
        assert!(lines[0].contains("name=tree"), "{lines:?}");
        assert_eq!(lines[1], wanted, "{told:?}");
        let body: Value = serde_json::from_str(&service.asked()[1].3).unwrap();
        assert_eq!(body, json!({"cid": root.to_string(), "name": "tree"}));
    }
}
