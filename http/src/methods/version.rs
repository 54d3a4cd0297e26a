//! `version`: what this program is made of.

use std::env::consts;

use ipfs_kit_node::repo::REPO_VERSION;
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

mod check;

/// `ipfs-kit version`
pub const COMMAND: Command = Command {
    name: "version",
    tagline: "Show version information",
    about: "Returns the current version of ipfs-kit and exits.",
    options: &[
        Opt::flag(&["number", "n"], "Only show the version number"),
        Opt::flag(&["commit"], "Show the commit hash"),
        Opt::flag(&["repo"], "Show repo version"),
        Opt::flag(&["all"], "Show all version information"),
    ],
    subcommands: &[&check::COMMAND, &DEPS],
    records: &[Shape::of::<Info>()],
    brief: true,
    run: Some(Run::Anywhere(run)),
    ..Command::EMPTY
};

const DEPS: Command = Command {
    name: "deps",
    tagline: "Shows information about dependencies used for build",
    about: "Print out all dependencies and their versions.",
    reply: Reply::Many,
    records: &[Shape::of::<Dependency>()],
    run: Some(Run::Anywhere(deps)),
    ..Command::EMPTY
};

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Set by whoever builds a release; a build from a checkout has none.
const COMMIT: Option<&str> = option_env!("IPFS_KIT_COMMIT");

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "VersionInfo")]
#[serde(rename_all = "PascalCase")]
struct Info {
    version: &'static str,
    commit: &'static str,
    repo: String,
    system: String,
    /// Kubo's clients expect the field; this program has no Go in it.
    golang: &'static str,
    rust: &'static str,
}

impl Record for Info {
    const NAME: &'static str = "VersionInfo";
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let commit = COMMIT.unwrap_or_default();
    let with_commit = match commit {
        "" => VERSION.to_owned(),
        commit => format!("{VERSION}-{commit}"),
    };
    let text = if invocation.flag("all") {
        format!(
            "ipfs-kit version: {with_commit}\nRepo version: {REPO_VERSION}\n\
             System version: {}\nRust version: {}\n",
            system(),
            rust()
        )
    } else if invocation.flag("repo") {
        format!("{REPO_VERSION}\n")
    } else {
        let version = if invocation.flag("commit") {
            with_commit
        } else {
            VERSION.to_owned()
        };
        match invocation.flag("number") {
            true => format!("{version}\n"),
            false => format!("ipfs-kit version {version}\n"),
        }
    };
    let record = || Info {
        version: VERSION,
        commit,
        repo: REPO_VERSION.to_string(),
        system: system(),
        golang: "",
        rust: rust(),
    };
    invocation
        .out
        .emit(record, |out| out.extend_from_slice(text.as_bytes()))
}

/// Processor and system in Go's names, as Kubo's clients know them.
pub fn system() -> String {
    let processor = match consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    format!("{processor}/{}", consts::OS)
}

/// The oldest compiler that builds this source.
fn rust() -> &'static str {
    env!("CARGO_PKG_RUST_VERSION")
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Dependency {
    path: String,
    version: String,
    replaced_by: String,
    sum: String,
}

impl Record for Dependency {
    const NAME: &'static str = "Dependency";
}

/// The lock file this program was built with.
const LOCK: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));

fn deps(invocation: &mut Invocation) -> Result<(), Failure> {
    let packages = packages(LOCK);
    for package in reachable(&packages, "ipfs-kit") {
        let line = format!("{}@{}\n", package.name, package.version);
        let record = || Dependency {
            path: package.name.to_owned(),
            version: package.version.to_owned(),
            replaced_by: String::new(),
            sum: package.checksum.to_owned(),
        };
        invocation
            .out
            .emit(record, |out| out.extend_from_slice(line.as_bytes()))?;
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    checksum: &'a str,
    needs: Vec<&'a str>,
}

/// The packages of a lock file. Cargo writes one key a line, so no TOML parser is needed.
fn packages(lock: &str) -> Vec<Package<'_>> {
    let mut packages = Vec::new();
    for line in lock.lines() {
        let line = line.trim();
        if line == "[[package]]" {
            packages.push(Package::default());
            continue;
        }
        let Some(package) = packages.last_mut() else {
            continue;
        };
        let quoted =
            |text: &'static str| line.strip_prefix(text).map(|rest| rest.trim_matches('"'));
        if let Some(name) = quoted("name = ") {
            package.name = name;
        } else if let Some(version) = quoted("version = ") {
            package.version = version;
        } else if let Some(checksum) = quoted("checksum = ") {
            package.checksum = checksum;
        } else if let Some(need) = line.strip_prefix('"') {
            package
                .needs
                .push(need.trim_end_matches(',').trim_end_matches('"'));
        }
    }
    packages
}

/// The package and everything it needs, each once.
fn reachable<'a, 'p>(packages: &'p [Package<'a>], root: &str) -> Vec<&'p Package<'a>> {
    let mut found: Vec<&Package<'_>> = Vec::new();
    let mut next: Vec<&str> = vec![root];
    while let Some(need) = next.pop() {
        // A need is a name, with its version when there are several.
        let (name, version) = need.split_once(' ').unwrap_or((need, ""));
        let package = packages.iter().find(|package| {
            package.name == name && (version.is_empty() || package.version == version)
        });
        let Some(package) = package else { continue };
        let known = |other: &&Package<'_>| std::ptr::eq(*other, package);
        if found.iter().any(known) {
            continue;
        }
        found.push(package);
        next.extend(&package.needs);
    }
    found.sort_by_key(|package| (package.name != root, package.name, package.version));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_is_understood() {
        let packages = packages(LOCK);
        assert_eq!(packages.len(), LOCK.matches("[[package]]").count());
        let all = reachable(&packages, "ipfs-kit");
        assert_eq!(all[0].name, "ipfs-kit");
        for name in ["ipfs-kit-node", "ipfs-kit-blockstore", "serde_json", "redb"] {
            assert!(all.iter().any(|package| package.name == name), "{name}");
        }
        assert!(!all.iter().any(|package| package.name == "xtask"));
        assert!(all.iter().all(|package| !package.version.is_empty()));
    }
}
