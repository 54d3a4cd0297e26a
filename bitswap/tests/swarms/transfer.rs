use std::collections::HashSet;
use std::time::Duration;

use ipfs_kit_bitswap::{Config, Session};
use ipfs_kit_blockstore::Cid;
use tokio::time::timeout;

use crate::common::{Node, blocks, cids};

async fn take_all(session: &Session, wanted: &[Cid]) {
    let mut missing = wanted.iter().cloned().collect::<HashSet<_>>();
    while !missing.is_empty() {
        let batch = timeout(Duration::from_secs(60), session.next_batch())
            .await
            .unwrap_or_else(|_| panic!("{} missing: {:?}", missing.len(), session.stats()))
            .unwrap();
        assert!(!batch.is_empty());
        for block in batch {
            assert!(missing.remove(block.cid()));
        }
    }
    assert!(session.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_peer_gives_64_mib() {
    let (server, client) = (
        Node::spawn(Config::default()).await,
        Node::spawn(Config::default()).await,
    );
    let all = blocks(256, 256 << 10, 1);
    server.blocks.put(&all);
    client.connect(&server).await;
    let session = client.bitswap.session();
    session.want(&cids(&all)).unwrap();
    take_all(&session, &cids(&all)).await;

    let stats = session.stats();
    assert_eq!(
        (stats.blocks, stats.bytes, stats.duplicates),
        (256, 64 << 20, 0)
    );
    assert_eq!(stats.peers, [server.peer]);
    let stat = client.bitswap.stat();
    assert_eq!((stat.blocks_received, stat.data_received), (256, 64 << 20));
    assert!(stat.wantlist.is_empty());
    let ledger = client.bitswap.ledger(server.peer);
    assert_eq!((ledger.received, ledger.sent), (64 << 20, 0));
    // The server counts a message once it is written, which may be after it arrived.
    timeout(Duration::from_secs(5), async {
        while server.bitswap.ledger(client.peer).sent < 64 << 20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    assert!(server.bitswap.wantlist(Some(client.peer)).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_go_both_ways_and_from_blocking_threads() {
    let (a, b) = (
        Node::spawn(Config::default()).await,
        Node::spawn(Config::default()).await,
    );
    let (of_a, of_b) = (blocks(300, 5_000, 2), blocks(300, 100, 3));
    a.blocks.put(&of_a);
    b.blocks.put(&of_b);
    a.connect(&b).await;
    let jobs = [(&a, of_b), (&b, of_a)].map(|(node, all)| {
        let session = node.bitswap.session();
        tokio::task::spawn_blocking(move || {
            session.want(&cids(&all)).unwrap();
            let mut got = 0;
            while let Some(block) = session.next_blocking(Duration::from_secs(30)).unwrap() {
                assert!(!block.data().is_empty());
                got += 1;
            }
            assert_eq!(got, 300);
        })
    });
    for job in jobs {
        job.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_peers_share_the_work() {
    let nodes = [
        Node::spawn(Config::default()).await,
        Node::spawn(Config::default()).await,
        Node::spawn(Config::default()).await,
    ];
    let [client, one, two] = &nodes;
    let all = blocks(200, 128 << 10, 4);
    // Neither could send everything before the other one has answered.
    one.blocks.put(&all[50..]);
    two.blocks.put(&all[..150]);
    client.connect(one).await;
    client.connect(two).await;
    let session = client.bitswap.session();
    session.want(&cids(&all)).unwrap();
    take_all(&session, &cids(&all)).await;
    let stats = session.stats();
    assert!(stats.duplicates <= 4, "{stats:?}");
    assert_eq!(stats.peers.len(), 2);
    for peer in [one, two] {
        assert!(client.bitswap.ledger(peer.peer).received > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_has_it_then_somebody() {
    let (server, client) = (
        Node::spawn(Config::default()).await,
        Node::spawn(Config::default()).await,
    );
    client.connect(&server).await;
    let all = blocks(2, 1000, 5);
    let session = client.bitswap.session();
    session.want(&cids(&all)).unwrap();
    let request = timeout(Duration::from_secs(10), client.bitswap.need_providers())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(request.session, session.id());
    assert!(cids(&all).contains(&request.cid));
    let wait = Duration::from_millis(50);
    assert!(timeout(wait, session.next()).await.is_err());

    // A third node that has it, found and connected.
    let late = Node::spawn(Config::default()).await;
    late.blocks.put(&all[..1]);
    client.bitswap.add_providers(request.session, &[late.peer]);
    client.connect(&late).await;
    let block = timeout(Duration::from_secs(10), session.next())
        .await
        .unwrap();
    assert_eq!(block.unwrap().unwrap(), all[0]);

    // The first one stores the other block later: it knows who waits for it.
    server.blocks.put(&all[1..]);
    server.bitswap.notify_new_blocks(&all[1..]);
    let block = timeout(Duration::from_secs(10), session.next())
        .await
        .unwrap();
    assert_eq!(block.unwrap().unwrap(), all[1]);
    assert!(session.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serving_can_be_switched_off() {
    let (server, client) = (
        Node::spawn(Config::default()).await,
        Node::spawn(Config::default()).await,
    );
    let all = blocks(1, 1000, 6);
    server.blocks.put(&all);
    server.bitswap.set_serving(false);
    client.connect(&server).await;
    let session = client.bitswap.session();
    session.want(&cids(&all)).unwrap();
    assert!(
        timeout(Duration::from_secs(10), client.bitswap.need_providers())
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(client.bitswap.stat().blocks_received, 0);
    drop(session);
    assert!(client.bitswap.wantlist(None).is_empty());
}
