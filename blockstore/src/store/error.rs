//! What can go wrong in a store, and what to do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use crate::cid::{CidError, Multihash};

/// Why a store cannot do what it was asked.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused an operation on a file of the store.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The answer of the operating system.
        source: Arc<io::Error>,
    },
    /// The blocks would take more space than the store may use.
    #[error(
        "storage full: {needed} bytes do not fit, {used} of {limit} bytes are used; \
         remove pins and collect garbage, or raise the limit (Datastore.StorageMax)"
    )]
    StorageFull {
        /// What the refused blocks need, in bytes.
        needed: u64,
        /// What the store uses now, dead bytes included.
        used: u64,
        /// What it may use.
        limit: u64,
    },
    /// No space is left on the device.
    #[error(
        "no space left on the device of {}: free some, or remove pins and collect garbage; \
         reads and deletes still work", path.display()
    )]
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// The directory or its filesystem may not be written.
    #[error("cannot write {}: {source}; check its permissions and that the filesystem is mounted read-write", path.display())]
    ReadOnly {
        /// The file or directory.
        path: PathBuf,
        /// The answer of the operating system.
        source: Arc<io::Error>,
    },
    /// Another process has the store open.
    #[error("the store at {} is in use by another process", path.display())]
    Locked {
        /// The directory of the store.
        path: PathBuf,
    },
    /// An fsync failed earlier: what the disk holds is uncertain, so nothing more is written.
    #[error(
        "the store refuses writes because an earlier sync failed ({cause}); check the disk, then open the store again"
    )]
    Poisoned {
        /// The failure.
        cause: Arc<str>,
    },
    /// The stored bytes of a block are not those that were put; the block is quarantined.
    #[error("block {hash:?} is damaged on disk and was quarantined; fetch or add it again")]
    Corrupt {
        /// The block.
        hash: Multihash,
    },
    /// The files were written by a newer version; nothing was changed.
    #[error("{} has format version {found}, this program knows up to {supported}; use a newer one", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version known here.
        supported: u32,
    },
    /// The block is longer than a segment frame may be.
    #[error("block of {len} bytes is larger than the limit of {limit} bytes")]
    BlockTooLarge {
        /// The length of its data, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The hash of the block may not name stored data.
    #[error(transparent)]
    Cid(#[from] CidError),
    /// An option has a value that cannot work.
    #[error("store option {option}: {problem}")]
    Option {
        /// The name of the option.
        option: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The index contradicts itself or the segments; it is about to be rebuilt.
    #[error("the block index is damaged: {0}")]
    Index(Arc<str>),
}
