//! What was sent and received, in the words of Kubo's `bitswap stat` and `bitswap ledger`.

use std::time::Duration;

use ipfs_kit_blockstore::Cid;
use libp2p::PeerId;

/// Counters since the start. Data is in bytes of blocks, without framing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stat {
    /// Blocks that came from peers, duplicates included.
    pub blocks_received: u64,
    /// Their bytes.
    pub data_received: u64,
    /// Blocks written to peers.
    pub blocks_sent: u64,
    /// Their bytes.
    pub data_sent: u64,
    /// Blocks that were asked for and came again.
    pub dup_blks_received: u64,
    /// Their bytes.
    pub dup_data_received: u64,
    /// Blocks that nobody had asked that peer for, or with wrong bytes (the same thing to the
    /// receiver of a block without a name).
    pub unsolicited_blocks: u64,
    /// Their bytes.
    pub unsolicited_data: u64,
    /// Messages from peers.
    pub messages_received: u64,
    /// The peers that are connected and speak Bitswap, as far as is known.
    pub peers: Vec<PeerId>,
    /// What all sessions want.
    pub wantlist: Vec<Cid>,
}

/// What was exchanged with one peer, in bytes of blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    /// The peer.
    pub peer: PeerId,
    /// Bytes sent per byte received, as Kubo counts it: `sent / (received + 1)`.
    pub value: f64,
    /// Bytes sent to the peer.
    pub sent: u64,
    /// Bytes received from the peer.
    pub received: u64,
    /// Blocks in both directions.
    pub exchanged: u64,
}

/// The progress of one session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionStats {
    /// Wanted blocks that arrived.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks that arrived more than once.
    pub duplicates: u64,
    /// CIDs that are still wanted.
    pub wanted: usize,
    /// Of these, the ones that some peer was asked for.
    pub in_flight: usize,
    /// Of these, the ones that no connected peer is known to have.
    pub searching: usize,
    /// Connected peers that gave, or say they have, blocks of this session.
    pub peers: Vec<PeerId>,
    /// Bytes per second over the last seconds.
    pub rate: f64,
    /// Time since the session was opened.
    pub age: Duration,
}
