//! The error of every node operation. Each variant says what failed and, where there is a remedy, what to change.

use std::io;
use std::path::PathBuf;

use ipfs_kit_blockstore::block::BlockError;
use ipfs_kit_blockstore::car::CarError;
use ipfs_kit_blockstore::cid::{Cid, CidError};
use ipfs_kit_blockstore::codec::CodecError;
use ipfs_kit_blockstore::hash::HashError;
use ipfs_kit_blockstore::store::StoreError;
use ipfs_kit_unixfs::ReadError;
use ipfs_kit_unixfs::chunker::ChunkerError;
use ipfs_kit_unixfs::directory::DirectoryError;
use ipfs_kit_unixfs::edit::EditError;
use ipfs_kit_unixfs::hamt::HamtError;
use ipfs_kit_unixfs::leaf::FileError;
use ipfs_kit_unixfs::options::OptionsError;

use crate::cancel::Cancelled;
use crate::config::ConfigError;
use crate::export::ExportError;
use crate::jobs::JobError;
use crate::keys::KeyError;
use crate::mfs::MfsError;
use crate::migrate::MigrateError;
use crate::names::NameError;
use crate::net::NetError;
use crate::pins::PinError;
use crate::remote::RemoteError;
use crate::repo::{DatabaseError, RepoError};
use crate::tokens::TokenError;

/// Result of a node operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Receives the events of an operation while it runs. Returning an error (a closed pipe, for example)
/// stops the operation with [`Error::Output`].
pub type Emit<'a, T> = &'a mut dyn FnMut(T) -> io::Result<()>;

/// What can go wrong in a node operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The repo directory could not be created, opened or locked.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// A configuration value or file was refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A pin operation was refused.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A job was refused.
    #[error(transparent)]
    Job(#[from] JobError),
    /// An operation on the mutable file system was refused.
    #[error(transparent)]
    Mfs(#[from] MfsError),
    /// A file that cannot be edited.
    #[error(transparent)]
    Edit(Box<EditError>),
    /// A key operation was refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A token was not made or removed.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A name could not be published, stored or resolved.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A pinning service did not do what was asked.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A repo of Kubo's cannot be read.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The operation was interrupted or ran out of time.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The network failed, or is not there.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The store of blocks failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database of pins failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The block is not in the repo, and there is no network to ask.
    #[error("block was not found locally (offline): ipld: could not find {0}")]
    NotFound(Cid),
    /// An operation of [`crate::Node::at_once`] would have to wait for a disk, a lock or the network.
    #[error("not at hand: ask again where waiting is allowed")]
    NotAtHand,
    /// The block is not in the repo, and the network did not give it.
    #[error("could not fetch {cid}: {reason}")]
    NotFetched {
        /// The block.
        cid: Cid,
        /// What was tried.
        reason: Box<str>,
    },
    /// A block's bytes are not what its CID says.
    #[error("block {cid} is damaged: {source}")]
    Damaged {
        /// The block.
        cid: Cid,
        /// What the store found.
        source: StoreError,
    },
    /// A block that a running operation needs was to be removed.
    #[error("{0} is in use by a running operation: try again when it has ended")]
    InUse(Cid),
    /// Text that is no IPFS path.
    #[error("invalid path {path:?}: {reason}")]
    BadPath {
        /// The text as given.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A path that ends inside a block where a whole one is needed.
    #[error("{path} points into a block, not at one: {remainder:?} is left over")]
    InsideBlock {
        /// The path.
        path: String,
        /// What of it lies inside the last block.
        remainder: String,
    },
    /// A name that has to be looked up in a network.
    #[error(
        "{0} needs a name lookup, which this node cannot do offline: start the daemon or use an /ipfs path"
    )]
    NeedsNetwork(String),
    /// An option with a value that cannot work.
    #[error("{option}: {reason}")]
    BadOption {
        /// The option's name.
        option: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// A directory where only files were asked for.
    #[error("'{}' is a directory, use the '-r' flag to specify directories", .0.display())]
    NotRecursive(PathBuf),
    /// A local file of a kind that has no place in a DAG.
    #[error("cannot add {}: it is a {kind}", path.display())]
    NotAddable {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A file that lost bytes while it was read.
    #[error("{} changed while it was being added: add it again", .0.display())]
    FileChanged(PathBuf),
    /// A block above the size that peers exchange.
    #[error(
        "produced block is over 2MiB: big blocks can't be exchanged with other peers. consider using UnixFS for \
         automatic chunking of bigger files, or pass --allow-big-block to override"
    )]
    BlockTooBig,
    /// A DAG or path that cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A DAG that cannot be written to the local disk.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A CAR that is malformed or holds a wrong block.
    #[error(transparent)]
    Car(#[from] CarError),
    /// Bytes that do not decode.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Text or bytes that are no CID.
    #[error(transparent)]
    Cid(#[from] CidError),
    /// Bytes that cannot become a block.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A hash function that is unknown or cannot do what was asked.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A file that cannot be stored as asked.
    #[error(transparent)]
    File(#[from] FileError),
    /// A directory that cannot be stored as asked.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A directory fan-out that is not allowed.
    #[error(transparent)]
    Hamt(#[from] HamtError),
    /// A chunker that is not known.
    #[error(transparent)]
    Chunker(#[from] ChunkerError),
    /// Import settings that contradict each other.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A local file or directory could not be read or written.
    #[error("{action} {}: {source}", path.display())]
    LocalFile {
        /// What was being done, such as "read".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A stream that was to be added could not be read.
    #[error("reading input: {0}")]
    Input(#[source] io::Error),
    /// The receiver of an operation's output or events failed.
    #[error("writing output: {0}")]
    Output(#[source] io::Error),
    /// The node was closed.
    #[error("the node is closed")]
    Closed,
    /// Something that cannot happen did; please report it.
    #[error("internal error: {0}")]
    Internal(&'static str),
}
