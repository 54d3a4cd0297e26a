//! A daemon that answers RPC.

use crate::Peer;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long a call may take whose caller does not say.
const CALL: Duration = Duration::from_secs(600);

/// The daemon of one side, killed when dropped.
pub struct Daemon {
    child: Child,
    address: String,
}

impl Daemon {
    /// Starts the daemon of `peer` with `options` and waits until its RPC answers.
    pub fn start(peer: &Peer, options: &[&str]) -> Result<Self> {
        let child = peer
            .command(["daemon"])
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut daemon = Self {
            child,
            address: String::new(),
        };
        let start = Instant::now();
        while daemon.address.is_empty() || TcpStream::connect(&daemon.address).is_err() {
            ensure!(
                start.elapsed() < Duration::from_secs(30),
                "the daemon does not start"
            );
            if let Some(status) = daemon.child.try_wait()? {
                bail!("the daemon ended with {status}");
            }
            std::thread::sleep(Duration::from_millis(20));
            // A multiaddr: /ip4/127.0.0.1/tcp/PORT.
            let api = fs::read_to_string(peer.repo().join("api")).unwrap_or_default();
            if let Some(port) = api
                .trim()
                .rsplit('/')
                .next()
                .filter(|port| !port.is_empty())
            {
                daemon.address = format!("127.0.0.1:{port}");
            }
        }
        Ok(daemon)
    }

    /// Kills the process (signal 9), which may have ended.
    pub fn kill(&self) -> Result<()> {
        let id = i32::try_from(self.child.id())?;
        // It is not waited for before it is dropped, so the number is still its own.
        let pid = rustix::process::Pid::from_raw(id).context("no process")?;
        Ok(rustix::process::kill_process(pid, rustix::process::Signal::KILL)?)
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Every JSON value of the answer to one call.
    pub fn post(&self, call: &str) -> Result<Vec<Value>> {
        self.post_within(call, CALL)
    }

    /// One call with a file or none, whatever the answer is.
    pub fn call(&self, call: &str, file: Option<&[u8]>) -> Result<Answer> {
        const BOUNDARY: &str = "a-boundary-that-no-file-has";
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(CALL))?;
        let mut head = format!(
            "POST /api/v0/{call} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nTE: trailers\r\n",
            self.address
        );
        let mut body = Vec::new();
        if let Some(file) = file {
            write!(
                body,
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"data\"; filename=\"data\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            )?;
            body.extend_from_slice(file);
            write!(body, "\r\n--{BOUNDARY}--\r\n")?;
            // Without it a refusal would come while the file is being sent, and be lost with the connection.
            head.push_str(&format!(
                "Expect: 100-continue\r\nContent-Length: {}\r\n\
                 Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n",
                body.len()
            ));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut head = read_head(&mut reader)?;
        if head.starts_with("HTTP/1.1 100") {
            stream.write_all(&body)?;
            head = read_head(&mut reader)?;
        }
        let mut answer = Answer {
            status: head
                .get(9..12)
                .and_then(|digits| digits.parse().ok())
                .with_context(|| format!("no status: {head}"))?,
            ..Answer::default()
        };
        if !head.to_lowercase().contains("transfer-encoding: chunked") {
            reader.read_to_end(&mut answer.body)?;
            return Ok(answer);
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let len = u64::from_str_radix(line.trim(), 16)
                .with_context(|| format!("no length of a chunk: {line:?}"))?;
            if len == 0 {
                break;
            }
            reader.by_ref().take(len).read_to_end(&mut answer.body)?;
            reader.read_line(&mut line)?;
        }
        let trailers = read_head(&mut reader)?;
        let error = trailers
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("x-stream-error"));
        answer.error = error.map(|(_, text)| text.to_owned());
        Ok(answer)
    }

    /// As [`Daemon::post`], given up after `limit`.
    pub fn post_within(&self, call: &str, limit: Duration) -> Result<Vec<Value>> {
        let deadline = Instant::now() + limit;
        let mut stream = TcpStream::connect(&self.address)?;
        // HTTP/1.0: the body ends with the connection, in one piece.
        write!(
            stream,
            "POST /api/v0/{call} HTTP/1.0\r\nHost: {}\r\n\r\n",
            self.address
        )?;
        let answer = read_until(&mut stream, deadline)
            .with_context(|| format!("no answer to {call} within {} s", limit.as_secs()))?;
        let body = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .context("no end of the HTTP head")?;
        ensure!(
            answer.starts_with(b"HTTP/1.0 200"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        let values = serde_json::Deserializer::from_slice(&answer[body..]).into_iter();
        values
            .collect::<Result<_, _>>()
            .context("the answer is no JSON")
    }
}

/// What came back from [`Daemon::call`].
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// The error behind the body.
    pub error: Option<String>,
}

/// Lines up to the next empty one.
fn read_head(reader: &mut impl BufRead) -> Result<String> {
    let mut head = String::new();
    loop {
        let start = head.len();
        ensure!(reader.read_line(&mut head)? > 0, "the answer ends in its head: {head:?}");
        if head[start..].trim().is_empty() {
            return Ok(head);
        }
    }
}

/// Reads to the end of the stream, which must come before `deadline`.
fn read_until(stream: &mut TcpStream, deadline: Instant) -> std::io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        // A timeout of zero would mean none.
        let left = deadline.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match stream.read(&mut piece)? {
            0 => return Ok(answer),
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The repo goes away with the test: there is nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
