//! Engines in a simulated network: see [`sim`].

mod advisories;
mod fetching;
mod serving;
mod sim;
