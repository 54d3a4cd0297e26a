//! Sends each line of the standard input to a topic and prints what others send:
//! `cargo run --example chat -- TOPIC [PEER_ADDRESS...]`.

use ipfs_kit_node::Node;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let topic = arguments
        .next()
        .ok_or("usage: chat TOPIC [PEER_ADDRESS...]")?;
    let node = Node::builder()
        .in_memory()
        .set("Addresses.Swarm", vec!["/ip4/127.0.0.1/tcp/0"])
        .set("Bootstrap", Vec::<String>::new())
        .set("Pubsub.Enabled", true)
        .spawn()
        .await?;
    let own = node.peers()?.id().await?;
    for address in &own.addresses {
        println!("address {address}");
    }
    for address in arguments {
        node.peers()?.connect(&address).await?;
    }
    let pubsub = node.pubsub()?;
    let mut messages = pubsub.subscribe(&topic).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            Some(message) = messages.recv() => {
                if message.from != own.id {
                    println!("{}: {}", message.from, String::from_utf8_lossy(&message.data));
                }
            }
            line = lines.next_line() => match line? {
                Some(line) => pubsub.publish(&topic, line.into()).await?,
                None => break,
            },
        }
    }
    node.shutdown().await?;
    Ok(())
}
