//! `daemon`: the node, running until it is told to stop.

mod background;
mod flags;
pub mod logging;
pub mod reload;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use ipfs_kit_http::command::{Command, Run};
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::invocation::Invocation;
use ipfs_kit_http::methods::version;
use ipfs_kit_http::observed::Observed;
use ipfs_kit_http::server::{Limits, Server};
use ipfs_kit_http::traces;
use ipfs_kit_node::repo::{self, InitOptions, Kind, REPO_VERSION};
use ipfs_kit_node::{Multiaddr, Node, PeriodicGc, config::Config};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use serde_json::Value;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use self::background::Background;
use self::reload::Watch;
use crate::exit::EXIT_SIGNAL;
use crate::host::Local;
use crate::terminal::note;

/// `ipfs-kit daemon`
pub const COMMAND: Command = Command {
    name: "daemon",
    tagline: "Run a network-connected node and serve its RPC",
    about: "Goes online unless --offline is given: listens on Addresses.Swarm, connects to peers, fetches\n\
            and serves blocks.\n\
            \n\
            Serves Kubo's RPC at Addresses.API of the configuration, and at the socket 'api.sock' in the\n\
            repo, where other commands find it. Ends on SIGTERM, SIGINT and 'ipfs-kit shutdown'; a\n\
            second signal ends it at once.\n\
            \n\
            With --enable-gc it collects garbage by itself: every Datastore.GCPeriod it looks whether\n\
            the repo is above Datastore.StorageGCWatermark percent of Datastore.StorageMax. MFS is kept\n\
            pinned at the services of Pinning.RemoteServices whose policy says so.",
    options: flags::OPTIONS,
    run: Some(Run::Local),
    ..Command::EMPTY
};

/// Threads that look after connections. The work itself has threads of its own.
pub const IO_THREADS: usize = 2;

/// How long work that was left behind may keep the process.
const LEFT_BEHIND: Duration = Duration::from_millis(200);

/// Runs until it is told to stop.
///
/// # Errors
/// When the repo cannot be opened or an address cannot be listened on.
pub fn run(local: &Local, invocation: &mut Invocation) -> Result<(), Failure> {
    flags::check(invocation)?;
    logging::start(local, invocation)?;
    say(invocation, "Initializing daemon...")?;
    if invocation.flag("manage-fdlimit") {
        raise_file_limit();
    }
    let path = local.repo_path()?;
    if invocation.flag("init") && repo::kind(&path).map_err(Failure::failed)? == Kind::Absent {
        initialise(invocation, &path)?;
    }
    let node = open(local, invocation)?;
    logging::configure(node.config());
    let doors = Doors {
        rpc: addresses(node.config()),
        seed: None,
        threads: IO_THREADS,
        reload: None,
    };
    introduce(invocation, &node)?;
    serve(
        invocation,
        node,
        &path,
        local.settings.common.offline,
        &doors,
    )
}

/// Where a daemon listens.
pub struct Doors {
    /// Multiaddresses of the RPC.
    pub rpc: Vec<String>,
    /// Multiaddress of the port of `serve`.
    pub seed: Option<String>,
    /// Threads that look after connections.
    pub threads: usize,
    /// What is taken up when it changes.
    pub reload: Option<reload::Source>,
}

/// Says what runs.
///
/// # Errors
/// When standard output is closed.
pub fn introduce(invocation: &mut Invocation, node: &Node) -> Result<(), Failure> {
    let identity = node.config().text("Identity.PeerID").unwrap_or_default();
    let lines = [
        format!("ipfs-kit version: {}", version::VERSION),
        format!("Repo version: {REPO_VERSION}"),
        format!("System version: {}", version::system()),
        format!("PeerID: {identity}"),
    ];
    for line in lines {
        invocation.out.line(&line)?;
    }
    Ok(())
}

fn open(local: &Local, invocation: &Invocation) -> Result<Node, Failure> {
    let builder = flags::apply(invocation, &local.repo_path()?, local.builder()?)?;
    let node = builder.open()?;
    if !local.settings.common.quiet {
        node.config()
            .warnings()
            .iter()
            .for_each(|warning| note(warning));
    }
    Ok(node)
}

/// Serves a node until it is told to stop.
///
/// # Errors
/// When an address cannot be listened on.
pub fn serve(
    invocation: &mut Invocation,
    node: Node,
    repo: &Path,
    offline: bool,
    doors: &Doors,
) -> Result<(), Failure> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(doors.threads)
        .max_blocking_threads(Limits::of(node.config()).commands + 16)
        .thread_name("ipfs-kit-io")
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let traces = traces::start(runtime.handle()).map_err(Failure::failed)?;
    let served = runtime.block_on(async {
        let served = run_server(invocation, &node, repo, offline, doors).await;
        let closed = node.shutdown().await;
        served.and(closed.map_err(Failure::from))
    });
    if let Some(traces) = traces {
        traces.stop();
    }
    runtime.shutdown_timeout(LEFT_BEHIND);
    served
}

/// Serves from the start, while the node is still going online, until it is told to stop.
async fn run_server(
    invocation: &mut Invocation,
    node: &Node,
    repo: &Path,
    offline: bool,
    doors: &Doors,
) -> Result<(), Failure> {
    let gc = match flags::collects_garbage(invocation) {
        true => PeriodicGc::of(node.config()).map_err(Failure::failed)?,
        false => None,
    };
    // Signals are taken before anybody can know that there is a daemon to signal.
    let mut signals = Signals::new()?;
    let watch = doors
        .reload
        .clone()
        .map(|source| Watch::new(source, node.config()));
    let watch = watch.transpose()?;
    let socket = repo.join("api.sock");
    let seed = doors.seed.as_deref();
    let server = Server::bind_all(node.clone(), &doors.rpc, seed, Some(&socket));
    let server = server.map_err(Failure::failed)?;
    let listening = server.addresses();
    let mut lines: Vec<String> = listening
        .iter()
        .map(|address| format!("RPC API server listening on {address}"))
        .collect();
    let seed = server.seed_addresses();
    lines.extend(
        seed.iter()
            .map(|at| format!("API server listening on {at}")),
    );
    let _file = ApiFile::write(repo, &listening)?;
    let stopper = server.stopper();
    let observed = server.observed();
    let (from_signal, watched) = (stopper.clone(), server.observed());
    tokio::spawn(async move {
        let number = signals.next().await;
        watched.set_stopping();
        note(&format!("{}, shutting down", name_of(number)));
        // Without a supervisor nobody is to be told.
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        from_signal.stop();
        let number = signals.next().await;
        process::exit(EXIT_SIGNAL + number);
    });
    let watch = watch.map(|watch| tokio::spawn(watch.run(server.reloader())));
    if !offline {
        // What comes from now on waits for the network where it needs it.
        node.expect_online();
    }
    let serving = tokio::spawn(server.run());
    let mut told = greet(invocation, node, &lines, offline).await;
    if told.is_ok() {
        told = begin(invocation, node, &observed);
    }
    let background = Background::start(node, gc);
    if told.is_err() {
        stopper.stop();
    }
    let ended = serving.await;
    background.stop();
    if let Some(watch) = watch {
        watch.abort();
    }
    told?;
    ended.map_err(|_| Failure::failed("the RPC server broke down"))
}

/// Says where the daemon is to be reached, once it is.
async fn greet(
    invocation: &mut Invocation,
    node: &Node,
    lines: &[String],
    offline: bool,
) -> Result<(), Failure> {
    for line in lines {
        say(invocation, line)?;
    }
    if offline {
        say(invocation, "Swarm not listening, running in offline mode.")?;
    } else {
        node.go_online().await?;
        node.net_warnings().iter().for_each(|warning| note(warning));
        for (at, protocols) in ports(&node.peers()?.listen_addrs().await?) {
            let line = format!("Swarm listening on {at} ({})", protocols.join("+"));
            say(invocation, &line)?;
        }
        say(
            invocation,
            "Run 'ipfs-kit id' to inspect announced and discovered multiaddrs of this node.",
        )?;
    }
    Ok(())
}

/// Everything is there: what was left undone goes on, and whoever waits is told.
fn begin(invocation: &mut Invocation, node: &Node, observed: &Observed) -> Result<(), Failure> {
    node.jobs().resume()?;
    observed.set_ready();
    // Without a supervisor nobody is to be told.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    tracing::info!(version = version::VERSION, "daemon is ready");
    say(invocation, "Daemon is ready")
}

/// Hosts and ports, each with the protocols below IP that are listened to there.
fn ports(addresses: &[Multiaddr]) -> BTreeMap<String, Vec<&'static str>> {
    let mut ports: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for address in addresses {
        let text = address.to_string();
        let parts: Vec<&str> = text.split('/').collect();
        let ["", family, host, protocol, port, ..] = parts.as_slice() else {
            continue;
        };
        let at = match *family {
            "ip6" => format!("[{host}]:{port}"),
            _ => format!("{host}:{port}"),
        };
        let protocol = match *protocol {
            "tcp" => "TCP",
            "udp" => "UDP",
            _ => continue,
        };
        let protocols = ports.entry(at).or_default();
        if !protocols.contains(&protocol) {
            protocols.push(protocol);
            protocols.sort_unstable();
        }
    }
    ports
}

/// A line that somebody may be waiting for.
fn say(invocation: &mut Invocation, line: &str) -> Result<(), Failure> {
    use std::io::Write;
    invocation.out.line(line)?;
    Ok(invocation.out.flush()?)
}

fn initialise(invocation: &mut Invocation, path: &Path) -> Result<(), Failure> {
    let config = flags::initial_config(invocation)?;
    let profiles = invocation.text("init-profile").unwrap_or_default();
    let profiles = profiles.split(',').filter(|name| !name.is_empty());
    let options = InitOptions {
        profiles: profiles.map(str::to_owned).collect(),
        config,
        ..InitOptions::default()
    };
    let made = repo::init(path, &options)?;
    say(invocation, &format!("peer identity: {}", made.peer_id))
}

/// `Addresses.API`, one or several.
fn addresses(config: &Config) -> Vec<String> {
    let texts = match config.get("Addresses.API") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let given = texts.into_iter().filter(|text| !text.is_empty());
    given.map(str::to_owned).collect()
}

/// The file that tells others where the daemon is; gone with the daemon.
struct ApiFile(PathBuf);

impl ApiFile {
    fn write(repo: &Path, addresses: &[String]) -> Result<ApiFile, Failure> {
        let path = repo.join("api");
        let socket = format!("/unix{}", repo.join("api.sock").display());
        let address = addresses.first().unwrap_or(&socket);
        let partial = repo.join(".api.new");
        let written = fs::write(&partial, address).and_then(|()| fs::rename(&partial, &path));
        written
            .map_err(|error| Failure::failed(format_args!("write {}: {error}", path.display())))?;
        Ok(ApiFile(path))
    }
}

impl Drop for ApiFile {
    fn drop(&mut self) {
        // One that is gone already is as good.
        let _ = fs::remove_file(&self.0);
    }
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Signals, Failure> {
        let take = |kind| {
            signal(kind)
                .map_err(|error| Failure::failed(format_args!("cannot handle signals: {error}")))
        };
        Ok(Signals {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
        }
    }
}

fn name_of(signal: i32) -> &'static str {
    if signal == SignalKind::interrupt().as_raw_value() {
        "SIGINT"
    } else {
        "SIGTERM"
    }
}

/// Connections are open files. A limit that stays low shows when there are too many of them.
pub fn raise_file_limit() {
    let now = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: now.maximum,
            maximum: now.maximum,
        },
    );
}
