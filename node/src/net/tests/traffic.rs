//! What is counted of connections.

use std::time::Duration;

use serde_json::json;

use super::fetch::{add, cat, noise};
use super::{QUIC, TCP, WS, address, node, node_with};
use crate::net::{Bandwidth, NetError};

const SIZE: usize = 6 << 20;
const BITSWAP: &str = "/ipfs/bitswap/1.2.0";

/// About so many bytes: what carries them is a little more, and a block may come twice.
fn is_about(bytes: u64, size: usize) -> bool {
    let size = size as u64;
    (size..size + size / 2).contains(&bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_counted_by_peer_and_protocol_on_every_transport() {
    for listen in [TCP, QUIC, WS] {
        let (one, two) = (node(&[listen]).await, node(&[listen]).await);
        let (ones, twos) = (one.peers().unwrap(), two.peers().unwrap());
        assert_eq!(twos.bandwidth().unwrap(), Bandwidth::default());
        let id_one = twos.connect(&address(&one).await).await.unwrap();
        let id_two = twos.id().await.unwrap().id;
        let cid = add(&one, noise(SIZE, 4)).await;
        cat(&two, &cid).await.unwrap();

        let got = twos.bandwidth().unwrap();
        assert!(is_about(got.total_in, SIZE), "{listen} {got:?}");
        assert!(got.total_out < SIZE as u64 / 10, "{listen} {got:?}");
        let sent = ones.bandwidth().unwrap();
        assert!(is_about(sent.total_out, SIZE), "{listen} {sent:?}");
        assert!(sent.total_out >= got.total_in, "{listen} {sent:?} {got:?}");

        let from = twos.bandwidth_of_peer(&id_one).unwrap();
        assert!(is_about(from.total_in, SIZE), "{listen} {from:?}");
        let to = ones.bandwidth_of_peer(&id_two).unwrap();
        assert!(is_about(to.total_out, SIZE), "{listen} {to:?}");
        let nobody = libp2p::PeerId::random();
        assert_eq!(
            twos.bandwidth_of_peer(&nobody).unwrap(),
            Bandwidth::default()
        );

        let blocks = twos.bandwidth_of_protocol(BITSWAP).unwrap();
        assert!(is_about(blocks.total_in, SIZE), "{listen} {blocks:?}");
        let blocks = ones.bandwidth_of_protocol(BITSWAP).unwrap();
        assert!(is_about(blocks.total_out, SIZE), "{listen} {blocks:?}");
        let identify = twos.bandwidth_of_protocol("/ipfs/id/1.0.0").unwrap();
        assert!((1..20_000).contains(&identify.total_in), "{identify:?}");
        let none = twos.bandwidth_of_protocol("/none/1").unwrap();
        assert_eq!(none, Bandwidth::default());

        tokio::time::sleep(Duration::from_millis(1500)).await;
        let rated = twos.bandwidth().unwrap();
        assert!(rated.rate_in > 0.0, "{listen} {rated:?}");
        one.shutdown().await.unwrap();
        two.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_to_tell_does_not() {
    let off = [("Swarm.DisableBandwidthMetrics", json!(true))];
    let one = node_with(&[TCP], &off).await.unwrap();
    let told = one.peers().unwrap().bandwidth();
    assert!(matches!(told, Err(NetError::NoBandwidth)), "{told:?}");
}
