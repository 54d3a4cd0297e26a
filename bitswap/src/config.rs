//! Every limit and time of the crate, with its default.

use std::time::Duration;

/// What Bitswap may use. The defaults follow boxo where it has the same limit.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether blocks are served at all. Can be changed later with `Bitswap::set_serving`.
    pub serving: bool,

    /// Bytes asked of one peer before its speed is known.
    pub window_start: u64,
    /// The least that is asked of one peer at a time, in bytes: it hides the work of both sides on
    /// links without latency.
    pub window_min: u64,
    /// The most that is asked of one peer at a time, in bytes.
    pub window_max: u64,
    /// The most that a session has in flight and received but not yet taken, in bytes.
    pub session_window: u64,
    /// The number of CIDs asked of one peer at a time. boxo keeps 1,024 of a peer and forgets
    /// the rest.
    pub peer_wants: usize,
    /// The number of CIDs that a session may want at a time.
    pub session_wants: usize,
    /// Wants of a session that are broadcast at a time while nobody is known to have them.
    pub session_broadcast: usize,
    /// The number of peers that one broadcast goes to.
    pub broadcast_peers: usize,
    /// How long connected peers may think before routing is asked for providers.
    pub provider_delay: Duration,
    /// The longest pause between two requests for providers of one CID.
    pub provider_backoff_max: Duration,
    /// The shortest time after which a want is asked elsewhere, whatever the measurements say.
    pub reask_min: Duration,
    /// The longest time after which a want is asked elsewhere.
    pub reask_max: Duration,

    /// Entries of a peer's want list that are kept; boxo: 1,024.
    pub ledger_wants: usize,
    /// Entries of all want lists that are kept, each some 600 bytes. At the limit each peer may have its
    /// share of half of it, so that few cannot keep out many.
    pub ledger_wants_total: usize,
    /// Bytes of blocks being written to one peer at a time. A new peer starts at an eighth.
    pub outstanding_peer: u64,
    /// Bytes of blocks being written to all peers at a time.
    pub outstanding_total: u64,
    /// A response is filled with blocks up to this many bytes.
    pub message_target: usize,
    /// A block of at most this many bytes is sent in place of "have"; boxo: 1,024.
    pub have_as_block: u32,
    /// Ledgers of peers that are gone that are kept for `ledger`.
    pub past_ledgers: usize,

    /// Streams that one peer may have open to us. Kubo opens one for each message.
    pub inbound_streams: usize,
    /// Bytes of messages from one peer that are being read or verified.
    pub inbound_bytes_peer: usize,
    /// Bytes of messages from all peers that are being read or verified.
    pub inbound_bytes_total: usize,
    /// Threads that verify blocks or read them from the store, each.
    pub threads: usize,
    /// A stream is given up when a step of 256 KiB takes this long; sooner when others wait for what it holds.
    pub write_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            serving: true,
            window_start: 4 << 20,
            window_min: 4 << 20,
            window_max: 64 << 20,
            session_window: 64 << 20,
            peer_wants: 960,
            session_wants: 1 << 18,
            session_broadcast: 32,
            broadcast_peers: 256,
            provider_delay: Duration::from_secs(1),
            provider_backoff_max: Duration::from_secs(60),
            reask_min: Duration::from_secs(1),
            reask_max: Duration::from_secs(30),
            ledger_wants: 1024,
            ledger_wants_total: 80 << 10,
            outstanding_peer: 4 << 20,
            outstanding_total: 128 << 20,
            message_target: 1 << 20,
            have_as_block: 1024,
            past_ledgers: 4096,
            inbound_streams: 128,
            inbound_bytes_peer: 16 << 20,
            inbound_bytes_total: 64 << 20,
            threads: 2,
            write_timeout: Duration::from_secs(10),
        }
    }
}
