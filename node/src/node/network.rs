//! The network of a node: going online and off, and what can be asked of it meanwhile.

use std::sync::Arc;

use ipfs_kit_bitswap::Bitswap;
use ipfs_kit_blockstore::cid::Cid;

use super::Node;
use crate::error::Result;
use crate::net::{self, Net, NetError, Peers, Pubsub, Routing, Tunnels, Validators};
use crate::online::{IpnsRecords, Online};
use crate::provide::{self, Provide, ProvideSettings};

/// A start of the network. One that is given up has failed, so that nobody waits for it for ever.
struct Starting<'n>(&'n Node);

impl Starting<'_> {
    fn settle(self, failure: Option<String>) {
        // Who was taken online by another call is online.
        let failure = failure.filter(|_| self.0.shared.net.get().is_none());
        self.0.shared.awaited.settle(failure);
        std::mem::forget(self);
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let given_up = "its start was given up".to_owned();
        self.0.shared.awaited.settle(Some(given_up));
    }
}

impl Node {
    /// Takes the node and all its clones online: it listens, connects, and serves. Once only; the network runs on the
    /// current tokio runtime until [`Node::shutdown`]. IPNS names are published and resolved through the DHTs, and new
    /// roots are announced there.
    ///
    /// # Errors
    /// [`NetError::AlreadyOnline`], [`NetError::NoListener`], [`NetError::BadSetting`] and its like.
    pub async fn go_online(&self) -> Result<()> {
        let mut validators = Validators::default();
        validators.add("/ipns/", Arc::new(IpnsRecords));
        self.go_online_with(validators).await
    }

    /// As [`Node::go_online`]; `validators` say which records of which namespaces are taken and believed.
    ///
    /// # Errors
    /// As [`Node::go_online`].
    pub async fn go_online_with(&self, validators: Validators) -> Result<()> {
        if self.shared.net.get().is_some() {
            return Err(NetError::AlreadyOnline.into());
        }
        let starting = Starting(self);
        let started = self.start_network(validators).await;
        starting.settle(started.as_ref().err().map(ToString::to_string));
        started
    }

    async fn start_network(&self, validators: Validators) -> Result<()> {
        let key = net::key_of(self.config())?;
        let settings = net::settings_of(self.config(), self.path())?;
        let provide = ProvideSettings::read(self.config())?;
        let started = Net::start(key, settings, validators, self.store().clone()).await?;
        if let Err(second) = self.shared.net.set(Arc::clone(&started)) {
            second.shutdown().await;
            return Err(NetError::AlreadyOnline.into());
        }
        self.shared
            .online
            .get_or_init(|| Online::start(self, &started, provide));
        Ok(())
    }

    /// Has roots announced in the background, where the node is online and its configuration wants that.
    pub(crate) fn announce(&self, roots: &[Cid], pinned: bool) {
        if let Some(online) = self.shared.online.get().filter(|_| !self.offline) {
            provide::at_once(self, online, roots, pinned, self.announce);
        }
    }

    /// Whether the network runs.
    pub fn is_online(&self) -> bool {
        self.net_now().is_ok()
    }

    /// Peers.
    ///
    /// # Errors
    /// [`NetError::Offline`], [`NetError::Stopped`].
    pub fn peers(&self) -> Result<Peers, NetError> {
        Ok(Peers {
            net: Arc::clone(self.net()?),
        })
    }

    /// Tunnels of TCP connections to peers.
    ///
    /// # Errors
    /// [`NetError::Offline`], [`NetError::Stopped`], [`NetError::NoTunnels`].
    pub fn tunnels(&self) -> Result<Tunnels, NetError> {
        let net = self.net()?;
        if !net.has_tunnels() {
            return Err(NetError::NoTunnels);
        }
        Ok(Tunnels {
            net: Arc::clone(net),
        })
    }

    /// Routing: providers, peers and records in the DHTs.
    ///
    /// # Errors
    /// [`NetError::Offline`], [`NetError::Stopped`].
    pub fn routing(&self) -> Result<Routing, NetError> {
        Ok(Routing {
            net: Arc::clone(self.net()?),
        })
    }

    /// Announcing: others find by the DHTs who has a block.
    ///
    /// # Errors
    /// [`NetError::Offline`], [`NetError::Stopped`].
    pub fn provide(&self) -> Result<Provide<'_>, NetError> {
        self.net()?;
        let online = self.shared.online.get().ok_or(NetError::Offline)?;
        Ok(Provide { node: self, online })
    }

    /// Messages by topic.
    ///
    /// # Errors
    /// [`NetError::Offline`], [`NetError::Stopped`].
    pub fn pubsub(&self) -> Result<Pubsub, NetError> {
        Ok(Pubsub {
            net: Arc::clone(self.net()?),
        })
    }

    /// Bitswap: what was exchanged and what is wanted.
    ///
    /// # Errors
    /// [`NetError::Offline`], [`NetError::Stopped`].
    pub fn bitswap(&self) -> Result<Bitswap, NetError> {
        Ok(self.net()?.bitswap().clone())
    }

    /// Sentences about configured things of the network that have no effect.
    pub fn net_warnings(&self) -> &[String] {
        self.shared.net.get().map_or(&[], |net| net.warnings())
    }

    /// The network; waits for it as [`Node::patient`] says.
    pub(crate) fn net(&self) -> Result<&Arc<Net>, NetError> {
        self.await_network()?;
        self.net_now()
    }

    /// The network, if there is one now.
    pub(crate) fn net_now(&self) -> Result<&Arc<Net>, NetError> {
        match self.shared.net.get() {
            None => Err(NetError::Offline),
            Some(net) if net.is_running() => Ok(net),
            Some(_) => Err(NetError::Stopped),
        }
    }

    /// Takes the node offline, makes everything durable and closes the store; later writes through clones fail.
    ///
    /// # Errors
    /// As [`Node::close`].
    pub async fn shutdown(self) -> Result<()> {
        let jobs = self.clone();
        // One that panicked has stopped too.
        let _ = tokio::task::spawn_blocking(move || jobs.jobs_state().stop()).await;
        self.names().set_routing(None);
        if let Some(online) = self.shared.online.get() {
            online.stop().await;
        }
        if let Some(net) = self.shared.net.get() {
            net.shutdown().await;
        }
        tokio::task::spawn_blocking(move || self.close())
            .await
            .map_err(|_| crate::Error::Internal("closing the store panicked"))?
    }
}
