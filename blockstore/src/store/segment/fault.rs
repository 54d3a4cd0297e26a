//! Failures of the disk: what they are called, and the one after which nothing may be written.

use std::io;
use std::sync::{Arc, OnceLock};

use super::super::StoreError;
use super::super::disk::Disk;

/// Set once, by a failed sync: what the disk holds is unknown from then on. Linux marks pages
/// clean after a failed fsync, so that trying again would report a success that is none.
#[derive(Default)]
pub(super) struct Poison(OnceLock<Arc<str>>);

impl Poison {
    pub(super) fn set(&self, cause: &str) -> StoreError {
        let cause = self.0.get_or_init(|| cause.into());
        StoreError::Poisoned {
            cause: Arc::clone(cause),
        }
    }

    /// # Errors
    /// [`StoreError::Poisoned`] once it is set.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.0.get() {
            Some(cause) => Err(StoreError::Poisoned {
                cause: Arc::clone(cause),
            }),
            None => Ok(()),
        }
    }

    /// The outcome of a sync, which poisons when it failed.
    pub(super) fn synced(&self, outcome: io::Result<()>, name: &str) -> Result<(), StoreError> {
        outcome.map_err(|error| self.set(&format!("cannot sync {name}: {error}")))
    }
}

/// What an error of the operating system means for the user of the store.
pub(super) fn disk_error(
    action: &'static str,
    disk: &dyn Disk,
    name: &str,
    error: io::Error,
) -> StoreError {
    let path = disk.path(name);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull { path },
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            StoreError::ReadOnly {
                path,
                source: Arc::new(error),
            }
        }
        _ => StoreError::Io {
            action,
            path,
            source: Arc::new(error),
        },
    }
}
