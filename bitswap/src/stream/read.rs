//! Streams that peers opened to us.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::driver::{Incoming, Shared};
use crate::peer::PeerIo;
use crate::wire::{Message, read_len};

/// Memory for a message is taken in steps of this size until so much of it has come.
const STEP: usize = 256 << 10;
/// The first read of a message.
const FIRST: usize = 4 << 10;
/// Messages below this length never wait for the strangers' share.
const SMALL: usize = 64 << 10;
/// The slowest that a message may come, in bytes per second, and the time that it has at least.
const SLOWEST: usize = 32 << 10;
const PATIENCE: Duration = Duration::from_secs(15);

/// Reads messages until the stream ends or breaks a rule.
pub(crate) async fn read_stream(
    shared: Arc<Shared>,
    io: Arc<PeerIo>,
    stream: impl AsyncRead + Unpin + Send,
) {
    let mut frames = Frames {
        stream,
        buffer: BytesMut::new(),
        filled: 0,
    };
    while !io.is_closed() {
        // Any error ends the stream; what came before it was valid and is used.
        let Ok(Some((body, permits))) = frames.next(&shared, &io).await else {
            break;
        };
        let Ok(message) = Message::decode(&body) else {
            break;
        };
        drop(body);
        hand_on(&shared, &io, message, permits);
    }
    io.inbound.fetch_sub(1, Ordering::Relaxed);
}

fn hand_on(
    shared: &Arc<Shared>,
    io: &Arc<PeerIo>,
    mut message: Message,
    permits: Vec<OwnedSemaphorePermit>,
) {
    shared.received(io, &mut message);
    if message.blocks.is_empty() {
        return;
    }
    let bytes = message.blocks.iter().map(|block| block.data.len()).sum();
    if !shared.is_expected(&io.peer) {
        shared.unexpected(message.blocks.len() as u64, bytes as u64);
        return;
    }
    shared.verify(Incoming {
        peer: io.peer,
        blocks: message.blocks,
        bytes,
        permits,
    });
}

struct Frames<S> {
    stream: S,
    buffer: BytesMut,
    /// Bytes of the buffer that hold data; the rest is room to read into.
    filled: usize,
}

impl<S: AsyncRead + Unpin> Frames<S> {
    /// The next message body, and the permits that its bytes hold. `None` at the end of the stream.
    async fn next(
        &mut self,
        shared: &Arc<Shared>,
        io: &Arc<PeerIo>,
    ) -> io::Result<Option<(Bytes, Vec<OwnedSemaphorePermit>)>> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let (len, head) = loop {
            match read_len(&self.buffer[..self.filled]).map_err(invalid)? {
                Some(found) => break found,
                None if self.read(FIRST).await? == 0 => return Ok(None),
                None => {}
            }
        };
        let mut permits = vec![acquire(&io.budget, len).await?];
        if len >= SMALL && !shared.is_expected(&io.peer) {
            permits.push(acquire(&shared.strangers, len).await?);
        }
        let limit = PATIENCE + Duration::from_secs((len / SLOWEST) as u64);
        timeout(limit, self.fill(head + len)).await??;
        // What follows the message is moved to a new buffer: the message keeps this one.
        let rest = self.buffer[head + len..self.filled].to_vec();
        self.buffer.truncate(head + len);
        let mut frame = std::mem::take(&mut self.buffer);
        self.filled = rest.len();
        self.buffer.extend_from_slice(&rest);
        let _ = frame.split_to(head);
        Ok(Some((frame.freeze(), permits)))
    }

    async fn fill(&mut self, needed: usize) -> io::Result<()> {
        while self.filled < needed {
            if self.filled >= STEP && self.buffer.capacity() < needed {
                self.buffer.reserve(needed - self.buffer.len());
            }
            let step = (needed - self.filled).min(STEP);
            if self.read(step).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    async fn read(&mut self, max: usize) -> io::Result<usize> {
        let end = self.filled + max;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        let read = self.stream.read(&mut self.buffer[self.filled..end]).await?;
        self.filled += read;
        Ok(read)
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, len: usize) -> io::Result<OwnedSemaphorePermit> {
    let permits = Arc::clone(semaphore).acquire_many_owned(len as u32).await;
    permits.map_err(|_| io::ErrorKind::BrokenPipe.into())
}
