use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use proptest::prelude::*;

use super::*;

/// A connection that takes and gives so many bytes at a time, with pauses, and counts calls.
#[derive(Default)]
struct Odd {
    sizes: Vec<usize>,
    turn: usize,
    pause: bool,
    written: Vec<u8>,
    to_read: Vec<u8>,
    reads: usize,
    writes: usize,
    flushed: usize,
}

impl Odd {
    fn new(sizes: &[usize]) -> Self {
        Self {
            sizes: sizes.to_vec(),
            ..Self::default()
        }
    }

    fn turn(&mut self, cx: &Context<'_>) -> Poll<usize> {
        self.pause = !self.pause;
        if self.pause {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.turn += 1;
        Poll::Ready(self.sizes[self.turn % self.sizes.len()])
    }
}

impl AsyncWrite for Odd {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.turn(cx)).min(bytes.len());
        self.written.extend_from_slice(&bytes[..count]);
        self.writes += 1;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed = self.written.len();
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed = self.written.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Odd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.turn(cx));
        let count = count.min(buffer.len()).min(self.to_read.len());
        let rest = self.to_read.split_off(count);
        buffer[..count].copy_from_slice(&self.to_read);
        self.to_read = rest;
        self.reads += 1;
        Poll::Ready(Ok(count))
    }
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| ((at * 31) >> 3) as u8).collect()
}

/// Flushes as `yamux` does: again whenever it is woken.
async fn flush(gather: &mut Gather<Odd>) {
    gather.flush().await.unwrap();
    gather.flush().await.unwrap();
}

#[tokio::test]
async fn frames_that_are_flushed_one_by_one_go_out_together() {
    let mut gather = Gather::new(Odd::new(&[usize::MAX]));
    let frame = bytes(16 << 10);
    let mut all = Vec::new();
    for _ in 0..32 {
        for part in [&frame[..12], &frame[..]] {
            gather.write_all(part).await.unwrap();
            all.extend_from_slice(part);
        }
        gather.flush().await.unwrap();
    }
    flush(&mut gather).await;
    assert_eq!(gather.inner.written, all);
    assert_eq!(gather.inner.flushed, all.len());
    assert!(gather.inner.writes <= all.len().div_ceil(GATHERED) + 1);
    assert_eq!(gather.buffer.capacity(), 0, "nothing is held");
}

#[tokio::test]
async fn a_single_write_goes_out_when_the_task_runs_again() {
    let mut gather = Gather::new(Odd::new(&[usize::MAX]));
    gather.write_all(b"ping").await.unwrap();
    gather.flush().await.unwrap();
    assert_eq!(gather.inner.written, b"");
    gather.flush().await.unwrap();
    assert_eq!(gather.inner.written, b"ping");
    gather.write_all(b"pong").await.unwrap();
    gather.close().await.unwrap();
    assert_eq!(
        gather.inner.written, b"pingpong",
        "a close waits for nothing"
    );
    assert_eq!(gather.inner.flushed, 8);
}

#[tokio::test]
async fn reads_are_few_and_an_idle_connection_holds_nothing() {
    let mut ahead = ReadAhead::new(Odd::new(&[usize::MAX]));
    let all = bytes(1 << 20);
    ahead.inner.to_read = all.clone();
    let mut read = vec![0; all.len()];
    for part in read.chunks_mut(4096) {
        ahead.read_exact(part).await.unwrap();
    }
    assert_eq!(read, all);
    assert!(
        ahead.inner.reads <= all.len() / AHEAD + 1,
        "{}",
        ahead.inner.reads
    );
    // Pending once: the next read finds nothing there.
    ahead.inner.pause = false;
    assert!(ahead.read(&mut [0; 16]).now_or_never().is_none());
    assert!(ahead.buffer.is_empty());
    assert_eq!(ahead.read(&mut [0; 16]).await.unwrap(), 0, "the end");
}

proptest! {
    #[test]
    fn what_is_written_and_read_is_the_same_bytes(
        sizes in prop::collection::vec(1usize..100_000, 1..8),
        parts in prop::collection::vec((0usize..100_000, any::<bool>()), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let all = bytes(parts.iter().map(|(count, _)| count).sum());
            let mut gather = Gather::new(Odd::new(&sizes));
            let mut ahead = ReadAhead::new(Odd::new(&sizes));
            ahead.inner.to_read = all.clone();
            let (mut at, mut read) = (0, Vec::new());
            for (count, flushes) in parts {
                let part = &all[at..at + count];
                at += count;
                gather.write_all(part).await.unwrap();
                if flushes {
                    flush(&mut gather).await;
                    assert_eq!(gather.inner.flushed, at);
                }
                let mut buffer = vec![0; count];
                ahead.read_exact(&mut buffer).await.unwrap();
                read.extend(buffer);
            }
            gather.close().await.unwrap();
            assert_eq!(gather.inner.written, all);
            assert_eq!(read, all);
        });
    }
}

#[tokio::test]
async fn a_pause_behind_any_message_leaves_no_buffer() {
    // As Noise reads: a length, then so much.
    for (length, message) in [(2, 500), (2, 60_000), (4_096, 100)] {
        let mut reader = ReadAhead::new(Odd {
            to_read: bytes(length + message),
            ..Odd::new(&[usize::MAX])
        });
        let mut all = vec![0; length];
        reader.read_exact(&mut all).await.unwrap();
        let mut rest = vec![0; message];
        reader.read_exact(&mut rest).await.unwrap();
        all.append(&mut rest);
        assert_eq!(all, bytes(length + message));
        let mut more = [0; 2];
        assert_eq!(reader.read(&mut more).await.unwrap(), 0);
        assert_eq!(reader.buffer.len(), 0, "{length} and {message}");
    }
}
