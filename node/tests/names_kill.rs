//! The sequence of a published name never goes back, also when the process is killed at any moment.
//!
//! A child publishes as fast as it can and prints each sequence when its network gets the record; the parent kills it
//! and publishes once itself. `IPFS_KIT_KILL_CYCLES` sets how often, 25 times by default.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a failed step is a failed test

use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ipfs_kit_node::names::record::Record;
use ipfs_kit_node::names::{NameRouting, PublishOptions, RecordQuery, RoutingError};
use ipfs_kit_node::{CancelToken, Node};

const REPO: &str = "IPFS_KIT_KILL_REPO";
const CYCLES: &str = "IPFS_KIT_KILL_CYCLES";

struct Printed;

impl NameRouting for Printed {
    fn put(
        &self,
        name: &libp2p::PeerId,
        record: &bytes::Bytes,
        _: &CancelToken,
    ) -> Result<(), RoutingError> {
        let record = Record::validate(record.clone(), name, SystemTime::now())?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", record.sequence())?;
        Ok(out.flush()?)
    }

    fn get(
        &self,
        _: &libp2p::PeerId,
        _: &RecordQuery,
        _: &mut dyn FnMut(bytes::Bytes) -> ControlFlow<()>,
    ) -> Result<(), RoutingError> {
        Ok(())
    }
}

fn main() {
    if let Some(repo) = std::env::var_os(REPO) {
        publish_for_ever(Path::new(&repo));
    }
    // Test runners ask every test program for its tests.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let cycles = std::env::var(CYCLES).map_or(25, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    ipfs_kit_node::repo::init(&repo, &ipfs_kit_node::repo::InitOptions::default()).unwrap();
    let mut highest = None;
    for cycle in 0..cycles {
        // Now and then before it is known that it publishes: while it opens the repo.
        let busy = cycle % 5 != 0;
        let seen = publish_and_kill(&repo, busy, Duration::from_millis(1 + 7 * (cycle % 11)));
        assert!(!busy || seen.is_some(), "cycle {cycle}");
        let reached = highest.max(seen);
        let next = publish_once(&repo, cycle);
        assert!(
            Some(next) > reached,
            "cycle {cycle}: {next} after {reached:?}"
        );
        highest = Some(next);
    }
    println!("{cycles} kills, sequence {highest:?} never went back");
}

fn publish_for_ever(repo: &Path) -> ! {
    let node = Node::builder().repo(repo).open().unwrap();
    node.names().set_routing(Some(Arc::new(Printed)));
    for round in 0_u64.. {
        let path = format!("/ipfs/bafkqaaa/{round}");
        node.names().publish(&path, &options()).unwrap();
    }
    unreachable!("the loop has no end");
}

fn options() -> PublishOptions {
    PublishOptions {
        resolve: false,
        allow_offline: true,
        ..PublishOptions::default()
    }
}

/// The highest sequence that the network saw.
fn publish_and_kill(repo: &Path, busy: bool, after: Duration) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(REPO, repo)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    if busy {
        output.read_line(&mut first).unwrap();
    }
    std::thread::sleep(after);
    child.kill().unwrap();
    // The last line may be torn; a part of a number is a lower one.
    let lines = std::iter::once(first).chain(output.lines().map_while(Result::ok));
    let seen = lines.filter_map(|line| line.trim().parse().ok()).max();
    child.wait().unwrap();
    seen
}

fn publish_once(repo: &Path, cycle: u64) -> u64 {
    let node = Node::builder().repo(repo).open().unwrap();
    let path = format!("/ipfs/bafkqaaa/parent-{cycle}");
    node.names()
        .publish(&path, &options())
        .unwrap()
        .record
        .sequence()
}
