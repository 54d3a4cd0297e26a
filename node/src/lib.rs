//! The embeddable IPFS node of ipfs-kit.
//!
//! A [`Node`] owns one repo directory: blocks, pins, configuration and keys. It is a cheap clone and safe
//! to share between threads; its verbs are grouped by noun: [`Node::files`], [`Node::blocks`],
//! [`Node::dag`], [`Node::pins`], [`Node::repo`], [`Node::keys`], [`Node::names`]. Everything here works without a
//! network. What a repo of Kubo's holds is taken over by [`migrate`].
//!
//! ```no_run
//! use ipfs_kit_node::{AddOptions, Node, Source};
//! use std::io::Read;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::builder().repo("/var/lib/ipfs-kit").open()?;
//! let sources = vec![Source::path("README.md")];
//! let report = node.files().add(sources, &AddOptions::default(), &mut |_event| Ok(()))?;
//! let mut text = Vec::new();
//! node.files().cat(&report.roots[0].cid.to_string())?.read_to_end(&mut text)?;
//! # Ok(())
//! # }
//! ```
//!
//! What survives a crash: whatever an operation reported before it returned or in an event. A pin that was
//! acknowledged has its whole DAG on stable storage.

mod at_once;
mod blocks;
mod builder;
mod cancel;
pub mod config;
mod dag;
mod delegated;
mod error;
pub mod export;
mod fetch;
mod figures;
mod files;
pub mod gc;
mod jobs;
pub(crate) mod keys;
mod mfs;
pub mod migrate;
pub mod names;
mod net;
mod node;
mod online;
mod pins;
mod provide;
mod refs;
mod remote;
pub mod repo;
mod resolve;
mod retrieval;
pub mod tokens;
mod walk;
mod web;

pub use at_once::AtOnce;
pub use blocks::{BlockPut, BlockStat, Blocks};
pub use builder::NodeBuilder;
pub use cancel::{CancelToken, Cancelled};
pub use dag::{
    CarImport, CarImportEvent, CarImportReport, CarImportRoot, Dag, DagChange, DagPut, DagResolved,
    DagStat, DagStatReport, PatchError, PatchOptions,
};
pub use error::{Emit, Error, Result};
pub use figures::{Figures, GcFigures, NetFigures, StoreFigures};
pub use files::{
    AddEvent, AddOptions, AddReport, AddedRoot, EntryKind, FileStat, FileStream, Files, LocalItem,
    LocalWalk, LsEntry, LsOptions, Source, StreamedEntry, TreeStream,
};
pub use gc::{GcEvent, GcReport, PeriodicGc};
pub use jobs::{Job, JobError, JobProgress, JobState, JobWork, Jobs};
pub use keys::{
    IdBase, KeyError, KeyFormat, KeyInfo, KeyRenamed, KeyRotated, KeyType, KeyVerified, Keys,
    OwnIdentity, PrivateKey, format_peer_id, inlined_public_key, parse_peer_id, peer_id_from_bytes,
};
pub use mfs::{Mfs, MfsEntry, MfsError, MfsListed, MfsNaming, MfsWrite, path as mfs_path};
pub use net::{
    Bandwidth, Direction, Limits, NetError, PeerAddresses, PeerConnection, PeerIdentity, Peers,
    Provider, Pubsub, PubsubMessage, Reachability, RecordValidator, Resources, Routing,
    RoutingTable, Streams, TablePeer, Tunnel, TunnelFilter, TunnelInfo, TunnelStream, Tunnels,
    Usage, Validators, address_range, parse_peer, parse_peer_address,
};
pub use node::Node;
pub use pins::{Pin, PinAdd, PinError, PinFilter, PinKind, PinList, PinVerified, Pins};
pub use provide::{AnnounceNow, Announcement, Provide, ProvideCounts, ProvideStat};
pub use refs::{RefEvent, RefsOptions};
pub use remote::{
    RemoteError, RemotePin, RemotePinCounts, RemotePinFilter, RemotePins, RemoteServiceInfo,
    RemoteStatus, keep_mfs_pinned,
};
pub use repo::handle::{Repo, RepoStat, VerifyEvent, VerifyOptions, VerifyReport};

pub use ipfs_kit_bitswap::{Bitswap, Ledger as BitswapLedger, Stat as BitswapStat};
pub use ipfs_kit_blockstore::cid::{self, Cid};
pub use ipfs_kit_blockstore::{codec, hash};
pub use libp2p::{Multiaddr, PeerId};
