//! How a command can fail.

use std::fmt;
use std::io;

/// Why a command ends without success.
#[derive(Debug)]
pub enum Failure {
    /// The command line is wrong; a usage line is shown after the message.
    Usage(String),
    /// A group was named without one of its commands; its help answers that.
    Help,
    /// The work failed.
    Failed(String),
    /// Something is not there that was asked for.
    Missing(String),
    /// The command has already written what went wrong to standard error.
    Reported,
    /// The records of the result have told what went wrong; this sums it up.
    Told(String),
    /// The deadline passed.
    TimedOut,
    /// Something did not come in time; says what was tried.
    Late(String),
    /// A signal asked the command to stop.
    Signal(i32),
    /// Whoever read standard output went away. Nothing is said about it, as with every filter.
    BrokenPipe,
}

impl Failure {
    /// A wrong command line.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::Usage(message.into())
    }

    /// Work of which the records have told what failed.
    pub fn told(message: impl Into<String>) -> Failure {
        Failure::Told(message.into())
    }

    /// Whether the result itself says what went wrong.
    pub fn is_in_result(&self) -> bool {
        matches!(self, Failure::Reported | Failure::Told(_))
    }

    /// Work that failed.
    pub fn failed(message: impl fmt::Display) -> Failure {
        Failure::Failed(message.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(message)
            | Failure::Failed(message)
            | Failure::Missing(message)
            | Failure::Told(message)
            | Failure::Late(message) => f.write_str(message),
            Failure::Help => f.write_str("a subcommand or an argument is required"),
            Failure::Reported => f.write_str("failed"),
            Failure::TimedOut => f.write_str("timed out; --timeout gives the command more time"),
            Failure::Signal(2) => f.write_str("interrupted"),
            Failure::Signal(number) => write!(f, "ended by signal {number}"),
            Failure::BrokenPipe => f.write_str("standard output was closed"),
        }
    }
}

impl std::error::Error for Failure {}

/// Writing to standard output is the only plain IO of a command; errors with a path are made where
/// the path is known.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::BrokenPipe;
        }
        Failure::failed(error)
    }
}
