//! Who may connect: address filters, and caps of connections, file descriptors and memory.

use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::filter::{ip_of, network};
use super::guard::Filters;
use super::limits::Caps;
use super::memory;
use super::settings::{Kind, kind_of};

/// What counts as one neighbourhood.
const SUBNET_BITS_4: u8 = 24;
const SUBNET_BITS_6: u8 = 56;

/// Inbound connections beyond the cap that may begin, because a trusted peer may be at the other end.
const RESERVED: u32 = 64;

/// How old the figure of memory in use may be.
const MEMORY_AGE_MAX: Duration = Duration::from_millis(250);

/// Why a connection was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too many of one address.
    #[error("too many connections from {0}")]
    TooMany(IpAddr),
    /// Too many of one subnet.
    #[error("too many connections from the network {0}/{1}")]
    TooManyNear(IpAddr, u8),
    /// Too many at all.
    #[error("too many inbound connections: at most {0}")]
    Full(u32),
    /// Too many file descriptors.
    #[error("too many file descriptors of connections: at most {0}")]
    Descriptors(u32),
    /// Too much memory in use.
    #[error("{used} bytes of memory are in use: at most {max}")]
    Memory {
        /// Bytes in use.
        used: u64,
        /// The cap.
        max: u64,
    },
}

/// A connection or a handshake that is counted.
struct Counted {
    /// `None` where its address is not counted: loopback, outbound, relayed.
    ip: Option<IpAddr>,
    inbound: bool,
    established: bool,
    descriptor: bool,
}

/// Refuses connections, before any handshake where that is possible.
pub struct Behaviour {
    filters: Filters,
    caps: Caps,
    trusted: FxHashSet<PeerId>,
    per_ip: FxHashMap<IpAddr, u32>,
    per_subnet: FxHashMap<IpAddr, u32>,
    counted: FxHashMap<ConnectionId, Counted>,
    inbound: u32,
    descriptors: u32,
    memory: Option<(Instant, u64)>,
}

impl Behaviour {
    /// A gate with these ranges closed and these caps.
    pub fn new(filters: Filters, caps: Caps) -> Self {
        Self {
            filters,
            caps,
            trusted: FxHashSet::default(),
            per_ip: FxHashMap::default(),
            per_subnet: FxHashMap::default(),
            counted: FxHashMap::default(),
            inbound: 0,
            descriptors: 0,
            memory: None,
        }
    }

    /// The closed ranges.
    pub fn filters(&self) -> &Filters {
        &self.filters
    }

    /// The caps.
    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// File descriptors of connections and handshakes.
    pub fn descriptors(&self) -> u32 {
        self.descriptors
    }

    /// No cap is to keep this peer out.
    pub fn trust(&mut self, peer: PeerId) {
        self.trusted.insert(peer);
    }

    /// Caps are for this peer too.
    pub fn distrust(&mut self, peer: &PeerId) {
        self.trusted.remove(peer);
    }

    fn is_allowed(&self, address: &Multiaddr, peer: Option<&PeerId>) -> bool {
        let ip = ip_of(address);
        peer.is_some_and(|peer| self.trusted.contains(peer))
            || self.caps.allowlist.iter().any(|allowed| {
                ip.is_some_and(|ip| allowed.range.contains(ip))
                    && allowed
                        .peer
                        .is_none_or(|named| peer.is_none_or(|peer| named == *peer))
            })
    }

    /// Whether there is room for one more of this address.
    fn has_room(&self, address: &Multiaddr) -> Result<(), Refused> {
        let Some(ip) = counted_ip(address) else {
            return Ok(());
        };
        let count = |map: &FxHashMap<IpAddr, u32>, ip| map.get(&ip).copied().unwrap_or_default();
        if self
            .caps
            .per_ip
            .is_some_and(|max| count(&self.per_ip, ip) >= max)
        {
            return Err(Refused::TooMany(ip));
        }
        let (near, bits) = subnet(ip);
        let many = count(&self.per_subnet, near);
        if self.caps.per_subnet.is_some_and(|max| many >= max) {
            return Err(Refused::TooManyNear(near, bits));
        }
        Ok(())
    }

    fn has_inbound_room(&self, reserved: u32) -> Result<(), Refused> {
        match self.caps.inbound {
            Some(max) if self.inbound >= max.saturating_add(reserved) => Err(Refused::Full(max)),
            _ => Ok(()),
        }
    }

    fn has_descriptors(&self) -> Result<(), Refused> {
        match self.caps.descriptors {
            Some(max) if self.descriptors >= max => Err(Refused::Descriptors(max)),
            _ => Ok(()),
        }
    }

    fn has_memory(&mut self) -> Result<(), Refused> {
        let Some(max) = self.caps.memory else {
            return Ok(());
        };
        let now = Instant::now();
        let known = self
            .memory
            .filter(|(at, _)| now.duration_since(*at) < MEMORY_AGE_MAX);
        let used = match known {
            Some((_, used)) => used,
            // Where the system does not tell, this cap cannot hold.
            None => memory::used().unwrap_or_default(),
        };
        if known.is_none() {
            self.memory = Some((now, used));
        }
        if used > max {
            return Err(Refused::Memory { used, max });
        }
        Ok(())
    }

    fn count(&mut self, id: ConnectionId, address: &Multiaddr, inbound: bool, established: bool) {
        self.forget(id);
        let counted = Counted {
            ip: counted_ip(address).filter(|_| inbound),
            inbound,
            established,
            descriptor: needs_descriptor(address),
        };
        if let Some(ip) = counted.ip {
            *self.per_ip.entry(ip).or_default() += 1;
            *self.per_subnet.entry(subnet(ip).0).or_default() += 1;
        }
        self.inbound += u32::from(counted.inbound && counted.established);
        self.descriptors += u32::from(counted.descriptor);
        self.counted.insert(id, counted);
    }

    fn forget(&mut self, id: ConnectionId) {
        let Some(counted) = self.counted.remove(&id) else {
            return;
        };
        if let Some(ip) = counted.ip {
            take_one(&mut self.per_ip, ip);
            take_one(&mut self.per_subnet, subnet(ip).0);
        }
        self.inbound -= u32::from(counted.inbound && counted.established);
        self.descriptors -= u32::from(counted.descriptor);
    }
}

fn take_one(map: &mut FxHashMap<IpAddr, u32>, ip: IpAddr) {
    if let Some(count) = map.get_mut(&ip) {
        *count -= 1;
        if *count == 0 {
            map.remove(&ip);
        }
    }
}

/// Connections over QUIC share one, and relayed ones have that of the connection to the relay.
fn needs_descriptor(address: &Multiaddr) -> bool {
    matches!(kind_of(address), Some(Kind::Tcp | Kind::WebSocket))
}

/// The IP address that a connection counts for. Loopback counts for none.
fn counted_ip(address: &Multiaddr) -> Option<IpAddr> {
    ip_of(address).filter(|ip| !ip.is_loopback())
}

fn subnet(ip: IpAddr) -> (IpAddr, u8) {
    let bits = if ip.is_ipv4() {
        SUBNET_BITS_4
    } else {
        SUBNET_BITS_6
    };
    (network(ip, bits), bits)
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.filters.check(remote).map_err(ConnectionDenied::new)?;
        if !self.is_allowed(remote, None) {
            self.has_room(remote).map_err(ConnectionDenied::new)?;
            self.has_inbound_room(RESERVED)
                .map_err(ConnectionDenied::new)?;
            if needs_descriptor(remote) {
                self.has_descriptors().map_err(ConnectionDenied::new)?;
            }
            self.has_memory().map_err(ConnectionDenied::new)?;
        }
        // Handshakes count, or one address could begin as many as there is room for.
        self.count(id, remote, true, false);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.is_allowed(remote, Some(&peer)) {
            self.has_inbound_room(0).map_err(ConnectionDenied::new)?;
        }
        self.count(id, remote, true, true);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let allowed = |address: &Multiaddr| self.is_allowed(address, peer.as_ref());
        let trusted = peer.is_some_and(|peer| self.trusted.contains(&peer));
        if !trusted && !addresses.iter().any(allowed) {
            if addresses.iter().all(needs_descriptor) {
                self.has_descriptors().map_err(ConnectionDenied::new)?;
            }
            self.has_memory().map_err(ConnectionDenied::new)?;
        }
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.filters.check(address).map_err(ConnectionDenied::new)?;
        self.count(id, address, false, true);
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        // What a later behaviour denies is told as a failure to listen or to dial.
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                self.forget(connection_id);
            }
            FromSwarm::ListenFailure(failure) => self.forget(failure.connection_id),
            FromSwarm::DialFailure(failure) => self.forget(failure.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
