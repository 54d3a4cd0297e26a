//! Which protocols the open streams of a connection speak, for `swarm peers --streams`.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use libp2p::{Multiaddr, PeerId};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// The open streams of one connection: protocol, and how many. The empty name is that of streams that have not agreed on
/// one yet.
#[derive(Default)]
pub struct OpenStreams(Mutex<BTreeMap<Arc<str>, u32>>);

impl OpenStreams {
    pub(super) fn add(&self, protocol: Arc<str>) {
        *self.0.lock().entry(protocol).or_default() += 1;
    }

    pub(super) fn remove(&self, protocol: &str) {
        let mut open = self.0.lock();
        let Some(count) = open.get_mut(protocol) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            open.remove(protocol);
        }
    }

    /// The protocol of each stream, in the order of names.
    fn list(&self) -> Vec<String> {
        let open = self.0.lock();
        open.iter()
            .flat_map(|(name, count)| std::iter::repeat_n(name.to_string(), *count as usize))
            .collect()
    }
}

/// A peer, and the address at which the connection to it is shown.
type Place = (PeerId, Multiaddr);

/// The streams of every connection.
#[derive(Default)]
pub struct ByConnection(Mutex<FxHashMap<Place, Vec<Weak<OpenStreams>>>>);

impl ByConnection {
    /// A connection was made; it is forgotten when its streams are.
    pub fn register(&self, peer: PeerId, address: Multiaddr, open: &Arc<OpenStreams>) {
        let mut all = self.0.lock();
        all.retain(|_, each| {
            each.retain(|open| open.strong_count() > 0);
            !each.is_empty()
        });
        all.entry((peer, address))
            .or_default()
            .push(Arc::downgrade(open));
    }

    /// The protocol of each open stream to a peer at an address.
    pub fn of(&self, peer: PeerId, address: &Multiaddr) -> Vec<String> {
        let all = self.0.lock();
        let each = all.get(&(peer, address.clone())).into_iter().flatten();
        each.filter_map(Weak::upgrade)
            .flat_map(|open| open.list())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_listed_until_they_or_their_connection_end() {
        let all = ByConnection::default();
        let open = Arc::<OpenStreams>::default();
        let (peer, address) = (
            PeerId::random(),
            "/ip4/127.0.0.1/tcp/1".parse::<Multiaddr>().unwrap(),
        );
        all.register(peer, address.clone(), &open);
        for name in ["/b", "/a", "/b", ""] {
            open.add(name.into());
        }
        assert_eq!(all.of(peer, &address), ["", "/a", "/b", "/b"]);
        open.remove("/b");
        open.remove("");
        open.remove("/never");
        assert_eq!(all.of(peer, &address), ["/a", "/b"]);
        assert!(all.of(PeerId::random(), &address).is_empty());
        drop(open);
        assert!(all.of(peer, &address).is_empty());
        all.register(PeerId::random(), address, &Arc::default());
        assert!(all.0.lock().keys().all(|(known, _)| *known != peer));
    }
}
