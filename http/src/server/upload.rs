//! Files that come with a request: `multipart/form-data` by Kubo's rules.
//!
//! One task reads the body and cuts it into parts; the command, which blocks, takes them from a short
//! queue. Neither holds more than a few pieces of it.
//!
//! A part is a file (`application/octet-stream` or nothing), a directory (`application/x-directory`) or
//! a symbolic link (`application/symlink`); its file name is the escaped path from the top; its name may
//! carry `mode`, `mtime` and `mtime-nsecs` like a query.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Body;
use ipfs_kit_node::{EntryKind, StreamedEntry, TreeStream};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::form::{Event, Form, FormError};
use crate::failure::Failure;
use crate::host::{Input, Inputs};

/// Pieces of a body that wait for the command.
const QUEUE: usize = 4;

/// Most bytes that are read of a body that nobody wants, and how long.
const REST: usize = 1 << 20;
const REST_TIME: Duration = Duration::from_secs(2);

/// What is said of a field behind a file: the command runs already.
const LATE_FIELD: &str = "fields of the form have to come before the file";

/// What the reading task hands on.
enum Piece {
    Part(Part),
    Data(Bytes),
    /// The body is whole.
    End,
    Failed(String),
}

/// The head of a part.
#[derive(Debug)]
struct Part {
    entry: StreamedEntry,
}

/// Where the parts of an upload come from.
pub struct Parts {
    /// The body, or what has not been read of it.
    body: UnsyncBoxBody<Bytes, io::Error>,
    /// Cuts the body.
    form: Form,
    /// What has been cut already.
    begun: Vec<Event>,
    /// Whether all parts are files: another one has come too late.
    files_only: bool,
}

impl Parts {
    /// All of a body whose parts are told apart by `boundary`.
    pub fn of<B>(body: B, boundary: &str) -> Parts
    where
        B: Body<Data = Bytes, Error = io::Error> + Send + 'static,
    {
        Parts {
            body: body.boxed_unsync(),
            form: Form::new(boundary),
            begun: Vec::new(),
            files_only: false,
        }
    }

    /// The rest of a body of which the fields before the first file have been read.
    pub fn rest<B>(body: B, form: Form, begun: Vec<Event>) -> Parts
    where
        B: Body<Data = Bytes, Error = io::Error> + Send + 'static,
    {
        Parts {
            body: body.boxed_unsync(),
            form,
            begun,
            files_only: true,
        }
    }

    /// Files without names that are there already.
    pub fn ready(contents: Vec<Bytes>) -> Parts {
        let head = || Event::Part(Bytes::from_static(b"Content-Disposition: form-data"));
        let parts = contents.into_iter();
        let begun = parts.flat_map(|content| [head(), Event::Data(content)]);
        Parts {
            body: http_body_util::Empty::new()
                .map_err(|never| match never {})
                .boxed_unsync(),
            form: Form::ended(),
            begun: begun.collect(),
            files_only: false,
        }
    }
}

/// The parts of a body, for the command.
#[derive(Clone)]
pub struct Upload {
    queue: Arc<Mutex<Queue>>,
}

struct Queue {
    pieces: mpsc::Receiver<Piece>,
    /// The head that came while content was read.
    next: Option<Part>,
    /// What is left of the piece read last.
    left: Bytes,
    /// How many parts have been told.
    told: usize,
    ended: bool,
}

impl Upload {
    /// Starts reading `parts`. The second part of the answer is the work to be done, which ends when the body
    /// or the command does.
    pub fn new(
        mut parts: Parts,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> (Upload, impl Future<Output = ()> + Send + 'static) {
        let (send, pieces) = mpsc::channel(QUEUE);
        let upload = Upload {
            queue: Arc::new(Mutex::new(Queue {
                pieces,
                next: None,
                left: Bytes::new(),
                told: 0,
                ended: false,
            })),
        };
        let read = async move {
            tokio::select! {
                cut = cut(&mut parts, &send) => {
                    if let Err(reason) = cut {
                        // The command may have ended already; then nobody wants to know.
                        let _ = send.send(Piece::Failed(reason)).await;
                    }
                }
                () = stop => {}
            }
            drop(send);
            discard(parts.body).await;
        };
        (upload, read)
    }

    /// The content of the parts, one after the other.
    pub fn inputs(&self) -> Inputs {
        let upload = self.clone();
        Box::new(std::iter::from_fn(move || {
            let part = upload.queue.lock().next_part();
            part.map_err(Failure::failed).transpose().map(|part| {
                part.map(|(number, part)| Input {
                    name: match String::from_utf8_lossy(&part.entry.path) {
                        path if path.is_empty() => "the request's body".to_owned(),
                        path => path.into_owned(),
                    },
                    reader: Box::new(Content {
                        upload: upload.clone(),
                        number,
                    }),
                })
            })
        }))
    }

    /// All of it as lines.
    pub fn lines(&self) -> Box<dyn Read + Send> {
        Box::new(Lines {
            inputs: self.inputs(),
            current: None,
        })
    }
}

impl TreeStream for Upload {
    fn next_entry(&mut self) -> io::Result<Option<StreamedEntry>> {
        let part = self.queue.lock().next_part()?;
        Ok(part.map(|(_, part)| part.entry))
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.queue.lock().read(buffer)
    }
}

impl Queue {
    fn next_part(&mut self) -> io::Result<Option<(usize, Part)>> {
        self.left.clear();
        loop {
            if let Some(part) = self.next.take() {
                self.told += 1;
                return Ok(Some((self.told, part)));
            }
            if self.receive()?.is_none() {
                return Ok(None);
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() && self.next.is_none() {
            match self.receive()? {
                Some(data) => self.left = data,
                None => break,
            }
        }
        let len = buffer.len().min(self.left.len());
        buffer[..len].copy_from_slice(&self.left.split_to(len));
        Ok(len)
    }

    /// Data, or nothing at the end of the part.
    fn receive(&mut self) -> io::Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        match self.pieces.blocking_recv() {
            Some(Piece::Data(data)) => Ok(Some(data)),
            Some(Piece::Part(part)) => {
                self.next = Some(part);
                Ok(Some(Bytes::new()))
            }
            Some(Piece::End) => {
                self.ended = true;
                Ok(None)
            }
            // Only what was told to be whole is whole: the task may be gone with the connection.
            end => {
                self.ended = true;
                let reason = match end {
                    Some(Piece::Failed(reason)) => reason,
                    _ => "the request's body broke off".to_owned(),
                };
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason))
            }
        }
    }
}

/// The content of one part; nothing once the next has been asked for.
struct Content {
    upload: Upload,
    number: usize,
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut queue = self.upload.queue.lock();
        if queue.told != self.number {
            return Ok(0);
        }
        queue.read(buffer)
    }
}

/// Several inputs read as one.
struct Lines {
    inputs: Inputs,
    current: Option<Input>,
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(input) = &mut self.current {
                match input.reader.read(buffer)? {
                    0 if !buffer.is_empty() => self.current = None,
                    read => return Ok(read),
                }
            }
            match self.inputs.next() {
                Some(Ok(input)) => self.current = Some(input),
                Some(Err(failure)) => return Err(io::Error::other(failure.to_string())),
                None => return Ok(0),
            }
        }
    }
}

/// Reads what is left of a body, if it is little: who has not sent all of it yet would not see the answer when
/// the connection is closed.
pub async fn discard<B>(mut body: B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let rest = async {
        let mut left = REST;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // What takes longer is closed.
    let _ = tokio::time::timeout(REST_TIME, rest).await;
}

/// Cuts a body into parts.
async fn cut(parts: &mut Parts, send: &mpsc::Sender<Piece>) -> Result<(), String> {
    let mut events = std::mem::take(&mut parts.begun);
    let mut pushed = Ok(());
    loop {
        for event in events.drain(..) {
            let piece = match event {
                Event::Part(head) if parts.files_only && field(&head).is_some() => {
                    return Err(LATE_FIELD.to_owned());
                }
                Event::Part(head) => Piece::Part(Part {
                    entry: entry(&head),
                }),
                Event::Data(data) => Piece::Data(data),
            };
            if send.send(piece).await.is_err() {
                return Ok(());
            }
        }
        pushed.map_err(|error: FormError| error.to_string())?;
        let Some(frame) = parts.body.frame().await else {
            parts.form.finish().map_err(|error| error.to_string())?;
            // The command may not have waited for the end.
            let _ = send.send(Piece::End).await;
            return Ok(());
        };
        let frame = frame.map_err(|error| error.to_string())?;
        let Ok(data) = frame.into_data() else {
            pushed = Ok(());
            continue;
        };
        pushed = parts.form.push(data, &mut |event| events.push(event));
    }
}

/// The name of a part that is a field and no file.
pub fn field(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let disposition = header(&head, "content-disposition");
    match parameter(disposition, "filename") {
        Some(_) => None,
        None => parameter(disposition, "name"),
    }
}

fn header<'a>(head: &'a str, wanted: &str) -> &'a str {
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let found = lines.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
    found.map_or("", |(_, value)| value.trim())
}

/// What the head of a part says.
fn entry(head: &[u8]) -> StreamedEntry {
    let head = String::from_utf8_lossy(head);
    let disposition = header(&head, "content-disposition");
    let media_type = header(&head, "content-type");
    let name = parameter(disposition, "name").unwrap_or_default();
    let path = parameter(disposition, "filename").unwrap_or_default();
    let query = name.split_once('?').map_or("", |(_, query)| query);
    let value = |wanted: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value)
    };
    let seconds = value("mtime").and_then(|text| text.parse().ok());
    let nanos = value("mtime-nsecs").and_then(|text| text.parse().ok());
    StreamedEntry {
        path: unescape(&path),
        kind: match media_type.split(';').next().unwrap_or_default().trim() {
            "application/x-directory" => EntryKind::Directory,
            "application/symlink" => EntryKind::Symlink,
            _ => EntryKind::File,
        },
        mode: value("mode").and_then(|text| u32::from_str_radix(text, 8).ok()),
        mtime: seconds.map(|seconds| (seconds, nanos.unwrap_or(0).min(999_999_999))),
    }
}

/// One parameter of a header's value, quoted or not.
pub fn parameter(disposition: &str, wanted: &str) -> Option<String> {
    let mut rest = disposition.split_once(';')?.1;
    loop {
        let (name, tail) = rest.split_once('=')?;
        let mut value = String::new();
        let mut chars = tail.trim_start().chars();
        if tail.trim_start().starts_with('"') {
            chars.next();
            while let Some(c) = chars.next().filter(|c| *c != '"') {
                value.push(if c == '\\' { chars.next()? } else { c });
            }
            rest = chars.as_str().split_once(';').map_or("", |(_, rest)| rest);
        } else {
            let (text, tail) = chars
                .as_str()
                .split_once(';')
                .unwrap_or((chars.as_str(), ""));
            value.push_str(text.trim());
            rest = tail;
        }
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
    }
}

/// A path without its escapes; what is no escape stands for itself.
fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3);
        let escape = digits
            .filter(|digits| bytes[at] == b'%' && digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (escape, bytes[at]) {
            (Some(byte), _) => {
                plain.push(byte);
                at += 3;
            }
            // Kubo's clients escape as in a query, where a plus is a space.
            (None, b'+') => {
                plain.push(b' ');
                at += 1;
            }
            (None, byte) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(disposition: &str, media_type: &str) -> StreamedEntry {
        let head = format!("content-disposition: {disposition}\r\nContent-Type:{media_type}");
        entry(head.as_bytes())
    }

    #[test]
    fn heads_of_parts() {
        let part = told(
            "form-data; name=\"file?mode=0644&mtime=-5&mtime-nsecs=7\"; filename=\"d%2Fa+b%20c\"",
            "application/octet-stream",
        );
        assert_eq!(part.path, b"d/a b c");
        assert_eq!(part.kind, EntryKind::File);
        assert_eq!((part.mode, part.mtime), (Some(0o644), Some((-5, 7))));
        let part = told(
            "form-data; name=file; filename=d",
            "application/x-directory",
        );
        assert_eq!(
            (&part.path[..], part.kind),
            (&b"d"[..], EntryKind::Directory)
        );
        let part = told(
            "form-data; filename=\"a\\\"b%\"",
            "application/symlink; x=y",
        );
        assert_eq!(
            (&part.path[..], part.kind),
            (&b"a\"b%"[..], EntryKind::Symlink)
        );
        assert_eq!(told("form-data", "text/plain").path, b"");
        assert_eq!(told("form-data; name=\"", "text/plain").path, b"");
    }
}
