//! Many peers stay connected at once, and each costs little memory, which is given back.
//!
//! A child is the node and counts what it allocates; the parent is all of the peers. 2,000 of them, and 10,000 with the
//! argument `--ignored`.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a failed step is a failed test

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use ipfs_kit_node::Node;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

const CHILD: &str = "IPFS_KIT_MANY_CONNECTIONS_CHILD";

/// Peers, and handshakes at a time.
const PEERS: usize = 2_000;
const PEERS_BY_HAND: usize = 10_000;
const AT_ONCE: usize = 64;

/// What a connection may cost the node.
const EACH_MAX: usize = 64 << 10;

/// What may be left when all are gone, and for each peer where there were more than 2,000. Tables keep the room for the most
/// entries that they had, which is nearly all of it; addresses and scores of peers that were met are some 350 bytes each.
const LEFT_MAX: usize = 16 << 20;
const LEFT_EACH_MAX: usize = 8 << 10;

/// Without any progress for so long, it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let by_hand = std::env::args().any(|argument| argument == "--ignored");
    let peers = if by_hand { PEERS_BY_HAND } else { PEERS };
    if std::env::var_os(CHILD).is_some() {
        be_the_node().await;
        return;
    }
    // Test runners ask every test program for its tests.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    // A connection is one descriptor here and one there.
    raise_descriptors(peers as u64 + 512);
    connect_many(peers).await;
}

fn raise_descriptors(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(
        most >= wanted,
        "{wanted} file descriptors are needed, and the system allows {most}: raise the hard limit of RLIMIT_NOFILE"
    );
    let raised = Rlimit {
        current: Some(limit.current.unwrap_or(u64::MAX).max(wanted)),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// Answers each line of standard input with a line of JSON, until the input ends.
async fn be_the_node() {
    raise_descriptors(PEERS_BY_HAND.min(18_000) as u64 + 512);
    let node = Node::builder()
        .in_memory()
        .set("Addresses.Swarm", json!(["/ip4/127.0.0.1/tcp/0"]))
        .set("Bootstrap", json!([]))
        .set("Discovery.MDNS.Enabled", false)
        .set("Swarm.DisableNatPortMap", true)
        .set("Swarm.ConnMgr.Type", "none")
        .set("Swarm.ResourceMgr.MaxFileDescriptors", 20_000)
        .set("Pubsub.Enabled", true)
        .spawn()
        .await
        .unwrap();
    let peers = node.peers().unwrap();
    loop {
        let asked = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap_or(0)
        });
        if asked.await.unwrap() == 0 {
            return;
        }
        let list = peers.list().await.unwrap();
        let told = list.iter().filter(|peer| peer.agent_version.is_some());
        let (connected, told) = (list.len(), told.count());
        let address = peers.id().await.unwrap().addresses[0].to_string();
        drop(list);
        let answer = json!({
            "address": address,
            "connected": connected,
            "told": told,
            "live": LIVE.load(Ordering::Relaxed),
            "resident": resident(),
        });
        println!("{answer}");
    }
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: usize = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .unwrap()
        .parse()
        .unwrap();
    kib << 10
}

/// The node's process.
struct TheNode {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl TheNode {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            ask: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn state(&mut self) -> Value {
        writeln!(self.ask).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect("the node has ended")
    }

    /// Asks until a figure is so much, as long as it keeps changing.
    async fn until(&mut self, figure: &str, wanted: usize) -> Value {
        let (mut changed, mut last) = (Instant::now(), Value::Null);
        loop {
            let state = self.state();
            if number(&state, figure) == wanted {
                return state;
            }
            if state[figure] != last {
                changed = Instant::now();
                last = state[figure].clone();
            }
            assert!(
                changed.elapsed() < PATIENCE,
                "{figure} stays at {last}, {wanted} are expected"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for TheNode {
    fn drop(&mut self) {
        // It may have ended, which whoever asked it was told.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn number(state: &Value, figure: &str) -> usize {
    usize::try_from(state[figure].as_u64().unwrap()).unwrap()
}

fn peer() -> Swarm<identify::Behaviour> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .unwrap()
        .with_behaviour(|key| {
            let config = identify::Config::new("ipfs/0.1.0".to_owned(), key.public());
            identify::Behaviour::new(config)
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3600)))
        .build()
}

async fn connect_many(count: usize) {
    let mut node = TheNode::start();
    let before = node.state();
    let address: Multiaddr = before["address"].as_str().unwrap().parse().unwrap();
    let started = Instant::now();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let lost = Arc::new(AtomicUsize::new(0));
    let mut peers = Vec::with_capacity(count);
    for _ in 0..count {
        let permit = Arc::clone(&room).acquire_owned().await.unwrap();
        let (address, lost) = (address.clone(), Arc::clone(&lost));
        peers.push(tokio::spawn(async move {
            let mut swarm = peer();
            swarm.dial(address).unwrap();
            let mut permit = Some(permit);
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::Behaviour(identify::Event::Received { .. }) => drop(permit.take()),
                    SwarmEvent::ConnectionClosed { .. }
                    | SwarmEvent::OutgoingConnectionError { .. } => {
                        permit.take();
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                    _ => {}
                }
            }
        }));
    }
    node.until("told", count).await;
    let made = started.elapsed();
    let full = node.until("connected", count).await;
    let each = |figure| number(&full, figure).saturating_sub(number(&before, figure)) / count;
    println!(
        "{count} connections in {made:.1?}: {} bytes allocated for each, {} of the process",
        each("live"),
        each("resident")
    );
    assert_eq!(lost.load(Ordering::Relaxed), 0, "connections were lost");
    assert!(each("live") <= EACH_MAX, "{} bytes each", each("live"));

    for peer in peers {
        peer.abort();
    }
    node.until("connected", 0).await;
    let gone = Instant::now();
    loop {
        let left = number(&node.state(), "live").saturating_sub(number(&before, "live"));
        if left <= LEFT_MAX.max(count * LEFT_EACH_MAX) {
            println!("{left} bytes are left when all are gone");
            return;
        }
        assert!(gone.elapsed() < PATIENCE, "{left} bytes are left");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
