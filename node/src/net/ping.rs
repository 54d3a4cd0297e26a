//! Pings: answering them, sending them, and measuring every connected peer now and then.
//!
//! Not the library's behaviour, which answers one stream of a peer at a time: a ping that somebody asks for would end the
//! one that measures, and the other way round.

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{PeerId, Stream, StreamProtocol};
use rustc_hash::FxHashMap;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::command::Command;
use super::streams::Incoming;
use super::{Net, NetError};

/// The protocol of the libp2p ping specification.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/ipfs/ping/1.0.0");

/// Bytes of a ping.
const LEN: usize = 32;

/// Streams answered at the same time.
const ANSWERED_MAX: usize = 1024;

/// A stream without a ping for this long is let go.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Longest wait for one ping.
const PING_MAX: Duration = Duration::from_secs(10);

/// Between two measurements of one peer, and between two looks for peers to measure.
const MEASURE_EVERY: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Measurements at the same time.
const MEASURED_MAX: usize = 64;

/// Unanswered pings after which a connection counts as dead.
const LOST_MAX: u32 = 2;

/// One round trip.
pub async fn round_trip(stream: &mut Stream, peer: PeerId) -> Result<Duration, NetError> {
    let failed = |reason: String| NetError::Stream { peer, reason };
    let (mut sent, mut got) = ([0_u8; LEN], [0_u8; LEN]);
    getrandom::fill(&mut sent).map_err(|error| failed(error.to_string()))?;
    let started = Instant::now();
    let exchange = async {
        stream.write_all(&sent).await?;
        stream.flush().await?;
        stream.read_exact(&mut got).await
    };
    let exchanged = timeout(PING_MAX, exchange).await;
    exchanged
        .map_err(|_| NetError::TimedOut("ping"))?
        .map_err(|error| failed(error.to_string()))?;
    if sent == got {
        Ok(started.elapsed())
    } else {
        Err(failed("the answer is not what was sent".to_owned()))
    }
}

/// Answers pings until the swarm is gone.
pub async fn answer(mut incoming: mpsc::Receiver<Incoming>) {
    let room = Arc::new(Semaphore::new(ANSWERED_MAX));
    while let Some((_, stream)) = incoming.recv().await {
        if let Ok(permit) = Arc::clone(&room).try_acquire_owned() {
            tokio::spawn(async move {
                // Ends when the peer closes the stream, which is no failure.
                let _ = echo(stream).await;
                drop(permit);
            });
        }
    }
}

async fn echo(mut stream: Stream) -> io::Result<()> {
    let mut bytes = [0_u8; LEN];
    loop {
        timeout(SILENCE_MAX, stream.read_exact(&mut bytes)).await??;
        timeout(PING_MAX, stream.write_all(&bytes)).await??;
        timeout(PING_MAX, stream.flush()).await??;
    }
}

/// Measures connected peers and closes connections that are dead, until the node is gone.
pub async fn measure(net: Weak<Net>) {
    let mut known: FxHashMap<PeerId, (Instant, u32)> = FxHashMap::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(net) = net.upgrade() else {
            return;
        };
        let Ok(peers) = net.ask(|reply| Command::Connected { reply }).await else {
            return;
        };
        let now = Instant::now();
        let lost = |peer: &PeerId| known.get(peer).map_or(0, |(_, lost)| *lost);
        let is_due = |peer: &PeerId| {
            known
                .get(peer)
                .is_none_or(|(last, _)| now.duration_since(*last) >= MEASURE_EVERY)
        };
        let due: Vec<PeerId> = peers.iter().copied().filter(is_due).collect();
        let outcomes: Vec<(PeerId, bool)> = futures::stream::iter(due)
            .map(|peer| {
                let net = &net;
                async move { (peer, measure_one(net, peer).await) }
            })
            .buffer_unordered(MEASURED_MAX)
            .collect()
            .await;
        let mut dead = Vec::new();
        let updates: Vec<(PeerId, u32)> = outcomes
            .into_iter()
            .map(|(peer, answered)| (peer, if answered { 0 } else { lost(&peer) + 1 }))
            .collect();
        for (peer, lost) in updates {
            known.insert(peer, (now, lost));
            if lost >= LOST_MAX {
                dead.push(peer);
            }
        }
        known.retain(|peer, _| peers.contains(peer) && !dead.contains(peer));
        for peer in dead {
            // It may have gone by itself meanwhile.
            let _ = net
                .ask(|reply| Command::Disconnect {
                    peer,
                    address: None,
                    reply,
                })
                .await;
        }
    }
}

/// `false` when a ping got no answer. A peer that does not speak the protocol, or goes, is not a lost ping.
async fn measure_one(net: &Net, peer: PeerId) -> bool {
    let measured = timeout(2 * PING_MAX, async {
        let mut stream = net.open_stream(peer, PROTOCOL).await?;
        let latency = round_trip(&mut stream, peer).await?;
        let _ = stream.close().await;
        Ok::<_, NetError>(latency)
    });
    match measured.await {
        Ok(Ok(latency)) => {
            net.tell(Command::Latency { peer, latency }).await;
            true
        }
        Ok(Err(NetError::TimedOut(_))) | Err(_) => false,
        Ok(Err(_)) => true,
    }
}
