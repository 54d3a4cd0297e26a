//! Another configuration for a server that runs: who may ask, and how long clients may take.

use ipfs_kit_node::config::Config;

use super::guard::Policy;
use super::limits::Limits;
use super::service::Service;

/// Keys that a running server takes up, each with everything below it. Deadlines hold for connections to come.
pub const RELOADED: &[&str] = &[
    "API.AllowedHosts",
    "API.Authorizations",
    "API.HTTPHeaders",
    "API.Limits.BodyTimeout",
    "API.Limits.HeaderTimeout",
    "API.Limits.IdleTimeout",
    "API.Limits.ReplyTimeout",
];

/// Why a configuration is not taken up.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Others reach the server, and nothing would ask them for a secret any more.
    #[error(
        "others than this machine reach this server, and nothing would ask them for a secret: keep an entry of \
         API.Authorizations or a token"
    )]
    Unguarded,
    /// The tokens of the repo cannot be read.
    #[error("cannot read the tokens: {0}")]
    Tokens(String),
}

/// Takes up a changed configuration while the server runs. Clones share the server.
#[derive(Clone)]
pub struct Reloader {
    service: Service,
    names: Vec<String>,
    public: bool,
}

impl Reloader {
    /// For a service whose listeners have these names, and are reached by others if `public`.
    pub(super) fn new(service: Service, names: Vec<String>, public: bool) -> Reloader {
        Reloader {
            service,
            names,
            public,
        }
    }

    /// Whether there are tokens to ask for.
    pub fn has_tokens(&self) -> bool {
        let tokens = self.service.node().tokens().list();
        tokens.is_ok_and(|tokens| tokens.asked())
    }

    /// Takes up [`RELOADED`], or nothing.
    ///
    /// # Errors
    /// [`ReloadError`].
    pub fn reload(&self, config: &Config) -> Result<(), ReloadError> {
        let policy = Policy::of(config).with_hosts(self.names.iter().cloned());
        let tokens = self.service.node().tokens().list();
        let tokens = tokens.map_err(|error| ReloadError::Tokens(error.to_string()))?;
        let guarded = policy.asks() || tokens.asked();
        // Whether it may be unguarded was said at the start.
        let forced = self.service.node().config().flag("API.AllowUnguarded") == Some(true);
        if self.public && !guarded && !forced {
            return Err(ReloadError::Unguarded);
        }
        self.service.set(policy, Limits::of(config));
        Ok(())
    }
}
