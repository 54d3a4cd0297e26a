//! The result of a command at `/api/v1`: one JSON document.
//!
//! The record of a method that reports one; an array where there may be many, also of none; `null` where there is
//! nothing to report. Bytes stay bytes, and what fails is an object with a status that fits. The array is made while
//! records come: what fails at once has the status of a failure, what fails later breaks the connection, so that
//! nobody takes half an array for a whole one.

use std::time::Duration;

use hyper::Response;
use hyper::header::{CACHE_CONTROL, HeaderValue, TRAILER};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::answers::{Cause, success};
use super::call::Started;
use super::parse::OTHER_ENCODING;
use super::reply::{Head, Message, QUEUE, ReplyBody};
use super::seed::{Made, Refusal, is_result, make, result_response};
use crate::command::Command;
use crate::failure::Failure;

/// Bytes of a result that wait for its end, and how long.
const HELD: usize = 64 << 10;
/// How long the begin of a result waits for its end.
const PATIENCE: Duration = Duration::from_millis(100);
/// Longest text that becomes a JSON string.
const TEXT_MAX: usize = 64 << 10;

const JSON: &str = "application/json";
const TOO_LONG: &str = "the text is too long for one JSON string: call the method at /api/v0";

/// Waits for what a command sends and makes it a response.
pub async fn respond(started: Started, command: &'static Command) -> Response<ReplyBody> {
    let Started {
        mut pieces,
        head,
        running,
        waiting,
        ..
    } = started;
    let first = match pieces.recv().await {
        Some(Message::Head(head)) if head.raw => {
            let body = ReplyBody::stream(pieces, false, waiting, Box::new(running));
            return bytes(head, body);
        }
        // Some commands choose an encoding by an option of their own.
        Some(Message::Head(head)) if head.media_type != JSON && !command.records.is_empty() => {
            return Refusal::bad(OTHER_ENCODING).response();
        }
        first => first,
    };
    let mut writer = Writer::new(command, head);
    let (mut held, mut next) = (Vec::new(), first);
    let mut since = None;
    loop {
        match next {
            Some(Message::End(end, _)) if is_result(&end) && writer.is_cut => {
                return Refusal::of(Cause::Other, TOO_LONG).response();
            }
            Some(Message::End(end, notes)) if is_result(&end) => {
                writer.end(&notes, &mut held);
                return result_response(ReplyBody::whole(held));
            }
            Some(Message::End(Err(failure), _)) => return refusal(&failure),
            Some(message) => writer.take(message, &mut held),
            None => return Refusal::of(Cause::Other, "the command broke off").response(),
        }
        let until = *since.get_or_insert_with(|| Instant::now() + PATIENCE);
        if held.len() >= HELD && writer.kind != Kind::Text {
            break;
        }
        next = match timeout_at(until, pieces.recv()).await {
            Ok(next) => next,
            // A text has to be whole before it can be quoted.
            Err(_) if writer.kind == Kind::Text => pieces.recv().await,
            Err(_) => break,
        };
    }
    let (send, made) = mpsc::channel(QUEUE);
    tokio::spawn(make(writer, held, pieces, send));
    result_response(ReplyBody::stream(made, false, waiting, Box::new(running)))
}

fn refusal(failure: &Failure) -> Response<ReplyBody> {
    Refusal::of(Cause::of(failure), failure.to_string()).response()
}

/// Bytes as they are. What is no certain text is called bytes.
fn bytes(head: Head, body: ReplyBody) -> Response<ReplyBody> {
    let head = Head {
        media_type: match head.told.unwrap_or(head.media_type) {
            "text/plain" => "application/octet-stream",
            other => other,
        },
        ..head
    };
    let mut response = success(head, body, false);
    let headers = response.headers_mut();
    // It breaks off instead.
    headers.remove(TRAILER);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What a document is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One record, which is the document.
    One,
    /// Records.
    Many,
    /// Text, of a method that has no records.
    Text,
}

/// Writes a document.
struct Writer {
    kind: Kind,
    /// Whether anything of it is written.
    begun: bool,
    /// Records that began.
    count: u64,
    in_record: bool,
    text: Vec<u8>,
    /// Whether there was more text than that.
    is_cut: bool,
}

impl Writer {
    fn new(command: &Command, head: Head) -> Writer {
        let silent = command.records.is_empty();
        let many = head.chunked && !silent;
        Writer {
            kind: if many { Kind::Many } else { Kind::One },
            begun: false,
            count: 0,
            in_record: false,
            text: Vec::new(),
            is_cut: false,
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) && self.kind == Kind::Many {
            out.push(b'[');
        }
    }

    fn many(&mut self, data: &[u8], out: &mut Vec<u8>) {
        self.begin(out);
        for part in data.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            if !self.in_record && !text.is_empty() {
                if self.count > 0 {
                    out.push(b',');
                }
                self.count += 1;
                self.in_record = true;
            }
            out.extend_from_slice(text);
            self.in_record &= part.len() == text.len();
        }
    }
}

impl Made for Writer {
    fn take(&mut self, message: Message, out: &mut Vec<u8>) {
        match message {
            Message::Head(head) if head.media_type == "text/plain" => self.kind = Kind::Text,
            Message::Head(_) | Message::End(..) => {}
            Message::Data(data) => match self.kind {
                Kind::Text => {
                    let room = TEXT_MAX.saturating_sub(self.text.len());
                    self.is_cut |= data.len() > room;
                    self.text.extend_from_slice(&data[..data.len().min(room)]);
                }
                Kind::Many => self.many(&data, out),
                Kind::One => {
                    self.begun |= !data.is_empty();
                    out.extend_from_slice(&data);
                }
            },
        }
    }

    fn end(&mut self, _notes: &str, out: &mut Vec<u8>) {
        match self.kind {
            Kind::Text => {
                let text = String::from_utf8_lossy(&self.text);
                out.extend_from_slice(format!("{}\n", json!(text.trim_end())).as_bytes());
            }
            Kind::Many => {
                self.begin(out);
                out.extend_from_slice(b"]\n");
            }
            Kind::One if self.begun => {}
            Kind::One => out.extend_from_slice(b"null\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Reply, Shape};
    use crate::output::Encoding;
    use crate::value::Values;
    use bytes::Bytes;
    use serde_json::Value;

    #[derive(serde::Serialize, schemars::JsonSchema)]
    struct Some;

    impl crate::output::Record for Some {
        const NAME: &'static str = "Some";
    }

    const RECORDS: &[Shape] = &[Shape::of::<Some>()];

    /// The document of a text that comes in pieces of that many bytes.
    fn made(reply: Reply, records: &'static [Shape], text: &[u8], piece: usize) -> Value {
        let command = Command {
            reply,
            records,
            ..Command::EMPTY
        };
        let head = Head::new(&command, Encoding::Json, &Values::new());
        let mut writer = Writer::new(&command, head);
        let mut out = Vec::new();
        for data in text.chunks(piece) {
            writer.take(Message::Data(Bytes::copy_from_slice(data)), &mut out);
        }
        writer.end("", &mut out);
        serde_json::from_slice(&out)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
    }

    #[test]
    fn documents_are_the_same_however_they_come() {
        for piece in [1, 2, 3, 7, 1 << 20] {
            let many = |text: &[u8]| made(Reply::Many, RECORDS, text, piece);
            assert_eq!(many(b""), json!([]));
            assert_eq!(many(b"{\"a\":1}\n"), json!([{"a": 1}]));
            assert_eq!(many(b"{\"a\":1}\n{}\n\"x\"\n"), json!([{"a": 1}, {}, "x"]));
            assert_eq!(made(Reply::One, RECORDS, b"[{}]\n", piece), json!([{}]));
        }
        assert_eq!(made(Reply::One, RECORDS, b"", 1), Value::Null);
        assert_eq!(made(Reply::Many, &[], b"", 1), Value::Null);
    }
}
