//! `log`: what the daemon says about itself.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::logs::{self, Level, Logs};
use crate::output::Record;

/// `ipfs-kit log`
pub const COMMAND: Command = Command {
    name: "log",
    tagline: "Interact with the daemon log output",
    about: "Contains utility commands to affect or read the logging output of a running daemon.\n\
            \n\
            Two environment variables say how a program starts to log:\n\
            \x20 GOLOG_LOG_LEVEL  a level, and levels of subsystems: error,bitswap=debug\n\
            \x20 GOLOG_LOG_FMT    color, nocolor or json",
    subcommands: &[&LEVEL, &LS, &TAIL],
    ..Command::EMPTY
};

const LEVEL: Command = Command {
    name: "level",
    tagline: "Change or get the logging level",
    about: "Without a subsystem, shows the level of those that were given none. With 'all' or '*' for the\n\
            subsystem, shows or changes all of them, that default too. The level 'default' stands for\n\
            the default level of this moment.",
    arguments: &[
        Argument::word("subsystem", "Name of a subsystem, or 'all'").optional(),
        Argument::word(
            "level",
            "One of debug, info, warn, error, dpanic, panic, fatal, default",
        )
        .optional(),
    ],
    records: &[Shape::of::<Levels>()],
    run: Some(Run::Node(level)),
    ..Command::EMPTY
};

const LS: Command = Command {
    name: "ls",
    tagline: "List the logging subsystems",
    about: "Lists the subsystems that have levels of their own.",
    records: &[Shape::of::<Subsystems>()],
    run: Some(Run::Anywhere(ls)),
    ..Command::EMPTY
};

const TAIL: Command = Command {
    name: "tail",
    tagline: "Read and output log messages",
    about: "Outputs log messages as they are generated. What a subsystem's level holds back does not come.",
    options: &[Opt::text(&["log-level"], "Log level to listen to")],
    reply: Reply::Bytes("text/plain"),
    run: Some(Run::Node(tail)),
    ..Command::EMPTY
};

/// Names that mean all subsystems.
const ALL: [&str; 2] = ["*", "all"];

/// How long to wait for a line between two looks at whether anybody still listens.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Levels {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    levels: BTreeMap<&'static str, &'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

impl Record for Levels {
    const NAME: &'static str = "logLevelOutput";
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Subsystems {
    strings: Vec<&'static str>,
}

impl Record for Subsystems {
    const NAME: &'static str = "stringList";
}

/// The logs, which only a daemon keeps.
fn logs() -> Result<&'static Logs, Failure> {
    logs::logs().ok_or_else(|| Failure::failed("command must be run with a running daemon"))
}

fn level(invocation: &mut Invocation) -> Result<(), Failure> {
    let logs = logs()?;
    let words = invocation.arguments()?;
    let subsystem = words.first().map_or("", String::as_str);
    let record = match words
        .get(1)
        .map(String::as_str)
        .filter(|level| !level.is_empty())
    {
        Some(level) => Levels {
            message: set(logs, subsystem, level)?,
            ..Levels::default()
        },
        None => Levels {
            levels: levels(logs, subsystem)?,
            ..Levels::default()
        },
    };
    let mut text = record.message.clone();
    let named = record.levels.len() > 1;
    for (name, level) in &record.levels {
        text += &match named {
            true => format!("{name}: {level}\n"),
            false => format!("{level}\n"),
        };
    }
    invocation
        .out
        .emit(|| record, |out| out.extend_from_slice(text.as_bytes()))
}

fn set(logs: &Logs, subsystem: &str, level: &str) -> Result<String, Failure> {
    let level = match level {
        "default" => logs.default_level(),
        level => level.parse().map_err(Failure::failed)?,
    };
    let name = if ALL.contains(&subsystem) {
        logs.set_all(level);
        ALL[0]
    } else {
        logs.set(subsystem, level).map_err(Failure::failed)?;
        subsystem
    };
    let message = format!("Changed log level of '{name}' to '{level}'\n");
    tracing::info!("{}", message.trim_end());
    Ok(message)
}

fn levels(logs: &Logs, subsystem: &str) -> Result<BTreeMap<&'static str, &'static str>, Failure> {
    let default = logs.default_level().name();
    if subsystem.is_empty() {
        return Ok([("", default)].into());
    }
    let all = ALL.contains(&subsystem);
    let wanted = logs::subsystems()
        .into_iter()
        .filter(|name| all || *name == subsystem);
    let mut levels: BTreeMap<_, _> = wanted
        .map(|name| (name, logs.level(name).unwrap_or_default().name()))
        .collect();
    if all {
        levels.insert("(default)", default);
    } else {
        // Says that there is no such subsystem.
        logs.level(subsystem).map_err(Failure::failed)?;
    }
    Ok(levels)
}

fn ls(invocation: &mut Invocation) -> Result<(), Failure> {
    let strings = logs::subsystems();
    let text = strings.join("\n") + "\n";
    invocation.out.emit(
        || Subsystems { strings },
        |out| out.extend_from_slice(text.as_bytes()),
    )
}

fn tail(invocation: &mut Invocation) -> Result<(), Failure> {
    let level = match invocation
        .text("log-level")
        .filter(|level| !level.is_empty())
    {
        None => Level::Debug,
        Some(text) => text
            .parse()
            .map_err(|error| Failure::failed(format_args!("setting log level {text}: {error}")))?,
    };
    let tail = logs()?.tail(level);
    invocation.out.announce_bytes()?;
    loop {
        invocation.check()?;
        if let Some(line) = tail.next(LOOK_EVERY) {
            invocation.out.write_all(line.as_bytes())?;
            invocation.out.flush()?;
        }
    }
}
