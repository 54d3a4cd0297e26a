//! A node of a test: a swarm in a task, and its blocks in a map.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use ipfs_kit_bitswap::{Behaviour, Bitswap, Blocks, Config};
use ipfs_kit_blockstore::{Block, Cid, HashSpec, Version};
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::{Multiaddr, PeerId, SwarmBuilder, noise, tcp, yamux};
use tokio::sync::{mpsc, oneshot};

#[derive(Default)]
pub struct Map(Mutex<HashMap<Cid, Bytes>>);

impl Map {
    pub fn put(&self, blocks: &[Block]) {
        let mut map = self.0.lock().unwrap();
        for block in blocks {
            map.insert(block.cid().clone(), block.data().clone());
        }
    }
}

impl Blocks for Map {
    fn sizes(&self, cids: &[Cid]) -> Vec<Option<u32>> {
        let map = self.0.lock().unwrap();
        let len = |cid| map.get(cid).map(|data: &Bytes| data.len() as u32);
        cids.iter().map(len).collect()
    }

    fn get(&self, cids: &[Cid]) -> Vec<Option<Bytes>> {
        let map = self.0.lock().unwrap();
        cids.iter().map(|cid| map.get(cid).cloned()).collect()
    }
}

pub struct Node {
    pub peer: PeerId,
    pub address: Multiaddr,
    pub bitswap: Bitswap,
    pub blocks: Arc<Map>,
    dial: mpsc::Sender<(PeerId, Multiaddr, oneshot::Sender<()>)>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Node {
    pub async fn spawn(config: Config) -> Self {
        let blocks = Arc::new(Map::default());
        let (behaviour, bitswap) = Behaviour::new(config, Arc::clone(&blocks) as Arc<dyn Blocks>);
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(
                tcp::Config::default().nodelay(true),
                noise::Config::new,
                yamux::Config::default,
            )
            .unwrap()
            .with_behaviour(|_| behaviour)
            .unwrap()
            .with_swarm_config(|config| {
                config.with_idle_connection_timeout(Duration::from_secs(30))
            })
            .build();
        let peer = *swarm.local_peer_id();
        swarm
            .listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap())
            .unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let (dial, mut dials) = mpsc::channel::<(PeerId, Multiaddr, oneshot::Sender<()>)>(16);
        let task = tokio::spawn(async move {
            let mut waiting = HashMap::new();
            loop {
                tokio::select! {
                    Some((peer, address, done)) = dials.recv() => {
                        let opts = DialOpts::peer_id(peer).addresses(vec![address]);
                        swarm.dial(opts.build()).unwrap();
                        waiting.insert(peer, done);
                    }
                    event = swarm.select_next_some() => {
                        if let SwarmEvent::ConnectionEstablished { peer_id, .. } = event
                            && let Some(done) = waiting.remove(&peer_id)
                        {
                            done.send(()).unwrap_or_default();
                        }
                    }
                }
            }
        });
        Self {
            peer,
            address,
            bitswap,
            blocks,
            dial,
            task,
        }
    }

    pub async fn connect(&self, other: &Self) {
        let (done, connected) = oneshot::channel();
        let message = (other.peer, other.address.clone(), done);
        self.dial.send(message).await.unwrap();
        connected.await.unwrap();
    }
}

/// `count` different blocks of `len` bytes, not compressible, the same for the same `seed`.
pub fn blocks(count: usize, len: usize, seed: u64) -> Vec<Block> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let block = |_| {
        let mut data = vec![0; len];
        for chunk in data.chunks_mut(8) {
            chunk.copy_from_slice(&next().to_le_bytes()[..chunk.len()]);
        }
        Block::new(Version::V1, 0x55, HashSpec::SHA2_256, data.into()).unwrap()
    };
    (0..count).map(block).collect()
}

pub fn cids(blocks: &[Block]) -> Vec<Cid> {
    blocks.iter().map(|block| block.cid().clone()).collect()
}
