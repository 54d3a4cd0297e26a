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

/// Between two looks, with the default configuration.
const LOOK: Duration = Duration::from_secs(1);
/// Looks without progress after which a stream is given up when others wait for what it holds, and the bytes that are some.
const STALLED_LOOKS: u32 = 2;
const PROGRESS: usize = FRAME;

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
    let pace = Pace {
        look: LOOK,
        longest: shared.config.write_timeout,
        pressed: &|| shared.is_pressed(),
    };
    let mut unflushed = false;
    while !io.is_closed() && !io.is_moving() {
        if io.take_has_wants() {
            if let Some(message) = shared.take_wants(&io.peer) {
                // There may be more than fits in one message.
                io.set_has_wants();
                write_pieces(stream, message.encode(protocol), pace).await?;
                unflushed = true;
            }
            continue;
        }
        if let Some(reply) = io.pop() {
            let message = &current.insert(reply).message;
            let blocks = message.blocks.len() as u64;
            let bytes = message.blocks.iter();
            let bytes = bytes.map(|(_, data)| data.len() as u64).sum();
            write_pieces(stream, message.encode(protocol), pace).await?;
            if let Some(reply) = current.take() {
                shared.sent(&io.peer, reply.reserved, Some((blocks, bytes)));
            }
            io.message_written();
            unflushed = true;
            continue;
        }
        if std::mem::take(&mut unflushed) {
            timeout(pace.longest, stream.flush()).await??;
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
    pace: Pace<'_>,
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
            write_step(stream, &small, pace).await?;
            small.clear();
        }
        while rest.len() >= FRAME {
            let (step, tail) = rest.split_at((rest.len() / FRAME * FRAME).min(STEP));
            write_step(stream, step, pace).await?;
            rest = tail;
        }
        small.extend_from_slice(rest);
    }
    if !small.is_empty() {
        write_step(stream, &small, pace).await?;
    }
    Ok(())
}

/// How long writing may take.
#[derive(Clone, Copy)]
struct Pace<'a> {
    /// Between two looks at how a step gets on.
    look: Duration,
    /// One step at most.
    longest: Duration,
    /// Whether others wait for what this peer holds.
    pressed: &'a (dyn Fn() -> bool + Sync),
}

async fn write_step(
    stream: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    pace: Pace<'_>,
) -> io::Result<()> {
    timeout(pace.longest, write_on(stream, bytes, pace)).await?
}

/// Writes all while it gets on, or while nobody waits for it.
async fn write_on(
    stream: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    pace: Pace<'_>,
) -> io::Result<()> {
    let (mut done, mut stalled) = (0, 0);
    loop {
        let before = done;
        let writing = async {
            while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
                match stream.write(rest).await? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    written => done += written,
                }
            }
            Ok(())
        };
        if let Ok(written) = timeout(pace.look, writing).await {
            return written;
        }
        stalled = if done - before < PROGRESS {
            stalled + 1
        } else {
            0
        };
        if stalled >= STALLED_LOOKS && (pace.pressed)() {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    /// Takes so many bytes at each time that it is asked, a millisecond after the time before.
    struct Slow {
        each: usize,
        wait: Pin<Box<tokio::time::Sleep>>,
    }

    impl Slow {
        fn new(each: usize) -> Self {
            let wait = Box::pin(tokio::time::sleep(Duration::from_millis(1)));
            Self { each, wait }
        }
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            if self.each == 0 {
                return Poll::Pending;
            }
            std::task::ready!(self.wait.as_mut().poll(cx));
            self.wait = Box::pin(tokio::time::sleep(Duration::from_millis(1)));
            Poll::Ready(Ok(self.each.min(bytes.len())))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn write(each: usize, pressed: bool, longest: Duration) -> io::Result<()> {
        let pace = Pace {
            look: Duration::from_millis(200),
            longest,
            pressed: &|| pressed,
        };
        write_step(&mut Slow::new(each), &[7; STEP], pace).await
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn who_does_not_read_is_given_up_when_others_wait() {
        let error = write(0, true, MINUTE).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let trickle = write(1, true, MINUTE).await.unwrap_err();
        assert_eq!(trickle.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_reads_is_waited_for_and_who_does_not_while_nobody_waits() {
        write(FRAME, true, MINUTE).await.unwrap();
        let patient = write(0, false, Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(patient.kind(), io::ErrorKind::TimedOut);
    }
}
