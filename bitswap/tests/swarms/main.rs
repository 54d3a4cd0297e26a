//! Swarms over TCP, Noise and yamux on loopback.

#![allow(clippy::unwrap_used)] // a panic here is a failed test

mod common;
mod hostile;
mod transfer;
