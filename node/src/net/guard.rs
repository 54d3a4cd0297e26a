//! The closed address ranges, shared by everything that dials or is dialled.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::Multiaddr;
use libp2p::core::Transport;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use parking_lot::RwLock;

use super::filter::{IpRange, ip_of};

/// An address lies in a closed range.
#[derive(Debug, thiserror::Error)]
#[error("{0} is filtered by {1}")]
pub struct Filtered(IpAddr, IpRange);

/// `Swarm.AddrFilters` and what `swarm filters` made of it. Clones are the same list.
#[derive(Clone, Default)]
pub struct Filters(Arc<RwLock<Vec<IpRange>>>);

impl Filters {
    /// These ranges are closed.
    pub fn new(ranges: Vec<IpRange>) -> Self {
        Self(Arc::new(RwLock::new(ranges)))
    }

    /// The closed ranges.
    pub fn list(&self) -> Vec<IpRange> {
        self.0.read().clone()
    }

    /// Closes a range; `false` when there are `max` others already.
    pub fn close(&self, range: IpRange, max: usize) -> bool {
        let mut ranges = self.0.write();
        if ranges.contains(&range) {
            return true;
        }
        let room = ranges.len() < max;
        if room {
            ranges.push(range);
        }
        room
    }

    /// Opens a range again.
    pub fn open(&self, range: IpRange) {
        self.0.write().retain(|closed| *closed != range);
    }

    /// Refuses an address in a closed range.
    pub fn check(&self, address: &Multiaddr) -> Result<(), Filtered> {
        let Some(ip) = ip_of(address) else {
            return Ok(());
        };
        match self.0.read().iter().find(|range| range.contains(ip)) {
            Some(range) => Err(Filtered(ip, *range)),
            None => Ok(()),
        }
    }
}

/// Dials nothing in a closed range. It belongs below what resolves names, so that names cannot lead there.
pub struct Guarded<T> {
    inner: T,
    filters: Filters,
}

impl<T> Guarded<T> {
    /// Wraps a transport.
    pub fn new(inner: T, filters: &Filters) -> Self {
        Self {
            inner,
            filters: filters.clone(),
        }
    }
}

impl<T> Transport for Guarded<T>
where
    T: Transport<Error = io::Error> + Unpin,
{
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        if let Err(filtered) = self.filters.check(&address) {
            return Err(TransportError::Other(io::Error::other(filtered)));
        }
        self.inner.dial(address, options)
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.get_mut().inner).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_closed_and_opened_for_every_clone() {
        let filters = Filters::default();
        let other = filters.clone();
        let range = IpRange::parse("/ip4/10.0.0.0/ipcidr/8").unwrap();
        let inside: Multiaddr = "/ip4/10.1.1.1/tcp/1".parse().unwrap();
        let named: Multiaddr = "/dns4/example.com/tcp/1".parse().unwrap();
        assert!(filters.close(range, 1) && filters.close(range, 1));
        let refused = other.check(&inside).unwrap_err().to_string();
        assert_eq!(refused, "10.1.1.1 is filtered by /ip4/10.0.0.0/ipcidr/8");
        other.check(&named).unwrap();
        let second = IpRange::parse("/ip6/fc00::/ipcidr/7").unwrap();
        assert!(!filters.close(second, 1), "there is no room");
        other.open(range);
        filters.check(&inside).unwrap();
        assert!(filters.list().is_empty());
    }
}
