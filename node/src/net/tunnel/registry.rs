//! The tunnels of a node and the connections through them, within bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use libp2p::{Multiaddr, PeerId, StreamProtocol};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Tunnel, TunnelInfo, TunnelStream};
use crate::net::NetError;
use crate::net::busy::{Busy, Hold};
use crate::net::streams::Accepting;

/// Listeners and forwarders at the same time.
const TUNNELS_MAX: usize = 128;

/// Connections through tunnels at the same time.
const STREAMS_MAX: usize = 1024;

/// Longest name of a protocol.
const PROTOCOL_MAX: usize = 128;

/// One tunnel and its task.
pub struct Entry {
    pub id: u64,
    pub info: TunnelInfo,
    /// TCP to a peer; otherwise a peer to TCP.
    pub forwards: bool,
    closed: CancellationToken,
    task: JoinHandle<()>,
}

/// What there is.
#[derive(Default)]
pub struct State {
    pub tunnels: Vec<Entry>,
    /// With what ends each.
    pub streams: BTreeMap<u64, (TunnelStream, CancellationToken)>,
    next: u64,
}

/// The tunnels of a node.
pub struct Registry {
    /// `Experimental.Libp2pStreamMounting`.
    enabled: bool,
    /// Protocols that the node itself speaks.
    own: Vec<String>,
    pub accepting: Accepting,
    pub state: Mutex<State>,
    pub room: Arc<Semaphore>,
    busy: Arc<Busy>,
    pub stop: CancellationToken,
}

impl Registry {
    /// No tunnels yet. `own` are the protocols that the node itself speaks; peers of open tunnels count as busy.
    pub fn new(enabled: bool, own: Vec<String>, accepting: Accepting, busy: Arc<Busy>) -> Self {
        Self {
            enabled,
            accepting,
            own,
            state: Mutex::default(),
            room: Arc::new(Semaphore::new(STREAMS_MAX)),
            busy,
            stop: CancellationToken::new(),
        }
    }

    /// Whether the configuration has tunnels.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Ends every tunnel and every connection.
    pub fn stop(&self) {
        self.stop.cancel();
        drop(self.remove(|_| true));
    }

    pub fn protocol(&self, name: &str) -> Result<StreamProtocol, NetError> {
        let bad = |reason: &str| Err(NetError::BadTunnel(format!("protocol {name:?} {reason}")));
        if name.len() > PROTOCOL_MAX {
            return bad("is too long: at most 128 bytes");
        }
        if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return bad("has spaces or control characters");
        }
        if self.own.iter().any(|own| own == name) {
            return bad("is one that this node speaks itself");
        }
        match StreamProtocol::try_from_owned(name.to_owned()) {
            Ok(protocol) if name.len() > 1 => Ok(protocol),
            _ => bad("is no name: it must start with /"),
        }
    }

    /// Enters a tunnel and starts its task.
    pub fn enter(
        self: &Arc<Self>,
        info: TunnelInfo,
        forwards: bool,
        task: impl FnOnce(CancellationToken) -> Result<JoinHandle<()>, NetError>,
    ) -> Result<Tunnel, NetError> {
        let mut state = self.state.lock();
        if state.tunnels.len() >= TUNNELS_MAX {
            return Err(NetError::TooMany("tunnels", TUNNELS_MAX));
        }
        let same = |entry: &Entry| {
            entry.forwards == forwards
                && if forwards {
                    entry.info.listen == info.listen
                } else {
                    entry.info.protocol == info.protocol
                }
        };
        if state.tunnels.iter().any(same) {
            return Err(NetError::TunnelExists);
        }
        let closed = self.stop.child_token();
        let task = task(closed.clone())?;
        let id = state.next;
        state.next += 1;
        state.tunnels.push(Entry {
            id,
            info: info.clone(),
            forwards,
            closed: closed.clone(),
            task,
        });
        Ok(Tunnel {
            info,
            registry: Arc::clone(self),
            id,
            closed,
        })
    }

    /// Closes tunnels; their tasks end soon.
    pub fn remove(&self, which: impl Fn(&Entry) -> bool) -> Vec<JoinHandle<()>> {
        let mut state = self.state.lock();
        let (gone, kept) = std::mem::take(&mut state.tunnels)
            .into_iter()
            .partition(|entry| which(entry));
        state.tunnels = kept;
        let gone: Vec<Entry> = gone;
        gone.into_iter()
            .map(|entry| {
                entry.closed.cancel();
                entry.task
            })
            .collect()
    }

    /// Notes a connection for as long as the guard lives.
    pub fn open(
        self: &Arc<Self>,
        peer: PeerId,
        protocol: &StreamProtocol,
        origin: Multiaddr,
        target: Multiaddr,
    ) -> Open {
        let stop = self.stop.child_token();
        let mut state = self.state.lock();
        let id = state.next;
        state.next += 1;
        let info = TunnelStream {
            id,
            protocol: protocol.to_string(),
            origin,
            target,
        };
        state.streams.insert(id, (info, stop.clone()));
        Open {
            registry: Arc::clone(self),
            id,
            stop,
            _busy: self.busy.hold(peer),
        }
    }
}

/// A connection that is open.
pub struct Open {
    registry: Arc<Registry>,
    id: u64,
    pub stop: CancellationToken,
    _busy: Hold,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.registry.state.lock().streams.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_protocols() {
        let own = vec!["/ipfs/ping/1.0.0".to_owned()];
        let registry = Registry::new(true, own, Accepting::default(), Arc::default());
        for good in ["/x/ssh", "/x/ü", "/libp2p/other"] {
            assert_eq!(registry.protocol(good).unwrap().as_ref(), good);
        }
        let long = format!("/{}", "x".repeat(PROTOCOL_MAX));
        for bad in [
            "",
            "/",
            "x/ssh",
            "/x/a b",
            "/x/\n",
            "/ipfs/ping/1.0.0",
            &long,
        ] {
            let error = registry.protocol(bad);
            assert!(matches!(error, Err(NetError::BadTunnel(_))), "{bad}");
        }
    }
}
