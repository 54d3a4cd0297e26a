//! The direction of dependencies between the crates, read from `cargo metadata`.

use crate::run::{capture, cargo, root};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each crate of ours and those of ours it may use. A crate that is not here fails the check.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("ipfs-kit-blockstore", &[]),
    ("ipfs-kit-unixfs", &["ipfs-kit-blockstore"]),
    ("ipfs-kit-bitswap", &["ipfs-kit-blockstore"]),
    ("ipfs-kit-ipns", &["ipfs-kit-blockstore"]),
    (
        "ipfs-kit-node",
        &[
            "ipfs-kit-blockstore",
            "ipfs-kit-unixfs",
            "ipfs-kit-bitswap",
            "ipfs-kit-ipns",
        ],
    ),
    ("ipfs-kit-http", &["ipfs-kit-node"]),
    ("ipfs-kit", &["ipfs-kit-node", "ipfs-kit-http"]),
    // The machine's hash limit is measured with the hash that the binary uses.
    ("ipfs-kit-interop-tests", &["ipfs-kit-blockstore"]),
    ("xtask", &[]),
];

/// What the crate without IO may use beside our own crates.
const UNIXFS_MAY_USE: [&str; 4] = ["bytes", "rustc-hash", "smallvec", "thiserror"];

/// Crates that bring an executor or the network; nothing below `node` may reach one.
const ASYNC_OR_NETWORK: [&str; 10] = [
    "tokio",
    "async-std",
    "smol",
    "futures",
    "mio",
    "hyper",
    "reqwest",
    "libp2p",
    "quinn",
    "socket2",
];

/// Parts of the standard library that the pure parts never name.
const IMPURE: [&str; 7] = [
    "std::fs",
    "std::net",
    "std::thread",
    "std::time",
    "std::process",
    "std::env",
    "std::os",
];

/// The pure parts: directories or files below the root.
const PURE: [&str; 1] = ["unixfs/src"];

/// Fails on the first dependency that points the wrong way.
pub fn check() -> Result<()> {
    let metadata = capture(cargo().args(["metadata", "--format-version=1", "--locked"]))?;
    let metadata: Value = serde_json::from_slice(&metadata)?;
    let ours = workspace_packages(&metadata)?;
    for (name, uses) in &ours {
        check_direction(name, uses, &ours)?;
    }
    ensure!(
        ours.len() == ALLOWED.len(),
        "a crate of the table is not in the workspace"
    );
    for use_ in &ours["ipfs-kit-unixfs"] {
        ensure!(
            UNIXFS_MAY_USE.contains(&use_.as_str()) || ours.contains_key(use_),
            "ipfs-kit-unixfs does no IO, but uses {use_}"
        );
    }
    for core in ["ipfs-kit-blockstore", "ipfs-kit-unixfs"] {
        check_reach(&metadata, core)?;
    }
    for part in PURE {
        check_sources(&root().join(part))?;
    }
    println!("{} crates, nothing points upward", ours.len());
    Ok(())
}

fn check_direction(
    name: &str,
    uses: &BTreeSet<String>,
    ours: &BTreeMap<String, BTreeSet<String>>,
) -> Result<()> {
    let Some((_, allowed)) = ALLOWED.iter().find(|(allowed, _)| *allowed == name) else {
        bail!("{name} is not in the table of layers: xtask/src/layers.rs");
    };
    for use_ in uses.iter().filter(|use_| ours.contains_key(*use_)) {
        ensure!(
            allowed.contains(&use_.as_str()),
            "{name} must not use {use_}"
        );
    }
    Ok(())
}

/// Normal dependencies by name of every workspace member.
fn workspace_packages(metadata: &Value) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let members = metadata["workspace_members"]
        .as_array()
        .context("no members")?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let mut ours = BTreeMap::new();
    for package in packages
        .iter()
        .filter(|package| members.contains(&package["id"]))
    {
        let uses = package["dependencies"]
            .as_array()
            .context("no dependencies")?
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| text(&dependency["name"]))
            .collect::<Result<_>>()?;
        ours.insert(text(&package["name"])?, uses);
    }
    Ok(ours)
}

/// No crate of `ASYNC_OR_NETWORK` is reachable from `name` by normal dependencies.
fn check_reach(metadata: &Value, name: &str) -> Result<()> {
    let packages = metadata["packages"].as_array().context("no packages")?;
    let names: BTreeMap<&str, &str> = packages
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
        .collect();
    let nodes = metadata["resolve"]["nodes"]
        .as_array()
        .context("no resolve")?;
    let edges: BTreeMap<&str, &Value> = nodes
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, &node["deps"])))
        .collect();
    let start = names
        .iter()
        .find(|(_, found)| **found == name)
        .context("not in the graph")?
        .0;
    let mut open = vec![*start];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let reached = names.get(id).copied().unwrap_or(id);
        ensure!(
            !ASYNC_OR_NETWORK.contains(&reached),
            "{name} reaches {reached}"
        );
        for dep in edges
            .get(id)
            .and_then(|deps| deps.as_array())
            .into_iter()
            .flatten()
        {
            let kinds = dep["dep_kinds"].as_array().context("no dep_kinds")?;
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                open.extend(dep["pkg"].as_str());
            }
        }
    }
    Ok(())
}

fn check_sources(path: &Path) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            check_sources(&entry?.path())?;
        }
        return Ok(());
    }
    if path.extension().is_none_or(|extension| extension != "rs") {
        return Ok(());
    }
    let source = fs::read_to_string(path)?;
    // Tests may read vectors: only what stands before them is pure.
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    if path.file_name().is_some_and(|name| name == "tests.rs") {
        return Ok(());
    }
    for word in IMPURE {
        ensure!(
            !source.contains(word),
            "{} is pure, but names {word}",
            path.display()
        );
    }
    Ok(())
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().context("not a text")?.to_owned())
}
