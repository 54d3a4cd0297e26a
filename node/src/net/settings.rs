//! The network's part of the configuration, read once when the node goes online. Keys and defaults are Kubo's.

mod addresses;

use std::path::{Path, PathBuf};
use std::time::Duration;

use libp2p::pnet::PreSharedKey;
use libp2p::{Multiaddr, PeerId};

use super::NetError;
use super::custom::{self, Plan};
use super::filter::IpRange;
use super::limits::{self, BandwidthLimits, Caps};
use crate::config::Config;
use crate::delegated::DelegatedSettings;
use crate::retrieval::RetrievalSettings;

pub use addresses::{Kind, NoAnnounce, kind_of};
use addresses::{addresses, bootstrap, filters, ignored, listen_addresses, no_announce, peering};

/// An encryption of byte streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityKind {
    /// TLS 1.3 with the peer's key in the certificate.
    Tls,
    /// Noise XX.
    Noise,
}

/// `Swarm.Transports.Network`.
#[derive(Clone, Debug)]
pub struct Transports {
    pub tcp: bool,
    pub quic: bool,
    pub websocket: bool,
    pub relay: bool,
}

/// `Swarm.ConnMgr`.
#[derive(Clone, Debug)]
pub struct ConnSettings {
    /// Connections are trimmed down to this number.
    pub low: usize,
    /// Trimming starts above this number; `None` never trims.
    pub high: Option<usize>,
    /// Younger connections are left alone.
    pub grace: Duration,
    /// Between two looks.
    pub silence: Duration,
}

/// `Routing.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutingMode {
    /// No DHT.
    Off,
    /// Asks and never answers.
    Client,
    /// Answers, whether reachable or not.
    Server,
    /// Answers once it is known to be reachable.
    Auto,
}

impl RoutingMode {
    /// A DHT that two routers want serves as much as either wants.
    fn wider(self, other: Self) -> Self {
        let rank = |mode| match mode {
            Self::Off => 0,
            Self::Client => 1,
            Self::Auto => 2,
            Self::Server => 3,
        };
        if rank(other) > rank(self) {
            other
        } else {
            self
        }
    }
}

/// What this node is in each DHT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DhtModes {
    pub wan: RoutingMode,
    pub lan: RoutingMode,
}

impl DhtModes {
    /// In neither.
    pub const OFF: Self = Self {
        wan: RoutingMode::Off,
        lan: RoutingMode::Off,
    };

    fn both(mode: RoutingMode) -> Self {
        Self {
            wan: mode,
            lan: mode,
        }
    }

    /// In the WAN's, or the LAN's.
    pub fn of(self, wan: bool) -> RoutingMode {
        if wan { self.wan } else { self.lan }
    }

    /// A router wants this of a DHT.
    pub fn widen(&mut self, wan: bool, mode: RoutingMode) {
        let own = if wan { &mut self.wan } else { &mut self.lan };
        *own = own.wider(mode);
    }
}

/// `Swarm.RelayService`.
#[derive(Clone, Debug)]
pub struct RelayService {
    pub reservations: usize,
    pub circuits: usize,
    pub ttl: Duration,
    pub duration: Duration,
    pub bytes: u64,
}

/// `Pubsub`.
#[derive(Clone, Debug)]
pub struct PubsubSettings {
    /// How long a message counts as seen.
    pub seen: Duration,
}

/// Everything the network is told.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: Vec<Multiaddr>,
    pub announce: Vec<Multiaddr>,
    pub append_announce: Vec<Multiaddr>,
    pub no_announce: Vec<NoAnnounce>,
    pub filters: Vec<IpRange>,
    pub transports: Transports,
    pub security: Vec<SecurityKind>,
    pub private_network: Option<PreSharedKey>,
    pub connections: ConnSettings,
    pub caps: Caps,
    pub bandwidth: BandwidthLimits,
    pub bandwidth_told: bool,
    pub routing: DhtModes,
    /// `Routing.Routers` and `Routing.Methods`, where `Routing.Type` is `custom`.
    pub custom: Option<Plan>,
    pub delegated: DelegatedSettings,
    pub retrieval: RetrievalSettings,
    /// `Routing.IgnoreProviders`: nobody is asked for a block because one of these is said to have it.
    pub ignored: Vec<PeerId>,
    /// Where the DHTs' records are kept; `None`: in memory.
    pub records: Option<PathBuf>,
    pub loopback_on_lan: bool,
    pub bootstrap: Vec<Multiaddr>,
    pub peering: Vec<(PeerId, Vec<Multiaddr>)>,
    pub mdns: bool,
    pub pubsub: Option<PubsubSettings>,
    /// `Ipns.UsePubsub`.
    pub name_topics: bool,
    pub relay_client: bool,
    pub static_relays: Vec<Multiaddr>,
    pub relay_service: Option<RelayService>,
    pub hole_punching: bool,
    pub autonat_service: bool,
    pub port_mapping: bool,
    /// `Experimental.Libp2pStreamMounting`.
    pub mounting: bool,
    pub bitswap: bool,
    pub bitswap_server: bool,
    pub agent: String,
    /// What of the configuration has no effect, a sentence each.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads the merged configuration and the repo's `swarm.key`.
    pub fn read(config: &Config, repo: Option<&Path>) -> Result<Self, NetError> {
        let mut warnings = Vec::new();
        let private_network = repo.map_or(Ok(None), swarm_key)?;
        let on = |key: &str, default: bool| config.flag(key).unwrap_or(default);
        let transports = Transports {
            tcp: on("Swarm.Transports.Network.TCP", true),
            quic: on("Swarm.Transports.Network.QUIC", true),
            websocket: on("Swarm.Transports.Network.Websocket", true),
            relay: on("Swarm.Transports.Network.Relay", true),
        };
        let name_topics = on("Ipns.UsePubsub", false);
        let relay_client = transports.relay && on("Swarm.RelayClient.Enabled", true);
        let public = private_network.is_none();
        let connections = connections(config)?;
        let bootstrap = bootstrap(config, public)?;
        let (modes, custom) = routing(config, &mut warnings)?;
        let delegated = DelegatedSettings::read(config, public && !bootstrap.is_empty())?;
        let settings = Self {
            listen: listen_addresses(config, &transports, public, &mut warnings)?,
            announce: addresses(config, "Addresses.Announce")?,
            append_announce: addresses(config, "Addresses.AppendAnnounce")?,
            no_announce: no_announce(config)?,
            filters: filters(config)?,
            security: security(config)?,
            private_network,
            caps: limits::caps(config, connections.high, &mut warnings)?,
            connections,
            bandwidth: limits::bandwidth(config)?,
            bandwidth_told: !on("Swarm.DisableBandwidthMetrics", false),
            routing: modes,
            custom,
            delegated,
            retrieval: RetrievalSettings::read(config)?,
            ignored: ignored(config)?,
            records: repo.map(|repo| repo.join("dht.redb")),
            loopback_on_lan: on("Routing.LoopbackAddressesOnLanDHT", false),
            bootstrap,
            peering: peering(config)?,
            mdns: on("Discovery.MDNS.Enabled", true) && public,
            pubsub: (on("Pubsub.Enabled", false) || name_topics).then(|| PubsubSettings {
                seen: config
                    .duration("Pubsub.SeenMessagesTTL")
                    .unwrap_or(Duration::from_secs(120)),
            }),
            name_topics,
            relay_client,
            static_relays: addresses(config, "Swarm.RelayClient.StaticRelays")?,
            relay_service: on("Swarm.RelayService.Enabled", false).then(|| relay_service(config)),
            hole_punching: relay_client && on("Swarm.EnableHolePunching", true),
            autonat_service: config.text("AutoNAT.ServiceMode") != Some("disabled"),
            port_mapping: !on("Swarm.DisableNatPortMap", false),
            mounting: on("Experimental.Libp2pStreamMounting", false),
            bitswap: on("Bitswap.Libp2pEnabled", true),
            bitswap_server: on("Bitswap.ServerEnabled", true),
            agent: agent(config),
            transports,
            warnings: Vec::new(),
        };
        settings.check(config)?;
        Ok(Self {
            warnings,
            ..settings
        })
    }

    /// Refuses what leaves nothing to do, as Kubo does.
    fn check(&self, config: &Config) -> Result<(), NetError> {
        let bad = |key, reason: &str| {
            Err(NetError::BadSetting {
                key,
                reason: reason.to_owned(),
            })
        };
        let delegates = config.text(ROUTING_TYPE) == Some("delegated");
        if delegates && self.delegated == DelegatedSettings::default() {
            return bad(
                ROUTING_TYPE,
                "delegated needs Routing.DelegatedRouters or Ipns.DelegatedPublishers: there are none",
            );
        }
        if !self.bitswap && !self.retrieval.enabled {
            return bad(
                "Bitswap.Libp2pEnabled",
                "it is switched off, and HTTPRetrieval.Enabled too: there is no way left to get a block",
            );
        }
        Ok(())
    }
}

fn agent(config: &Config) -> String {
    let own = concat!("ipfs-kit/", env!("CARGO_PKG_VERSION"));
    match config.text("Version.AgentSuffix") {
        Some(suffix) if !suffix.is_empty() => format!("{own}/{suffix}"),
        _ => own.to_owned(),
    }
}

fn swarm_key(repo: &Path) -> Result<Option<PreSharedKey>, NetError> {
    let path = repo.join("swarm.key");
    let bad = |reason: String| NetError::BadSwarmKey {
        path: path.display().to_string(),
        reason,
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => text.parse().map(Some).map_err(|error| {
            bad(format!(
                "{error:?}: it takes three lines, /key/swarm/psk/1.0.0/, /base16/ and 64 hexadecimal digits"
            ))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(bad(error.to_string())),
    }
}

fn security(config: &Config) -> Result<Vec<SecurityKind>, NetError> {
    let mut order = Vec::new();
    let choices = [
        ("Swarm.Transports.Security.TLS", SecurityKind::Tls, 100),
        ("Swarm.Transports.Security.Noise", SecurityKind::Noise, 200),
    ];
    for (key, kind, default) in choices {
        if config.flag(key) != Some(false) {
            order.push((config.integer(key).unwrap_or(default), kind));
        }
    }
    if order.is_empty() {
        return Err(NetError::BadSetting {
            key: "Swarm.Transports.Security",
            reason: "both TLS and Noise are switched off: peers cannot connect".to_owned(),
        });
    }
    order.sort_by_key(|(priority, _)| *priority);
    Ok(order.into_iter().map(|(_, kind)| kind).collect())
}

fn connections(config: &Config) -> Result<ConnSettings, NetError> {
    let number = |key: &str, default: u64| {
        usize::try_from(config.integer(key).unwrap_or(default)).unwrap_or(usize::MAX)
    };
    let trims = match config.text("Swarm.ConnMgr.Type") {
        None | Some("" | "basic") => true,
        Some("none") => false,
        Some(other) => {
            return Err(NetError::BadSetting {
                key: "Swarm.ConnMgr.Type",
                reason: format!("{other:?} is neither basic nor none"),
            });
        }
    };
    let low = number("Swarm.ConnMgr.LowWater", 32);
    let high = number("Swarm.ConnMgr.HighWater", 96);
    if trims && high < low {
        return Err(NetError::BadSetting {
            key: "Swarm.ConnMgr.HighWater",
            reason: format!("{high} is below LowWater, {low}"),
        });
    }
    let seconds =
        |key: &str, default: u64| config.duration(key).unwrap_or(Duration::from_secs(default));
    Ok(ConnSettings {
        low,
        high: trims.then_some(high),
        grace: seconds("Swarm.ConnMgr.GracePeriod", 20),
        silence: seconds("Swarm.ConnMgr.SilencePeriod", 10),
    })
}

const ROUTING_TYPE: &str = "Routing.Type";

fn routing(
    config: &Config,
    warnings: &mut Vec<String>,
) -> Result<(DhtModes, Option<Plan>), NetError> {
    let mode = match config.text(ROUTING_TYPE).unwrap_or("auto") {
        "none" | "delegated" => RoutingMode::Off,
        "dhtclient" | "autoclient" => RoutingMode::Client,
        "dhtserver" => RoutingMode::Server,
        "dht" | "auto" | "" => RoutingMode::Auto,
        "custom" => {
            if config.flag("Routing.AcceleratedDHTClient") == Some(true) {
                return Err(NetError::BadSetting {
                    key: "Routing.AcceleratedDHTClient",
                    reason: "where Routing.Type is custom, it is set on single routers".to_owned(),
                });
            }
            let (plan, modes) = custom::read(config, warnings)?;
            return Ok((modes, Some(plan)));
        }
        other => {
            return Err(NetError::BadSetting {
                key: ROUTING_TYPE,
                reason: format!(
                    "{other:?} is not one of auto, autoclient, dht, dhtclient, dhtserver, delegated, custom, none"
                ),
            });
        }
    };
    Ok((DhtModes::both(mode), None))
}

fn relay_service(config: &Config) -> RelayService {
    let number = |key: &str, default: u64| config.integer(key).unwrap_or(default);
    let count = |key: &str, default| usize::try_from(number(key, default)).unwrap_or(usize::MAX);
    let duration =
        |key: &str, seconds| config.duration(key).unwrap_or(Duration::from_secs(seconds));
    RelayService {
        reservations: count("Swarm.RelayService.MaxReservations", 128),
        circuits: count("Swarm.RelayService.MaxCircuits", 16),
        ttl: duration("Swarm.RelayService.ReservationTTL", 3600),
        duration: duration("Swarm.RelayService.ConnectionDurationLimit", 120),
        bytes: number("Swarm.RelayService.ConnectionDataLimit", 128 << 10),
    }
}

#[cfg(test)]
mod tests {
    use super::addresses::BOOTSTRAP;
    use super::*;
    use crate::config::Layers;
    use serde_json::{Value, json};

    fn settings(values: &[(&str, Value)]) -> Result<Settings, NetError> {
        let values = values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        let layers = Layers {
            values,
            ..Layers::default()
        };
        Settings::read(&Config::merged(&json!({}), &layers).unwrap(), None)
    }

    #[test]
    fn defaults_are_kubos() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.listen.len(), 4);
        assert_eq!(
            (settings.connections.low, settings.connections.high),
            (32, Some(96))
        );
        assert_eq!(settings.routing, DhtModes::both(RoutingMode::Auto));
        assert_eq!(settings.security, [SecurityKind::Tls, SecurityKind::Noise]);
        assert!(settings.pubsub.is_none() && settings.mdns && settings.relay_service.is_none());
        assert_eq!(settings.bootstrap.len(), BOOTSTRAP.len());
    }

    #[test]
    fn kinds_of_addresses_we_do_not_have_are_skipped_with_a_warning() {
        let listen = json!([
            "/ip4/127.0.0.1/tcp/0",
            "/ip4/127.0.0.1/udp/0/quic-v1",
            "/ip4/127.0.0.1/udp/0/quic-v1/webtransport",
            "/ip4/127.0.0.1/udp/0/webrtc-direct",
            "/ip4/127.0.0.1/tcp/0/ws"
        ]);
        let settings = settings(&[("Addresses.Swarm", listen)]).unwrap();
        assert_eq!(settings.listen.len(), 3);
        assert_eq!(settings.warnings.len(), 2, "{:?}", settings.warnings);
    }

    #[test]
    fn bad_values_name_their_key() {
        for (key, value) in [
            ("Addresses.Swarm", json!(["nonsense"])),
            ("Routing.Type", json!("magic")),
            ("Swarm.AddrFilters", json!(["10.0.0.0/8"])),
            ("Swarm.ConnMgr", json!({"LowWater": 9, "HighWater": 3})),
            ("Peering.Peers", json!([{"ID": "x"}])),
            ("Bootstrap", json!(["/ip4/1.2.3.4/tcp/1"])),
            (
                "Swarm.Transports.Security",
                json!({"TLS": false, "Noise": false}),
            ),
        ] {
            let error = settings(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(key), "{key}: {error}");
        }
    }
}
