use std::future::poll_fn;

use futures::io::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::muxing::StreamMuxerExt;
use libp2p::yamux;
use proptest::prelude::*;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::frame::{ACK, FIN, HEADER, Header, Kind, RST, SYN};
use super::window::FIRST;
use super::*;

type Socket = Compat<DuplexStream>;

/// A connection that a task polls: what the peer opened, and a way to open streams.
struct Running<S> {
    accepted: mpsc::UnboundedReceiver<S>,
    open: mpsc::UnboundedSender<oneshot::Sender<S>>,
    task: JoinHandle<String>,
}

impl<S: Send + 'static> Running<S> {
    fn new<M>(mut muxer: M) -> Self
    where
        M: StreamMuxer<Substream = S> + Send + Unpin + 'static,
        M::Error: std::fmt::Display + Send,
    {
        let (tell, accepted) = mpsc::unbounded_channel();
        let (open, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<S>>();
        let mut waits = Vec::new();
        let task = tokio::spawn(poll_fn(move |cx| {
            loop {
                if let Poll::Ready(Err(error)) = muxer.poll_unpin(cx) {
                    return Poll::Ready(error.to_string());
                }
                while let Poll::Ready(Some(wait)) = asked.poll_recv(cx) {
                    waits.push(wait);
                }
                if !waits.is_empty()
                    && let Poll::Ready(stream) = muxer.poll_outbound_unpin(cx)
                {
                    let wait: oneshot::Sender<S> = waits.remove(0);
                    let _ = wait.send(stream.unwrap_or_else(|error| panic!("{error}")));
                    continue;
                }
                match muxer.poll_inbound_unpin(cx) {
                    Poll::Ready(Ok(stream)) => drop(tell.send(stream)),
                    Poll::Ready(Err(error)) => return Poll::Ready(error.to_string()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        }));
        Self {
            accepted,
            open,
            task,
        }
    }

    async fn open(&self) -> S {
        let (wait, opened) = oneshot::channel();
        self.open.send(wait).unwrap();
        opened.await.unwrap()
    }
}

fn sockets(room: usize) -> (Socket, Socket) {
    let (one, two) = tokio::io::duplex(room);
    (one.compat(), two.compat())
}

fn ours(socket: Socket, dialer: bool) -> Muxer<Socket> {
    Muxing::new(256).muxer(socket, dialer)
}

/// One of the `yamux` crate.
async fn theirs(socket: Socket, dialer: bool) -> yamux::Muxer<Socket> {
    let config = yamux::Config::default();
    match dialer {
        true => config.upgrade_outbound(socket, "").await.unwrap(),
        false => config.upgrade_inbound(socket, "").await.unwrap(),
    }
}

fn bytes(seed: u8, count: usize) -> Vec<u8> {
    (0..count).map(|at| ((at * 31) >> 3) as u8 ^ seed).collect()
}

/// Sends back what comes, to its end.
async fn echo<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    mut accepted: mpsc::UnboundedReceiver<S>,
) {
    while let Some(stream) = accepted.recv().await {
        tokio::spawn(async move {
            let (mut read, mut write) = stream.split();
            let _ = futures::io::copy(&mut read, &mut write).await;
            let _ = write.close().await;
        });
    }
}

/// Sends bytes in parts and reads them back.
async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: S, all: Vec<u8>, part: usize) {
    let (mut read, mut write) = stream.split();
    let sends = async {
        for part in all.chunks(part) {
            write.write_all(part).await.unwrap();
        }
        write.close().await.unwrap();
    };
    let mut back = Vec::new();
    let reads = read.read_to_end(&mut back);
    let ((), came) = futures::join!(sends, reads);
    came.unwrap();
    assert!(back == all, "{} of {} bytes", back.len(), all.len());
}

/// Streams of these lengths go both ways at once.
async fn talk<A, B>(one: Running<A>, two: Running<B>, lengths: &[usize], part: usize)
where
    A: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    B: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut all = Vec::new();
    for (at, length) in lengths.iter().enumerate() {
        let data = bytes(at as u8, *length);
        all.push(tokio::spawn(say(one.open().await, data.clone(), part)));
        all.push(tokio::spawn(say(two.open().await, data, part)));
    }
    let echoes = [
        tokio::spawn(echo(one.accepted)),
        tokio::spawn(echo(two.accepted)),
    ];
    for one in all {
        one.await.unwrap();
    }
    echoes.iter().for_each(JoinHandle::abort);
    one.task.abort();
    two.task.abort();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn streams_carry_what_is_written(
        lengths in prop::collection::vec(prop_oneof![1usize..2_000, 1usize..700_000], 1..6),
        part in prop_oneof![1_000usize..3_000, 20_000usize..400_000],
        room in prop_oneof![20usize..200, 5_000usize..300_000],
        foreign in any::<bool>(),
        dialer in any::<bool>(),
    ) {
        let lengths: Vec<usize> = match room < 200 {
            // Tiny pieces take long.
            true => lengths.iter().map(|length| length % 20_000 + 1).collect(),
            false => lengths,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (here, there) = sockets(room);
            let one = Running::new(ours(here, dialer));
            if foreign {
                talk(one, Running::new(theirs(there, !dialer).await), &lengths, part).await;
            } else {
                talk(one, Running::new(ours(there, !dialer)), &lengths, part).await;
            }
        });
    }
}

/// A peer that writes frames by hand.
struct Raw {
    socket: Socket,
}

impl Raw {
    async fn send(&mut self, kind: Kind, flags: u16, stream: u32, length: u32, body: &[u8]) {
        let header = Header {
            kind,
            flags,
            stream,
            length,
        };
        let frame = [&header.encode(), body].concat();
        self.socket.write_all(&frame).await.unwrap();
    }

    async fn data(&mut self, flags: u16, stream: u32, body: &[u8]) {
        self.send(Kind::Data, flags, stream, body.len() as u32, body)
            .await;
    }

    async fn header(&mut self) -> Header {
        let mut header = [0; HEADER];
        self.socket.read_exact(&mut header).await.unwrap();
        Header::decode(header).unwrap()
    }

    /// The next frame that is no ping.
    async fn next(&mut self) -> Header {
        loop {
            let header = self.header().await;
            if header.kind == Kind::Data {
                let mut body = vec![0; header.length as usize];
                self.socket.read_exact(&mut body).await.unwrap();
            }
            if header.kind != Kind::Ping {
                return header;
            }
        }
    }
}

fn raw() -> (Running<Stream>, Raw) {
    let (here, socket) = sockets(1 << 20);
    (Running::new(ours(here, false)), Raw { socket })
}

/// Headers that make sense in part, with bodies that may be too short: then what follows is read in their place.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![0u32..300, any::<u32>()];
    let frame = (0u8..5, 0u16..16, 0u32..8, length, 0usize..300);
    prop::collection::vec(frame, 1..60).prop_map(|frames| {
        let mut all = Vec::new();
        for (kind, flags, stream, length, body) in frames {
            all.extend_from_slice(&[0, kind]);
            all.extend_from_slice(&flags.to_be_bytes());
            all.extend_from_slice(&stream.to_be_bytes());
            all.extend_from_slice(&length.to_be_bytes());
            let body = if kind == 0 {
                body.min(length as usize)
            } else {
                0
            };
            all.resize(all.len() + body, 7);
        }
        all
    })
}

proptest! {
    #[test]
    fn whatever_a_peer_writes_the_connection_ends_with_it(
        wire in prop_oneof![frames(), prop::collection::vec(any::<u8>(), 0..200)],
        dialer in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (here, there) = sockets(1 << 20);
            let one = Running::new(ours(here, dialer));
            let (mut reads, mut writes) = there.split();
            // Its answers are taken, so that it goes on; the connection may end before everything is written.
            let answers = async {
                let mut all = Vec::new();
                let _ = reads.read_to_end(&mut all).await;
            };
            let wires = async {
                let _ = writes.write_all(&wire).await;
                let _ = writes.close().await;
            };
            let ended = async { one.task.await.expect("the task panicked") };
            let (error, ..) = futures::join!(ended, answers, wires);
            assert!(!error.is_empty());
        });
    }
}

#[tokio::test]
async fn a_frame_longer_than_a_mebibyte_is_taken_when_the_window_allows_it() {
    let (mut one, mut peer) = raw();
    // A peer that is far away: it answers late.
    let ping = peer.header().await;
    assert_eq!((ping.kind, ping.flags), (Kind::Ping, SYN));
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    peer.send(Kind::Ping, ACK, 0, ping.length, &[]).await;
    let small = bytes(1, 64 << 10);
    peer.data(SYN, 1, &small).await;
    let mut stream = one.accepted.recv().await.unwrap();
    let mut back = vec![0; small.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert!(back == small);
    let grant = peer.next().await;
    assert_eq!((grant.kind, grant.stream), (Kind::Window, 1));
    assert_eq!(grant.flags, ACK, "the first frame of the other side");
    let large = bytes(2, 3 << 20);
    assert!(grant.length as usize > large.len());
    let mut back = Vec::new();
    let reads = stream.read_to_end(&mut back);
    let (came, ()) = futures::join!(reads, peer.data(FIN, 1, &large));
    came.unwrap();
    assert!(back == large);
}

#[tokio::test]
async fn a_peer_that_breaks_the_rules_loses_the_connection() {
    type Frame = (Kind, u16, u32, u32);
    let broken: &[(&[Frame], &str)] = &[
        (&[(Kind::Data, SYN, 1, FIRST + 1)], "window"),
        (&[(Kind::Data, SYN, 2, 0)], "number"),
        (&[(Kind::Data, SYN, 0, 0)], "number"),
        (&[(Kind::Data, SYN, 1, 0), (Kind::Data, SYN, 1, 0)], "there"),
        (
            &[(Kind::Window, SYN, 1, 1), (Kind::Window, 0, 1, u32::MAX)],
            "wide",
        ),
        (&[(Kind::GoAway, 0, 0, 0)], "closed"),
    ];
    for (frames, why) in broken {
        let (one, mut peer) = raw();
        for (kind, flags, stream, length) in *frames {
            peer.send(*kind, *flags, *stream, *length, &[]).await;
        }
        let error = one.task.await.unwrap();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_the_others_go_on() {
    let (mut one, mut peer) = raw();
    let mut streams = Vec::new();
    for at in 0..256 {
        peer.data(SYN, 1 + 2 * at, b"x").await;
        streams.push(one.accepted.recv().await.unwrap());
    }
    peer.data(SYN, 1001, b"one more").await;
    let refused = peer.next().await;
    assert_eq!((refused.stream, refused.flags), (1001, RST));
    // One that is opened here waits until there is room.
    let (wait, opened) = oneshot::channel();
    one.open.send(wait).unwrap();
    peer.data(0, 1, b"y").await;
    let mut two = [0; 2];
    streams[0].read_exact(&mut two).await.unwrap();
    assert_eq!(&two, b"xy");
    assert!(!opened.is_terminated_after_a_turn().await);
    drop(streams.pop());
    peer.next().await;
    opened.await.unwrap();
}

trait Waits {
    async fn is_terminated_after_a_turn(&self) -> bool;
}

impl<T> Waits for oneshot::Receiver<T> {
    async fn is_terminated_after_a_turn(&self) -> bool {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        !self.is_empty()
    }
}

#[tokio::test]
async fn ends_and_resets_are_told_apart() {
    let (mut one, mut peer) = raw();
    peer.data(SYN, 1, b"whole").await;
    peer.data(FIN, 1, &[]).await;
    peer.data(SYN, 3, b"half").await;
    peer.data(RST, 3, &[]).await;
    let mut all = Vec::new();
    let mut whole = one.accepted.recv().await.unwrap();
    whole.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"whole");
    let mut half = one.accepted.recv().await.unwrap();
    let mut all = Vec::new();
    let error = half.read_to_end(&mut all).await.unwrap_err();
    assert_eq!(
        (error.kind(), &*all),
        (io::ErrorKind::ConnectionReset, &b"half"[..])
    );
    assert!(half.write_all(b"more").await.is_err());
    // Dropped: the first one's other half ends, the second one is gone already.
    drop((whole, half));
    peer.data(SYN, 5, &[]).await;
    drop(one.accepted.recv().await.unwrap());
    let (first, second) = (peer.next().await, peer.next().await);
    assert_eq!((first.stream, first.flags), (1, ACK | FIN));
    assert_eq!((second.stream, second.flags), (5, ACK | RST));
    // A connection that is gone is no end of a stream.
    peer.data(SYN, 7, b"lost").await;
    let mut lost = one.accepted.recv().await.unwrap();
    drop(peer);
    let mut all = Vec::new();
    assert!(lost.read_to_end(&mut all).await.is_err());
    assert_eq!(all, b"lost");
}

#[tokio::test]
async fn what_a_stream_holds_is_bounded_whatever_its_frames_are_like() {
    let (here, mut there) = sockets(1 << 20);
    let muxer = ours(here, false);
    let state = Arc::clone(&muxer.state);
    let mut one = Running::new(muxer);
    let header = |flags, length| {
        Header {
            kind: Kind::Data,
            flags,
            stream: 1,
            length,
        }
        .encode()
    };
    there.write_all(&header(SYN, 0)).await.unwrap();
    let _stream = one.accepted.recv().await.unwrap();
    // One byte a frame; then one that never comes whole.
    let tiny: Vec<u8> = (0..FIRST / 2)
        .flat_map(|_| [&header(0, 1)[..], b"x"].concat())
        .collect();
    there.write_all(&tiny).await.unwrap();
    there.write_all(&header(0, FIRST / 2)).await.unwrap();
    for _ in 0..FIRST / 4 {
        there.write_all(b"y").await.unwrap();
        tokio::task::yield_now().await;
    }
    let held = state.lock().held();
    assert!(held < 2 * FIRST as usize, "{held}");
}

#[tokio::test]
async fn a_body_that_began_before_its_stream_is_not_the_streams() {
    let (here, mut there) = sockets(1 << 20);
    let muxer = ours(here, false);
    let state = Arc::clone(&muxer.state);
    let one = Running::new(muxer);
    let header = Header {
        kind: Kind::Data,
        flags: 0,
        stream: 2,
        length: u32::MAX,
    };
    there.write_all(&header.encode()).await.unwrap();
    there.write_all(b"begun").await.unwrap();
    tokio::task::yield_now().await;
    let _stream = one.open().await;
    for _ in 0..64 {
        there.write_all(&[7; 16 << 10]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let held = state.lock().held();
    assert!(held < 16 << 10, "{held}");
}

#[tokio::test]
async fn a_peer_that_opens_and_ends_streams_and_does_not_read_is_not_read_either() {
    // So few come at once that none is one too many.
    let (here, mut there) = sockets(1 << 10);
    let muxer = ours(here, false);
    let state = Arc::clone(&muxer.state);
    let mut one = Running::new(muxer);
    let given_up = tokio::spawn(async move { while one.accepted.recv().await.is_some() {} });
    let opened: Vec<u8> = (0..50_000)
        .flat_map(|nth| {
            let header = Header {
                kind: Kind::Data,
                flags: SYN | FIN,
                stream: 1 + 2 * nth,
                length: 0,
            };
            header.encode()
        })
        .collect();
    let all = there.write_all(&opened);
    let wait = std::time::Duration::from_millis(300);
    assert!(tokio::time::timeout(wait, all).await.is_err());
    let held = state.lock().held();
    assert!(held < 64 << 10, "{held}");
    given_up.abort();
}

#[tokio::test]
async fn a_peer_that_pings_and_does_not_read_is_not_read_either() {
    let (here, mut there) = sockets(4 << 10);
    let muxer = ours(here, false);
    let state = Arc::clone(&muxer.state);
    let _one = Running::new(muxer);
    let ping = Header {
        kind: Kind::Ping,
        flags: SYN,
        stream: 0,
        length: 7,
    };
    let many = ping.encode().repeat(100_000);
    let pings = there.write_all(&many);
    let wait = std::time::Duration::from_millis(300);
    assert!(tokio::time::timeout(wait, pings).await.is_err());
    let held = state.lock().held();
    assert!((10 << 10..64 << 10).contains(&held), "{held}");
    // Once it reads, all is answered.
    let (mut read, mut write) = there.split();
    let asks = tokio::spawn(async move {
        // Where the write was broken off is not known: another connection would have to be made.
        let _ = write.write_all(&ping.encode().repeat(10)).await;
    });
    let mut some = vec![0; 8 << 10];
    read.read_exact(&mut some).await.unwrap();
    asks.abort();
}

#[tokio::test]
async fn an_idle_connection_holds_no_buffer_and_what_was_written_is_there() {
    let (here, there) = sockets(64 << 10);
    let muxer = ours(here, true);
    let state = Arc::clone(&muxer.state);
    let one = Running::new(muxer);
    let two = Running::new(ours(there, false));
    let mut stream = one.open().await;
    let echoing = tokio::spawn(echo(two.accepted));
    let all = bytes(3, 3 << 20);
    let (mut read, mut write) = stream_halves(&mut stream);
    let mut back = vec![0; all.len()];
    let (sent, came) = futures::join!(write.write_all(&all), read.read_exact(&mut back));
    sent.and(came).unwrap();
    assert!(back == all);
    while state.lock().held() > 1 << 10 {
        tokio::task::yield_now().await;
    }
    echoing.abort();
}

fn stream_halves(
    stream: &mut Stream,
) -> (
    futures::io::ReadHalf<&mut Stream>,
    futures::io::WriteHalf<&mut Stream>,
) {
    stream.split()
}

#[tokio::test]
async fn a_close_writes_what_is_there_first() {
    let (here, mut there) = sockets(1 << 20);
    let mut muxer = ours(here, true);
    let mut stream = poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await.unwrap();
    stream.write_all(b"last words").await.unwrap();
    poll_fn(|cx| muxer.poll_close_unpin(cx)).await.unwrap();
    assert!(stream.write_all(b"more").await.is_err());
    let mut all = Vec::new();
    there.read_to_end(&mut all).await.unwrap();
    let text = b"last words";
    assert!(all.windows(text.len()).any(|part| part == text));
    assert_eq!(all[all.len() - HEADER + 1], 3, "says that it goes");
}
