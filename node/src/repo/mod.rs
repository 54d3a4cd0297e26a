//! The repo directory: its layout, its lock, its version.
//!
//! ```text
//! config      JSON with Kubo's keys, mode 0600; written last by init, so a repo without it is unfinished
//! version     "ipfs-kit/1"
//! repo.lock   held with flock by the one process that has the repo open; names its process id
//! keystore/   private keys, mode 0700
//! blocks/     the segment store
//! repo.redb   pins, records of names, where announcing stopped
//! mfs.log     files that were flushed into the mutable file system since its root was committed
//! dht.redb    records that others gave the DHTs to keep; may be removed
//! ```

mod database;
mod error;
pub mod handle;
mod identity;
mod init;
mod lock;
mod place;

pub use error::RepoError;
pub use init::{InitOptions, Initialised, init};
pub use place::{Kind, REPO_VERSION, default_path, kind, locate};

pub(crate) use database::{Database, DatabaseError};
pub(crate) use identity::encode as encode_identity;
pub(crate) use lock::RepoLock;
pub(crate) use place::check_version;
