//! A plain HTTP/1.1 client that shows everything and follows no rule by itself.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::harness::Daemon;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case; trailers too.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Whether the body came to its proper end.
    pub whole: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn error(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Daemon {
    /// Sends a request with these headers and this body.
    pub fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!(
            "Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // A daemon that refuses early closes its end.
        let _ = stream.write_all(body);
        answer(stream)
    }

    /// Calls a method without a body.
    pub fn post(&self, call: &str) -> Answer {
        self.ask("POST", &format!("/api/v0/{call}"), &[], b"")
    }

    /// Calls a method with files: path, media type, content.
    pub fn upload(&self, call: &str, parts: &[(&str, &str, &[u8])]) -> Answer {
        let body = multipart(parts);
        let kind = ("Content-Type", "multipart/form-data; boundary=XyZ");
        self.ask("POST", &format!("/api/v0/{call}"), &[kind], &body)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream
    }
}

/// A body for the boundary `XyZ`.
pub fn multipart(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (path, media_type, content) in parts {
        body.extend_from_slice(
            format!(
                "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{path}\"\r\n\
                 Content-Type: {media_type}\r\n\r\n"
            )
            .as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XyZ--\r\n");
    body
}

/// Reads an answer to the end of the connection.
pub fn answer(stream: TcpStream) -> Answer {
    try_answer(stream).unwrap_or_else(|reason| panic!("{reason}"))
}

/// [`answer`], or what is wrong with it.
pub fn try_answer(mut stream: TcpStream) -> Result<Answer, String> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err(format!("no end in time, after {} bytes", all.len()))
        }
        // A connection that is reset has been read as far as it goes.
        _ => parse_answer(&all),
    }
}

fn parse_answer(all: &[u8]) -> Result<Answer, String> {
    let end = find(all, b"\r\n\r\n").ok_or_else(|| format!("no answer: {all:?}"))?;
    let head = std::str::from_utf8(&all[..end]).map_err(|_| "a head that is not UTF-8")?;
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| format!("no status: {head:?}"))?;
    let mut headers = BTreeMap::new();
    let mut keep = |line: &str| {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("no header: {line:?}"))?;
        headers.insert(name.to_lowercase(), value.trim_start().to_owned());
        Ok::<_, String>(())
    };
    lines.try_for_each(&mut keep)?;
    let mut rest = &all[end + 4..];
    let mut body = Vec::new();
    let mut whole = false;
    if head.to_lowercase().contains("transfer-encoding: chunked") {
        while let Some(end) = find(rest, b"\r\n") {
            let len = std::str::from_utf8(&rest[..end]).ok();
            let len = len.and_then(|len| usize::from_str_radix(len, 16).ok());
            let len = len.ok_or("a chunk without a length")?;
            rest = &rest[end + 2..];
            if len == 0 {
                whole = true;
                let trailers = std::str::from_utf8(rest).map_err(|_| "trailers are not UTF-8")?;
                let mut lines = trailers.lines().filter(|line| !line.is_empty());
                lines.try_for_each(&mut keep)?;
                break;
            }
            if rest.len() < len + 2 {
                break;
            }
            body.extend_from_slice(&rest[..len]);
            rest = &rest[len + 2..];
        }
    } else {
        body.extend_from_slice(rest);
        let said = headers.get("content-length");
        let said = said.and_then(|length| length.parse::<usize>().ok());
        whole = said.is_none_or(|length| length == body.len());
    }
    Ok(Answer {
        status,
        headers,
        body,
        whole,
    })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
