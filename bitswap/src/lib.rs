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

mod behaviour;
mod blocks;
mod config;
mod driver;
pub mod engine;
mod handle;
mod peer;
mod session;
mod stats;
mod stream;
pub mod wire;

pub use behaviour::{Behaviour, Handler};
pub use blocks::Blocks;
pub use config::Config;
pub use engine::SessionId;
pub use handle::{Bitswap, NeedProviders};
pub use session::{Session, SessionError, WantError};
pub use stats::{Ledger, SessionStats, Stat};
