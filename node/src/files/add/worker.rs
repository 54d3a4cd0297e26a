//! What runs on all cores: reading, framing, hashing and storing the leaves of files.

use std::fs::File;
use std::io::{self, IoSliceMut, Read};
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use ipfs_kit_unixfs::options::Layout;
use ipfs_kit_unixfs::{Chunker, FileBuilder, FileOptions, LeafEncoder, Root};
use rustix::io::Errno;

use super::buffers::BufferPool;
use super::sink::Sink;
use super::slots::{ROOM, Slots};
use super::stream::Stream;
use crate::error::{Error, Result};

/// Content of one batch, more or less: it is read, hashed and written out again while it is in a core's own cache.
pub const BATCH_BYTES: usize = 512 << 10;

/// A scatter read with more parts is refused by the kernel.
const MAX_PARTS: usize = 1024;

/// One piece of work and where its result goes.
pub struct Job {
    pub work: Work,
    pub reply: Sender<Result<Vec<Root>>>,
}

/// What a worker can do. Blocks are stored when the result is there.
pub enum Work {
    /// Whole small files; one root for each.
    Files(Vec<WholeFile>),
    /// The leaves of a part of a file that is cut in equal chunks.
    Part(FilePart),
    /// The leaves of chunks that were read already.
    Chunks {
        slots: Slots,
        leaves: Arc<LeafEncoder>,
        sole: bool,
    },
}

/// A small file.
pub struct WholeFile {
    pub path: PathBuf,
    pub size: usize,
    pub options: FileOptions,
}

/// A part of a large file.
pub struct FilePart {
    pub file: Arc<File>,
    pub path: Arc<PathBuf>,
    pub offset: u64,
    pub len: usize,
    pub chunk: usize,
    pub leaves: Arc<LeafEncoder>,
    pub sole: bool,
}

/// Works until there are no more jobs.
pub fn work(jobs: &Receiver<Job>, sink: &Sink<'_>, pool: &Arc<BufferPool>) {
    for job in jobs {
        perform(job, sink, pool);
    }
}

/// Does one job.
pub fn perform(job: Job, sink: &Sink<'_>, pool: &Arc<BufferPool>) {
    let result = match job.work {
        Work::Files(files) => whole_files(files, sink, pool),
        Work::Part(part) => file_part(&part, sink, pool),
        Work::Chunks {
            slots,
            leaves,
            sole,
        } => store_leaves(slots, &leaves, sole, sink),
    };
    // Nobody waits for the result any more when the import has failed elsewhere.
    let _ = job.reply.send(result);
}

fn store_leaves(
    slots: Slots,
    leaves: &LeafEncoder,
    sole: bool,
    sink: &Sink<'_>,
) -> Result<Vec<Root>> {
    let sealed = slots.seal(|_| (leaves, sole))?;
    sink.put_shared(sealed.blocks)?;
    Ok(sealed.leaves)
}

fn file_part(part: &FilePart, sink: &Sink<'_>, pool: &Arc<BufferPool>) -> Result<Vec<Root>> {
    let chunks = part.len.div_ceil(part.chunk);
    let mut slots = Slots::new(pool.take(part.len + chunks * ROOM));
    let mut places: Vec<IoSliceMut<'_>> = slots
        .lay_out(part.chunk, part.len)
        .map(IoSliceMut::new)
        .collect();
    let read = read_scattered(&part.file, part.offset, &mut places);
    match read {
        Ok(read) if read == part.len => {}
        Ok(_) => return Err(Error::FileChanged(part.path.to_path_buf())),
        Err(source) => return Err(unreadable(&part.path, source)),
    }
    drop(places);
    store_leaves(slots, &part.leaves, part.sole, sink)
}

/// Fills the places from `offset` on; fewer bytes than asked for mean the end of the file.
fn read_scattered(file: &File, offset: u64, places: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let mut left = places;
    let mut total = 0;
    while !left.is_empty() {
        let parts = left.len().min(MAX_PARTS);
        match rustix::io::preadv(file, &mut left[..parts], offset + total as u64) {
            Ok(0) => break,
            Ok(read) => {
                total += read;
                IoSliceMut::advance_slices(&mut left, read);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(total)
}

fn whole_files(
    files: Vec<WholeFile>,
    sink: &Sink<'_>,
    pool: &Arc<BufferPool>,
) -> Result<Vec<Root>> {
    let room: usize = files.iter().map(|file| file.size + 1 + ROOM).sum();
    let mut slots = Slots::new(pool.take(room));
    let mut roots: Vec<Option<Root>> = Vec::with_capacity(files.len());
    let mut framed: Vec<(usize, LeafEncoder)> = Vec::with_capacity(files.len());
    for (at, file) in files.iter().enumerate() {
        let mut source = File::open(&file.path).map_err(|source| unreadable(&file.path, source))?;
        roots.push(None);
        match read_single_chunk(file, &mut source, &mut slots)? {
            // Without a leaf only the builder knows what the file looks like.
            Some(0) if file.options.layout == Layout::Trickle => {
                roots[at] = Some(finish(FileBuilder::new(&file.options)?, sink)?);
            }
            Some(len) => {
                slots.commit(len);
                framed.push((at, LeafEncoder::new(&file.options)));
            }
            None => roots[at] = Some(stream(source, file, sink, pool)?),
        }
    }
    let sealed = slots.seal(|slot| (&framed[slot].1, true))?;
    sink.put_shared(sealed.blocks)?;
    for (leaf, (at, _)) in sealed.leaves.into_iter().zip(framed) {
        roots[at] = Some(match files[at].options.layout {
            Layout::Balanced => leaf,
            Layout::Trickle => {
                let mut builder = FileBuilder::new(&files[at].options)?;
                builder.push(leaf, &mut Vec::new())?;
                finish(builder, sink)?
            }
        });
    }
    roots
        .into_iter()
        .map(|root| root.ok_or(Error::Internal("a file was added without a root")))
        .collect()
}

/// Reads a file that is one chunk into the next slot and gives its length; `None` when it is more than one chunk, or
/// longer than it was a moment ago. Reading one byte more than expected finds the end in the same call.
fn read_single_chunk(
    file: &WholeFile,
    source: &mut File,
    slots: &mut Slots,
) -> Result<Option<usize>> {
    let Chunker::Size(chunk) = file.options.chunker else {
        return Ok(None);
    };
    if file.size > chunk as usize {
        return Ok(None);
    }
    let place = slots.next(file.size + 1);
    let mut len = 0;
    while len < place.len() {
        match source.read(&mut place[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(&file.path, error)),
        }
        if len == file.size && len > 0 {
            // A short read ends a regular file, and this one was short by the extra byte.
            break;
        }
    }
    Ok((len <= file.size).then_some(len))
}

/// Adds a small file of several chunks, from its start.
fn stream(
    mut source: File,
    file: &WholeFile,
    sink: &Sink<'_>,
    pool: &Arc<BufferPool>,
) -> Result<Root> {
    use std::io::Seek;
    source
        .rewind()
        .map_err(|error| unreadable(&file.path, error))?;
    let mut stream = Stream::new(Box::new(source), &file.options);
    let leaves = LeafEncoder::new(&file.options);
    let mut builder = FileBuilder::new(&file.options)?;
    let mut inner = Vec::new();
    loop {
        let filled = stream.fill(pool).map_err(|error| match error {
            Error::Input(source) => unreadable(&file.path, source),
            error => error,
        })?;
        let Some(batch) = filled else { break };
        for leaf in store_leaves(batch.slots, &leaves, batch.sole, sink)? {
            builder.push(leaf, &mut inner)?;
        }
    }
    sink.put(&inner)?;
    finish(builder, sink)
}

fn finish(builder: FileBuilder, sink: &Sink<'_>) -> Result<Root> {
    let mut blocks = Vec::new();
    let root = builder.finish(&mut blocks)?;
    sink.put(&blocks)?;
    Ok(root)
}

fn unreadable(path: &std::path::Path, source: io::Error) -> Error {
    Error::LocalFile {
        action: "read",
        path: path.to_owned(),
        source,
    }
}
