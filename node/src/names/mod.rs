//! Names: IPNS records published under keys, resolved over the repo, a network and DNS.
//!
//! Nothing here talks to a network itself. [`NameRouting`] and [`Dns`] do; without the first, names that this node
//! published and records that were put here still resolve.
//!
//! ```
//! use ipfs_kit_node::names::{PublishOptions, ResolveOptions};
//! use ipfs_kit_node::Node;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::builder().in_memory().open()?;
//! let options = PublishOptions { allow_offline: true, ..PublishOptions::default() };
//! let published = node.names().publish("/ipfs/bafkqaaa", &options)?;
//! let resolved = node.names().resolve(&published.key.id_text(), &ResolveOptions::default())?;
//! assert_eq!(resolved.path.to_string(), "/ipfs/bafkqaaa");
//! # Ok(())
//! # }
//! ```

mod cache;
mod dns;
mod dnslink;
mod error;
mod path;
mod publisher;
mod resolve;
mod routing;
mod settings;
pub(crate) mod table;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use libp2p::PeerId;
use parking_lot::{Mutex, RwLock};

/// Records of names, in a crate of their own.
pub use ipfs_kit_ipns as record;

pub use dns::SystemDns;
pub use error::NameError;
pub use path::{NamePath, NameSpace};
pub use publisher::{Inspected, PublishOptions, Published, PutOptions, RepublishReport, inspect};
pub use resolve::{MAX_DEPTH, NameResolved, ResolveOptions};
pub use routing::{Dns, DnsError, NameRouting, RecordQuery, RoutingError, TxtAnswer};
pub use settings::NameSettings;
pub use table::{MAX_OTHERS, MAX_OWN};

use crate::config::Config;
use crate::error::Result;
use crate::keys::{IdBase, format_peer_id, parse_peer_id};
use crate::net::NetError;
use crate::node::Node;
use cache::Cache;

/// What the clones of a node share about names.
pub(crate) struct NamesState {
    routing: RwLock<Option<Arc<dyn NameRouting>>>,
    dns: Mutex<Option<Arc<dyn Dns>>>,
    cache: Mutex<Cache>,
    /// Names that lead to a fixed path, from `IPFS_NS_MAP`.
    fixed: BTreeMap<String, NamePath>,
}

impl NamesState {
    /// `name_map` is the text of `IPFS_NS_MAP`.
    pub(crate) fn new(config: &Config, name_map: Option<&str>) -> Result<Self, NameError> {
        Ok(Self {
            routing: RwLock::new(None),
            dns: Mutex::new(None),
            cache: Mutex::new(Cache::new(settings::cache_size(config))),
            fixed: dnslink::parse_map(name_map.unwrap_or_default())?,
        })
    }
}

/// Verbs on names, from [`Node::names`].
pub struct Names<'a> {
    pub(crate) node: &'a Node,
}

impl Names<'_> {
    /// Connects names to a network, or takes them off it.
    pub fn set_routing(&self, routing: Option<Arc<dyn NameRouting>>) {
        *self.node.names_state().routing.write() = routing;
    }

    /// The names that are followed over pubsub (`Ipns.UsePubsub`), sorted; `None` where that is off.
    pub fn followed(&self) -> Option<Vec<PeerId>> {
        let mut names = self.routing()?.followed()?;
        names.sort_unstable();
        Some(names)
    }

    /// Follows a name over pubsub no more; `false` when it was not followed.
    pub fn unfollow(&self, name: &PeerId) -> bool {
        self.routing().is_some_and(|routing| routing.unfollow(name))
    }

    /// Replaces the resolver of domains; by default it is that of the system and of `DNS.Resolvers`.
    pub fn set_dns(&self, dns: Arc<dyn Dns>) {
        *self.node.names_state().dns.lock() = Some(dns);
    }

    /// The settings in force.
    ///
    /// # Errors
    /// [`NameError::BadSpan`].
    pub fn settings(&self) -> Result<NameSettings> {
        Ok(NameSettings::of(self.node.config())?)
    }

    /// An `/ipfs` path as it is, an `/ipns` one resolved.
    pub(crate) fn immutable<'p>(&self, path: &'p str) -> Result<Cow<'p, str>> {
        if !NamePath::is_name(path) {
            return Ok(Cow::Borrowed(path));
        }
        self.node.check_may_wait()?;
        let resolved = self.resolve(path, &ResolveOptions::default())?;
        Ok(Cow::Owned(resolved.path.to_string()))
    }

    pub(crate) fn routing(&self) -> Option<Arc<dyn NameRouting>> {
        self.node.names_state().routing.read().clone()
    }

    /// As [`Names::routing`]; waits for a network that is about to start, as [`Node::patient`] says. Without one that did not
    /// start there is what this node knows itself.
    fn awaited_routing(&self) -> Result<Option<Arc<dyn NameRouting>>> {
        match self.node.await_network() {
            Ok(()) | Err(NetError::NotStarted(_)) => Ok(self.routing()),
            Err(error) => Err(error.into()),
        }
    }

    fn dns(&self) -> Result<Arc<dyn Dns>> {
        let mut dns = self.node.names_state().dns.lock();
        if let Some(dns) = &*dns {
            return Ok(Arc::clone(dns));
        }
        let system: Arc<dyn Dns> = Arc::new(SystemDns::new(self.node.config())?);
        Ok(Arc::clone(dns.insert(system)))
    }

    /// Forgets what a name led to.
    fn forget(&self, name: &PeerId) {
        let text = format_peer_id(name, IdBase::default());
        self.node.names_state().cache.lock().remove(&text);
    }
}

/// The key of an IPNS name: an id in any form, with or without `/ipns/`.
///
/// # Errors
/// [`NameError::BadName`].
pub fn parse_name(text: &str) -> Result<PeerId> {
    let bare = text.strip_prefix("/ipns/").unwrap_or(text);
    Ok(parse_peer_id(bare).map_err(|error| NameError::BadName {
        name: text.chars().take(80).collect(),
        reason: error.to_string(),
    })?)
}

/// Whole seconds since 1970; 0 before.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
