//! Files and symbolic links, put into their place in one move.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{IoSlice, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use ipfs_kit_unixfs::{Attributes, FileReader, Mtime, Step, Steps};
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::beneath::Directory;
use super::workers::Shared;
use super::{ExportError, block};

/// Pieces given to one write.
const BATCH_PIECES: usize = 16;
/// Bytes given to one write, unless one piece alone has more.
const BATCH_BYTES: usize = 1 << 20;
/// Files of at least this many bytes are compared with the free space first.
const CHECK_SPACE_FROM: u64 = 16 << 20;

/// Where something goes.
#[derive(Debug)]
pub(super) struct Placing {
    pub(super) directory: Directory,
    pub(super) name: Vec<u8>,
    /// For messages.
    pub(super) path: PathBuf,
}

/// Names for files that are being written. A DAG that could tell one in advance could have its own
/// entry of that name take its place, so they are random.
#[derive(Debug)]
pub(super) struct TempNames {
    prefix: String,
    next: AtomicU64,
}

impl TempNames {
    pub(super) fn new() -> Result<Self, ExportError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(ExportError::Random)?;
        let mut prefix = String::from(".");
        for byte in random {
            // Writing to a String cannot fail.
            let _ = write!(prefix, "{byte:02x}");
        }
        Ok(Self {
            prefix,
            next: AtomicU64::new(0),
        })
    }

    fn next(&self) -> String {
        format!(
            "{}.{}",
            self.prefix,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }
}

/// A file under its temporary name, removed unless it was renamed.
struct Temporary<'p> {
    placing: &'p Placing,
    name: String,
    placed: bool,
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.placed {
            // The failure that brought us here is the one to report.
            let _ = rustix::fs::unlinkat(&self.placing.directory, &self.name, AtFlags::empty());
        }
    }
}

impl Temporary<'_> {
    /// Moves it to its place. A file or link there is replaced in the same move; an empty directory
    /// is removed first.
    fn place(mut self) -> Result<(), ExportError> {
        let Placing {
            directory,
            name,
            path,
        } = self.placing;
        let rename = || rustix::fs::renameat(directory, &self.name, directory, name);
        let moved = match rename() {
            Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) => {
                match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
                    Ok(()) => rename(),
                    Err(Errno::NOTEMPTY | Errno::EXIST) => {
                        return Err(ExportError::DirectoryInTheWay { path: path.clone() });
                    }
                    Err(errno) => Err(errno),
                }
            }
            other => other,
        };
        moved.map_err(|errno| ExportError::local("creating", path.clone(), errno))?;
        self.placed = true;
        Ok(())
    }
}

impl Placing {
    /// Writes a file, with the mode and time that were stored for it.
    pub(super) fn write_file(
        &self,
        mut reader: FileReader,
        shared: &Shared<'_>,
    ) -> Result<(), ExportError> {
        let size = reader.size().unwrap_or(0);
        self.write_with(size, &shared.temp_names, |file| {
            let whole = self.write_content(&mut reader, file, shared)?;
            Ok(whole.then(|| reader.attributes()))
        })
    }

    /// Writes a file of about `size` bytes under a temporary name. What `fill` gives are its mode and time; nothing
    /// means that it is not wanted any more.
    pub(super) fn write_with(
        &self,
        size: u64,
        temp_names: &TempNames,
        fill: impl FnOnce(&mut File) -> Result<Option<Attributes>, ExportError>,
    ) -> Result<(), ExportError> {
        let failed = |action, errno| ExportError::local(action, self.path.clone(), errno);
        self.check_space(size)?;
        let name = temp_names.next();
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.directory, &name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| failed("creating", errno))?;
        let temporary = Temporary {
            placing: self,
            name,
            placed: false,
        };
        let mut file = File::from(fd);
        let Some(attributes) = fill(&mut file)? else {
            return Ok(());
        };
        set_attributes(&file, attributes, 0o644)
            .map_err(|errno| failed("setting mode and time of", errno))?;
        drop(file);
        temporary.place()
    }

    /// Says whether all of it was written: not if the export was stopped meanwhile.
    fn write_content(
        &self,
        reader: &mut FileReader,
        file: &mut File,
        shared: &Shared<'_>,
    ) -> Result<bool, ExportError> {
        let mut batch: Vec<Bytes> = Vec::new();
        let mut batched = 0;
        loop {
            let step = reader.step()?;
            let done = step == Step::Done;
            match step {
                Step::Need(cid) => reader.supply(&cid, block(&cid, shared.source)?)?,
                Step::Item(piece) => {
                    batched += piece.len();
                    batch.push(piece);
                }
                Step::Done => {}
            }
            if done || batch.len() >= BATCH_PIECES || batched >= BATCH_BYTES {
                self.write_batch(&batch, file)?;
                shared.add_written(batched as u64);
                batch.clear();
                batched = 0;
            }
            if done || shared.is_stopped() {
                return Ok(done);
            }
        }
    }

    fn write_batch(&self, batch: &[Bytes], file: &mut File) -> Result<(), ExportError> {
        let failed = |source| {
            let (action, path) = ("writing", self.path.clone());
            ExportError::Local {
                action,
                path,
                source,
            }
        };
        if let [piece] = batch {
            return file.write_all(piece).map_err(failed);
        }
        let mut slices: Vec<IoSlice<'_>> = batch.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            match file.write_vectored(rest) {
                Ok(0) => return Err(failed(std::io::ErrorKind::WriteZero.into())),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// A few kilobytes of blocks can declare an exabyte: better to say so than to fill the disk.
    fn check_space(&self, needed: u64) -> Result<(), ExportError> {
        if needed < CHECK_SPACE_FROM {
            return Ok(());
        }
        match rustix::fs::fstatvfs(&self.directory) {
            Ok(disk) => {
                let available = disk.f_bavail.saturating_mul(disk.f_frsize);
                if needed > available {
                    let path = self.path.clone();
                    return Err(ExportError::NoSpace {
                        path,
                        needed,
                        available,
                    });
                }
                Ok(())
            }
            // The write itself will tell.
            Err(_) => Ok(()),
        }
    }

    /// Creates a symbolic link, with the time that was stored for it.
    pub(super) fn write_symlink(
        &self,
        target: &[u8],
        mtime: Option<Mtime>,
        temp_names: &TempNames,
    ) -> Result<(), ExportError> {
        let failed = |errno| ExportError::local("creating symbolic link", self.path.clone(), errno);
        let name = temp_names.next();
        rustix::fs::symlinkat(target, &self.directory, &name).map_err(failed)?;
        let temporary = Temporary {
            placing: self,
            name,
            placed: false,
        };
        if let Some(mtime) = mtime {
            let (times, nofollow) = (timestamps(mtime), AtFlags::SYMLINK_NOFOLLOW);
            rustix::fs::utimensat(&self.directory, &temporary.name, &times, nofollow)
                .map_err(failed)?;
        }
        temporary.place()
    }
}

/// Sets the stored time if there is one, and the stored or the usual mode.
pub(super) fn set_attributes(
    fd: impl AsFd,
    attributes: Attributes,
    default_mode: u32,
) -> Result<(), Errno> {
    if let Some(mtime) = attributes.mtime {
        rustix::fs::futimens(&fd, &timestamps(mtime))?;
    }
    let mode = attributes.mode.unwrap_or(default_mode);
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode))
}

fn timestamps(mtime: Mtime) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime.seconds,
        tv_nsec: i64::from(mtime.nanos),
    };
    // Kubo sets the time of last access too, so that it agrees.
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
