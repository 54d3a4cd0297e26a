//! Peers that break the rules, over real connections, with the memory that it costs this node. The allocator is counted,
//! so the tests of this binary run one after the other.
#![allow(unsafe_code)]
// The functions that tests share are tests too.
#![allow(clippy::unwrap_used)]

mod gossip;
mod memory;
mod raw;
mod records;

use std::time::Duration;

use ipfs_kit_node::Node;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Longest wait for anything, on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(60);

static ALONE: Mutex<()> = Mutex::const_new(());

/// While this lives, no other test of this binary runs.
async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}

/// A node in memory on loopback that knows nobody.
async fn node(values: &[(&str, Value)]) -> Node {
    let mut builder = Node::builder()
        .in_memory()
        .set("Addresses.Swarm", json!(["/ip4/127.0.0.1/tcp/0"]))
        .set("Bootstrap", json!([]))
        .set("Discovery.MDNS.Enabled", false)
        .set("Swarm.DisableNatPortMap", true)
        .set("Routing.Type", "none");
    for (key, value) in values {
        builder = builder.set(*key, value.clone());
    }
    builder.spawn().await.unwrap()
}

/// The address of a node, with its peer id.
async fn address(node: &Node) -> String {
    let identity = node.peers().unwrap().id().await.unwrap();
    identity.addresses[0].to_string()
}

/// Asks again and again until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, asking).await;
    assert!(waited.is_ok(), "{what} did not come");
}
