//! Adds a file and serves it until Ctrl-C: `cargo run --example serve -- FILE [LISTEN_ADDRESS]`.

use ipfs_kit_node::{AddOptions, Node, Source};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments
        .next()
        .ok_or("usage: serve FILE [LISTEN_ADDRESS]")?;
    let listen = arguments
        .next()
        .unwrap_or("/ip4/127.0.0.1/tcp/0".to_owned());
    let node = Node::builder()
        .in_memory()
        .set("Addresses.Swarm", vec![listen])
        .set("Bootstrap", Vec::<String>::new())
        .set("Discovery.MDNS.Enabled", false)
        .set("Swarm.DisableNatPortMap", true)
        .set("Routing.LoopbackAddressesOnLanDHT", true)
        .spawn()
        .await?;
    let adding = node.clone();
    let add = move || -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
        let sources = vec![Source::path(file)];
        let report = adding
            .files()
            .add(sources, &AddOptions::default(), &mut |_| Ok(()))?;
        Ok(report.roots[0].cid.clone())
    };
    let root = tokio::task::spawn_blocking(add).await?;
    println!("cid {}", root.map_err(|error| error.to_string())?);
    for address in node.peers()?.id().await?.addresses {
        println!("address {address}");
    }
    tokio::signal::ctrl_c().await?;
    node.shutdown().await?;
    Ok(())
}
