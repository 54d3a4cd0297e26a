//! Fetches a DAG from one peer, such as Kubo, and then serves it.
//!
//! `cargo run --release --example kubo -- /ip4/127.0.0.1/tcp/4001/p2p/PEER CID`
//!
//! Ends when its standard input does.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use ipfs_kit_bitswap::{Behaviour, Bitswap, Blocks, Config};
use ipfs_kit_blockstore::{Cid, codec};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, SwarmBuilder, identify, noise, tcp, yamux};

#[derive(Default)]
struct Map(Mutex<HashMap<Cid, Bytes>>);

impl Map {
    fn find<T>(&self, cids: &[Cid], of: impl Fn(&Bytes) -> T) -> Vec<Option<T>> {
        let Ok(map) = self.0.lock() else {
            return cids.iter().map(|_| None).collect();
        };
        cids.iter().map(|cid| map.get(cid).map(&of)).collect()
    }
}

impl Blocks for Map {
    fn sizes(&self, cids: &[Cid]) -> Vec<Option<u32>> {
        self.find(cids, |data| data.len() as u32)
    }

    fn get(&self, cids: &[Cid]) -> Vec<Option<Bytes>> {
        self.find(cids, Bytes::clone)
    }
}

#[derive(NetworkBehaviour)]
struct Network {
    bitswap: Behaviour,
    identify: identify::Behaviour,
}

async fn fetch(bitswap: &Bitswap, store: &Map, root: Cid) -> anyhow::Result<()> {
    let start = Instant::now();
    let session = bitswap.session();
    let mut known = HashSet::from([root.clone()]);
    session.want(&[root])?;
    loop {
        let batch = session.next_batch().await?;
        if batch.is_empty() {
            break;
        }
        let mut wanted = Vec::new();
        for block in batch {
            codec::links(block.cid().codec(), block.data(), &mut |link| {
                if known.insert(link.clone()) {
                    wanted.push(link);
                }
            })?;
            let (cid, data) = block.into_parts();
            if let Ok(mut map) = store.0.lock() {
                map.insert(cid, data);
            }
        }
        session.want(&wanted)?;
    }
    let (stats, seconds) = (session.stats(), start.elapsed().as_secs_f64());
    let rate = stats.bytes as f64 / seconds / 1e6;
    println!(
        "{} blocks, {} bytes, {} duplicates, {seconds:.3} s, {rate:.0} MB/s",
        stats.blocks, stats.bytes, stats.duplicates
    );
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(root)) = (args.next(), args.next()) else {
        anyhow::bail!("usage: kubo MULTIADDR CID");
    };
    let (address, root): (Multiaddr, Cid) = (address.parse()?, root.parse()?);
    let store = Arc::new(Map::default());
    let (bitswap, handle) =
        Behaviour::new(Config::default(), Arc::clone(&store) as Arc<dyn Blocks>);
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|key| Network {
            bitswap,
            identify: identify::Behaviour::new(identify::Config::new(
                "/ipfs/0.1.0".into(),
                key.public(),
            )),
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    swarm.dial(address)?;
    let peer = *swarm.local_peer_id();
    tokio::spawn(async move {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => println!("{address}/p2p/{peer}"),
                SwarmEvent::OutgoingConnectionError { error, .. } => println!("{error}"),
                _ => {}
            }
        }
    });
    fetch(&handle, &store, root).await?;
    let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    end.await??;
    let stat = handle.stat();
    println!(
        "{} blocks, {} bytes served",
        stat.blocks_sent, stat.data_sent
    );
    Ok(())
}
