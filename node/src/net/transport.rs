//! How bytes reach a peer: TCP, WebSocket and QUIC, through relays where needed.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use libp2p::core::Transport as _;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox};
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::{PeerId, dns, relay, tcp, websocket};

use super::NetError;
use super::ahead::ReadAhead;
use super::book::shown_address;
use super::guard::{Filters, Guarded};
use super::mux::{Muxer, Muxing};
use super::quic::{Quic, QuicSettings};
use super::security::{Encrypted, Security};
use super::settings::Settings;
use super::traffic::{Metered, OpenStreams, Traffic};

/// Longest time from a raw connection to an authenticated one.
const HANDSHAKE_MAX: Duration = Duration::from_secs(15);

/// Streams that a peer may have open on one connection.
pub const STREAMS_MAX: usize = 256;

/// A transport whose connections are encrypted and carry streams.
pub type Transport = Boxed<(PeerId, StreamMuxerBox)>;

/// The same with the list of each connection's open streams.
type Listed = Boxed<(PeerId, StreamMuxerBox, Arc<OpenStreams>)>;

/// What makes connections with streams of those with bytes.
struct Upgrades {
    security: Security,
    muxing: Muxing,
}

/// Builds the transports that the settings ask for, and the relay client's behaviour when it is on.
pub fn build(
    key: &Keypair,
    settings: &Settings,
    filters: &Filters,
    traffic: &Arc<Traffic>,
) -> Result<(Transport, Option<relay::client::Behaviour>), NetError> {
    let upgrades = Upgrades {
        security: Security::new(key, &settings.security)?,
        muxing: Muxing::new(STREAMS_MAX),
    };
    let psk = settings.private_network;
    let mut direct = Vec::new();
    if settings.transports.tcp {
        let tcp = tcp::tokio::Transport::new(tcp_config());
        direct.push(secured(tcp, psk, &upgrades, traffic));
    }
    // A private network has no QUIC: its key wraps byte streams only.
    if settings.transports.quic && psk.is_none() {
        let down = settings.bandwidth.down;
        let quic = QuicSettings::new(key, STREAMS_MAX as u32, down, HANDSHAKE_MAX)?;
        direct.push(metered(Quic::new(quic), traffic, false));
    }
    // The DNS wrapper takes every address, so whatever is not for it comes before.
    let mut all = Vec::new();
    let mut relayed = None;
    if settings.transports.relay {
        let (transport, behaviour) = relay::client::new(key.public().to_peer_id());
        relayed = Some(behaviour);
        all.push(metered(encrypted(transport, &upgrades), traffic, true));
    }
    if settings.transports.websocket {
        let tcp = tcp::tokio::Transport::new(tcp_config());
        // Below WebSocket, so that the name stays for the HTTP host and the certificate.
        let socket = websocket::Config::new(with_dns(Guarded::new(tcp, filters)));
        all.push(secured(socket, psk, &upgrades, traffic));
    }
    all.extend(join(direct).map(|direct| with_dns(Guarded::new(direct, filters)).boxed()));
    let all = join(all).ok_or_else(|| NetError::BadSetting {
        key: "Swarm.Transports.Network",
        reason: "every transport is switched off".to_owned(),
    })?;
    let traffic = Arc::clone(traffic);
    // Here, where the address is the one that the swarm knows.
    let all = all.map(move |(peer, muxer, open), endpoint| {
        traffic.open.register(peer, shown_address(&endpoint), &open);
        (peer, muxer)
    });
    Ok((all.boxed(), relayed))
}

/// Tries one after the other.
fn join(parts: Vec<Listed>) -> Option<Listed> {
    parts.into_iter().reduce(|all, next| {
        all.or_transport(next)
            .map(|either, _| either.into_inner())
            .boxed()
    })
}

/// Wraps a transport of bytes in the private network's key, if any, encryption and streams, which are counted.
fn secured<T>(
    raw: T,
    psk: Option<PreSharedKey>,
    upgrades: &Upgrades,
    traffic: &Arc<Traffic>,
) -> Listed
where
    T: libp2p::core::Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    match psk {
        Some(key) => {
            let raw = raw.and_then(move |socket, _| PnetConfig::new(key).handshake(socket));
            metered(encrypted(raw, upgrades), traffic, false)
        }
        None => metered(encrypted(raw, upgrades), traffic, false),
    }
}

/// Counts what the streams of each connection carry. A relayed connection runs inside of another one.
fn metered<T, M>(connections: T, traffic: &Arc<Traffic>, relayed: bool) -> Listed
where
    T: libp2p::core::Transport<Output = (PeerId, M)> + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
    M: StreamMuxer + Send + Unpin + 'static,
    M::Substream: Send + Unpin + 'static,
    M::Error: Send + Sync + 'static,
{
    let traffic = Arc::clone(traffic);
    connections
        .map(move |(peer, muxer), _| {
            let muxer = Metered::new(muxer, &traffic, peer, relayed);
            let open = muxer.open_streams();
            (peer, StreamMuxerBox::new(muxer), open)
        })
        .boxed()
}

type Muxed<T> = Muxer<Encrypted<ReadAhead<T>>>;

fn encrypted<T>(
    raw: T,
    upgrades: &Upgrades,
) -> impl libp2p::core::Transport<
    Output = (PeerId, Muxed<T::Output>),
    Error: Send + Sync + 'static,
    Dial: Send + 'static,
    ListenerUpgrade: Send + 'static,
> + Send
+ Unpin
+ 'static
where
    T: libp2p::core::Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    raw.map(|socket, _| ReadAhead::new(socket))
        .upgrade(Version::V1Lazy)
        .authenticate(upgrades.security.clone())
        .multiplex(upgrades.muxing.clone())
        .timeout(HANDSHAKE_MAX)
}

fn tcp_config() -> tcp::Config {
    tcp::Config::new().nodelay(true)
}

/// Resolves names before dialling. A machine without DNS settings asks itself, as the C library does, and still dials
/// addresses.
fn with_dns<T: libp2p::core::Transport>(inner: T) -> dns::tokio::Transport<T> {
    let (config, options) =
        hickory_resolver::system_conf::read_system_conf().unwrap_or_else(|_| {
            let here = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
            (
                ResolverConfig::from_parts(None, Vec::new(), vec![here]),
                ResolverOpts::default(),
            )
        });
    dns::tokio::Transport::custom(inner, config, options)
}
