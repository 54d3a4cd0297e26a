//! The same tests of commands with a daemon on every repo: what the commands print, and how they fail, must
//! not depend on who does the work.

// What fails in a helper fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(dead_code, reason = "not every part of the harness is used here")]

/// Whether a daemon runs on the repos of the tests.
const ATTACHED: bool = true;

mod cli {
    mod add;
    mod bad_input;
    mod blocks;
    mod cids;
    mod config;
    mod harness;
    mod names;
    mod pins;
    mod read;
    mod repo;
    mod settings;
    mod stop;
}
