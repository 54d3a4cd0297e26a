//! The two DHTs: WAN (`/ipfs/kad/1.0.0`, the public network) and LAN (`/ipfs/lan/kad/1.0.0`, private addresses). They
//! share nothing, so that private addresses never reach the public one.

mod disk;
mod ops;
mod publish;
mod scoped;
mod store;
mod validate;

use std::time::Duration;

use libp2p::kad::{self, BucketInserts, Caching, StoreInserts};
use libp2p::{PeerId, StreamProtocol};

use super::settings::{RoutingMode, Settings};

pub use ops::{NOT_FOUND, Ops, Started};
pub use publish::{Announced, announce};
pub use scoped::{Scope, Scoped};
pub use store::Records;
/// The sides of both DHTs, WAN first.
pub type Disk = [disk::Side; 2];
pub use disk::start as start_disk;
pub use validate::{RecordValidator, Validators};

/// A DHT with our record store.
pub type Dht = Scoped<Records>;

/// Protocol of the public DHT.
pub const WAN: StreamProtocol = StreamProtocol::new("/ipfs/kad/1.0.0");

/// Protocol of the DHT of private addresses.
pub const LAN: StreamProtocol = StreamProtocol::new("/ipfs/lan/kad/1.0.0");

/// Longest message taken. An IPNS record has at most 10 KiB; twenty peers with 32 addresses stay below 64 KiB.
const PACKET_MAX: usize = 64 << 10;

/// A lookup that has not ended by then ends with what it has.
const QUERY_MAX: Duration = Duration::from_secs(60);

/// Lifetimes of the Amino DHT.
const RECORD_TTL: Duration = Duration::from_secs(48 * 3600);
const PROVIDER_TTL: Duration = Duration::from_secs(48 * 3600);

/// Between two refreshes of the routing table.
const REFRESH: Duration = Duration::from_secs(600);

/// Which of the DHTs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    pub wan: bool,
    pub lan: bool,
}

impl Scopes {
    /// Both of them.
    pub const BOTH: Self = Self {
        wan: true,
        lan: true,
    };

    /// Whether the WAN's, or the LAN's, is one of them.
    pub fn has(self, wan: bool) -> bool {
        if wan { self.wan } else { self.lan }
    }

    /// Those of either.
    pub fn or(self, other: Self) -> Self {
        Self {
            wan: self.wan || other.wan,
            lan: self.lan || other.lan,
        }
    }
}

/// Builds the DHT of a scope, if routing is on.
pub fn dht(scope: Scope, local: PeerId, settings: &Settings) -> Option<Dht> {
    let protocol = match scope {
        Scope::Wan => WAN,
        Scope::Lan { .. } => LAN,
    };
    let mut config = kad::Config::new(protocol);
    config
        .set_query_timeout(QUERY_MAX)
        .set_max_packet_size(PACKET_MAX)
        .set_kbucket_inserts(BucketInserts::Manual)
        .set_record_filtering(StoreInserts::FilterBoth)
        .set_record_ttl(Some(RECORD_TTL))
        .set_provider_record_ttl(Some(PROVIDER_TTL))
        .set_periodic_bootstrap_interval(Some(REFRESH))
        // What is published again, and when, is decided outside, by region and not by key.
        .set_provider_publication_interval(None)
        .set_publication_interval(None)
        .set_replication_interval(None)
        .set_caching(Caching::Disabled);
    let records = Records::new(local, store::Limits::default());
    let mut inner = kad::Behaviour::with_config(local, records, config);
    let own = settings.routing.of(matches!(scope, Scope::Wan));
    let mode = match (own, scope) {
        (RoutingMode::Off, _) => return None,
        (RoutingMode::Client, _) => Some(kad::Mode::Client),
        // On a LAN everybody can be reached.
        (RoutingMode::Server, _) | (RoutingMode::Auto, Scope::Lan { .. }) => {
            Some(kad::Mode::Server)
        }
        // Becomes a server with the first confirmed public address.
        (RoutingMode::Auto, Scope::Wan) => None,
    };
    inner.set_mode(mode);
    Some(Scoped::new(inner, scope))
}
