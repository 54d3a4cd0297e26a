//! Jobs: work that takes long and goes on by itself, as a download that is pinned when it is there.
//!
//! A job is a row of `repo.redb` before it begins, and stays one until it is forgotten: after a restart, or a kill, what
//! had not ended begins again, and finds what it fetched before in the store. [`run`] does the work, [`progress`] is what
//! is told meanwhile, [`table`] keeps the rows.

mod progress;
mod run;
mod table;
#[cfg(test)]
mod tests;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::node::Node;

pub use progress::JobProgress;
pub(crate) use progress::Meter;
pub(crate) use run::JobsState;

/// Verbs on jobs, from [`Node::jobs`].
pub struct Jobs<'a> {
    pub(crate) node: &'a Node,
}

/// What a job is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobWork {
    /// Pin what the paths lead to; what is missing is fetched.
    Pin {
        /// The paths.
        paths: Vec<String>,
        /// The whole DAGs, or only the blocks.
        recursive: bool,
        /// A name for the pins.
        name: Option<String>,
    },
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// It waits for its turn, or for the network.
    Queued,
    /// It runs.
    Running,
    /// It did what it was to do.
    Done,
    /// It ended with an error.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl JobState {
    /// Whether it is over.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: u64,
    /// What it is to do.
    pub work: JobWork,
    /// How far it is.
    pub state: JobState,
    /// Why it failed, or what it waits for.
    pub reason: Option<String>,
    /// CIDs that it pinned.
    pub roots: Vec<String>,
    /// When it was started.
    pub created: SystemTime,
    /// When it ended.
    pub ended: Option<SystemTime>,
    /// How often it was begun.
    pub runs: u32,
    /// What it came by.
    pub progress: JobProgress,
}

/// Why a job was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// Nothing runs jobs here.
    #[error("jobs run in a daemon: start one with 'ipfs-kit daemon'")]
    NoRunner,
    /// There is no such job.
    #[error("there is no job {0}: 'ipfs-kit job ls --all' lists them")]
    NoJob(u64),
    /// It is over.
    #[error("job {0} has ended already")]
    Ended(u64),
    /// Too many are waiting.
    #[error("{0} jobs are waiting: wait until some have ended, or cancel some")]
    Full(usize),
}

impl Jobs<'_> {
    /// Runs what had not ended when the node was closed or killed, and from now on what is started. The threads enter
    /// the current tokio runtime, if there is one, and keep the node open until it is closed or shut down.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn resume(&self) -> Result<()> {
        run::resume(self.node)
    }

    /// Starts a job; it is kept when this returns.
    ///
    /// # Errors
    /// [`JobError::NoRunner`], [`JobError::Full`], a path that is none.
    pub fn start(&self, work: JobWork) -> Result<Job> {
        run::start(self.node, work)
    }

    /// All jobs in the order of their start.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn list(&self) -> Result<Vec<Job>> {
        let mut all = table::all(self.node.database())?;
        all.iter_mut()
            .for_each(|job| self.node.jobs_state().bring_up(job));
        Ok(all)
    }

    /// One job.
    ///
    /// # Errors
    /// [`JobError::NoJob`].
    pub fn get(&self, id: u64) -> Result<Job> {
        let job = table::get(self.node.database(), id)?;
        let mut job = job.ok_or(JobError::NoJob(id))?;
        self.node.jobs_state().bring_up(&mut job);
        Ok(job)
    }

    /// Cancels a job; what it fetched stays until garbage is collected.
    ///
    /// # Errors
    /// [`JobError::NoJob`], [`JobError::Ended`].
    pub fn cancel(&self, id: u64) -> Result<Job> {
        run::cancel(self.node, id)
    }
}
