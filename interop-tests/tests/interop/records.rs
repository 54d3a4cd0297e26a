//! IPNS records as bytes: put at one node, got from another, and refused where they do not hold.

use super::online::{Online, until};
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::{Peer, Side, scratch};
use serde_json::json;
use std::path::{Path, PathBuf};

/// A record that a repo without a daemon signed.
struct Signed {
    name: String,
    value: String,
    bytes: Vec<u8>,
    file: PathBuf,
}

impl Signed {
    /// Signs with a new key `key` for `lifetime`.
    fn new(maker: &Peer, place: &Path, key: &str, lifetime: &str) -> Result<Self> {
        let name = maker.text(["key", "gen", key])?;
        let file = maker.run_with(["add", "-Q", "--stdin-name=file"], key.as_bytes())?;
        let value = format!("/ipfs/{}", String::from_utf8(file)?.trim());
        let lifetime = format!("--lifetime={lifetime}");
        let options = ["--allow-offline", "--ttl=0s", &lifetime, "-k", key, &value];
        maker.run(["name", "publish"].into_iter().chain(options))?;
        let bytes = maker.run(["name", "get", &name])?;
        let file = place.join(key);
        std::fs::write(&file, &bytes)?;
        Ok(Self {
            name: format!("/ipns/{name}"),
            value,
            bytes,
            file,
        })
    }

    /// The arguments that put the record under its name.
    fn put(&self) -> Result<[&str; 4]> {
        put(&self.name, &self.file)
    }
}

fn put<'a>(name: &'a str, file: &'a Path) -> Result<[&'a str; 4]> {
    let file = file.to_str().context("the path is not UTF-8")?;
    Ok(["routing", "put", name, file])
}

/// Ours and a Kubo that know only a Kubo between them.
fn ends(place: &Path) -> Result<[Online; 3]> {
    let start = |side: Side, name: &str| {
        let config = [
            ("Routing.Type", json!("dhtserver")),
            ("Routing.LoopbackAddressesOnLanDHT", json!(true)),
        ];
        Online::start(side, place, name, &config)
    };
    let nodes = [
        start(Side::Ours, "ours")?,
        start(Side::Kubo, "middle")?,
        start(Side::Kubo, "kubo")?,
    ];
    nodes[0].connect(&nodes[1])?;
    nodes[2].connect(&nodes[1])?;
    Ok(nodes)
}

#[test]
fn records_are_put_at_one_node_and_got_from_another() -> Result<()> {
    let place = scratch::in_memory()?;
    let [ours, _middle, kubo] = ends(place.path())?;
    let maker = Peer::init(Side::Ours, place.path().join("maker"))?;
    let mut found = 0;
    for (key, from, to) in [("a", &ours, &kubo), ("b", &kubo, &ours)] {
        let record = Signed::new(&maker, place.path(), key, "1h")?;
        let got = until("the record is found", || {
            from.run(record.put()?)?;
            to.run(["routing", "get", "--timeout=5s", &record.name])
                .map(Some)
        })
        .with_context(|| format!("put at {}", from.side().name()))?;
        ensure!(got == record.bytes, "another record was found");
        let value = to.text(["name", "resolve", "--timeout=5s", &record.name])?;
        ensure!(value == record.value, "{value}, not {}", record.value);
        found += 1;
    }
    assert_eq!(found, 2);
    Ok(())
}

#[test]
fn forged_and_expired_records_are_refused_with_the_reason() -> Result<()> {
    let place = scratch::in_memory()?;
    let [ours, _middle, kubo] = ends(place.path())?;
    let maker = Peer::init(Side::Ours, place.path().join("maker"))?;
    let good = Signed::new(&maker, place.path(), "good", "1h")?;
    let other = Signed::new(&maker, place.path(), "other", "1h")?;
    let short = Signed::new(&maker, place.path(), "short", "1s")?;

    let said = ours.refusal(&put(&good.name, &other.file)?)?;
    ensure!(said.contains("signature verification failed"), "{said}");

    let changed = place.path().join("changed");
    for position in [4, good.bytes.len() / 2, good.bytes.len() - 4] {
        let mut bytes = good.bytes.clone();
        bytes[position] ^= 1;
        std::fs::write(&changed, bytes)?;
        let said = ours.refusal(&put(&good.name, &changed)?)?;
        ensure!(said.contains("record refused"), "byte {position}: {said}");
    }
    let said = ours.refusal(&put("/ipns/nonsense", &good.file)?)?;
    ensure!(said.contains("nonsense"), "{said}");

    until("a second has passed", || {
        let said = ours.output(short.put()?)?;
        Ok((!said.status.success()).then_some(()))
    })?;
    let said = ours.refusal(&short.put()?)?;
    ensure!(said.contains("record expired at"), "{said}");
    ours.refusal(&["name", "resolve", "--timeout=10s", &short.name])?;

    // Nothing of all that is left anywhere: the name is free for its own record.
    let said = kubo.output(["routing", "get", "--timeout=3s", &good.name])?;
    ensure!(!said.status.success(), "a refused record is found");
    let got = until("the record is found", || {
        ours.run(good.put()?)?;
        kubo.run(["routing", "get", "--timeout=5s", &good.name])
            .map(Some)
    })?;
    ensure!(got == good.bytes, "another record was found");
    Ok(())
}

/// Names over pubsub, where there is no DHT: the last record by fetching, and new ones over the topic, both ways.
#[test]
fn names_go_over_pubsub_to_and_from_kubo() -> Result<()> {
    let place = scratch::in_memory()?;
    let config = [
        ("Routing.Type", json!("none")),
        ("Ipns.UsePubsub", json!(true)),
        ("Pubsub.Enabled", json!(true)),
    ];
    let ours = Online::start(Side::Ours, place.path(), "ours", &config)?;
    let kubo = Online::start(Side::Kubo, place.path(), "kubo", &config)?;
    ours.connect(&kubo)?;
    let mut came = 0;
    for (from, to) in [(&ours, &kubo), (&kubo, &ours)] {
        ensure!(from.text(["name", "pubsub", "state"])? == "enabled");
        let name = format!("/ipns/{}", from.text(["key", "gen", "followed"])?);
        for round in 0..2 {
            let file = from.add(format!("{round} from {}", from.side().name()).as_bytes())?;
            let value = format!("/ipfs/{file}");
            let publish = [
                "name",
                "publish",
                "--allow-offline",
                "--ttl=0s",
                "-k",
                "followed",
            ];
            from.run(publish.into_iter().chain([value.as_str()]))?;
            until("the name leads to its new value", || {
                // Until something has come, this fails.
                let found = to.run(["name", "resolve", "--nocache", "--timeout=5s", &name]);
                let found = found.unwrap_or_default();
                Ok((String::from_utf8_lossy(&found).trim() == value).then_some(()))
            })
            .with_context(|| format!("round {round} from {}", from.side().name()))?;
            came += 1;
        }
        for side in [from, to] {
            let names = side.text(["name", "pubsub", "subs"])?;
            ensure!(names.lines().any(|line| line == name), "{name}: {names}");
        }
        ensure!(to.text(["name", "pubsub", "cancel", &name])? == "canceled");
        ensure!(to.text(["name", "pubsub", "cancel", &name])? == "no subscription");
    }
    assert_eq!(came, 4);
    Ok(())
}
