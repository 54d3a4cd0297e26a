//! Many connections, each asking again as soon as it is answered, from one thread: what the asking side costs is small
//! beside what is measured, and the same for both sides.

use crate::daemon::Daemon;
use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::Errno;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Answers are some kilobytes.
const MAX_ANSWER: usize = 1 << 20;
/// Room for what is read at once.
const PIECE: usize = 16 << 10;
/// How long nothing at all may come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a load came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    /// Answers a second.
    pub rate: f64,
    /// 99 of a hundred were answered within so many milliseconds.
    pub tail: f64,
}

/// Asks from so many connections for so long.
pub fn ask(daemon: &Daemon, call: &str, connections: usize, span: Duration) -> Result<Load> {
    let request = format!(
        "POST /api/v0/{call} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n",
        daemon.address()
    );
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut askers = Vec::new();
    for nth in 0..connections {
        let asker = Asker::connect(daemon.address())?;
        let data = epoll::EventData::new_u64(nth as u64);
        epoll::add(&poll, &asker.stream, data, epoll::EventFlags::IN)?;
        askers.push(asker);
    }
    let start = Instant::now();
    for asker in &mut askers {
        asker.ask(request.as_bytes())?;
    }
    let mut times = Vec::new();
    let mut events = Vec::with_capacity(connections);
    while start.elapsed() < span {
        let patience = rustix::event::Timespec::try_from(PATIENCE)?;
        epoll::wait(&poll, spare_capacity(&mut events), Some(&patience))?;
        ensure!(!events.is_empty(), "nothing was answered");
        for event in events.drain(..) {
            let asker = usize::try_from(event.data.u64())?;
            let asker = &mut askers[asker];
            if let Some(time) = asker.receive()? {
                times.push(time);
                asker.ask(request.as_bytes())?;
            }
        }
    }
    let wall = start.elapsed().as_secs_f64();
    let mut millis: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    millis.sort_unstable_by(f64::total_cmp);
    ensure!(!millis.is_empty(), "nothing was answered");
    Ok(Load {
        rate: millis.len() as f64 / wall,
        tail: millis[(millis.len() - 1) * 99 / 100],
    })
}

/// One connection.
struct Asker {
    stream: TcpStream,
    answer: Vec<u8>,
    asked: Instant,
}

impl Asker {
    fn connect(address: &str) -> Result<Asker> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Asker {
            stream,
            answer: Vec::with_capacity(PIECE),
            asked: Instant::now(),
        })
    }

    fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.answer.clear();
        self.asked = Instant::now();
        // A request fits into any socket's buffer.
        Ok(self.stream.write_all(request)?)
    }

    /// Takes what has come; how long the answer took, once it is whole.
    fn receive(&mut self) -> Result<Option<Duration>> {
        self.answer.reserve(PIECE);
        match rustix::io::read(&self.stream, spare_capacity(&mut self.answer)) {
            Ok(0) => bail!("the daemon closed a connection"),
            Ok(_) => {}
            Err(Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        ensure!(self.answer.len() < MAX_ANSWER, "the answer has no end");
        Ok(is_whole(&self.answer)?.then(|| self.asked.elapsed()))
    }
}

/// Whether all of an answer is there; an error if it is not 200.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some(head) = memmem::find(answer, b"\r\n\r\n") else {
        return Ok(false);
    };
    let (head, body) = answer.split_at(head + 4);
    if !head.starts_with(b"HTTP/1.1 200") {
        bail!("{}", String::from_utf8_lossy(answer));
    }
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', head) {
        let line = &head[std::mem::replace(&mut start, end + 1)..end];
        let Some(value) = value(line, b"content-length: ") else {
            continue;
        };
        let length: usize = std::str::from_utf8(value)?.trim().parse()?;
        return Ok(body.len() >= length);
    }
    ends(body)
}

/// Whether a chunked body has ended.
fn ends(mut body: &[u8]) -> Result<bool> {
    loop {
        let Some(line) = memmem::find(body, b"\r\n") else {
            return Ok(false);
        };
        let length = std::str::from_utf8(&body[..line])?;
        let length = usize::from_str_radix(length.trim(), 16)
            .with_context(|| format!("no length of a chunk: {length:?}"))?;
        if length == 0 {
            // Trailers may follow; an empty line is the end.
            return Ok(body[line..].ends_with(b"\r\n\r\n"));
        }
        let next = line + 2 + length + 2;
        if body.len() < next {
            return Ok(false);
        }
        body = &body[next..];
    }
}

fn value<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let counted = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        let trailed =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-A: b\r\n\r\n";
        for whole in [chunked, counted, trailed] {
            assert!(is_whole(whole.as_bytes()).unwrap(), "{whole}");
            for cut in 0..whole.len() {
                let part = &whole.as_bytes()[..cut];
                assert!(!is_whole(part).unwrap(), "{whole} up to {cut}");
            }
        }
        assert!(is_whole(b"HTTP/1.1 500 X\r\n\r\n").is_err());
    }
}
