//! Two daemons, offline, with the same identity and the same content.

use super::Case;
use super::compare::Depth;
use super::wire::{Ask, BOUNDARY};
use crate::files::noise;
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::daemon::Daemon;
use ipfs_kit_interop_tests::{Peer, Side};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// An Ed25519 key of RFC 8032 (the first of its examples), as libp2p writes it.
const KEY: [u8; 68] = *b"\x08\x01\x12\x40\
    \x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\
    \x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60\
    \xd7\x5a\x98\x01\x82\xb1\x0a\xb7\xd5\x4b\xfe\xd3\xc9\x64\x07\x3a\
    \x0e\xe1\x72\xf3\xda\xa6\x23\x25\xaf\x02\x1a\x68\xf7\x07\x51\x1a";

/// A node of DAG-CBOR, as DAG-JSON.
const NODE: &[u8] = br#"{"a":1,"list":[null,"x"]}"#;

/// The two daemons and what their content is called.
pub struct World {
    ours: Daemon,
    kubo: Daemon,
    /// The names that stand in cases, in braces, for what is known at run time only.
    names: BTreeMap<&'static str, String>,
}

impl World {
    /// Starts both daemons on repos that are the same.
    pub fn new(place: &Path) -> Result<World> {
        let (ours, kubo) = Peer::pair(place)?;
        let identity = config(&kubo)?["Identity"].clone();
        ensure!(identity["PeerID"].is_string(), "{identity}");
        let mut same = config(&ours)?;
        same["Identity"] = identity.clone();
        fs::write(
            ours.repo().join("config"),
            serde_json::to_vec_pretty(&same)?,
        )?;
        let peer = identity["PeerID"].as_str().unwrap_or_default().to_owned();
        Ok(World {
            ours: start(&ours)?,
            kubo: start(&kubo)?,
            names: BTreeMap::from([("peer", peer)]),
        })
    }

    /// Where our daemon is.
    pub fn ours(&self) -> &str {
        self.ours.address()
    }

    /// Where Kubo is.
    pub fn kubo(&self) -> &str {
        self.kubo.address()
    }

    /// Asks what the content is called; both have to say the same.
    pub fn learn(&mut self) -> Result<()> {
        for (name, call, pick) in [
            ("hello", "files/stat?arg=/hello", "/Hash"),
            ("tree", "files/stat?arg=/tree", "/Hash"),
            ("large", "files/stat?arg=/large", "/Hash"),
            ("wide", "files/stat?arg=/wide", "/Hash"),
            ("raw", "files/stat?arg=/raw", "/Hash"),
            ("cbor", "dag/put?pin=true", "/Cid/~1"),
            ("key", "key/list", "/Keys/1/Id"),
        ] {
            let mut told = Vec::new();
            for address in [self.ours(), self.kubo()] {
                let ask = match name {
                    "cbor" => Ask::upload(call, &[("node", NODE)]),
                    _ => Ask::post(call),
                };
                let answer = ask.send(address)?.text();
                let value: Value = serde_json::from_str(&answer).context(answer.clone())?;
                let found = value.pointer(pick).and_then(Value::as_str);
                told.push(
                    found
                        .with_context(|| format!("no {name} in {answer}"))?
                        .to_owned(),
                );
            }
            ensure!(told[0] == told[1], "{name}: {told:?}");
            self.names.insert(name, told.remove(0));
        }
        Ok(())
    }

    /// A text with the names in braces replaced.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, value) in &self.names {
            filled = filled.replace(&format!("{{{name}}}"), value);
        }
        filled
    }

    /// What Kubo answers to a call, as one value.
    pub fn kubo_says(&self, call: &str) -> Result<Value> {
        let mut values = self.kubo.post(call)?;
        ensure!(values.len() == 1, "{call}: {} values", values.len());
        Ok(values.remove(0))
    }
}

fn config(peer: &Peer) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(
        peer.repo().join("config"),
    )?)?)
}

fn start(peer: &Peer) -> Result<Daemon> {
    let daemon = Daemon::start(peer, &["--offline"]);
    daemon.with_context(|| match peer.side() {
        Side::Ours => "ours",
        Side::Kubo => "Kubo",
    })
}

/// A tree with a file, a directory in it and a symbolic link.
pub fn tree_form() -> Vec<u8> {
    let mut body = Vec::new();
    for (name, media_type, content) in [
        ("tree", "application/x-directory", ""),
        ("tree/file", "application/octet-stream", "a file\n"),
        ("tree/sub", "application/x-directory", ""),
        ("tree/sub/deep%20file", "application/octet-stream", "deep\n"),
        ("tree/link", "application/symlink", "sub/deep file"),
    ] {
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: {media_type}\r\n\r\n{content}\r\n"
        );
        body.extend_from_slice(part.as_bytes());
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// What is put into both, as cases of their own.
pub fn content() -> Vec<Case> {
    let large = noise(1, 600_000);
    let asks = [
        Ask::upload("add?to-files=/hello", &[("hello", b"hello world\n")]),
        Ask::upload(
            "add?to-files=/large&cid-version=1&pin=false",
            &[("large", &large)],
        ),
        Ask::upload(
            "add?to-files=/wide&chunker=size-1000",
            &[("wide", &large[..30_000])],
        ),
        Ask::upload(
            "add?to-files=/raw&cid-version=1&pin-name=a+leaf",
            &[("raw", b"raw")],
        ),
        Ask::post("add?to-files=/&recursive=true").form(tree_form()),
        Ask::upload("dag/put?pin=true", &[("node", NODE)]),
        Ask::post("files/mkdir?arg=/empty"),
        Ask::upload("key/import?arg=probe", &[("key", &KEY)]),
    ];
    let told = |ask| Case::new(ask, Depth::Values).told("(content)");
    asks.into_iter().map(told).collect()
}
