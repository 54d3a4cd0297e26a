//! Why a repo of Kubo's cannot be read at all.

use std::io;
use std::path::PathBuf;

use super::leveldb::LevelError;

/// Why nothing of a repo can be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// No repo of Kubo's is there.
    #[error("no repo of Kubo's at {}: {reason}", path.display())]
    NotKubo {
        /// The path.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// A repo of a version that this program does not read.
    #[error(
        "the repo at {} has version fs-repo@{found}, and versions {oldest} to {newest} can be read: {remedy}",
        path.display()
    )]
    Version {
        /// The repo.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The oldest that can be read.
        oldest: u64,
        /// The newest that can be read.
        newest: u64,
        /// What to do.
        remedy: &'static str,
    },
    /// Kubo runs on the repo.
    #[error("Kubo is running on {} ({sign}): stop it first", path.display())]
    Running {
        /// The repo.
        path: PathBuf,
        /// How that is known.
        sign: String,
    },
    /// Kubo was started while its repo was read.
    #[error(
        "Kubo was started on {} while it was being read: stop it and begin again, what was taken is kept",
        .0.display()
    )]
    StartedMeanwhile(PathBuf),
    /// A datastore of a kind that this program does not read.
    #[error(
        "the repo at {} keeps its blocks in {kind}, and only flatfs can be read: convert it with \
         'ipfs-ds-convert convert' (https://github.com/ipfs/ipfs-ds-convert), or move it DAG by DAG with \
         'ipfs dag export' and 'ipfs-kit dag import'",
        path.display()
    )]
    Datastore {
        /// The repo.
        path: PathBuf,
        /// What keeps the blocks.
        kind: String,
    },
    /// The file that says how flatfs spreads blocks over directories.
    #[error("{}: {reason}; without it nothing says that this directory holds blocks", path.display())]
    Sharding {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file that could not be read.
    #[error("read {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file that holds something else than it should.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The database of pins, names and the root of MFS.
    #[error("the records of the repo cannot be read, so nothing was taken: {0}")]
    Records(#[from] LevelError),
}

impl MigrateError {
    pub(super) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}

impl From<LevelError> for crate::error::Error {
    fn from(error: LevelError) -> Self {
        MigrateError::from(error).into()
    }
}
