//! Tunnels from ours to Kubo and from Kubo to ours.

use super::network::address;
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::daemon::Daemon;
use ipfs_kit_interop_tests::stream::Stream;
use ipfs_kit_interop_tests::{Peer, Side, scratch};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

/// Bytes that go there and back.
const SIZE: usize = 2_000_000;

fn node(side: Side, place: &Path, listen: &str) -> Result<(Peer, Daemon)> {
    let peer = Peer::init(side, place.join(side.name()))?;
    let swarm = format!("[\"{listen}\"]");
    peer.run(["config", "--json", "Addresses.Swarm", &swarm])?;
    peer.run([
        "config",
        "--json",
        "Experimental.Libp2pStreamMounting",
        "true",
    ])?;
    let daemon = Daemon::start(&peer, &[])?;
    Ok((peer, daemon))
}

/// Sends back what comes as it comes; its address.
fn echo() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            std::thread::spawn(move || {
                // It ends with the connection.
                let _ = std::io::copy(&mut &tcp, &mut &tcp);
            });
        }
    });
    Ok(format!("/ip4/127.0.0.1/tcp/{port}"))
}

/// Through a forwarder of one side to a listener of the other.
fn there_and_back(from: &Peer, to: &Peer) -> Result<()> {
    let name = format!("/x/from-{}", from.side().name());
    to.run(["p2p", "listen", &name, &echo()?])?;
    let id = to.text(["config", "Identity.PeerID"])?;
    let target = format!("/p2p/{id}");
    from.run(["p2p", "forward", &name, "/ip4/127.0.0.1/tcp/0", &target])?;
    let listed = from.json(["p2p", "ls"])?;
    let listeners = listed.first().and_then(|list| list["Listeners"].as_array());
    let mut addresses = listeners.into_iter().flatten().filter_map(|listener| {
        let this = listener["Protocol"] == name.as_str();
        listener["ListenAddress"].as_str().filter(|_| this)
    });
    let port = addresses
        .next()
        .and_then(|address| address.rsplit('/').next())
        .with_context(|| format!("{name} is not listed: {listed:?}"))?;

    let mut tcp = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    tcp.set_read_timeout(Some(Duration::from_secs(60)))?;
    let sent = Stream::new(&name).take(SIZE);
    let writer = {
        let (mut tcp, sent) = (tcp.try_clone()?, sent.clone());
        std::thread::spawn(move || tcp.write_all(&sent))
    };
    let mut got = vec![0; SIZE];
    tcp.read_exact(&mut got).context(name.clone())?;
    writer.join().ok().context("the writer panicked")??;
    ensure!(got == sent, "what came back over {name} differs");
    Ok(())
}

fn both_ways(listen: &str) -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, _daemon) = node(Side::Ours, place.path(), listen)?;
    let (kubo, _other) = node(Side::Kubo, place.path(), listen)?;
    ours.run(["swarm", "connect", &address(&kubo)?])?;
    there_and_back(&ours, &kubo)?;
    there_and_back(&kubo, &ours)?;
    // What is counted is what streams carry: the bytes and the negotiation.
    for side in [Side::Ours.name(), Side::Kubo.name()] {
        let name = format!("/x/from-{side}");
        let told = ours.json(["stats", "bw", "-t", &name])?;
        for key in ["TotalIn", "TotalOut"] {
            let bytes = told.first().and_then(|told| told[key].as_u64());
            let fits = bytes.is_some_and(|bytes| (SIZE..SIZE + 500).contains(&(bytes as usize)));
            ensure!(fits, "{name} {key}: {told:?}");
        }
    }
    Ok(())
}

#[test]
fn tunnels_work_both_ways_over_tcp() -> Result<()> {
    both_ways("/ip4/127.0.0.1/tcp/0")
}

#[test]
fn tunnels_work_both_ways_over_quic() -> Result<()> {
    both_ways("/ip4/127.0.0.1/udp/0/quic-v1")
}
