//! Why an export stopped.

use std::io;
use std::path::PathBuf;

use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_unixfs::ReadError;
use ipfs_kit_unixfs::names::NameFault;

/// Why a DAG could not be written to the local disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The DAG is malformed, too big, or has names that no file may have.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An archive that breaks off or makes no sense.
    #[error("reading archive: {0}")]
    Archive(#[source] io::Error),
    /// A name that no file may have.
    #[error("name {name:?}: {fault}")]
    UnsafeName {
        /// The name, printable.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// A block could not be had.
    #[error("{source}")]
    Block {
        /// The block.
        cid: Cid,
        /// What its source said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The operating system refused something.
    #[error("{action} {path:?}: {source}")]
    Local {
        /// What was being done.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A directory of the DAG would have to be written through a symbolic link.
    #[error(
        "{path:?} is a symbolic link, and nothing is written through links; \
         remove it or choose another target"
    )]
    SymlinkInTheWay {
        /// The link.
        path: PathBuf,
    },
    /// A directory of the DAG has the place of something that is no directory.
    #[error("{path:?} exists and is no directory; remove it or choose another target")]
    NotADirectory {
        /// What is in the way.
        path: PathBuf,
    },
    /// A file or link of the DAG has the place of a directory with entries.
    #[error("{path:?} is a directory that is not empty; remove it or choose another target")]
    DirectoryInTheWay {
        /// The directory.
        path: PathBuf,
    },
    /// A file is bigger than what is free on the disk.
    #[error("{path:?} needs {needed} bytes, and the disk has {available} left")]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// Its size.
        needed: u64,
        /// Free bytes.
        available: u64,
    },
    /// The receiver of progress ended the export.
    #[error("writing progress: {0}")]
    Progress(#[source] io::Error),
    /// The system has no random bytes, which names of temporary files need.
    #[error("no random bytes from the system: {0}")]
    Random(getrandom::Error),
}

impl ExportError {
    pub(super) fn local(action: &'static str, path: PathBuf, source: rustix::io::Errno) -> Self {
        Self::Local {
            action,
            path,
            source: source.into(),
        }
    }
}
