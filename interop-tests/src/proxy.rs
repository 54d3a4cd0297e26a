//! A link with a delay and a limit, between two processes on this machine.
//!
//! A [`Proxy`] stands for one node: who dials its port reaches the node behind it, over TCP or
//! UDP, each direction later by a fixed time and, if asked for, no faster than a rate. Bytes come
//! out unchanged and in order, and those of each direction are counted.
//!
//! What it is not: the proxy ends TCP on both sides, so the kernel's TCP sees neither the delay
//! nor the limit (as with a window that is always wide enough); TCP's own handshake is not delayed
//! either. QUIC lies inside the datagrams and sees all of it.
//!
//! Memory is bounded: a direction holds at most [`Link::room`] bytes. A full one makes TCP's
//! sender wait and loses UDP's datagrams, as a router does.

mod datagrams;
mod line;
mod tcp;
mod udp;

use anyhow::{Context, Result};
use line::Pace;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a link without a limit holds in each direction: 100 ms at 1 GiB/s and more.
const WIDE: usize = 128 << 20;

/// What a link with a limit holds at least, so that some datagrams always fit.
const NARROW: usize = 256 << 10;

/// How long a slow link lets bytes wait, besides those on their way.
const PATIENCE: Duration = Duration::from_millis(50);

/// The properties of a link, the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// How much later a byte comes out than it went in: half of the round trip.
    pub delay: Duration,
    /// Bytes a second, in each direction, all connections together; none for no limit.
    pub rate: Option<u64>,
}

impl Link {
    /// A link with this round trip and no limit.
    pub fn round_trip(time: Duration) -> Self {
        Self {
            delay: time / 2,
            rate: None,
        }
    }

    /// The bytes that a direction holds at most.
    pub fn room(&self) -> usize {
        self.rate.map_or(WIDE, |rate| {
            let time = self.delay * 2 + PATIENCE;
            ((rate as f64 * time.as_secs_f64()) as usize).clamp(NARROW, WIDE)
        })
    }
}

/// What goes over a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

/// What went over a link so far: payload of TCP or of UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes from those who dialled to the node.
    pub to_node: u64,
    /// Bytes from the node to those who dialled.
    pub from_node: u64,
    /// Datagrams that found the link full.
    pub lost: u64,
}

/// A running link to one node; it ends when dropped.
pub struct Proxy {
    address: SocketAddr,
    carrier: Carrier,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
}

/// What the threads of a proxy have in common.
struct Shared {
    link: Link,
    target: SocketAddr,
    stopped: AtomicBool,
    lost: AtomicU64,
    directions: [Direction; 2],
}

/// One direction of the link, for all connections.
struct Direction {
    pace: Arc<Pace>,
    bytes: AtomicU64,
}

/// The index of the direction to the node.
const TO_NODE: usize = 0;
/// The index of the direction from the node.
const FROM_NODE: usize = 1;

impl Proxy {
    /// Starts a link to the node at `target`.
    pub fn start(carrier: Carrier, target: SocketAddr, link: Link) -> Result<Self> {
        let direction = || Direction {
            pace: Arc::new(Pace::new(link.rate)),
            bytes: AtomicU64::new(0),
        };
        let shared = Arc::new(Shared {
            link,
            target,
            stopped: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            directions: [direction(), direction()],
        });
        let (address, server) = match carrier {
            Carrier::Tcp => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                    .context("the proxy cannot listen")?;
                let address = listener.local_addr()?;
                let shared = shared.clone();
                (
                    address,
                    std::thread::spawn(move || tcp::serve(&listener, &shared)),
                )
            }
            Carrier::Udp => {
                let front = datagrams::Socket::bind().context("the proxy cannot bind")?;
                let address = front.address()?;
                let shared = shared.clone();
                (
                    address,
                    std::thread::spawn(move || udp::serve(front, &shared)),
                )
            }
        };
        Ok(Self {
            address,
            carrier,
            shared,
            server: Some(server),
        })
    }

    /// Where to dial instead of the node.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What went over the link so far.
    pub fn traffic(&self) -> Traffic {
        let bytes = |index: usize| self.shared.directions[index].bytes.load(Ordering::Relaxed);
        Traffic {
            to_node: bytes(TO_NODE),
            from_node: bytes(FROM_NODE),
            lost: self.shared.lost.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    fn count(&self, direction: usize, bytes: usize) {
        self.directions[direction]
            .bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        if self.carrier == Carrier::Tcp {
            // Wakes the thread that accepts.
            drop(std::net::TcpStream::connect(self.address));
        }
        if let Some(server) = self.server.take() {
            // A panic there was printed; nothing more can be done here.
            let _ = server.join();
        }
    }
}

#[cfg(test)]
mod tests;
