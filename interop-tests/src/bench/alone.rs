//! Figures that are not a comparison of speed: answers at a million blocks, memory, disk space.

use super::measure::{Sample, median, timed, timed_while};
use super::rows::Sizes;
use super::stage::{Stage, disk_use};
use crate::stream::Stream;
use crate::{Peer, Side};
use anyhow::{Context, Result, ensure};
use std::io::{self, Write};
use std::process::Stdio;

/// Bytes of a leaf in the repo of a million blocks.
const LEAF: u64 = 256;

/// How often an answer is measured.
const ANSWERS: usize = 21;

/// One answer at so many blocks.
#[derive(Debug)]
pub struct Answer {
    /// The command without the CID.
    pub command: String,
    /// Median milliseconds, process start included.
    pub milliseconds: f64,
    /// The slowest run.
    pub slowest: f64,
}

/// Asks for pins and counts in a repo of `sizes.blocks` blocks and more.
pub fn answers(stage: &mut Stage, sizes: &Sizes) -> Result<(u64, Vec<Answer>)> {
    let peer = stage.repo(Side::Ours)?;
    let chunker = format!("--chunker=size-{LEAF}");
    let mut add = peer.command(["add", "-Q", "--raw-leaves", &chunker, "--pin-name=all"]);
    feed(&mut add, sizes.blocks * LEAF, "a million blocks")?;
    let root = peer.text(["pin", "ls", "--type=recursive", "-q"])?;
    let root = root.lines().next().context("nothing is pinned")?.to_owned();
    // The first leaf is as deep in the tree as any.
    let mut leaf = root;
    loop {
        let children = peer.text(["refs", &leaf])?;
        let Some(child) = children.lines().next() else {
            break;
        };
        leaf = child.to_owned();
    }
    let stat = peer.text(["repo", "stat", "--enc=json"])?;
    let stat: serde_json::Value = serde_json::from_str(&stat)?;
    let blocks = stat["NumObjects"]
        .as_u64()
        .context("repo stat has no NumObjects")?;
    ensure!(
        blocks >= sizes.blocks,
        "the repo holds {blocks} blocks, not {}",
        sizes.blocks
    );
    let commands: [&[&str]; 3] = [
        &["pin", "ls", "--type=recursive"],
        &["pin", "ls", &leaf],
        &["repo", "stat"],
    ];
    let mut found = Vec::new();
    for command in commands {
        stage.settle();
        let mut times = Vec::new();
        for _ in 0..ANSWERS {
            times.push(timed(&mut peer.command(command))?.wall.as_secs_f64() * 1e3);
        }
        let command = command.join(" ").replace(&leaf, "CID (indirect)");
        let slowest = times.iter().copied().fold(0.0, f64::max);
        found.push(Answer {
            command,
            milliseconds: median(times),
            slowest,
        });
    }
    stage.spend(peer.repo())?;
    Ok((blocks, found))
}

/// Peak memory while adding `sizes.stream` bytes from stdin.
pub fn stream(stage: &mut Stage, side: Side, sizes: &Sizes) -> Result<Sample> {
    let peer = stage.repo(side)?;
    // The default, 10 GB, is a hard limit for us, and the stream is longer.
    peer.run(["config", "Datastore.StorageMax", "100GB"])?;
    stage.settle();
    let sample = feed(
        &mut peer.command(["add", "-Q"]),
        sizes.stream,
        "a long stream",
    )?;
    stage.spend(peer.repo())?;
    Ok(sample)
}

fn feed(command: &mut std::process::Command, length: u64, seed: &str) -> Result<Sample> {
    command.stdin(Stdio::piped());
    timed_while(command, |child| {
        let mut pipe = child.stdin.take().context("the child has no stdin")?;
        match Stream::new(seed)
            .write_to(&mut pipe, length)
            .and_then(|()| pipe.flush())
        {
            // Why it stopped reading is in its stderr and its exit code.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome.context("cannot feed stdin"),
        }
    })
}

/// Disk space of a repo that holds the large file and of one that holds the tree, each divided by
/// the bytes put in.
pub fn disk(stage: &mut Stage, side: Side, sizes: &Sizes) -> Result<[f64; 2]> {
    let file = stage.file()?;
    let tree = stage.tree()?;
    let mut ratios = [0.0; 2];
    let payloads = [sizes.file, sizes.files as u64 * sizes.file_size as u64];
    for (index, input) in [file, tree].into_iter().enumerate() {
        let peer: Peer = stage.repo(side)?;
        peer.run([
            "add",
            "-r",
            "-Q",
            input.to_str().context("the path is not UTF-8")?,
        ])?;
        stage.settle();
        ratios[index] = disk_use(peer.repo())? as f64 / payloads[index] as f64;
        stage.spend(peer.repo())?;
    }
    Ok(ratios)
}
