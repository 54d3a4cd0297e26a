//! A peer that writes on its streams whatever a test wants.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use ipfs_kit_node::Node;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use libp2p_stream::{Behaviour, Control};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::{PATIENCE, address};

/// Connected to a node, and to nobody else.
pub struct Raw {
    pub id: PeerId,
    target: PeerId,
    control: Control,
    swarm: JoinHandle<()>,
}

impl Raw {
    /// Connects, and takes streams of this protocol: what comes on them is read and dropped.
    pub async fn connect(node: &Node, takes: StreamProtocol) -> Self {
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .unwrap()
            .with_behaviour(|_| Behaviour::new())
            .unwrap()
            .with_swarm_config(|config| {
                config.with_idle_connection_timeout(Duration::from_secs(3600))
            })
            .build();
        let mut control = swarm.behaviour().new_control();
        let mut incoming = control.accept(takes).unwrap();
        tokio::spawn(async move {
            while let Some((_, mut stream)) = incoming.next().await {
                tokio::spawn(async move {
                    let mut bytes = vec![0; 1 << 16];
                    while let Ok(1..) = stream.read(&mut bytes).await {}
                });
            }
        });
        let address: Multiaddr = address(node).await.parse().unwrap();
        swarm.dial(address).unwrap();
        let connected = async {
            loop {
                if let SwarmEvent::ConnectionEstablished { peer_id, .. } =
                    swarm.select_next_some().await
                {
                    return peer_id;
                }
            }
        };
        let target = timeout(PATIENCE, connected).await.unwrap();
        Self {
            id: *swarm.local_peer_id(),
            target,
            control,
            swarm: tokio::spawn(async move {
                loop {
                    swarm.select_next_some().await;
                }
            }),
        }
    }

    /// A stream to the node.
    pub async fn open(&mut self, protocol: StreamProtocol) -> Stream {
        let opened = self.control.open_stream(self.target, protocol);
        timeout(PATIENCE, opened).await.unwrap().unwrap()
    }

    /// Closes the connection.
    pub async fn leave(self) {
        self.swarm.abort();
        // It says that it was aborted.
        let _ = self.swarm.await;
    }
}

/// Writes and flushes; the node has to take it.
pub async fn send(stream: &mut Stream, bytes: &[u8]) {
    let sent = async {
        stream.write_all(bytes).await.unwrap();
        stream.flush().await.unwrap();
    };
    timeout(PATIENCE, sent).await.unwrap();
}
