//! The advisories of gossipsub, each by its number.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ipfs_kit_node::{Node, PubsubMessage};
use libp2p::{Stream, StreamProtocol};
use prost::Message as _;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::memory::{grown, live};
use crate::raw::{Raw, send};
use crate::{PATIENCE, address, alone, node, until};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/meshsub/1.1.0");

/// The topic that honest nodes talk about.
const NEWS: &str = "news";

/// Names that the hostile peer makes up.
const TOPICS: usize = 100_000;

/// What a peer may make this node keep, and what else goes on in the process meanwhile.
const STATE_MAX: usize = 64 << 10;
const NOISE_MAX: usize = 2 << 20;

#[derive(Clone, PartialEq, prost::Message)]
struct Rpc {
    #[prost(message, repeated, tag = "1")]
    subscriptions: Vec<Subscription>,
    #[prost(message, optional, tag = "3")]
    control: Option<Control>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Subscription {
    #[prost(bool, tag = "1")]
    subscribe: bool,
    #[prost(string, tag = "2")]
    topic: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Control {
    #[prost(message, repeated, tag = "3")]
    graft: Vec<Graft>,
    #[prost(message, repeated, tag = "4")]
    prune: Vec<Prune>,
    #[prost(message, repeated, tag = "5")]
    dont_want: Vec<DontWant>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DontWant {
    #[prost(bytes = "vec", repeated, tag = "1")]
    ids: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Graft {
    #[prost(string, tag = "1")]
    topic: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Prune {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(uint64, optional, tag = "3")]
    backoff: Option<u64>,
}

fn subscribe(topics: impl IntoIterator<Item = String>) -> Rpc {
    let each = topics.into_iter().map(|topic| Subscription {
        subscribe: true,
        topic,
    });
    Rpc {
        subscriptions: each.collect(),
        control: None,
    }
}

fn graft(topics: impl IntoIterator<Item = String>) -> Rpc {
    let graft = topics.into_iter().map(|topic| Graft { topic }).collect();
    control(graft, Vec::new())
}

fn prune(topics: impl IntoIterator<Item = String>, backoff: u64) -> Rpc {
    let each = topics.into_iter().map(|topic| Prune {
        topic,
        backoff: Some(backoff),
    });
    control(Vec::new(), each.collect())
}

fn control(graft: Vec<Graft>, prune: Vec<Prune>) -> Rpc {
    Rpc {
        subscriptions: Vec::new(),
        control: Some(Control {
            graft,
            prune,
            ..Control::default()
        }),
    }
}

fn names() -> impl Iterator<Item = String> {
    (0..TOPICS).map(|n| format!("a topic that nobody has {n}"))
}

/// Parts of the made up names, as many as fit in one message.
fn parts(each: usize) -> impl Iterator<Item = Vec<String>> {
    let all: Vec<String> = names().collect();
    let parts: Vec<Vec<String>> = all.chunks(each).map(<[String]>::to_vec).collect();
    parts.into_iter()
}

/// A node under attack, an honest one that listens to it, and the attacker.
struct Scene {
    target: Node,
    honest: Node,
    /// What the honest one hears.
    heard: mpsc::Receiver<PubsubMessage>,
    /// Keeps the target subscribed.
    _own: mpsc::Receiver<PubsubMessage>,
    raw: Raw,
    stream: Stream,
}

impl Scene {
    async fn new() -> Self {
        let on = [("Pubsub.Enabled", json!(true))];
        let (target, honest) = (node(&on).await, node(&on).await);
        let own = target.pubsub().unwrap().subscribe(NEWS).await.unwrap();
        let heard = honest.pubsub().unwrap().subscribe(NEWS).await.unwrap();
        let at = address(&target).await;
        honest.peers().unwrap().connect(&at).await.unwrap();
        let id = honest.peers().unwrap().id().await.unwrap().id;
        let pubsub = target.pubsub().unwrap();
        until("the honest subscriber", async || {
            pubsub.peers(Some(NEWS)).await.unwrap().contains(&id)
        })
        .await;
        let mut raw = Raw::connect(&target, PROTOCOL).await;
        let stream = raw.open(PROTOCOL).await;
        let mut scene = Self {
            target,
            honest,
            heard,
            _own: own,
            raw,
            stream,
        };
        // Both ends have all their buffers, and the peer is known.
        scene.subscribes().await;
        scene.honest_is_heard().await;
        scene
    }

    async fn tell(&mut self, rpc: &Rpc) {
        send(&mut self.stream, &rpc.encode_length_delimited_to_vec()).await;
    }

    /// Waits until the target has read everything: the last that it reads is that the attacker has lost interest.
    async fn is_done(&mut self) {
        let subscriptions = vec![Subscription {
            subscribe: false,
            topic: NEWS.to_owned(),
        }];
        let rpc = Rpc {
            subscriptions,
            control: None,
        };
        self.tell(&rpc).await;
        self.is_subscribed(false).await;
    }

    async fn subscribes(&mut self) {
        self.tell(&subscribe([NEWS.to_owned()])).await;
        self.is_subscribed(true).await;
    }

    async fn is_subscribed(&self, wanted: bool) {
        let (pubsub, id) = (self.target.pubsub().unwrap(), self.raw.id);
        until("the end of the flood", async || {
            pubsub.peers(Some(NEWS)).await.unwrap().contains(&id) == wanted
        })
        .await;
    }

    /// A message still gets from the target to the honest node.
    async fn honest_is_heard(&mut self) {
        let said = Bytes::from(format!("{:?}", Instant::now()));
        let pubsub = self.target.pubsub().unwrap();
        pubsub.publish(NEWS, said.clone()).await.unwrap();
        loop {
            let message = timeout(PATIENCE, self.heard.recv()).await.unwrap().unwrap();
            if message.data == said {
                return;
            }
        }
    }

    /// The attacker goes, and nothing is left of it.
    async fn ends(mut self, before: usize) {
        let (pubsub, peers) = (self.target.pubsub().unwrap(), self.target.peers().unwrap());
        let id = self.raw.id;
        drop(self.stream);
        self.raw.leave().await;
        until("the end of the connection", async || {
            let connected = peers.list().await.unwrap();
            connected.iter().all(|connection| connection.peer != id)
        })
        .await;
        assert!(!pubsub.peers(None).await.unwrap().contains(&id));
        let left = grown(before);
        assert!(left < NOISE_MAX, "{left} bytes are left");
        let said = Bytes::from_static(b"the last");
        pubsub.publish(NEWS, said.clone()).await.unwrap();
        while timeout(PATIENCE, self.heard.recv())
            .await
            .unwrap()
            .unwrap()
            .data
            != said
        {}
        self.honest.shutdown().await.unwrap();
        self.target.shutdown().await.unwrap();
    }
}

/// Topics that a peer GRAFTs were added to what it is subscribed to, without limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ghsa_g3g5_x568_qvqx_graft_of_topics_without_end() {
    let _alone = alone().await;
    let mut scene = Scene::new().await;
    let before = live();
    for part in parts(4000) {
        scene.tell(&graft(part)).await;
    }
    scene.is_done().await;
    let grown = grown(before);
    assert!(grown < STATE_MAX + NOISE_MAX, "{grown} bytes");
    scene.honest_is_heard().await;
    scene.ends(before).await;
}

/// Back-offs of PRUNEs were kept for topics that this node never joined.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ghsa_vrx6_jcp8_vm7m_prune_of_topics_never_joined() {
    let _alone = alone().await;
    let mut scene = Scene::new().await;
    let before = live();
    for part in parts(4000) {
        scene.tell(&prune(part, 3600)).await;
    }
    scene.is_done().await;
    let grown = grown(before);
    assert!(grown < STATE_MAX + NOISE_MAX, "{grown} bytes");
    scene.honest_is_heard().await;
    scene.ends(before).await;
}

/// A back-off of all bits overflowed when it was added to the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ghsa_gc42_3jg7_rxr2_prune_with_the_greatest_backoff() {
    let _alone = alone().await;
    let mut scene = Scene::new().await;
    let before = live();
    scene.tell(&graft([NEWS.to_owned()])).await;
    scene.tell(&prune([NEWS.to_owned()], u64::MAX)).await;
    scene.is_done().await;
    scene.honest_is_heard().await;
    scene.ends(before).await;
}

/// Back-offs just below the limit of what a time can be overflowed later, when the heartbeat added its slack or a GRAFT
/// came within them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ghsa_xqmp_fxgv_xvq5_backoffs_at_the_limits_of_time() {
    let _alone = alone().await;
    let mut scene = Scene::new().await;
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let signed = i64::MAX as u64;
    let backoffs = [
        u64::MAX - 1,
        signed + 1,
        signed,
        signed - 1,
        signed - since_epoch.as_secs(),
        signed - 1_000_000,
        signed - 10_000,
        u64::MAX / 1000,
        u64::MAX / 1_000_000_000,
        u64::from(u32::MAX),
        0,
    ];
    let before = live();
    let started = Instant::now();
    for round in 0.. {
        scene.subscribes().await;
        for backoff in backoffs {
            scene.tell(&graft([NEWS.to_owned()])).await;
            scene.tell(&prune([NEWS.to_owned()], backoff)).await;
        }
        scene.is_done().await;
        scene.honest_is_heard().await;
        // At least two heartbeats, which come every second.
        if round > 0 && started.elapsed() > Duration::from_millis(2500) {
            break;
        }
    }
    scene.ends(before).await;
}

/// A peer subscribed to topics without end, and what was kept of it outlived its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2026_46679_subscriptions_without_end() {
    let _alone = alone().await;
    let mut scene = Scene::new().await;
    let before = live();
    // Few, and each as long as a message may have them.
    for n in 0..100 {
        let long = format!("{n}{}", "x".repeat(200_000));
        scene.tell(&subscribe([long])).await;
    }
    for part in parts(100) {
        scene.tell(&subscribe(part)).await;
    }
    scene.is_done().await;
    let grown = grown(before);
    assert!(grown < STATE_MAX + NOISE_MAX, "{grown} bytes");
    scene.honest_is_heard().await;
    scene.ends(before).await;
}

/// Ids of messages that a peer does not want are kept for seconds, whatever their length: 24 MB here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idontwant_of_long_ids_without_end() {
    const EACH: usize = 100;
    let _alone = alone().await;
    let mut scene = Scene::new().await;
    let before = live();
    for part in 0..120_usize {
        let ids = (0..EACH).map(|at| {
            let mut id = vec![0; 2000];
            id[..8].copy_from_slice(&(part * EACH + at).to_le_bytes());
            id
        });
        let mut rpc = control(Vec::new(), Vec::new());
        if let Some(control) = &mut rpc.control {
            control.dont_want = vec![DontWant { ids: ids.collect() }];
        }
        scene.tell(&rpc).await;
    }
    scene.is_done().await;
    let grown = grown(before);
    assert!(grown < STATE_MAX + NOISE_MAX, "{grown} bytes");
    scene.honest_is_heard().await;
    scene.ends(before).await;
}
