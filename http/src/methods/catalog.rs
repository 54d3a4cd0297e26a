//! `commands`: all commands, from their tables.

use std::io::Write;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::command::{self, Opt, Reply, Run, dashed};
use crate::documents;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit commands`
pub const COMMAND: command::Command = command::Command {
    name: "commands",
    tagline: "List all available commands",
    about: "Lists all available commands (and subcommands) and exits.",
    options: &[Opt::flag(&["flags", "f"], "Show command flags")],
    subcommands: &[&COMPLETION, &OPENAPI, &REFERENCE],
    records: &[command::Shape::of::<Command>()],
    run: Some(Run::Anywhere(run)),
    ..command::Command::EMPTY
};

/// For a shell, which asks no daemon.
const COMPLETION: command::Command = command::Command {
    name: "completion",
    run: Some(Run::Local),
    ..command::Command::EMPTY
};

/// `ipfs-kit commands openapi`
pub const OPENAPI: command::Command = command::Command {
    name: "openapi",
    tagline: "Print an OpenAPI description of the RPC",
    about: "Prints what the daemon serves as an OpenAPI 3.1 document.",
    records: &[command::Shape::of::<Document>()],
    run: Some(Run::Anywhere(openapi)),
    ..command::Command::EMPTY
};

/// `ipfs-kit commands reference`
pub const REFERENCE: command::Command = command::Command {
    name: "reference",
    tagline: "Print the reference page of the RPC",
    about: "Prints every method of the daemon with its arguments, options and reply, in Markdown.",
    reply: Reply::Bytes("text/markdown"),
    run: Some(Run::Anywhere(reference)),
    ..command::Command::EMPTY
};

/// A document that is data.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OpenApi")]
#[serde(transparent)]
struct Document(#[schemars(with = "serde_json::Map<String, Value>")] Value);

impl Record for Document {
    const NAME: &'static str = "Document";
}

fn openapi(invocation: &mut Invocation) -> Result<(), Failure> {
    let document = documents::openapi();
    let text = serde_json::to_string_pretty(&document).map_err(Failure::failed)?;
    invocation.out.emit(
        || Document(document),
        |out| {
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
        },
    )
}

fn reference(invocation: &mut Invocation) -> Result<(), Failure> {
    Ok(invocation
        .out
        .write_all(documents::reference().as_bytes())?)
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Command")]
#[serde(rename_all = "PascalCase")]
struct Command {
    name: &'static str,
    subcommands: Vec<Command>,
    options: Vec<Names>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CommandOption")]
#[serde(rename_all = "PascalCase")]
struct Names {
    names: &'static [&'static str],
}

impl Record for Command {
    const NAME: &'static str = "Command";
}

impl Command {
    fn new(command: &'static command::Command) -> Command {
        let mut subcommands = command.subcommands.to_vec();
        subcommands.sort_by_key(|command| command.name);
        Command {
            name: command.name,
            subcommands: subcommands.into_iter().map(Command::new).collect(),
            options: command
                .options
                .iter()
                .map(|option| Names {
                    names: option.names,
                })
                .collect(),
        }
    }
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let flags = invocation.flag("flags");
    // Whoever asks is told of what there is for them: the daemon serves fewer than the command line has.
    let root = invocation.command_path()[0];
    invocation.out.emit(
        || Command::new(root),
        |out| {
            let mut lines = Vec::new();
            push_lines(&mut lines, "", root, flags);
            lines.sort_unstable();
            for line in lines {
                out.extend_from_slice(line.as_bytes());
                out.push(b'\n');
            }
        },
    )
}

fn push_lines(
    lines: &mut Vec<String>,
    prefix: &str,
    command: &'static command::Command,
    flags: bool,
) {
    let path = format!("{prefix}{}", command.name);
    for option in command.options.iter().filter(|_| flags) {
        let names: Vec<String> = option
            .names
            .iter()
            .map(|name| format!("{path} {}", dashed(name)))
            .collect();
        lines.push(names.join(" / "));
    }
    for subcommand in command.subcommands {
        push_lines(lines, &format!("{path} "), subcommand, flags);
    }
    lines.push(path);
}
