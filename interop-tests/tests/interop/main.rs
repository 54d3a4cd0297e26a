//! The built binary against Kubo: the same CIDs, the same files, the same answers.
//!
//! One test binary: a new area is a new module. `cargo xtask test interop` builds both sides.

mod cars;
mod clients;
mod dags;
mod dht;
mod differential;
mod files;
mod gateways;
mod gossip;
mod guards;
mod helia;
mod hostile;
mod inputs;
mod large;
mod matrix;
mod migrate;
mod nat;
mod network;
mod online;
mod pinning;
mod private;
mod records;
mod relay;
mod reports;
mod rpc;
mod trees;
mod tunnels;
mod vectors;
