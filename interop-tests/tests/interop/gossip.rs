//! Messages over gossipsub between ours and Kubo, to neighbours and through nodes in between.

use super::online::{Online, until};
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::{Peer, Side, scratch};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

/// A running `pubsub sub`, stopped when dropped.
struct Subscriber {
    child: Child,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Subscriber {
    fn start(peer: &Peer, topic: impl AsRef<OsStr>) -> Result<Self> {
        let mut command = peer.command(["pubsub", "sub", "--enc=json"]);
        command.arg(topic);
        let mut child = command.stderr(Stdio::null()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&heard);
        // Ends with the child, whose end closes the pipe.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let message = serde_json::from_str(&line).unwrap_or(Value::String(line));
                sink.lock().expect("no panic holds it").push(message);
            }
        });
        Ok(Self { child, heard })
    }

    /// Everything heard until now.
    fn heard(&self) -> Vec<Value> {
        self.heard.lock().expect("no panic holds it").clone()
    }

    /// Whether a message came that both fit.
    fn has(&self, from: &str, data: &str) -> bool {
        let heard = self.heard();
        heard
            .iter()
            .any(|message| message["from"] == from && message["data"] == data)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nodes in a row, each connected to the next one only, all subscribed to one topic.
fn row(sides: &[Side], place: &Path, topic: &str) -> Result<Vec<(Online, Subscriber)>> {
    let mut nodes: Vec<(Online, Subscriber)> = Vec::new();
    for (index, side) in sides.iter().enumerate() {
        let config = [
            ("Pubsub.Enabled", json!(true)),
            ("Routing.Type", json!("none")),
        ];
        let node = Online::start(*side, place, &format!("node-{index}"), &config)?;
        let subscriber = Subscriber::start(&node, topic)?;
        until("the subscription is listed", || {
            // The only topic of this node; what a terminal cannot show is written differently.
            let topics = node.text(["pubsub", "ls"])?;
            Ok((!topics.is_empty()).then_some(()))
        })?;
        if let Some((before, _)) = nodes.last() {
            node.connect(before)?;
            until("the neighbour's subscription is known", || {
                let peers = node.text(["pubsub", "peers", topic])?;
                Ok(peers.lines().any(|id| id == before.id).then_some(()))
            })?;
        }
        nodes.push((node, subscriber));
    }
    Ok(nodes)
}

/// Every byte there is, and who says it: not UTF-8, with zeros and ends of lines.
fn message(id: &str, attempt: u32) -> Vec<u8> {
    let mut data: Vec<u8> = (0..=255).collect();
    data.extend(format!("{id} {attempt}").into_bytes());
    data
}

/// The multibase (base64url) in which both command lines give messages as JSON.
fn encoded(peer: &Peer, data: &[u8]) -> Result<String> {
    let text = peer.run_with(["multibase", "encode", "-b", "base64url"], data)?;
    Ok(String::from_utf8(text)?.trim().to_owned())
}

/// Publishes until all have heard it: the mesh forms with the heartbeats, a message before is lost.
fn reaches_all(nodes: &[(Online, Subscriber)], from: &Online, topic: &str) -> Result<()> {
    let mut attempts = Vec::new();
    until("everybody has heard it", || {
        let data = message(&from.id, attempts.len() as u32);
        from.run_with(["pubsub", "pub", topic], &data)?;
        attempts.push(encoded(from, &data)?);
        let all = nodes.iter().all(|(_, subscriber)| {
            let mut sent = attempts.iter();
            sent.any(|data| subscriber.has(&from.id, data))
        });
        Ok(all.then_some(()))
    })
    .with_context(|| format!("from {} {}", from.side().name(), from.id))
}

fn everybody_hears_everybody(sides: &[Side], topic: &str) -> Result<()> {
    let place = scratch::in_memory()?;
    let nodes = row(sides, place.path(), topic)?;
    for (node, _) in &nodes {
        reaches_all(&nodes, node, topic)?;
    }
    let topic = encoded(&nodes[0].0, topic.as_bytes())?;
    for (node, subscriber) in &nodes {
        let heard = subscriber.heard();
        for (index, message) in heard.iter().enumerate() {
            ensure!(message["topicIDs"] == json!([topic]), "{message}");
            ensure!(!heard[..index].contains(message), "twice: {message}");
        }
        // Whoever is not a neighbour was heard through others: nobody connected by itself.
        let peers = node.text(["swarm", "peers"])?.lines().count();
        ensure!(peers <= 2, "{peers} peers in a row");
    }
    Ok(())
}

#[test]
fn kubos_hear_each_other_through_ours() -> Result<()> {
    everybody_hears_everybody(&[Side::Kubo, Side::Ours, Side::Kubo], "news")
}

#[test]
fn two_of_ours_hear_each_other_through_kubo_and_the_end_of_a_row_the_other() -> Result<()> {
    let row = [Side::Ours, Side::Kubo, Side::Ours, Side::Kubo];
    everybody_hears_everybody(&row, "/a topic/\u{1}\t\u{7f}\u{e9}\u{1f980}")
}

/// A topic of Kubo's may be any bytes; to us it is text. What Kubo has besides does not come between us.
#[test]
fn a_topic_that_is_no_text_does_no_harm() -> Result<()> {
    const TOPIC: &str = "news";
    let strange = [0xff, 0xfe, 0x80, b'x'];
    let place = scratch::in_memory()?;
    let mut nodes = row(&[Side::Kubo], place.path(), TOPIC)?;
    let kubo = &nodes[0].0;
    // Once before they meet, and once while they are connected.
    let _early = Subscriber::start(kubo, OsStr::from_bytes(&strange))?;
    subscribed_to(kubo, 2)?;
    let config = [
        ("Pubsub.Enabled", json!(true)),
        ("Routing.Type", json!("none")),
    ];
    let ours = Online::start(Side::Ours, place.path(), "ours", &config)?;
    let subscriber = Subscriber::start(&ours, TOPIC)?;
    subscribed_to(&ours, 1)?;
    ours.connect(kubo)?;
    let kubo_id = kubo.id.clone();
    nodes.push((ours, subscriber));
    reaches_all(&nodes, &nodes[0].0, TOPIC)?;
    reaches_all(&nodes, &nodes[1].0, TOPIC)?;
    let _late = Subscriber::start(
        &nodes[0].0,
        OsStr::from_bytes(&[&strange[..], b"y"].concat()),
    )?;
    subscribed_to(&nodes[0].0, 3)?;
    nodes[0].0.run_with(
        [
            OsStr::new("pubsub"),
            OsStr::new("pub"),
            OsStr::from_bytes(&strange),
        ],
        b"?",
    )?;
    reaches_all(&nodes, &nodes[0].0, TOPIC)?;
    reaches_all(&nodes, &nodes[1].0, TOPIC)?;
    let peers = nodes[1].0.text(["pubsub", "peers", TOPIC])?;
    ensure!(peers == kubo_id, "{peers}");
    Ok(())
}

/// Waits until the node has so many topics.
fn subscribed_to(node: &Online, count: usize) -> Result<()> {
    until("the subscription is listed", || {
        // A line a topic, whatever is in it.
        let topics = node.run(["pubsub", "ls", "--enc=json"])?;
        let listed: Value = serde_json::from_slice(&topics)?;
        let topics = listed["Strings"].as_array().map_or(0, Vec::len);
        Ok((topics == count).then_some(()))
    })
}
