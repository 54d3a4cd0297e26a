//! The small filesystem that the segment store stands on: the real one, and one in memory that
//! records every operation and can fail, fill up, or lose what was not synced.
//!
//! Names are relative to the store's directory; there are two directories, [`ROOT`] and
//! [`SEGMENTS`]. Nothing is durable before [`File::sync`] (contents and length of a file) or
//! [`Disk::sync_dir`] (which names exist) has returned.

mod folder;
mod map;
mod recorded;

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

pub use folder::Folder;
pub use recorded::{Fault, FaultKind, Image, Op, Record, Recorded, Survives};

/// The store's directory itself.
pub const ROOT: &str = "";
/// Where the segment files are.
pub const SEGMENTS: &str = "segments";

/// A directory tree with files.
pub trait Disk: Send + Sync {
    /// The path of a name, for messages.
    fn path(&self, name: &str) -> PathBuf;

    /// Creates the two directories when they are missing, durably.
    ///
    /// # Errors
    /// As the operating system says.
    fn prepare(&self) -> io::Result<()>;

    /// Takes the store for this process until the disk is dropped; false when another has it.
    ///
    /// # Errors
    /// As the operating system says.
    fn lock(&self) -> io::Result<bool>;

    /// The names of the files in a directory, without it, and their lengths, in no order.
    ///
    /// # Errors
    /// As the operating system says; a missing directory is an error.
    fn list(&self, dir: &str) -> io::Result<Vec<(String, u64)>>;

    /// Opens a file.
    ///
    /// # Errors
    /// As the operating system says.
    fn open(&self, name: &str, how: Open) -> io::Result<Arc<dyn File>>;

    /// Removes a name. Open files and mapped bytes stay readable.
    ///
    /// # Errors
    /// As the operating system says.
    fn unlink(&self, name: &str) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As the operating system says; what is durable is unknown then.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// It must exist, and is not written.
    Read,
    /// It must exist.
    Write,
    /// It must not exist.
    Create,
    /// It must exist; appended to in large pieces, past the page cache where possible, and mapped
    /// with room to grow.
    Append {
        /// How long it may become, in bytes.
        capacity: u64,
    },
    /// As [`Open::Append`], but it must not exist.
    CreateAppend {
        /// How long it may become, in bytes.
        capacity: u64,
    },
}

impl Open {
    const fn creates(self) -> bool {
        matches!(self, Self::Create | Self::CreateAppend { .. })
    }

    const fn capacity(self) -> Option<u64> {
        match self {
            Self::Append { capacity } | Self::CreateAppend { capacity } => Some(capacity),
            _ => None,
        }
    }
}

/// An open file.
#[expect(
    clippy::len_without_is_empty,
    reason = "the length of a file is a number to compute with"
)]
pub trait File: Send + Sync {
    /// What offset, length and memory of a write must be multiples of: 1, or more when the file
    /// is written past the page cache.
    fn alignment(&self) -> usize;

    /// The length, in bytes.
    ///
    /// # Errors
    /// As the operating system says.
    fn len(&self) -> io::Result<u64>;

    /// Fills `out` from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the file ends before.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Bytes of the file, not copied where that is possible.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the file ends before.
    fn slice(&self, offset: u64, len: usize) -> io::Result<Bytes>;

    /// As [`File::slice`], if that does not have to wait for the device; `None` if it might.
    ///
    /// # Errors
    /// As [`File::slice`].
    fn at_hand(&self, offset: u64, len: usize) -> io::Result<Option<Bytes>> {
        self.slice(offset, len).map(Some)
    }

    /// Writes the parts one after another from `offset` on.
    ///
    /// # Errors
    /// As the operating system says; any part may have been written.
    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()>;

    /// Cuts the file, or grows it with zeros.
    ///
    /// # Errors
    /// As the operating system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes sure that the first `len` bytes have space on the device, growing the file.
    ///
    /// # Errors
    /// As the operating system says.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Makes contents and length durable.
    ///
    /// # Errors
    /// As the operating system says; what is durable is unknown then, whatever a later call says.
    fn sync(&self) -> io::Result<()>;
}
