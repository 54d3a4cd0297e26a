//! `config`: the repo's configuration.

use ipfs_kit_node::config::{ConfigFile, profiles};
use ipfs_kit_node::repo::{self, Kind, RepoError};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::whole;
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::{Record, go_json_pretty};

mod profile;

/// `ipfs-kit config`
pub const COMMAND: Command = Command {
    name: "config",
    tagline: "Get and set IPFS config values",
    about: "Works much like 'git config'. The configuration values are stored in a config file\n\
            inside your repository.\n\
            \n\
            \x20 $ ipfs-kit config Datastore.StorageMax\n\
            \x20 $ ipfs-kit config Datastore.StorageMax 20GB\n\
            \x20 $ ipfs-kit config --json Import.CidVersion 1",
    arguments: &[
        Argument::word(
            "key",
            "The key of the config entry (e.g. \"Addresses.API\")",
        ),
        Argument::word("value", "The value to set the config entry to").optional(),
    ],
    options: &[
        Opt::flag(&["bool"], "Set a boolean value"),
        Opt::flag(&["json"], "Parse stringified JSON"),
        Opt::flag(
            &["expand-auto"],
            "Expand 'auto' placeholders; there are none in this version",
        ),
    ],
    subcommands: &[&SHOW, &EDIT, &REPLACE, &profile::COMMAND],
    reply: Reply::One,
    records: &[Shape::of::<Field>()],
    brief: false,
    run: Some(Run::Node(run)),
};

const SHOW: Command = Command {
    name: "show",
    tagline: "Output config file contents",
    about: "The private key and credentials are left out. For a full backup copy the config file\n\
            from your repo.",
    options: &[Opt::flag(
        &["expand-auto"],
        "Expand 'auto' placeholders; there are none in this version",
    )],
    records: &[Shape::of::<Document>()],
    run: Some(Run::Node(show)),
    ..Command::EMPTY
};

const EDIT: Command = Command {
    name: "edit",
    tagline: "Open the config file for editing in $EDITOR",
    about: "You must have the $EDITOR environment variable set to your preferred text editor.",
    run: Some(Run::Local),
    ..Command::EMPTY
};

const REPLACE: Command = Command {
    name: "replace",
    tagline: "Replace the config with <file>",
    about: "Make sure to back up the config file first if necessary, as this operation can't be\n\
            undone. The private key stays as it is.",
    arguments: &[Argument::file("file", "The file to use as the new config").without_stdin()],
    run: Some(Run::Node(replace)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConfigField")]
#[serde(rename_all = "PascalCase")]
struct Field {
    key: String,
    value: Value,
}

impl Record for Field {
    const NAME: &'static str = "ConfigField";
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConfigDocument")]
#[serde(transparent)]
struct Document(#[schemars(with = "serde_json::Map<String, Value>")] Value);

impl Record for Document {
    const NAME: &'static str = "Config";
}

/// The configuration of the repo in use.
///
/// # Errors
/// When there is no repo of ours, or its configuration cannot be read.
pub fn load(invocation: &Invocation) -> Result<ConfigFile, Failure> {
    let path = invocation.repo_path()?;
    match repo::kind(&path).map_err(Failure::failed)? {
        Kind::Absent => Err(Failure::failed(RepoError::NotInitialised(path))),
        Kind::Kubo => Err(Failure::failed(RepoError::KuboRepo(path))),
        Kind::Ours(_) | Kind::Unknown(_) => ConfigFile::load(&path).map_err(Failure::failed),
    }
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let arguments = invocation.arguments()?;
    let mut file = load(invocation)?;
    let (key, value) = match arguments.as_slice() {
        [key] => (key, file.get(key).map_err(Failure::failed)?),
        [key, text] => {
            if invocation.flag("expand-auto") {
                return Err(Failure::failed(
                    "--expand-auto can only be used for reading config values, not for setting \
                     them",
                ));
            }
            let value = parse_value(invocation, text)?;
            (key, file.set(key, value).map_err(Failure::failed)?)
        }
        _ => return Err(Failure::usage("argument \"key\" is required")),
    };
    let value = sorted(value);
    let text = match arguments.len() {
        2 => Vec::new(),
        _ => human(&value)?,
    };
    let field = Field {
        key: key.clone(),
        value,
    };
    invocation
        .out
        .emit(|| field, |out| out.extend_from_slice(&text))
}

fn parse_value(invocation: &Invocation, text: &str) -> Result<Value, Failure> {
    if invocation.flag("json") {
        return serde_json::from_str(text)
            .map_err(|error| Failure::failed(format_args!("failed to unmarshal json. {error}")));
    }
    if invocation.flag("bool") {
        return match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            other => Err(Failure::failed(format_args!(
                "--bool takes true or false, not {other:?}"
            ))),
        };
    }
    Ok(Value::String(text.to_owned()))
}

fn show(invocation: &mut Invocation) -> Result<(), Failure> {
    let document = sorted(load(invocation)?.show());
    let text = human(&document)?;
    invocation
        .out
        .emit(|| Document(document), |out| out.extend_from_slice(&text))
}

fn replace(invocation: &mut Invocation) -> Result<(), Failure> {
    const MAX_CONFIG: u64 = 4 << 20;
    let mut inputs = invocation.inputs()?;
    let text = match inputs.next().transpose()? {
        Some(mut input) => whole::read_all(
            &mut input,
            MAX_CONFIG,
            "the file is larger than 4 MiB: this is no configuration",
        )?,
        None => Vec::new(),
    };
    let text = String::from_utf8(text)
        .map_err(|_| Failure::failed("failed to decode file as config: it is not UTF-8"))?;
    load(invocation)?.replace(&text).map_err(Failure::failed)
}

/// A value as `config` prints it: a bare string, else indented JSON.
fn human(value: &Value) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    match value {
        Value::String(string) => text.extend_from_slice(string.trim_matches('\n').as_bytes()),
        value => go_json_pretty(&mut text, value)?,
    }
    text.push(b'\n');
    Ok(text)
}

/// Keys in the order Go prints a map.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            let sorted = fields.into_iter().map(|(key, value)| (key, sorted(value)));
            Value::Object(Map::from_iter(sorted))
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// The list of profiles for help texts.
fn profile_names() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    profiles().iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_kubo_prints_them() {
        let text = |value: Value| String::from_utf8(human(&sorted(value)).unwrap()).unwrap();
        assert_eq!(text(serde_json::json!("10GB")), "10GB\n");
        assert_eq!(
            text(serde_json::json!({"b": [], "a": {"z": null}})),
            "{\n  \"a\": {\n    \"z\": null\n  },\n  \"b\": []\n}\n"
        );
    }
}
