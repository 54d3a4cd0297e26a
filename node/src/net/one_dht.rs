//! The handle on one of the two DHTs, for announcing many keys.

use std::sync::Arc;
use std::time::Duration;

use futures::AsyncWriteExt;
use libp2p::{Multiaddr, PeerId};

use super::command::Command;
use super::kad::{Announced, LAN, WAN, announce};
use super::routing::PeerAddresses;
use super::{Net, NetError, Peers};

/// What a DHT looks like from here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DhtState {
    /// Peers in the routing table.
    pub peers: usize,
    /// This node's addresses that may be told there.
    pub addresses: Vec<Multiaddr>,
}

/// The WAN's or the LAN's DHT. Clones are cheap.
#[derive(Clone)]
pub struct OneDht {
    net: Arc<Net>,
    wan: bool,
}

impl OneDht {
    /// The DHT of a network.
    pub fn new(net: Arc<Net>, wan: bool) -> Self {
        Self { net, wan }
    }

    /// Its state; `None` where routing is off.
    pub async fn state(&self) -> Result<Option<DhtState>, NetError> {
        let wan = self.wan;
        self.net.ask(|reply| Command::DhtState { wan, reply }).await
    }

    /// The peers closest to a key, each of which answered.
    ///
    /// # Errors
    /// [`NetError::TimedOut`] when the lookup did not get that far, [`NetError::NoRouting`].
    pub async fn closest(&self, key: Vec<u8>) -> Result<PeerAddresses, NetError> {
        let wan = self.wan;
        self.net
            .ask(|reply| Command::ClosestIn { wan, key, reply })
            .await?
    }

    /// What this node tells of itself.
    pub fn provider(&self, state: &DhtState) -> Announced {
        Announced::new(self.net.local(), &state.addresses)
    }

    /// Tells a peer that this node has what is under these keys, and waits until it has taken that.
    ///
    /// # Errors
    /// [`NetError::Dial`], [`NetError::NoProtocol`], [`NetError::Stream`], [`NetError::TimedOut`].
    pub async fn announce(
        &self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        provider: &Announced,
        keys: impl Iterator<Item = &[u8]>,
        patience: Duration,
    ) -> Result<(), NetError> {
        let peers = Peers {
            net: Arc::clone(&self.net),
        };
        let protocol = if self.wan { WAN } else { LAN };
        let open = async {
            peers.connect_to(peer, addresses).await?;
            self.net.open_stream(peer, protocol).await
        };
        let open = tokio::time::timeout(patience, open).await;
        let mut stream = open.map_err(|_| NetError::TimedOut("dialling a peer of the DHT"))??;
        let told = announce(&mut stream, provider, keys, patience).await;
        if told.is_err() {
            // It is of no use any more.
            drop(stream.close().await);
        }
        told.map_err(|error| NetError::Stream {
            peer,
            reason: error.to_string(),
        })
    }
}
