//! The node on the network. One task alone owns the libp2p swarm ([`task`]) and is asked through a bounded channel
//! ([`command`]); the handles in here are what the rest of the node uses.
//!
//! What is decided without IO stands by itself and takes the time as an argument: which connections to close
//! ([`connmgr`]), whom to dial again ([`redial`]), what is known of peers ([`book`]).

mod ahead;
mod answer;
mod behaviour;
mod book;
mod both;
mod boxed;
mod busy;
mod command;
mod connmgr;
mod custom;
mod dial;
mod error;
mod fetching;
mod filter;
mod gate;
mod guard;
mod identity;
mod kad;
mod keep;
mod limits;
mod listen;
mod lookup;
mod memory;
mod mux;
mod one_dht;
mod peers;
mod ping;
mod protocols;
mod providers;
mod pubsub;
mod quic;
mod reachability;
mod redial;
mod relays;
mod resources;
mod routing;
mod security;
mod serve;
mod settings;
mod sieve;
mod streams;
mod task;
#[cfg(test)]
mod tests;
mod tls;
mod told;
mod traffic;
mod transport;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use ipfs_kit_bitswap::Bitswap;
use ipfs_kit_blockstore::store::BlockStore;
use libp2p::identity::Keypair;
use libp2p::{PeerId, Stream, StreamProtocol};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::delegated::Delegated;
use crate::retrieval::Retrieval;

pub use error::NetError;
pub(crate) use fetching::Fetching;
pub(crate) use filter::{is_public, is_public_ip};
pub(crate) use kad::Announced;
pub use kad::{RecordValidator, Validators};
pub(crate) use one_dht::{DhtState, OneDht};
pub use peers::{
    Direction, PeerConnection, PeerIdentity, Peers, address_range, parse_peer, parse_peer_address,
};
pub use pubsub::{Pubsub, PubsubMessage};
pub use reachability::Reachability;
pub use resources::{Limits, Resources, Usage};
pub use routing::{PeerAddresses, Provider, Routing, RoutingTable, TablePeer};
pub use traffic::{Bandwidth, Streams};
pub use tunnel::{Tunnel, TunnelFilter, TunnelInfo, TunnelStream, Tunnels};

use command::Command;
use custom::Custom;
use settings::Settings;
use streams::OpenError;
use task::SwarmTask;
use told::Told;
use traffic::Traffic;

/// Commands waiting for the swarm task at most.
const COMMANDS_MAX: usize = 256;

/// Longest wait for the listeners to tell their addresses.
const LISTEN_MAX: Duration = Duration::from_secs(2);

/// Longest wait for the swarm task to end.
const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// The network of a node that is online.
pub(crate) struct Net {
    commands: mpsc::Sender<Command>,
    streams: streams::Opener,
    bitswap: Bitswap,
    /// Bitswap's behaviour where peers are not to be asked. Without it there would be no sessions.
    unplugged: Mutex<Option<ipfs_kit_bitswap::Behaviour>>,
    asks_peers: bool,
    ignored: Vec<PeerId>,
    delegated: Option<Arc<Delegated>>,
    custom: Option<Arc<Custom>>,
    retrieval: Option<Arc<Retrieval>>,
    traffic: Arc<Traffic>,
    told: Told,
    tunnels: Arc<tunnel::Registry>,
    follows_names: bool,
    runtime: Handle,
    local: PeerId,
    warnings: Vec<String>,
    task: Mutex<Option<JoinHandle<()>>>,
    /// Writes the DHTs' records.
    records: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Net {
    /// Sets everything up, listens, and starts the swarm task on the current runtime.
    pub async fn start(
        key: Keypair,
        settings: Settings,
        validators: Validators,
        store: BlockStore,
    ) -> Result<Arc<Self>, NetError> {
        let runtime = Handle::try_current().map_err(|_| NetError::NoRuntime)?;
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let local = key.public().to_peer_id();
        let (behaviour, bitswap) = serve::bitswap(&settings, store);
        // Over HTTP alone its sessions work as ever, and never meet a peer.
        let (behaviour, unplugged) = match settings.bitswap {
            true => (Some(behaviour), None),
            false => (None, Some(behaviour)),
        };
        let client = |error: crate::web::WebError| NetError::Transport {
            what: "the HTTP client",
            reason: error.to_string(),
        };
        let delegated = Delegated::new(settings.delegated.clone()).map_err(client)?;
        let custom = settings.custom.clone().map(Custom::new);
        let custom = custom.transpose().map_err(client)?;
        let retrieval = Retrieval::new(settings.retrieval.clone()).map_err(client)?;
        let records = settings.records.clone();
        let records = records.filter(|_| settings.routing != settings::DhtModes::OFF);
        let records = records.and_then(|path| kad::start_disk(path, validators.clone()));
        let follows_names = settings.name_topics;
        let ignored = settings.ignored.clone();
        let (mut task, ready) = SwarmTask::new(key, settings, validators, behaviour, commands)?;
        let records = records.map(|started| {
            task.keep_records(started.sides);
            started.thread
        });
        let (streams, traffic, told) = (task.opener(), task.traffic(), task.told());
        let warnings = task.warnings().to_vec();
        let tunnels = task.tunnels();
        // Nobody else does.
        let pings = task.accepting().accept(ping::PROTOCOL);
        let running = runtime.spawn(task.run());
        // Listeners that are slow to tell their addresses are no reason to fail.
        let _ = tokio::time::timeout(LISTEN_MAX, ready).await;
        let net = Arc::new(Self {
            commands: sender,
            streams,
            bitswap,
            asks_peers: unplugged.is_none(),
            ignored,
            unplugged: Mutex::new(unplugged),
            delegated: delegated.map(Arc::new),
            custom: custom.map(Arc::new),
            retrieval,
            traffic,
            told,
            tunnels: Arc::new(tunnels),
            follows_names,
            runtime,
            local,
            warnings,
            task: Mutex::new(Some(running)),
            records: Mutex::new(records),
        });
        providers::spawn(&net);
        if let Some(pings) = pings {
            net.runtime.spawn(ping::answer(pings));
        }
        net.runtime.spawn(ping::measure(Arc::downgrade(&net)));
        Ok(net)
    }

    /// Bitswap.
    pub fn bitswap(&self) -> &Bitswap {
        &self.bitswap
    }

    /// Whether blocks are asked of peers (`Bitswap.Libp2pEnabled`), and not of HTTP gateways alone.
    pub fn asks_peers(&self) -> bool {
        self.asks_peers
    }

    /// Whether a provider is one that nobody is to be asked for (`Routing.IgnoreProviders`), or this node.
    pub fn ignores(&self, provider: &PeerId) -> bool {
        *provider == self.local || self.ignored.contains(provider)
    }

    /// The routers that are asked over HTTP, if there are any.
    pub fn delegated(&self) -> Option<&Arc<Delegated>> {
        self.delegated.as_ref()
    }

    /// The routers that the user composed, if that is the routing.
    pub fn custom(&self) -> Option<&Arc<Custom>> {
        self.custom.as_ref()
    }

    /// Whether blocks are announced in the WAN's, or the LAN's, DHT.
    pub fn provides(&self, wan: bool) -> bool {
        self.custom
            .as_ref()
            .is_none_or(|custom| custom.provides(wan))
    }

    /// Blocks over HTTP, unless that is switched off.
    pub fn retrieval(&self) -> Option<&Arc<Retrieval>> {
        self.retrieval.as_ref()
    }

    /// This node's peer id.
    pub fn local(&self) -> PeerId {
        self.local
    }

    /// The runtime that the network runs on.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Whether the configuration has tunnels.
    pub fn has_tunnels(&self) -> bool {
        self.tunnels.is_enabled()
    }

    /// Whether names go over pubsub too (`Ipns.UsePubsub`).
    pub fn follows_names(&self) -> bool {
        self.follows_names
    }

    /// What of the configuration has no effect.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether the swarm task still runs.
    pub fn is_running(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Asks the swarm task.
    pub async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, NetError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| NetError::Stopped)?;
        answer.await.map_err(|_| NetError::Stopped)
    }

    /// Tells the swarm task something that has no answer.
    pub async fn tell(&self, command: Command) {
        // A task that has stopped has no use for it.
        let _ = self.commands.send(command).await;
    }

    /// Opens a stream to a connected peer.
    pub async fn open_stream(
        &self,
        peer: PeerId,
        protocol: StreamProtocol,
    ) -> Result<Stream, NetError> {
        let opened = self.streams.open(peer, protocol.clone()).await;
        opened.map_err(|error| match error {
            OpenError::NotConnected => NetError::NotConnected(peer),
            OpenError::NoProtocol => NetError::NoProtocol {
                peer,
                protocol: protocol.to_string(),
            },
            OpenError::Failed(reason) => NetError::Stream { peer, reason },
        })
    }

    /// Ends the swarm task: connections are closed, the ports are free when this returns.
    pub async fn shutdown(&self) {
        self.tunnels.stop();
        drop(self.unplugged.lock().take());
        let _ =
            tokio::time::timeout(SHUTDOWN_MAX, self.ask(|reply| Command::Shutdown { reply })).await;
        let task = self.task.lock().take();
        if let Some(mut task) = task
            && tokio::time::timeout(SHUTDOWN_MAX, &mut task).await.is_err()
        {
            task.abort();
        }
        let records = self.records.lock().take();
        if let Some(records) = records {
            // A thread that panicked has nothing more to write.
            let written = tokio::task::spawn_blocking(move || drop(records.join()));
            let _ = tokio::time::timeout(SHUTDOWN_MAX, written).await;
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.tunnels.stop();
    }
}

/// The key pair of a repo's configuration; a node without one, in memory, gets a new one.
pub(crate) fn key_of(config: &crate::config::Config) -> Result<Keypair, NetError> {
    identity::key_of(config)
}

/// Reads the network's settings.
pub(crate) fn settings_of(
    config: &crate::config::Config,
    repo: Option<&std::path::Path>,
) -> Result<Settings, NetError> {
    Settings::read(config, repo)
}
