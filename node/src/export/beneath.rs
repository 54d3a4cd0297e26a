//! Directories below the target, opened so that no symbolic link is followed.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ipfs_kit_unixfs::Attributes;
#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::fs::ResolveFlags;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::{ExportError, join};

/// Directories held open at once. A tree may be deeper than a process may have descriptors; those
/// further up are opened again when the walk comes back to them.
const OPEN_LEVELS: usize = 64;

/// An open directory, shared by the jobs that write into it.
#[derive(Clone, Debug)]
pub(super) struct Directory(Arc<OwnedFd>);

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const OPEN: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

impl Directory {
    /// The directory that the caller named, created with its parents if it is not there. A new one
    /// is open to everybody, whatever the umask, as in Kubo.
    pub(super) fn create_all(path: &Path) -> Result<Self, ExportError> {
        let is_new = path.symlink_metadata().is_err();
        fs::create_dir_all(path).map_err(|source| {
            let (action, path) = ("creating directory", path.to_path_buf());
            match path.symlink_metadata() {
                Ok(found) if found.is_symlink() => ExportError::SymlinkInTheWay { path },
                Ok(found) if !found.is_dir() => ExportError::NotADirectory { path },
                _ => ExportError::Local {
                    action,
                    path,
                    source,
                },
            }
        })?;
        // A trailing slash would make the system follow a link.
        let trimmed: PathBuf = path.components().collect();
        match rustix::fs::openat(CWD, &trimmed, OPEN, Mode::empty()) {
            Ok(fd) if is_new => match rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o755)) {
                Ok(()) => Ok(Self(Arc::new(fd))),
                Err(errno) => Err(ExportError::local("setting the mode of", trimmed, errno)),
            },
            Ok(fd) => Ok(Self(Arc::new(fd))),
            Err(errno) => Err(refused(trimmed, errno)),
        }
    }

    /// The directory that the caller named for a single file; links on the way are the caller's.
    pub(super) fn open_given(path: &Path) -> Result<Self, ExportError> {
        match rustix::fs::openat(CWD, path, OPEN.difference(OFlags::NOFOLLOW), Mode::empty()) {
            Ok(fd) => Ok(Self(Arc::new(fd))),
            Err(errno) => Err(ExportError::local("opening", path.to_path_buf(), errno)),
        }
    }

    /// Opens a directory by a relative path of safe names.
    fn open_beneath(&self, path: &[u8]) -> Result<Self, Errno> {
        // Once the system has said that it does not know the call, it is not asked again.
        static WITHOUT_OPENAT2: AtomicBool = AtomicBool::new(false);
        if WITHOUT_OPENAT2.load(Ordering::Relaxed) {
            return self.open_with(path, true);
        }
        match self.open_with(path, false) {
            // Sandboxes refuse calls that they do not know as if they were forbidden.
            Err(Errno::NOSYS | Errno::PERM) => {
                WITHOUT_OPENAT2.store(true, Ordering::Relaxed);
                self.open_with(path, true)
            }
            other => other,
        }
    }

    pub(super) fn open_with(&self, path: &[u8], stepwise: bool) -> Result<Self, Errno> {
        let open = if stepwise {
            open_step_by_step
        } else {
            open_resolved
        };
        open(self.as_fd(), path).map(|fd| Self(Arc::new(fd)))
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn open_resolved(directory: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(directory, path, OPEN, Mode::empty(), resolve) {
            // The kernel could not rule out a race with a rename and says to try again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn open_resolved(_directory: BorrowedFd<'_>, _path: &[u8]) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

/// The same without `openat2`: one component at a time, none of which may be a link.
fn open_step_by_step(directory: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let mut current: Option<OwnedFd> = None;
    for name in path.split(|byte| *byte == b'/') {
        if matches!(name, b"" | b"." | b"..") {
            return Err(Errno::XDEV);
        }
        let from = current.as_ref().map_or(directory, AsFd::as_fd);
        current = Some(rustix::fs::openat(from, name, OPEN, Mode::empty())?);
    }
    current.ok_or(Errno::NOENT)
}

/// The error for a directory that could not be opened without following a link.
fn refused(path: PathBuf, errno: Errno) -> ExportError {
    match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::MLINK => match path.symlink_metadata() {
            Ok(found) if found.is_symlink() => ExportError::SymlinkInTheWay { path },
            Ok(found) if !found.is_dir() => ExportError::NotADirectory { path },
            _ => ExportError::local("opening directory", path, errno),
        },
        errno => ExportError::local("opening directory", path, errno),
    }
}

/// The directories from the target down to where the walk is.
#[derive(Debug)]
pub(super) struct Levels {
    target: PathBuf,
    top: Directory,
    /// Below the target, the outermost first.
    below: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    path: Vec<u8>,
    directory: Option<Directory>,
}

impl Levels {
    pub(super) fn new(top: Directory, target: &Path) -> Self {
        Self {
            target: target.to_path_buf(),
            top,
            below: Vec::new(),
        }
    }

    /// Where something is on the local disk, for messages.
    pub(super) fn full_path(&self, path: &[u8]) -> PathBuf {
        join(&self.target, path)
    }

    /// The directory at `path`, which is the current one or one above it.
    pub(super) fn directory(&mut self, path: &[u8]) -> Result<Directory, ExportError> {
        while self.below.last().is_some_and(|level| level.path != path) {
            self.below.pop();
        }
        if let Some(Level {
            directory: Some(directory),
            ..
        }) = self.below.last()
        {
            return Ok(directory.clone());
        }
        let directory = self.reopen(path)?;
        if let Some(level) = self.below.last_mut() {
            level.directory = Some(directory.clone());
        }
        Ok(directory)
    }

    /// Opens the directory at `path` anew.
    pub(super) fn reopen(&self, path: &[u8]) -> Result<Directory, ExportError> {
        if path.is_empty() {
            return Ok(self.top.clone());
        }
        self.top
            .open_beneath(path)
            .map_err(|errno| refused(self.full_path(path), errno))
    }

    /// Creates the directory `name` in `parent`, or takes the one that is there.
    pub(super) fn enter(
        &mut self,
        parent: &Directory,
        name: &[u8],
        path: &[u8],
        attributes: Attributes,
    ) -> Result<(), ExportError> {
        let failed = |action, errno| ExportError::local(action, join(&self.target, path), errno);
        let created = match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(failed("creating directory", errno)),
        };
        let directory = parent
            .open_beneath(name)
            .map_err(|errno| refused(join(&self.target, path), errno))?;
        if created && attributes.mode.is_none() {
            rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o755))
                .map_err(|errno| failed("setting the mode of", errno))?;
        }
        self.below.push(Level {
            path: path.to_vec(),
            directory: Some(directory),
        });
        if let Some(far) = self.below.len().checked_sub(OPEN_LEVELS + 1) {
            self.below[far].directory = None;
        }
        Ok(())
    }
}
