//! How connections are made.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use libp2p::identity::Keypair;
use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, EndpointConfig, MtuDiscoveryConfig, ServerConfig, TokioRuntime, TransportConfig,
    VarInt,
};

use crate::net::NetError;
use crate::net::tls;

/// Receive windows in bytes: 240 MB/s at a round trip of 200 ms have 48 MB on the way.
const STREAM_WINDOW: u32 = 48 << 20;
const CONNECTION_WINDOW: u32 = 56 << 20;
const LEAST_WINDOW: u32 = 64 << 10;

/// What may wait to be acknowledged at first; see [`super::connection`]. Less, and a busy machine does not fill it in time.
pub const SEND_WINDOW_MIN: u64 = 8 << 20;

/// Bytes that are sent before anything is acknowledged, as many as web servers use.
const FIRST_BURST: u64 = 32 * 1200;

/// Longest datagram that is sent and taken. `quinn` hands up to ten of them to the kernel with one call, which takes 64 KiB
/// at most and would drop more without a word.
const DATAGRAM_MAX: u16 = 6500;

/// After this time, long datagrams are tried again.
const SECOND_TRY: Duration = Duration::from_secs(1);

/// A peer that is silent for this long is gone; something is sent after the second time.
const SILENCE_MAX: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// The ends of connections, ready to be used.
#[derive(Clone)]
pub struct QuicSettings {
    client: ClientConfig,
    client_here: ClientConfig,
    server: ServerConfig,
    server_here: Arc<ServerConfig>,
    endpoint: EndpointConfig,
    pub handshake_max: Duration,
}

impl QuicSettings {
    /// Makes a certificate. `down` is the limit of what comes in, in bytes a second.
    pub fn new(
        key: &Keypair,
        streams: u32,
        down: Option<u64>,
        handshake_max: Duration,
    ) -> Result<Self, NetError> {
        let failed = |reason: String| NetError::Transport {
            what: "QUIC",
            reason,
        };
        let (client, server) = tls::configs_for(key).map_err(failed)?;
        let text = |error: &dyn std::error::Error| failed(error.to_string());
        let client = QuicClientConfig::try_from(client).map_err(|error| text(&error))?;
        let client = Arc::new(client);
        let server = QuicServerConfig::try_from(server).map_err(|error| text(&error))?;
        let server = Arc::new(server);
        let ends = |on_this_machine: bool| {
            let transport = Arc::new(transport(streams, down, on_this_machine));
            let mut client = ClientConfig::new(Arc::clone(&client) as _);
            client.transport_config(Arc::clone(&transport));
            let mut server = ServerConfig::with_crypto(Arc::clone(&server) as _);
            server.transport_config(transport);
            // The swarm knows a connection by the address that it came from.
            server.migration(false);
            (client, server)
        };
        let ((client, server), (client_here, server_here)) = (ends(false), ends(true));
        Ok(Self {
            client,
            client_here,
            server,
            server_here: Arc::new(server_here),
            endpoint: endpoint(key).map_err(|error| text(&error))?,
            handshake_max,
        })
    }

    /// How to dial an address.
    pub fn client(&self, remote: SocketAddr) -> ClientConfig {
        match remote.ip().is_loopback() {
            true => self.client_here.clone(),
            false => self.client.clone(),
        }
    }

    /// How to take a connection from this machine; from elsewhere the endpoint knows it.
    pub fn server_here(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server_here)
    }

    /// An endpoint on a socket.
    pub fn endpoint(&self, socket: UdpSocket, listens: bool) -> io::Result<quinn::Endpoint> {
        let server = listens.then(|| self.server.clone());
        let runtime = Arc::new(TokioRuntime);
        quinn::Endpoint::new(self.endpoint.clone(), server, socket, runtime)
    }
}

fn transport(streams: u32, down: Option<u64>, on_this_machine: bool) -> TransportConfig {
    let mut config = TransportConfig::default();
    config.max_concurrent_uni_streams(0_u32.into());
    config.max_concurrent_bidi_streams(streams.into());
    config.datagram_receive_buffer_size(None);
    config.keep_alive_interval(Some(KEEP_ALIVE));
    let silence = VarInt::from_u32(SILENCE_MAX.as_millis() as u32);
    config.max_idle_timeout(Some(silence.into()));
    config.allow_spin(false);
    // What is on its way is taken whatever the limit is: so it must not be more than a second has.
    let most = down.map_or(u32::MAX, |down| u32::try_from(down).unwrap_or(u32::MAX));
    let most = most.max(LEAST_WINDOW);
    config.stream_receive_window(STREAM_WINDOW.min(most).into());
    config.receive_window(CONNECTION_WINDOW.min(most).into());
    config.send_window(SEND_WINDOW_MIN);
    let mut cubic = CubicConfig::default();
    cubic.initial_window(FIRST_BURST);
    config.congestion_controller_factory(Arc::new(cubic));
    let mut discovery = MtuDiscoveryConfig::default();
    if on_this_machine {
        discovery.upper_bound(DATAGRAM_MAX);
        // Many losses, as when a process does not get to read, look like a path that takes less than before.
        discovery.black_hole_cooldown(SECOND_TRY);
    }
    config.mtu_discovery_config(Some(discovery));
    config
}

fn endpoint(key: &Keypair) -> Result<EndpointConfig, quinn::ConfigError> {
    // So that a node that was started again can end connections of its earlier life.
    let mut config = match key.derive_secret(b"libp2p quic stateless reset key") {
        Some(secret) => EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &secret))),
        None => EndpointConfig::default(),
    };
    config.supported_versions(vec![1]);
    config.max_udp_payload_size(DATAGRAM_MAX)?;
    Ok(config)
}
