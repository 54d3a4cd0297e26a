//! A network that is about to start, and operations that wait for it.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Node;
use crate::net::NetError;

/// Between two looks at the cancel token while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whether there will be a network.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
enum State {
    /// Nobody said that there will be one; or it is there.
    #[default]
    Settled,
    /// It is about to start.
    Starting,
    /// It did not start.
    Failed(String),
}

impl Awaited {
    /// There is a network now, or none for this reason. Where nobody expected one, its failure is not told again.
    pub(super) fn settle(&self, failure: Option<String>) {
        let mut state = self.state.lock();
        *state = match (&*state, failure) {
            (State::Starting, Some(reason)) => State::Failed(reason),
            _ => State::Settled,
        };
        self.changed.notify_all();
    }
}

impl Node {
    /// Tells that [`Node::go_online`] is about to be called: from now on, operations of a [`Node::patient`] handle wait for
    /// it where they need the network.
    pub fn expect_online(&self) {
        let mut state = self.shared.awaited.state.lock();
        if self.shared.net.get().is_none() {
            *state = State::Starting;
        }
    }

    /// The same node, whose operations wait for a network that is about to start, until it has or they are cancelled. They
    /// block the thread meanwhile, so this is not for async tasks.
    #[must_use]
    pub fn patient(&self) -> Self {
        Self {
            patient: true,
            ..self.clone()
        }
    }

    /// Waits for the network where it is about to start and this handle may wait.
    ///
    /// # Errors
    /// Why it did not start; [`NetError::Cancelled`].
    pub(crate) fn await_network(&self) -> Result<(), NetError> {
        if self.offline {
            return Ok(());
        }
        let awaited = &self.shared.awaited;
        let mut state = awaited.state.lock();
        loop {
            match &*state {
                State::Settled => return Ok(()),
                State::Failed(reason) if self.patient => {
                    return Err(NetError::NotStarted(reason.clone()));
                }
                State::Failed(_) => return Ok(()),
                State::Starting => {}
            }
            if let Some(at_once) = &self.at_once {
                at_once.miss();
                return Ok(());
            }
            if !self.patient {
                return Ok(());
            }
            self.cancel.check().map_err(NetError::Cancelled)?;
            awaited.changed.wait_for(&mut state, LOOK_EVERY);
        }
    }
}
