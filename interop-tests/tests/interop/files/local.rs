//! The commands on repos that no daemon holds.

use super::noise;
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::daemon::Daemon;
use ipfs_kit_interop_tests::{Peer, scratch};

/// What is run, with the names of two files in capitals.
const STEPS: &[&[&str]] = &[
    &["files", "write", "-e", "/large", "LARGE"],
    &["files", "write", "-o", "100", "/large", "LARGE"],
    &["files", "write", "-o", "4999999", "/large", "LARGE"],
    &[
        "files",
        "write",
        "-e",
        "--cid-version=1",
        "/large1",
        "LARGE",
    ],
    &["files", "write", "-t", "/large1", "LARGE"],
    &[
        "files",
        "write",
        "-e",
        "-p",
        "-n",
        "2200000",
        "/some/where/cut",
        "LARGE",
    ],
    &["files", "--flush=false", "mkdir", "/late"],
    &["files", "ls", "-l"],
    &["files", "stat", "/"],
    &["files", "flush"],
    &["files", "rm", "/late"],
    &["files", "rm", "/late", "/nosuch"],
    &["files", "rm", "-r", "/late"],
    &["files", "mkdir", "--hash", "identity", "/small"],
    &["files", "stat", "/small"],
    &["files", "stat", "--with-local", "/large"],
    &["files", "stat", "--hash", "--size", "/large"],
    &["files", "chmod", "0640", "/large1"],
    &[
        "files",
        "stat",
        "--format=<mode> <mode-octal> <mtime>",
        "/large1",
    ],
    &["files", "read", "-o", "4999990", "-n", "20", "/large"],
    &["add", "-q", "--to-files=/", "SMALL"],
    &["add", "-q", "--to-files=/some/", "SMALL", "LARGE"],
    &["add", "-q", "--to-files=/some/name", "SMALL"],
    &["add", "-q", "--to-files=/some/name", "SMALL"],
    &["add", "-q", "--to-files=/no/such", "SMALL"],
    &["add", "-q", "--to-files=/no/such/", "SMALL"],
    &["add", "-q", "--to-files=/large/", "SMALL"],
    &["add", "-q", "-w", "--to-files=/", "SMALL"],
    &["add", "-q", "-n", "--to-files=/", "SMALL"],
    &["files", "ls", "-l", "/some"],
    &["files", "stat", "/"],
];

/// What runs while no daemon does.
const WITHOUT_DAEMON: &[&[&str]] = &[
    &["files", "chroot"],
    &[
        "files",
        "chroot",
        "--confirm",
        "QmcvMqREE6ubcCExQXsDgcLELbx1vKBD4wGJqqFEkHg9oP",
    ],
    &["files", "chroot", "--confirm"],
    &["files", "ls"],
    &["files", "stat", "--enc=json", "/"],
];

/// Runs one command on both sides; standard output, the exit code and the first line of the error must be equal.
fn both(ours: &Peer, kubo: &Peer, args: &[&str]) -> Result<String> {
    let told = |peer: &Peer| -> Result<(Option<i32>, String, String)> {
        let output = peer.output(args)?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = error.lines().find(|line| line.starts_with("Error: "));
        Ok((
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            line.unwrap_or_default().to_owned(),
        ))
    };
    let (got, wanted) = (told(ours)?, told(kubo)?);
    ensure!(got == wanted, "{args:?}\n ours {got:?}\n kubo {wanted:?}");
    Ok(wanted.1)
}

#[test]
fn the_command_line_alone_gives_what_kubo_gives() -> Result<()> {
    compare(false)
}

#[test]
fn the_command_line_of_a_daemon_gives_what_kubo_gives() -> Result<()> {
    compare(true)
}

fn compare(attached: bool) -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    let path = |name: &str, len: usize| -> Result<String> {
        let path = place.path().join(name);
        std::fs::write(&path, noise(len as u64, len))?;
        Ok(path.to_str().context("the path is not UTF-8")?.to_owned())
    };
    let (small, large) = (path("small", 1000)?, path("large", 5_000_000)?);
    let daemons = match attached {
        true => Some((
            Daemon::start(&ours, &["--offline"])?,
            Daemon::start(&kubo, &["--offline"])?,
        )),
        false => None,
    };
    // A large file is larger than what is written in one go. Where Kubo's daemon cuts it depends on the bytes and on how
    // they come over the wire.
    let large = if attached { small.clone() } else { large };
    for args in STEPS {
        let args: Vec<&str> = args
            .iter()
            .map(|arg| match *arg {
                "SMALL" => &small,
                "LARGE" => &large,
                arg => arg,
            })
            .collect();
        both(&ours, &kubo, &args)?;
    }
    if daemons.is_some() {
        return Ok(());
    }
    for args in WITHOUT_DAEMON {
        both(&ours, &kubo, args)?;
    }
    Ok(())
}

#[test]
fn unflushed_changes_are_limited_as_in_kubo() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    for peer in [&ours, &kubo] {
        peer.run(["config", "--json", "Internal.MFSNoFlushLimit", "3"])?;
    }
    let mut pair = super::Pair::start(&ours, &kubo)?;
    for nth in 0..5 {
        pair.call(&format!("files/mkdir?arg=/{nth}&flush=false"), None)?;
    }
    pair.call("files/flush", None)?;
    for nth in 5..9 {
        pair.call(&format!("files/mkdir?arg=/{nth}&flush=false"), None)?;
    }
    pair.change("files/mkdir?arg=/flushed", None)?;
    pair.call("files/ls", None)?;
    Ok(())
}
