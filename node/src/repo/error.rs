//! Why a repo could not be created, opened or locked.

use std::io;
use std::path::PathBuf;

use super::place::REPO_VERSION;

/// Why a repo could not be created, opened or locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// There is nothing at the path.
    #[error("no IPFS repo found in {}: please run 'ipfs-kit init'", .0.display())]
    NotInitialised(PathBuf),
    /// `init` found a repo there already.
    #[error("ipfs configuration file already exists in {}: reinitializing would overwrite your keys", .0.display())]
    AlreadyInitialised(PathBuf),
    /// The directory is Kubo's and stays untouched.
    #[error("{} is a Kubo repo, which is never changed: choose another path with --repo-dir or IPFS_KIT_PATH; 'ipfs-kit migrate --from' takes over what it holds", .0.display())]
    KuboRepo(PathBuf),
    /// Another process holds the lock.
    #[error("lock {}: someone else has the lock ({holder}): wait for it to end or use another repo", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as "process 4711, ipfs-kit".
        holder: String,
    },
    /// The repo was written by a newer program.
    #[error("repo {} has version {found}, this program knows up to {REPO_VERSION}: use a newer ipfs-kit", path.display())]
    TooNew {
        /// The repo.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// The `version` file is there but holds no version.
    #[error("repo {} has no readable version, its file 'version' holds {text:?}: restore it from a backup", path.display())]
    BadVersion {
        /// The repo.
        path: PathBuf,
        /// What is in the file, cut to a line.
        text: String,
    },
    /// The disk refuses writes.
    #[error("repo {} cannot be written: {source}; make it writable or choose another path", path.display())]
    ReadOnly {
        /// The repo.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Neither a path nor a home directory is known.
    #[error("no repo path: set IPFS_KIT_PATH or HOME, or give --repo-dir")]
    NoHome,
    /// A file of the repo could not be read or written.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The database of pins failed.
    #[error("{}: {source}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What failed.
        source: super::database::DatabaseError,
    },
}

impl RepoError {
    /// An error of the operating system, told apart when it means that the disk is read-only.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path, source },
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}
