//! How a node is opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ipfs_kit_blockstore::store::{BlockStore, MemoryOptions, SegmentOptions};
use serde_json::{Value, json};

use crate::cancel::CancelToken;
use crate::config::{Config, ConfigError, ConfigFile, Layers, Role, parse_duration};
use crate::error::Result;
use crate::names::NamesState;
use crate::node::{Node, Shared};
use crate::repo::{self, Database, RepoLock};

/// Collects what is needed to open a [`Node`]; see [`Node::builder`].
#[derive(Clone, Debug, Default)]
pub struct NodeBuilder {
    repo: Option<PathBuf>,
    layers: Layers,
    cancel: CancelToken,
    in_memory: bool,
    lock_patience: Duration,
}

impl NodeBuilder {
    /// The repo directory. Without it: `IPFS_KIT_PATH` and `IPFS_PATH` (only with
    /// [`NodeBuilder::with_environment`]), else `~/.ipfs-kit`.
    pub fn repo(mut self, path: impl AsRef<Path>) -> Self {
        self.repo = Some(path.as_ref().to_owned());
        self
    }

    /// No directory at all: blocks and pins live in memory and end with the node.
    pub fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }

    /// A YAML or JSON file of the form `role`, `resources`, `cache`, ... that lies over the repo's own
    /// configuration. A missing file is an error.
    pub fn config_file(mut self, path: impl AsRef<Path>) -> Self {
        self.layers.config_file = Some(path.as_ref().to_owned());
        self
    }

    /// Lets the process environment (`IPFS_KIT_PATH`, `IPFS_PATH`, `IPFS_KIT_CONFIG`, `IPFS_KIT_ROLE`,
    /// `IPFS_WAIT_REPO_LOCK`, `IPFS_NS_MAP`) and the usual places of the configuration file (`./ipfs_config.yaml`,
    /// `~/.ipfs_kit/config.yaml`, `/etc/ipfs_kit/config.yaml` and their `.json` forms) take part. Explicit settings
    /// win over it.
    pub fn with_environment(mut self) -> Self {
        self.layers.environment = true;
        self
    }

    /// The role whose preset lies under the repo's configuration.
    pub fn role(mut self, role: Role) -> Self {
        self.layers.role = Some(role);
        self
    }

    /// One configuration value by dotted key, as `Datastore.StorageMax`; wins over every file. Not saved.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.layers.values.push((key.into(), value.into()));
        self
    }

    /// The token that stops this node's operations.
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }

    /// How long to wait for another process to release the repo; not at all by default.
    pub fn lock_patience(mut self, patience: Duration) -> Self {
        self.lock_patience = patience;
        self
    }

    /// Opens an existing repo and takes its lock.
    ///
    /// # Errors
    /// [`crate::Error::Repo`] when there is none, it is locked, it is Kubo's, or its version is newer;
    /// [`crate::Error::Config`] for a configuration that cannot be used.
    pub fn open(self) -> Result<Node> {
        if self.in_memory {
            let config = Config::merged(&json!({}), &self.layers)?;
            let store = BlockStore::memory(MemoryOptions {
                max_bytes: Some(config.storage_max()),
            });
            let names = self.names(&config)?;
            let shared = Shared::new(None, config, store, Database::in_memory(), names, None);
            return Ok(Node::new(shared, self.cancel));
        }
        let path = self.place()?;
        repo::check_version(&path)?;
        let lock = RepoLock::take(&path, self.patience()?)?;
        let config = Config::merged(ConfigFile::load(&path)?.document(), &self.layers)?;
        let store = BlockStore::open(&path.join("blocks"), segment_options(&config))?;
        let database = Database::in_repo(&path);
        let names = self.names(&config)?;
        Ok(Node::new(
            Shared::new(Some(path), config, store, database, names, Some(lock)),
            self.cancel,
        ))
    }

    fn place(&self) -> Result<PathBuf> {
        Ok(match (&self.repo, self.layers.environment) {
            (Some(path), _) => path.clone(),
            (None, true) => repo::locate(None)?,
            (None, false) => repo::default_path()?,
        })
    }

    /// The configuration that a node opened now would have; the repo may be open elsewhere.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for a configuration that cannot be used.
    pub fn config(&self) -> Result<Config> {
        if self.in_memory {
            return Ok(Config::merged(&json!({}), &self.layers)?);
        }
        let file = ConfigFile::load(&self.place()?)?;
        Ok(Config::merged(file.document(), &self.layers)?)
    }

    /// The files that [`NodeBuilder::config`] reads. They need not be there.
    ///
    /// # Errors
    /// [`crate::Error::Repo`] when no place for a repo is known.
    pub fn config_files(&self) -> Result<Vec<PathBuf>> {
        let mut files = vec![self.place()?.join("config")];
        files.extend(self.layers.file());
        Ok(files)
    }

    fn names(&self, config: &Config) -> Result<NamesState> {
        let map = std::env::var("IPFS_NS_MAP").ok();
        let map = map.filter(|_| self.layers.environment);
        Ok(NamesState::new(config, map.as_deref())?)
    }

    /// Opens the repo as [`NodeBuilder::open`] and takes the node online as [`Node::go_online`].
    ///
    /// # Errors
    /// As both.
    pub async fn spawn(self) -> Result<Node> {
        let node = tokio::task::spawn_blocking(move || self.open())
            .await
            .map_err(|_| crate::Error::Internal("opening the repo panicked"))??;
        node.go_online().await?;
        Ok(node)
    }

    fn patience(&self) -> Result<Duration> {
        const NAME: &str = "IPFS_WAIT_REPO_LOCK";
        let Some(text) =
            std::env::var_os(NAME).filter(|text| self.layers.environment && !text.is_empty())
        else {
            return Ok(self.lock_patience);
        };
        parse_duration(&text.to_string_lossy()).ok_or_else(|| {
            let reason = format!("{text:?} is no duration such as 10s");
            ConfigError::BadVariable { name: NAME, reason }.into()
        })
    }
}

fn segment_options(config: &Config) -> SegmentOptions {
    let mut options = SegmentOptions {
        max_bytes: Some(config.storage_max()),
        ..SegmentOptions::default()
    };
    if let Some(size) = config.size("Datastore.SegmentSize") {
        options.segment_size = size;
    }
    if let Some(entries) = config.integer("Datastore.IndexMergeAfter") {
        // What is out of range is refused by the store, with the range.
        options.merge_after = usize::try_from(entries).unwrap_or(usize::MAX);
    }
    options
}
