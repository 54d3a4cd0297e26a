//! The verbs on announcing.

use ipfs_kit_blockstore::cid::Cid;

use super::provider::{Announcement, ProvideStat};
use super::source::Source;
use crate::error::Error;
use crate::net::NetError;
use crate::node::Node;
use crate::online::Online;

/// Verbs on announcing, from [`Node::provide`].
pub struct Provide<'a> {
    pub(crate) node: &'a Node,
    pub(crate) online: &'a Online,
}

impl Provide<'_> {
    /// What is done in the DHT of the public network, or in that of private addresses.
    ///
    /// # Errors
    /// [`NetError::Stopped`].
    pub async fn stat(&self, wan: bool) -> Result<ProvideStat, NetError> {
        let waiting = self.online.announcer().waiting();
        self.online.provider().stat(wan, waiting).await
    }

    /// Forgets the roots that wait to be announced at once, and says how many they were.
    pub fn clear(&self) -> usize {
        self.online.announcer().clear()
    }

    /// Whether anything is announced (`Provide.Enabled`).
    pub fn is_enabled(&self) -> bool {
        self.online.provider().settings().enabled
    }

    /// Announces these blocks, or with `whole` what is here of the DAGs below them, and waits until that is done.
    ///
    /// # Errors
    /// [`NetError::NotStored`] when there is nobody to tell.
    pub async fn announce(&self, cids: Vec<Cid>, whole: bool) -> Result<Announcement, NetError> {
        let source = match whole {
            true => Source::Dags(cids),
            false => Source::Blocks(cids),
        };
        let background = self.online.background(self.node);
        let announced = self.online.provider().announce(&background, source);
        announced.await.map_err(|error| match error {
            Error::Net(error) => error,
            error => NetError::NotStored(error.to_string()),
        })
    }

    /// Announces everything that `Provide.Strategy` names, now, and waits until that is done.
    ///
    /// # Errors
    /// [`NetError::NotStored`] where nothing is announced by configuration.
    pub async fn announce_all(&self) -> Result<(), NetError> {
        let provider = self.online.provider();
        if !provider.settings().repeats() {
            let reason = "Provide.Enabled is false or Provide.DHT.Interval is 0".to_owned();
            return Err(NetError::NotStored(reason));
        }
        provider.announce_all().await;
        Ok(())
    }
}
