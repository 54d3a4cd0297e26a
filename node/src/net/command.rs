//! What the swarm task can be asked. Each command carries where its answer goes.

use std::time::Duration;

use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot};

use super::NetError;
use super::filter::IpRange;
use super::kad::Scopes;
use super::one_dht::DhtState;
use super::peers::{PeerConnection, PeerIdentity};
use super::pubsub::PubsubMessage;
use super::routing::{PeerAddresses, Provider, RoutingTable};

/// Where an answer goes; a caller that went away is no error.
pub type Reply<T> = oneshot::Sender<T>;

/// A request to the swarm task.
pub enum Command {
    /// Connect to a peer, or to whoever is at an address.
    Connect {
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        reply: Reply<Result<PeerId, NetError>>,
    },
    /// Close every connection to a peer, or the one at an address.
    Disconnect {
        peer: PeerId,
        address: Option<Multiaddr>,
        reply: Reply<Result<(), NetError>>,
    },
    /// Connected peers.
    Connected { reply: Reply<Vec<PeerId>> },
    /// A ping of a peer came back.
    Latency { peer: PeerId, latency: Duration },
    /// Open connections.
    Peers { reply: Reply<Vec<PeerConnection>> },
    /// Who this node is, or what a connected peer told about itself.
    Identity {
        peer: Option<PeerId>,
        reply: Reply<Result<PeerIdentity, NetError>>,
    },
    /// Known peers with their addresses.
    Known { reply: Reply<PeerAddresses> },
    /// Addresses listened on.
    Listening { reply: Reply<Vec<Multiaddr>> },
    /// Ranges that are refused: read, close one, open one.
    Filters {
        change: FilterChange,
        reply: Reply<Result<Vec<IpRange>, NetError>>,
    },
    /// Peers that are kept connected.
    Peering {
        change: PeeringChange,
        reply: Reply<Result<PeerAddresses, NetError>>,
    },
    /// Counts of connections.
    Resources { reply: Reply<super::Resources> },
    /// Look for providers; the reply says whether the lookup began.
    FindProviders {
        scopes: Scopes,
        key: Vec<u8>,
        limit: usize,
        found: mpsc::Sender<Provider>,
        reply: Reply<Result<(), NetError>>,
    },
    /// Look for a peer's addresses.
    FindPeer {
        scopes: Scopes,
        peer: PeerId,
        reply: Reply<Result<Vec<Multiaddr>, NetError>>,
    },
    /// Look for the peers closest to a key.
    ClosestPeers {
        key: Vec<u8>,
        reply: Reply<Result<PeerAddresses, NetError>>,
    },
    /// The same in one DHT; an answer that is not whole is an error.
    ClosestIn {
        wan: bool,
        key: Vec<u8>,
        reply: Reply<Result<PeerAddresses, NetError>>,
    },
    /// What a DHT looks like; `None` where routing is off.
    DhtState {
        wan: bool,
        reply: Reply<Option<DhtState>>,
    },
    /// Announce a key.
    Provide {
        scopes: Scopes,
        key: Vec<u8>,
        reply: Reply<Result<(), NetError>>,
    },
    /// Look for a record.
    GetRecord {
        scopes: Scopes,
        key: Vec<u8>,
        reply: Reply<Result<Vec<u8>, NetError>>,
    },
    /// Look for records; the reply says whether the lookup began.
    FindRecords {
        scopes: Scopes,
        key: Vec<u8>,
        found: mpsc::Sender<Vec<u8>>,
        reply: Reply<Result<(), NetError>>,
    },
    /// Store a record.
    PutRecord {
        scopes: Scopes,
        key: Vec<u8>,
        value: Vec<u8>,
        reply: Reply<Result<(), NetError>>,
    },
    /// The routing tables.
    Tables { reply: Reply<Vec<RoutingTable>> },
    /// Publish to a topic.
    Publish {
        topic: String,
        data: Bytes,
        reply: Reply<Result<(), NetError>>,
    },
    /// Subscribe to a topic until the sink is closed.
    Subscribe {
        topic: String,
        sink: mpsc::Sender<PubsubMessage>,
        reply: Reply<Result<(), NetError>>,
    },
    /// The topics subscribed to.
    Topics {
        reply: Reply<Result<Vec<String>, NetError>>,
    },
    /// Peers subscribed to a topic, or to any.
    TopicPeers {
        topic: Option<String>,
        reply: Reply<Result<Vec<PeerId>, NetError>>,
    },
    /// Stop.
    Shutdown { reply: Reply<()> },
}

/// A change of the address filters.
pub enum FilterChange {
    None,
    Add(IpRange),
    Remove(IpRange),
}

/// A change of the peers that are kept connected.
pub enum PeeringChange {
    None,
    Add(PeerId, Vec<Multiaddr>),
    Remove(PeerId),
}
