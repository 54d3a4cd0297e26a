//! `id`: who this node, or another, is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipfs_kit_node::{
    IdBase, NetError, Node, OwnIdentity, PeerIdentity, format_peer_id, parse_peer,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::command::{Argument, Command, Opt, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::{Encoding, Record};

/// How this program calls itself to others.
pub const AGENT: &str = concat!("ipfs-kit/", env!("CARGO_PKG_VERSION"));

/// The Kubo whose RPC this is. Clients read from the agent's second part how to speak (aioipfs: whether pubsub is
/// in multibase), so the node's own `id` begins with it. Peers are told the agent alone.
const SPOKEN: &str = "kubo/0.43.0";

/// `ipfs-kit id`
pub const COMMAND: Command = Command {
    name: "id",
    tagline: "Show IPFS node id info",
    about: "Prints out information about the given peer. If no peer is specified, prints out information\n\
            for local peers.\n\
            \n\
            The agent version of this node begins with that of the Kubo whose RPC it speaks; peers are\n\
            told what follows it.\n\
            \n\
            --format takes <id>, <aver>, <pubkey>, <addrs> and <protocols>, and \\n and \\t.",
    arguments: &[Argument::word("peerid", "Peer.ID of node to look up").optional()],
    options: &[
        Opt::text(&["format", "f"], "Optional output format"),
        Opt::text(
            &["peerid-base"],
            "Encoding used for peer IDs: b58mh, or a multibase for a CID",
        )
        .default("b58mh"),
    ],
    records: &[Shape::of::<Info>()],
    brief: true,
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

/// What is known of a node.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "Identity")]
#[serde(rename_all = "PascalCase")]
pub(super) struct Info {
    #[serde(rename = "ID")]
    id: String,
    public_key: String,
    addresses: Option<Vec<String>>,
    agent_version: String,
    protocols: Option<Vec<String>>,
}

impl Info {
    /// What a node tells about itself.
    pub(super) fn of(identity: PeerIdentity) -> Info {
        let mut addresses: Vec<String> =
            identity.addresses.iter().map(ToString::to_string).collect();
        addresses.sort();
        let mut protocols = identity.protocols;
        protocols.sort();
        Info {
            id: identity.id.to_base58(),
            public_key: STANDARD.encode(&identity.public_key),
            addresses: Some(addresses),
            agent_version: identity.agent_version,
            protocols: Some(protocols),
        }
    }
}

impl Record for Info {
    const NAME: &'static str = "IdOutput";
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let base = invocation.text("peerid-base").unwrap_or_default();
    let base: IdBase = base.parse().map_err(Failure::failed)?;
    let asked = invocation.arguments()?;
    let node = invocation.node()?;
    let own = node.keys().own()?;
    let asked = asked.first().map(|text| parse_peer(text)).transpose()?;
    let info = match asked.filter(|asked| *asked != own.id) {
        Some(other) => {
            let peers = node.peers().map_err(|error| match error {
                NetError::Offline => Failure::failed(
                    "'ipfs-kit id' cannot query information on remote peers without a running daemon",
                ),
                error => error.into(),
            })?;
            Info {
                id: format_peer_id(&other, base),
                ..Info::of(invocation.wait(peers.identity_of(other))?)
            }
        }
        None => Info {
            id: match base {
                IdBase::Multihash => own.text.clone(),
                IdBase::Cid(_) => format_peer_id(&own.id, base),
            },
            ..itself(invocation, &node, &own)?
        },
    };
    let format = invocation
        .text("format")
        .filter(|format| !format.is_empty());
    // One of both is asked for; making the text is most of what this command costs.
    match invocation.out.encoding() {
        Encoding::Text => {
            let text = text(&info, format.as_deref())?;
            invocation
                .out
                .emit(|| info, |out| out.extend_from_slice(&text))?;
        }
        _ => invocation.out.emit(|| info, |_| ())?,
    }
    invocation.close(node)
}

fn itself(invocation: &Invocation, node: &Node, own: &OwnIdentity) -> Result<Info, Failure> {
    let known = match node.peers() {
        // A network that is about to start was waited for: its addresses are what is asked for.
        Ok(peers) => Info::of(match peers.id_at_hand() {
            Some(known) => known,
            None => invocation.wait(peers.id())?,
        }),
        Err(error @ (NetError::NotStarted(_) | NetError::Cancelled(_))) => return Err(error.into()),
        Err(_) => Info {
            public_key: STANDARD.encode(&own.public_key),
            agent_version: AGENT.to_owned(),
            ..Info::default()
        },
    };
    Ok(Info {
        agent_version: format!("{SPOKEN}/{}", known.agent_version),
        ..known
    })
}

fn text(info: &Info, format: Option<&str>) -> Result<Vec<u8>, Failure> {
    let Some(format) = format else {
        let mut text = Vec::new();
        let formatter = PrettyFormatter::with_indent(b"\t");
        info.serialize(&mut Serializer::with_formatter(&mut text, formatter))
            .map_err(Failure::failed)?;
        text.push(b'\n');
        return Ok(text);
    };
    let list = |list: &Option<Vec<String>>| list.as_deref().unwrap_or_default().join("\n");
    let filled = format
        .replace("<id>", &info.id)
        .replace("<aver>", &info.agent_version)
        .replace("<pubkey>", &info.public_key)
        .replace("<addrs>", &list(&info.addresses))
        .replace("<protocols>", &list(&info.protocols))
        .replace("\\n", "\n")
        .replace("\\t", "\t");
    Ok(filled.into_bytes())
}
