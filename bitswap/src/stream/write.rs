//! The one stream that carries everything we say to a peer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::driver::Shared;
use crate::peer::{PeerIo, Reply};
use crate::wire::Protocol;

/// Pieces below this length are copied together: each write becomes a frame of the muxer, and its
/// frames hold at most this much.
const FRAME: usize = 16 << 10;
/// The most that one call writes before the timeout begins anew.
const STEP: usize = 256 << 10;

/// How long a message may take to be finished on a relayed connection when there is a direct one.
const FINISH: Duration = Duration::from_secs(1);

/// Writes want lists and replies until the stream or the peer is gone, or there is a better connection.
pub(crate) async fn write_stream(
    shared: Arc<Shared>,
    io: Arc<PeerIo>,
    mut stream: impl AsyncWrite + Unpin + Send,
    protocol: Protocol,
) {
    let mut current = None;
    let moves = async {
        io.moves().await;
        tokio::time::sleep(FINISH).await;
    };
    let ended = tokio::select! {
        ended = write_all(&shared, &io, &mut stream, protocol, &mut current) => Some(ended),
        () = moves => None,
    };
    if io.is_closed() {
        return;
    }
    if let Some(reply) = current {
        io.put_back(reply);
    }
    match ended {
        Some(Ok(())) => io.unclaim_stream(),
        None => {
            io.unclaim_stream();
            shared.stream_lost(&io.peer);
        }
        Some(Err(error)) => {
            // Who does not read frees what waits for it. Where the stream broke, the next one carries it.
            if error.kind() == io::ErrorKind::TimedOut {
                for reply in io.drain() {
                    shared.sent(&io.peer, reply.reserved, None);
                }
            }
            if io.stream_failed() {
                shared.disconnected_by_failure(&io);
            } else {
                shared.stream_lost(&io.peer);
                io.wake_handlers();
            }
        }
    }
}

/// `current` is the reply that is being written.
async fn write_all(
    shared: &Arc<Shared>,
    io: &Arc<PeerIo>,
    stream: &mut (impl AsyncWrite + Unpin + Send),
    protocol: Protocol,
    current: &mut Option<Reply>,
) -> io::Result<()> {
    let wait = shared.config.write_timeout;
    let mut unflushed = false;
    while !io.is_closed() && !io.is_moving() {
        if io.take_has_wants() {
            if let Some(message) = shared.take_wants(&io.peer) {
                // There may be more than fits in one message.
                io.set_has_wants();
                write_pieces(stream, message.encode(protocol), wait).await?;
                unflushed = true;
            }
            continue;
        }
        if let Some(reply) = io.pop() {
            let message = &current.insert(reply).message;
            let blocks = message.blocks.len() as u64;
            let bytes = message.blocks.iter();
            let bytes = bytes.map(|(_, data)| data.len() as u64).sum();
            write_pieces(stream, message.encode(protocol), wait).await?;
            if let Some(reply) = current.take() {
                shared.sent(&io.peer, reply.reserved, Some((blocks, bytes)));
            }
            io.message_written();
            unflushed = true;
            continue;
        }
        if std::mem::take(&mut unflushed) {
            timeout(wait, stream.flush()).await??;
            io.message_written();
            continue;
        }
        io.writer.notified().await;
    }
    // The other side reads until the end of the stream.
    timeout(Duration::from_secs(1), stream.close()).await?
}

async fn write_pieces(
    stream: &mut (impl AsyncWrite + Unpin),
    pieces: Vec<Bytes>,
    wait: Duration,
) -> io::Result<()> {
    let mut small = Vec::with_capacity(FRAME);
    for piece in pieces {
        let mut rest = &piece[..];
        if !small.is_empty() || rest.len() < FRAME {
            let (head, tail) = rest.split_at(rest.len().min(FRAME - small.len()));
            small.extend_from_slice(head);
            rest = tail;
            if small.len() < FRAME {
                continue;
            }
            write_step(stream, &small, wait).await?;
            small.clear();
        }
        while rest.len() >= FRAME {
            let (step, tail) = rest.split_at((rest.len() / FRAME * FRAME).min(STEP));
            write_step(stream, step, wait).await?;
            rest = tail;
        }
        small.extend_from_slice(rest);
    }
    if !small.is_empty() {
        write_step(stream, &small, wait).await?;
    }
    Ok(())
}

async fn write_step(
    stream: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    wait: Duration,
) -> io::Result<()> {
    timeout(wait, stream.write_all(bytes)).await?
}
