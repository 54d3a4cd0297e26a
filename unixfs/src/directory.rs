//! Directories: one block with all entries, or a HAMT of shards above a size.
//!
//! [`DirectoryBuilder`] makes a directory from all its entries at once; [`Directory`] edits one,
//! loading only the shards that an edit touches. Both give the same DAG for the same entries.
//! When a directory changes its form follows boxo `ipld/unixfs/io`; the shape of the trie follows
//! boxo `ipld/unixfs/hamt`, including the collapse of shards that lose entries.

mod basic;
mod builder;
mod editor;
mod shards;
mod trie;

use ipfs_kit_blockstore::Cid;
use ipfs_kit_blockstore::codec::dag_pb::DagPbError;
use ipfs_kit_blockstore::hash::HashError;

use crate::hamt::HamtError;
use crate::links::link_len;
use crate::node::{Kind, Mtime, NodeError, attributes_len, put_attributes};
use crate::options::{DirectoryOptions, SizeEstimate};
use crate::proto::{bytes_field_len, put_bytes_header, put_varint_field};

pub use builder::DirectoryBuilder;
pub use editor::{Directory, Progress};

/// A directory that cannot be built, read or changed as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A name that no path could reach.
    #[error("invalid entry name {0:?}: a name may not be empty or contain a slash")]
    Name(String),
    /// More entries than allowed, and sharding is switched off.
    #[error(
        "the directory has more than {0} entries and may not be sharded: \
         raise max-directory-links or the sharding threshold"
    )]
    TooManyLinks(usize),
    /// The directory block names an entry twice, so an edit could not tell which one is meant.
    #[error("the directory has two entries named {0:?}")]
    RepeatedName(String),
    /// The block is a UnixFS node of another kind.
    #[error("not a directory but a {0:?} node")]
    NotADirectory(Kind),
    /// A block that was not asked for.
    #[error("block {0} was supplied but not asked for")]
    NotNeeded(Cid),
    /// The block is not dag-pb.
    #[error("directory block: {0}")]
    DagPb(#[from] DagPbError),
    /// The dag-pb node has no UnixFS message.
    #[error("directory block: the node has no data")]
    NoData,
    /// The UnixFS message is broken.
    #[error("directory block: {0}")]
    Node(#[from] NodeError),
    /// A shard is broken, or the trie would get too deep.
    #[error(transparent)]
    Hamt(#[from] HamtError),
    /// The hash function cannot name a block.
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// What an entry's name points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Root of the file or directory.
    pub cid: Cid,
    /// Its total size, see [`crate::Root::tsize`].
    pub tsize: u64,
}

/// # Errors
/// [`DirectoryError::Name`] if no path could reach an entry of this name.
fn check_name(name: &[u8]) -> Result<(), DirectoryError> {
    if name.is_empty() || name.contains(&b'/') {
        return Err(DirectoryError::Name(
            String::from_utf8_lossy(name).into_owned(),
        ));
    }
    Ok(())
}

/// What one entry adds to the size that is compared with the threshold.
fn entry_estimate(estimate: SizeEstimate, name_len: usize, cid_len: usize, tsize: u64) -> u64 {
    match estimate {
        SizeEstimate::Links => (name_len + cid_len) as u64,
        SizeEstimate::Block => link_len(cid_len, name_len, tsize) as u64,
        SizeEstimate::Disabled => 0,
    }
}

/// The size that is compared with the threshold for a directory without entries.
fn empty_estimate(estimate: SizeEstimate, mode: Option<u32>, mtime: Option<Mtime>) -> u64 {
    match estimate {
        SizeEstimate::Block => bytes_field_len(2 + attributes_len(mode, mtime)) as u64,
        SizeEstimate::Links | SizeEstimate::Disabled => 0,
    }
}

/// Whether a one-block directory of this many entries and this estimate must be sharded.
///
/// # Errors
/// [`DirectoryError::TooManyLinks`] if it must but may not.
fn must_shard(
    options: &DirectoryOptions,
    entries: usize,
    estimate: u64,
) -> Result<bool, DirectoryError> {
    let too_many = options.max_links > 0 && entries > options.max_links;
    if options.threshold == 0 {
        return if too_many {
            Err(DirectoryError::TooManyLinks(options.max_links))
        } else {
            Ok(false)
        };
    }
    Ok(too_many || estimate > options.threshold)
}

/// Appends the Data field of a one-block directory.
fn put_directory_data(out: &mut Vec<u8>, mode: Option<u32>, mtime: Option<Mtime>) {
    put_bytes_header(out, 1, 2 + attributes_len(mode, mtime));
    put_varint_field(out, 1, Kind::Directory as u64);
    put_attributes(out, mode, mtime);
}

#[cfg(test)]
mod tests;
