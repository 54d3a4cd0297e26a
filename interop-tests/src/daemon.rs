//! A daemon that answers RPC.

use crate::Peer;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ExitStatus, Stdio};
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
        Self::start_with(peer, options, &[])
    }

    /// As [`Daemon::start`] with variables in its environment.
    pub fn start_with(peer: &Peer, options: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        Self::launch(peer, options, variables, Duration::from_millis(20))
    }

    /// As [`Daemon::start`], with the time from before the process to its first answer.
    pub fn start_timed(peer: &Peer) -> Result<(Self, Duration)> {
        // One of an earlier life would name a port that is nobody's now.
        let _ = fs::remove_file(peer.repo().join("api"));
        let start = Instant::now();
        let daemon = Self::launch(peer, &[], &[], Duration::from_micros(100))?;
        daemon.post_within("version", CALL)?;
        Ok((daemon, start.elapsed()))
    }

    /// Looks `every` so often whether it listens.
    fn launch(
        peer: &Peer,
        options: &[&str],
        variables: &[(&str, &str)],
        every: Duration,
    ) -> Result<Self> {
        let child = peer
            .command(["daemon"])
            .args(options)
            .envs(variables.iter().copied())
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
            std::thread::sleep(every);
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
        self.signal(rustix::process::Signal::KILL)
    }

    fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        let id = i32::try_from(self.child.id())?;
        // It is not waited for before it is dropped, so the number is still its own.
        let pid = rustix::process::Pid::from_raw(id).context("no process")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Asks the process to end (signal 15): how long that took, and its status.
    pub fn end(mut self) -> Result<(Duration, ExitStatus)> {
        let start = Instant::now();
        self.signal(rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        Ok((start.elapsed(), status))
    }

    /// Where its RPC listens, as `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
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
        // A refusal would come while the file is being sent, and be lost with the connection.
        self.connect()?
            .send(call, file, "Connection: close\r\nExpect: 100-continue\r\n")
    }

    /// A connection for calls that follow each other.
    pub fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(CALL))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            reader: BufReader::new(stream.try_clone()?),
            stream,
            address: self.address.clone(),
        })
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

/// A connection to a daemon.
pub struct Connection {
    reader: BufReader<TcpStream>,
    stream: TcpStream,
    address: String,
}

impl Connection {
    /// One call with a file or none, whatever the answer is.
    pub fn call(&mut self, call: &str, file: Option<&[u8]>) -> Result<Answer> {
        self.send(call, file, "")
    }

    fn send(&mut self, call: &str, file: Option<&[u8]>, headers: &str) -> Result<Answer> {
        const BOUNDARY: &str = "a-boundary-that-no-file-has";
        let mut head = format!(
            "POST /api/v0/{call} HTTP/1.1\r\nHost: {}\r\nTE: trailers\r\n{headers}",
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
            head.push_str(&format!(
                "Content-Length: {}\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n",
                body.len()
            ));
        }
        let mut request = head.into_bytes();
        request.extend_from_slice(b"\r\n");
        let waits = headers.contains("100-continue") && file.is_some();
        if !waits {
            request.append(&mut body);
        }
        self.stream.write_all(&request)?;
        let mut head = read_head(&mut self.reader)?;
        if waits && head.starts_with("HTTP/1.1 100") {
            self.stream.write_all(&body)?;
            head = read_head(&mut self.reader)?;
        }
        self.receive(&head)
    }

    fn receive(&mut self, head: &str) -> Result<Answer> {
        let mut answer = Answer {
            status: head
                .get(9..12)
                .and_then(|digits| digits.parse().ok())
                .with_context(|| format!("no status: {head}"))?,
            ..Answer::default()
        };
        let head = head.to_lowercase();
        if !head.contains("transfer-encoding: chunked") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let length = length.unwrap_or(u64::MAX);
            self.reader
                .by_ref()
                .take(length)
                .read_to_end(&mut answer.body)?;
            return Ok(answer);
        }
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            let len = u64::from_str_radix(line.trim(), 16)
                .with_context(|| format!("no length of a chunk: {line:?}"))?;
            if len == 0 {
                break;
            }
            self.reader
                .by_ref()
                .take(len)
                .read_to_end(&mut answer.body)?;
            self.reader.read_line(&mut line)?;
        }
        let trailers = read_head(&mut self.reader)?;
        let error = trailers
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("x-stream-error"));
        answer.error = error.map(|(_, text)| text.to_owned());
        Ok(answer)
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
        ensure!(
            reader.read_line(&mut head)? > 0,
            "the answer ends in its head: {head:?}"
        );
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
