//! Bytes both ways between a stream and a TCP connection.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures::future::{Either, select};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Bytes on their way in each direction.
const BUFFER: usize = 64 << 10;

/// What a connection is granted that is closed in one direction.
#[derive(Clone, Copy)]
pub struct Patience {
    /// It ends when nothing goes the other way for so long.
    silence: Duration,
    /// Between two looks at whether it is there at all.
    probe: Duration,
}

impl Patience {
    /// Longer than a server takes to answer.
    pub const LONG: Self = Self {
        silence: Duration::from_secs(600),
        probe: Duration::from_secs(1),
    };
}

/// Copies until both directions have ended. An end is handed on while the other direction goes on; a failure ends both.
pub async fn both_ways<S, T>(stream: S, tcp: T, patience: Patience)
where
    S: AsyncRead + AsyncWrite,
    T: AsyncRead + AsyncWrite,
{
    let (from_stream, to_stream) = tokio::io::split(stream);
    let (from_tcp, to_tcp) = tokio::io::split(tcp);
    let (there_ended, back_sees) = watch::channel(false);
    let (back_ended, there_sees) = watch::channel(false);
    let there = pin!(one_way(from_stream, to_tcp, there_sees, patience));
    let back = pin!(one_way(from_tcp, to_stream, back_sees, patience));
    // Whoever failed knows; the other side sees its end of the connection close.
    match select(there, back).await {
        Either::Left((Ok(()), back)) => {
            there_ended.send_replace(true);
            let _ = back.await;
        }
        Either::Right((Ok(()), there)) => {
            back_ended.send_replace(true);
            let _ = there.await;
        }
        Either::Left((Err(_), _)) | Either::Right((Err(_), _)) => {}
    }
}

/// Copies to the end and hands that on. Once the other direction has ended, this one has to show that it is alive.
async fn one_way<R, W>(
    mut from: R,
    mut to: W,
    mut alone: watch::Receiver<bool>,
    patience: Patience,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = if *alone.borrow() {
            read_alone(&mut from, &mut to, &mut buffer, patience).await?
        } else {
            let read = pin!(from.read(&mut buffer));
            match select(read, pin!(alone.changed())).await {
                Either::Left((read, _)) => read?,
                // A read that is given up has taken nothing.
                Either::Right(_) => continue,
            }
        };
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
    }
}

/// A stream that was reset reads as one that has ended, and only writing tells the difference.
async fn read_alone<R, W>(
    from: &mut R,
    to: &mut W,
    buffer: &mut [u8],
    patience: Patience,
) -> io::Result<usize>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let start = Instant::now();
    while start.elapsed() < patience.silence {
        match timeout(patience.probe, from.read(buffer)).await {
            Ok(read) => return read,
            Err(_) => {
                // Nothing is written; `write_all` would not even ask.
                poll_fn(|cx| Pin::new(&mut *to).poll_write(cx, &[])).await?;
            }
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{DuplexStream, duplex};
    use tokio::task::JoinHandle;

    const SHORT: Patience = Patience {
        silence: Duration::from_millis(400),
        probe: Duration::from_millis(50),
    };

    /// The peer's end, the local end, and the copying between them.
    fn piped() -> (DuplexStream, DuplexStream, JoinHandle<()>) {
        let (stream, peer) = duplex(1 << 20);
        let (tcp, local) = duplex(1 << 20);
        let copying = tokio::spawn(both_ways(stream, tcp, SHORT));
        (peer, local, copying)
    }

    #[tokio::test]
    async fn an_end_is_handed_on_and_the_other_direction_goes_on() {
        let (mut peer, mut local, copying) = piped();
        local.write_all(b"question").await.unwrap();
        local.shutdown().await.unwrap();
        let mut got = Vec::new();
        peer.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"question");
        for _ in 0..3 {
            // Longer than the limit together, and never silent for so long.
            tokio::time::sleep(SHORT.silence / 2).await;
            peer.write_all(b"answer").await.unwrap();
        }
        let mut got = [0; 18];
        local.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"answeransweranswer");
        assert!(!copying.is_finished());
        drop(peer);
        assert_eq!(local.read(&mut got).await.unwrap(), 0);
        copying.await.unwrap();
    }

    #[tokio::test]
    async fn a_half_closed_connection_that_is_silent_ends() {
        let (mut peer, mut local, copying) = piped();
        let start = Instant::now();
        local.shutdown().await.unwrap();
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
        copying.await.unwrap();
        assert!(start.elapsed() >= SHORT.silence);
        assert_eq!(local.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn one_that_is_gone_is_noticed_before() {
        let (peer, local, copying) = piped();
        let start = Instant::now();
        // Both directions at once, which reads as the end of one.
        drop(peer);
        copying.await.unwrap();
        assert!(start.elapsed() < SHORT.silence);
        drop(local);
    }

    #[tokio::test]
    async fn silence_alone_ends_nothing() {
        let (mut peer, mut local, copying) = piped();
        tokio::time::sleep(SHORT.silence * 2).await;
        peer.write_all(b"late").await.unwrap();
        let mut got = [0; 4];
        local.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"late");
        drop((peer, local));
        copying.await.unwrap();
    }
}
