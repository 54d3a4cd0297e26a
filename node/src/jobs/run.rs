//! Threads that work on jobs.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use super::progress::{JobProgress, Meter};
use super::{Job, JobError, JobState, JobWork, table};
use crate::cancel::{CancelToken, Cancelled};
use crate::error::{Error, Result};
use crate::node::Node;
use crate::pins::PinAdd;

/// Jobs that run at the same time.
const THREADS: usize = 4;

/// Longest wait for the threads to end.
const STOP_MAX: Duration = Duration::from_secs(1);

/// Between two times that what a job fetched is made durable, so that a power cut costs little.
const KEEP_EVERY: Duration = Duration::from_secs(15);

/// Between two looks at whether a network has come that a job waits for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Jobs of one node.
#[derive(Default)]
pub(crate) struct JobsState {
    inner: Mutex<Inner>,
    /// A thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Somebody runs jobs: the runtime that they need.
    runner: Option<Option<Handle>>,
    stopping: bool,
    queue: VecDeque<u64>,
    /// Jobs that wait for the network.
    waiting: Vec<u64>,
    /// Whether somebody looks for the network on their behalf.
    watched: bool,
    running: HashMap<u64, Running>,
    /// Threads.
    working: usize,
}

#[derive(Clone)]
struct Running {
    cancel: CancelToken,
    meter: Arc<Meter>,
}

impl JobsState {
    /// Puts what is known of a running job into what was read of it.
    pub fn bring_up(&self, job: &mut Job) {
        let running = self.inner.lock().running.get(&job.id).cloned();
        match running {
            Some(running) if !job.state.has_ended() => {
                job.state = JobState::Running;
                job.progress = running.meter.read(Instant::now());
            }
            None if job.state == JobState::Running => job.state = JobState::Queued,
            _ => {}
        }
    }

    /// Ends all work; it begins again when the node is opened the next time. Blocks until the threads have ended, which
    /// look at their tokens now and then, or until waiting for them has been long enough.
    pub fn stop(&self) {
        let mut inner = self.inner.lock();
        inner.stopping = true;
        inner.running.values().for_each(|job| job.cancel.cancel());
        let deadline = Instant::now() + STOP_MAX;
        while inner.working > 0 && !self.ended.wait_until(&mut inner, deadline).timed_out() {}
    }
}

/// See [`super::Jobs::resume`].
pub fn resume(node: &Node) -> Result<()> {
    let all = table::all(node.database())?;
    let open = all.iter().filter(|job| !job.state.has_ended());
    let open: Vec<u64> = open.map(|job| job.id).collect();
    {
        let mut inner = node.jobs_state().inner.lock();
        if inner.runner.is_some() {
            return Ok(());
        }
        inner.runner = Some(Handle::try_current().ok());
        inner.queue.extend(&open);
    }
    if !open.is_empty() {
        tracing::info!(jobs = open.len(), "jobs go on");
    }
    open.iter().for_each(|_| work(node));
    Ok(())
}

/// See [`super::Jobs::start`].
pub fn start(node: &Node, work_to_do: JobWork) -> Result<Job> {
    if node.jobs_state().inner.lock().runner.is_none() {
        return Err(JobError::NoRunner.into());
    }
    let job = table::insert(
        node.database(),
        Job {
            id: 0,
            work: work_to_do,
            state: JobState::Queued,
            reason: None,
            roots: Vec::new(),
            created: SystemTime::now(),
            ended: None,
            runs: 0,
            progress: JobProgress::default(),
        },
    )?;
    node.jobs_state().inner.lock().queue.push_back(job.id);
    work(node);
    Ok(job)
}

/// See [`super::Jobs::cancel`].
pub fn cancel(node: &Node, id: u64) -> Result<Job> {
    let mut ended = false;
    let job = table::update(node.database(), id, |job| {
        ended = job.state.has_ended();
        if !ended {
            job.state = JobState::Cancelled;
            job.reason = None;
            job.ended = Some(SystemTime::now());
        }
        !ended
    })?;
    let job = job.ok_or(JobError::NoJob(id))?;
    if ended {
        return Err(JobError::Ended(id).into());
    }
    let mut inner = node.jobs_state().inner.lock();
    inner.queue.retain(|queued| *queued != id);
    inner.waiting.retain(|waiting| *waiting != id);
    if let Some(running) = inner.running.get(&id) {
        running.cancel.cancel();
    }
    Ok(job)
}

/// Sees to it that there are threads for what waits.
fn work(node: &Node) {
    let state = node.jobs_state();
    let mut inner = state.inner.lock();
    if inner.stopping || inner.working >= THREADS || inner.queue.is_empty() {
        return;
    }
    let runtime = inner.runner.clone().flatten();
    let node = node.clone();
    let thread = thread::Builder::new()
        .name("ipfs-kit-job".to_owned())
        .spawn(move || {
            let _entered = runtime.as_ref().map(Handle::enter);
            while let Some((id, running)) = next(&node) {
                let waits = one(&node, id, &running);
                let mut inner = node.jobs_state().inner.lock();
                inner.running.remove(&id);
                if waits {
                    inner.waiting.push(id);
                    drop(inner);
                    watch(&node);
                }
            }
        });
    match thread {
        Ok(_) => inner.working += 1,
        // What waits is taken up by another thread, or after a restart.
        Err(error) => tracing::error!(%error, "no thread for a job"),
    }
}

/// The next job that waits; a thread that gets none ends.
fn next(node: &Node) -> Option<(u64, Running)> {
    let mut inner = node.jobs_state().inner.lock();
    let id = if inner.stopping {
        None
    } else {
        inner.queue.pop_front()
    };
    let Some(id) = id else {
        inner.working -= 1;
        node.jobs_state().ended.notify_all();
        return None;
    };
    let earlier = table::get(node.database(), id).ok().flatten();
    let running = Running {
        cancel: CancelToken::new(),
        meter: Arc::new(Meter::after(
            &earlier.map(|job| job.progress).unwrap_or_default(),
        )),
    };
    inner.running.insert(id, running.clone());
    Some((id, running))
}

/// Works on one job until it ends or is to stop. Whether it waits for the network.
fn one(node: &Node, id: u64, running: &Running) -> bool {
    let begun = table::update(node.database(), id, |job| {
        let waits = !job.state.has_ended();
        if waits {
            job.state = JobState::Running;
            job.reason = None;
            job.runs += 1;
        }
        waits
    });
    let job = match begun {
        Ok(Some(job)) if !job.state.has_ended() => job,
        Ok(_) => return false,
        Err(error) => {
            tracing::error!(job = id, %error, "a job cannot be begun");
            return false;
        }
    };
    tracing::info!(job = id, run = job.runs, "job begins");
    let over = Over::default();
    let outcome = thread::scope(|scope| {
        let keeper = scope.spawn(|| keep(node, id, running, &over));
        let outcome = run(node, &job, running);
        over.set();
        // One that panicked kept nothing, and that is all.
        let _ = keeper.join();
        outcome
    });
    end(node, id, running, outcome).unwrap_or_else(|error| {
        tracing::error!(job = id, %error, "the end of a job cannot be kept");
        false
    })
}

fn run(node: &Node, job: &Job, running: &Running) -> Result<Vec<String>> {
    let node = node
        .with_cancel(running.cancel.clone())
        .measured_by(Arc::clone(&running.meter));
    match &job.work {
        JobWork::Pin {
            paths,
            recursive,
            name,
        } => {
            let options = PinAdd {
                recursive: *recursive,
                name: name.clone(),
            };
            let cids = node.pins().add(paths, &options, &mut |_| Ok(()))?;
            Ok(cids.iter().map(ToString::to_string).collect())
        }
    }
}

/// Writes down how a job ended, unless somebody cancelled it meanwhile. Whether it waits for the network.
fn end(node: &Node, id: u64, running: &Running, outcome: Result<Vec<String>>) -> Result<bool> {
    let stopping = node.jobs_state().inner.lock().stopping;
    let progress = running.meter.read(Instant::now());
    let alone = matches!(&outcome, Err(error) if !stopping && is_alone(node, error));
    let job = table::update(node.database(), id, |job| {
        job.progress = JobProgress {
            rate: 0.0,
            ..progress
        };
        if job.state.has_ended() {
            return true;
        }
        match outcome {
            Ok(roots) => {
                job.roots = roots;
                job.state = JobState::Done;
            }
            Err(Error::Cancelled(Cancelled::Interrupted)) | Err(Error::Net(_)) if stopping => {
                job.state = JobState::Queued;
                job.reason = Some("goes on when the daemon runs again".to_owned());
            }
            // Without a network a missing block may be there tomorrow.
            Err(error) if alone => {
                job.state = JobState::Queued;
                job.reason = Some(format!("waits for the network: {error}"));
            }
            Err(error) => {
                job.state = JobState::Failed;
                job.reason = Some(error.to_string());
            }
        }
        if job.state.has_ended() {
            job.ended = Some(SystemTime::now());
        }
        true
    })?;
    if let Some(job) = job {
        let (state, reason) = (job.state, job.reason.unwrap_or_default());
        tracing::info!(job = id, ?state, reason, "job ends");
        return Ok(alone && !state.has_ended());
    }
    Ok(false)
}

/// Whether a job failed because there is nobody to ask.
fn is_alone(node: &Node, error: &Error) -> bool {
    match error {
        Error::NotFound(_) | Error::NeedsNetwork(_) => !node.is_online(),
        Error::NotFetched { .. } | Error::Name(_) | Error::Net(_) => {
            let runtime = Handle::try_current();
            runtime.is_ok_and(|runtime| !runtime.block_on(has_company(node)))
        }
        _ => false,
    }
}

/// Whether there is somebody to ask.
async fn has_company(node: &Node) -> bool {
    match node.peers() {
        Ok(peers) => peers.list().await.is_ok_and(|peers| !peers.is_empty()),
        Err(_) => false,
    }
}

/// Looks for the network until it is there; then the jobs that wait for it go on. Without a runtime there never
/// is one.
fn watch(node: &Node) {
    let mut inner = node.jobs_state().inner.lock();
    let Some(Some(runtime)) = inner.runner.clone() else {
        return;
    };
    if std::mem::replace(&mut inner.watched, true) {
        return;
    }
    // It keeps nothing open.
    let weak = node.weak();
    runtime.spawn(async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(node) = Node::upgrade(&weak, CancelToken::new()) else {
                return;
            };
            let there = has_company(&node).await;
            let mut inner = node.jobs_state().inner.lock();
            if inner.stopping || inner.waiting.is_empty() || there {
                inner.watched = false;
                let waiting = std::mem::take(&mut inner.waiting);
                inner.queue.extend(&waiting);
                drop(inner);
                waiting.iter().for_each(|_| work(&node));
                return;
            }
        }
    });
}

/// Set when a job is over.
#[derive(Default)]
struct Over {
    over: Mutex<bool>,
    changed: Condvar,
}

impl Over {
    fn set(&self) {
        *self.over.lock() = true;
        self.changed.notify_all();
    }

    /// Whether it is over within `time`.
    fn wait(&self, time: Duration) -> bool {
        let mut over = self.over.lock();
        let _ = self.changed.wait_while_for(&mut over, |over| !*over, time);
        *over
    }
}

/// Makes durable what a job has fetched, again and again until it is over.
fn keep(node: &Node, id: u64, running: &Running, over: &Over) {
    let mut kept = 0;
    while !over.wait(KEEP_EVERY) {
        let progress = running.meter.read(Instant::now());
        if progress.fetched_bytes == kept {
            continue;
        }
        kept = progress.fetched_bytes;
        let done = node.store().sync().map_err(Error::from).and_then(|()| {
            table::update(node.database(), id, |job| {
                job.progress = progress;
                true
            })
        });
        if let Err(error) = done {
            // The job itself meets the same trouble, and says so.
            tracing::warn!(job = id, %error, "what a job fetched cannot be kept");
        }
    }
}
