//! The built binary, started as a user starts it, in repos of its own.
//!
//! A new test goes beside its command's others; one about what goes wrong goes to `bad_input`.

// What fails in a helper fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Whether a daemon runs on the repos of the tests.
const ATTACHED: bool = false;

mod cli {
    mod add;
    mod bad_input;
    mod blocks;
    mod cids;
    mod config;
    mod daemon;
    mod daemon_flags;
    mod disk;
    mod documents;
    mod fuzz;
    mod harness;
    mod http;
    mod kit;
    mod names;
    mod network;
    mod observe;
    mod pins;
    mod read;
    mod reload;
    mod repo;
    mod schemas;
    mod serve;
    mod settings;
    mod starting;
    mod stop;
    mod strict;
    mod swarm;
    mod traces;
}
