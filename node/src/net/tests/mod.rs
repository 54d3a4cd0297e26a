//! Two and more real nodes on loopback.

mod connect;
mod custom;
mod fetch;
mod gateway;
mod http;
mod limits;
mod names;
mod provide;
mod pubsub;
mod reach;
mod relayed;
mod routing;
mod traffic;
mod tunnel;

use crate::{Node, NodeBuilder, Result};
use serde_json::json;

/// A node in memory that listens on loopback and knows nobody.
pub(crate) async fn node(listen: &[&str]) -> Node {
    node_with(listen, &[]).await.unwrap()
}

/// As [`node`], with more settings.
pub(crate) async fn node_with(
    listen: &[&str],
    values: &[(&str, serde_json::Value)],
) -> Result<Node> {
    builder(listen, values).spawn().await
}

fn builder(listen: &[&str], values: &[(&str, serde_json::Value)]) -> NodeBuilder {
    configured(Node::builder().in_memory(), listen, values)
}

fn configured(
    builder: NodeBuilder,
    listen: &[&str],
    values: &[(&str, serde_json::Value)],
) -> NodeBuilder {
    let mut builder = builder
        .set("Addresses.Swarm", json!(listen))
        .set("Bootstrap", json!([]))
        .set("Discovery.MDNS.Enabled", false)
        .set("Swarm.DisableNatPortMap", true)
        .set("Routing.LoopbackAddressesOnLanDHT", true);
    for (key, value) in values {
        builder = builder.set(*key, value.clone());
    }
    builder
}

/// The first listen address of a node, with its peer id.
pub(crate) async fn address(node: &Node) -> String {
    let identity = node.peers().unwrap().id().await.unwrap();
    identity.addresses[0].to_string()
}

pub(crate) const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub(crate) const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
pub(crate) const WS: &str = "/ip4/127.0.0.1/tcp/0/ws";
