//! Why an operation on the mutable file system was refused, in Kubo's words.

use ipfs_kit_unixfs::Kind;

/// Why an operation on the mutable file system was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MfsError {
    /// There is nothing of that name.
    #[error("file does not exist")]
    NotFound,
    /// There is something of that name already.
    #[error("file already exists")]
    Exists,
    /// The directory that was to take something has that name already.
    #[error("directory already has entry by that name")]
    EntryExists,
    /// A directory cannot be in itself.
    #[error("cannot move {0} into itself")]
    IntoItself(String),
    /// The root is always there.
    #[error("cannot create directory '/': Already exists")]
    RootExists,
    /// A path leads through a file.
    #[error("cannot access {0}: Not a directory")]
    Through(String),
    /// A directory was to be made below a file.
    #[error("{0} was not a directory")]
    WasNotDirectory(String),
    /// A directory was needed.
    #[error("{0} is not a directory")]
    NotADirectory(String),
    /// The parent of something is a file.
    #[error("expected *mfs.Directory, didn't get it. This is likely a race condition")]
    ParentNotDirectory,
    /// A file was needed.
    #[error("{0} was not a file")]
    NotAFile(String),
    /// Symbolic links have no content that could be read or written here.
    #[error("symlinks not yet supported")]
    Symlink,
    /// A name is needed.
    #[error("cannot create file with empty name")]
    EmptyName,
    /// Only directories remember how they are named.
    #[error("can only update directories")]
    OnlyDirectories,
    /// A node that is no file and no directory.
    #[error("invalid child node")]
    InvalidChild,
    /// A node that describes another one.
    #[error("not yet implemented")]
    Metadata,
    /// A block that is no part of UnixFS.
    #[error("unrecognized node type in cache node")]
    NotUnixFs,
    /// The root has another kind.
    #[error("root can't be a file (unixfs type: {0:?})")]
    RootKind(Kind),
    /// The root cannot be read.
    #[error(
        "failed to initialize MFS root from {root}: {reason}. \
         If corrupted, use 'ipfs-kit files chroot' to reset (see --help)"
    )]
    Root {
        /// The root.
        root: String,
        /// Why.
        reason: String,
    },
    /// Too much was changed without a flush.
    #[error(
        "reached limit of {0} unflushed MFS operations. To resolve: 1) run 'ipfs files flush' to persist changes, \
         2) use --flush=true (default), or 3) increase Internal.MFSNoFlushLimit in config"
    )]
    Unflushed(u64),
    /// What was added cannot be put where it was to be.
    #[error("to-files: {0}")]
    ToFiles(String),
    /// A CID version that does not exist.
    #[error("unknown CID version: {0}")]
    CidVersion(i64),
    /// A hash function that is not known.
    #[error("unrecognized hash function: {0:?}")]
    HashFunction(String),
    /// A new root that is not here.
    #[error("new root {0} does not exist locally; fetch it first with 'ipfs block get'")]
    NewRootMissing(String),
    /// A new root that is no directory.
    #[error("new root must be a directory, got {0}")]
    NewRootKind(&'static str),
    /// A new root that cannot be read.
    #[error("new root is not a valid {what} node: {reason}")]
    NewRootInvalid {
        /// What it was to be.
        what: &'static str,
        /// Why it is none.
        reason: String,
    },
}
