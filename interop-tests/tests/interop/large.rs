//! A gibibyte over the wire, from Kubo to ours and from ours to Kubo, over TCP and QUIC.

use super::online::Online;
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::stream::Stream;
use ipfs_kit_interop_tests::{Peer, Side, scratch};
use serde_json::json;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

const SIZE: u64 = 1 << 30;

/// Bytes that are compared at once.
const PIECE: usize = 1 << 20;

const TRANSPORTS: [(&str, &str); 2] = [("/tcp/", "tcp"), ("/quic-v1/", "quic")];

fn listen() -> serde_json::Value {
    json!(["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"])
}

fn start(peer: Peer) -> Result<Online> {
    let config = [
        ("Addresses.Swarm", listen()),
        ("Routing.Type", json!("none")),
    ];
    Online::run(peer, &config)
}

/// Adds the stream of a seed as it is made.
fn add(peer: &Peer, seed: &str) -> Result<String> {
    let mut command = peer.command(["add", "-Q", "--stdin-name=large"]);
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    Stream::new(seed).write_to(&mut stdin, SIZE)?;
    stdin.flush()?;
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Reads a file and compares it byte by byte with the stream of a seed.
fn is_equal(peer: &Peer, cid: &str, seed: &str) -> Result<()> {
    let mut command = peer.command(["cat", "--timeout=300s", cid]);
    let mut child = command.stderr(Stdio::inherit()).spawn()?;
    let mut stdout = child.stdout.take().context("no stdout")?;
    let mut stream = Stream::new(seed);
    let (mut got, mut wanted) = (vec![0; PIECE], vec![0; PIECE]);
    for at in 0..SIZE / PIECE as u64 {
        stdout
            .read_exact(&mut got)
            .with_context(|| format!("it ends in mebibyte {at}"))?;
        stream.fill(&mut wanted);
        ensure!(got == wanted, "mebibyte {at} differs");
    }
    ensure!(stdout.read(&mut got)? == 0, "it goes on");
    ensure!(child.wait()?.success());
    Ok(())
}

/// From a node of one side to new nodes of the other, a transport at a time; gives how many files were equal.
fn travels(from: Side, to: Side, place: &Path) -> Result<usize> {
    let seed = from.name();
    let source = Peer::init(from, place.join("source"))?;
    let cid = add(&source, seed)?;
    let source = start(source)?;
    let told = source.text(["id", "-f", "<addrs>"])?;
    let mut equal = 0;
    for (part, name) in TRANSPORTS {
        let address = told.lines().find(|address| address.contains(part));
        let address = address.with_context(|| format!("no {name} in {told}"))?;
        let repo = place.join(name);
        let reader = start(Peer::init(to, &repo)?)?;
        reader.connect_at(address)?;
        is_equal(&reader, &cid, seed).with_context(|| format!("over {name} from {seed}"))?;
        drop(reader);
        // Two of them would take room for nothing.
        std::fs::remove_dir_all(&repo)?;
        equal += 1;
    }
    Ok(equal)
}

#[test]
fn a_gibibyte_travels_both_ways_over_tcp_and_quic() -> Result<()> {
    let mut equal = 0;
    for (from, to) in [(Side::Kubo, Side::Ours), (Side::Ours, Side::Kubo)] {
        let place = scratch::in_memory()?;
        equal += travels(from, to, place.path())?;
    }
    assert_eq!(equal, 4);
    Ok(())
}
