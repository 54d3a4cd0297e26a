//! The handle that everything hangs on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use ipfs_kit_bitswap::Bitswap;
use ipfs_kit_blockstore::block::Block;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::store::{BlockStore, Guard, StoreError};
use parking_lot::{Mutex, MutexGuard};

use crate::at_once::AtOnce;
use crate::blocks::Blocks;
use crate::builder::NodeBuilder;
use crate::cancel::CancelToken;
use crate::config::Config;
use crate::dag::{Dag, DagResolved};
use crate::error::{Emit, Error, Result};
use crate::fetch::{Fetch, Reach};
use crate::figures::{Counters, tick};
use crate::files::Files;
use crate::gc;
use crate::jobs::{Jobs, JobsState, Meter};
use crate::keys::{Keys, KeysState};
use crate::mfs::{Mfs, MfsState};
use crate::names::{Names, NamesState};
use crate::net::{self, Net, NetError, Peers, Pubsub, Routing, Tunnels, Validators};
use crate::online::{IpnsRecords, Online};
use crate::pins::Pins;
use crate::provide::{self, AnnounceNow, Provide, ProvideSettings};
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
    /// not behind a lock that is held. What is not makes them fail with [`Error::NotAtHand`], and `at_once` knows. For a
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
    /// [`Error::BadPath`], [`Error::NotFound`], [`Error::Read`] when a name is not there, [`Error::InsideBlock`] when
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
    /// As [`Node::resolve`] for the paths themselves, [`Error::Output`], [`Error::Cancelled`].
    pub fn refs(
        &self,
        paths: &[String],
        options: &RefsOptions,
        emit: Emit<'_, RefEvent>,
    ) -> Result<u64> {
        refs::list(self, paths, options, emit)
    }

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
            at_once: None,
            announce: AnnounceNow::default(),
            meter: None,
            fetch: None,
        })
    }

    /// Whether the network runs.
    pub fn is_online(&self) -> bool {
        self.net().is_ok()
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

    pub(crate) fn net(&self) -> Result<&Arc<Net>, NetError> {
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

    /// Makes everything durable and closes the store; later writes through clones fail. Dropping the last clone does the
    /// same but cannot report errors.
    ///
    /// # Errors
    /// [`Error::Store`] when the disk could not keep what was written.
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

    /// A handle for one operation: the first block it misses starts a fetch of what it will need after that.
    pub(crate) fn fetching(&self, reach: Reach) -> Self {
        let fetch = self.fetcher().map(|_| Arc::new(Fetch::new(reach)));
        Self {
            fetch,
            ..self.clone()
        }
    }

    /// The same node for a fetch's own task, which must not keep the fetch alive.
    pub(crate) fn detached(&self) -> Self {
        Self {
            offline: true,
            at_once: None,
            fetch: None,
            cancel: CancelToken::new(),
            ..self.clone()
        }
    }

    /// The network, where missing blocks may be fetched.
    fn fetcher(&self) -> Option<&Arc<Net>> {
        if self.offline {
            return None;
        }
        self.net().ok()
    }

    /// The bytes of a block, from the store or from the network. Blocks the thread.
    pub(crate) fn block(&self, cid: &Cid) -> Result<Bytes> {
        let found = match (self.local_block(cid), self.fetcher()) {
            (Err(Error::NotFound(_) | Error::Damaged { .. }), Some(net)) => match &self.fetch {
                Some(fetch) => fetch.block(self, net, cid),
                None => Fetch::new(Reach::Single).block(self, net, cid),
            },
            (found, _) => found,
        };
        if let (Ok(data), Some(fetch)) = (&found, &self.fetch) {
            fetch.handle_read(data.len());
        }
        found
    }

    /// The bytes of a block in the store.
    pub(crate) fn local_block(&self, cid: &Cid) -> Result<Bytes> {
        if self.at_once.is_some() {
            if let Some(data) = self.shared.store.at_hand(cid.hash()) {
                tick(&self.shared.counters.hits);
                return Ok(data);
            }
            self.check_may_wait()?;
        }
        match self.shared.store.get(cid.hash()) {
            Ok(Some(data)) => {
                tick(&self.shared.counters.hits);
                Ok(data)
            }
            Ok(None) => {
                tick(&self.shared.counters.misses);
                Err(Error::NotFound(cid.clone()))
            }
            Err(source @ StoreError::Corrupt { .. }) => Err(Error::Damaged {
                cid: cid.clone(),
                source,
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts blocks under a guard; on a full store room is made once.
    pub(crate) fn put(&self, guard: &Guard, blocks: &[Block]) -> Result<()> {
        let stored = self.put_quietly(guard, blocks);
        // Somebody may be waiting for just these.
        if stored.is_ok()
            && let Some(net) = self.shared.net.get()
        {
            net.bitswap().notify_new_blocks(blocks);
        }
        stored
    }

    /// As [`Node::put`], without telling Bitswap.
    pub(crate) fn put_quietly(&self, guard: &Guard, blocks: &[Block]) -> Result<()> {
        self.shared.counters.handle_put(blocks);
        match guard.put_many(blocks) {
            Ok(_) => Ok(()),
            Err(StoreError::StorageFull { needed, .. }) => {
                let _one_at_a_time = self.shared.making_room.lock();
                match guard.put_many(blocks) {
                    Err(StoreError::StorageFull { .. }) => {
                        gc::make_room(self, needed)?;
                        guard.put_many(blocks)?;
                    }
                    done => {
                        done?;
                    }
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
