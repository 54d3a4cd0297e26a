//! One request on one connection, byte for byte as it is written here.

use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Longest wait for the next byte of an answer: nothing that is asked here takes long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What separates the parts of the bodies that are made here.
pub const BOUNDARY: &str = "a-boundary-that-no-file-has";

/// One request, for both sides the same.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The method.
    pub method: &'static str,
    /// Path and query behind `/api/v0/`; a leading slash makes it the whole target.
    pub target: String,
    /// Headers beside those every request has. `PORT` in a value stands for the daemon's port.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Ask {
    /// A POST without a body.
    pub fn post(target: impl Into<String>) -> Ask {
        Ask {
            method: "POST",
            target: target.into(),
            ..Ask::default()
        }
    }

    /// A POST with these files: name and content.
    pub fn upload(target: impl Into<String>, files: &[(&str, &[u8])]) -> Ask {
        let mut body = Vec::new();
        for (name, content) in files {
            let head = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; \
                 filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        Ask::post(target).form(body)
    }

    /// The same with this body, said to be a form.
    pub fn form(self, body: impl Into<Vec<u8>>) -> Ask {
        let media_type = format!("multipart/form-data; boundary={BOUNDARY}");
        self.header("Content-Type", media_type).body(body)
    }

    /// The same with this body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Ask {
        self.body = body.into();
        self
    }

    /// The same with one more header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Ask {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with another method.
    pub fn method(mut self, method: &'static str) -> Ask {
        self.method = method;
        self
    }

    /// Sends it to a daemon.
    pub fn send(&self, address: &str) -> Result<Answer> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let port = address.rsplit(':').next().unwrap_or_default();
        let target = match self.target.starts_with('/') {
            true => self.target.clone(),
            false => format!("/api/v0/{}", self.target),
        };
        let mut head = format!(
            "{} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nTE: trailers\r\n",
            self.method
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {}\r\n", value.replace("PORT", port)));
        }
        let chunked = head.contains("Transfer-Encoding");
        if !self.body.is_empty() && !chunked && !head.contains("Content-Length") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        let mut request = head.into_bytes();
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(&self.body);
        (&stream).write_all(&request)?;
        // Whoever says that more would come than does has to see that it does not.
        if self
            .headers
            .iter()
            .any(|(name, _)| *name == "Content-Length")
        {
            stream.shutdown(Shutdown::Write)?;
        }
        let mut answer = Answer::read(&mut BufReader::new(&stream), self.method)
            .with_context(|| format!("{} {}", self.method, self.target))?;
        // What is told of the port is the same port.
        for value in answer.headers.values_mut() {
            *value = value.replace(&format!(":{port}"), ":PORT");
        }
        Ok(answer)
    }
}

/// What came back.
#[derive(Debug, Default, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers by their names in small letters; repeated ones joined.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// Headers behind the body.
    pub trailers: BTreeMap<String, String>,
    /// Whether the connection ended before the body did.
    pub broken: bool,
}

impl Answer {
    fn read(reader: &mut impl BufRead, method: &str) -> Result<Answer> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        ensure!(!line.is_empty(), "no answer");
        let status = line.get(9..12).and_then(|digits| digits.parse().ok());
        let mut answer = Answer {
            status: status.with_context(|| format!("no status in {line:?}"))?,
            headers: headers(reader)?,
            ..Answer::default()
        };
        if method == "HEAD" || answer.status == 204 {
            return Ok(answer);
        }
        let chunked = answer.header("transfer-encoding") == "chunked";
        match answer.headers.get("content-length") {
            _ if chunked => answer.chunks(reader)?,
            Some(length) => {
                let length: u64 = length.parse().context("Content-Length")?;
                let read = reader.take(length).read_to_end(&mut answer.body)?;
                answer.broken = (read as u64) < length;
            }
            None => {
                reader.read_to_end(&mut answer.body)?;
            }
        }
        Ok(answer)
    }

    fn chunks(&mut self, reader: &mut impl BufRead) -> Result<()> {
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                self.broken = true;
                return Ok(());
            }
            let Ok(len) = u64::from_str_radix(line.trim(), 16) else {
                bail!("no length of a chunk: {line:?}")
            };
            if len == 0 {
                self.trailers = headers(reader)?;
                return Ok(());
            }
            let read = reader.by_ref().take(len).read_to_end(&mut self.body)?;
            self.broken = (read as u64) < len || reader.read_line(&mut line)? == 0;
            if self.broken {
                return Ok(());
            }
        }
    }

    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Header lines up to the empty one.
fn headers(reader: &mut impl BufRead) -> Result<BTreeMap<String, String>> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(found);
        }
        let (name, value) = line.split_once(':').context("a header without a colon")?;
        found
            .entry(name.to_ascii_lowercase())
            .and_modify(|known| {
                known.push_str(", ");
                known.push_str(value.trim());
            })
            .or_insert_with(|| value.trim().to_owned());
    }
}
