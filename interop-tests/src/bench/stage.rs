//! Inputs and repos in the place that is measured.

use super::rows::Sizes;
use crate::stream::write_file;
use crate::{Peer, Side, scratch, tree};
use anyhow::{Context, Result};
use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory on a disk or in memory that holds everything a measurement touches.
pub struct Stage {
    place: TempDir,
    in_memory: bool,
    sizes: Sizes,
    repos: usize,
    spent: Cell<usize>,
}

impl Stage {
    /// A stage in memory, in `folder`, or else beside `target/`.
    pub fn new(in_memory: bool, folder: Option<&Path>, sizes: Sizes) -> Result<Self> {
        let place = match folder {
            _ if in_memory => scratch::in_memory()?,
            Some(folder) => scratch::new_in(folder)?,
            None => scratch::on_disk()?,
        };
        Ok(Self {
            place,
            in_memory,
            sizes,
            repos: 0,
            spent: Cell::new(0),
        })
    }

    /// How much of everything.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// Where everything lies.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// The large file, made on first use and then only read, so that it is in memory.
    pub fn file(&self) -> Result<PathBuf> {
        self.file_of(self.sizes.file)
    }

    /// The first `length` bytes of the large file, or of one that is larger.
    pub fn file_of(&self, length: u64) -> Result<PathBuf> {
        let path = self.path().join(format!("file-{length}"));
        if !path.exists() {
            write_file(&path, "bench", length)?;
        }
        warm(&path)?;
        Ok(path)
    }

    /// The tree of small files, made on first use and then only read.
    pub fn tree(&self) -> Result<PathBuf> {
        self.tree_of(self.sizes.files)
    }

    /// The first `count` files of the tree.
    pub fn tree_of(&self, count: usize) -> Result<PathBuf> {
        let path = self.path().join(format!("tree-{count}"));
        if !path.exists() {
            tree::make_small_files(&path, count, self.sizes.file_size, "bench tree")?;
        }
        warm(&path)?;
        Ok(path)
    }

    /// A new repo.
    pub fn repo(&mut self, side: Side) -> Result<Peer> {
        self.repos += 1;
        Peer::init(
            side,
            self.path().join(format!("{}-{}", side.name(), self.repos)),
        )
    }

    /// A path that is not there yet.
    pub fn out(&self) -> PathBuf {
        self.path().join("out")
    }

    /// Gets a file or a tree out of the way, if it is there, and gives its space back.
    ///
    /// On a disk the names stay until the end, elsewhere: ext4 passes over an inode for some
    /// minutes after it was freed, and each new file would pay for all that were removed before.
    pub fn spend(&self, path: &Path) -> Result<()> {
        if self.in_memory {
            return remove(path);
        }
        let number = self.spent.replace(self.spent.get() + 1);
        let spent = self.path().join("spent");
        fs::create_dir_all(&spent)?;
        let spent = spent.join(number.to_string());
        match fs::rename(path, &spent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => {
                moved.with_context(|| format!("cannot move {}", path.display()))?;
                empty(&spent)
            }
        }
    }

    /// Has all dirty pages written back, so that the next measurement does not wait for them.
    pub fn settle(&self) {
        rustix::fs::sync();
    }
}

/// Cuts the large files of a tree to nothing.
fn empty(path: &Path) -> Result<()> {
    const LARGE: u64 = 64 << 10;
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            empty(&entry?.path())?;
        }
    } else if metadata.is_file() && metadata.len() > LARGE {
        File::options().write(true).open(path)?.set_len(0)?;
    }
    Ok(())
}

/// Removes a file or a tree if it is there.
fn remove(path: &Path) -> Result<()> {
    let outcome = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.with_context(|| format!("cannot remove {}", path.display())),
    }
}

fn warm(path: &Path) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            warm(&entry?.path())?;
        }
    } else {
        io::copy(&mut File::open(path)?, &mut io::sink())?;
    }
    Ok(())
}

/// The disk space that the files below `path` take, in bytes.
pub fn disk_use(path: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut used = 0;
    for name in tree::entries(path)?.keys() {
        used += fs::symlink_metadata(path.join(name))?.blocks() * 512;
    }
    Ok(used)
}
