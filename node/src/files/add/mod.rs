//! Adding files: walk, read ahead, chunk and hash on all cores, lay out in order, store, pin.
//!
//! The caller's thread walks and keeps a queue of steps in Kubo's order; workers do the steps that cost something, in any
//! order; the queue's front is taken when its result is there. So blocks are stored in nearly any order, but files,
//! directories and events come as if one thread had done everything.
//!
//! What survives a kill: blocks are put, then synced, then pins are committed, then events of the last files are told. An
//! event is told only when the blocks of its DAG are durable, and a pin is only there when its whole DAG is. A kill in
//! between leaves blocks without a pin, which the next garbage collection takes.

mod buffers;
mod driver;
mod events;
mod local;
mod rules;
mod settings;
mod sink;
mod slots;
mod stream;
mod tree;
mod upload;
mod walk;
mod worker;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::thread;

use crossbeam_channel::bounded;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_unixfs::ImportOptions;

use super::options::{AddEvent, AddOptions, AddReport, Source};
use crate::error::{Emit, Error, Result};
use crate::mfs;
use crate::node::Node;
use crate::pins;
use buffers::BufferPool;
use driver::{BATCH_FILES, Driver, Input, WHOLE_FILE_BYTES};
use events::Events;
use rules::Rules;
use sink::Sink;
use slots::ROOM;
use worker::BATCH_BYTES;

pub use local::{LocalItem, LocalWalk};
pub use settings::resolve as import_settings;

/// Batches on the way for each worker: one in work, one waiting, one read ahead.
const BATCHES_PER_WORKER: usize = 4;

/// Adds the sources; see [`super::Files::add`].
pub fn add(
    node: &Node,
    sources: Vec<Source>,
    options: &AddOptions,
    emit: Emit<'_, AddEvent>,
) -> Result<AddReport> {
    let import = settings::resolve(node.config(), options)?;
    let rules = Rules::new(options)?;
    if let Some(name) = &options.pin_name {
        pins::check_name(name)?;
    }
    let inputs = inputs(sources, options)?;
    if !options.only_hash {
        node.check_writable()?;
    }
    let sink = if options.only_hash {
        Sink::nowhere(node)
    } else {
        Sink::store(node)
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let limit = cores * BATCHES_PER_WORKER;
    let pool = BufferPool::new(buffer_bytes(&import), limit + 1);
    let (jobs, queue) = bounded(limit);
    thread::scope(|scope| {
        let start = || {
            for _ in 0..cores {
                let (queue, sink, pool) = (queue.clone(), &sink, &pool);
                scope.spawn(move || worker::work(&queue, sink, pool));
            }
        };
        let events = Events::new(emit);
        let mut driver = Driver::new(
            node, options, &import, &rules, &sink, &pool, events, jobs, &start, limit,
        )?;
        let report = driver.run(inputs)?;
        sink.sync()?;
        if options.pin && !options.only_hash {
            let roots = report.roots.iter().map(|root| root.cid.clone());
            pins::commit_recursive(node, roots, options.pin_name.as_deref())?;
        }
        if !options.only_hash {
            let roots: Vec<Cid> = report.roots.iter().map(|root| root.cid.clone()).collect();
            node.announce(&roots, options.pin);
        }
        driver.tell_rest()?;
        if let Some(place) = &options.to_files {
            mfs::put_added(node, place, &report.roots)?;
        }
        Ok(report)
    })
}

/// Room for any usual batch: small files, the last of which may be as large as they come, or two large chunks.
fn buffer_bytes(import: &ImportOptions) -> usize {
    let files = BATCH_BYTES + WHOLE_FILE_BYTES as usize + BATCH_FILES * (ROOM + 1);
    let chunks = import
        .chunker
        .max_len()
        .map_or(0, |longest| 2 * (longest + ROOM));
    files.max(chunks)
}

/// The sources by name, as Kubo sorts its arguments; of two with the same name the later one counts. Missing files and
/// directories that may not be added are found before anything is read.
fn inputs(sources: Vec<Source>, options: &AddOptions) -> Result<Vec<(Vec<u8>, Input)>> {
    let mut named = BTreeMap::new();
    let mut trees = Vec::new();
    for source in sources {
        let (name, input) = match source {
            Source::Path(path) => (base_name(&path)?, Input::Path(path)),
            Source::Named { name, path } => (name.into_bytes(), Input::Path(path)),
            Source::Reader { name, reader } => {
                (name.unwrap_or_default().into_bytes(), Input::Reader(reader))
            }
            Source::Tree(tree) => {
                trees.push((Vec::new(), Input::Tree(tree)));
                continue;
            }
        };
        if let Input::Path(path) = &input {
            let follow = options.dereference_args || options.dereference_symlinks;
            let metadata = if follow {
                path.metadata()
            } else {
                path.symlink_metadata()
            };
            let metadata = metadata.map_err(|source| Error::LocalFile {
                action: "lstat",
                path: path.clone(),
                source,
            })?;
            if metadata.is_dir() && !options.recursive {
                return Err(Error::NotRecursive(path.clone()));
            }
        }
        named.insert(name, input);
    }
    Ok(named.into_iter().chain(trees).collect())
}

/// The name of a path as its parent has it: that of `.` and `a/..` has to be looked up.
fn base_name(path: &Path) -> Result<Vec<u8>> {
    let bytes = |name: OsString| name.into_vec();
    if let Some(name) = path.file_name() {
        return Ok(bytes(name.to_owned()));
    }
    let whole: PathBuf = path.canonicalize().map_err(|source| Error::LocalFile {
        action: "lstat",
        path: path.to_owned(),
        source,
    })?;
    whole
        .file_name()
        .map(|name| bytes(name.to_owned()))
        .ok_or_else(|| Error::BadOption {
            option: "path",
            reason: format!("{} has no name: add what is in it", path.display()),
        })
}

#[cfg(test)]
mod tests;
