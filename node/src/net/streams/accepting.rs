//! Takes streams of protocols that come and go.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use libp2p::core::upgrade::{InboundUpgrade, UpgradeInfo};
use libp2p::{PeerId, Stream, StreamProtocol};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;

/// Streams of a protocol that wait to be fetched; further ones are dropped, which resets them.
const WAITING_MAX: usize = 64;

/// Who opened a stream, and the stream.
pub type Incoming = (PeerId, Stream);

/// The protocols that are taken now. Clones are the same list.
#[derive(Clone, Default)]
pub struct Accepting(Arc<RwLock<FxHashMap<StreamProtocol, mpsc::Sender<Incoming>>>>);

impl Accepting {
    /// Takes streams of a protocol until the receiver is dropped; `None` when somebody else does.
    pub fn accept(&self, protocol: StreamProtocol) -> Option<mpsc::Receiver<Incoming>> {
        let mut taken = self.0.write();
        taken.retain(|_, sender| !sender.is_closed());
        if taken.contains_key(&protocol) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        taken.insert(protocol, sender);
        Some(receiver)
    }

    /// The protocols that are taken now.
    pub(super) fn names(&self) -> Names {
        let taken = self.0.read();
        let open = taken.iter().filter(|(_, sender)| !sender.is_closed());
        Names(open.map(|(name, _)| name.clone()).collect())
    }

    pub(super) fn handle(&self, protocol: &StreamProtocol, incoming: Incoming) {
        if let Some(sender) = self.0.read().get(protocol) {
            // One that nobody fetches is dropped.
            let _ = sender.try_send(incoming);
        }
    }
}

/// Any of these protocols.
pub struct Names(Vec<StreamProtocol>);

impl UpgradeInfo for Names {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Names {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        ready(Ok((stream, name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_taken_once_and_free_again() {
        let accepting = Accepting::default();
        let name = StreamProtocol::new("/x/a");
        let taken = accepting.accept(name.clone()).unwrap();
        assert!(accepting.accept(name.clone()).is_none());
        assert_eq!(accepting.names().0, std::slice::from_ref(&name));
        drop(taken);
        assert!(accepting.names().0.is_empty());
        assert!(accepting.accept(name).is_some());
    }
}
