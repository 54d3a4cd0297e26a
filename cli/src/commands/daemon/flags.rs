//! Options of `daemon`: Kubo's, with what they do here.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ipfs_kit_http::command::Opt;
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::invocation::Invocation;
use ipfs_kit_node::NodeBuilder;
use ipfs_kit_node::config::ConfigFile;

use crate::terminal::note;

/// The options.
pub const OPTIONS: &[Opt] = &[
    Opt::flag(&["init"], "Initialize the repo if there is none"),
    Opt::path(
        &["init-config"],
        "Path to existing configuration file to be loaded during --init",
    ),
    Opt::text(&["init-profile"], "Profiles for --init, separated by ','"),
    Opt::text(
        &["routing"],
        "Kind of routing instead of Routing.Type: auto, autoclient, dht, dhtclient, dhtserver, \
         delegated, custom or none",
    )
    .default("default"),
    Opt::flag(
        &["migrate"],
        "Nothing to migrate in this version; 'ipfs-kit migrate' takes over a repo of Kubo's",
    ),
    Opt::flag(
        &["manage-fdlimit"],
        "Raise the limit of open files as far as the system allows",
    )
    .default("true"),
    Opt::text(
        &["log-format"],
        "Form of the log: json, color or text; else as GOLOG_LOG_FMT says",
    ),
    Opt::flag(
        &["enable-gc"],
        "Enable automatic periodic repo garbage collection",
    ),
    Opt::text(
        &["agent-version-suffix"],
        "Suffix of the agent version that peers are told, unless Version.AgentSuffix is set",
    ),
    Opt::flag(
        &["enable-pubsub-experiment"],
        "DEPRECATED: use the config option Pubsub.Enabled",
    ),
    Opt::flag(
        &["enable-namesys-pubsub"],
        "DEPRECATED: use the config option Ipns.UsePubsub",
    ),
    Opt::flag(&["enable-mplex-experiment"], "DEPRECATED: no effect"),
    Opt::flag(
        &["allow-unguarded"],
        "Listen where others reach it though nothing asks them for a secret, as \
         API.AllowUnguarded of the configuration does",
    ),
    Opt::flag(
        &["unrestricted-api"],
        "No effect: the RPC port serves no content to GET",
    ),
    Opt::flag(
        &["disable-transport-encryption"],
        "Refused: connections are always encrypted",
    ),
    Opt::flag(&["mount"], "Refused: there is no FUSE mount here"),
    Opt::path(&["mount-ipfs"], "Only with --mount"),
    Opt::path(&["mount-ipns"], "Only with --mount"),
    Opt::path(&["mount-mfs"], "Only with --mount"),
];

/// A configuration larger than this is none.
const MAX_CONFIG: u64 = 4 << 20;

/// Refuses what this daemon cannot do, and says what has no effect.
///
/// # Errors
/// Which option, and why.
pub fn check(invocation: &Invocation) -> Result<(), Failure> {
    let refused = [
        (
            "mount",
            "IPFS cannot be mounted: there is no FUSE file system in ipfs-kit; use 'get', 'cat' and 'files'",
        ),
        (
            "disable-transport-encryption",
            "connections to peers are always encrypted; to watch protocols use 'stats bw' and 'swarm peers'",
        ),
    ];
    for (name, reason) in refused {
        if invocation.flag(name) {
            return Err(Failure::failed(format_args!("--{name}: {reason}")));
        }
    }
    if invocation.flag("unrestricted-api") {
        note("--unrestricted-api has no effect: the RPC port serves no content to GET");
    }
    if invocation.given_flag("enable-mplex-experiment").is_some() {
        note("--enable-mplex-experiment has no effect: mplex was removed from libp2p");
    }
    Ok(())
}

/// Whether garbage is to be collected by itself; `serve`, which runs the same server, has no such option.
pub fn collects_garbage(invocation: &Invocation) -> bool {
    const NAME: &str = "enable-gc";
    invocation.command().option(NAME).is_some() && invocation.flag(NAME)
}

/// What options say over the configuration, until the daemon ends.
///
/// # Errors
/// A kind of routing that there is not.
pub fn apply(
    invocation: &Invocation,
    repo: &Path,
    mut builder: NodeBuilder,
) -> Result<NodeBuilder, Failure> {
    let deprecated = [
        ("enable-pubsub-experiment", "Pubsub.Enabled"),
        ("enable-namesys-pubsub", "Ipns.UsePubsub"),
    ];
    for (name, key) in deprecated {
        if let Some(enabled) = invocation.given_flag(name) {
            note(&format!(
                "The --{name} flag is deprecated. Use {key} config option instead."
            ));
            builder = builder.set(key, enabled);
        }
    }
    if invocation.flag("allow-unguarded") {
        builder = builder.set("API.AllowUnguarded", true);
    }
    match invocation.text("routing").unwrap_or_default().as_str() {
        "" | "default" => {}
        "supernode" => {
            return Err(Failure::failed(
                "supernode routing was never fully implemented and has been removed",
            ));
        }
        kind @ ("auto" | "autoclient" | "dht" | "dhtclient" | "dhtserver" | "delegated"
        | "none" | "custom") => builder = builder.set("Routing.Type", kind),
        kind => {
            return Err(Failure::failed(format_args!(
                "unrecognized routing option: {kind}"
            )));
        }
    }
    if let Some(suffix) = invocation.text("agent-version-suffix")
        && !has_suffix(repo)
    {
        builder = builder.set("Version.AgentSuffix", suffix);
    }
    Ok(builder)
}

/// Whether the repo's configuration has a suffix, which goes before that of the command line.
fn has_suffix(repo: &Path) -> bool {
    // What is wrong with the file is told when the repo is opened.
    ConfigFile::load(repo)
        .and_then(|file| file.get("Version.AgentSuffix"))
        .is_ok_and(|suffix| !suffix.is_null())
}

/// The configuration that `--init` begins with.
///
/// # Errors
/// A file that cannot be read.
pub fn initial_config(invocation: &Invocation) -> Result<Option<String>, Failure> {
    let Some(path) = invocation.path("init-config") else {
        return Ok(None);
    };
    let failed = |reason: &dyn std::fmt::Display| {
        Failure::failed(format_args!("read {}: {reason}", path.display()))
    };
    let mut text = String::new();
    let file = File::open(&path).map_err(|error| failed(&error))?;
    let read = file.take(MAX_CONFIG + 1).read_to_string(&mut text);
    match read.map_err(|error| failed(&error))? as u64 > MAX_CONFIG {
        true => Err(failed(
            &"the file is larger than 4 MiB: this is no configuration",
        )),
        false => Ok(Some(text)),
    }
}
