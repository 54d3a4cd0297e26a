//! Blocks over the wire: ours from Kubo and Kubo from ours, by daemons that know only each other.

use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::daemon::Daemon;
use ipfs_kit_interop_tests::stream::Stream;
use ipfs_kit_interop_tests::{Peer, Side, scratch};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of the files that are exchanged: nothing, one block, some blocks, more than a window.
const SIZES: [usize; 4] = [0, 1_000, 10 << 20, 96 << 20];

/// Files of the directory that is sharded (over 256 KiB of names and CIDs).
const SHARDED: usize = 6_000;

struct Online {
    peer: Peer,
    _daemon: Daemon,
}

/// A node that listens on one transport only.
fn node(side: Side, place: &Path, listen: &str) -> Result<Online> {
    let peer = Peer::init(side, place.join(side.name()))?;
    peer.run([
        "config",
        "--json",
        "Addresses.Swarm",
        &format!("[\"{listen}\"]"),
    ])?;
    // Who has it is known: only the exchange is tested.
    peer.run(["config", "Routing.Type", "none"])?;
    let daemon = Daemon::start(&peer, &[])?;
    Ok(Online {
        peer,
        _daemon: daemon,
    })
}

/// The first address with a transport that the node listens on, with its id.
pub(super) fn address(peer: &Peer) -> Result<String> {
    let start = Instant::now();
    loop {
        let id = peer.json(["id"])?;
        let listed = id
            .first()
            .and_then(|id| id["Addresses"].as_array().cloned());
        let first = listed.unwrap_or_default().first().cloned();
        if let Some(address) = first.as_ref().and_then(|address| address.as_str()) {
            return Ok(address.to_owned());
        }
        ensure!(
            start.elapsed() < Duration::from_secs(20),
            "{} does not listen: {id:?}",
            peer.side().name()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Adds on one side and reads on the other; gives how many contents were equal.
fn exchange(from: &Peer, to: &Peer, place: &Path) -> Result<usize> {
    let mut equal = 0;
    for size in SIZES {
        let bytes = Stream::new(&format!("{}-{size}", from.side().name())).take(size);
        let cid = String::from_utf8(from.run_with(["add", "-Q", "--stdin-name=file"], &bytes)?)?;
        let got = to
            .run(["cat", "--timeout=120s", cid.trim()])
            .with_context(|| format!("{size} bytes from {}", from.side().name()))?;
        ensure!(
            got == bytes,
            "{size} bytes from {} differ",
            from.side().name()
        );
        equal += 1;
    }
    let folder = place.join(format!("many-{}", from.side().name()));
    std::fs::create_dir(&folder)?;
    for index in 0..SHARDED {
        let name = folder.join(format!("a file with a long name, number {index}"));
        std::fs::write(name, index.to_string())?;
    }
    let folder = folder.to_str().context("the path is not UTF-8")?;
    let root = from.text(["add", "-r", "-Q", folder])?;
    to.run(["pin", "add", "--timeout=180s", &root])
        .context("a sharded directory")?;
    let last = format!("{root}/a file with a long name, number {}", SHARDED - 1);
    ensure!(to.run(["cat", "--offline", &last])? == (SHARDED - 1).to_string().into_bytes());
    Ok(equal + 1)
}

fn both_ways(listen: &str) -> Result<()> {
    let place = scratch::in_memory()?;
    let ours = node(Side::Ours, place.path(), listen)?;
    let kubo = node(Side::Kubo, place.path(), listen)?;
    let said = ours
        .peer
        .text(["swarm", "connect", &address(&kubo.peer)?])?;
    ensure!(said.contains("success"), "{said}");
    let mut equal = exchange(&kubo.peer, &ours.peer, place.path())?;
    equal += exchange(&ours.peer, &kubo.peer, place.path())?;
    assert_eq!(equal, 10);
    Ok(())
}

#[test]
fn files_travel_both_ways_over_tcp() -> Result<()> {
    both_ways("/ip4/127.0.0.1/tcp/0")
}

#[test]
fn files_travel_both_ways_over_quic() -> Result<()> {
    both_ways("/ip4/127.0.0.1/udp/0/quic-v1")
}

#[test]
fn files_travel_both_ways_over_websocket() -> Result<()> {
    both_ways("/ip4/127.0.0.1/tcp/0/ws")
}
