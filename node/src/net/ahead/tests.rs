use futures::{AsyncReadExt, FutureExt};
use proptest::prelude::*;

use super::*;

/// A connection that gives so many bytes at a time, with pauses, and counts calls.
#[derive(Default)]
struct Odd {
    sizes: Vec<usize>,
    turn: usize,
    pause: bool,
    to_read: Vec<u8>,
    reads: usize,
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
    fn what_is_read_is_the_same_bytes(
        sizes in prop::collection::vec(1usize..100_000, 1..8),
        parts in prop::collection::vec(0usize..100_000, 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let all = bytes(parts.iter().sum());
            let mut ahead = ReadAhead::new(Odd::new(&sizes));
            ahead.inner.to_read = all.clone();
            let mut read = Vec::new();
            for count in parts {
                let mut buffer = vec![0; count];
                ahead.read_exact(&mut buffer).await.unwrap();
                read.extend(buffer);
            }
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
