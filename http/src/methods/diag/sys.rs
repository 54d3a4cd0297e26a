//! `diag sys`: the machine and the program.

use std::env::{self, consts};
use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::command::{Command, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::methods::version;
use crate::observed::Process;
use crate::output::{Record, go_json_pretty};

/// `ipfs-kit diag sys`
pub const COMMAND: Command = Command {
    name: "sys",
    tagline: "Print system diagnostic information",
    about: "Prints out information about your computer to aid in easier debugging.",
    records: &[Shape::of::<Report>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SystemReport")]
#[serde(transparent)]
struct Report(#[schemars(with = "serde_json::Map<String, Value>")] Value);

impl Record for Report {
    const NAME: &'static str = "map[string]interface {}";
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let online = node.is_online();
    let report = report(node.path(), online);
    let mut text = Vec::new();
    go_json_pretty(&mut text, &report)?;
    invocation.out.emit(
        || Report(report),
        |out| {
            out.extend_from_slice(&text);
            out.push(b'\n');
        },
    )?;
    invocation.close(node)
}

/// What is told of the machine. Names are Kubo's, as far as it has them.
pub fn report(repo: Option<&Path>, online: bool) -> Value {
    let process = Process::look();
    json!({
        "diskinfo": repo.map(disk).unwrap_or_default(),
        "environment": {"IPFS_PATH": env::var("IPFS_PATH").unwrap_or_default(), "GOPATH": ""},
        "ipfs_commit": "",
        "ipfs_version": version::VERSION,
        "memory": memory(&process),
        "net": {"interface_addresses": interfaces(), "online": online},
        "runtime": {
            "arch": version::system().split('/').next(),
            "compiler": "rustc",
            "gomaxprocs": cpus(),
            "numcpu": cpus(),
            "numgoroutines": process.threads,
            "os": consts::OS,
            "version": concat!("rust", env!("CARGO_PKG_RUST_VERSION")),
        },
    })
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn disk(repo: &Path) -> Value {
    let Ok(stat) = rustix::fs::statvfs(repo) else {
        return Value::Null;
    };
    json!({
        "free_space": stat.f_bavail * stat.f_frsize,
        "fstype": file_system(repo),
        "total_space": stat.f_blocks * stat.f_frsize,
    })
}

/// The type of the file system a path is in: that of the longest mount point above it.
fn file_system(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fitting = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (at, kind) = (words.next()?, words.next()?);
        path.starts_with(at).then_some((at.len(), kind))
    });
    // Of two at one place the later one is on top.
    let longest = fitting.max_by_key(|(len, _)| *len);
    longest.map_or_else(String::new, |(_, kind)| kind.to_owned())
}

fn memory(process: &Process) -> Value {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let swap = status.lines().find_map(|line| {
        let kib = line.strip_prefix("VmSwap:")?.trim().strip_suffix(" kB")?;
        kib.trim().parse::<u64>().ok()
    });
    json!({
        "resident": process.resident_bytes,
        "swap": swap.unwrap_or(0) * 1024,
        "virt": process.virtual_bytes,
    })
}

/// Addresses of this machine, as multiaddresses.
fn interfaces() -> Vec<String> {
    let mut all = Vec::new();
    let routes = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let mut last = "";
    for line in routes.lines() {
        let line = line.trim_start_matches([' ', '+', '|', '-']);
        if line.starts_with("/32 host LOCAL") {
            all.push(format!("/ip4/{last}"));
        }
        last = line.split(' ').next().unwrap_or_default();
    }
    let six = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    for line in six.lines() {
        let number = line
            .split(' ')
            .next()
            .and_then(|hex| u128::from_str_radix(hex, 16).ok());
        all.extend(number.map(|number| format!("/ip6/{}", std::net::Ipv6Addr::from(number))));
    }
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_seen() {
        let report = report(Some(Path::new("/")), false);
        assert!(
            report["diskinfo"]["total_space"].as_u64().unwrap() > 0,
            "{report}"
        );
        assert_ne!(report["diskinfo"]["fstype"], "");
        assert!(report["memory"]["virt"].as_u64().unwrap() > 0);
        assert_eq!(report["runtime"]["os"], "linux");
        let addresses = report["net"]["interface_addresses"].as_array().unwrap();
        let multiaddr = |text: &Value| text.as_str().unwrap().parse::<ipfs_kit_node::Multiaddr>();
        assert!(
            addresses.iter().all(|address| multiaddr(address).is_ok()),
            "{addresses:?}"
        );
    }
}
