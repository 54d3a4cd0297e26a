//! Blocks: files of flatfs, read and hashed by workers, stored in batches.
//!
//! A file is called by the multihash of its block in upper-case base32, and says nothing of the codec. The store wants
//! one for the links in its index, and finds it by reading: what is strictly dag-pb is no dag-cbor or dag-json with links,
//! and the other way round. A block that is read as raw later has no links then either.

use std::fs::{self, DirEntry, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use ipfs_kit_blockstore::block::Block;
use ipfs_kit_blockstore::car::MAX_SECTION_LEN;
use ipfs_kit_blockstore::cid::{Cid, Multihash};
use ipfs_kit_blockstore::codec;
use ipfs_kit_blockstore::hash;
use ipfs_kit_blockstore::store::Guard;

use super::kubo::{KuboRepo, shards};
use super::{MigrateError, MigrateEvent, Part};
use crate::error::{Emit, Error, Result};
use crate::node::Node;

/// Bytes of blocks that are stored in one step.
const BATCH_BYTES: usize = 4 << 20;
/// Blocks that are stored in one step.
const BATCH_BLOCKS: usize = 1024;
/// Names handed to a worker in one piece.
const LISTED: usize = 256;
const WORKERS_MAX: usize = 8;

/// What a worker made of some files.
#[derive(Default)]
struct Batch {
    blocks: Vec<Block>,
    bytes: usize,
    present: u64,
    files: u64,
    bad: Vec<(PathBuf, String)>,
}

/// What the threads share.
struct Work<'a> {
    node: &'a Node,
    root: &'a Path,
    /// The main thread has failed: nobody reads any more.
    stop: AtomicBool,
    listed: AtomicU64,
}

/// Stores every block that is not here yet.
pub fn take(
    node: &Node,
    kubo: &KuboRepo,
    guard: &Guard,
    part: &mut Part,
    emit: Emit<'_, MigrateEvent>,
) -> Result<()> {
    let shards = shards(kubo.blocks())?;
    let workers = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(WORKERS_MAX);
    let (names, to_read) = bounded::<Vec<PathBuf>>(2 * workers);
    let (read, batches) = bounded::<Batch>(workers);
    let work = Work {
        node,
        root: kubo.blocks(),
        stop: AtomicBool::new(false),
        listed: AtomicU64::new(0),
    };
    thread::scope(|scope| {
        let lister = scope.spawn(|| list(&work, shards, names));
        for _ in 0..workers {
            let (to_read, read) = (to_read.clone(), read.clone());
            let work = &work;
            scope.spawn(move || read_all(work, &to_read, &read));
        }
        drop((to_read, read));
        let stored = store_all(node, guard, &batches, part, emit);
        work.stop.store(true, Ordering::Relaxed);
        // Whoever waits to hand something over is let go.
        drop(batches);
        let listed = lister
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        stored.and(listed)
    })
}

/// Names the files of all directories.
fn list(work: &Work<'_>, shards: Vec<PathBuf>, names: Sender<Vec<PathBuf>>) -> Result<()> {
    let mut pending = Vec::with_capacity(LISTED);
    for shard in shards {
        let entries = fs::read_dir(&shard).map_err(|error| MigrateError::io(&shard, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| MigrateError::io(&shard, error))?;
            if work.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if !is_block(&entry) {
                continue;
            }
            pending.push(entry.path());
            work.listed.fetch_add(1, Ordering::Relaxed);
            if pending.len() == LISTED && names.send(std::mem::take(&mut pending)).is_err() {
                return Ok(());
            }
        }
    }
    // Nobody is there to take them only after a failure, which is told elsewhere.
    let _ = names.send(pending);
    Ok(())
}

/// Unfinished files of a killed Kubo have other names.
fn is_block(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().ends_with(b".data")
}

fn read_all(work: &Work<'_>, names: &Receiver<Vec<PathBuf>>, read: &Sender<Batch>) {
    let mut batch = Batch::default();
    for paths in names {
        for path in paths {
            if work.stop.load(Ordering::Relaxed) {
                return;
            }
            batch.files += 1;
            match read_one(work, &path) {
                Ok(Some(block)) => {
                    batch.bytes += block.data().len();
                    batch.blocks.push(block);
                }
                Ok(None) => batch.present += 1,
                Err(reason) => {
                    let path = path.strip_prefix(work.root).unwrap_or(&path);
                    batch.bad.push((path.to_owned(), reason));
                }
            }
            let full = batch.bytes >= BATCH_BYTES || batch.files >= BATCH_BLOCKS as u64;
            if full && read.send(std::mem::take(&mut batch)).is_err() {
                return;
            }
        }
    }
    // As above.
    let _ = read.send(batch);
}

/// The block in a file; `None` when it is here already.
fn read_one(work: &Work<'_>, path: &Path) -> Result<Option<Block>, String> {
    let hash = hash_of(path).ok_or("its name is no multihash in base32")?;
    hash.check().map_err(|error| error.to_string())?;
    if hash.is_identity() {
        return Ok(None);
    }
    match work.node.store().has(&hash) {
        Ok(true) => return Ok(None),
        Ok(false) => {}
        Err(error) => return Err(error.to_string()),
    }
    let data = read_file(path)?;
    hash::verify(&Cid::v1(codec::RAW, hash.clone()), &data).map_err(|_| {
        format!(
            "its {} bytes do not have the hash that it is named by",
            data.len()
        )
    })?;
    let codec = codec_of(&data);
    Ok(Some(Block::trusted(Cid::v1(codec, hash), data)))
}

fn read_file(path: &Path) -> Result<Bytes, String> {
    let unread = |error: std::io::Error| format!("it cannot be read: {error}");
    // A pipe would be waited for without end.
    let kind = fs::symlink_metadata(path).map_err(unread)?.file_type();
    if !kind.is_file() && !kind.is_symlink() {
        return Err("it is no file".to_owned());
    }
    let file = File::open(path).map_err(unread)?;
    let len = file.metadata().map_err(unread)?.len();
    if len > MAX_SECTION_LEN as u64 {
        return Err(format!("its {len} bytes are more than a block may have"));
    }
    let mut data = Vec::with_capacity(len as usize);
    file.take(MAX_SECTION_LEN as u64)
        .read_to_end(&mut data)
        .map_err(unread)?;
    Ok(data.into())
}

/// The multihash that a file is named by.
fn hash_of(path: &Path) -> Option<Multihash> {
    let name = path.file_name()?.to_str()?.strip_suffix(".data")?;
    let bytes = multibase::Base::Base32Upper.decode(name).ok()?;
    Multihash::from_bytes(&bytes).ok()
}

/// The codec whose links the bytes show; raw when there is none.
pub(super) fn codec_of(data: &[u8]) -> u64 {
    let links = |codec| {
        let mut count = 0_u64;
        codec::links(codec, data, &mut |_| count += 1)
            .ok()
            .map(|()| count)
    };
    match data.first() {
        // A link, or the data of a node without links.
        Some(0x12 | 0x0a) if links(codec::DAG_PB).is_some() => codec::DAG_PB,
        // A list, a map, a link.
        Some(0x80..=0xdf) if links(codec::DAG_CBOR) > Some(0) => codec::DAG_CBOR,
        Some(b'{' | b'[') if links(codec::DAG_JSON) > Some(0) => codec::DAG_JSON,
        _ => codec::RAW,
    }
}

fn store_all(
    node: &Node,
    guard: &Guard,
    batches: &Receiver<Batch>,
    part: &mut Part,
    emit: Emit<'_, MigrateEvent>,
) -> Result<()> {
    let mut files = 0;
    for batch in batches {
        node.cancel().check()?;
        node.put(guard, &batch.blocks)?;
        part.taken += batch.blocks.len() as u64;
        part.bytes += batch.bytes as u64;
        part.present += batch.present;
        files += batch.files;
        for (path, reason) in batch.bad {
            part.leave(path.display().to_string(), reason);
        }
        let bytes = part.bytes;
        emit(MigrateEvent::Blocks { files, bytes }).map_err(Error::Output)?;
    }
    Ok(())
}
