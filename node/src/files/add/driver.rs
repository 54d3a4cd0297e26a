//! Keeps the queue of steps: fed from the walk, worked on by the workers, finished in order.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use ipfs_kit_unixfs::{
    Chunker, FileBuilder, FileOptions, ImportOptions, LeafEncoder, Mtime, Root, symlink,
};

use super::buffers::BufferPool;
use super::events::Events;
use super::rules::Rules;
use super::sink::Sink;
use super::stream::Stream;
use super::tree::Tree;
use super::upload::{self, Move, Place};
use super::walk::{Attributes, Item, Walk};
use super::worker::{BATCH_BYTES, FilePart, Job, WholeFile, Work};
use super::{AddOptions, AddReport, worker};
use crate::error::{Error, Result};
use crate::files::EntryKind;
use crate::files::options::TreeStream;
use crate::node::Node;

/// Files up to this size are handled whole by one worker.
pub const WHOLE_FILE_BYTES: u64 = 512 << 10;

/// Small files in one batch.
pub const BATCH_FILES: usize = 128;

/// How far apart progress events are, in bytes.
const PROGRESS_BYTES: u64 = 256 << 10;

/// Where content comes from.
pub enum Input {
    Path(PathBuf),
    Reader(Box<dyn Read + Send>),
    Tree(Box<dyn TreeStream>),
}

/// Drives one import.
pub struct Driver<'a> {
    node: &'a Node,
    options: &'a AddOptions,
    import: &'a ImportOptions,
    rules: &'a Rules,
    sink: &'a Sink<'a>,
    pool: &'a Arc<BufferPool>,
    events: Events<'a>,
    jobs: Sender<Job>,
    /// Starts the workers. An import that is one batch does its work here and needs none.
    start: &'a dyn Fn(),
    started: bool,
    held: Option<Job>,
    /// Jobs in the queue, and how many there may be.
    pending: usize,
    limit: usize,
    queue: VecDeque<Step>,
    /// Small files that wait for company.
    batch: Vec<WholeFile>,
    batch_names: Vec<(Vec<u8>, Attributes)>,
    batch_bytes: usize,
    tree: Tree<'a>,
    current: Option<OpenFile>,
    report: AddReport,
}

type Reply = Receiver<Result<Vec<Root>>>;

/// What has to happen, in order.
enum Step {
    Enter(Vec<u8>, Attributes),
    Leave,
    Link(Vec<u8>, Root, Attributes),
    Files(Vec<(Vec<u8>, Attributes)>, Vec<u64>, Reply),
    BeginFile(OpenFile),
    Leaves(u64, Reply),
    EndFile,
}

/// A large file whose leaves come in.
struct OpenFile {
    name: Vec<u8>,
    shown: Option<String>,
    attributes: Attributes,
    builder: FileBuilder,
    bytes: u64,
    told: u64,
}

impl<'a> Driver<'a> {
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one import, put together in one place"
    )]
    pub fn new(
        node: &'a Node,
        options: &'a AddOptions,
        import: &'a ImportOptions,
        rules: &'a Rules,
        sink: &'a Sink<'a>,
        pool: &'a Arc<BufferPool>,
        events: Events<'a>,
        jobs: Sender<Job>,
        start: &'a dyn Fn(),
        limit: usize,
    ) -> Result<Self> {
        // Refuses settings that no file can be built with before anything is read.
        FileBuilder::new(&import.file(None, None))?;
        Ok(Self {
            node,
            options,
            import,
            rules,
            sink,
            pool,
            events,
            jobs,
            start,
            started: false,
            held: None,
            pending: 0,
            limit,
            queue: VecDeque::new(),
            batch: Vec::new(),
            batch_names: Vec::new(),
            batch_bytes: 0,
            tree: Tree::new(import, sink),
            current: None,
            report: AddReport::default(),
        })
    }

    /// Adds all inputs. Their blocks are put but perhaps not synced, and the last events wait.
    pub fn run(&mut self, inputs: Vec<(Vec<u8>, Input)>) -> Result<AddReport> {
        let given = self.given_attributes();
        if self.options.wrap {
            self.queue.push_back(Step::Enter(Vec::new(), given));
        }
        for (name, input) in inputs {
            match input {
                Input::Path(path) => self.path(name, path)?,
                Input::Reader(reader) => self.stream(name, reader, given)?,
                Input::Tree(mut tree) => self.upload(&mut *tree)?,
            }
        }
        self.send_batch()?;
        if self.options.wrap {
            self.queue.push_back(Step::Leave);
        }
        while !self.queue.is_empty() {
            self.finish_step()?;
        }
        self.tree.store_inner()?;
        self.report.roots = std::mem::take(&mut self.tree.roots);
        Ok(std::mem::take(&mut self.report))
    }

    /// Tells the events that still wait. Everything must be durable.
    pub fn tell_rest(&mut self) -> Result<()> {
        self.events.tell()
    }

    fn given_attributes(&self) -> Attributes {
        let mtime = self
            .options
            .mtime
            .map(|(seconds, nanos)| Mtime { seconds, nanos });
        Attributes {
            mode: self.options.mode,
            mtime,
        }
    }

    fn path(&mut self, name: Vec<u8>, path: PathBuf) -> Result<()> {
        let mut walk = Walk::new(name, path, self.options, self.rules);
        while let Some(item) = walk.next()? {
            self.node.cancel().check()?;
            match item {
                Item::File {
                    name,
                    path,
                    size,
                    attributes,
                } if size <= WHOLE_FILE_BYTES => {
                    self.small_file(name, path, size, attributes)?;
                }
                Item::File {
                    name,
                    path,
                    size,
                    attributes,
                } => self.large_file(name, path, size, attributes)?,
                Item::Stream { name, path } => {
                    let file = open(&path)?;
                    self.stream(name, Box::new(file), self.given_attributes())?;
                }
                Item::Symlink {
                    name,
                    target,
                    attributes,
                } => self.symlink(name, &target, attributes)?,
                Item::Enter { name, attributes } => self.enter(name, attributes)?,
                Item::Leave => self.leave()?,
            }
            self.catch_up()?;
        }
        Ok(())
    }

    /// Adds a tree that comes as a stream.
    fn upload(&mut self, tree: &mut dyn TreeStream) -> Result<()> {
        let mut place = Place::default();
        while let Some(entry) = tree.next_entry().map_err(Error::Input)? {
            self.node.cancel().check()?;
            let attributes = upload::attributes(self.options, &entry);
            let (steps, name) = place.go_to(&entry)?;
            for step in steps {
                match step {
                    Move::Enter(name) => self.enter(name, Attributes::default())?,
                    Move::Leave => self.leave()?,
                }
            }
            match entry.kind {
                EntryKind::Directory => self.enter(name, attributes)?,
                EntryKind::Symlink => {
                    let target = upload::target(tree)?;
                    self.symlink(name, &target, attributes)?;
                }
                EntryKind::File | EntryKind::Unknown => {
                    let options = self.import.file(attributes.mode, attributes.mtime);
                    let content = Box::new(upload::Content(tree));
                    self.stream_with(name, content, attributes, &options)?;
                }
            }
            self.catch_up()?;
        }
        for _ in 0..place.depth() {
            self.leave()?;
        }
        Ok(())
    }

    fn symlink(&mut self, name: Vec<u8>, target: &[u8], attributes: Attributes) -> Result<()> {
        self.send_batch()?;
        let (root, block) = symlink(target, attributes.mtime, &self.import.cid)?;
        self.tree.store(block.into_iter().collect())?;
        self.queue.push_back(Step::Link(name, root, attributes));
        Ok(())
    }

    fn enter(&mut self, name: Vec<u8>, attributes: Attributes) -> Result<()> {
        self.send_batch()?;
        self.queue.push_back(Step::Enter(name, attributes));
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        self.send_batch()?;
        self.queue.push_back(Step::Leave);
        Ok(())
    }

    fn small_file(
        &mut self,
        name: Vec<u8>,
        path: PathBuf,
        size: u64,
        attributes: Attributes,
    ) -> Result<()> {
        let options = self.import.file(attributes.mode, attributes.mtime);
        // The size is below the limit for whole files, which fits.
        let size = size as usize;
        self.batch.push(WholeFile {
            path,
            size,
            options,
        });
        self.batch_names.push((name, attributes));
        self.batch_bytes += size;
        if self.batch_bytes >= BATCH_BYTES || self.batch.len() >= BATCH_FILES {
            self.send_batch()
        } else {
            Ok(())
        }
    }

    fn send_batch(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let files = std::mem::take(&mut self.batch);
        let names = std::mem::take(&mut self.batch_names);
        self.batch_bytes = 0;
        let sizes = files.iter().map(|file| file.size as u64).collect();
        let reply = self.send(Work::Files(files))?;
        self.queue.push_back(Step::Files(names, sizes, reply));
        Ok(())
    }

    /// Equal chunks can be read from anywhere, so all cores read.
    fn large_file(
        &mut self,
        name: Vec<u8>,
        path: PathBuf,
        size: u64,
        attributes: Attributes,
    ) -> Result<()> {
        let options = self.import.file(attributes.mode, attributes.mtime);
        let file = open(&path)?;
        let Chunker::Size(chunk) = options.chunker else {
            return self
                .stream_with(name, Box::new(file), attributes, &options)
                .map_err(|error| match error {
                    Error::Input(source) => Error::LocalFile {
                        action: "read",
                        path,
                        source,
                    },
                    error => error,
                });
        };
        self.begin_file(name, attributes, &options)?;
        let leaves = Arc::new(LeafEncoder::new(&options));
        let (file, path) = (Arc::new(file), Arc::new(path));
        let chunk = chunk as usize;
        // At least two, which are hashed side by side.
        let step = chunk * (BATCH_BYTES / chunk).max(2);
        let sole = size <= chunk as u64;
        let mut offset = 0;
        while offset < size {
            let len = (size - offset).min(step as u64) as usize;
            let part = FilePart {
                file: Arc::clone(&file),
                path: Arc::clone(&path),
                offset,
                len,
                chunk,
                leaves: Arc::clone(&leaves),
                sole,
            };
            let reply = self.send(Work::Part(part))?;
            self.queue.push_back(Step::Leaves(len as u64, reply));
            offset += len as u64;
        }
        self.queue.push_back(Step::EndFile);
        Ok(())
    }

    fn stream(
        &mut self,
        name: Vec<u8>,
        reader: Box<dyn Read + Send>,
        attributes: Attributes,
    ) -> Result<()> {
        let options = self.import.file(attributes.mode, attributes.mtime);
        self.stream_with(name, reader, attributes, &options)
    }

    fn stream_with(
        &mut self,
        name: Vec<u8>,
        reader: Box<dyn Read + Send + '_>,
        attributes: Attributes,
        options: &FileOptions,
    ) -> Result<()> {
        self.begin_file(name, attributes, options)?;
        let leaves = Arc::new(LeafEncoder::new(options));
        let mut stream = Stream::new(reader, options);
        while let Some(batch) = stream.fill(self.pool)? {
            let content = batch.slots.content();
            let work = Work::Chunks {
                slots: batch.slots,
                leaves: Arc::clone(&leaves),
                sole: batch.sole,
            };
            let reply = self.send(work)?;
            self.queue.push_back(Step::Leaves(content, reply));
        }
        self.queue.push_back(Step::EndFile);
        Ok(())
    }

    fn begin_file(
        &mut self,
        name: Vec<u8>,
        attributes: Attributes,
        options: &FileOptions,
    ) -> Result<()> {
        self.send_batch()?;
        let builder = FileBuilder::new(options)?;
        self.queue.push_back(Step::BeginFile(OpenFile {
            name,
            shown: None,
            attributes,
            builder,
            bytes: 0,
            told: 0,
        }));
        Ok(())
    }

    /// Hands work to the workers, finishing older steps first when too many are on the way.
    fn send(&mut self, work: Work) -> Result<Reply> {
        self.node.cancel().check()?;
        while self.pending >= self.limit {
            self.finish_step()?;
        }
        let (reply, result) = bounded(1);
        self.pending += 1;
        let job = Job { work, reply };
        if !self.started && self.pending == 1 {
            self.held = Some(job);
            return Ok(result);
        }
        if !self.started {
            self.started = true;
            (self.start)();
        }
        for job in self.held.take().into_iter().chain([job]) {
            self.jobs
                .send(job)
                .map_err(|_| Error::Internal("the import's workers are gone"))?;
        }
        Ok(result)
    }

    /// Finishes the steps at the front that wait for nothing.
    fn catch_up(&mut self) -> Result<()> {
        while let Some(step) = self.queue.front() {
            let waits = match step {
                Step::Files(_, _, reply) | Step::Leaves(_, reply) => reply.is_empty(),
                _ => false,
            };
            if waits {
                return Ok(());
            }
            self.finish_step()?;
        }
        Ok(())
    }

    fn finish_step(&mut self) -> Result<()> {
        let Some(step) = self.queue.pop_front() else {
            return Ok(());
        };
        match step {
            Step::Enter(name, attributes) => self.tree.enter(name, attributes)?,
            Step::Leave => self.tree.leave(&mut self.events)?,
            Step::Link(name, root, attributes) => self.finish_file(name, root, attributes)?,
            Step::Files(names, sizes, reply) => {
                let roots = self.receive(&reply)?;
                for (((name, attributes), size), root) in names.into_iter().zip(sizes).zip(roots) {
                    if self.options.progress && size > 0 {
                        let shown = self.tree.shown(&name);
                        self.events.progress(&shown, size)?;
                    }
                    self.report.bytes += root.file_size;
                    self.finish_file(name, root, attributes)?;
                }
            }
            Step::BeginFile(file) => self.current = Some(file),
            Step::Leaves(content, reply) => {
                let leaves = self.receive(&reply)?;
                self.take_leaves(leaves, content)?;
            }
            Step::EndFile => {
                let Some(file) = self.current.take() else {
                    return Ok(());
                };
                if self.options.progress && file.told < file.bytes {
                    let shown = self.tree.shown(&file.name);
                    self.events.progress(&shown, file.bytes)?;
                }
                let mut blocks = Vec::new();
                let root = file.builder.finish(&mut blocks)?;
                self.tree.store(blocks)?;
                self.report.bytes += root.file_size;
                self.finish_file(file.name, root, file.attributes)?;
            }
        }
        if self.events.due() {
            self.tree.store_inner()?;
            self.events.flush(self.sink)?;
        }
        Ok(())
    }

    fn take_leaves(&mut self, leaves: Vec<Root>, content: u64) -> Result<()> {
        let Some(file) = self.current.as_mut() else {
            return Ok(());
        };
        let mut blocks = Vec::new();
        for leaf in leaves {
            file.builder.push(leaf, &mut blocks)?;
        }
        file.bytes += content;
        if self.options.progress {
            let shown = file
                .shown
                .get_or_insert_with(|| self.tree.shown(&file.name));
            while file.told + PROGRESS_BYTES <= file.bytes {
                file.told += PROGRESS_BYTES;
                self.events.progress(shown, file.told)?;
            }
        }
        self.tree.store(blocks)
    }

    fn finish_file(&mut self, name: Vec<u8>, root: Root, attributes: Attributes) -> Result<()> {
        self.report.files += 1;
        self.tree.file(name, root, attributes, &mut self.events)
    }

    fn receive(&mut self, reply: &Reply) -> Result<Vec<Root>> {
        self.pending -= 1;
        if let Some(job) = self.held.take() {
            worker::perform(job, self.sink, self.pool);
        }
        reply
            .recv()
            .map_err(|_| Error::Internal("a worker of the import ended early"))?
    }
}

fn open(path: &std::path::Path) -> Result<File> {
    File::open(path).map_err(|source| Error::LocalFile {
        action: "open",
        path: path.to_owned(),
        source,
    })
}
