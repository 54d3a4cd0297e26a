//! Remote pinning: services that are asked to keep DAGs, through the IPFS Pinning Service API.
//!
//! Services and their keys stand in the configuration under `Pinning.RemoteServices`. They are read from the repo's file
//! each time, so that what was added while the daemon runs counts.
//!
//! Spec: <https://ipfs.github.io/pinning-services-api-spec/>.

mod api;
mod client;
mod error;
mod policy;
mod settings;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use libp2p::Multiaddr;
use tokio::runtime::{Builder, Handle};

pub use api::{RemotePin, RemotePinCounts, RemotePinFilter, RemoteStatus};
use client::Client;
pub use error::RemoteError;
pub use policy::keep_mfs_pinned;
pub use settings::RemoteServiceInfo;

use crate::config::ConfigFile;
use crate::error::{Emit, Error, Result};
use crate::node::Node;

/// Time between two looks at whether an operation was cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Time between two questions whether a pin is made (Kubo's value).
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Longest time for connecting to the peers of a service.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// Verbs on remote pinning services, from [`Node::remote_pins`].
pub struct RemotePins<'a> {
    pub(crate) node: &'a Node,
}

impl RemotePins<'_> {
    /// The services that are configured, by name.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn services(&self) -> Result<Vec<RemoteServiceInfo>> {
        Ok(settings::list(&self.file()?))
    }

    /// Adds a service to the configuration.
    ///
    /// # Errors
    /// [`RemoteError::BadEndpoint`], [`RemoteError::Exists`].
    pub fn add_service(&self, name: &str, endpoint: &str, key: &str) -> Result<()> {
        settings::add(&mut self.file()?, name, endpoint, key)
    }

    /// Removes a service from the configuration; one that is not there is no error.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn remove_service(&self, name: &str) -> Result<()> {
        settings::remove(&mut self.file()?, name)
    }

    /// How many pins of each status a service has.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn counts(&self, service: &str) -> Result<RemotePinCounts> {
        let client = self.client(service)?;
        self.wait(async move { client.counts().await })
    }

    /// Asks a service to pin what a path leads to. Tells the service where this node is, if it has the block. Returns
    /// when the DAG is pinned; with `background` as soon as the service has taken the request.
    ///
    /// # Errors
    /// [`RemoteError`], [`RemoteError::PinFailed`] when the service gave up.
    pub fn add(
        &self,
        service: &str,
        path: &str,
        name: Option<&str>,
        background: bool,
    ) -> Result<RemotePin> {
        let client = self.client(service)?;
        let cid = self.node.resolve(path)?;
        if let Some(name) = name {
            crate::pins::check_name(name)?;
        }
        let here = self.node.store().has(cid.hash())?;
        let node = self.node;
        self.wait(async move {
            let origins = match here {
                true => origins(node).await,
                false => Vec::new(),
            };
            let mut pin = client.add(&cid, name, &origins).await?;
            connect(node, &pin.delegates).await;
            if background {
                return Ok(pin);
            }
            let request = pin.request_id;
            loop {
                pin = client.status(&request).await?;
                match pin.status {
                    RemoteStatus::Pinned => return Ok(pin),
                    RemoteStatus::Failed => return Err(RemoteError::PinFailed(request)),
                    _ => tokio::time::sleep(ASK_EVERY).await,
                }
            }
        })
    }

    /// Whether a block is here, so that a service may have to fetch it from this node.
    ///
    /// # Errors
    /// As [`Node::resolve`].
    pub fn is_here(&self, path: &str) -> Result<bool> {
        let cid = self.node.resolve(path)?;
        Ok(self.node.store().has(cid.hash())?)
    }

    /// Streams the pins of a service that match.
    ///
    /// # Errors
    /// [`RemoteError`], [`Error::Output`].
    pub fn list(
        &self,
        service: &str,
        filter: &RemotePinFilter,
        emit: Emit<'_, RemotePin>,
    ) -> Result<()> {
        let client = self.client(service)?;
        let mut pages = client::Pages::new(filter.clone());
        while let Some(pins) = self.wait(pages.next(&client))? {
            for pin in pins {
                emit(pin).map_err(Error::Output)?;
            }
        }
        Ok(())
    }

    /// Removes the pins of a service that match; more than one only with `force`. Returns how many were removed.
    ///
    /// # Errors
    /// [`RemoteError::Several`], [`RemoteError`].
    pub fn remove(&self, service: &str, filter: &RemotePinFilter, force: bool) -> Result<u64> {
        let client = self.client(service)?;
        let mut requests = Vec::new();
        let listed = self.list(service, filter, &mut |pin| {
            requests.push(pin.request_id);
            Ok(())
        });
        listed.map_err(|error| match error {
            Error::Remote(error) => RemoteError::Listing(Box::new(error)).into(),
            error => error,
        })?;
        if requests.len() > 1 && !force {
            return Err(RemoteError::Several.into());
        }
        let client = &client;
        for request in &requests {
            let removed = self.wait(async move { client.remove(request).await });
            removed.map_err(|error| match error {
                Error::Remote(error) => RemoteError::Removing {
                    request: request.clone(),
                    error: Box::new(error),
                }
                .into(),
                error => error,
            })?;
        }
        Ok(requests.len() as u64)
    }

    fn file(&self) -> Result<ConfigFile> {
        let repo = self.node.path().ok_or(RemoteError::Unknown)?;
        Ok(ConfigFile::load(repo)?)
    }

    fn client(&self, name: &str) -> Result<Client> {
        let service = settings::find(&self.file()?, name)?;
        Ok(Client::new(&service.endpoint, &service.key)?)
    }

    /// Waits for the network until the operation is cancelled. Where no runtime runs, one is made.
    fn wait<T>(&self, work: impl Future<Output = Result<T, RemoteError>>) -> Result<T> {
        let cancel = self.node.cancel();
        let looking = async {
            let mut work = pin!(work);
            loop {
                match tokio::time::timeout(LOOK_EVERY, work.as_mut()).await {
                    Ok(done) => return Ok(done?),
                    Err(_) => cancel.check()?,
                }
            }
        };
        match Handle::try_current() {
            Ok(runtime) => runtime.block_on(looking),
            Err(_) => Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| RemoteError::Runtime(error.to_string()))?
                .block_on(looking),
        }
    }
}

/// Where a service can fetch from this node.
async fn origins(node: &Node) -> Vec<Multiaddr> {
    let Ok(peers) = node.peers() else {
        return Vec::new();
    };
    match peers.id().await {
        Ok(own) => own.addresses,
        Err(_) => Vec::new(),
    }
}

/// Connects to the peers that a service fetches with: it need not look for this node then. Those that cannot be reached
/// find another way, or do not.
async fn connect(node: &Node, delegates: &[String]) {
    let Ok(peers) = node.peers() else {
        return;
    };
    let connecting = async {
        for delegate in delegates.iter().take(client::DELEGATES_MAX) {
            let _ = peers.connect(delegate).await;
        }
    };
    let _ = tokio::time::timeout(CONNECT_MAX, connecting).await;
}
