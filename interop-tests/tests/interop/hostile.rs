//! Requests that break off, never end or make no sense: they change nothing, cost little, and the daemon
//! goes on.

use super::files::noise;
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::daemon::Daemon;
use ipfs_kit_interop_tests::{Peer, Side, scratch};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

const BOUNDARY: &str = "a-boundary-that-no-file-has";

/// Methods that read a body.
const READERS: [&str; 14] = [
    "add",
    "add?to-files=/cut&pin=false",
    "add?wrap-with-directory=true",
    "block/put?pin=true",
    "dag/put?pin=true",
    "dag/import",
    "files/write?arg=/cut&create=true",
    "files/write?arg=/kept&truncate=true",
    "config/replace",
    "key/import?arg=cut",
    "name/put?arg=k51qzi5uqu5dljtg5upm7x7ugan9lql3ewyknv4r4mhhkwzn8n7cnbd1unfwgq",
    "pin/add",
    "bootstrap/add",
    "multibase/decode",
];

/// Most memory that the daemon may take more than before, in MiB: far less than what is sent.
const GROWTH_MAX: u64 = 160;

/// What must not change, and what must not be left behind.
#[derive(Debug, PartialEq, Eq)]
struct State {
    pins: BTreeSet<String>,
    blocks: BTreeSet<String>,
    rest: Vec<Vec<u8>>,
}

impl State {
    fn of(daemon: &Daemon, peer: &Peer) -> Result<State> {
        daemon.post("repo/gc")?;
        let lines = |call: &str| -> Result<BTreeSet<String>> {
            let values = daemon.post(call)?;
            Ok(values.iter().map(ToString::to_string).collect())
        };
        let mut rest = Vec::new();
        for call in ["files/stat?arg=/", "key/list", "bootstrap/list"] {
            rest.push(daemon.call(call, None)?.body);
        }
        rest.push(fs::read(peer.repo().join("config"))?);
        Ok(State {
            pins: lines("pin/ls?stream=true&names=true")?,
            blocks: lines("refs/local")?,
            rest,
        })
    }
}

fn start(place: &std::path::Path) -> Result<(Peer, Daemon)> {
    let peer = Peer::init(Side::Ours, place.join("ours"))?;
    let daemon = Daemon::start(&peer, &["--offline"])?;
    let write = "files/write?arg=/kept&create=true";
    ensure!(daemon.call(write, Some(b"kept"))?.status == 200);
    ensure!(daemon.call("add", Some(&noise(1, 300_000)))?.status == 200);
    Ok((peer, daemon))
}

/// Sends bytes as they are and gives what comes back, if anything does.
fn send(daemon: &Daemon, request: &[u8], end: End) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(daemon.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    // Who is refused early may not get rid of all of it.
    let sent = stream.write_all(request);
    let mut answer = Vec::new();
    match end {
        End::Closed => return Ok(answer),
        End::HalfClosed => drop(stream.shutdown(Shutdown::Write)),
    }
    let read = stream.read_to_end(&mut answer);
    if sent.is_ok() && answer.is_empty() {
        read.context("nothing came back")?;
    }
    Ok(answer)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The connection is closed at once.
    Closed,
    /// Nothing more is sent, but the answer is read.
    HalfClosed,
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.get(..12)?;
    std::str::from_utf8(&line[9..]).ok()?.parse().ok()
}

#[test]
fn uploads_that_break_off_leave_nothing() -> Result<()> {
    let place = scratch::in_memory()?;
    let (peer, daemon) = start(place.path())?;
    let before = State::of(&daemon, &peer)?;
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let mut broken = 0;
    for method in READERS {
        let mut body = head.clone().into_bytes();
        body.extend_from_slice(&noise(2, 600_000));
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        // In a head, behind it, in the content, and just before the end.
        for cut in [20, head.len(), head.len() + 300_000, body.len() - 4] {
            for end in [End::Closed, End::HalfClosed] {
                for chunked in [false, true] {
                    let mut request = format!(
                        "POST /api/v0/{method} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
                    )
                    .into_bytes();
                    match chunked {
                        // The chunk would be longer than what comes of it.
                        true => write!(
                            request,
                            "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n",
                            body.len()
                        )?,
                        false => write!(request, "Content-Length: {}\r\n\r\n", body.len())?,
                    }
                    request.extend_from_slice(&body[..cut]);
                    let answer = send(&daemon, &request, end)?;
                    // An answer that has begun may have no status any more that tells of the end.
                    let whole = status(&answer) == Some(200) && answer.ends_with(b"\r\n0\r\n\r\n");
                    ensure!(
                        !whole,
                        "{method} cut at {cut}: {}",
                        String::from_utf8_lossy(&answer)
                    );
                    broken += 1;
                }
            }
        }
    }
    ensure!(broken == READERS.len() * 16, "{broken} requests");
    let after = State::of(&daemon, &peer)?;
    ensure!(after == before, "{after:?}\n{before:?}");
    let kept = daemon.call("files/read?arg=/kept", None)?;
    ensure!(kept.body == b"kept", "{:?}", kept.body);
    Ok(())
}

#[test]
fn bodies_without_end_take_no_memory() -> Result<()> {
    const SENT: usize = 256 << 20;
    let place = scratch::in_memory()?;
    let (peer, daemon) = start(place.path())?;
    let before = State::of(&daemon, &peer)?;
    let memory = resident(&daemon)?;
    let mut targets: Vec<&str> = READERS[3..].to_vec();
    targets.extend([
        "id",
        "cat",
        "key/sign",
        "name/inspect",
        "multibase/encode",
        "repo/stat",
    ]);
    let content = vec![b'x'; SENT];
    for target in targets {
        let mut request = format!(
            "POST /api/v0/{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n\
             --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n",
            SENT + 1_000
        )
        .into_bytes();
        request.extend_from_slice(&content);
        // What writes files takes any length: it is stopped by the end that is missing.
        let answer = send(&daemon, &request, End::HalfClosed)?;
        let grown = resident(&daemon)?.saturating_sub(memory);
        ensure!(grown < GROWTH_MAX, "{target} took {grown} MiB");
        let told = status(&answer);
        let reads_nothing = ["id", "repo/stat"].contains(&target);
        ensure!(
            told.is_none_or(|status| status >= 400) || reads_nothing,
            "{target}: {told:?}"
        );
    }
    let after = State::of(&daemon, &peer)?;
    ensure!(after == before, "{after:?}\n{before:?}");
    Ok(())
}

/// What the daemon holds in memory, in MiB.
fn resident(daemon: &Daemon) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{}/status", daemon.id()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let pages: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .context("no RssAnon")?;
    Ok(pages >> 10)
}

#[test]
fn nonsense_is_refused_and_the_daemon_goes_on() -> Result<()> {
    let place = scratch::in_memory()?;
    let (peer, daemon) = start(place.path())?;
    let before = State::of(&daemon, &peer)?;
    let long = "x".repeat(200 << 10);
    let many = "X-Y: z\r\n".repeat(5_000);
    let plain = |target: &str, headers: &str| {
        format!("POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
            .into_bytes()
    };
    let mut cases: Vec<(&str, Vec<u8>)> = vec![
        ("a long header", plain("/api/v0/id", &format!("X-Long: {long}\r\n"))),
        ("many headers", plain("/api/v0/id", &many)),
        ("a header of 20 KiB", plain("/api/v0/id", &format!("X-Long: {}\r\n", &long[..20 << 10]))),
        ("a long query", plain(&format!("/api/v0/id?arg={long}"), "")),
        ("a long path", plain(&format!("/api/v0/{long}"), "")),
        ("no length", plain("/api/v0/add", "Content-Length: x\r\n")),
        ("a negative length", plain("/api/v0/add", "Content-Length: -1\r\n")),
        ("two lengths", plain("/api/v0/add", "Content-Length: 1\r\nContent-Length: 2\r\n")),
        ("a bad chunk", [&plain("/api/v0/add", "Transfer-Encoding: chunked\r\nContent-Type: multipart/form-data; boundary=x\r\n")[..], b"zz\r\n"].concat()),
        ("an unknown coding", plain("/api/v0/add", "Transfer-Encoding: gzip\r\n")),
        ("a header without a colon", plain("/api/v0/id", "nonsense\r\n")),
        ("a zero in a header", plain("/api/v0/id", "X: a\0b\r\n")),
        ("bytes in the target", b"POST /api/v0/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("spaces in the target", b"POST /api/v0/id a b HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("another version", b"POST /api/v0/id HTTP/9.9\r\nHost: x\r\n\r\n".to_vec()),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()),
        ("half of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
    ];
    for text in ["%", "%f", "%zz", "%ff%fe", "%c3%28"] {
        for name in ["arg", "offset", "timeout", "encoding"] {
            cases.push((
                "a bad escape",
                plain(&format!("/api/v0/cat?{name}={text}"), ""),
            ));
        }
    }
    for (what, request) in &cases {
        let answer = send(&daemon, request, End::HalfClosed)?;
        let told = status(&answer);
        ensure!(
            told.is_none_or(|status| status >= 400),
            "{what}: {}",
            String::from_utf8_lossy(&answer)
        );
        ensure!(daemon.call("version", None)?.status == 200, "after {what}");
    }
    let after = State::of(&daemon, &peer)?;
    ensure!(after == before, "{after:?}\n{before:?}");
    Ok(())
}
