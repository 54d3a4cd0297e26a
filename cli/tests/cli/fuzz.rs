//! Requests drawn from the OpenAPI document, right ones and wrong ones, to a daemon without network.
//!
//! Whatever is asked, the daemon has to answer as the document says, in time, and to live on. A fault is: no
//! answer or none in time; a status that the document does not give for the method; a failure without
//! Kubo's error body; an answer that breaks off where trailers could have told why; a panic.
//!
//! `FUZZ_SEED` and `FUZZ_COUNT` draw other requests and more of them.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::harness::{Daemon, Home, json, noise};
use super::http::{Answer, multipart, try_answer};

const SEED: u64 = 1;
const COUNT: u64 = 1500;
const THREADS: usize = 4;
/// How long a request may take that is given a second: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// What would end the daemon, or make it refuse everything that follows.
const LEFT_OUT: &[&str] = &[
    "/api/v0/shutdown",
    "/api/v0/auth/token/add",
    "/api/v1/shutdown",
    "/api/v1/auth/token/add",
];

#[test]
fn no_request_harms_the_daemon() {
    let number = |name: &str, default| env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, count) = (number("FUZZ_SEED", SEED), number("FUZZ_COUNT", COUNT));
    println!("FUZZ_SEED={seed} FUZZ_COUNT={count}");
    let home = Home::alone();
    let words = Words::new(&home);
    let methods = methods(&home);
    home.ok(["config", "Addresses.API", "/ip4/127.0.0.1/tcp/0"]);
    let said = home.work("stderr");
    let mut command = home.command(["daemon", "--offline"]);
    command.stderr(File::create(&said).unwrap());
    let daemon = Daemon::launch(command);
    let (next, well) = (AtomicU64::new(0), AtomicU64::new(0));
    let faults: Vec<String> = thread::scope(|scope| {
        let work = || {
            let mut faults = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return faults;
                }
                let mut draw = Draw::new(seed, number);
                let request = Request::draw(&mut draw, &methods, &words);
                match request.send(&daemon) {
                    Ok(200) => {
                        well.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(_) => {}
                    Err(fault) => {
                        let shown = request.shown();
                        faults.push(format!("request {number}: {shown}: {fault}"));
                    }
                }
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let well = well.into_inner();
    println!("{well} of {count} went well");
    assert!(
        well * 10 > count,
        "a tenth at least is to get past the checks: {well}"
    );
    let said = fs::read_to_string(said).unwrap();
    assert!(!said.contains("panicked"), "FUZZ_SEED={seed}: {said}");
    assert!(
        faults.is_empty(),
        "FUZZ_SEED={seed}:\n{}",
        faults.join("\n")
    );
    assert_eq!(daemon.post("id").status, 200);
    let verified = daemon.post("repo/verify?enc=text");
    assert!(
        verified.text().contains("all blocks validated"),
        "{}",
        verified.text()
    );
    assert_eq!(daemon.post("shutdown").status, 200);
    assert_eq!(daemon.end(), 0);
}

/// Found by the fuzzer: a command that fails after its first output, asked by a client without trailers, was
/// answered with nothing at all.
#[test]
fn what_came_before_a_failure_arrives() {
    let home = Home::alone();
    let daemon = Daemon::start(&home);
    for _ in 0..20 {
        let answer = daemon.post("files/rm?timeout=2s&arg=0&arg=%2f&force=false");
        assert_eq!(answer.status, 200);
        assert!(!answer.whole, "half a result is not taken for a whole one");
        let text = answer.text();
        assert!(text.contains("cannot delete root"), "{text}");
    }
}

/// A method as the document describes it.
struct Method {
    path: String,
    /// Least and most arguments.
    arguments: (u64, u64),
    /// Name and schema of each option.
    options: Vec<(String, Value)>,
    takes_files: bool,
    statuses: Vec<u16>,
}

fn methods(home: &Home) -> Vec<Method> {
    let document = json(&home.ok(["commands", "openapi"]));
    let paths = document["paths"].as_object().unwrap().iter();
    let posts =
        paths.filter(|(path, item)| item["post"].is_object() && !LEFT_OUT.contains(&path.as_str()));
    let methods: Vec<Method> = posts
        .map(|(path, item)| method(&document, path, &item["post"]))
        .collect();
    assert!(methods.len() > 100, "{}", methods.len());
    methods
}

fn method(document: &Value, path: &str, operation: &Value) -> Method {
    let mut arguments = (0, 0);
    let mut options = Vec::new();
    for parameter in operation["parameters"].as_array().unwrap() {
        let reference = parameter["$ref"].as_str().map(|reference| &reference[1..]);
        let parameter = reference.map_or(parameter, |place| document.pointer(place).unwrap());
        let schema = &parameter["schema"];
        match parameter["name"].as_str().unwrap() {
            "arg" => {
                let least = schema["minItems"].as_u64().unwrap();
                arguments = (least, schema["maxItems"].as_u64().unwrap_or(least + 3));
            }
            // Every request has one of its own.
            "timeout" => {}
            name => options.push((name.to_owned(), schema.clone())),
        }
    }
    let responses = operation["responses"].as_object().unwrap();
    Method {
        path: path.to_owned(),
        arguments,
        options,
        takes_files: operation["requestBody"].is_object(),
        statuses: responses
            .keys()
            .map(|status| status.parse().unwrap())
            .collect(),
    }
}

/// Numbers from a seed.
struct Draw(u64);

impl Draw {
    /// The numbers of one request: they do not depend on which thread sends it.
    fn new(seed: u64, number: u64) -> Draw {
        let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (number << 1) | 1);
        for _ in 0..8 {
            draw.next();
        }
        draw
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}

/// What is put into arguments and options.
struct Words {
    /// Things that are there.
    good: Vec<String>,
    /// Things that are not, and nonsense.
    bad: Vec<String>,
}

impl Words {
    fn new(home: &Home) -> Words {
        home.write("d/a", "a");
        home.write("d/b/c", noise(1, 700_000));
        let directory = home.ok(["add", "-rQ", "d"]);
        let raw = home.ok_with(["add", "-Q", "--raw-leaves"], "raw");
        let cbor = home.ok_with(["dag", "put"], r#"{"a": [1, {"b": "c"}], "d": null}"#);
        home.ok(["files", "cp", &format!("/ipfs/{directory}"), "/d"]);
        home.ok(["key", "gen", "other"]);
        let peer = home.ok(["config", "Identity.PeerID"]);
        let good = [
            directory.clone(),
            format!("/ipfs/{directory}/b/c"),
            format!("/ipfs/{directory}"),
            raw,
            cbor.clone(),
            format!("{cbor}/a/1"),
            format!("/ipns/{peer}"),
            format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}"),
            peer,
            "/".to_owned(),
            "/d".to_owned(),
            "/d/a".to_owned(),
            "/n".to_owned(),
            "other".to_owned(),
            "self".to_owned(),
            "recursive".to_owned(),
            "all".to_owned(),
            "dag-json".to_owned(),
            "sha2-256".to_owned(),
            "base32".to_owned(),
            "size-1000".to_owned(),
            "1s".to_owned(),
            "Pubsub.Enabled".to_owned(),
            "uYWJj".to_owned(),
        ];
        let bad = [
            "",
            " ",
            "0",
            "-1",
            "../../etc/passwd",
            "/ipfs/",
            "/ipfs/QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEJ",
            "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXE",
            "bafkqabtimvwgy3yk",
            "/ipns/example.invalid",
            "ä\u{1f980}",
            "a\0b",
            "a\r\nX-Evil: 1",
            "%",
            "<a>&\"'",
            "18446744073709551616",
            "9223372036854775807",
            "size-0",
            "rabin-1-2-3",
            "{\"a\": {\"/\": \"nonsense\"}}",
            "[[[[[[[[[[[[[[[[",
        ];
        let mut bad: Vec<String> = bad.map(str::to_owned).to_vec();
        bad.push("x".repeat(3000));
        bad.push("/a".repeat(1500));
        Words {
            good: good.to_vec(),
            bad,
        }
    }

    fn draw(&self, draw: &mut Draw) -> String {
        match draw.chance(70) {
            true => draw.of(&self.good).clone(),
            false => draw.of(&self.bad).clone(),
        }
    }
}

/// A request that was drawn.
struct Request<'m> {
    method: &'m Method,
    query: String,
    /// Media type and content.
    body: Option<(&'static str, Vec<u8>)>,
    trailers: bool,
}

impl<'m> Request<'m> {
    fn draw(draw: &mut Draw, methods: &'m [Method], words: &Words) -> Request<'m> {
        let method = draw.of(methods);
        let mut query = "timeout=1s".to_owned();
        let (least, most) = method.arguments;
        let arguments = match draw.chance(85) {
            true => least + draw.below(most - least + 1),
            false => draw.below(5),
        };
        for _ in 0..arguments {
            push(&mut query, "arg", &words.draw(draw));
        }
        for (name, schema) in &method.options {
            if draw.chance(20) {
                push(&mut query, name, &value(draw, schema, words));
            }
        }
        if draw.chance(5) {
            push(&mut query, "nonsense", &words.draw(draw));
        }
        let with_body = if method.takes_files { 85 } else { 5 };
        Request {
            method,
            query,
            body: draw.chance(with_body).then(|| body(draw, words)),
            trailers: draw.chance(50),
        }
    }

    fn shown(&self) -> String {
        let body = self.body.as_ref();
        let body =
            body.map(|(kind, body)| (kind, String::from_utf8_lossy(&body[..body.len().min(600)])));
        let (path, query) = (&self.method.path, &self.query);
        format!("POST {path}?{query} trailers={} {body:?}", self.trailers)
    }

    /// The status of the answer, or what is wrong with it.
    fn send(&self, daemon: &Daemon) -> Result<u16, String> {
        let mut stream = daemon.connect();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!(
            "POST {}?{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.method.path, self.query, daemon.address
        );
        if self.trailers {
            head += "TE: trailers\r\n";
        }
        let body = self.body.as_ref().map_or(&[][..], |(kind, body)| {
            head += &format!("Content-Type: {kind}\r\n");
            body
        });
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        if let Err(error) = stream.write_all(head.as_bytes()) {
            return Err(format!("the head is not taken: {error}"));
        }
        // A daemon that refuses early closes its end.
        let _ = stream.write_all(body);
        let answer = try_answer(stream)?;
        self.fault_of(&answer).map_or(Ok(answer.status), Err)
    }

    fn fault_of(&self, answer: &Answer) -> Option<String> {
        let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]).into_owned();
        if !self.method.statuses.contains(&answer.status) {
            return Some(format!(
                "status {} is not in the document: {text}",
                answer.status
            ));
        }
        if text.contains("the command broke off") {
            return Some("the command's thread panicked".to_owned());
        }
        // A document has no trailers.
        let trailers = self.trailers && !self.method.path.starts_with("/api/v1/");
        let breaks = answer.status == 200 && !trailers;
        if !answer.whole && !breaks {
            return Some(format!("status {} breaks off: {text}", answer.status));
        }
        if answer.headers.contains_key("x-evil") {
            return Some("a header was smuggled in".to_owned());
        }
        if self.method.path.starts_with("/api/v1/") {
            return fault_of_document(answer);
        }
        if answer.status == 500 {
            let error: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let sound = error["Message"]
                .as_str()
                .is_some_and(|message| !message.is_empty())
                && error["Code"].is_u64()
                && error["Type"] == "error";
            return (!sound).then(|| format!("no error body of Kubo: {text}"));
        }
        None
    }
}

/// What is wrong with an answer of `/api/v1`, which is JSON in any case, or bytes.
fn fault_of_document(answer: &Answer) -> Option<String> {
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]).into_owned();
    let kind = answer.header("content-type");
    if kind.starts_with("text/plain") {
        return Some(format!("plain text: {text}"));
    }
    let document: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let sound = match answer.status {
        200 => kind != "application/json" || !answer.whole || document.is_some(),
        status => document.is_some_and(|told| {
            told["success"] == false && told["status_code"] == status && told["error"].is_string()
        }),
    };
    (!sound).then(|| format!("no document: {text}"))
}

/// A value for an option: most of the right type.
fn value(draw: &mut Draw, schema: &Value, words: &Words) -> String {
    if draw.chance(10) {
        return draw.of(&words.bad).clone();
    }
    let numbers = [
        0,
        1,
        2,
        7,
        255,
        256,
        1000,
        65_536,
        1 << 20,
        1 << 31,
        1 << 40,
        i64::MAX,
    ];
    match schema["type"].as_str().unwrap_or_default() {
        "boolean" => ["true", "false", ""][draw.below(3) as usize].to_owned(),
        "integer" if schema["minimum"].is_null() && draw.chance(10) => {
            (-*draw.of(&numbers)).to_string()
        }
        "integer" => draw.of(&numbers).to_string(),
        _ => words.draw(draw),
    }
}

fn body(draw: &mut Draw, words: &Words) -> (&'static str, Vec<u8>) {
    const FORM: &str = "multipart/form-data; boundary=XyZ";
    let json = br#"{"a": {"/": "bafkqabtimvwgy3yk"}, "b": [1, 2.5, null]}"#;
    let contents = [
        b"".to_vec(),
        b"/d/a\n/n\n".to_vec(),
        json.to_vec(),
        noise(3, 5000),
    ];
    let kinds = [
        "application/octet-stream",
        "application/x-directory",
        "application/symlink",
    ];
    let names = ["f", "d%2Ff", "d", "..%2F..%2Fx", "", "%00"];
    let parts: Vec<(&str, &str, &[u8])> = (0..draw.below(4))
        .map(|_| {
            let kind = if draw.chance(70) {
                kinds[0]
            } else {
                draw.of(&kinds)
            };
            (*draw.of(&names), kind, draw.of(&contents).as_slice())
        })
        .collect();
    let mut whole = multipart(&parts);
    match draw.below(10) {
        0 => whole.truncate(draw.below(whole.len() as u64) as usize),
        1 => return (FORM, words.draw(draw).into_bytes()),
        2 => return ("application/json", json.to_vec()),
        3 => return ("multipart/form-data", whole),
        _ => {}
    }
    (FORM, whole)
}

/// Adds to a query.
fn push(query: &mut String, name: &str, value: &str) {
    query.push('&');
    query.push_str(name);
    query.push('=');
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'/' => query.push(byte.into()),
            byte => *query += &format!("%{byte:02x}"),
        }
    }
}
