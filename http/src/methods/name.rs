//! `name`: IPNS names, published and resolved.

mod pubsub;

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use ipfs_kit_node::format_peer_id;
use ipfs_kit_node::names::{Inspected, PublishOptions, PutOptions, ResolveOptions, inspect};
use schemars::JsonSchema;
use serde::Serialize;

use super::key;
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::duration;
use crate::escape;
use crate::failure::Failure;
use crate::host::Need;
use crate::invocation::{Invocation, to_io};
use crate::methods::whole;
use crate::output::Record;

/// `ipfs-kit name`
pub const COMMAND: Command = Command {
    name: "name",
    tagline: "Publish and resolve IPNS names",
    about: "IPNS is a PKI namespace, where names are the hashes of public keys, and the private key\n\
            enables publishing new (signed) values.",
    subcommands: &[&PUBLISH, &RESOLVE, &INSPECT, &GET, &PUT, &pubsub::COMMAND],
    ..Command::EMPTY
};

const IPNS_BASE: Opt = Opt::text(
    &["ipns-base"],
    "Encoding used for keys: b58mh, or a multibase for a CID",
)
.default("base36");

const PUBLISH: Command = Command {
    name: "publish",
    tagline: "Publish IPNS names",
    about: "Without a daemon, --allow-offline publishes to the repo only, from where the record goes out\n\
            when the daemon runs.",
    arguments: &[Argument::line(
        "ipfs-path",
        "IPFS path of the object to be published",
    )],
    options: &[
        Opt::text(
            &["key", "k"],
            "Name of the key to be used or a valid PeerID",
        )
        .default("self"),
        Opt::flag(
            &["resolve"],
            "Check if the given path can be resolved before publishing",
        )
        .default("true"),
        Opt::text(
            &["lifetime", "t"],
            "Time the signed record will be valid for, as 48h",
        ),
        Opt::text(
            &["ttl"],
            "Time this record may be cached; not above --lifetime",
        ),
        Opt::flag(&["quieter", "Q"], "Write only final IPNS Name"),
        Opt::flag(&["v1compat"], "Include fields for readers of version 1").default("true"),
        Opt::flag(&["allow-offline"], "Allow publishing when offline"),
        Opt::flag(
            &["allow-delegated"],
            "Allow publishing without DHT connectivity",
        ),
        Opt::uint(
            &["sequence"],
            "A custom sequence number, higher than the current one",
        )
        .wide(),
        IPNS_BASE,
    ],
    records: &[Shape::of::<Entry>()],
    run: Some(Run::Node(publish)),
    ..Command::EMPTY
};

const RESOLVE: Command = Command {
    name: "resolve",
    tagline: "Resolve IPNS names",
    about: "Without a name, that of the node itself.",
    arguments: &[Argument::word("name", "The IPNS name to resolve").optional()],
    options: &[
        Opt::flag(
            &["recursive", "r"],
            "Resolve until the result is not an IPNS name",
        )
        .default("true"),
        Opt::flag(&["nocache", "n"], "Do not use cached entries"),
        Opt::uint(
            &["dht-record-count", "dhtrc"],
            "Number of records to request for DHT resolution",
        )
        .default("16"),
        Opt::text(
            &["dht-timeout", "dhtt"],
            "Max time to collect values; 0 for no limit",
        )
        .default("1m"),
        Opt::flag(&["stream", "s"], "Stream entries as they are found"),
    ],
    reply: Reply::ManyIf("stream"),
    records: &[Shape::of::<Resolved>()],
    run: Some(Run::Node(resolve)),
    ..Command::EMPTY
};

const INSPECT: Command = Command {
    name: "inspect",
    tagline: "Inspects an IPNS Record",
    arguments: &[Argument::file(
        "record",
        "The IPNS record payload to be inspected",
    )],
    options: &[
        Opt::text(
            &["verify"],
            "CID of the public IPNS key to validate against",
        ),
        Opt::flag(&["dump"], "Include a full hex dump of the raw record").default("true"),
    ],
    records: &[Shape::of::<Inspection>()],
    run: Some(Run::Anywhere(run_inspect)),
    ..Command::EMPTY
};

const GET: Command = Command {
    name: "get",
    tagline: "Get the signed IPNS record of a name",
    arguments: &[Argument::word("name", "The IPNS name to look up")],
    reply: Reply::Bytes("application/vnd.ipfs.ipns-record"),
    run: Some(Run::Node(get)),
    ..Command::EMPTY
};

const PUT: Command = Command {
    name: "put",
    tagline: "Store a pre-signed IPNS record",
    arguments: &[
        Argument::word("name", "The IPNS name to store the record for"),
        Argument::file("record", "File with the signed IPNS record"),
    ],
    options: &[
        Opt::flag(
            &["force", "f"],
            "Skip validation (signature, sequence, size)",
        ),
        Opt::flag(
            &["allow-offline"],
            "Store locally without broadcasting to the network",
        ),
        Opt::flag(
            &["allow-delegated"],
            "Publish via HTTP delegated publishers only",
        ),
        Opt::flag(&["quiet", "q"], "Write no output"),
        IPNS_BASE,
    ],
    records: &[Shape::of::<Entry>()],
    run: Some(Run::Node(put)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NameEntry")]
#[serde(rename_all = "PascalCase")]
struct Entry {
    name: String,
    value: String,
}

impl Record for Entry {
    const NAME: &'static str = "IpnsEntry";
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NameResolved")]
#[serde(rename_all = "PascalCase")]
struct Resolved {
    path: String,
}

impl Record for Resolved {
    const NAME: &'static str = "ResolvedPath";
}

/// Largest record that is read; valid ones have 10 KiB at most.
const MAX_RECORD: u64 = 1 << 20;

fn span(invocation: &Invocation, name: &str) -> Result<Option<Duration>, Failure> {
    let text = invocation.text(name).filter(|text| !text.is_empty());
    let span = text.map(|text| duration::parse(&text)).transpose();
    span.map_err(|reason| Failure::failed(format_args!("--{name}: {reason}")))
}

fn publish(invocation: &mut Invocation) -> Result<(), Failure> {
    let options = PublishOptions {
        key: invocation.text("key").unwrap_or_default(),
        resolve: invocation.flag("resolve"),
        lifetime: span(invocation, "lifetime")?,
        ttl: span(invocation, "ttl")?,
        sequence: invocation.uint("sequence"),
        allow_offline: invocation.flag("allow-offline"),
        v1_compatible: invocation.flag("v1compat"),
    };
    let base = key::base(invocation)?;
    let path = invocation.argument()?;
    let node = invocation.node_for(Need::Storage)?;
    let published = node.names().publish(&path, &options)?;
    invocation.close(node)?;
    let record = Entry {
        name: format_peer_id(&published.key.id, base),
        value: published.value,
    };
    let line = if invocation.flag("quieter") {
        format!("{}\n", record.name)
    } else {
        format!("Published to {}: {}\n", record.name, record.value)
    };
    invocation
        .out
        .emit(|| record, |out| out.extend_from_slice(line.as_bytes()))
}

fn resolve(invocation: &mut Invocation) -> Result<(), Failure> {
    let name = invocation.arguments()?.into_iter().next();
    let count = invocation.uint("dht-record-count").unwrap_or_default();
    let options = ResolveOptions {
        recursive: invocation.flag("recursive"),
        no_cache: invocation.flag("nocache"),
        record_count: usize::try_from(count).unwrap_or(usize::MAX),
        timeout: span(invocation, "dht-timeout")?.filter(|limit| !limit.is_zero()),
    };
    let node = invocation.node()?;
    let name = match name {
        Some(name) => name,
        None => node.keys().identity()?.peer_id().to_base58(),
    };
    if invocation.flag("stream") {
        node.names()
            .resolve_streaming(&name, &options, &mut |path| {
                emit_path(invocation, path.to_string()).map_err(to_io)
            })?;
    } else {
        let resolved = node.names().resolve(&name, &options)?;
        emit_path(invocation, resolved.path.to_string())?;
    }
    invocation.close(node)
}

fn emit_path(invocation: &mut Invocation, path: String) -> Result<(), Failure> {
    let mut line = Vec::new();
    escape::push_printable(&mut line, path.as_bytes());
    line.push(b'\n');
    invocation
        .out
        .emit(|| Resolved { path }, |out| out.extend_from_slice(&line))
}

fn get(invocation: &mut Invocation) -> Result<(), Failure> {
    let name = invocation.argument()?;
    let node = invocation.node()?;
    let record = node.names().get(&name)?;
    invocation.out.write_all(&record)?;
    invocation.close(node)
}

fn put(invocation: &mut Invocation) -> Result<(), Failure> {
    let name = invocation.argument()?;
    let base = key::base(invocation)?;
    let record = record(invocation)?;
    let options = PutOptions {
        force: invocation.flag("force"),
        allow_offline: invocation.flag("allow-offline"),
    };
    let node = invocation.node_for(Need::Storage)?;
    let id = node.names().put(&name, record.into(), options)?;
    invocation.close(node)?;
    if invocation.quiet() {
        return Ok(());
    }
    let record = Entry {
        name: format_peer_id(&id, base),
        value: String::new(),
    };
    let line = format!("{}\n", record.name);
    invocation
        .out
        .emit(|| record, |out| out.extend_from_slice(line.as_bytes()))
}

fn record(invocation: &Invocation) -> Result<Vec<u8>, Failure> {
    let too_long = "the file is larger than 1 MiB: this is no IPNS record";
    whole::read_one(invocation, MAX_RECORD, too_long)
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Inspection {
    entry: Fields,
    pb_size: usize,
    signature_type: &'static str,
    hex_dump: String,
    validation: Option<Validation>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Fields {
    value: String,
    validity_type: Option<i64>,
    validity: Option<String>,
    sequence: Option<u64>,
    #[serde(rename = "TTL")]
    ttl: Option<i64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Validation {
    valid: bool,
    reason: String,
    name: String,
}

impl Record for Inspection {
    const NAME: &'static str = "IpnsInspectResult";
}

fn run_inspect(invocation: &mut Invocation) -> Result<(), Failure> {
    let bytes = record(invocation)?;
    let dump = if invocation.flag("dump") {
        hex_dump(&bytes)
    } else {
        String::new()
    };
    let verify = invocation.text("verify").filter(|name| !name.is_empty());
    let Inspected { fields, verified } = inspect(bytes.into(), verify.as_deref())?;
    let name = match &verify {
        Some(name) => format_peer_id(
            &ipfs_kit_node::names::parse_name(name)?,
            ipfs_kit_node::IdBase::default(),
        ),
        None => String::new(),
    };
    let record = Inspection {
        entry: Fields {
            value: fields.value.unwrap_or_default(),
            validity_type: fields.validity_type,
            validity: fields.validity,
            sequence: fields.sequence,
            ttl: fields.ttl,
        },
        pb_size: fields.size,
        signature_type: fields.signatures,
        hex_dump: dump,
        validation: verified.map(|verified| Validation {
            valid: verified.is_ok(),
            reason: verified.err().unwrap_or_default(),
            name,
        }),
    };
    let text = inspection_text(&record);
    invocation
        .out
        .emit(|| record, |out| out.extend_from_slice(text.as_bytes()))
}

fn inspection_text(record: &Inspection) -> String {
    let mut text = String::new();
    let entry = &record.entry;
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:15} {value}");
    };
    if !entry.value.is_empty() {
        line("Value:", format!("{:?}", entry.value));
    }
    if let Some(kind) = entry.validity_type {
        line("Validity Type:", kind.to_string());
    }
    if let Some(validity) = &entry.validity {
        line("Validity:", format!("{validity:?}"));
    }
    if let Some(sequence) = entry.sequence {
        line("Sequence:", sequence.to_string());
    }
    if let Some(ttl) = entry.ttl {
        line("TTL:", duration::go(ttl));
    }
    line("Protobuf Size:", record.pb_size.to_string());
    line("Signature Type:", record.signature_type.to_owned());
    match &record.validation {
        None => {
            text.push_str("\nThis record was not verified. Pass '--verify k51...' to verify.\n")
        }
        Some(validation) => {
            text.push_str("\nValidation results:\n");
            let _ = writeln!(text, " Valid:  {}", validation.valid);
            if !validation.reason.is_empty() {
                let _ = writeln!(text, " Reason: {}", validation.reason);
            }
            let _ = writeln!(text, " Name:   {}", validation.name);
        }
    }
    if !record.hex_dump.is_empty() {
        let _ = write!(text, "\nHex Dump:\n{}", record.hex_dump);
    }
    text
}

/// Bytes as `hexdump -C` and Go's `hex.Dump` show them.
fn hex_dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (row, chunk) in bytes.chunks(16).enumerate() {
        let _ = write!(text, "{:08x} ", row * 16);
        for at in 0..16 {
            let gap = if at == 8 { "  " } else { " " };
            match chunk.get(at) {
                Some(byte) => drop(write!(text, "{gap}{byte:02x}")),
                None => drop(write!(text, "{gap}  ")),
            }
        }
        let shown = chunk.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        });
        let _ = writeln!(text, "  |{}|", shown.collect::<String>());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_as_go_does() {
        assert_eq!(
            hex_dump(b"0123456789abcdef\x00z"),
            "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n\
             00000010  00 7a                                             |.z|\n"
        );
    }
}
