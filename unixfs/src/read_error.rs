//! What can go wrong while reading a DAG.

use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec::CodecError;

use crate::hamt::HamtError;
use crate::names::{NameFault, escape};
use crate::node::{Kind, NodeError};

/// A DAG that cannot be read, or a limit that stopped the reading.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The block does not decode with the codec its CID names.
    #[error("block {cid} is not valid: {source}")]
    Codec {
        /// The block.
        cid: Cid,
        /// What the codec found.
        source: Box<CodecError>,
    },
    /// The block is dag-pb, but its data is not a UnixFS message.
    #[error("block {cid} is not a UnixFS node: {source}")]
    Node {
        /// The block.
        cid: Cid,
        /// What the decoder found.
        source: NodeError,
    },
    /// The block has a codec that cannot hold UnixFS.
    #[error("block {cid} has codec 0x{codec:x}, which holds no UnixFS; only raw and dag-pb do")]
    NotUnixFs {
        /// The block.
        cid: Cid,
        /// Its codec.
        codec: u64,
    },
    /// A file was asked for and the CID names a directory. The text is Kubo's.
    #[error("this dag node is a directory")]
    IsDirectory {
        /// The directory.
        cid: Cid,
    },
    /// Something other than a file was found where file bytes are needed.
    #[error("{cid} is a UnixFS {kind:?} node, which holds no file bytes")]
    NotAFile {
        /// The node.
        cid: Cid,
        /// What it is.
        kind: Kind,
    },
    /// A directory was asked for and the CID names something else.
    #[error("{cid} is not a directory")]
    NotADirectory {
        /// The node.
        cid: Cid,
    },
    /// A file node breaks a rule of UnixFS.
    #[error("file node {cid} is malformed: {fault}")]
    File {
        /// The node.
        cid: Cid,
        /// The rule.
        fault: FileFault,
    },
    /// A directory shard breaks a rule of UnixFS.
    #[error("directory shard {cid} is malformed: {fault}")]
    Shard {
        /// The shard.
        cid: Cid,
        /// The rule.
        fault: ShardFault,
    },
    /// A path names something that is not there. The text is Kubo's.
    #[error("no link named \"{}\" under {cid}", escape(name))]
    NoLink {
        /// Where it was looked up.
        cid: Cid,
        /// The path segment.
        name: Vec<u8>,
    },
    /// A directory entry has a name that no file may have.
    #[error("directory {cid} has an entry named \"{}\": {fault}", escape(name))]
    UnsafeName {
        /// The directory.
        cid: Cid,
        /// The entry's name.
        name: Vec<u8>,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// A symbolic link has a target that no file system can store.
    #[error("symbolic link {cid} has a target that cannot be created: {fault}")]
    SymlinkTarget {
        /// The node.
        cid: Cid,
        /// What is wrong with the target.
        fault: TargetFault,
    },
    /// Two entries of one directory have the same name.
    #[error("directory {cid} has two entries named \"{}\"", escape(name))]
    DuplicateName {
        /// The directory.
        cid: Cid,
        /// The name.
        name: Vec<u8>,
    },
    /// The DAG is bigger than the reader was told to follow.
    #[error("reading stopped at {cid}: more than {max} {what}; raise the limit to go on")]
    Limit {
        /// Where.
        cid: Cid,
        /// What there is too much of.
        what: Limit,
        /// The limit.
        max: u64,
    },
    /// A block was supplied that the machine had not asked for.
    #[error("block {cid} was supplied but not needed")]
    NotNeeded {
        /// The block.
        cid: Cid,
    },
}

impl ReadError {
    pub(crate) fn codec(cid: &Cid, source: impl Into<CodecError>) -> Self {
        let source = Box::new(source.into());
        Self::Codec {
            cid: cid.clone(),
            source,
        }
    }
}

/// A rule of UnixFS files that a node breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// There must be one block size for each link.
    #[error("{sizes} block sizes for {links} links")]
    SizeCount {
        /// Number of links.
        links: usize,
        /// Number of sizes.
        sizes: usize,
    },
    /// The file size must be the sum of its parts.
    #[error("its size is given as {declared} bytes, and its parts add up to {actual}")]
    SizeSum {
        /// What the node says.
        declared: u64,
        /// Bytes in the node and its children.
        actual: u64,
    },
    /// A child must be as long as its parent says.
    #[error("its parent says that it holds {declared} bytes, and it holds {actual}")]
    ChildSize {
        /// What the parent says.
        declared: u64,
        /// What the child holds.
        actual: u64,
    },
    /// The sum of the sizes does not fit into 64 bits.
    #[error("its size overflows 64 bits")]
    Overflow,
    /// Links of a file have no names.
    #[error("one of its links has a name")]
    NamedLink,
    /// A metadata node describes the node it links to.
    #[error("it is a metadata node without a link")]
    EmptyMetadata,
}

/// A rule of UnixFS directory shards (HAMT) that a node breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardFault {
    /// The shard itself is malformed.
    #[error(transparent)]
    Hamt(#[from] HamtError),
    /// An entry lives where the hash of its name says.
    #[error("entry \"{}\" is not where the hash of its name belongs", escape(.0))]
    Misplaced(Vec<u8>),
    /// A shard below the root has entries.
    #[error("it is an empty shard below the root")]
    Empty,
    /// A link to a shard leads to something else.
    #[error("it is linked as a shard and is none")]
    NotAShard,
}

/// Why a symbolic link cannot be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetFault {
    /// It points nowhere.
    #[error("it is empty")]
    Empty,
    /// Targets end at a zero byte.
    #[error("it contains a zero byte")]
    Nul,
    /// Linux stores at most 4095 bytes.
    #[error("it is longer than 4095 bytes")]
    TooLong,
}

/// What there can be too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// Levels of nodes.
    #[error("levels")]
    Depth,
    /// Links waiting to be followed.
    #[error("links waiting to be followed")]
    PendingLinks,
    /// Blocks read.
    #[error("blocks")]
    Blocks,
    /// Entries of directories.
    #[error("directory entries")]
    Entries,
    /// Bytes of one path.
    #[error("bytes in a path")]
    PathBytes,
    /// Bytes of file content.
    #[error("bytes of content")]
    ContentBytes,
    /// Segments of a path.
    #[error("path segments")]
    Segments,
}
