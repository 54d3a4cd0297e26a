//! Threads of the store: one that merges, for as long as that takes, and one that scrubs.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::super::{BlockStore, StoreError};
use super::SegmentStore;
use crate::cid::Multihash;

/// How often the scrub reads.
const SCRUB_STEP: Duration = Duration::from_millis(250);

/// The threads that run.
#[derive(Default)]
pub(super) struct Background {
    state: Mutex<Threads>,
    stopped: Arc<(Mutex<bool>, Condvar)>,
}

#[derive(Default)]
struct Threads {
    merge: Option<JoinHandle<()>>,
    scrub: Option<JoinHandle<()>>,
}

impl Background {
    /// Ends the threads and waits for them.
    pub(super) fn stop(&self) {
        *self.stopped.0.lock() = true;
        self.stopped.1.notify_all();
        let threads = std::mem::take(&mut *self.state.lock());
        for thread in [threads.merge, threads.scrub].into_iter().flatten() {
            // The last handle may be dropped by the thread itself.
            if thread.thread().id() != thread::current().id() {
                drop(thread.join());
            }
        }
    }
}

impl SegmentStore {
    /// Merges in a thread, unless one does. What goes wrong there shows when the table is twice as
    /// large as wanted, and a put merges itself.
    pub(super) fn merge_in_background(&self) {
        let mut threads = self.background.state.lock();
        if threads
            .merge
            .as_ref()
            .is_some_and(|merge| !merge.is_finished())
        {
            return;
        }
        let Some(store) = self.me.upgrade() else {
            return;
        };
        let merge = move || {
            let merged = {
                let _gate = store.gate.read_recursive();
                let rebuilds = store.rebuilds.load(std::sync::atomic::Ordering::Acquire);
                store.merge().map_err(|error| (error, rebuilds))
            };
            if let Err((StoreError::Index(_), rebuilds)) = merged {
                drop(store.rebuild_after(rebuilds));
            }
        };
        threads.merge = thread::Builder::new()
            .name("merge".into())
            .spawn(merge)
            .ok();
    }

    /// Begins the background scrub, if it is asked for.
    pub(super) fn start_scrub(self: &Arc<Self>) {
        let rate = self.options.scrub_bytes_per_second;
        if rate == 0 {
            return;
        }
        let (me, stopped) = (Arc::downgrade(self), Arc::clone(&self.background.stopped));
        let scrub = move || {
            let mut after: Option<Multihash> = None;
            loop {
                let mut stop = stopped.0.lock();
                if !*stop {
                    stopped.1.wait_for(&mut stop, SCRUB_STEP);
                }
                if *stop {
                    return;
                }
                drop(stop);
                let Some(store) = me.upgrade() else { return };
                let budget = (rate / (1_000 / SCRUB_STEP.as_millis() as u64)).max(1);
                // What cannot be read now is read in the next pass.
                let step = BlockStore(store).scrub_step(after.as_ref(), budget);
                after = step.ok().and_then(|step| step.next);
            }
        };
        self.background.state.lock().scrub = thread::Builder::new()
            .name("scrub".into())
            .spawn(scrub)
            .ok();
    }
}
