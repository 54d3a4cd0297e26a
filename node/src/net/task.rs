//! The one task that owns the swarm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, mdns};
use rustc_hash::FxHashSet;
use tokio::sync::{mpsc, oneshot};

use super::behaviour::{Behaviour, BehaviourEvent};
use super::book::Book;
use super::boxed::Boxed;
use super::busy::Busy;
use super::command::Command;
use super::connmgr::{self, Candidate};
use super::dial::Dials;
use super::guard::Filters;
use super::kad::{Ops, Validators};
use super::pubsub::Topics;
use super::reachability::Tested;
use super::redial::{BOOTSTRAP, PEERING, Redial};
use super::relays::Relays;
use super::settings::Settings;
use super::told::Told;
use super::traffic::Traffic;
use super::{NetError, listen, streams, transport, tunnel};

/// Between two looks at what is due.
const TICK: Duration = Duration::from_secs(1);

/// Between two looks at what has expired in routing.
const TEND: Duration = Duration::from_secs(60);

/// The connection manager closes connections, not idleness; this only catches what it does not see.
const IDLE_MAX: Duration = Duration::from_secs(3600);

/// Events that a connection may have waiting for the swarm, and the swarm for a connection.
const CONNECTION_EVENTS_MAX: usize = 64;

/// While fewer peers are connected, the bootstrap list is dialled (Kubo's value).
const BOOTSTRAP_BELOW: usize = 4;

/// What a peer is worth that a tunnel goes to (Kubo's value).
const BUSY: u32 = 20;

/// Time that closing connections may take when the task ends.
const GOODBYE_MAX: Duration = Duration::from_millis(500);

/// Owns the swarm; ends when it is told to or when every handle is gone.
pub(super) struct SwarmTask {
    pub(super) swarm: Swarm<Boxed<Behaviour>>,
    pub(super) settings: Settings,
    pub(super) public_key: Vec<u8>,
    pub(super) book: Book,
    pub(super) dials: Dials,
    pub(super) peering: Redial,
    pub(super) lookups: Ops,
    pub(super) topics: Topics,
    pub(super) validators: Validators,
    pub(super) traffic: Arc<Traffic>,
    pub(super) tested: Tested,
    pub(super) told: Told,
    busy: Arc<Busy>,
    bootstrap: Redial,
    relays: Relays,
    commands: mpsc::Receiver<Command>,
    /// Listeners that have not told an address yet, and who waits for them.
    silent: FxHashSet<ListenerId>,
    ready: Option<oneshot::Sender<()>>,
    /// Announced addresses that the swarm was given as external ones.
    announced: Vec<Multiaddr>,
    trimmed: Instant,
    tended: Instant,
}

impl SwarmTask {
    /// Builds the swarm and listens. The receiver hears when every listener has an address.
    pub fn new(
        key: Keypair,
        mut settings: Settings,
        validators: Validators,
        bitswap: Option<ipfs_kit_bitswap::Behaviour>,
        commands: mpsc::Receiver<Command>,
    ) -> Result<(Self, oneshot::Receiver<()>), NetError> {
        let now = Instant::now();
        let traffic = Arc::new(Traffic::new(
            settings.bandwidth_told,
            settings.bandwidth,
            now,
        ));
        let filters = Filters::new(settings.filters.clone());
        let (transport, relay_client) = transport::build(&key, &settings, &filters, &traffic)?;
        let behaviour = Behaviour::new(&key, &settings, filters, relay_client, bitswap)?;
        let config = libp2p::swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(IDLE_MAX)
            .with_per_connection_event_buffer_size(CONNECTION_EVENTS_MAX)
            .with_smart_dial();
        let mut swarm = Swarm::new(
            transport,
            Boxed(behaviour),
            key.public().to_peer_id(),
            config,
        );
        let silent = start_listening(&mut swarm, &mut settings)?;
        let (sender, ready) = oneshot::channel();
        let mut task = Self {
            public_key: key.public().encode_protobuf(),
            swarm,
            book: Book::default(),
            dials: Dials::default(),
            peering: Redial::new(PEERING),
            lookups: Ops::default(),
            topics: Topics::default(),
            tested: Tested::default(),
            told: Told::default(),
            validators,
            traffic,
            busy: Arc::default(),
            bootstrap: Redial::new(BOOTSTRAP),
            relays: Relays::default(),
            commands,
            ready: (!silent.is_empty()).then_some(sender),
            silent,
            announced: Vec::new(),
            trimmed: now,
            tended: now,
            settings,
        };
        for (peer, addresses) in task.settings.peering.clone() {
            task.keep_connected(peer, addresses, now);
        }
        for address in task.settings.bootstrap.clone() {
            if let (address, Some(peer)) = super::peers::split_peer(&address) {
                task.bootstrap.add(peer, vec![address], now, false);
            }
        }
        for address in task.settings.static_relays.clone() {
            if let (address, Some(peer)) = super::peers::split_peer(&address)
                && task.settings.relay_client
            {
                task.relays.add(peer, address, now);
            }
        }
        task.announce();
        Ok((task, ready))
    }

    /// Opens streams outside of the task.
    pub fn opener(&self) -> streams::Opener {
        self.swarm.behaviour().streams.opener().clone()
    }

    /// Takes streams outside of the task.
    pub fn accepting(&self) -> streams::Accepting {
        self.swarm.behaviour().streams.accepting().clone()
    }

    /// What goes over the connections.
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// What the node last said of itself.
    pub fn told(&self) -> Told {
        self.told.clone()
    }

    /// No tunnels yet; their peers will be the last to be trimmed.
    pub fn tunnels(&self) -> tunnel::Registry {
        let own = super::protocols::of(&self.settings, true);
        let busy = Arc::clone(&self.busy);
        tunnel::Registry::new(self.settings.mounting, own, self.accepting(), busy)
    }

    /// What of the configuration has no effect.
    pub fn warnings(&self) -> &[String] {
        &self.settings.warnings
    }

    /// Runs until it is told to stop.
    pub async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stopped = loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.handle_event(event),
                command = self.commands.recv() => match command {
                    None => break None,
                    Some(Command::Shutdown { reply }) => break Some(reply),
                    Some(command) => self.handle_command(command),
                },
                _ = tick.tick() => self.handle_tick(Instant::now()),
            }
        };
        self.told.forget();
        self.flush_records();
        self.goodbye().await;
        if let Some(reply) = stopped {
            // The caller may have stopped waiting.
            let _ = reply.send(());
        }
    }

    /// Tells peers, so that they need not wait for a timeout.
    async fn goodbye(&mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // It may have gone meanwhile.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self.swarm.network_info().num_peers() > 0 {
                self.swarm.select_next_some().await;
            }
        };
        let _ = tokio::time::timeout(GOODBYE_MAX, closed).await;
    }

    fn handle_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let now = Instant::now();
        match event {
            SwarmEvent::ExternalAddrConfirmed { .. } | SwarmEvent::ExternalAddrExpired { .. } => {
                self.told.forget();
            }
            SwarmEvent::Behaviour(event) => self.handle_behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.book
                    .handle_connected(peer_id, connection_id, &endpoint, now);
                self.peering.handle_connected(&peer_id);
                self.bootstrap.handle_connected(&peer_id);
                self.dial_succeeded(connection_id, peer_id);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                ..
            } => {
                self.connection_closed(&peer_id, connection_id, now);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => self.dial_failed(connection_id, &error),
            SwarmEvent::NewListenAddr { listener_id, .. } => {
                self.listener_spoke(listener_id);
                self.announce();
            }
            SwarmEvent::ListenerClosed { listener_id, .. } => {
                self.relays.handle_closed(listener_id);
                self.listener_spoke(listener_id);
                self.announce();
            }
            SwarmEvent::ExpiredListenAddr { .. } => self.announce(),
            _ => {}
        }
    }

    fn connection_closed(&mut self, peer: &PeerId, connection: ConnectionId, now: Instant) {
        if self.book.handle_closed(peer, connection) {
            self.peering.handle_disconnected(peer, now);
            self.bootstrap.handle_disconnected(peer, now);
        }
    }

    fn handle_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.route_identified(peer_id, &info);
                self.book.handle_identity(peer_id, info);
            }
            BehaviourEvent::Wan(event) => self.handle_kad(true, event),
            BehaviourEvent::Lan(event) => self.handle_kad(false, event),
            BehaviourEvent::Pubsub(event) => self.handle_gossip(event),
            BehaviourEvent::AutonatClient(event) => self.handle_autonat(event),
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found {
                    self.handle_discovered(peer, address);
                }
            }
            _ => {}
        }
    }

    /// A peer on the local network: Kubo connects to everyone it hears of.
    fn handle_discovered(&mut self, peer: PeerId, address: Multiaddr) {
        let (address, _) = super::peers::split_peer(&address);
        self.book.learn(peer, [address]);
        let many = self.settings.connections.high.unwrap_or(usize::MAX);
        if !self.swarm.is_connected(&peer) && self.book.count() < many {
            self.dial_quietly(peer, Vec::new());
        }
    }

    fn handle_tick(&mut self, now: Instant) {
        self.told.forget();
        self.traffic.tick(now);
        for (peer, addresses) in self.peering.poll_due(now) {
            self.dial_quietly(peer, addresses);
        }
        if self.book.count() < BOOTSTRAP_BELOW {
            for (peer, addresses) in self.bootstrap.poll_due(now) {
                self.dial_quietly(peer, addresses);
            }
        }
        for (peer, address) in self.relays.poll_due(now) {
            let circuit = super::peers::with_peer(&address, peer).with(Protocol::P2pCircuit);
            // The listener dials the relay by itself. Where it cannot, it closes and is due again.
            if let Ok(listener) = self.swarm.listen_on(circuit) {
                self.relays.handle_listener(&peer, listener);
            }
        }
        self.tend_topics();
        self.tend_records(now);
        if now.duration_since(self.trimmed) >= self.settings.connections.silence {
            self.trimmed = now;
            self.trim(now);
        }
        if now.duration_since(self.tended) >= TEND {
            self.tended = now;
            self.tend_routing(now);
        }
    }

    /// Closes connections when there are too many.
    fn trim(&mut self, now: Instant) {
        let Some(high) = self.settings.connections.high else {
            return;
        };
        let mut candidates = Vec::new();
        for (peer, entry) in self.book.connected() {
            let busy = if self.busy.contains(peer) { BUSY } else { 0 };
            for connection in &entry.connections {
                let outbound = connection.direction == super::Direction::Outbound;
                candidates.push(Candidate {
                    id: connection.id,
                    opened: connection.opened,
                    value: u32::from(outbound) + busy,
                    protected: self.peering.contains(peer) || self.relays.contains(peer),
                });
            }
        }
        let low = self.settings.connections.low;
        let grace = self.settings.connections.grace;
        for id in connmgr::victims(now, candidates, low, high, grace) {
            self.swarm.close_connection(id);
        }
    }

    /// Keeps a peer connected: it is dialled again and never trimmed.
    pub(super) fn keep_connected(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        let connected = self.swarm.is_connected(&peer);
        self.book
            .learn(peer, addresses.iter().map(super::book::without_peer));
        let behaviour = self.swarm.behaviour_mut();
        behaviour.limits.bypass_peer_id(&peer);
        behaviour.gate.trust(peer);
        self.peering.add(peer, addresses, now, connected);
    }

    fn listener_spoke(&mut self, listener: ListenerId) {
        self.silent.remove(&listener);
        if self.silent.is_empty()
            && let Some(ready) = self.ready.take()
        {
            // Whoever started the node may have stopped waiting.
            let _ = ready.send(());
        }
    }

    /// Hands the swarm the addresses to tell, where they are not simply those listened on.
    fn announce(&mut self) {
        self.told.forget();
        let plain = self.settings.announce.is_empty() && self.settings.no_announce.is_empty();
        let wanted = if plain {
            self.settings.append_announce.clone()
        } else {
            let listening: Vec<Multiaddr> = self.swarm.listeners().cloned().collect();
            listen::announced(&self.settings, &listening)
        };
        for gone in self.announced.iter().filter(|old| !wanted.contains(old)) {
            self.swarm.remove_external_address(gone);
        }
        for new in wanted.iter().filter(|new| !self.announced.contains(new)) {
            self.swarm.add_external_address(new.clone());
        }
        self.announced = wanted;
    }
}

/// Listens on every address; one that cannot be used is a warning as long as another can.
fn start_listening(
    swarm: &mut Swarm<Boxed<Behaviour>>,
    settings: &mut Settings,
) -> Result<FxHashSet<ListenerId>, NetError> {
    let mut silent = FxHashSet::default();
    let mut failed = Vec::new();
    for address in &settings.listen {
        match swarm.listen_on(address.clone()) {
            Ok(listener) => {
                silent.insert(listener);
            }
            Err(error) => failed.push(format!("cannot listen on {address}: {error}")),
        }
    }
    if silent.is_empty() && !failed.is_empty() {
        return Err(NetError::NoListener(failed.join("; ")));
    }
    settings.warnings.append(&mut failed);
    Ok(silent)
}
