//! What [`super::Files::add`] takes and gives.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ipfs_kit_blockstore::cid::Cid;

use super::EntryKind;

/// Something to add.
pub enum Source {
    /// A local file, directory or symbolic link.
    Path(PathBuf),
    /// A local path under another name than its own.
    Named {
        /// The name in events and in a wrapping directory.
        name: String,
        /// The local file, directory or symbolic link.
        path: PathBuf,
    },
    /// Bytes from anywhere, such as standard input.
    Reader {
        /// Name in events and in a wrapping directory; without one the CID is the name.
        name: Option<String>,
        /// The content.
        reader: Box<dyn Read + Send>,
    },
    /// Any number of files, directories and symbolic links that come one after the other, such as an upload.
    Tree(Box<dyn TreeStream>),
}

/// A tree that comes as a stream. Entries of a directory follow each other; a directory that is not told of before its
/// entries is implied by their paths.
pub trait TreeStream: Send {
    /// The next entry, after what is left of the content of the one before. `None` at the end.
    ///
    /// # Errors
    /// When the stream breaks off or makes no sense.
    fn next_entry(&mut self) -> io::Result<Option<StreamedEntry>>;

    /// Reads content of the entry told last: of a file its bytes, of a symbolic link its target.
    ///
    /// # Errors
    /// When the stream breaks off.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// One entry of a [`TreeStream`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamedEntry {
    /// Path from the top, parts separated by `/`. Never leads above the top.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// POSIX mode, kept with [`AddOptions::preserve_mode`].
    pub mode: Option<u32>,
    /// Modification time in seconds and nanoseconds, kept with [`AddOptions::preserve_mtime`].
    pub mtime: Option<(i64, u32)>,
}

impl Source {
    /// A local path.
    pub fn path(path: impl AsRef<Path>) -> Self {
        Source::Path(path.as_ref().to_owned())
    }

    /// Content that is already in memory.
    pub fn bytes(name: impl Into<String>, data: impl AsRef<[u8]> + Send + 'static) -> Self {
        Source::Reader {
            name: Some(name.into()),
            reader: Box::new(std::io::Cursor::new(data)),
        }
    }
}

/// Options of [`super::Files::add`]. `None` means: as the configuration's `Import` section says, else Kubo's default.
#[derive(Clone, Debug)]
pub struct AddOptions {
    /// Accept directories.
    pub recursive: bool,
    /// Put everything into one directory.
    pub wrap: bool,
    /// Compute CIDs, store nothing, pin nothing.
    pub only_hash: bool,
    /// Pin each root recursively.
    pub pin: bool,
    /// Name of the pin, at most 255 bytes.
    pub pin_name: Option<String>,
    /// Put each root at this path of the mutable file system, into it if it ends with a slash.
    pub to_files: Option<String>,
    /// Send [`AddEvent::Progress`] every 256 KiB.
    pub progress: bool,

    /// Chunker, as `size-262144`, `rabin-min-avg-max` or `buzhash`.
    pub chunker: Option<String>,
    /// Trickle layout instead of balanced.
    pub trickle: Option<bool>,
    /// Leaves as raw blocks.
    pub raw_leaves: Option<bool>,
    /// CID version, 0 or 1.
    pub cid_version: Option<u64>,
    /// Hash function by name.
    pub hash: Option<String>,
    /// Largest block, in bytes, to put into its CID instead of the store.
    pub inline_limit: Option<usize>,
    /// Most links of a file node.
    pub max_file_links: Option<usize>,
    /// Most links of a basic directory; zero for no limit.
    pub max_directory_links: Option<usize>,
    /// Fan-out of a sharded directory: a power of two from 8 to 1024.
    pub max_hamt_fanout: Option<usize>,

    /// Store the files' POSIX mode.
    pub preserve_mode: bool,
    /// Store the files' modification time.
    pub preserve_mtime: bool,
    /// Store this POSIX mode instead of the files' own.
    pub mode: Option<u32>,
    /// Store this modification time (seconds, nanoseconds) instead of the files' own.
    pub mtime: Option<(i64, u32)>,

    /// Include hidden files of directories.
    pub hidden: bool,
    /// Rules, in the form of a `.gitignore` line, for what to leave out of directories.
    pub ignore: Vec<String>,
    /// A file of such rules.
    pub ignore_rules: Option<PathBuf>,
    /// Keep directories without entries.
    pub empty_dirs: bool,
    /// Add what symbolic links of the given paths point to.
    pub dereference_args: bool,
    /// Add what every symbolic link points to.
    pub dereference_symlinks: bool,
}

impl AddOptions {
    /// Kubo's own defaults, whatever the repo's `Import` section says.
    pub fn as_kubo_2015() -> Self {
        Self {
            chunker: Some("size-262144".to_owned()),
            trickle: Some(false),
            raw_leaves: Some(false),
            cid_version: Some(0),
            hash: Some("sha2-256".to_owned()),
            ..Self::default()
        }
    }
}

impl Default for AddOptions {
    fn default() -> Self {
        Self {
            recursive: true,
            wrap: false,
            only_hash: false,
            pin: true,
            pin_name: None,
            to_files: None,
            progress: false,
            chunker: None,
            trickle: None,
            raw_leaves: None,
            cid_version: None,
            hash: None,
            inline_limit: None,
            max_file_links: None,
            max_directory_links: None,
            max_hamt_fanout: None,
            preserve_mode: false,
            preserve_mtime: false,
            mode: None,
            mtime: None,
            hidden: false,
            ignore: Vec::new(),
            ignore_rules: None,
            empty_dirs: true,
            dereference_args: false,
            dereference_symlinks: false,
        }
    }
}

/// What [`super::Files::add`] reports while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddEvent {
    /// Bytes of one file read so far.
    Progress {
        /// The file, as in its later `Added` event.
        name: String,
        /// Bytes read so far.
        bytes: u64,
    },
    /// A file, symbolic link or directory is in the repo, its blocks durable.
    Added {
        /// Path from the root's parent, as Kubo prints it.
        name: String,
        /// Its CID.
        cid: Cid,
        /// Size of its DAG in bytes.
        size: u64,
        /// POSIX mode, when it was stored.
        mode: Option<u32>,
        /// Modification time, when it was stored.
        mtime: Option<(i64, u32)>,
    },
}

/// One finished root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedRoot {
    /// Name of its source; empty for a wrapping directory.
    pub name: String,
    /// Its CID.
    pub cid: Cid,
    /// Size of its DAG in bytes.
    pub size: u64,
}

/// Answer of [`super::Files::add`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddReport {
    /// One for each source, in order, or one for all with [`AddOptions::wrap`].
    pub roots: Vec<AddedRoot>,
    /// Content bytes read.
    pub bytes: u64,
    /// Files and symbolic links added.
    pub files: u64,
}
