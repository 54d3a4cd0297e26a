//! `migrate` on a repo that a real Kubo filled: afterwards ours says what Kubo said.

use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::daemon::Daemon;
use ipfs_kit_interop_tests::stream::{Stream, write_file};
use ipfs_kit_interop_tests::{Peer, Side, scratch, tree};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::SystemTime;

/// Pins made one by one over RPC, beside those of trees.
const PINS: usize = 1_000;

/// A Kubo repo with a bit of everything.
fn fill(place: &Path) -> Result<Peer> {
    let kubo = Peer::init(Side::Kubo, place.join("kubo"))?;
    let source = place.join("source");
    fs::create_dir(&source)?;
    fs::create_dir(source.join("odd"))?;
    tree::make_odd(&source.join("odd"))?;
    tree::make_small_files(&source.join("many"), 300, 40, "migrate")?;
    write_file(&source.join("big"), "migrate", 7_000_000)?;
    let path = |name: &str| source.join(name).display().to_string();
    kubo.run(["config", "--json", "Import.CidVersion", "1"])?;
    kubo.run(["config", "Datastore.StorageMax", "9GB"])?;
    kubo.run(["key", "gen", "site"])?;
    kubo.run(["key", "gen", "--type=rsa", "--size=2048", "old"])?;
    let daemon = Daemon::start(&kubo, &["--offline"])?;
    let add = |name: &str, flags: &[&str]| -> Result<String> {
        let path = path(name);
        kubo.text(["add", "-r", "-Q", &path].iter().chain(flags))
    };
    let odd = add(
        "odd",
        &["--hidden", "--cid-version=0", "--pin-name=odd tree"],
    )?;
    let sharded = add("many", &["--max-directory-links=8", "--max-hamt-fanout=8"])?;
    let big = add("big", &["--chunker=size-65536", "--pin-name=big"])?;
    add(
        "big",
        &["--chunker=rabin", "--hash=blake2b-256", "--pin=false"],
    )?;
    let node = format!(r#"{{"odd":{{"/":"{odd}"}},"more":[{{"/":"{sharded}"}},{{"/":"{big}"}}]}}"#);
    let node = kubo.run_with(["dag", "put", "--pin"], node.as_bytes())?;
    let node = String::from_utf8(node)?.trim().to_owned();
    let json = format!(r#"{{"json":{{"/":"{node}"}}}}"#);
    kubo.run_with(
        ["dag", "put", "--store-codec=dag-json", "--pin"],
        json.as_bytes(),
    )?;
    many_pins(&daemon)?;
    kubo.run(["files", "mkdir", "-p", "/a/b"])?;
    for (at, cid) in [("/a/odd", &odd), ("/a/b/many", &sharded), ("/big", &big)] {
        kubo.run(["files", "cp", &format!("/ipfs/{cid}"), at])?;
    }
    kubo.run_with(["files", "write", "--create", "/a/late"], b"late")?;
    kubo.run_with(["block", "put"], b"nothing holds it")?;
    for value in [&odd, &big] {
        let value = format!("/ipfs/{value}");
        kubo.run(["name", "publish", "--allow-offline", "-k", "site", &value])?;
        kubo.run(["name", "publish", "--allow-offline", &value])?;
    }
    Ok(kubo)
}

/// Small blocks, each pinned: every third directly, most with a name.
fn many_pins(daemon: &Daemon) -> Result<()> {
    let mut connection = daemon.connect()?;
    for number in 0..PINS {
        let data = Stream::new(&format!("pin {number}")).take(50 + number % 700);
        let put = connection.call("block/put?cid-codec=raw", Some(&data))?;
        let put: Value = serde_json::from_slice(&put.body)?;
        let cid = put["Key"].as_str().context("no key")?;
        let name = match number % 5 {
            0 => String::new(),
            _ => format!("&name=pin+{number}+%C3%A4"),
        };
        let recursive = number % 3 != 0;
        let pinned = connection.call(
            &format!("pin/add?arg={cid}&recursive={recursive}{name}"),
            None,
        )?;
        ensure!(pinned.status == 200, "{pinned:?}");
    }
    Ok(())
}

/// Every file and directory, what is in it and when it was changed.
fn everything(dir: &Path) -> Result<BTreeSet<(String, Vec<u8>, SystemTime)>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let changed = fs::metadata(&path)?.modified()?;
        let name = path.display().to_string();
        if path.is_dir() {
            found.insert((name, Vec::new(), changed));
            found.extend(everything(&path)?);
        } else {
            found.insert((name, fs::read(&path)?, changed));
        }
    }
    Ok(found)
}

/// What a side says of what it holds, line by line in an order of ours.
fn answers(peer: &Peer) -> Result<Vec<(String, Vec<String>)>> {
    let commands = [
        "pin ls --type=recursive --names",
        "pin ls --type=direct --names",
        "pin ls --names",
        "refs local",
        "files stat --hash /",
        "files ls -l /",
        "files ls -l /a",
        "files ls -l /a/b",
        "files read /a/late",
        "key ls -l",
        "config Datastore.StorageMax",
        "config Import.CidVersion",
        "config Swarm.DisableNatPortMap",
        "dag stat --progress=false /ipfs/ROOT",
    ];
    let root = peer.text(["files", "stat", "--hash", "/"])?;
    let mut told = Vec::new();
    for command in commands {
        let command = command.replace("ROOT", &root);
        let text = peer.text(command.split(' '))?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        told.push((command, lines));
    }
    Ok(told)
}

fn report(output: &[u8]) -> Result<Value> {
    serde_json::from_slice(output).context("the report is no JSON")
}

#[test]
fn ours_says_what_kubo_said() -> Result<()> {
    let place = scratch::in_memory()?;
    let kubo = fill(place.path())?;
    let before = everything(kubo.repo())?;
    let ours = Peer::at(Side::Ours, place.path().join("ours"))?;
    let from = format!("--from={}", kubo.repo().display());
    let migrated = report(&ours.run(["migrate", &from, "--peer-id", "--enc=json"])?)?;
    ensure!(
        everything(kubo.repo())? == before,
        "the repo of Kubo's was changed"
    );
    ensure!(migrated["Complete"] == true, "{migrated}");
    ensure!(migrated["Names"]["Taken"] == 2, "{migrated}");
    let pins = migrated["Pins"]["Taken"].as_u64().context("no count")?;
    ensure!(pins as usize > PINS, "{migrated}");
    let again = report(&ours.run(["migrate", &from, "--peer-id", "--enc=json"])?)?;
    ensure!(
        again["Blocks"]["Taken"] == 0 && again["Pins"]["Taken"] == 0,
        "{again}"
    );

    for (got, wanted) in answers(&ours)?.into_iter().zip(answers(&kubo)?) {
        ensure!(
            got == wanted,
            "{}: ours {:?}, kubo {:?}",
            got.0,
            got.1,
            wanted.1
        );
    }
    // Every block, byte for byte.
    let blocks = ours.text(["refs", "local"])?;
    let ours_daemon = Daemon::start(&ours, &["--offline"])?;
    let kubo_daemon = Daemon::start(&kubo, &["--offline"])?;
    let (mut a, mut b) = (ours_daemon.connect()?, kubo_daemon.connect()?);
    for cid in blocks.lines() {
        let call = format!("block/get?arg={cid}");
        ensure!(a.call(&call, None)? == b.call(&call, None)?, "{cid}");
    }
    // The sequences of names go on, and Kubo says that the records are right.
    for key in ["self", "site"] {
        let name = ours.text(["key", "ls", "-l"])?;
        let name = name
            .lines()
            .find(|line| line.trim().ends_with(key))
            .context("no key")?;
        let name = name.split(' ').next().context("no id")?;
        let mut sequence = || -> Result<u64> {
            let record = ours.run(["name", "get", name])?;
            let inspected = b.call(&format!("name/inspect?verify={name}"), Some(&record))?;
            let inspected: Value = serde_json::from_slice(&inspected.body)?;
            ensure!(inspected["Validation"]["Valid"] == true, "{inspected}");
            inspected["Entry"]["Sequence"]
                .as_u64()
                .context("no sequence")
        };
        let before = sequence()?;
        ours.run([
            "name",
            "publish",
            "--allow-offline",
            "-k",
            key,
            "/ipfs/bafkqaaa",
        ])?;
        let after = sequence()?;
        ensure!(
            before > 0 && after == before + 1,
            "{key}: {before}, then {after}"
        );
    }
    Ok(())
}

#[test]
fn killed_and_begun_again_ends_the_same() -> Result<()> {
    let place = scratch::in_memory()?;
    let kubo = fill(place.path())?;
    let from = format!("--from={}", kubo.repo().display());
    let whole = Peer::at(Side::Ours, place.path().join("whole"))?;
    whole.run(["migrate", &from])?;
    let wanted = answers(&whole)?;
    let killed = Peer::at(Side::Ours, place.path().join("killed"))?;
    // It is killed when its repo has grown to so many bytes, or has ended by then.
    for limit in [1_u64, 200_000, 1_000_000, 3_000_000, 6_000_000, 9_000_000] {
        let mut command = killed.command(["migrate", &from]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        while size(killed.repo()) < limit && child.try_wait()?.is_none() {
            std::thread::yield_now();
        }
        child.kill()?;
        child.wait()?;
    }
    killed.run(["migrate", &from])?;
    for (got, wanted) in answers(&killed)?.into_iter().zip(wanted) {
        // Each repo has an identity of its own.
        if got.0 == "key ls -l" {
            continue;
        }
        ensure!(
            got == wanted,
            "{}: {:?} instead of {:?}",
            got.0,
            got.1,
            wanted.1
        );
    }
    Ok(())
}

fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => size(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

#[test]
fn a_running_kubo_keeps_its_repo_and_ours_keeps_kubo_out() -> Result<()> {
    let place = scratch::in_memory()?;
    let kubo = Peer::init(Side::Kubo, place.path().join("kubo"))?;
    let ours = Peer::at(Side::Ours, place.path().join("ours"))?;
    let from = format!("--from={}", kubo.repo().display());
    let daemon = Daemon::start(&kubo, &["--offline"])?;
    // Without the file that names its address, by the lock alone.
    let api = fs::read(kubo.repo().join("api"))?;
    for with_api in [true, false] {
        if !with_api {
            fs::remove_file(kubo.repo().join("api"))?;
        }
        let refused = ours.output(["migrate", &from])?;
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(
            !refused.status.success() && told.contains("Kubo is running"),
            "{told}"
        );
    }
    fs::write(kubo.repo().join("api"), api)?;
    daemon.kill()?;
    drop(daemon);
    // What the killed one left behind is in no one's way.
    ours.run(["migrate", &from])?;
    let daemon = Daemon::start(&ours, &["--offline"])?;
    let refused = ours.output(["migrate", &from])?;
    ensure!(!refused.status.success(), "a daemon of ours runs");
    drop(daemon);
    Ok(())
}
