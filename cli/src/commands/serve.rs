//! `serve`: the node with the port of the Python kit.

use std::net::IpAddr;

use ipfs_kit_http::command::{Command, Opt, Run};
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::invocation::Invocation;
use ipfs_kit_node::{Node, NodeBuilder};
use serde_json::json;

use super::daemon::{self, Doors, IO_THREADS, logging, reload};
use crate::host::Local;
use crate::terminal::note;

/// `ipfs-kit serve`
pub const COMMAND: Command = Command {
    name: "serve",
    tagline: "Run a node and serve its API as the Python ipfs_kit does",
    about: "As 'daemon', but the methods are at http://HOST:PORT/api/v0/, those that only read also by GET,\n\
            with /api/config, /api/methods and /api/download/CID beside them. Addresses.API is not\n\
            listened on; commands find the node by the socket in the repo.\n\
            \n\
            With --reload a changed configuration is taken up without a restart, as far as it can be:\n\
            API.AllowedHosts, API.Authorizations, API.HTTPHeaders, the deadlines of API.Limits, and\n\
            Logging. What needs a restart is named; a file that makes no sense changes nothing. What the\n\
            command line says stays. Tokens and their rates always change at once.",
    options: &[
        Opt::text(&["host"], "Name or address to listen on").default("127.0.0.1"),
        Opt::uint(&["port"], "Port to listen on; 0 is any that is free").default("8000"),
        Opt::uint(&["workers"], "Threads that look after connections").default("2"),
        Opt::text(
            &["log-level"],
            "Least level that is logged: debug, info, warn or error; else as GOLOG_LOG_LEVEL says",
        ),
        Opt::text(
            &["log-format"],
            "Form of the log: json, color or text; else as GOLOG_LOG_FMT says",
        ),
        Opt::flag(
            &["auth-enabled"],
            "Ask for a token or a secret, and do not start if there is none",
        ),
        Opt::list(
            &["cors-origins"],
            "Origins whose pages may ask, as https://app.example; * is any",
        ),
        Opt::flag(
            &["reload"],
            "Take up a changed configuration at SIGHUP and when its file changes",
        ),
        Opt::flag(
            &["allow-unguarded"],
            "Listen where others reach it though nothing asks them for a secret",
        ),
    ],
    run: Some(Run::Local),
    ..Command::EMPTY
};

/// Runs until it is told to stop.
///
/// # Errors
/// When the repo cannot be opened or the address cannot be listened on.
pub fn run(local: &Local, invocation: &mut Invocation) -> Result<(), Failure> {
    let host = invocation.text("host").unwrap_or_default();
    let port = invocation.uint("port").unwrap_or_default();
    let port = u16::try_from(port)
        .map_err(|_| Failure::usage(format!("--port is at most 65535, not {port}")))?;
    let threads = invocation.uint("workers").unwrap_or(IO_THREADS as u64);
    let threads = usize::try_from(threads)
        .ok()
        .filter(|n| (1..=256).contains(n));
    let threads = threads.ok_or_else(|| Failure::usage("--workers is between 1 and 256"))?;
    logging::start(local, invocation)?;
    daemon::raise_file_limit();
    let (builder, node) = open(local, invocation)?;
    logging::configure(node.config());
    if invocation.flag("auth-enabled") && !has_secrets(&node)? {
        return Err(Failure::failed(
            "--auth-enabled needs a secret to ask for: make a token with 'ipfs-kit auth token add NAME' first",
        ));
    }
    let doors = Doors {
        rpc: Vec::new(),
        seed: Some(address(&host, port)),
        threads,
        reload: invocation.flag("reload").then(|| reload::Source {
            builder,
            asks: invocation.flag("auth-enabled"),
        }),
    };
    let path = local.repo_path()?;
    daemon::introduce(invocation, &node)?;
    daemon::serve(
        invocation,
        node,
        &path,
        local.settings.common.offline,
        &doors,
    )
}

fn open(local: &Local, invocation: &Invocation) -> Result<(NodeBuilder, Node), Failure> {
    let mut builder = local.builder()?;
    if invocation.flag("allow-unguarded") {
        builder = builder.set("API.AllowUnguarded", true);
    }
    let origins = invocation.list("cors-origins");
    let origins = origins.iter().flat_map(|text| text.split(','));
    let origins: Vec<&str> = origins
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .collect();
    if !origins.is_empty() {
        let header = |name: &str| format!("API.HTTPHeaders.Access-Control-Allow-{name}");
        builder = builder
            .set(header("Origin"), json!(origins))
            .set(header("Methods"), json!(["GET", "HEAD", "POST"]));
    }
    let node = builder.clone().open()?;
    if !local.settings.common.quiet {
        node.config()
            .warnings()
            .iter()
            .for_each(|warning| note(warning));
    }
    Ok((builder, node))
}

fn has_secrets(node: &Node) -> Result<bool, Failure> {
    let configured = node.config().get("API.Authorizations");
    let configured = configured.and_then(|value| value.as_object());
    Ok(configured.is_some_and(|map| !map.is_empty()) || node.tokens().list()?.asked())
}

/// The multiaddress of a host and a port.
fn address(host: &str, port: u16) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => format!("/ip4/{ip}/tcp/{port}"),
        Ok(IpAddr::V6(ip)) => format!("/ip6/{ip}/tcp/{port}"),
        Err(_) => format!("/dns/{host}/tcp/{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_become_addresses() {
        assert_eq!(address("127.0.0.1", 8000), "/ip4/127.0.0.1/tcp/8000");
        assert_eq!(address("[::1]", 1), "/ip6/::1/tcp/1");
        assert_eq!(address("::", 1), "/ip6/::/tcp/1");
        assert_eq!(address("localhost", 1), "/dns/localhost/tcp/1");
    }
}
