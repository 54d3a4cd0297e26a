//! The connections of all listeners, with a limit to their number.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::Pulse;
use super::limits::Limits;

/// Between two tries to make room, while everybody is busy.
const PAUSE: Duration = Duration::from_millis(50);

/// Everybody who is connected.
pub struct Crowd {
    room: Arc<Semaphore>,
    members: Mutex<HashMap<u64, Arc<Pulse>>>,
    /// How long somebody who takes nothing keeps his place while others wait for one.
    pressed: Duration,
    next: AtomicU64,
}

/// A place in the crowd.
pub struct Member {
    crowd: Arc<Crowd>,
    number: u64,
    /// What its connection does.
    pub pulse: Arc<Pulse>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.crowd.members.lock().remove(&self.number);
    }
}

impl Crowd {
    /// Room for so many as the limits say.
    pub fn new(limits: &Limits) -> Arc<Crowd> {
        let size = limits.connections.min(Semaphore::MAX_PERMITS);
        Arc::new(Crowd {
            room: Arc::new(Semaphore::new(size)),
            pressed: limits.pressed(),
            members: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    /// A place. Where there is none, whoever has asked nothing for longest gives his, or else who has taken nothing for
    /// longest; while all are busy, it waits.
    pub async fn join(self: &Arc<Crowd>) -> Member {
        loop {
            let place = Arc::clone(&self.room).try_acquire_owned();
            let place = match place {
                Ok(place) => place,
                Err(_) => {
                    self.evict();
                    let freed = Arc::clone(&self.room).acquire_owned();
                    match tokio::time::timeout(PAUSE, freed).await {
                        Ok(Ok(place)) => place,
                        _ => continue,
                    }
                }
            };
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let pulse = Arc::new(Pulse::default());
            self.members.lock().insert(number, Arc::clone(&pulse));
            return Member {
                crowd: Arc::clone(self),
                number,
                pulse,
                _place: place,
            };
        }
    }

    fn evict(&self) {
        let members = self.members.lock();
        let spare = members
            .values()
            .filter_map(|pulse| Some((pulse.spare(self.pressed)?, pulse)));
        if let Some((_, pulse)) = spare.min_by_key(|(spare, _)| *spare) {
            pulse.evict();
        }
    }
}
