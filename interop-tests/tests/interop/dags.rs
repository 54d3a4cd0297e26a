//! DAGs that are no files over the wire: dag-cbor with links of all kinds, and a HAMT of 20,000 entries.

use super::inputs::Inputs;
use super::online::Online;
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::stream::Stream;
use ipfs_kit_interop_tests::{Peer, Side, scratch};
use serde_json::{Value, json};
use std::path::Path;

/// Entries of the sharded directory, beside a directory with one more.
const ENTRIES: usize = 20_000;

/// Nodes of the chain below the root of the dag-cbor DAG.
const CHAIN: usize = 40;

fn pair(place: &Path) -> Result<(Online, Online)> {
    let start = |side: Side| {
        let config = [("Routing.Type", json!("none"))];
        Online::start(side, place, side.name(), &config)
    };
    let (ours, kubo) = (start(Side::Ours)?, start(Side::Kubo)?);
    ours.connect(&kubo)?;
    Ok((ours, kubo))
}

fn link(cid: &str) -> Value {
    json!({ "/": cid })
}

fn put(peer: &Peer, codec: &str, value: &Value) -> Result<String> {
    let codec = format!("--store-codec={codec}");
    let cid = peer.run_with(["dag", "put", &codec], value.to_string().as_bytes())?;
    Ok(String::from_utf8(cid)?.trim().to_owned())
}

/// A root in dag-cbor over a chain of its own kind, a file, raw bytes and dag-json.
fn make(from: &Online) -> Result<String> {
    let file = from.add(&Stream::new(&from.id).take(700_000))?;
    let raw = from.run_with(["block", "put"], from.id.as_bytes())?;
    let raw = String::from_utf8(raw)?.trim().to_owned();
    let inner = put(
        from,
        "dag-json",
        &json!({"of": from.id, "file": link(&file)}),
    )?;
    let mut last = put(from, "dag-cbor", &json!({"end": true, "of": from.id}))?;
    for height in 1..=CHAIN {
        let bytes = json!({"/": {"bytes": "AP8KDQ"}});
        let node = json!({"height": height, "bytes": bytes, "below": [link(&last), null, 1.5]});
        last = put(from, "dag-cbor", &node)?;
    }
    let root = json!({
        "chain": link(&last),
        "others": {"file": link(&file), "raw": link(&raw), "json": link(&inner)},
        "twice": [link(&raw), link(&raw)],
        "negative": -1,
        "text": "\u{e9}\u{0}",
    });
    put(from, "dag-cbor", &root)
}

/// Whatever path the other side asks for, it gets the same as who made it; then it has all of it.
fn travels(from: &Online, to: &Online) -> Result<()> {
    let root = make(from)?;
    let deep = format!("{root}/chain{}/end", "/below/0".repeat(CHAIN));
    ensure!(to.text(["dag", "get", "--timeout=30s", &deep])? == "true");
    let file = format!("{root}/others/json/file");
    for path in [&root, &format!("{root}/others/json"), &file] {
        let resolved = from.text(["dag", "resolve", path])?;
        ensure!(to.text(["dag", "resolve", "--timeout=20s", path])? == resolved);
        let got = to.run(["dag", "get", "--timeout=20s", path])?;
        ensure!(got == from.run(["dag", "get", path])?, "{path} differs");
    }
    to.run(["pin", "add", "--timeout=30s", &root])?;
    let stat = |peer: &Peer| peer.run(["refs", "-r", "-u", &root]);
    let (made, got) = (stat(from)?, stat(to)?);
    ensure!(made == got, "the DAGs differ");
    // The chain, its end, the dag-json node, the raw one, and the file with its three leaves.
    ensure!(String::from_utf8(got)?.lines().count() == CHAIN + 1 + 2 + 4);
    Ok(())
}

#[test]
fn a_dag_of_several_codecs_travels_both_ways() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = pair(place.path())?;
    travels(&ours, &kubo).context("from ours to kubo")?;
    travels(&kubo, &ours).context("from kubo to ours")
}

#[test]
fn a_sharded_directory_of_20_000_entries_travels_both_ways() -> Result<()> {
    let place = scratch::in_memory()?;
    let inputs = Inputs::new(place.path())?;
    let (ours, kubo) = pair(place.path())?;
    let mut listed = 0;
    for (from, to, name_length) in [(&ours, &kubo, 30), (&kubo, &ours, 31)] {
        let folder = inputs.folder(ENTRIES, name_length)?;
        let folder = folder.to_str().context("the path is not UTF-8")?;
        let root = from.text(["add", "-r", "-Q", folder])?;
        to.run(["pin", "add", "--timeout=60s", &root])
            .with_context(|| format!("from {}", from.side().name()))?;
        let listing = to.text(["ls", "--resolve-type=false", "--size=false", &root])?;
        ensure!(listing.lines().count() == ENTRIES + 1);
        ensure!(listing == from.text(["ls", "--resolve-type=false", "--size=false", &root])?);
        for index in [0, 7_777, ENTRIES - 1] {
            let path = format!("{root}/{index:0name_length$}");
            let got = to.text(["cat", "--timeout=10s", &path])?;
            ensure!(got == format!("content {}", index % 50), "{path}: {got}");
        }
        listed += 1;
    }
    assert_eq!(listed, 2);
    Ok(())
}
