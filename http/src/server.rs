//! The RPC server: listeners, connections and requests.
//!
//! A loop of our own around hyper, because limits have to hold: a connection that does not bring a
//! whole request head in time is dropped, heads are short, and no more commands run than there is room
//! for. Commands block, so each has a thread; short queues carry its input and output, and nothing is
//! ever held whole.

mod form;
mod guard;
mod host;
mod listener;
mod parse;
mod reply;
mod service;
mod upload;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use ipfs_kit_node::Node;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use guard::authorization;
pub use listener::{BindError, Connection, Endpoint, Listener, connect_unix};
pub use parse::{GLOBALS, ROOT_PATH};
pub use reply::{NEGATIVE, NOTES, STREAM_ERROR};
pub use service::TERMINAL;

use crate::observed::Observed;
use guard::Policy;
use service::Service;

/// How long a head may take, from the first byte or from the request before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a connection that are read ahead. Heads have to fit.
const READ_BUFFER: usize = 128 << 10;
/// Connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;
/// Commands at a time; more are answered with 429.
pub const MAX_COMMANDS: usize = 512;
/// How long running commands may go on once the server is to stop.
const GRACE: Duration = Duration::from_millis(500);
/// How long they may take to notice that they are cancelled.
const PATIENCE: Duration = Duration::from_secs(1);

/// The RPC on its listeners.
pub struct Server {
    listeners: Vec<Listener>,
    service: Service,
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
        let mut listeners = Vec::new();
        if let Some(socket) = socket {
            listeners.push(Listener::own_socket(socket)?);
        }
        for address in addresses {
            listeners.extend(Listener::bind(address)?);
        }
        let (stop, _) = watch::channel(false);
        let config = node.config();
        let policy = Policy::new(
            config.get("API.HTTPHeaders"),
            config.get("API.Authorizations"),
        );
        let stopper = Stopper(stop.clone());
        let service = Service::new(node, policy, Arc::new(move || stopper.stop()));
        Ok(Server {
            listeners,
            service,
            stop,
        })
    }

    /// Where it listens, with the ports that were given to it.
    pub fn addresses(&self) -> Vec<String> {
        let shown = self.listeners.iter().filter_map(Listener::address);
        shown.collect()
    }

    /// What it knows of itself.
    pub fn observed(&self) -> Arc<Observed> {
        self.service.observed()
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Serves until it is stopped, then lets running requests end, within limits.
    pub async fn run(self) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            let (service, stop) = (self.service.clone(), self.stop.subscribe());
            tasks.spawn(accept(listener, service, stop, Arc::clone(&room)));
        }
        let mut stop = self.stop.subscribe();
        // The sender lives as long as this function: the wait ends by a stop only.
        let _ = stop.wait_for(|stop| *stop).await;
        let idle = async { while tasks.join_next().await.is_some() {} };
        tokio::pin!(idle);
        if tokio::time::timeout(GRACE, &mut idle).await.is_err() {
            self.service.cancel_all();
            // Who does not notice in time is left behind: what was not acknowledged may be lost.
            let _ = tokio::time::timeout(PATIENCE, &mut idle).await;
        }
    }
}

async fn accept(
    listener: Listener,
    service: Service,
    mut stop: watch::Receiver<bool>,
    room: Arc<Semaphore>,
) {
    let mut connections = JoinSet::new();
    let port = listener.port();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok(stream) => {
                let (service, stop) = (service.clone(), stop.clone());
                connections.spawn(async move {
                    serve(stream, service, port, stop).await;
                    drop(permit);
                });
            }
            // Out of descriptors: others will be given back.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Serves one connection to its end.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    service: Service,
    port: Option<u16>,
    mut stop: watch::Receiver<bool>,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .title_case_headers(true)
        .max_buf_size(READ_BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIMEOUT)
        .max_concurrent_streams(128)
        .max_header_list_size(READ_BUFFER as u32)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let asked = Arc::new(AtomicBool::new(false));
    let first = Arc::clone(&asked);
    let answer = hyper::service::service_fn(move |request| {
        first.store(true, Ordering::Relaxed);
        let service = service.clone();
        async move { Ok::<_, io::Error>(service.answer(request, port).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    // Hyper's own clock starts only when the version of the protocol is known.
    let first_head = tokio::time::sleep(HEAD_TIMEOUT);
    tokio::pin!(first_head);
    let mut waiting = true;
    let mut stopping = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = &mut first_head, if waiting => {
                waiting = false;
                if !asked.load(Ordering::Relaxed) {
                    return;
                }
            }
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
                if !asked.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    }
}
