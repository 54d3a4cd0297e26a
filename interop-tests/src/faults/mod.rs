//! Breaks repos on purpose and checks that nothing acknowledged is lost.
//!
//! | module | what it does to the binary |
//! |---|---|
//! | [`kill`] | `kill -9` at random times, in one repo that lives on |
//! | [`mfs`] | `kill -9` of a daemon, and collections, while writers work in its file system |
//! | [`syscalls`] | death at every call that changes state, of scripted commands |
//! | [`ioerror`] | failing and short writes, failing syncs |
//! | [`powercut`] | loss of everything not synced, on real ext4 and XFS |
//! | [`diskfull`] | no space left, on tmpfs and ext4 |
//! | [`bitflip`] | flipped bits in every file of the block store |
//!
//! All of them start the binary as a user does, keep what it acknowledged in an [`oracle`] outside
//! of the repo, and print the seed and the command that repeats a failure.

pub mod bitflip;
pub mod child;
pub mod content;
pub mod diskfull;
pub mod ioerror;
pub mod job;
pub mod kill;
pub mod mfs;
pub mod mount;
pub mod options;
pub mod oracle;
pub mod powercut;
pub mod script;
pub mod segment;
pub mod syscalls;
pub mod tracer;

pub use options::Options;
