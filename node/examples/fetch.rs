//! Fetches what a CID names from a peer and writes it to a file:
//! `cargo run --example fetch -- CID OUTPUT PEER_ADDRESS...`.

use std::fs::File;
use std::io::BufWriter;
use std::time::Instant;

use ipfs_kit_node::Node;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: fetch CID OUTPUT PEER_ADDRESS...";
    let path = arguments.next().ok_or(usage)?;
    let output = arguments.next().ok_or(usage)?;
    let node = Node::builder()
        .in_memory()
        .set(
            "Addresses.Swarm",
            vec!["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"],
        )
        .set("Bootstrap", Vec::<String>::new())
        .set("Discovery.MDNS.Enabled", false)
        .set("Swarm.DisableNatPortMap", true)
        .set("Routing.LoopbackAddressesOnLanDHT", true)
        .spawn()
        .await?;
    for address in arguments {
        println!("connected to {}", node.peers()?.connect(&address).await?);
    }
    let reading = node.clone();
    let started = Instant::now();
    let read = move || -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&output)?);
        Ok(reading.files().cat(&path)?.copy_to(&mut file, None)?)
    };
    let read = tokio::task::spawn_blocking(read).await?;
    let bytes = read.map_err(|error| error.to_string())?;
    let seconds = started.elapsed().as_secs_f64();
    let rate = bytes as f64 / seconds / f64::from(1 << 20);
    println!("{bytes} bytes in {seconds:.3} s, {rate:.0} MiB/s");
    node.shutdown().await?;
    Ok(())
}
