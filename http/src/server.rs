//! The RPC server: listeners, connections and requests.
//!
//! A loop of our own around hyper, because limits have to hold: a connection that does not bring a
//! whole request head in time is dropped, heads are short, and no more commands run than there is room
//! for. Commands block, so each has a thread; short queues carry its input and output, and nothing is
//! ever held whole.

mod answers;
mod at_once;
mod body;
mod call;
mod connection;
mod crowd;
mod form;
mod guard;
mod host;
mod limits;
mod listener;
mod pages;
mod parse;
mod reads;
mod reload;
mod reply;
mod request_id;
mod route;
mod running;
mod seed;
mod service;
mod strict;
mod tls;
mod upload;
mod version;
mod waiting;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ipfs_kit_node::Node;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use call::TERMINAL;
pub use guard::authorization;
pub use limits::Limits;
pub use listener::{BindError, Connection, Endpoint, Listener, connect_unix};
pub use parse::GLOBALS;
pub use reload::{RELOADED, ReloadError, Reloader};
pub use reply::{NEGATIVE, NOTES, STREAM_ERROR};
pub use tls::certificates;
pub use version::{API_VERSION, ApiVersion, ROOT_PATH, STRICT_PATH};

use crate::observed::Observed;
use crowd::Crowd;
use guard::{Door, Face, Policy};
use service::Service;
use tls::Tls;

/// How long to wait when the system has no room for a connection.
const PAUSE: Duration = Duration::from_millis(50);
/// How long running commands may go on once the server is to stop.
const GRACE: Duration = Duration::from_millis(500);
/// How long they may take to notice that they are cancelled.
const PATIENCE: Duration = Duration::from_secs(1);

/// The RPC on its listeners.
pub struct Server {
    listeners: Vec<(Listener, Face)>,
    service: Service,
    /// Names in the addresses that it was told to listen at.
    names: Vec<String>,
    stop: watch::Sender<bool>,
}

/// Stops a [`Server`] from anywhere.
#[derive(Clone)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Asks the server to stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Server {
    /// Binds all `addresses` (multiaddresses), and the Unix socket if one is given, to which no secret
    /// is asked.
    ///
    /// # Errors
    /// The first that cannot be bound.
    pub fn bind(
        node: Node,
        addresses: &[String],
        socket: Option<&Path>,
    ) -> Result<Server, BindError> {
        Server::bind_all(node, addresses, None, socket)
    }

    /// As [`Server::bind`], and binds the port of `serve`, at which reading methods are answered to `GET` too.
    ///
    /// # Errors
    /// The first that cannot be bound.
    pub fn bind_all(
        node: Node,
        addresses: &[String],
        seed: Option<&str>,
        socket: Option<&Path>,
    ) -> Result<Server, BindError> {
        let wanted = addresses
            .iter()
            .map(|address| (address.as_str(), Face::Rpc));
        let wanted = wanted.chain(seed.map(|address| (address, Face::Seed)));
        let names = wanted.clone().filter_map(|(address, _)| name_in(address));
        let names: Vec<String> = names.collect();
        let policy = Policy::of(node.config()).with_hosts(names.iter().cloned());
        let tokens = node.tokens().list();
        let tokens = tokens.map_err(|error| BindError::Tokens(error.to_string()))?;
        let forced = node.config().flag("API.AllowUnguarded") == Some(true);
        let guarded = forced || policy.asks() || tokens.asked();
        let mut listeners = Vec::new();
        if let Some(socket) = socket {
            listeners.push((Listener::own_socket(socket)?, Face::Rpc));
        }
        for (address, face) in wanted {
            let tls = || Tls::of(node.config());
            let bound = Listener::bind(address, guarded, tls)?;
            listeners.extend(bound.into_iter().map(|listener| (listener, face)));
        }
        let (stop, _) = watch::channel(false);
        let stopper = Stopper(stop.clone());
        let limits = Limits::of(node.config());
        let service = Service::new(node, policy, limits, Arc::new(move || stopper.stop()));
        Ok(Server {
            listeners,
            service,
            names,
            stop,
        })
    }

    /// Where it listens, with the ports that were given to it.
    pub fn addresses(&self) -> Vec<String> {
        self.addresses_of(Face::Rpc)
    }

    /// Where the port of `serve` is.
    pub fn seed_addresses(&self) -> Vec<String> {
        self.addresses_of(Face::Seed)
    }

    fn addresses_of(&self, wanted: Face) -> Vec<String> {
        let those = self.listeners.iter().filter(|(_, face)| *face == wanted);
        those
            .filter_map(|(listener, _)| listener.address())
            .collect()
    }

    /// What it knows of itself.
    pub fn observed(&self) -> Arc<Observed> {
        Arc::clone(self.service.observed())
    }

    /// What takes up another configuration while it runs.
    pub fn reloader(&self) -> Reloader {
        let public = self
            .listeners
            .iter()
            .any(|(listener, _)| listener.is_public());
        Reloader::new(self.service.clone(), self.names.clone(), public)
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Serves until it is stopped, then lets running requests end, within limits.
    pub async fn run(self) {
        let crowd = Crowd::new(&self.service.limits());
        let mut tasks = JoinSet::new();
        for (listener, face) in self.listeners {
            let (service, stop) = (self.service.clone(), self.stop.subscribe());
            tasks.spawn(accept(listener, face, service, stop, Arc::clone(&crowd)));
        }
        tasks.spawn(stop_slow(self.service.clone(), self.stop.subscribe()));
        let mut stop = self.stop.subscribe();
        // The sender lives as long as this function: the wait ends by a stop only.
        let _ = stop.wait_for(|stop| *stop).await;
        let idle = async { while tasks.join_next().await.is_some() {} };
        tokio::pin!(idle);
        if tokio::time::timeout(GRACE, &mut idle).await.is_err() {
            self.service.running().stop_all();
            // Who does not notice in time is left behind: what was not acknowledged may be lost.
            let _ = tokio::time::timeout(PATIENCE, &mut idle).await;
        }
    }
}

/// The name in an address that has one.
fn name_in(address: &str) -> Option<String> {
    match Endpoint::parse(address) {
        Some(Endpoint::Tcp(host, _) | Endpoint::Tls(host, _))
            if host.parse::<IpAddr>().is_err() =>
        {
            Some(host)
        }
        _ => None,
    }
}

/// Ends commands whose clients are too slow, again and again.
async fn stop_slow(service: Service, mut stop: watch::Receiver<bool>) {
    let often = service.limits().pressed().max(Duration::from_millis(10));
    let mut ticks = tokio::time::interval(often);
    loop {
        tokio::select! {
            _ = ticks.tick() => service.running().stop_slow(&service.limits()),
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn accept(
    listener: Listener,
    face: Face,
    service: Service,
    mut stop: watch::Receiver<bool>,
    crowd: Arc<Crowd>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, place)) = accepted else {
            // Out of descriptors: others will be given back.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let member = tokio::select! {
            member = crowd.join() => member,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (service, stop) = (service.clone(), stop.clone());
        let door = Door { face, place };
        let tls = listener.tls().map(|tls| tls.acceptor());
        connections.spawn(async move {
            let pulse = Arc::clone(&member.pulse);
            let Some(tls) = tls else {
                return connection::serve(stream, service, door, pulse, stop).await;
            };
            let handshake = tokio::time::timeout(service.limits().header, tls.accept(stream));
            let mut stopped = stop.clone();
            let handshake = tokio::select! {
                handshake = handshake => handshake,
                _ = stopped.wait_for(|stop| *stop) => return,
            };
            if let Ok(Ok(stream)) = handshake {
                connection::serve(stream, service, door, pulse, stop).await;
            }
            drop(member);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
