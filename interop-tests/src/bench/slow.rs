//! What honest clients notice of many that are slow on purpose.

use super::load::{Load, ask};
use super::stage::Stage;
use crate::daemon::Daemon;
use crate::{Peer, Side};
use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Sockets that bring a byte a second, or take nothing.
const SLOW: usize = 2_000;
/// Connections that ask as fast as they are answered.
const HONEST: usize = 16;
const SPAN: Duration = Duration::from_secs(5);

/// Measures and prints: honest calls alone and beside the slow, ours only.
pub fn run(stage: &mut Stage) -> Result<()> {
    let files = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: files.maximum,
        maximum: files.maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    println!(
        "| beside {SLOW} slow sockets | alone | p99 | beside | p99 | p99 ratio | goal |\n|---|---|---|---|---|---|---|"
    );
    let peer = stage.repo(Side::Ours)?;
    let file = stage.file()?;
    let path = file.to_str().context("the path is not UTF-8")?;
    let large = peer.text(["add", "-Q", path])?;
    let small = stage.out();
    std::fs::write(&small, vec![7; 1000])?;
    let small = peer.text([
        "add",
        "-Q",
        small.to_str().context("the path is not UTF-8")?,
    ])?;
    let calls = [
        format!("block/get?arg={small}"),
        format!("pin/ls?arg={small}"),
        format!("cat?arg={small}"),
    ];
    for call in calls {
        let (alone, beside) = compare(&peer, &call, &large)?;
        let ratio = beside.tail / alone.tail;
        let met = if ratio < 2.0 { "met" } else { "missed" };
        println!(
            "| {} | {:.0}/s | {:.2} ms | {:.0}/s | {:.2} ms | {ratio:.1} x | 2 x {met} |",
            call.split('?').next().unwrap_or_default(),
            alone.rate,
            alone.tail,
            beside.rate,
            beside.tail,
        );
    }
    stage.spend(peer.repo())
}

fn compare(peer: &Peer, call: &str, large: &str) -> Result<(Load, Load)> {
    let daemon = Daemon::start(peer, &["--offline"])?;
    ask(&daemon, call, HONEST, SPAN / 5)?;
    let alone = ask(&daemon, call, HONEST, SPAN)?;
    let mut slow: Vec<TcpStream> = (0..SLOW)
        .map(|number| stand(&daemon, number, large))
        .collect::<Result<_>>()?;
    let ended = AtomicBool::new(false);
    let beside = thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                for stream in &mut slow {
                    // One that the daemon gave up is no failure.
                    let _ = stream.write_all(b".");
                }
                thread::sleep(Duration::from_secs(1));
            }
        });
        let beside = ask(&daemon, call, HONEST, SPAN);
        ended.store(true, Ordering::Relaxed);
        beside
    })?;
    Ok((alone, beside))
}

/// One slow socket: half of them upload, a quarter has a head without end, a quarter takes nothing of a large file.
fn stand(daemon: &Daemon, number: usize, large: &str) -> Result<TcpStream> {
    let host = daemon.address();
    let mut stream = TcpStream::connect(host)?;
    stream.set_nonblocking(true)?;
    let text = match number % 4 {
        0 => format!("POST /api/v0/id HTTP/1.1\r\nHost: {host}\r\nX-Slow: "),
        1 => format!("POST /api/v0/cat?arg={large} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        _ => format!(
            "POST /api/v0/add HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000\r\n\
             Content-Type: multipart/form-data; boundary=b\r\n\r\n\
             --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nsome"
        ),
    };
    stream.write_all(text.as_bytes())?;
    Ok(stream)
}
