//! Every protocol of the node in one behaviour. The derive is costly to compile: nothing else belongs here.

use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{autonat, connection_limits, dcutr, identify, mdns, relay, upnp};

use super::NetError;
use super::gate;
use super::guard::Filters;
use super::kad::{self, Dht, Scope};
use super::pubsub::Gossip;
use super::settings::Settings;
use super::streams;

/// Told to every peer, as Kubo does.
pub const PROTOCOL_VERSION: &str = "ipfs/0.1.0";

/// Handshakes at the same time, each way.
pub const PENDING_MAX: u32 = 512;

/// Connections to one peer: both may dial at once, over two transports, and a relayed one may be on its way out.
pub const PER_PEER_MAX: u32 = 8;

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub struct Behaviour {
    // Those that may refuse a connection come first, so that no other one learns of it.
    pub gate: gate::Behaviour,
    pub limits: connection_limits::Behaviour,
    pub identify: identify::Behaviour,
    pub streams: streams::Behaviour,
    pub bitswap: Toggle<ipfs_kit_bitswap::Behaviour>,
    pub wan: Toggle<Dht>,
    pub lan: Toggle<Dht>,
    pub pubsub: Toggle<Gossip>,
    pub mdns: Toggle<mdns::tokio::Behaviour>,
    pub relay_client: Toggle<relay::client::Behaviour>,
    pub relay_service: Toggle<relay::Behaviour>,
    pub hole_punching: Toggle<dcutr::Behaviour>,
    pub autonat_client: autonat::v2::client::Behaviour,
    pub autonat_service: Toggle<autonat::v2::server::Behaviour>,
    pub port_mapping: Toggle<upnp::tokio::Behaviour>,
}

impl Behaviour {
    /// Everything the settings ask for.
    pub fn new(
        key: &Keypair,
        settings: &Settings,
        filters: Filters,
        relay_client: Option<relay::client::Behaviour>,
        bitswap: Option<ipfs_kit_bitswap::Behaviour>,
    ) -> Result<Self, NetError> {
        let local = key.public().to_peer_id();
        let mdns = settings.mdns.then(|| {
            mdns::tokio::Behaviour::new(mdns::Config::default(), local).map_err(|error| {
                NetError::Transport {
                    what: "mDNS (Discovery.MDNS.Enabled)",
                    reason: error.to_string(),
                }
            })
        });
        let pubsub = settings.pubsub.as_ref();
        let pubsub = pubsub.map(|settings| super::pubsub::behaviour(key, settings));
        let lan = Scope::Lan {
            loopback: settings.loopback_on_lan,
        };
        Ok(Self {
            gate: gate::Behaviour::new(filters, settings.caps.clone()),
            limits: connection_limits::Behaviour::new(limits()),
            identify: identify::Behaviour::new(identity(key, settings)),
            streams: streams::Behaviour::default(),
            bitswap: bitswap.into(),
            wan: kad::dht(Scope::Wan, local, settings).into(),
            lan: kad::dht(lan, local, settings).into(),
            pubsub: pubsub.transpose()?.into(),
            mdns: mdns.transpose()?.into(),
            hole_punching: settings
                .hole_punching
                .then(|| dcutr::Behaviour::new(local))
                .into(),
            relay_client: relay_client.into(),
            relay_service: settings
                .relay_service
                .as_ref()
                .map(|service| relay::Behaviour::new(local, relay_config(service)))
                .into(),
            autonat_client: autonat::v2::client::Behaviour::default(),
            autonat_service: settings
                .autonat_service
                .then(autonat::v2::server::Behaviour::default)
                .into(),
            port_mapping: settings
                .port_mapping
                .then(upnp::tokio::Behaviour::default)
                .into(),
        })
    }
}

fn limits() -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_MAX))
        .with_max_pending_outgoing(Some(PENDING_MAX))
        .with_max_established_per_peer(Some(PER_PEER_MAX))
}

fn identity(key: &Keypair, settings: &Settings) -> identify::Config {
    // The listen addresses are told as external ones where some of them are to be kept back.
    let hide = !settings.announce.is_empty() || !settings.no_announce.is_empty();
    // No signed peer record: the library signs it for a domain of its own, and peers of js-libp2p then take nothing of
    // what identify tells, not even that this node speaks Bitswap.
    identify::Config::new(PROTOCOL_VERSION.to_owned(), key.public())
        .with_agent_version(settings.agent.clone())
        .with_push_listen_addr_updates(true)
        .with_cache_size(0)
        .with_hide_listen_addrs(hide)
}

fn relay_config(service: &super::settings::RelayService) -> relay::Config {
    relay::Config {
        max_reservations: service.reservations,
        max_circuits: service.circuits,
        reservation_duration: service.ttl,
        max_circuit_duration: service.duration,
        max_circuit_bytes: service.bytes,
        ..relay::Config::default()
    }
}
