//! The binary against Kubo in one run.
//!
//! | module | what |
//! |---|---|
//! | [`rows`] | what is measured, with the goals of the design |
//! | [`stage`] | inputs and repos in the place that is measured |
//! | [`measure`] | one command: wall time, processor time, peak memory |
//! | [`contest`] | runs in turn, with the order swapped from run to run |
//! | [`alone`] | figures of our binary only: a million blocks, memory, disk |
//! | [`daemon`] | what a daemon costs that starts, idles, fetches and ends |
//! | [`fetch`] | from peers, near and far |
//! | [`mfs`] | files written into the mutable file system of a daemon |
//! | [`rpc`] | small calls and large bodies through a daemon |
//! | [`slow`] | honest calls beside many slow clients |
//! | [`limits`] | what the machine itself can do |
//! | [`table`] | Markdown |
//!
//! Before each measurement inputs are read once and all dirty pages are written back, so that
//! neither side pays for what the other left behind.

pub mod alone;
pub mod contest;
pub mod daemon;
pub mod fetch;
pub mod limits;
pub mod load;
pub mod measure;
pub mod mfs;
pub mod rows;
pub mod rpc;
pub mod slow;
pub mod stage;
pub mod table;
