//! The result of a command as one JSON object, as the Python kit gives it.
//!
//! `success`, `operation` and `timestamp`; then the fields of the record, or `items` and `count` where there may
//! be many, or `data` and `encoding` for bytes. It is made while it comes: nothing is held but its first
//! 64 KiB, so that what fails at once has the status of a failure.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use opentelemetry::Context;
use serde_json::json;
use tokio::sync::mpsc;

use super::refusal::{Refusal, shape};
use crate::failure::Failure;
use crate::observed::Asked;
use crate::server::answers::Cause;
use crate::server::body::RequestBody;
use crate::server::call::{Came, Started, admit};
use crate::server::parse::Call;
use crate::server::reply::{Head, Message, QUEUE, ReplyBody};
use crate::server::request_id::RequestId;
use crate::server::service::Service;
use crate::server::upload::Parts;
use crate::server::waiting::Waiting;
use crate::traces;

/// Bytes of a result that wait for its end.
const HELD: usize = 64 << 10;
/// Longest record that is given a second time, as the result of all.
const LAST_MAX: usize = 64 << 10;

/// The time, in seconds since 1970.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// Who calls, kept from a request whose body is read.
pub struct Caller {
    id: Option<RequestId>,
    parent: Option<Context>,
    waiting: Arc<Waiting>,
    /// Whether a body came so slowly that it takes nobody's place.
    pub slow: bool,
}

impl Caller {
    /// Of a request.
    pub fn of(request: &Request<RequestBody>) -> Caller {
        Caller {
            id: request.extensions().get::<RequestId>().cloned(),
            parent: traces::parent(request.headers()),
            waiting: Arc::clone(request.body().waiting()),
            slow: false,
        }
    }
}

/// Runs a command, if there is room, with the files that came along, and gives what it comes to.
pub async fn of(
    service: &Service,
    call: Call,
    caller: Caller,
    parts: Option<Parts>,
) -> Response<ReplyBody> {
    let operation = call.request.name();
    let id = caller.id.clone();
    let came = Came {
        id: caller.id,
        terminal: false,
        trailers: false,
        both_names: true,
        slow: caller.slow,
        parent: caller.parent,
        waiting: Some(caller.waiting),
        parts,
    };
    let mut response = match admit(service, call, came).await {
        Ok(started) => respond(started, &operation, id.as_ref()).await,
        Err(busy) => shape(busy),
    };
    response.extensions_mut().insert(Asked(operation.into()));
    response
}

/// Waits for what a command sends and makes it a response.
async fn respond(started: Started, operation: &str, id: Option<&RequestId>) -> Response<ReplyBody> {
    let Started {
        mut pieces,
        head,
        running,
        waiting,
        ..
    } = started;
    let mut writer = Writer::new(operation, head, id);
    let mut held = Vec::new();
    while held.len() < HELD {
        match pieces.recv().await {
            Some(Message::End(end, notes)) if is_result(&end) => {
                writer.end(&notes, &mut held);
                return response(ReplyBody::whole(held));
            }
            Some(Message::End(Err(failure), _)) => {
                return Refusal::of(Cause::of(&failure), failure.to_string()).response();
            }
            Some(message) => writer.take(message, &mut held),
            None => return Refusal::of(Cause::Other, "the command broke off").response(),
        }
    }
    let (send, made) = mpsc::channel(QUEUE);
    tokio::spawn(make(writer, held, pieces, send));
    response(ReplyBody::stream(made, false, waiting, Box::new(running)))
}

/// Whether what was sent is a result: all of it, also where records tell of failures.
pub fn is_result(end: &Result<(), Failure>) -> bool {
    end.as_ref().map_or_else(Failure::is_in_result, |()| true)
}

/// What makes a result of what a command sends.
pub trait Made: Send {
    /// Takes a message, but for the end.
    fn take(&mut self, message: Message, out: &mut Vec<u8>);

    /// Writes what belongs behind everything.
    fn end(&mut self, notes: &str, out: &mut Vec<u8>);
}

/// Makes the rest of a result, as long as somebody takes it.
pub async fn make(
    mut writer: impl Made,
    mut text: Vec<u8>,
    mut pieces: mpsc::Receiver<Message>,
    send: mpsc::Sender<Message>,
) {
    loop {
        let data = Message::Data(Bytes::from(std::mem::take(&mut text)));
        if send.send(data).await.is_err() {
            return;
        }
        match pieces.recv().await {
            Some(Message::End(end, notes)) if is_result(&end) => {
                writer.end(&notes, &mut text);
                let data = Message::Data(Bytes::from(text));
                // Who asked may be gone; then nobody wants to know.
                let _ = send.send(data).await;
                let _ = send.send(Message::End(Ok(()), String::new())).await;
                return;
            }
            Some(end @ Message::End(..)) => {
                let _ = send.send(end).await;
                return;
            }
            Some(message) => writer.take(message, &mut text),
            // Without an end the body breaks off.
            None => return,
        }
    }
}

/// The response of a result in JSON.
pub fn response(body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(CONTENT_TYPE, json);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What a result is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One record, whose fields are those of the result.
    One,
    /// Records.
    Many,
    /// Bytes.
    Bytes,
}

/// How far a single record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing of it is there.
    Start,
    /// It is an object of which no field is there.
    Opened,
    /// It is an object.
    Inside,
    /// It is something else.
    Plain,
}

/// Writes a result.
struct Writer {
    kind: Kind,
    /// Whether the last record is the result of all: that of `add` is the root.
    last_counts: bool,
    begun: bool,
    /// Records that began.
    count: u64,
    in_record: bool,
    /// How far a single record is.
    stage: Stage,
    /// Bytes that do not fill a group of three; what may be the end of a single record; of several, the last.
    rest: Vec<u8>,
    /// Whether the last record is in `rest`.
    last_whole: bool,
    start: String,
}

impl Writer {
    fn new(operation: &str, head: Head, id: Option<&RequestId>) -> Writer {
        let last_counts = operation == "add";
        let (operation, id) = (json!(operation), json!(id.map(RequestId::text)));
        Writer {
            kind: if head.chunked { Kind::Many } else { Kind::One },
            last_counts,
            begun: false,
            count: 0,
            in_record: false,
            stage: Stage::Start,
            rest: Vec::new(),
            last_whole: false,
            start: format!(
                "{{\"success\":true,\"operation\":{operation},\"timestamp\":{},\
                 \"correlation_id\":{id}",
                now()
            ),
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        out.extend_from_slice(self.start.as_bytes());
        match self.kind {
            Kind::One => {}
            Kind::Many => out.extend_from_slice(b",\"items\":["),
            Kind::Bytes => out.extend_from_slice(b",\"data\":\""),
        }
    }

    fn data(&mut self, data: &[u8], out: &mut Vec<u8>) {
        self.begin(out);
        match self.kind {
            Kind::Bytes => self.bytes(data, out),
            Kind::One => self.one(data, out),
            Kind::Many => self.many(data, out),
        }
    }

    fn bytes(&mut self, mut data: &[u8], out: &mut Vec<u8>) {
        while !self.rest.is_empty() && self.rest.len() < 3 && !data.is_empty() {
            self.rest.push(data[0]);
            data = &data[1..];
        }
        if self.rest.len() == 3 {
            out.extend_from_slice(STANDARD.encode(&self.rest).as_bytes());
            self.rest.clear();
        }
        if self.rest.is_empty() {
            let (whole, rest) = data.split_at(data.len() / 3 * 3);
            out.extend_from_slice(STANDARD.encode(whole).as_bytes());
            self.rest.extend_from_slice(rest);
        }
    }

    /// The fields of a record behind those that are there; what is no object is `result`.
    fn one(&mut self, mut data: &[u8], out: &mut Vec<u8>) {
        if self.stage == Stage::Start {
            match data.split_first() {
                None => return,
                Some((b'{', rest)) => {
                    self.stage = Stage::Opened;
                    data = rest;
                }
                Some(_) => {
                    self.stage = Stage::Plain;
                    out.extend_from_slice(b",\"result\":");
                }
            }
        }
        if data.is_empty() {
            return;
        }
        if self.stage == Stage::Opened {
            self.stage = Stage::Inside;
            if data[0] != b'}' {
                out.push(b',');
            }
        }
        // What may be the end of the record waits: that of the result takes its place.
        let ends = |byte: &u8| *byte == b'}' || byte.is_ascii_whitespace();
        let kept = data.iter().rev().take_while(|byte| ends(byte)).count();
        let (sent, kept) = data.split_at(data.len() - kept);
        if !sent.is_empty() {
            out.append(&mut self.rest);
            out.extend_from_slice(sent);
        }
        self.rest.extend_from_slice(kept);
    }

    fn many(&mut self, data: &[u8], out: &mut Vec<u8>) {
        for part in data.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (part, false),
            };
            if !self.in_record && !text.is_empty() {
                if self.count > 0 {
                    out.push(b',');
                }
                self.count += 1;
                self.in_record = true;
                self.rest.clear();
                self.last_whole = self.last_counts;
            }
            out.extend_from_slice(text);
            self.last_whole &= self.rest.len() + text.len() <= LAST_MAX;
            if self.last_whole {
                self.rest.extend_from_slice(text);
            }
            if ends {
                self.in_record = false;
            }
        }
    }
}

impl Made for Writer {
    fn take(&mut self, message: Message, out: &mut Vec<u8>) {
        match message {
            Message::Head(head) if head.media_type != "application/json" || head.raw => {
                self.kind = Kind::Bytes;
            }
            Message::Head(_) | Message::End(..) => {}
            Message::Data(data) => self.data(&data, out),
        }
    }

    fn end(&mut self, notes: &str, out: &mut Vec<u8>) {
        self.begin(out);
        match self.kind {
            Kind::Bytes => {
                out.extend_from_slice(STANDARD.encode(&self.rest).as_bytes());
                out.extend_from_slice(b"\",\"encoding\":\"base64\"");
            }
            Kind::Many => {
                out.extend_from_slice(format!("],\"count\":{}", self.count).as_bytes());
                let fields = self.rest.strip_prefix(b"{");
                let fields = fields.and_then(|rest| rest.strip_suffix(b"}"));
                if let Some(fields) = fields.filter(|fields| self.last_whole && !fields.is_empty())
                {
                    out.push(b',');
                    out.extend_from_slice(fields);
                }
            }
            Kind::One => {
                let rest = self.rest.trim_ascii_end();
                let rest = match (self.stage, rest.split_last()) {
                    (Stage::Inside, Some((b'}', before))) => before,
                    _ => rest,
                };
                out.extend_from_slice(rest);
            }
        }
        let warnings: Vec<&str> = notes.lines().collect();
        if !warnings.is_empty() {
            out.extend_from_slice(format!(",\"warnings\":{}", json!(warnings)).as_bytes());
        }
        out.extend_from_slice(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const ONE: Head = Head {
        media_type: "application/json",
        told: None,
        chunked: false,
        raw: false,
        length: None,
    };
    const MANY: Head = Head {
        chunked: true,
        ..ONE
    };
    const BYTES: Head = Head {
        media_type: "text/plain",
        raw: true,
        ..ONE
    };

    /// The result of a text that comes in pieces of that many bytes.
    fn made(operation: &str, head: Head, text: &[u8], piece: usize) -> Value {
        let mut writer = Writer::new(operation, head, None);
        let (mut all, mut out) = (Vec::new(), Vec::new());
        if !text.is_empty() {
            writer.take(Message::Head(head), &mut out);
        }
        for data in text.chunks(piece) {
            writer.take(Message::Data(Bytes::copy_from_slice(data)), &mut out);
            // Sent: it cannot be taken back.
            all.append(&mut out);
        }
        writer.end("", &mut all);
        let mut value: Value = serde_json::from_slice(&all)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&all)));
        let fields = value.as_object_mut().unwrap();
        assert_eq!(fields.remove("success"), Some(json!(true)));
        assert_eq!(fields.remove("operation"), Some(json!(operation)));
        assert!(fields.remove("timestamp").unwrap().is_f64());
        fields.remove("correlation_id");
        value
    }

    #[test]
    fn results_are_the_same_however_they_come() {
        let long = format!("{{\"a\":\"{}\"}}\n", "x".repeat(LAST_MAX));
        for piece in [1, 2, 3, 7, 1 << 20] {
            let one = |text: &[u8]| made("id", ONE, text, piece);
            assert_eq!(one(b"{\"a\":{\"b\":{}}}\n"), json!({"a": {"b": {}}}));
            assert_eq!(one(b"{}\n"), json!({}));
            assert_eq!(one(b""), json!({}));
            assert_eq!(one(b"[{}]\n"), json!({"result": [{}]}));
            let many = |text: &[u8]| made("refs", MANY, text, piece);
            assert_eq!(many(b""), json!({"items": [], "count": 0}));
            assert_eq!(
                many(b"{\"a\":1}\n{}\n"),
                json!({"items": [{"a": 1}, {}], "count": 2})
            );
            assert_eq!(
                made("add", MANY, b"{\"a\":1}\n{\"a\":2}\n", piece),
                json!({"items": [{"a": 1}, {"a": 2}], "count": 2, "a": 2})
            );
            let added = made("add", MANY, long.as_bytes(), piece);
            assert_eq!((&added["count"], &added["a"]), (&json!(1), &Value::Null));
            for length in 0..8 {
                let bytes = &b"\0\xff\nabcde"[..length];
                let wanted = match length {
                    // Of nothing there is no head.
                    0 => json!({}),
                    _ => json!({"data": STANDARD.encode(bytes), "encoding": "base64"}),
                };
                assert_eq!(made("cat", BYTES, bytes, piece), wanted);
            }
        }
    }
}
