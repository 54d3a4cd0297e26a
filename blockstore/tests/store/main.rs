//! The stores against their contract: one suite on both, a model, crashes, failing disks, damage,
//! and threads.

#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test that cannot go on has failed; speed is no matter"
)]

mod conformance;
mod crash;
mod damage;
mod faults;
mod model;
mod race;
mod support;
