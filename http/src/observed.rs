//! What the daemon knows of itself: the calls it serves and served, its figures, and whether it is ready.

mod calls;
mod figures;
mod process;
mod requests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ipfs_kit_node::Node;

use crate::request::Request;

pub use calls::{Call, Calls};
pub use figures::MEDIA_TYPE;
pub use process::Process;
pub use requests::{Requests, UNKNOWN};

/// Shared by everything that serves and everything that looks.
#[derive(Debug, Default)]
pub struct Observed {
    /// Calls, running and ended.
    pub calls: Calls,
    /// Counts of them.
    pub requests: Requests,
    ready: AtomicBool,
    stopping: AtomicBool,
}

/// The method that was asked, for the counts; goes with its response.
#[derive(Debug, Clone)]
pub struct Asked(pub Arc<str>);

/// A call that is counted until it ends.
#[derive(Debug)]
pub struct Watched {
    observed: Arc<Observed>,
    number: u64,
    method: Arc<str>,
    started: Instant,
}

impl Watched {
    /// The call has ended.
    pub fn end(&self) {
        self.observed.calls.end(self.number);
        let time = self.started.elapsed();
        self.observed.requests.end(Arc::clone(&self.method), time);
        tracing::debug!(method = %self.method, millis = time.as_millis() as u64, "call ended");
    }

    /// The call was only tried: it begins again.
    pub fn forget(&self) {
        self.observed.calls.forget(self.number);
        self.observed.requests.forget();
    }
}

/// How the daemon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It is not all there yet.
    Starting,
    /// It does what it is for.
    Ready,
    /// It was told to end.
    Stopping,
}

impl Observed {
    /// Nothing has happened.
    pub fn new() -> Arc<Observed> {
        Arc::default()
    }

    /// A call begins.
    pub fn begin(self: &Arc<Observed>, request: &Request) -> Watched {
        self.requests.begin();
        Watched {
            number: self.calls.begin(request),
            method: request.name().into(),
            started: Instant::now(),
            observed: Arc::clone(self),
        }
    }

    /// Everything is there.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// It is to end.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// How it is.
    pub fn condition(&self) -> Condition {
        if self.stopping.load(Ordering::Relaxed) {
            Condition::Stopping
        } else if self.ready.load(Ordering::Relaxed) {
            Condition::Ready
        } else {
            Condition::Starting
        }
    }

    /// Everything as Prometheus reads it.
    pub async fn prometheus(&self, node: &Node) -> String {
        let looked = Instant::now();
        let figures = node.figures().await;
        figures::text(self, &figures, looked)
    }
}
