//! Which of this node's addresses others could dial, as AutoNAT v2 servers found.

use libp2p::{Multiaddr, autonat};

use super::is_public;
use super::task::SwarmTask;

/// Addresses whose result is kept; that of the oldest goes first.
const KEPT_MAX: usize = 64;

/// What is known of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reachability {
    /// A server dialled back.
    pub reachable: Vec<Multiaddr>,
    /// No server could.
    pub unreachable: Vec<Multiaddr>,
    /// Public addresses that nobody has tried.
    pub unknown: Vec<Multiaddr>,
}

impl Reachability {
    /// Kubo's word for all of them: `Public`, `Private` or `Unknown`.
    pub fn word(&self) -> &'static str {
        if !self.reachable.is_empty() {
            "Public"
        } else if !self.unreachable.is_empty() {
            "Private"
        } else {
            "Unknown"
        }
    }
}

/// The last result of each address, the newest at the end.
#[derive(Default)]
pub struct Tested(Vec<(Multiaddr, bool)>);

impl Tested {
    /// A test of an address has ended.
    pub fn record(&mut self, address: Multiaddr, reachable: bool) {
        self.0.retain(|(known, _)| *known != address);
        if self.0.len() >= KEPT_MAX {
            self.0.remove(0);
        }
        self.0.push((address, reachable));
    }

    /// What is known, with `own` as the addresses of now.
    fn reachability(&self, own: &[Multiaddr]) -> Reachability {
        let with = |wanted: bool| {
            let those = self.0.iter().filter(|(_, reachable)| *reachable == wanted);
            let mut found: Vec<Multiaddr> = those.map(|(address, _)| address.clone()).collect();
            found.sort();
            found
        };
        let tested = |address: &Multiaddr| self.0.iter().any(|(known, _)| known == address);
        let mut unknown: Vec<Multiaddr> = own
            .iter()
            .filter(|address| is_public(address) && !tested(address))
            .cloned()
            .collect();
        unknown.sort();
        unknown.dedup();
        Reachability {
            reachable: with(true),
            unreachable: with(false),
            unknown,
        }
    }
}

impl SwarmTask {
    pub(super) fn handle_autonat(&mut self, event: autonat::v2::client::Event) {
        self.tested.record(event.tested_addr, event.result.is_ok());
    }

    pub(super) fn reachability(&self) -> Reachability {
        let listening = self.swarm.listeners();
        let own: Vec<Multiaddr> = listening
            .chain(self.swarm.external_addresses())
            .map(super::book::without_peer)
            .collect();
        self.tested.reachability(&own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: usize) -> Multiaddr {
        format!("/ip4/203.0.114.7/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn the_last_result_counts_and_old_ones_go() {
        let mut tested = Tested::default();
        let own = [
            address(1),
            address(2),
            "/ip4/10.0.0.1/tcp/1".parse().unwrap(),
        ];
        let at_first = tested.reachability(&own);
        assert_eq!(
            (at_first.word(), &at_first.unknown[..]),
            ("Unknown", &own[..2])
        );
        tested.record(address(1), false);
        assert_eq!(tested.reachability(&own).word(), "Private");
        tested.record(address(1), true);
        tested.record(address(2), false);
        let now = tested.reachability(&own);
        assert_eq!((now.word(), now.unknown.len()), ("Public", 0));
        assert_eq!(
            (now.reachable, now.unreachable),
            (vec![address(1)], vec![address(2)])
        );
        (3..=KEPT_MAX + 2).for_each(|port| tested.record(address(port), false));
        assert_eq!(tested.0.len(), KEPT_MAX);
        assert_eq!(tested.reachability(&own).word(), "Private");
    }
}
