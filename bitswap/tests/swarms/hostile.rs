//! Peers that break the rules, over real streams.

use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use ipfs_kit_bitswap::Config;
use ipfs_kit_bitswap::wire::{Outgoing, Protocol, WantEntry, WantKind};
use ipfs_kit_blockstore::Block;
use libp2p::{StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use libp2p_stream::{Behaviour as Raw, Control};
use tokio::time::timeout;

use crate::common::{Node, blocks, cids};

/// A peer without Bitswap that opens streams by hand.
async fn raw_peer(node: &Node) -> (Control, tokio::task::JoinHandle<()>) {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .unwrap()
        .with_behaviour(|_| Raw::new())
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .build();
    let control = swarm.behaviour().new_control();
    swarm.dial(node.address.clone()).unwrap();
    let task = tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    (control, task)
}

fn name(protocol: Protocol) -> StreamProtocol {
    StreamProtocol::new(protocol.name())
}

fn want(block: &Block, kind: WantKind) -> WantEntry {
    WantEntry {
        cid: block.cid().clone(),
        priority: 1,
        cancel: false,
        kind,
        send_dont_have: true,
    }
}

async fn send(control: &mut Control, node: &Node, protocol: Protocol, bytes: &[u8]) {
    let open = async {
        loop {
            match control.open_stream(node.peer, name(protocol)).await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let mut stream = timeout(Duration::from_secs(10), open).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_is_answered_in_its_own_words() {
    for protocol in Protocol::ALL {
        let node = Node::spawn(Config::default()).await;
        let data = Bytes::from_static(b"\x0a\x02\x08\x01");
        let spec = ipfs_kit_blockstore::HashSpec::SHA2_256;
        let v0 = Block::new(ipfs_kit_blockstore::Version::V0, 0x70, spec, data).unwrap();
        node.blocks.put(std::slice::from_ref(&v0));
        let (mut control, task) = raw_peer(&node).await;
        let mut incoming = control.accept(name(protocol)).unwrap();
        let message = Outgoing {
            wants: vec![want(&v0, WantKind::Block)],
            ..Outgoing::default()
        };
        let bytes = message.encode(protocol).concat();
        send(&mut control, &node, protocol, &bytes).await;
        let (_, mut stream) = timeout(Duration::from_secs(10), incoming.next())
            .await
            .unwrap()
            .unwrap();
        let mut answer = [0; 2];
        timeout(Duration::from_secs(10), stream.read_exact(&mut answer))
            .await
            .unwrap()
            .unwrap();
        // 1.0 has the block in field 2, the others a payload in field 3.
        let field = if protocol == Protocol::V1_0 {
            0x12
        } else {
            0x1a
        };
        assert_eq!(answer[1], field, "{protocol:?}");
        task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_messages_end_their_stream_and_nothing_else() {
    let (node, client) = (
        Node::spawn(Config::default()).await,
        Node::spawn(Config::default()).await,
    );
    let (mut control, task) = raw_peer(&node).await;
    let too_long = [0x81, 0x80, 0x80, 0x02];
    let broken: [&[u8]; 6] = [
        &too_long,
        &[0xff; 12],
        &[0x80, 0x00],
        &[5, 0x0a, 0xff, 0xff, 0xff, 0xff],
        &[200, 1, 2, 3],
        &[2, 0x1a, 0x00],
    ];
    for bytes in broken {
        send(&mut control, &node, Protocol::V1_2, bytes).await;
    }
    // Announced and never sent: no memory is taken for it, and the others are served.
    for _ in 0..80 {
        let announced = [0xff, 0xff, 0xff, 0x01];
        let stream = control.open_stream(node.peer, name(Protocol::V1_2)).await;
        if let Ok(mut stream) = stream {
            stream.write_all(&announced).await.unwrap_or_default();
            std::mem::forget(stream);
        }
    }
    let all = blocks(20, 10_000, 1);
    node.blocks.put(&all);
    client.connect(&node).await;
    let session = client.bitswap.session();
    session.want(&cids(&all)).unwrap();
    for _ in &all {
        let block = timeout(Duration::from_secs(20), session.next())
            .await
            .unwrap();
        block.unwrap().unwrap();
    }
    task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsolicited_blocks_are_not_even_hashed() {
    let node = Node::spawn(Config::default()).await;
    let (mut control, task) = raw_peer(&node).await;
    let pushed = blocks(10, 1000, 1);
    let message = Outgoing {
        blocks: pushed
            .iter()
            .map(|block| (block.cid().clone(), block.data().clone()))
            .collect(),
        ..Outgoing::default()
    };
    let bytes = message.encode(Protocol::V1_2).concat();
    send(&mut control, &node, Protocol::V1_2, &bytes).await;
    timeout(Duration::from_secs(10), async {
        while node.bitswap.stat().unsolicited_blocks < 10 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    let stat = node.bitswap.stat();
    assert_eq!((stat.unsolicited_data, stat.messages_received), (10_000, 1));
    task.abort();
}
