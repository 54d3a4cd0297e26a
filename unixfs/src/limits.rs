//! How far a reader follows a DAG before it gives up.

use ipfs_kit_blockstore::cid::Cid;

use crate::ReadError;
use crate::read_error::Limit;

/// Bounds for reading a DAG that somebody else made.
///
/// A few kilobytes of blocks that link to each other repeatedly unfold into 2^60 entries or bytes.
/// Nothing in such a DAG is malformed, so only counting stops it. The defaults are far above
/// anything that was made to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Levels of nodes in one file, and levels of directories in one tree.
    pub depth: u64,
    /// Links held in memory while they wait to be followed; about 100 bytes each.
    pub pending_links: u64,
    /// Blocks read by one walk or one listing. Blocks read twice count twice.
    pub blocks: u64,
    /// Entries of one directory listing, and entries of one tree over all its directories.
    pub entries: u64,
    /// Bytes of one path inside a tree.
    pub path_bytes: u64,
    /// Bytes of file content in one tree, by the sizes that its files declare.
    pub content_bytes: u64,
    /// Segments of a path to resolve.
    pub segments: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 1024,
            pending_links: 1 << 20,
            blocks: 1 << 32,
            entries: 1 << 28,
            // PATH_MAX of Linux, with its final zero byte.
            path_bytes: 4095,
            content_bytes: 1 << 50,
            segments: 4096,
        }
    }
}

/// Levels of nodes in one file. A balanced file with only two links for each node reaches 2^64
/// bytes before this depth; what is deeper was made to be deep.
pub(crate) const MAX_FILE_DEPTH: u64 = 128;

impl Limits {
    pub(crate) fn check(cid: &Cid, what: Limit, value: u64, max: u64) -> Result<(), ReadError> {
        if value <= max {
            return Ok(());
        }
        Err(ReadError::Limit {
            cid: cid.clone(),
            what,
            max,
        })
    }
}
