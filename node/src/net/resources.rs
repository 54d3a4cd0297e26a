//! What the network uses, against its limits.

use libp2p::PeerId;
use rustc_hash::FxHashMap;

use super::behaviour::{PENDING_MAX, PER_PEER_MAX};
use super::task::SwarmTask;
use super::traffic::Streams;
use super::transport::STREAMS_MAX;
use super::{Direction, memory};

/// What is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory; only told of the whole node.
    pub memory: u64,
    /// File descriptors of connections.
    pub descriptors: u32,
    /// Connections that peers opened.
    pub inbound: u32,
    /// Connections that this node opened.
    pub outbound: u32,
    /// Open streams.
    pub streams: Streams,
}

/// The most that may be in use; `None` has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory above which no connection is made.
    pub memory: Option<u64>,
    /// File descriptors of connections.
    pub descriptors: Option<u32>,
    /// Connections.
    pub connections: Option<u32>,
    /// Connections that peers opened.
    pub inbound: Option<u32>,
    /// Connections that this node opened.
    pub outbound: Option<u32>,
    /// Streams that peers opened.
    pub streams_inbound: Option<u32>,
}

/// Usage and limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// The whole node.
    pub system: Usage,
    /// Limits of the whole node.
    pub system_limits: Limits,
    /// Handshakes under way.
    pub transient: Usage,
    /// Limits of handshakes.
    pub transient_limits: Limits,
    /// Each connected peer.
    pub by_peer: Vec<(PeerId, Usage)>,
    /// Limits of each peer.
    pub peer_limits: Limits,
    /// Each protocol that has streams.
    pub by_protocol: Vec<(String, Usage)>,
}

impl SwarmTask {
    pub(super) fn resources(&self) -> Resources {
        let gate = &self.swarm.behaviour().gate;
        let caps = gate.caps();
        let info = self.swarm.network_info();
        let counters = info.connection_counters();
        let streams_of = |streams| Usage {
            streams,
            ..Usage::default()
        };
        let protocols = self.traffic.streams_by_protocol().into_iter();
        Resources {
            system: Usage {
                memory: memory::used().unwrap_or_default(),
                descriptors: gate.descriptors(),
                inbound: counters.num_established_incoming(),
                outbound: counters.num_established_outgoing(),
                streams: self.traffic.streams(),
            },
            system_limits: Limits {
                memory: caps.memory,
                descriptors: caps.descriptors,
                inbound: caps.inbound,
                ..Limits::default()
            },
            transient: Usage {
                inbound: counters.num_pending_incoming(),
                outbound: counters.num_pending_outgoing(),
                ..Usage::default()
            },
            transient_limits: Limits {
                inbound: Some(PENDING_MAX),
                outbound: Some(PENDING_MAX),
                ..Limits::default()
            },
            by_peer: self.usage_by_peer(),
            peer_limits: Limits {
                connections: Some(PER_PEER_MAX),
                streams_inbound: Some(PER_PEER_MAX * STREAMS_MAX as u32),
                ..Limits::default()
            },
            by_protocol: protocols
                .map(|(name, streams)| (name, streams_of(streams)))
                .collect(),
        }
    }

    fn usage_by_peer(&self) -> Vec<(PeerId, Usage)> {
        let streams: FxHashMap<PeerId, Streams> =
            self.traffic.streams_by_peer().into_iter().collect();
        let each = self.book.connected().map(|(peer, entry)| {
            let mut usage = Usage {
                streams: streams.get(peer).copied().unwrap_or_default(),
                ..Usage::default()
            };
            for connection in &entry.connections {
                match connection.direction {
                    Direction::Inbound => usage.inbound += 1,
                    Direction::Outbound => usage.outbound += 1,
                }
            }
            (*peer, usage)
        });
        each.collect()
    }
}
