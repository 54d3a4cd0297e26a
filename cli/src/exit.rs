//! The exit status of each way to fail.

use ipfs_kit_http::failure::Failure;

/// Everything is done.
pub const EXIT_OK: i32 = 0;
/// The command failed, or the command line was wrong.
pub const EXIT_FAILED: i32 = 1;
/// The time given with `--timeout` ran out (the status of timeout(1)).
pub const EXIT_TIMED_OUT: i32 = 124;
/// Added to the number of the signal that ended the command, as shells report it: 130 for SIGINT.
pub const EXIT_SIGNAL: i32 = 128;

/// The exit status of the process.
pub fn code(failure: &Failure) -> i32 {
    match failure {
        Failure::Usage(_)
        | Failure::Failed(_)
        | Failure::Missing(_)
        | Failure::Told(_)
        | Failure::Reported
        | Failure::Help => EXIT_FAILED,
        Failure::TimedOut | Failure::Late(_) => EXIT_TIMED_OUT,
        Failure::Signal(number) => EXIT_SIGNAL + number,
        Failure::BrokenPipe => EXIT_SIGNAL + 13,
    }
}
