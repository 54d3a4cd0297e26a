//! What can go wrong on the network.

use libp2p::PeerId;

use crate::cancel::Cancelled;

/// The error of every network operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The node has no network.
    #[error("this action needs the network, and the node is offline: start the daemon")]
    Offline,
    /// The network was to start and could not.
    #[error("the network did not start: {0}")]
    NotStarted(String),
    /// The operation was to stop before the network had started.
    #[error(transparent)]
    Cancelled(Cancelled),
    /// The node was taken online before.
    #[error("the node is online already")]
    AlreadyOnline,
    /// There is no async runtime to run the network on.
    #[error("the network needs a tokio runtime: call this from inside one")]
    NoRuntime,
    /// The network has stopped.
    #[error("the node's network has stopped")]
    Stopped,
    /// The repo's key cannot be used.
    #[error("the node's private key (Identity.PrivKey) cannot be used: {0}")]
    BadKey(String),
    /// A network key of the configuration has a value that cannot be used.
    #[error("config key {key}: {reason}")]
    BadSetting {
        /// The dotted key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The file `swarm.key` cannot be used.
    #[error("the private network's key {path}: {reason}")]
    BadSwarmKey {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A transport could not be set up.
    #[error("setting up {what}: {reason}")]
    Transport {
        /// Which one.
        what: &'static str,
        /// What the library said.
        reason: String,
    },
    /// None of the listen addresses could be used.
    #[error("cannot listen on any address of Addresses.Swarm: {0}")]
    NoListener(String),
    /// Text that is no address.
    #[error("invalid peer address {text:?}: {reason}")]
    BadAddress {
        /// The text.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// Text that is no peer id.
    #[error("invalid peer id {text:?}: {reason}")]
    BadPeerId {
        /// The text.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// No address of the peer is known.
    #[error("no addresses are known for peer {0}: give one, as /ip4/.../tcp/.../p2p/{0}")]
    NoAddresses(PeerId),
    /// The peer could not be reached.
    #[error("failed to dial {peer}: {reason}")]
    Dial {
        /// The peer, or the address when it names none.
        peer: String,
        /// Each address that was tried, with what happened.
        reason: String,
    },
    /// Another peer answered than the one that was asked for.
    #[error("failed to dial {expected}: {address} is peer {obtained}")]
    WrongPeer {
        /// Who was asked for.
        expected: String,
        /// Who answered.
        obtained: String,
        /// Where.
        address: String,
    },
    /// A dial to oneself.
    #[error("cannot connect to this node itself")]
    DialSelf,
    /// The peer is not connected.
    #[error("not connected to {0}")]
    NotConnected(PeerId),
    /// The peer does not speak the protocol.
    #[error("{peer} does not support {protocol}")]
    NoProtocol {
        /// The peer.
        peer: PeerId,
        /// The protocol's name.
        protocol: String,
    },
    /// A stream to a peer failed.
    #[error("stream to {peer}: {reason}")]
    Stream {
        /// The peer.
        peer: PeerId,
        /// What happened.
        reason: String,
    },
    /// A list is full.
    #[error("too many {0}: at most {1}")]
    TooMany(&'static str, usize),
    /// An operation took too long.
    #[error("{0} timed out")]
    TimedOut(&'static str),
    /// Bandwidth is not told.
    #[error("bandwidth reporter disabled in config (Swarm.DisableBandwidthMetrics is true)")]
    NoBandwidth,
    /// Routing is switched off.
    #[error("routing is off (Routing.Type is none, or delegated without a router for this)")]
    NoRouting,
    /// A lookup found nothing.
    #[error("routing: not found")]
    NotFound,
    /// A record that its validator refused.
    #[error("record refused: {0}")]
    BadRecord(String),
    /// Too few peers took a record.
    #[error("the record reached no peer: {0}")]
    NotStored(String),
    /// Tunnels are switched off.
    #[error("libp2p stream mounting not enabled (Experimental.Libp2pStreamMounting is false)")]
    NoTunnels,
    /// A tunnel that is there.
    #[error("listener already registered")]
    TunnelExists,
    /// A tunnel that cannot be made.
    #[error("{0}")]
    BadTunnel(String),
    /// Pubsub is switched off.
    #[error(
        "pubsub is off: set Pubsub.Enabled or start the daemon with --enable-pubsub-experiment"
    )]
    NoPubsub,
    /// A message could not be published.
    #[error("publish: {0}")]
    Publish(String),
    /// A topic name that is not allowed.
    #[error("topic: {0}")]
    BadTopic(String),
}
