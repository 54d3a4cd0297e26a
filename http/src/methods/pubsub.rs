//! `pubsub`: messages by topic. Over HTTP, topics and data are in multibase.

use std::io::Write as _;

use ipfs_kit_node::cid::{Base, decode_multibase, encode_multibase};
use ipfs_kit_node::{PubsubMessage, parse_peer};
use schemars::JsonSchema;
use serde::Serialize;

use super::swarm::Lines;
use super::whole;
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::escape;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit pubsub`
pub const COMMAND: Command = Command {
    name: "pubsub",
    tagline: "An experimental publish-subscribe system on ipfs",
    about: "To enable it, set 'Pubsub.Enabled' config to true, or start the daemon with\n\
            --enable-pubsub-experiment.",
    subcommands: &[&PUB, &SUB, &LS, &PEERS, &RESET],
    ..Command::EMPTY
};

const PUB: Command = Command {
    name: "pub",
    tagline: "Publish data to a given pubsub topic",
    about: "Reads data from stdin or a file and publishes it as one message.",
    arguments: &[
        Argument::word(
            "topic",
            "Topic to publish to (multibase encoded when sent over HTTP RPC)",
        )
        .in_multibase(),
        Argument::file("data", "The data to be published"),
    ],
    run: Some(Run::Node(publish)),
    ..Command::EMPTY
};

const SUB: Command = Command {
    name: "sub",
    tagline: "Subscribe to messages on a given topic",
    about: "Prints the data of messages as they come, without anything between them; with --enc=json\n\
            also from whom they are.",
    arguments: &[Argument::word(
        "topic",
        "Name of topic to subscribe to (multibase encoded when sent over HTTP RPC)",
    )
    .in_multibase()],
    reply: Reply::Many,
    records: &[Shape::of::<Message>()],
    run: Some(Run::Node(subscribe)),
    ..Command::EMPTY
};

const LS: Command = Command {
    name: "ls",
    tagline: "List subscribed topics by name",
    records: &[Shape::of::<Lines>()],
    run: Some(Run::Node(ls)),
    ..Command::EMPTY
};

const PEERS: Command = Command {
    name: "peers",
    tagline: "List peers we are currently pubsubbing with",
    about: "Without a topic, all peers that are subscribed to any.",
    arguments: &[Argument::word(
        "topic",
        "Topic to list connected peers of (multibase encoded when sent over HTTP RPC)",
    )
    .optional()
    .in_multibase()],
    records: &[Shape::of::<Lines>()],
    run: Some(Run::Node(peers)),
    ..Command::EMPTY
};

const RESET: Command = Command {
    name: "reset",
    tagline: "Forget sequence numbers of publishers",
    about: "Nothing is told to be removed: this node keeps no sequence numbers of publishers over the time\n\
            in which it remembers messages (Pubsub.SeenMessagesTTL).",
    options: &[Opt::text(
        &["peer", "p"],
        "Only reset state for this peer ID",
    )],
    records: &[Shape::of::<Reset>()],
    run: Some(Run::Node(reset)),
    ..Command::EMPTY
};

/// Largest input that is read: more than a message may have, so that the error tells the limit.
const MAX_DATA: u64 = 1 << 20;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PubsubMessage")]
struct Message {
    from: String,
    data: String,
    seqno: String,
    #[serde(rename = "topicIDs")]
    topics: Vec<String>,
}

impl Record for Message {
    const NAME: &'static str = "pubsubMessage";
}

fn encode(bytes: &[u8]) -> String {
    encode_multibase(Base::Base64Url, bytes)
}

fn topic(text: &str) -> Result<String, Failure> {
    let (_, bytes) = decode_multibase(text).map_err(|error| {
        Failure::failed(format_args!(
            "URL arg must be multibase encoded: {error}: {text:?}"
        ))
    })?;
    String::from_utf8(bytes).map_err(|_| Failure::failed("topic: the name is not UTF-8"))
}

/// The first word, where the last argument is a file.
fn first_word(invocation: &Invocation) -> Result<String, Failure> {
    let word = invocation.words().first().and_then(|word| word.to_str());
    let word = word.ok_or_else(|| Failure::usage("argument \"topic\" is required"))?;
    topic(word)
}

fn publish(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let pubsub = node.pubsub()?;
    let topic = first_word(invocation)?;
    let data = whole::read_one(
        invocation,
        MAX_DATA,
        "the data is larger than 1 MiB: a message has 256 KiB at most",
    )?;
    invocation.wait(pubsub.publish(&topic, data.into()))?;
    invocation.close(node)
}

fn subscribe(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let pubsub = node.pubsub()?;
    let topic = first_word(invocation)?;
    let mut messages = invocation.wait(pubsub.subscribe(&topic))?;
    invocation.out.announce()?;
    while let Some(message) = invocation.wait(async { Ok(messages.recv().await) })? {
        let data = message.data.clone();
        invocation
            .out
            .emit(|| record(&message), |out| out.extend_from_slice(&data))?;
        if messages.is_empty() {
            invocation.out.flush()?;
        }
    }
    invocation.close(node)
}

fn record(message: &PubsubMessage) -> Message {
    Message {
        from: message.from.to_base58(),
        data: encode(&message.data),
        seqno: encode(&message.sequence.to_be_bytes()),
        topics: vec![encode(message.topic.as_bytes())],
    }
}

fn ls(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let topics = invocation.wait(node.pubsub()?.ls())?;
    let mut text = Vec::new();
    for topic in &topics {
        escape::push_printable(&mut text, topic.as_bytes());
        text.push(b'\n');
    }
    let encoded = || Lines {
        strings: topics
            .iter()
            .map(|topic| encode(topic.as_bytes()))
            .collect(),
    };
    invocation
        .out
        .emit(encoded, |out| out.extend_from_slice(&text))?;
    invocation.close(node)
}

fn peers(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let pubsub = node.pubsub()?;
    let topic = match invocation.words() {
        [] => None,
        _ => Some(first_word(invocation)?),
    };
    let peers = invocation.wait(pubsub.peers(topic.as_deref()))?;
    let mut strings: Vec<String> = peers.iter().map(ToString::to_string).collect();
    strings.sort();
    Lines { strings }.emit(invocation)?;
    invocation.close(node)
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PubsubReset")]
struct Reset {
    deleted: u64,
}

impl Record for Reset {
    const NAME: &'static str = "pubsubResetResult";
}

fn reset(invocation: &mut Invocation) -> Result<(), Failure> {
    let peer = invocation.text("peer").filter(|peer| !peer.is_empty());
    peer.map(|peer| parse_peer(&peer)).transpose()?;
    invocation.out.emit(
        || Reset { deleted: 0 },
        |out| out.extend_from_slice(b"Reset validator state for 0 peer(s)\n"),
    )
}
