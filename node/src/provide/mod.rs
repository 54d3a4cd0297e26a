//! Announcing: others find by the DHT who has a block.
//!
//! What is decided without IO stands by itself: the key space ([`keyspace`]), regions whose peers are known and which of
//! them a key belongs to ([`region`]), and when which part of the key space is due ([`schedule`]). [`source`] reads what
//! there is to announce in the order of the key space, [`sweep`] announces a stretch of it in one DHT, and [`provider`]
//! does so again and again.
//!
//! The cost grows with the number of regions, which is that of peers, and not with the number of blocks.

mod at_once;
mod counters;
mod keyspace;
mod provider;
mod region;
mod schedule;
mod settings;
mod source;
mod sweep;
mod table;
#[cfg(test)]
mod tests;
mod verbs;

pub use at_once::AnnounceNow;
pub(crate) use at_once::announce as at_once;
pub use counters::Counts as ProvideCounts;
pub(crate) use keyspace::Key;
pub(crate) use provider::Provider;
pub use provider::{Announcement, ProvideStat};
#[cfg(test)]
pub(crate) use schedule::Position;
pub(crate) use settings::ProvideSettings;
pub use verbs::Provide;
