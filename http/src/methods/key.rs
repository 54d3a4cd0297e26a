//! `key`: the keys of the node, which are its names.

use ipfs_kit_node::{IdBase, KeyFormat, KeyInfo, KeyType, format_peer_id};
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::escape;
use crate::failure::Failure;
use crate::host::Need;
use crate::invocation::Invocation;
use crate::methods::whole;
use crate::output::{Record, go_json, push_columns};

/// `ipfs-kit key`
pub const COMMAND: Command = Command {
    name: "key",
    tagline: "Create and list IPNS name keypairs",
    about: "'ipfs-kit key gen' generates a new keypair for usage with IPNS and 'ipfs-kit name publish'.",
    subcommands: &[
        &GEN, &LS, &LIST, &RENAME, &RM, &EXPORT, &IMPORT, &ROTATE, &SIGN, &VERIFY,
    ],
    ..Command::EMPTY
};

const IPNS_BASE: Opt = Opt::text(
    &["ipns-base"],
    "Encoding used for keys: b58mh, or a multibase for a CID",
)
.default("base36");
const TYPE: Opt = Opt::text(
    &["type", "t"],
    "Type of the key to create: rsa, ed25519, secp256k1",
)
.default("ed25519");
const SIZE: Opt = Opt::int(&["size", "s"], "Size of the key to generate");
const FORMAT: Opt = Opt::text(
    &["format", "f"],
    "libp2p-protobuf-cleartext or pem-pkcs8-cleartext",
)
.default("libp2p-protobuf-cleartext");

const GEN: Command = Command {
    name: "gen",
    tagline: "Create a new keypair",
    arguments: &[Argument::word("name", "Name of key to create")],
    options: &[TYPE, SIZE, IPNS_BASE],
    records: &[Shape::of::<Key>()],
    run: Some(Run::Node(generate)),
    ..Command::EMPTY
};

const LS: Command = Command {
    name: "ls",
    tagline: "List all local keypairs",
    options: &[
        Opt::flag(&["l"], "Show extra information about keys"),
        IPNS_BASE,
    ],
    records: &[Shape::of::<Keys>()],
    run: Some(Run::Node(list)),
    ..Command::EMPTY
};

const LIST: Command = Command { name: "list", ..LS };

const RENAME: Command = Command {
    name: "rename",
    tagline: "Rename a keypair",
    arguments: &[
        Argument::word("name", "Name of key to rename"),
        Argument::word("newName", "New name of the key"),
    ],
    options: &[
        Opt::flag(&["force", "f"], "Allow to overwrite an existing key"),
        IPNS_BASE,
    ],
    records: &[Shape::of::<Renamed>()],
    run: Some(Run::Node(rename)),
    ..Command::EMPTY
};

const RM: Command = Command {
    name: "rm",
    tagline: "Remove a keypair",
    about: "What a key published under its name stays valid until it expires; without the key nobody\n\
            can publish there any more.",
    arguments: &[Argument::line("name", "Names of keys to remove").many()],
    options: &[
        Opt::flag(&["l"], "Show extra information about keys"),
        IPNS_BASE,
    ],
    records: &[Shape::of::<Keys>()],
    run: Some(Run::Node(remove)),
    ..Command::EMPTY
};

const EXPORT: Command = Command {
    name: "export",
    tagline: "Export a keypair",
    about: "Writes the unencrypted private key to <name>.key or <name>.pem, or to --output. A running\n\
            daemon gives no private keys away: stop it first.",
    arguments: &[Argument::word("name", "Name of key to export")],
    options: &[
        Opt::path(
            &["output", "o"],
            "The path where the output should be stored",
        ),
        FORMAT,
    ],
    run: Some(Run::Local),
    ..Command::EMPTY
};

const IMPORT: Command = Command {
    name: "import",
    tagline: "Import a key and prints imported key id",
    arguments: &[
        Argument::word("name", "Name to associate with key in keychain"),
        Argument::file("key", "Key provided by generate or export").without_stdin(),
    ],
    options: &[
        IPNS_BASE,
        FORMAT,
        Opt::flag(
            &["allow-any-key-type"],
            "Every type that can be read is allowed; no effect",
        ),
    ],
    records: &[Shape::of::<Key>()],
    run: Some(Run::Node(import)),
    ..Command::EMPTY
};

const ROTATE: Command = Command {
    name: "rotate",
    tagline: "Rotates the IPFS identity",
    about: "Gives the node a new identity and keeps the old one under the name of --oldkey. The daemon\n\
            must not run.",
    options: &[
        Opt::text(
            &["oldkey", "o"],
            "Keystore name to use for backing up your existing identity",
        ),
        TYPE,
        SIZE,
    ],
    run: Some(Run::Local),
    ..Command::EMPTY
};

const SIGN: Command = Command {
    name: "sign",
    tagline: "Generates a signature for the given data with a specified key",
    about: "Data is signed with the prefix 'libp2p-key signed message:'. Without --key the node's\n\
            identity signs.",
    arguments: &[Argument::file("data", "The data to sign")],
    options: &[
        Opt::text(&["key", "k"], "The name of the key to use for signing").default("self"),
        IPNS_BASE,
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Signed>()],
    run: Some(Run::Node(sign)),
    ..Command::EMPTY
};

const VERIFY: Command = Command {
    name: "verify",
    tagline: "Verify that the given data and signature match",
    arguments: &[Argument::file(
        "data",
        "The data to verify against the given signature",
    )],
    options: &[
        Opt::text(&["key", "k"], "The name or id of the key that signed").default("self"),
        Opt::text(&["signature", "s"], "Multibase-encoded signature to verify"),
        IPNS_BASE,
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Verified>()],
    run: Some(Run::Node(verify)),
    ..Command::EMPTY
};

/// A key in a result.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Key")]
#[serde(rename_all = "PascalCase")]
pub struct Key {
    name: String,
    id: String,
}

impl Record for Key {
    const NAME: &'static str = "KeyOutput";
}

impl Key {
    /// The key with its id in a base.
    pub fn new(info: &KeyInfo, base: IdBase) -> Key {
        Key {
            name: info.name.clone(),
            id: format_peer_id(&info.id, base),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Keys")]
#[serde(rename_all = "PascalCase")]
struct Keys {
    keys: Vec<Key>,
}

impl Record for Keys {
    const NAME: &'static str = "KeyOutputList";
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Renamed {
    was: String,
    now: String,
    id: String,
    overwrite: bool,
}

impl Record for Renamed {
    const NAME: &'static str = "KeyRenameOutput";
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "KeySigned")]
#[serde(rename_all = "PascalCase")]
struct Signed {
    key: Key,
    signature: String,
}

impl Record for Signed {
    const NAME: &'static str = "KeySignOutput";
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "KeyVerified")]
#[serde(rename_all = "PascalCase")]
struct Verified {
    key: Key,
    signature_valid: bool,
}

impl Record for Verified {
    const NAME: &'static str = "KeyVerifyOutput";
}

/// Data that is signed whole in memory, in bytes.
const MAX_DATA: u64 = 64 << 20;
/// A key larger than this is none.
const MAX_KEY: u64 = 64 << 10;

/// The base of `--ipns-base`.
///
/// # Errors
/// One that does not exist.
pub fn base(invocation: &Invocation) -> Result<IdBase, Failure> {
    let text = invocation.text("ipns-base").unwrap_or_default();
    text.parse().map_err(Failure::failed)
}

/// The type and size of a key to make.
///
/// # Errors
/// A type that does not exist, or a size out of range.
pub fn kind(invocation: &Invocation) -> Result<(KeyType, Option<u32>), Failure> {
    let kind = invocation.text("type").unwrap_or_default();
    let bits = invocation.size("size")?.map(u32::try_from).transpose();
    Ok((
        kind.parse().map_err(Failure::failed)?,
        bits.map_err(|_| Failure::failed("--size is out of range"))?,
    ))
}

/// The format of `--format`.
///
/// # Errors
/// One that does not exist.
pub fn format(invocation: &Invocation) -> Result<KeyFormat, Failure> {
    let text = invocation.text("format").unwrap_or_default();
    text.parse().map_err(Failure::failed)
}

fn generate(invocation: &mut Invocation) -> Result<(), Failure> {
    let name = invocation.argument()?;
    let (kind, bits) = kind(invocation)?;
    let base = base(invocation)?;
    let node = invocation.node_for(Need::Storage)?;
    let info = node.keys().generate(&name, kind, bits)?;
    invocation.close(node)?;
    emit_id(invocation, &info, base)
}

fn emit_id(invocation: &mut Invocation, info: &KeyInfo, base: IdBase) -> Result<(), Failure> {
    let key = Key::new(info, base);
    let line = format!("{}\n", key.id);
    invocation
        .out
        .emit(|| key, |out| out.extend_from_slice(line.as_bytes()))
}

fn list(invocation: &mut Invocation) -> Result<(), Failure> {
    let base = base(invocation)?;
    let node = invocation.node()?;
    let infos = node.keys().list()?;
    invocation.close(node)?;
    emit_list(invocation, &infos, base)
}

fn emit_list(invocation: &mut Invocation, infos: &[KeyInfo], base: IdBase) -> Result<(), Failure> {
    let keys: Vec<Key> = infos.iter().map(|info| Key::new(info, base)).collect();
    let mut text = Vec::new();
    if invocation.flag("l") {
        let cell = |text: &str| escape::printable(text.as_bytes());
        let rows: Vec<Vec<String>> = keys
            .iter()
            .map(|key| vec![key.id.clone(), cell(&key.name), String::new()])
            .collect();
        push_columns(&mut text, &rows, 0);
    } else {
        for key in &keys {
            escape::push_printable(&mut text, key.name.as_bytes());
            text.push(b'\n');
        }
    }
    invocation
        .out
        .emit(|| Keys { keys }, |out| out.extend_from_slice(&text))
}

fn rename(invocation: &mut Invocation) -> Result<(), Failure> {
    let names = invocation.arguments()?;
    let [old, new] = names.as_slice() else {
        return Err(Failure::usage(
            "two names are needed: the old and the new one",
        ));
    };
    let base = base(invocation)?;
    let node = invocation.node()?;
    let renamed = node.keys().rename(old, new, invocation.flag("force"))?;
    invocation.close(node)?;
    let record = Renamed {
        was: renamed.was,
        id: format_peer_id(&renamed.now.id, base),
        now: renamed.now.name,
        overwrite: renamed.overwritten,
    };
    let how = if record.overwrite {
        " with overwriting"
    } else {
        ""
    };
    let line = format!("Key {} renamed to {}{how}\n", record.id, record.now);
    invocation
        .out
        .emit(|| record, |out| out.extend_from_slice(line.as_bytes()))
}

fn remove(invocation: &mut Invocation) -> Result<(), Failure> {
    let names = invocation.arguments()?;
    let base = base(invocation)?;
    let node = invocation.node()?;
    let infos = node.keys().remove(&names)?;
    invocation.close(node)?;
    emit_list(invocation, &infos, base)
}

fn import(invocation: &mut Invocation) -> Result<(), Failure> {
    let name = invocation.argument()?;
    let (base, format) = (base(invocation)?, format(invocation)?);
    let too_long = "the file is larger than 64 KiB: this is no key";
    let bytes = whole::read_one(invocation, MAX_KEY, too_long)?;
    let node = invocation.node_for(Need::Storage)?;
    let info = node.keys().import(&name, &bytes, format)?;
    invocation.close(node)?;
    emit_id(invocation, &info, base)
}

fn data(invocation: &Invocation) -> Result<Vec<u8>, Failure> {
    let too_long = "the data is larger than 64 MiB: sign its CID instead";
    whole::read_one(invocation, MAX_DATA, too_long)
}

/// Kubo has no text form for these: its text is the JSON.
fn emit_json<R: Record>(invocation: &mut Invocation, record: R) -> Result<(), Failure> {
    let mut text = Vec::new();
    go_json(&mut text, &record)?;
    text.push(b'\n');
    invocation
        .out
        .emit(|| record, |out| out.extend_from_slice(&text))
}

fn sign(invocation: &mut Invocation) -> Result<(), Failure> {
    let base = base(invocation)?;
    let data = data(invocation)?;
    let name = invocation.text("key").unwrap_or_default();
    let node = invocation.node()?;
    let (info, signature) = node.keys().sign(&name, &data)?;
    invocation.close(node)?;
    let key = Key::new(&info, base);
    emit_json(invocation, Signed { key, signature })
}

fn verify(invocation: &mut Invocation) -> Result<(), Failure> {
    let base = base(invocation)?;
    let signature = invocation
        .text("signature")
        .ok_or_else(|| Failure::usage("option \"signature\" is required"))?;
    let data = data(invocation)?;
    let name = invocation.text("key").unwrap_or_default();
    let node = invocation.node()?;
    let verified = node.keys().verify(&name, &signature, &data)?;
    invocation.close(node)?;
    let record = Verified {
        key: Key::new(&verified.key, base),
        signature_valid: verified.valid,
    };
    emit_json(invocation, record)
}
