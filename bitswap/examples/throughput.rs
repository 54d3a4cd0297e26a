//! Two nodes in one process, or one of two processes, exchange blocks over TCP, Noise and yamux.
//!
//! `cargo run --release --example throughput [-- MIB [BLOCK_KIB]]`

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use ipfs_kit_bitswap::{Behaviour, Bitswap, Blocks, Config};
use ipfs_kit_blockstore::{Block, Cid, HashSpec, Version};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, SwarmBuilder, noise, tcp, yamux};

struct Map(HashMap<Cid, Bytes>);

impl Blocks for Map {
    fn sizes(&self, cids: &[Cid]) -> Vec<Option<u32>> {
        let len = |cid| self.0.get(cid).map(|data| data.len() as u32);
        cids.iter().map(len).collect()
    }

    fn get(&self, cids: &[Cid]) -> Vec<Option<Bytes>> {
        cids.iter().map(|cid| self.0.get(cid).cloned()).collect()
    }
}

async fn spawn(
    blocks: Map,
    listen: &str,
    dial: Option<Multiaddr>,
) -> anyhow::Result<(PeerId, Multiaddr, Bitswap)> {
    let (behaviour, bitswap) = Behaviour::new(Config::default(), Arc::new(blocks));
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|_| behaviour)?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(30)))
        .build();
    swarm.listen_on(listen.parse()?)?;
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    let peer = *swarm.local_peer_id();
    let dials = dial.is_some();
    if let Some(address) = dial {
        swarm.dial(address)?;
    }
    let (connected, wait) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut connected = Some(connected);
        loop {
            if let SwarmEvent::ConnectionEstablished { .. } = swarm.select_next_some().await
                && let Some(connected) = connected.take()
            {
                connected.send(()).unwrap_or_default();
            }
        }
    });
    if dials {
        wait.await?;
    }
    Ok((peer, address, bitswap))
}

fn block(len: usize, number: u64) -> anyhow::Result<Block> {
    let mut data = vec![0; len];
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for chunk in data.chunks_mut(8) {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
    Ok(Block::new(
        Version::V1,
        0x55,
        HashSpec::SHA2_256,
        data.into(),
    )?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let mib = args.next().map_or(Ok(512), |arg| arg.parse::<usize>())?;
    let kib = args.next().map_or(Ok(256), |arg| arg.parse::<usize>())?;
    let listen = "/ip4/127.0.0.1/tcp/0";
    let blocks = (0..(mib << 10) / kib).map(|number| block(kib << 10, number as u64));
    let blocks = blocks.collect::<anyhow::Result<Vec<_>>>()?;
    let cids = blocks.iter().map(|block| block.cid().clone());
    let cids = cids.collect::<Vec<_>>();
    let map = Map(blocks.into_iter().map(Block::into_parts).collect());
    let (_, address, _server) = spawn(map, listen, None).await?;
    let (_, _, client) = spawn(Map(HashMap::new()), listen, Some(address)).await?;
    for _ in 0..3 {
        let start = Instant::now();
        let session = client.session();
        session.want(&cids)?;
        let (mut count, mut bytes) = (0, 0);
        loop {
            let batch = session.next_batch().await?;
            if batch.is_empty() {
                break;
            }
            count += batch.len();
            bytes += batch.iter().map(|block| block.data().len()).sum::<usize>();
        }
        let seconds = start.elapsed().as_secs_f64();
        let rate = bytes as f64 / seconds / 1e6;
        println!("{count} blocks, {bytes} bytes, {seconds:.3} s, {rate:.0} MB/s");
    }
    Ok(())
}
