//! Writes a DAG to the local disk so that nothing is ever written outside the target, whatever
//! names and links the DAG holds.
//!
//! What keeps it inside:
//! - Names are checked before anything below them is created: [`ipfs_kit_unixfs::names`].
//! - Every operation is relative to the descriptor of a directory that was opened below the target
//!   with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`. A symbolic link is created and never followed, be
//!   it one of the same DAG, one that was there before, or one that another process puts there
//!   meanwhile.
//! - Files are written under a name that no DAG can know and then renamed into place, so that a
//!   reader sees all of a file or nothing, and a link that stands at its place is replaced.
//!
//! What exists already is treated as Kubo's `get` does: directories are merged, files, links and
//! empty directories are replaced. A directory is created before its entries and gets its stored
//! mode and time last, after everything below it.

mod beneath;
mod error;
mod place;
mod unpack;
mod workers;

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_unixfs::names::{self, NameRules};
use ipfs_kit_unixfs::{
    Attributes, Limits, Step, Steps, TreeContent, TreeEntry, TreeOptions, TreeReader,
};

use beneath::{Directory, Levels};
use place::{Placing, TempNames};
use workers::{Job, Shared};

pub use error::ExportError;
pub use unpack::unpack;

/// Where an export gets its blocks. Several threads ask at once.
pub type BlockSource<'a> =
    dyn Fn(&Cid) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> + Sync + 'a;

/// How a DAG is written.
#[derive(Clone, Debug, Default)]
pub struct ExportOptions {
    /// Threads that write files beside the one that walks the tree. Zero is one for each core, at
    /// most eight.
    pub threads: usize,
    /// How big a tree may be.
    pub limits: Limits,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Files.
    pub files: u64,
    /// Directories, those that were there already too.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// Writes the file, directory or symbolic link `root` to `target`.
///
/// A directory becomes `target`, which is created with its parents or merged into. A file or a link
/// becomes `target`, or `target/name` when `target` is a directory. The last component of `target`
/// is not followed if it is a symbolic link; those before it are, since they are the caller's.
/// Writing to `/dev/null` does nothing, as in Kubo.
///
/// `progress` gets the bytes of content written so far, now and then; its error ends the export.
///
/// # Errors
/// [`ExportError`] tells which part failed. What was written before stays; no partly written file
/// does.
pub fn export(
    root: &Cid,
    name: &[u8],
    target: &Path,
    options: &ExportOptions,
    source: &BlockSource<'_>,
    progress: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<ExportReport, ExportError> {
    if target == Path::new("/dev/null") {
        return Ok(ExportReport::default());
    }
    let tree = TreeOptions {
        names: NameRules::native(),
        defer_raw: true,
        limits: options.limits.clone(),
    };
    let mut tree = TreeReader::with_options(root.clone(), tree);
    let Some(first) = next_entry(&mut tree, source)? else {
        return Ok(ExportReport::default());
    };
    let shared = Shared::new(source, TempNames::new()?);
    if !matches!(first.content, TreeContent::Directory) {
        return single(first, name, target, &shared, progress);
    }
    let top = Directory::create_all(target)?;
    let mut writer = TreeWriter {
        levels: Levels::new(top, target),
        late: Vec::new(),
        report: ExportReport {
            directories: 1,
            ..ExportReport::default()
        },
        shared: &shared,
    };
    writer.keep_late(&first);
    shared.run(options.threads, progress, |queue| {
        while !queue.is_stopped() {
            match next_entry(&mut tree, source)? {
                Some(entry) => writer.write(entry, queue)?,
                None => break,
            }
        }
        Ok(())
    })?;
    writer.finish()
}

/// Runs the tree to its next entry.
fn next_entry(
    tree: &mut TreeReader,
    source: &BlockSource<'_>,
) -> Result<Option<TreeEntry>, ExportError> {
    loop {
        match tree.step()? {
            Step::Need(cid) => tree.supply(&cid, block(&cid, source)?)?,
            Step::Item(entry) => return Ok(Some(entry)),
            Step::Done => return Ok(None),
        }
    }
}

fn block(cid: &Cid, source: &BlockSource<'_>) -> Result<Bytes, ExportError> {
    source(cid).map_err(|source| ExportError::Block {
        cid: cid.clone(),
        source,
    })
}

/// A DAG that is one file or one link.
fn single(
    entry: TreeEntry,
    name: &[u8],
    target: &Path,
    shared: &Shared<'_>,
    progress: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<ExportReport, ExportError> {
    let placing = place_single(name, target)?;
    let is_file = matches!(entry.content, TreeContent::File(_));
    let job = Job { placing, entry };
    shared.run(1, progress, |queue| queue.push(job))?;
    Ok(ExportReport {
        files: u64::from(is_file),
        symlinks: u64::from(!is_file),
        directories: 0,
        bytes: shared.written(),
    })
}

/// Where a single file or link goes: `target`, or `target/name` when that is a directory.
fn place_single(name: &[u8], target: &Path) -> Result<Placing, ExportError> {
    let inside = std::fs::symlink_metadata(target).is_ok_and(|found| found.is_dir());
    let (parent, name) = match target.file_name() {
        Some(own) if !inside => {
            let parent = target
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            (parent.unwrap_or(Path::new(".")), own.as_bytes())
        }
        _ => {
            check_name(name)?;
            (target, name)
        }
    };
    Ok(Placing {
        directory: Directory::open_given(parent)?,
        name: name.to_vec(),
        path: parent.join(std::ffi::OsStr::from_bytes(name)),
    })
}

fn check_name(name: &[u8]) -> Result<(), ExportError> {
    NameRules::native()
        .check(name)
        .map_err(|fault| ExportError::UnsafeName {
            name: names::escape(name).into_owned(),
            fault,
        })
}

/// Creates directories as the tree is read, and hands everything else to the workers.
struct TreeWriter<'s> {
    levels: Levels,
    /// Directories with attributes that must not be set before everything is written.
    late: Vec<(Bytes, Attributes)>,
    report: ExportReport,
    shared: &'s Shared<'s>,
}

impl TreeWriter<'_> {
    fn write(
        &mut self,
        entry: TreeEntry,
        queue: &mut workers::Queue<'_>,
    ) -> Result<(), ExportError> {
        let parent = self.levels.directory(entry.parent())?;
        if matches!(entry.content, TreeContent::Directory) {
            self.levels
                .enter(&parent, entry.name(), &entry.path, entry.attributes)?;
            self.keep_late(&entry);
            self.report.directories += 1;
            return Ok(());
        }
        match entry.content {
            TreeContent::Symlink(_) => self.report.symlinks += 1,
            _ => self.report.files += 1,
        }
        let path = self.levels.full_path(&entry.path);
        let placing = Placing {
            directory: parent,
            name: entry.name().to_vec(),
            path,
        };
        queue.push(Job { placing, entry })
    }

    fn keep_late(&mut self, entry: &TreeEntry) {
        if entry.attributes != Attributes::default() {
            self.late.push((entry.path.clone(), entry.attributes));
        }
    }

    /// Sets the attributes of directories, the innermost first.
    fn finish(mut self) -> Result<ExportReport, ExportError> {
        for (path, attributes) in std::mem::take(&mut self.late).into_iter().rev() {
            let directory = self.levels.reopen(&path)?;
            place::set_attributes(&directory, attributes, 0o755)
                .map_err(|source| self.local("setting mode and time of", &path, source))?;
        }
        self.report.bytes = self.shared.written();
        Ok(self.report)
    }

    fn local(&self, action: &'static str, path: &[u8], source: rustix::io::Errno) -> ExportError {
        ExportError::local(action, self.levels.full_path(path), source)
    }
}

/// `path` below `base`.
fn join(base: &Path, path: &[u8]) -> PathBuf {
    if path.is_empty() {
        return base.to_path_buf();
    }
    base.join(std::ffi::OsStr::from_bytes(path))
}

#[cfg(test)]
mod tests;
