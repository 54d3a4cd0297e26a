//! The built `ipfs-kit` binary against Kubo, and against crashes.
//!
//! Nothing here links the node: every check starts the binary the way a user does and looks at its
//! output, its exit code and its files. The tests proper are in `tests/interop`; the programs
//! `bench` and `faults` measure and break things, and `cargo xtask` runs all of it with the
//! binaries and data it needs.

pub mod bench;
pub mod count;
pub mod daemon;
pub mod data;
pub mod faults;
pub mod netns;
pub mod peer;
pub mod pinning;
pub mod proxy;
pub mod scratch;
pub mod stream;
pub mod tree;

pub use peer::{Peer, Side};
