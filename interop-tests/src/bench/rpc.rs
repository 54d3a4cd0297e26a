//! The RPC of a running daemon: small calls from many connections, and large bodies through it.

use super::load::{Load, ask};
use super::measure::{median, usage};
use super::rows::{Sizes, bytes};
use super::stage::Stage;
use crate::daemon::Daemon;
use crate::{Peer, Side};
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Connections at the same time, each asking again as soon as it is answered.
const CONNECTIONS: [usize; 3] = [1, 16, 256];

/// How long small calls are counted.
const SPAN: Duration = Duration::from_secs(3);

/// How much faster than Kubo the design wants small calls.
const GOAL: f64 = 5.0;

/// What both sides came to: medians of the runs.
type Both = [Load; 2];

/// Measures small calls and large bodies and prints them as they come, as Markdown tables.
pub fn run(stage: &mut Stage, runs: usize) -> Result<()> {
    println!(
        "| call | connections | ours | p99 | Kubo | p99 | ratio | goal |\n|---|---|---|---|---|---|---|---|"
    );
    for (name, call) in calls(stage)? {
        for connections in CONNECTIONS {
            let both = small(stage, &call, connections, runs)
                .with_context(|| format!("{name} from {connections} connections"))?;
            let [ours, kubo] = both;
            let ratio = ours.rate / kubo.rate;
            let met = if ratio >= GOAL && ours.tail <= kubo.tail {
                "met"
            } else {
                "missed"
            };
            println!(
                "| {name} | {connections} | {:.0}/s | {:.2} ms | {:.0}/s | {:.2} ms | {ratio:.1} x | {GOAL} x {met} |",
                ours.rate, ours.tail, kubo.rate, kubo.tail,
            );
        }
    }
    println!("\n| large bodies | ours | Kubo | ratio |\n|---|---|---|---|");
    println!("{}", large(stage, runs)?.trim_end());
    Ok(())
}

/// A repo of a side with what the calls ask for.
struct Asked {
    file: String,
    node: String,
}

fn prepare(stage: &mut Stage, side: Side) -> Result<(Peer, Asked)> {
    let peer = stage.repo(side)?;
    let small = stage.out();
    std::fs::write(&small, vec![7; 1000])?;
    let path = small.to_str().context("the path is not UTF-8")?;
    let file = peer.text(["add", "-Q", "--raw-leaves", path])?;
    std::fs::write(&small, br#"{"name":"bench","list":[1,2,3]}"#)?;
    let node = peer.text(["dag", "put", path])?;
    peer.run(["files", "cp", &format!("/ipfs/{file}"), "/file"])?;
    std::fs::remove_file(&small)?;
    Ok((peer, Asked { file, node }))
}

/// Names and calls. What they ask for has the same CID on both sides.
fn calls(stage: &mut Stage) -> Result<Vec<(&'static str, String)>> {
    let (peer, asked) = prepare(stage, Side::Ours)?;
    stage.spend(peer.repo())?;
    Ok(vec![
        ("id", "id".to_owned()),
        ("block/get", format!("block/get?arg={}", asked.file)),
        ("dag/get", format!("dag/get?arg={}", asked.node)),
        ("files/stat", "files/stat?arg=/file".to_owned()),
    ])
}

fn small(stage: &mut Stage, call: &str, connections: usize, runs: usize) -> Result<Both> {
    let mut loads: [Vec<Load>; 2] = [Vec::new(), Vec::new()];
    for run in 0..runs {
        let mut sides = [Side::Ours, Side::Kubo];
        if run % 2 == 1 {
            sides.reverse();
        }
        for side in sides {
            let (peer, _) = prepare(stage, side)?;
            let daemon = Daemon::start(&peer, &["--offline"])?;
            ask(&daemon, call, connections, SPAN / 6)?;
            loads[side as usize].push(ask(&daemon, call, connections, SPAN)?);
            drop(daemon);
            stage.spend(peer.repo())?;
        }
    }
    Ok(loads.map(|loads| Load {
        rate: median(loads.iter().map(|load| load.rate)),
        tail: median(loads.iter().map(|load| load.tail)),
    }))
}

/// `add` and `cat` of the large file through the daemon.
fn large(stage: &mut Stage, runs: usize) -> Result<String> {
    let size = stage.sizes().file;
    let input = stage.file()?;
    let mut seconds: [[Vec<f64>; 2]; 2] = Default::default();
    for run in 0..runs {
        let mut sides = [Side::Ours, Side::Kubo];
        if run % 2 == 1 {
            sides.reverse();
        }
        for side in sides {
            let peer = stage.repo(side)?;
            let daemon = Daemon::start(&peer, &["--offline"])?;
            stage.settle();
            let start = Instant::now();
            let answer = upload(&daemon, &mut File::open(&input)?, size)?;
            seconds[0][side as usize].push(start.elapsed().as_secs_f64());
            let answer: serde_json::Value =
                serde_json::from_str(answer.trim()).with_context(|| format!("add: {answer}"))?;
            let root = answer["Hash"].as_str().context("no CID")?;
            let start = Instant::now();
            let read = download(&daemon, &format!("cat?arg={root}"))?;
            ensure!(read >= size, "cat gave {read} of {size} bytes");
            seconds[1][side as usize].push(start.elapsed().as_secs_f64());
            drop(daemon);
            stage.spend(peer.repo())?;
        }
    }
    let mut text = String::new();
    for (name, sides) in ["add", "cat"].into_iter().zip(seconds) {
        let [ours, kubo] = sides.map(median);
        let rate = |seconds: f64| size as f64 / f64::from(1 << 20) / seconds;
        let _ = writeln!(
            text,
            "| {name} {} | {:.0} MiB/s | {:.0} MiB/s | {:.1} x |",
            bytes(size),
            rate(ours),
            rate(kubo),
            kubo / ours
        );
    }
    Ok(text)
}

/// Memory while many upload at the same time; a Markdown table.
pub fn uploads(stage: &mut Stage) -> Result<String> {
    let Sizes {
        uploads,
        upload: size,
        ..
    } = *stage.sizes();
    let mut peaks = [0.0; 2];
    for side in [Side::Ours, Side::Kubo] {
        let peer = stage.repo(side)?;
        // By default ours takes no more than 10 GB.
        peer.run(["config", "Datastore.StorageMax", "100GB"])?;
        let daemon = Daemon::start(&peer, &["--offline"])?;
        thread::scope(|scope| -> Result<()> {
            let daemon = &daemon;
            let senders: Vec<_> = (0..uploads)
                .map(|nth| {
                    scope.spawn(move || {
                        let mut content = Pattern {
                            state: nth as u64 + 1,
                        }
                        .take(size);
                        upload(daemon, &mut content, size)
                    })
                })
                .collect();
            for sender in senders {
                let answer = sender
                    .join()
                    .map_err(|_| anyhow::anyhow!("a sender panicked"))??;
                ensure!(answer.contains("\"Hash\""), "{answer}");
            }
            Ok(())
        })?;
        peaks[side as usize] = usage(daemon.id())?.peak as f64 / f64::from(1 << 20);
        drop(daemon);
        stage.spend(peer.repo())?;
    }
    let [ours, kubo] = peaks;
    Ok(format!(
        "| large bodies | ours | Kubo | ratio |\n|---|---|---|---|\n| peak memory, {uploads} uploads of {} at once | {ours:.0} MiB | {kubo:.0} MiB | {:.1} x |",
        bytes(size),
        kubo / ours
    ))
}

/// Bytes that do not repeat.
struct Pattern {
    state: u64,
}

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for piece in buffer.chunks_mut(8) {
            self.state = self
                .state
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            let bytes = (self.state ^ (self.state >> 29)).to_le_bytes();
            piece.copy_from_slice(&bytes[..piece.len()]);
        }
        Ok(buffer.len())
    }
}

/// Adds one file; the answer's body.
fn upload(daemon: &Daemon, content: &mut impl Read, size: u64) -> Result<String> {
    const BOUNDARY: &str = "a-boundary-that-no-file-has";
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    let length = head.len() as u64 + size + tail.len() as u64;
    let mut stream = TcpStream::connect(daemon.address())?;
    write!(
        stream,
        "POST /api/v0/add?progress=false HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {length}\r\n\r\n{head}",
        daemon.address()
    )?;
    let sent = io::copy(content, &mut stream)?;
    ensure!(sent == size, "{sent} of {size} bytes");
    stream.write_all(tail.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let line = answer.lines().find(|line| line.starts_with('{'));
    Ok(line.unwrap_or_default().to_owned())
}

/// Reads an answer to its end; how many bytes it had.
fn download(daemon: &Daemon, call: &str) -> Result<u64> {
    let mut stream = TcpStream::connect(daemon.address())?;
    write!(
        stream,
        "POST /api/v0/{call} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        daemon.address()
    )?;
    let mut piece = vec![0; 256 << 10];
    let mut all = 0;
    loop {
        match stream.read(&mut piece)? {
            0 => return Ok(all),
            read => all += read as u64,
        }
    }
}
