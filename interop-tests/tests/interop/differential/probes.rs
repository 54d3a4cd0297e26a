//! From Kubo's own list of commands: each one called without arguments, with wrong ones, with unknown
//! and with wrong options, and by other methods.

use super::accepted::NOT_SENT;
use super::compare::Depth;
use super::wire::Ask;
use super::world::World;
use super::{Case, valid};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;

/// A command of the list.
struct Command {
    path: String,
    options: Vec<Vec<String>>,
}

/// The cases of every command, those of a group of commands together: they change the same.
pub fn cases(world: &World) -> Result<Vec<Vec<Case>>> {
    let root = world.kubo_says("commands")?;
    let mut commands = Vec::new();
    walk(&root, "", &mut commands)?;
    // Go lists them in any order.
    commands.sort_by(|a, b| a.path.cmp(&b.path));
    ensure!(commands.len() > 150, "only {} commands", commands.len());
    let mut groups: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
    for command in &commands {
        if NOT_SENT.iter().any(|(name, _)| *name == command.path) {
            continue;
        }
        let group = command.path.split('/').next().unwrap_or_default();
        let cases = groups.entry(group).or_default();
        for target in arguments(&command.path).into_iter().chain(options(command)) {
            cases.push(Case::new(Ask::post(world.fill(&target)), Depth::Shape));
        }
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            let ask = Ask::post(&command.path).method(method);
            cases.push(Case::new(ask, Depth::Values));
        }
    }
    Ok(groups.into_values().collect())
}

fn walk(command: &Value, path: &str, found: &mut Vec<Command>) -> Result<()> {
    let mut options = Vec::new();
    for option in command["Options"].as_array().into_iter().flatten() {
        let names = option["Names"]
            .as_array()
            .context("an option without names")?;
        options.push(
            names
                .iter()
                .filter_map(|name| Some(name.as_str()?.to_owned()))
                .collect(),
        );
    }
    if !path.is_empty() {
        found.push(Command {
            path: path.to_owned(),
            options,
        });
    }
    for below in command["Subcommands"].as_array().into_iter().flatten() {
        let name = below["Name"].as_str().context("a command without a name")?;
        let path = format!("{path}/{name}");
        walk(below, path.trim_start_matches('/'), found)?;
    }
    Ok(())
}

fn arguments(path: &str) -> Vec<String> {
    [
        "",
        "?no-such-option=1",
        "?arg=no-such-thing",
        "?arg=",
        "?arg=/ipfs/nothing&arg=/ipfs/{hello}",
        "?arg=a&arg=b&arg=c&arg=d",
        "?arg=%2Fipfs%2F%ff%fe",
        "?encoding=nothing",
        "?encoding=xml&arg=no-such-thing",
        "?encoding=text",
        "/",
        "/no-such-word",
    ]
    .map(|query| format!("{path}{query}"))
    .into()
}

/// Options that start what does not end.
const ENDLESS: &[&str] = &["stats/bw?poll"];

fn options(command: &Command) -> Vec<String> {
    let mut targets = Vec::new();
    let known = valid::sample(&command.path);
    for names in &command.options {
        // Of an option that is given by two names, Kubo takes any.
        let given = |known: &&str| {
            names
                .iter()
                .any(|name| known.contains(&format!("&{name}=")))
        };
        let base = match known.filter(|known| !given(known)) {
            Some(known) => format!("{known}&"),
            None => format!("{}?", command.path),
        };
        for name in names {
            targets.push(format!("{base}{name}=not-a-value"));
            if ENDLESS.contains(&format!("{}?{name}", command.path).as_str()) {
                continue;
            }
            targets.push(format!("{base}{name}=1&{name}=2"));
            targets.push(format!("{}?{name}=-1", command.path));
        }
        if let [first, second, ..] = &names[..] {
            targets.push(format!("{}?{first}=1&{second}=1", command.path));
        }
    }
    targets
}
