//! Keeps the queue of steps: fed from the walk, worked on by the workers, finished in order.

use std::collections::VecDeque;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use ipfs_kit_unixfs::{FileBuilder, ImportOptions, Root};

use super::buffers::BufferPool;
use super::events::Events;
use super::rules::Rules;
use super::sink::Sink;
use super::tree::Tree;
use super::walk::Attributes;
use super::worker::{Job, WholeFile, Work};
use super::{AddOptions, AddReport};
use crate::error::{Error, Result};
use crate::files::options::TreeStream;
use crate::node::Node;

mod feed;
mod finish;

/// Files up to this size are handled whole by one worker.
pub const WHOLE_FILE_BYTES: u64 = 512 << 10;

/// Small files in one batch.
pub const BATCH_FILES: usize = 128;

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
}
