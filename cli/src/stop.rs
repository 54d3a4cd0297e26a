//! How a command is stopped before its end: SIGINT, SIGTERM and `--timeout`.
//!
//! The first signal, or the deadline, fires the node's cancel token; the command then ends at its next
//! check and closes the repo. A second signal, or a command that does not react within [`GRACE`], ends
//! the process at once, which the repo survives like any kill.

use std::io::{self, Read, Stdin};
use std::os::fd::AsFd;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ipfs_kit_http::failure::Failure;
use ipfs_kit_node::{CancelToken, Cancelled};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::{EXIT_SIGNAL, EXIT_TIMED_OUT};

/// How long a cancelled command may take to close the repo.
const GRACE: Duration = Duration::from_secs(10);

/// The stop button of one command.
#[derive(Debug, Clone)]
pub struct Stop {
    token: CancelToken,
    signal: Arc<AtomicI32>,
}

impl Stop {
    /// Starts the clock, if there is a limit.
    pub fn new(timeout: Option<Duration>) -> Stop {
        let token = CancelToken::new();
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let token = match deadline {
            Some(deadline) => {
                thread::spawn(move || {
                    thread::sleep(deadline.saturating_duration_since(Instant::now()) + GRACE);
                    process::exit(EXIT_TIMED_OUT);
                });
                token.with_deadline(deadline)
            }
            None => token,
        };
        Stop {
            token,
            signal: Arc::default(),
        }
    }

    /// Turns SIGINT and SIGTERM into cancellation from now on.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub fn watch_signals(&self) -> Result<(), Failure> {
        let mut signals = signals()?;
        let stop = self.clone();
        thread::spawn(move || {
            for number in signals.forever() {
                if stop.signal.swap(number, Ordering::Relaxed) != 0 {
                    process::exit(EXIT_SIGNAL + number);
                }
                stop.token.cancel();
                thread::spawn(move || {
                    thread::sleep(GRACE);
                    process::exit(EXIT_SIGNAL + number);
                });
            }
        });
        Ok(())
    }

    /// Ends the process at a signal, for work that is done elsewhere and ends with the connection.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub fn exit_on_signals(&self) -> Result<(), Failure> {
        let mut signals = signals()?;
        thread::spawn(move || {
            if let Some(number) = signals.forever().next() {
                process::exit(EXIT_SIGNAL + number);
            }
        });
        Ok(())
    }

    /// The token that long operations check.
    pub fn token(&self) -> &CancelToken {
        &self.token
    }

    /// Fails when the command is to stop.
    pub fn check(&self) -> Result<(), Failure> {
        let Err(cancelled) = self.token.check() else {
            return Ok(());
        };
        Err(match (cancelled, self.signal.load(Ordering::Relaxed)) {
            (Cancelled::TimedOut, _) => Failure::TimedOut,
            (Cancelled::Interrupted, 0) => Failure::Signal(SIGINT),
            (Cancelled::Interrupted, number) => Failure::Signal(number),
        })
    }

    /// Standard input that stops waiting when the command is to stop.
    pub fn stdin(&self) -> StoppableStdin {
        StoppableStdin {
            stdin: io::stdin(),
            stop: self.clone(),
        }
    }
}

fn signals() -> Result<Signals, Failure> {
    Signals::new([SIGINT, SIGTERM])
        .map_err(|error| Failure::failed(format_args!("cannot handle signals: {error}")))
}

/// Standard input whose reads end when the command is stopped, also while nobody types.
#[derive(Debug)]
pub struct StoppableStdin {
    stdin: Stdin,
    stop: Stop,
}

impl Read for StoppableStdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stop
                .check()
                .map_err(|reason| io::Error::other(reason.to_string()))?;
            let mut fds = [PollFd::new(&self.stdin, PollFlags::IN)];
            let patience = Timespec {
                tv_sec: 0,
                tv_nsec: 50_000_000,
            };
            match poll(&mut fds, Some(&patience)) {
                Ok(0) => continue,
                // Files and odd descriptors that cannot be polled are simply read.
                Ok(_) => return Ok(rustix::io::read(self.stdin.as_fd(), &mut *buffer)?),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
