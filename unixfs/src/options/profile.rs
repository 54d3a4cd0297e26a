use std::fmt;
use std::str::FromStr;

use super::{
    CidSpec, DEFAULT_FILE_MAX_LINKS, DEFAULT_SHARDING_THRESHOLD, DirectoryOptions, FileOptions,
    Layout, SizeEstimate,
};
use crate::chunker::Chunker;
use crate::hamt::Fanout;
use crate::node::Mtime;

/// A published set of import settings (IPIP-499): implementations that follow it give the same
/// input the same CID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `unixfs-v0-2015`, Kubo's default: CIDv0, 256 KiB chunks, 174 links.
    V0of2015,
    /// `unixfs-v1-2025`: CIDv1, raw leaves, 1 MiB chunks, 1024 links, exact directory sizes.
    V1of2025,
}

/// No profile of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown import profile {0:?}; use unixfs-v0-2015 or unixfs-v1-2025")]
pub struct ProfileError(String);

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(name: &str) -> Result<Self, ProfileError> {
        match name {
            "unixfs-v0-2015" | "legacy-cid-v0" => Ok(Self::V0of2015),
            "unixfs-v1-2025" => Ok(Self::V1of2025),
            _ => Err(ProfileError(name.to_owned())),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V0of2015 => "unixfs-v0-2015",
            Self::V1of2025 => "unixfs-v1-2025",
        })
    }
}

/// The settings that all files and directories of one import share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportOptions {
    /// How blocks get their CIDs.
    pub cid: CidSpec,
    /// Leaves are bare chunks instead of dag-pb nodes.
    pub raw_leaves: bool,
    /// How files are cut.
    pub chunker: Chunker,
    /// Shape of the tree over a file's chunks.
    pub layout: Layout,
    /// Most links of a node of a file.
    pub file_max_links: usize,
    /// Most entries of a directory that is one block; 0 is no limit.
    pub directory_max_links: usize,
    /// Slots of every shard of a large directory.
    pub fanout: Fanout,
    /// A directory whose estimate is above this many bytes is sharded; 0 is never.
    pub threshold: u64,
    /// What is compared with the threshold.
    pub estimate: SizeEstimate,
}

impl ImportOptions {
    /// The settings of a profile.
    pub fn from_profile(profile: Profile) -> Self {
        match profile {
            Profile::V0of2015 => Self {
                cid: CidSpec::V0,
                raw_leaves: false,
                chunker: Chunker::default(),
                layout: Layout::Balanced,
                file_max_links: DEFAULT_FILE_MAX_LINKS,
                directory_max_links: 0,
                fanout: Fanout::DEFAULT,
                threshold: DEFAULT_SHARDING_THRESHOLD,
                estimate: SizeEstimate::Links,
            },
            Profile::V1of2025 => Self {
                cid: CidSpec::V1,
                raw_leaves: true,
                chunker: Chunker::Size(1 << 20),
                file_max_links: 1024,
                estimate: SizeEstimate::Block,
                ..Self::from_profile(Profile::V0of2015)
            },
        }
    }

    /// The settings for one file with these attributes.
    pub fn file(&self, mode: Option<u32>, mtime: Option<Mtime>) -> FileOptions {
        FileOptions {
            cid: self.cid,
            raw_leaves: self.raw_leaves,
            chunker: self.chunker,
            layout: self.layout,
            max_links: self.file_max_links,
            mode,
            mtime,
        }
    }

    /// The settings for one directory with these attributes.
    pub fn directory(&self, mode: Option<u32>, mtime: Option<Mtime>) -> DirectoryOptions {
        DirectoryOptions {
            cid: self.cid,
            max_links: self.directory_max_links,
            fanout: self.fanout,
            threshold: self.threshold,
            estimate: self.estimate,
            mode,
            mtime,
        }
    }
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self::from_profile(Profile::V0of2015)
    }
}
