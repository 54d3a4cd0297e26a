//! The handle that everything hangs on.

mod awaited;
mod blocks;
mod network;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};

use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::store::BlockStore;
use parking_lot::{Mutex, MutexGuard};

use crate::at_once::AtOnce;
use crate::blocks::Blocks;
use crate::builder::NodeBuilder;
use crate::cancel::CancelToken;
use crate::config::Config;
use crate::dag::{Dag, DagResolved};
use crate::error::{Emit, Error, Result};
use crate::fetch::Fetch;
use crate::figures::Counters;
use crate::files::Files;
use crate::jobs::{Jobs, JobsState, Meter};
use crate::keys::{Keys, KeysState};
use crate::mfs::{Mfs, MfsState};
use crate::names::{Names, NamesState};
use crate::net::Net;
use crate::online::Online;
use crate::pins::Pins;
use crate::provide::AnnounceNow;
use crate::refs::{self, RefEvent, RefsOptions};
use crate::remote::RemotePins;
use crate::repo::handle::Repo;
use crate::repo::{Database, RepoLock};
use crate::resolve;
use crate::tokens::{Tokens, TokensState};

/// An open node. Clones are cheap and share everything but the cancel token.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
    cancel: CancelToken,
    offline: bool,
    /// Operations wait for a network that is about to start.
    patient: bool,
    /// Set for operations that must not wait.
    at_once: Option<AtOnce>,
    announce: AnnounceNow,
    /// What counts what operations come by.
    meter: Option<Arc<Meter>>,
    /// The fetches of the operation that this handle was made for.
    fetch: Option<Arc<Fetch>>,
}

/// What the clones of a node share. Fields are dropped in order, so the lock goes last.
pub(crate) struct Shared {
    path: Option<PathBuf>,
    config: Config,
    store: BlockStore,
    database: Database,
    keys: KeysState,
    names: NamesState,
    mfs: MfsState,
    counters: Counters,
    jobs: JobsState,
    tokens: TokensState,
    /// Held while room is made, so that many writers on a full store do not all collect garbage.
    making_room: Mutex<()>,
    net: OnceLock<Arc<Net>>,
    awaited: awaited::Awaited,
    /// What a node does by itself while it is online.
    online: OnceLock<Online>,
    lock: Option<RepoLock>,
}

impl Shared {
    pub(crate) fn new(
        path: Option<PathBuf>,
        config: Config,
        store: BlockStore,
        database: Database,
        names: NamesState,
        lock: Option<RepoLock>,
    ) -> Self {
        Self {
            keys: KeysState::new(path.as_deref()),
            names,
            mfs: MfsState::default(),
            counters: Counters::default(),
            jobs: JobsState::default(),
            tokens: TokensState::default(),
            path,
            config,
            store,
            database,
            making_room: Mutex::new(()),
            net: OnceLock::new(),
            awaited: awaited::Awaited::default(),
            online: OnceLock::new(),
            lock,
        }
    }
}

impl Node {
    /// Starts describing a node; [`NodeBuilder::open`] opens it.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    pub(crate) fn new(shared: Shared, cancel: CancelToken) -> Self {
        Self {
            shared: Arc::new(shared),
            cancel,
            offline: false,
            patient: false,
            at_once: None,
            announce: AnnounceNow::default(),
            meter: None,
            fetch: None,
        }
    }

    /// The same node, whose operations listen to another token.
    pub fn with_cancel(&self, cancel: CancelToken) -> Self {
        Self {
            cancel,
            ..self.clone()
        }
    }

    /// The same node, whose operations do not fetch blocks that are missing.
    pub fn offline(&self) -> Self {
        Self {
            offline: true,
            ..self.clone()
        }
    }

    /// The same node, whose reading operations take only what is at hand: in memory, the operating system's included, and
    /// not behind a lock that is held, 16 blocks at most. What is not makes them fail with [`Error::NotAtHand`], and `at_once` knows. For a
    /// thread that has others to serve; whoever misses something asks again where waiting is allowed.
    pub fn at_once(&self, at_once: &AtOnce) -> Self {
        Self {
            at_once: Some(at_once.clone()),
            ..self.clone()
        }
    }

    /// Whether this handle is one of [`Node::at_once`].
    pub(crate) fn must_not_wait(&self) -> bool {
        self.at_once.is_some()
    }

    /// Fails where the operation must not wait.
    pub(crate) fn check_may_wait(&self) -> Result<()> {
        match &self.at_once {
            None => Ok(()),
            Some(at_once) => {
                at_once.miss();
                Err(Error::NotAtHand)
            }
        }
    }

    /// Takes a lock, waiting for it where that is allowed.
    pub(crate) fn lock<'m, T>(&self, mutex: &'m Mutex<T>) -> Result<MutexGuard<'m, T>> {
        if let Some(taken) = mutex.try_lock() {
            return Ok(taken);
        }
        self.check_may_wait()?;
        Ok(mutex.lock())
    }

    /// The same node, whose operations announce this of what they add or pin.
    pub fn announcing(&self, announce: AnnounceNow) -> Self {
        Self {
            announce,
            ..self.clone()
        }
    }

    /// The same node, whose operations count what they come by.
    pub(crate) fn measured_by(&self, meter: Arc<Meter>) -> Self {
        Self {
            meter: Some(meter),
            ..self.clone()
        }
    }

    /// Single blocks.
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks { node: self }
    }

    /// Files and directories.
    pub fn files(&self) -> Files<'_> {
        Files { node: self }
    }

    /// IPLD nodes of every codec, and CAR files.
    pub fn dag(&self) -> Dag<'_> {
        Dag { node: self }
    }

    /// Pins.
    pub fn pins(&self) -> Pins<'_> {
        Pins { node: self }
    }

    /// Pins at services elsewhere.
    pub fn remote_pins(&self) -> RemotePins<'_> {
        RemotePins { node: self }
    }

    /// Keys: the node's identity and the keystore.
    pub fn keys(&self) -> Keys<'_> {
        Keys { node: self }
    }

    /// Tokens: secrets for clients, each with a scope.
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens { node: self }
    }

    /// The mutable file system.
    pub fn mfs(&self) -> Mfs<'_> {
        Mfs { node: self }
    }

    /// Names: IPNS and DNSLink.
    pub fn names(&self) -> Names<'_> {
        Names { node: self }
    }

    /// Work that takes long and goes on by itself.
    pub fn jobs(&self) -> Jobs<'_> {
        Jobs { node: self }
    }

    /// The repo: statistics, garbage collection, verification.
    pub fn repo(&self) -> Repo<'_> {
        Repo { node: self }
    }

    /// The configuration in force: every layer merged.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// The repo directory; `None` for a node in memory.
    pub fn path(&self) -> Option<&Path> {
        self.shared.path.as_deref()
    }

    /// Follows a path (`CID`, `/ipfs/CID/a/b`, `ipfs://CID/a`, `/ipns/NAME/a`) to its last node, as `ipfs resolve` does.
    ///
    /// # Errors
    /// [`crate::Error::BadPath`], [`crate::Error::NotFound`], [`crate::Error::Read`] when a name is not there, [`crate::Error::InsideBlock`] when
    /// the path ends inside a block.
    pub fn resolve(&self, path: &str) -> Result<Cid> {
        resolve::whole(self, path)
    }

    /// Follows a path as far as blocks go; what is left inside the last one is the remainder.
    ///
    /// # Errors
    /// As [`Node::resolve`].
    pub fn resolve_partial(&self, path: &str) -> Result<DagResolved> {
        resolve::partial(self, path)
    }

    /// Lists the links of the nodes that `paths` lead to. Returns how many nodes could not be read.
    ///
    /// # Errors
    /// As [`Node::resolve`] for the paths themselves, [`crate::Error::Output`], [`crate::Error::Cancelled`].
    pub fn refs(
        &self,
        paths: &[String],
        options: &RefsOptions,
        emit: Emit<'_, RefEvent>,
    ) -> Result<u64> {
        refs::list(self, paths, options, emit)
    }

    /// For tasks that must not keep the node open.
    pub(crate) fn weak(&self) -> Weak<Shared> {
        Arc::downgrade(&self.shared)
    }

    /// The node of [`Node::weak`], while it is open.
    pub(crate) fn upgrade(weak: &Weak<Shared>, cancel: CancelToken) -> Option<Self> {
        Some(Self {
            shared: weak.upgrade()?,
            cancel,
            offline: false,
            patient: false,
            at_once: None,
            announce: AnnounceNow::default(),
            meter: None,
            fetch: None,
        })
    }

    /// Makes everything durable and closes the store; later writes through clones fail. Dropping the last clone does the
    /// same but cannot report errors.
    ///
    /// # Errors
    /// [`crate::Error::Store`] when the disk could not keep what was written.
    pub fn close(self) -> Result<()> {
        self.shared.jobs.stop();
        // What was changed and not flushed is not thrown away by an end in good order.
        let flushed = self.mfs_state().flush_open(&self);
        self.shared.store.close()?;
        flushed
    }

    pub(crate) fn cancel(&self) -> &CancelToken {
        &self.cancel
    }

    /// Fails early where a disk that cannot be written would be found out late or not at all.
    pub(crate) fn check_writable(&self) -> Result<()> {
        match &self.shared.lock {
            Some(lock) => Ok(lock.check_writable()?),
            None => Ok(()),
        }
    }

    pub(crate) fn store(&self) -> &BlockStore {
        &self.shared.store
    }

    pub(crate) fn database(&self) -> &Database {
        &self.shared.database
    }

    /// The same node in memory with other names.
    #[cfg(test)]
    pub(crate) fn with_names(self, names: NamesState) -> Self {
        let config = self.shared.config.clone();
        let (store, database) = (self.shared.store.clone(), Database::in_memory());
        Self::new(
            Shared::new(None, config, store, database, names, None),
            self.cancel,
        )
    }

    pub(crate) fn tokens_state(&self) -> &TokensState {
        &self.shared.tokens
    }

    pub(crate) fn keys_state(&self) -> &KeysState {
        &self.shared.keys
    }

    pub(crate) fn mfs_state(&self) -> &MfsState {
        &self.shared.mfs
    }

    pub(crate) fn jobs_state(&self) -> &JobsState {
        &self.shared.jobs
    }

    pub(crate) fn meter(&self) -> Option<&Arc<Meter>> {
        self.meter.as_ref()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub(crate) fn names_state(&self) -> &NamesState {
        &self.shared.names
    }
}
