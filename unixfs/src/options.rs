//! Every setting that decides a CID, with Kubo's defaults, and the two published profiles.

mod profile;

pub use profile::{ImportOptions, Profile, ProfileError};

use ipfs_kit_blockstore::hash::HashError;
use ipfs_kit_blockstore::{Cid, HashFunction, HashSpec, Multihash, Version, codec};

use crate::chunker::Chunker;
use crate::hamt::Fanout;
use crate::node::Mtime;

/// The longest block that may be inlined into its CID, in bytes.
pub const MAX_INLINE_LIMIT: usize = 128;

/// Kubo's default for [`FileOptions::max_links`].
pub const DEFAULT_FILE_MAX_LINKS: usize = 174;

/// Kubo's default for [`DirectoryOptions::threshold`], in bytes.
pub const DEFAULT_SHARDING_THRESHOLD: u64 = 262_144;

/// Settings that contradict each other or the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// CIDv0 with a hash function other than sha2-256.
    #[error("CIDv0 only supports sha2-256; use CID version 1 for other hash functions")]
    HashNeedsV1,
    /// Inlining of blocks that an identity CID may not hold.
    #[error("inline-limit {0} exceeds maximum allowed size of {MAX_INLINE_LIMIT} bytes")]
    InlineLimit(usize),
    /// A balanced tree whose nodes have one link never ends.
    #[error("max-file-links must be at least {min} for this layout, not {links}")]
    FileLinks {
        /// The setting.
        links: usize,
        /// The least that works.
        min: usize,
    },
}

/// How a block gets its CID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CidSpec {
    version: Version,
    hash: HashSpec,
    inline_limit: Option<usize>,
}

impl CidSpec {
    /// CIDv0, sha2-256, nothing inlined: Kubo's default.
    pub const V0: Self = Self {
        version: Version::V0,
        hash: HashSpec::SHA2_256,
        inline_limit: None,
    };

    /// CIDv1, sha2-256, nothing inlined.
    pub const V1: Self = Self {
        version: Version::V1,
        hash: HashSpec::SHA2_256,
        inline_limit: None,
    };

    /// Blocks of at most `inline_limit` bytes become identity CIDs; the others are hashed.
    ///
    /// # Errors
    /// [`OptionsError::HashNeedsV1`] and [`OptionsError::InlineLimit`].
    pub fn new(
        version: Version,
        hash: HashSpec,
        inline_limit: Option<usize>,
    ) -> Result<Self, OptionsError> {
        if version == Version::V0 && hash != HashSpec::SHA2_256 {
            return Err(OptionsError::HashNeedsV1);
        }
        match inline_limit {
            Some(limit) if limit > MAX_INLINE_LIMIT => Err(OptionsError::InlineLimit(limit)),
            _ => Ok(Self {
                version,
                hash,
                inline_limit,
            }),
        }
    }

    /// The way in which a block with this CID was named, nothing inlined.
    ///
    /// # Errors
    /// [`HashError`] for a hash function that is not known.
    pub fn of(cid: &Cid) -> Result<Self, HashError> {
        crate::edit::spec_of(cid)
    }

    /// Version of the CIDs of dag-pb blocks. Raw blocks always have version 1.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Hash function and digest length.
    pub fn hash(&self) -> HashSpec {
        self.hash
    }

    /// Longest block that is inlined, in bytes.
    pub fn inline_limit(&self) -> Option<usize> {
        self.inline_limit
    }

    /// Whether a block of this many bytes stands in its CID instead of in the store.
    pub fn is_inlined(&self, block_len: usize) -> bool {
        self.hash.function() == HashFunction::IDENTITY
            || self.inline_limit.is_some_and(|limit| block_len <= limit)
    }

    /// The CID of a block.
    ///
    /// # Errors
    /// [`HashError`] if the hash function is identity and the block is longer than a CID may hold.
    pub fn cid(&self, codec: u64, block: &[u8]) -> Result<Cid, HashError> {
        let hash = if self.is_inlined(block.len()) {
            HashSpec::from(HashFunction::IDENTITY).digest(block)?
        } else {
            self.hash.digest(block)?
        };
        Ok(self.name(codec, hash))
    }

    /// The CID of a block whose hash was computed elsewhere by [`Self::hash`], for instance side by
    /// side with others. The block must not be one that [`Self::is_inlined`].
    pub fn name(&self, codec: u64, hash: Multihash) -> Cid {
        if self.version == Version::V0 && codec == codec::DAG_PB {
            // An inlined block has no version 0.
            Cid::v0(hash.clone()).unwrap_or_else(|_| Cid::v1(codec, hash))
        } else {
            Cid::v1(codec, hash)
        }
    }
}

impl Default for CidSpec {
    fn default() -> Self {
        Self::V0
    }
}

/// Shape of the tree over a file's chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Layout {
    /// All leaves at the same depth.
    #[default]
    Balanced,
    /// Leaves first, then ever deeper sub-trees: good for reading from the start.
    Trickle,
}

/// How one file becomes a DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOptions {
    /// How blocks get their CIDs.
    pub cid: CidSpec,
    /// Leaves are bare chunks instead of dag-pb nodes.
    pub raw_leaves: bool,
    /// How the file is cut.
    pub chunker: Chunker,
    /// Shape of the tree.
    pub layout: Layout,
    /// Most links of a node, in a trickle tree most leaves of a node.
    pub max_links: usize,
    /// Permission bits; only the low 12 count, and 0 is the same as `None`. They stand in the root
    /// and are lost if that is a raw leaf.
    pub mode: Option<u32>,
    /// Modification time, stored like the mode.
    pub mtime: Option<Mtime>,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            cid: CidSpec::V0,
            raw_leaves: false,
            chunker: Chunker::default(),
            layout: Layout::Balanced,
            max_links: DEFAULT_FILE_MAX_LINKS,
            mode: None,
            mtime: None,
        }
    }
}

impl FileOptions {
    pub(crate) fn stored_mode(&self) -> Option<u32> {
        self.mode
            .map(|mode| mode & 0o7777)
            .filter(|&mode| mode != 0)
    }

    /// # Errors
    /// [`OptionsError::FileLinks`] if no tree can be built with so few links.
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        let min = match self.layout {
            Layout::Balanced => 2,
            Layout::Trickle => 1,
        };
        if self.max_links < min {
            return Err(OptionsError::FileLinks {
                links: self.max_links,
                min,
            });
        }
        Ok(())
    }
}

/// What is compared with [`DirectoryOptions::threshold`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SizeEstimate {
    /// Name length plus binary CID length of every entry.
    #[default]
    Links,
    /// Exact length of the directory as one dag-pb block.
    Block,
    /// Nothing: only [`DirectoryOptions::max_links`] decides.
    Disabled,
}

/// How one directory becomes a DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryOptions {
    /// How blocks get their CIDs.
    pub cid: CidSpec,
    /// Most entries of a directory that is one block; 0 is no limit.
    pub max_links: usize,
    /// Slots of every shard of a large directory.
    pub fanout: Fanout,
    /// A directory whose estimate is above this many bytes is sharded; 0 is never.
    pub threshold: u64,
    /// What is compared with the threshold.
    pub estimate: SizeEstimate,
    /// Permission bits; only the low 12 count. Unlike in a file, 0 is stored.
    pub mode: Option<u32>,
    /// Modification time.
    pub mtime: Option<Mtime>,
}

impl Default for DirectoryOptions {
    fn default() -> Self {
        Self {
            cid: CidSpec::V0,
            max_links: 0,
            fanout: Fanout::DEFAULT,
            threshold: DEFAULT_SHARDING_THRESHOLD,
            estimate: SizeEstimate::Links,
            mode: None,
            mtime: None,
        }
    }
}

impl DirectoryOptions {
    pub(crate) fn stored_mode(&self) -> Option<u32> {
        self.mode.map(|mode| mode & 0o7777)
    }
}

#[cfg(test)]
mod tests;
