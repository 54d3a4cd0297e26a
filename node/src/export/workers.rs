//! Threads that write files and links while the tree is read.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use ipfs_kit_unixfs::{TreeContent, TreeEntry};
use parking_lot::Mutex;

use super::place::{Placing, TempNames};
use super::{BlockSource, ExportError};

/// Jobs that wait. Each holds the descriptor of its directory, so this bounds descriptors too.
const QUEUE: usize = 128;
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// More threads than this only wait for the file system.
const MAX_THREADS: usize = 8;

/// One file or link to create.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) placing: Placing,
    pub(super) entry: TreeEntry,
}

impl Job {
    fn run(self, shared: &Shared<'_>) -> Result<(), ExportError> {
        let Self { placing, entry } = self;
        match entry.content {
            TreeContent::File(reader) => placing.write_file(reader, shared),
            TreeContent::Symlink(target) => {
                placing.write_symlink(&target, entry.attributes.mtime, &shared.temp_names)
            }
            // Directories are created by the thread that reads the tree.
            TreeContent::Directory => Ok(()),
        }
    }
}

/// What the threads of one export share.
pub(super) struct Shared<'s> {
    pub(super) source: &'s BlockSource<'s>,
    pub(super) temp_names: TempNames,
    written: AtomicU64,
    stopped: AtomicBool,
    failure: Mutex<Option<ExportError>>,
}

impl<'s> Shared<'s> {
    pub(super) fn new(source: &'s BlockSource<'s>, temp_names: TempNames) -> Self {
        Self {
            source,
            temp_names,
            written: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// Bytes of content written so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn add_written(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether something failed, so that going on is of no use.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Keeps the first failure and stops everybody.
    fn fail(&self, error: ExportError) {
        self.failure.lock().get_or_insert(error);
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Starts the workers, lets `walk` fill their queue on this thread, and waits for them.
    pub(super) fn run(
        &self,
        threads: usize,
        progress: &mut dyn FnMut(u64) -> io::Result<()>,
        walk: impl FnOnce(&mut Queue<'_>) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let (jobs, waiting) = bounded(QUEUE);
        // Nothing is ever sent: it disconnects when the last worker is gone.
        let (alive, gone) = bounded::<()>(0);
        let mut teller = thread::scope(|scope| {
            for _ in 0..worker_count(threads) {
                let (waiting, alive) = (waiting.clone(), alive.clone());
                scope.spawn(move || {
                    self.work(&waiting);
                    drop(alive);
                });
            }
            drop((waiting, alive));
            let teller = Teller {
                progress,
                last: Instant::now(),
            };
            let mut queue = Queue {
                jobs,
                shared: self,
                teller,
            };
            if let Err(error) = walk(&mut queue) {
                self.fail(error);
            }
            let Queue {
                jobs, mut teller, ..
            } = queue;
            drop(jobs);
            while gone.recv_timeout(PROGRESS_EVERY) == Err(RecvTimeoutError::Timeout) {
                teller.tell(self);
            }
            teller
        });
        if !self.is_stopped() {
            teller.tell(self);
        }
        self.failure.lock().take().map_or(Ok(()), Err)
    }

    fn work(&self, waiting: &Receiver<Job>) {
        for job in waiting {
            if self.is_stopped() {
                return;
            }
            if let Err(error) = job.run(self) {
                return self.fail(error);
            }
        }
    }
}

fn worker_count(threads: usize) -> usize {
    match threads {
        0 => thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(MAX_THREADS),
        threads => threads,
    }
}

/// The way from the reader of the tree to the workers.
pub(super) struct Queue<'q> {
    jobs: Sender<Job>,
    shared: &'q Shared<'q>,
    teller: Teller<'q>,
}

impl Queue<'_> {
    /// Hands over a job, waiting while the workers have enough to do.
    pub(super) fn push(&mut self, mut job: Job) -> Result<(), ExportError> {
        loop {
            match self.jobs.send_timeout(job, PROGRESS_EVERY) {
                Ok(()) => break,
                Err(SendTimeoutError::Timeout(back)) => job = back,
                // All workers are gone, so one has failed and told why.
                Err(SendTimeoutError::Disconnected(_)) => break,
            }
            self.teller.tell(self.shared);
        }
        self.teller.tell_if_due(self.shared);
        Ok(())
    }

    /// Whether a worker has failed, so that reading on is of no use.
    pub(super) fn is_stopped(&self) -> bool {
        self.shared.is_stopped()
    }
}

/// Tells the caller how far the export is, on the caller's own thread.
struct Teller<'t> {
    progress: &'t mut dyn FnMut(u64) -> io::Result<()>,
    last: Instant,
}

impl Teller<'_> {
    fn tell_if_due(&mut self, shared: &Shared<'_>) {
        if self.last.elapsed() >= PROGRESS_EVERY {
            self.tell(shared);
        }
    }

    fn tell(&mut self, shared: &Shared<'_>) {
        self.last = Instant::now();
        if let Err(error) = (self.progress)(shared.written()) {
            shared.fail(ExportError::Progress(error));
        }
    }
}
