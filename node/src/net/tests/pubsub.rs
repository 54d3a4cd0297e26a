//! Messages between real nodes.

use std::time::Duration;

use bytes::Bytes;

use super::{TCP, address, node, node_with};
use crate::Node;
use crate::net::NetError;

async fn pubsub_node() -> Node {
    node_with(&[TCP], &[("Pubsub.Enabled", true.into())])
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_reach_subscribers_and_the_publisher_itself() {
    let (one, two) = (pubsub_node().await, pubsub_node().await);
    let mut theirs = two.pubsub().unwrap().subscribe("weather").await.unwrap();
    one.peers()
        .unwrap()
        .connect(&address(&two).await)
        .await
        .unwrap();
    let mut own = one.pubsub().unwrap().subscribe("weather").await.unwrap();
    let pubsub = one.pubsub().unwrap();
    let meshed = async {
        while pubsub.peers(Some("weather")).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), meshed)
        .await
        .unwrap();
    pubsub
        .publish("weather", Bytes::from_static(b"sunny"))
        .await
        .unwrap();
    let patience = Duration::from_secs(10);
    let got = tokio::time::timeout(patience, theirs.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (&got.data[..], got.topic.as_str()),
        (&b"sunny"[..], "weather")
    );
    assert_eq!(got.from, one.peers().unwrap().id().await.unwrap().id);
    assert_eq!(own.recv().await.unwrap(), got);
    assert_eq!(two.pubsub().unwrap().ls().await.unwrap(), ["weather"]);

    drop(theirs);
    let left = async {
        while !pubsub.peers(None).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(patience, left)
        .await
        .expect("a dropped receiver unsubscribes");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_published_is_refused() {
    let off = node(&[TCP]).await;
    let refused = off.pubsub().unwrap().subscribe("x").await;
    assert!(matches!(refused, Err(NetError::NoPubsub)));
    let on = pubsub_node().await;
    let pubsub = on.pubsub().unwrap();
    pubsub
        .publish("nobody", Bytes::from_static(b"x"))
        .await
        .unwrap();
    let big = pubsub.publish("x", vec![0; (256 << 10) + 1].into()).await;
    assert!(matches!(big, Err(NetError::Publish(_))));
    assert!(matches!(
        pubsub.subscribe("").await,
        Err(NetError::BadTopic(_))
    ));
}
