//! Bitswap: blocks from and to peers.
//!
//! | part | what it is |
//! |---|---|
//! | [`wire`] | messages, decoded and encoded without copying blocks; no IO |
//! | [`engine`] | sessions, want lists, ledgers, the fair send queue; no IO, no clock, no hashing |
//! | [`Behaviour`] | the libp2p behaviour; its streams are read and written by tasks of their own |
//! | [`Bitswap`], [`Session`] | what the rest of the node calls |
//!
//! A block from a peer is hashed on a blocking thread before anything else sees it; what was not
//! asked for is dropped and counted. Local blocks come through [`Blocks`]. Providers are found by
//! the caller, who takes [`Bitswap::need_providers`] and answers with [`Bitswap::add_providers`].
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use ipfs_kit_bitswap::{Behaviour, Blocks, Config};
//! # async fn example(store: Arc<dyn Blocks>, cids: Vec<ipfs_kit_blockstore::Cid>) -> Result<(), Box<dyn std::error::Error>> {
//! let (behaviour, bitswap) = Behaviour::new(Config::default(), store);
//! // `behaviour` goes into a swarm, which is polled by a task. Then:
//! # drop(behaviour);
//! let session = bitswap.session();
//! session.want(&cids)?;
//! while let Some(block) = session.next().await {
//!     println!("{:?}", block?.cid());
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "network")]
mod behaviour;
#[cfg(feature = "network")]
mod blocks;
#[cfg(feature = "network")]
mod config;
#[cfg(feature = "network")]
mod driver;
#[cfg(feature = "network")]
pub mod engine;
#[cfg(feature = "network")]
mod handle;
#[cfg(feature = "network")]
mod peer;
#[cfg(feature = "network")]
mod session;
#[cfg(feature = "network")]
mod stats;
#[cfg(feature = "network")]
mod stream;
pub mod wire;

#[cfg(feature = "network")]
pub use behaviour::{Behaviour, Handler};
#[cfg(feature = "network")]
pub use blocks::Blocks;
#[cfg(feature = "network")]
pub use config::Config;
#[cfg(feature = "network")]
pub use engine::SessionId;
#[cfg(feature = "network")]
pub use handle::{Bitswap, NeedProviders};
#[cfg(feature = "network")]
pub use session::{Session, SessionError, WantError};
#[cfg(feature = "network")]
pub use stats::{Ledger, SessionStats, Stat};
