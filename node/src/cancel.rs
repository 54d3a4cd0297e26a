//! Cancellation of long operations: a flag that a signal handler can set, and an optional deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

const RUNNING: u8 = 0;
const INTERRUPTED: u8 = 1;
const TIMED_OUT: u8 = 2;

/// Why an operation was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cancelled {
    /// [`CancelToken::cancel`] was called, for example on SIGINT.
    #[error("interrupted: nothing that was not yet acknowledged was kept")]
    Interrupted,
    /// The deadline of [`CancelToken::with_deadline`] passed.
    #[error("timed out: allow more time with --timeout or split the work")]
    TimedOut,
}

/// Stops every operation started through the [`crate::Node`] that carries it. Clones share the same flag.
///
/// Setting it is one atomic store, so it may be done from a signal handler.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    state: Arc<AtomicU8>,
    deadline: Option<Instant>,
}

impl CancelToken {
    /// A token that never fires unless [`CancelToken::cancel`] is called.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same flag, which besides fires once `deadline` has passed.
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        Self {
            state: Arc::clone(&self.state),
            deadline: Some(deadline),
        }
    }

    /// Asks every operation with this token to stop at its next check.
    pub fn cancel(&self) {
        self.state.store(INTERRUPTED, Ordering::Relaxed);
    }

    /// The shared flag, for a signal handler: any non-zero value stored there cancels.
    pub fn flag(&self) -> Arc<AtomicU8> {
        Arc::clone(&self.state)
    }

    /// Fails when the token has fired. Cheap enough for every block of a walk.
    pub fn check(&self) -> Result<(), Cancelled> {
        match self.state.load(Ordering::Relaxed) {
            RUNNING => {}
            TIMED_OUT => return Err(Cancelled::TimedOut),
            _ => return Err(Cancelled::Interrupted),
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => {
                self.state.store(TIMED_OUT, Ordering::Relaxed);
                Err(Cancelled::TimedOut)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn clones_share_the_flag_and_the_deadline_fires() {
        let token = CancelToken::new();
        let copy = token.clone();
        assert_eq!(copy.check(), Ok(()));
        token.cancel();
        assert_eq!(copy.check(), Err(Cancelled::Interrupted));

        let timed = CancelToken::new().with_deadline(Instant::now() - Duration::from_millis(1));
        assert_eq!(timed.check(), Err(Cancelled::TimedOut));
        assert_eq!(
            timed.check(),
            Err(Cancelled::TimedOut),
            "the reason stays the same"
        );
    }
}
