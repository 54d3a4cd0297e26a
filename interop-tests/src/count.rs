//! The last line of every harness: how many cases ran and how many failed.

use std::fmt::Display;
use std::process::ExitCode;

/// Passed and failed cases of one run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Cases whose checks all held.
    pub passed: u64,
    /// Cases in which a check did not hold.
    pub failed: u64,
}

impl Count {
    /// Counts one case, printing `case` with its error when it failed.
    pub fn record(&mut self, case: impl Display, outcome: anyhow::Result<()>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(error) => {
                self.failed += 1;
                println!("FAILED {case}: {error:#}");
            }
        }
    }

    /// Adds the cases of `other`.
    pub fn add(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Prints the line that `cargo xtask test` sums up, and gives the process's exit code.
    pub fn finish(self, what: &str) -> ExitCode {
        println!("{what}: {} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 && self.passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
