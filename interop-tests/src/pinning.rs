//! A remote pinning service on loopback: the IPFS Pinning Service API over real HTTP, with its pins in memory.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The key that the service takes.
pub const KEY: &str = "a-secret-that-nobody-may-see";

/// The service, which ends when it is dropped.
pub struct PinningService {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The oldest first.
    pins: Vec<Pin>,
    next: u64,
    requests: Vec<String>,
}

struct Pin {
    id: String,
    created: u64,
    status: &'static str,
    pin: Value,
}

impl Pin {
    fn document(&self) -> Value {
        json!({
            "requestid": self.id,
            "status": self.status,
            "created": created(self.created),
            "pin": self.pin,
            "delegates": []
        })
    }

    fn text(&self, key: &str) -> &str {
        self.pin[key].as_str().unwrap_or_default()
    }
}

/// A time of day per number, in whole seconds: Kubo asks for pages by these.
fn created(number: u64) -> String {
    format!(
        "2026-01-01T{:02}:{:02}:{:02}Z",
        number / 3600,
        number / 60 % 60,
        number % 60
    )
}

struct Request {
    method: String,
    target: String,
    authorized: bool,
    body: Vec<u8>,
}

impl PinningService {
    /// Starts it on a port of its own.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let serving = Arc::clone(&state);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stop.load(Ordering::SeqCst) {
                    return;
                }
                let serving = Arc::clone(&serving);
                // A client that breaks off has had its answer or does not want it.
                thread::spawn(move || stream.map(|stream| serve(&serving, stream)));
            }
        });
        Ok(Self {
            address,
            state,
            thread: Some(thread),
        })
    }

    /// Its address, as it is configured.
    pub fn endpoint(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    /// The requests so far, as `METHOD TARGET BODY`.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().requests.clone()
    }

    /// The pins as name, CID and status, the oldest first.
    pub fn pins(&self) -> Vec<(String, String, String)> {
        let inner = self.state.lock();
        let pins = inner.pins.iter();
        pins.map(|pin| {
            (
                pin.text("name").to_owned(),
                pin.text("cid").to_owned(),
                pin.status.to_owned(),
            )
        })
        .collect()
    }

    /// Puts every pin into a state.
    pub fn set_all(&self, status: &'static str) {
        for pin in &mut self.state.lock().pins {
            pin.status = status;
        }
    }
}

impl Drop for PinningService {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        // Wakes the one that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(state: &State, stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    while let Some(request) = read(&mut reader)? {
        let body = String::from_utf8_lossy(&request.body).trim().to_owned();
        let mut inner = state.lock();
        inner
            .requests
            .push(format!("{} {} {body}", request.method, request.target));
        let (status, document) = inner.answer(&request);
        drop(inner);
        let body = document
            .map(|document| document.to_string())
            .unwrap_or_default();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().context("no method")?.to_owned();
    let target = words.next().context("no target")?.to_owned();
    let (mut length, mut authorized) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse()?,
            "authorization" => authorized = value.trim() == format!("Bearer {KEY}"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request {
        method,
        target,
        authorized,
        body,
    }))
}

type Reply = (&'static str, Option<Value>);

fn failure(status: &'static str, reason: &str, details: &str) -> Reply {
    (
        status,
        Some(json!({"error": {"reason": reason, "details": details}})),
    )
}

impl Inner {
    fn answer(&mut self, request: &Request) -> Reply {
        if !request.authorized {
            return failure("401 Unauthorized", "UNAUTHORIZED", "the token is not known");
        }
        let (path, query) = request
            .target
            .split_once('?')
            .unwrap_or((&request.target, ""));
        let Some(path) = path.strip_prefix("/api/v1/pins") else {
            return failure("404 Not Found", "NOT_FOUND", "no such thing");
        };
        match (request.method.as_str(), path.strip_prefix('/')) {
            ("GET", None) => self.list(query),
            ("POST", None) => self.add(&request.body),
            (method, Some(id)) => self.one(method, id, &request.body),
            _ => failure("405 Method Not Allowed", "NO", ""),
        }
    }

    fn add(&mut self, body: &[u8]) -> Reply {
        let Ok(pin) = serde_json::from_slice::<Value>(body) else {
            return failure("400 Bad Request", "BAD_REQUEST", "no JSON");
        };
        // A name with this in it stands for what a service does not want.
        if pin["name"]
            .as_str()
            .is_some_and(|name| name.contains("too much"))
        {
            return failure("409 Conflict", "INSUFFICIENT_FUNDS", "the account is empty");
        }
        self.next += 1;
        let status = match pin["name"].as_str() {
            Some("doomed") => "failed",
            _ => "queued",
        };
        self.pins.push(Pin {
            id: format!("request {}/{}", self.next, self.next),
            created: self.next,
            status,
            pin,
        });
        let document = self.pins.last().map(Pin::document);
        ("202 Accepted", document)
    }

    fn list(&self, query: &str) -> Reply {
        let mut limit = 10;
        let (mut cids, mut statuses) = (Vec::new(), vec!["pinned".to_owned()]);
        let (mut name, mut before) = (None, None);
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = decoded(value);
            let split = || value.split(',').map(str::to_owned).collect();
            match key {
                "limit" => limit = value.parse().unwrap_or(10),
                "cid" => cids = split(),
                "status" => statuses = split(),
                "name" => name = Some(value),
                "before" => before = Some(value),
                _ => {}
            }
        }
        let matching = self.pins.iter().rev().filter(|pin| {
            statuses.iter().any(|status| status == pin.status)
                && (cids.is_empty() || cids.iter().any(|cid| cid == pin.text("cid")))
                && name.as_ref().is_none_or(|name| name == pin.text("name"))
                && before
                    .as_ref()
                    .is_none_or(|before| created(pin.created) < *before)
        });
        let documents: Vec<Value> = matching.map(Pin::document).collect();
        let count = documents.len();
        let page: Vec<Value> = documents.into_iter().take(limit).collect();
        ("200 OK", Some(json!({"count": count, "results": page})))
    }

    fn one(&mut self, method: &str, id: &str, body: &[u8]) -> Reply {
        let id = decoded(id);
        let Some(at) = self.pins.iter().position(|pin| pin.id == id) else {
            return failure("404 Not Found", "NOT_FOUND", "no such pin");
        };
        match method {
            "GET" => {
                let document = self.pins[at].document();
                // It goes on between two looks.
                self.pins[at].status = match self.pins[at].status {
                    "queued" => "pinning",
                    "pinning" => "pinned",
                    status => status,
                };
                ("200 OK", Some(document))
            }
            "DELETE" => {
                self.pins.remove(at);
                ("202 Accepted", None)
            }
            "POST" => {
                self.pins.remove(at);
                self.add(body)
            }
            _ => failure("405 Method Not Allowed", "NO", ""),
        }
    }
}

/// Text of a URL.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let hex = more.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &more[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
        rest = more;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
