//! Announcing at once: others find by the DHT who has a new root. Everything else is announced by and by
//! ([`crate::provide`]).

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ipfs_kit_blockstore::cid::Cid;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::net::{Net, NetError, Routing};

/// Roots waiting to be announced. More of them at a time are left to the next lap.
const WAITING_MAX: usize = 4096;

/// Announcements under way at the same time.
const RUNNING_MAX: usize = 16;

/// How often an announcement that reached nobody is tried, and the wait after the first time, which doubles.
const TRIES: u32 = 6;
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Where roots are handed in. Clones are cheap.
#[derive(Clone, Default)]
pub struct Announcer {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<Cid>>,
    more: Notify,
}

impl Announcer {
    /// Starts the task that announces.
    pub fn start(net: &Arc<Net>, stop: &CancellationToken) -> (Self, JoinHandle<()>) {
        let announcer = Self::default();
        let queue = Arc::clone(&announcer.queue);
        let announcing = run(Arc::downgrade(net), queue, stop.clone());
        (announcer, net.runtime().spawn(announcing))
    }

    /// Hands roots in. When the queue is full the rest is left to the next lap.
    pub fn announce(&self, roots: &[Cid]) {
        // An identity CID carries its block in itself.
        let roots = roots.iter().filter(|root| !root.hash().is_identity());
        let mut waiting = self.queue.waiting.lock();
        let room = WAITING_MAX.saturating_sub(waiting.len());
        waiting.extend(roots.take(room).cloned());
        drop(waiting);
        self.queue.more.notify_one();
    }

    /// Roots that wait.
    pub fn waiting(&self) -> usize {
        self.queue.waiting.lock().len()
    }

    /// Forgets the roots that wait, and says how many they were.
    pub fn clear(&self) -> usize {
        std::mem::take(&mut *self.queue.waiting.lock()).len()
    }
}

async fn run(net: Weak<Net>, queue: Arc<Queue>, stop: CancellationToken) {
    let running = Arc::new(Semaphore::new(RUNNING_MAX));
    loop {
        let permit = stop.run_until_cancelled(Arc::clone(&running).acquire_owned());
        let Some(Ok(permit)) = permit.await else {
            return;
        };
        let root = loop {
            let next = queue.waiting.lock().pop_front();
            if let Some(root) = next {
                break root;
            }
            if stop
                .run_until_cancelled(queue.more.notified())
                .await
                .is_none()
            {
                return;
            }
        };
        let (net, stop) = (Weak::clone(&net), stop.clone());
        tokio::spawn(async move {
            stop.run_until_cancelled(announce(net, root)).await;
            drop(permit);
        });
    }
}

/// One root. A node that has just started knows nobody yet, so it is tried more than once.
async fn announce(net: Weak<Net>, root: Cid) {
    let mut wait = TRY_AGAIN;
    for _ in 0..TRIES {
        let Some(net) = net.upgrade() else {
            return;
        };
        let told = Routing { net }.provide(&root).await;
        if !matches!(told, Err(NetError::NotStored(_))) {
            return;
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipfs_kit_blockstore::codec;
    use ipfs_kit_blockstore::hash::HashSpec;

    #[test]
    fn the_queue_has_an_end_and_can_be_cleared() {
        let announcer = Announcer::default();
        let root = Cid::v1(codec::RAW, HashSpec::SHA2_256.digest(b"root").unwrap());
        announcer.announce(&vec![root.clone(); WAITING_MAX - 1]);
        announcer.announce(&[root.clone(), root]);
        assert_eq!(announcer.waiting(), WAITING_MAX);
        assert_eq!((announcer.clear(), announcer.clear()), (WAITING_MAX, 0));
    }
}
