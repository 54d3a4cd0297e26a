use std::future::poll_fn;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxer;
use libp2p::identity::Keypair;

use super::connection::Stream;
use super::settings::SEND_WINDOW_MIN;
use super::*;

/// Few networks take datagrams of this length.
const LONG: u16 = 6000;

const HERE: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

fn quic(handshake_max: Duration) -> (Quic, PeerId) {
    let key = Keypair::generate_ed25519();
    let settings = QuicSettings::new(&key, 16, None, handshake_max).unwrap();
    (Quic::new(settings), key.public().to_peer_id())
}

fn patient() -> (Quic, PeerId) {
    quic(Duration::from_secs(30))
}

async fn event(quic: &mut Quic) -> TransportEvent<Connecting, QuicError> {
    poll_fn(|cx| Pin::new(&mut *quic).poll(cx)).await
}

async fn listen(quic: &mut Quic) -> (ListenerId, Multiaddr) {
    let id = ListenerId::next();
    quic.listen_on(id, HERE.parse().unwrap()).unwrap();
    match event(quic).await {
        TransportEvent::NewAddress {
            listener_id,
            listen_addr,
        } if listener_id == id => (id, listen_addr),
        other => panic!("{other:?}"),
    }
}

async fn accept(quic: &mut Quic) -> (PeerId, Connection) {
    match event(quic).await {
        TransportEvent::Incoming { upgrade, .. } => upgrade.await.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn dialing(role: Role, port_use: PortUse) -> DialOpts {
    DialOpts { role, port_use }
}

/// Both ends of a connection, and who they take the other for.
async fn connected(
    to: &Multiaddr,
    dialer: &mut Quic,
    listener: &mut Quic,
) -> [(PeerId, Connection); 2] {
    let dial = dialer.dial(to.clone(), dialing(Role::Dialer, PortUse::Reuse));
    let (dialled, accepted) = tokio::join!(dial.unwrap(), accept(listener));
    [dialled.unwrap(), accepted]
}

async fn open(from: &mut Connection, to: &mut Connection) -> [Stream; 2] {
    let mut near = poll_fn(|cx| Pin::new(&mut *from).poll_outbound(cx))
        .await
        .unwrap();
    // A stream is known to the other side with its first byte.
    near.write_all(&[0]).await.unwrap();
    let mut far = poll_fn(|cx| Pin::new(&mut *to).poll_inbound(cx))
        .await
        .unwrap();
    far.read_exact(&mut [0]).await.unwrap();
    [near, far]
}

#[tokio::test]
async fn bytes_go_both_ways_in_long_datagrams_on_one_machine() {
    let ((mut one, one_is), (mut two, two_is)) = (patient(), patient());
    let (_, address) = listen(&mut two).await;
    listen(&mut one).await;
    let [(is_two, mut near), (is_one, mut far)] = connected(&address, &mut one, &mut two).await;
    assert_eq!((is_one, is_two), (one_is, two_is));
    let [mut here, mut there] = open(&mut near, &mut far).await;
    // Longer datagrams are tried one by one while there is nothing else to send.
    let mut turns = 0;
    while near.datagram() < LONG || far.datagram() < LONG {
        assert!(turns < 1000, "{} {}", near.datagram(), far.datagram());
        turns += 1;
        here.write_all(&[1]).await.unwrap();
        there.read_exact(&mut [0]).await.unwrap();
        there.write_all(&[2]).await.unwrap();
        here.read_exact(&mut [0]).await.unwrap();
    }
    let data: Vec<u8> = (0..8_u32 << 20).map(|n| (n >> 3) as u8).collect();
    for turn in 0..2 {
        let mut got = vec![0; data.len()];
        let (send, read) = if turn == 0 {
            tokio::join!(here.write_all(&data), there.read_exact(&mut got))
        } else {
            tokio::join!(there.write_all(&data), here.read_exact(&mut got))
        };
        send.unwrap();
        read.unwrap();
        assert!(got == data);
    }
    here.close().await.unwrap();
    here.close().await.unwrap();
    assert_eq!(there.read(&mut [0; 8]).await.unwrap(), 0, "the end");
    poll_fn(|cx| Pin::new(&mut near).poll_close(cx))
        .await
        .unwrap();
    let gone = poll_fn(|cx| Pin::new(&mut far).poll_inbound(cx)).await;
    assert!(matches!(gone, Err(QuicError::Connection(_))));
}

#[tokio::test]
async fn who_does_not_answer_is_given_up() {
    let (mut one, _) = quic(Duration::from_millis(200));
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = address::write(silent.local_addr().unwrap());
    let dial = one
        .dial(address, dialing(Role::Dialer, PortUse::Reuse))
        .unwrap();
    assert!(matches!(dial.await, Err(QuicError::TimedOut)));
}

#[tokio::test]
async fn other_addresses_are_for_others() {
    let (mut one, _) = patient();
    for other in [
        "/ip4/127.0.0.1/udp/1",
        "/ip4/127.0.0.1/tcp/1/quic-v1",
        "/ip4/127.0.0.1/udp/1/quic",
        "/ip4/127.0.0.1/udp/1/quic-v1/webtransport",
        "/dns4/localhost/udp/1/quic-v1",
    ] {
        let address: Multiaddr = other.parse().unwrap();
        let refused = one.listen_on(ListenerId::next(), address.clone());
        assert!(
            matches!(refused, Err(TransportError::MultiaddrNotSupported(_))),
            "{other}"
        );
        let refused = one.dial(address, dialing(Role::Dialer, PortUse::Reuse));
        assert!(
            matches!(refused, Err(TransportError::MultiaddrNotSupported(_))),
            "{other}"
        );
    }
    for nowhere in [HERE, "/ip4/0.0.0.0/udp/9/quic-v1"] {
        let refused = one.dial(
            nowhere.parse().unwrap(),
            dialing(Role::Dialer, PortUse::New),
        );
        assert!(
            matches!(refused, Err(TransportError::MultiaddrNotSupported(_))),
            "{nowhere}"
        );
    }
}

#[tokio::test]
async fn a_listener_on_all_addresses_names_them_and_tells_its_end() {
    let (mut one, _) = patient();
    let id = ListenerId::next();
    one.listen_on(id, "/ip4/0.0.0.0/udp/0/quic-v1".parse().unwrap())
        .unwrap();
    let mut found = Vec::new();
    while !found.iter().any(|ip: &IpAddr| ip.is_loopback()) {
        match event(&mut one).await {
            TransportEvent::NewAddress { listen_addr, .. } => {
                let named = address::read(&listen_addr).unwrap();
                assert!(named.port() != 0 && named.is_ipv4());
                found.push(named.ip());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(one.remove_listener(id) && !one.remove_listener(ListenerId::next()));
    loop {
        match event(&mut one).await {
            TransportEvent::NewAddress { .. } => {}
            TransportEvent::ListenerClosed { listener_id, .. } => {
                assert_eq!(listener_id, id);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let to: SocketAddr = "127.0.0.1:9".parse().unwrap();
    assert!(
        one.listener_for(to).is_none(),
        "a closed one is not dialled from"
    );
}

#[tokio::test]
async fn a_peer_is_let_in_and_comes_out_of_the_dial() {
    let ((mut one, one_is), (mut two, two_is)) = (patient(), patient());
    let letting_in = || dialing(Role::Listener, PortUse::New);
    let (_, to_one) = listen(&mut one).await;
    let refused = two.dial(to_one.clone(), letting_in());
    assert!(matches!(
        refused,
        Err(TransportError::Other(QuicError::NoListener))
    ));
    let (_, to_two) = listen(&mut two).await;
    let letting = one.dial(to_two.clone(), letting_in()).unwrap();
    let again = one.dial(to_two.clone(), letting_in());
    assert!(matches!(
        again,
        Err(TransportError::Other(QuicError::Punching(_)))
    ));
    let dial = two
        .dial(to_one, dialing(Role::Dialer, PortUse::Reuse))
        .unwrap();
    let listening = tokio::spawn(async move {
        let event = event(&mut one).await;
        panic!("it went to the dial: {event:?}");
    });
    let (came, dialled) = tokio::join!(letting, dial);
    assert_eq!(came.unwrap().0, two_is);
    assert_eq!(dialled.unwrap().0, one_is);
    assert!(!listening.is_finished());
    listening.abort();
}

/// Carries datagrams both ways between whoever comes and `to`, until it is cut.
async fn between(to: SocketAddr, cut: Arc<AtomicBool>) -> SocketAddr {
    let front = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let back = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    back.connect(to).await.unwrap();
    let address = front.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut there, mut here) = (vec![0; 65_536], vec![0; 65_536]);
        let mut client = None;
        loop {
            tokio::select! {
                got = front.recv_from(&mut there) => {
                    let (len, from) = got.unwrap();
                    client = Some(from);
                    let _ = back.send(&there[..len]).await;
                }
                got = back.recv(&mut here) => {
                    let len = got.unwrap();
                    if let (Some(client), false) = (client, cut.load(Ordering::Relaxed)) {
                        let _ = front.send_to(&here[..len], client).await;
                    }
                }
            }
        }
    });
    address
}

#[tokio::test]
async fn what_is_kept_for_a_peer_that_acknowledges_nothing_is_bounded() {
    let ((mut one, _), (mut two, _)) = (patient(), patient());
    let (_, address) = listen(&mut two).await;
    let cut = Arc::<AtomicBool>::default();
    let middle = between(address::read(&address).unwrap(), Arc::clone(&cut)).await;
    let middle = address::write(middle);
    let [(_, mut near), (_, mut far)] = connected(&middle, &mut one, &mut two).await;
    let [mut here, _there] = open(&mut near, &mut far).await;
    cut.store(true, Ordering::Relaxed);
    let piece = vec![7; 64 << 10];
    let mut taken = 0_u64;
    // Whatever is taken without being waited for, and what follows within a while.
    let fill = async {
        loop {
            let written = poll_fn(|cx| Pin::new(&mut here).poll_write(cx, &piece)).await;
            taken += written.unwrap() as u64;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_millis(500), fill)
            .await
            .is_err()
    );
    let most = SEND_WINDOW_MIN + (256 << 10);
    assert!(taken > 0 && taken <= most, "{taken}");
}
