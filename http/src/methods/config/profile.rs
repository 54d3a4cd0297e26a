//! `config profile`: sets of values that belong together.

use ipfs_kit_node::config::ProfileChange;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{load, profile_names, sorted};
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::{Record, go_json};

/// `ipfs-kit config profile`
pub const COMMAND: Command = Command {
    name: "profile",
    tagline: "Apply profiles to config",
    about: "'ipfs-kit config profile list' shows the available profiles.",
    subcommands: &[&APPLY, &LIST],
    ..Command::EMPTY
};

const APPLY: Command = Command {
    name: "apply",
    tagline: "Apply profile to config",
    about: "'ipfs-kit config profile list' shows the available profiles. With --dry-run nothing is\n\
            changed; the output marks values that go with <>, and what they become with **.",
    arguments: &[Argument::word(
        "profile",
        "The profile to apply to the config",
    )],
    options: &[Opt::flag(
        &["dry-run"],
        "print difference between the current config and the config that would be generated",
    )],
    records: &[Shape::of::<Update>()],
    run: Some(Run::Node(apply)),
    ..Command::EMPTY
};

const LIST: Command = Command {
    name: "list",
    tagline: "List the available profiles",
    records: &[Shape::of::<Profile>()],
    reply: Reply::Many,
    run: Some(Run::Node(list)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConfigProfileUpdate")]
#[serde(rename_all = "PascalCase")]
struct Update {
    old_cfg: Value,
    new_cfg: Value,
}

impl Record for Update {
    const NAME: &'static str = "ConfigUpdateOutput";
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConfigProfile")]
#[serde(rename_all = "PascalCase")]
struct Profile {
    name: &'static str,
    description: &'static str,
}

impl Record for Profile {
    const NAME: &'static str = "Profile";
}

fn apply(invocation: &mut Invocation) -> Result<(), Failure> {
    let name = invocation.argument()?;
    let dry_run = invocation.flag("dry-run");
    let ProfileChange { before, after } = load(invocation)?
        .apply_profile(&name, dry_run)
        .map_err(Failure::failed)?;
    let (before, after) = (sorted(before), sorted(after));
    let mut text = Vec::new();
    push_difference(&mut text, &before, &after, 0)?;
    text.push(b'\n');
    let record = || Update {
        old_cfg: before,
        new_cfg: after,
    };
    invocation
        .out
        .emit(record, |out| out.extend_from_slice(&text))
}

fn list(invocation: &mut Invocation) -> Result<(), Failure> {
    for (name, description) in profile_names() {
        invocation.out.emit(
            || Profile { name, description },
            |out| {
                let mut text = format!("{name}\n");
                for line in description.lines() {
                    text.push_str(&format!("    {line}\n"));
                }
                out.extend_from_slice(text.as_bytes());
            },
        )?;
    }
    Ok(())
}

/// Appends two objects side by side: equal values once and compact, changed ones as `<>` old and
/// `**` new, those that come as `++`, those that go as `--`.
fn push_difference(
    out: &mut Vec<u8>,
    before: &Value,
    after: &Value,
    depth: usize,
) -> Result<(), Failure> {
    let empty = serde_json::Map::new();
    let old = before.as_object().unwrap_or(&empty);
    let new = after.as_object().unwrap_or(&empty);
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    out.extend_from_slice(b"{\n");
    for (at, key) in keys.iter().enumerate() {
        let end = if at + 1 < keys.len() { ",\n" } else { "\n" };
        match (old.get(*key), new.get(*key)) {
            (Some(Value::Object(_)), Some(Value::Object(_))) if old[*key] != new[*key] => {
                push_key(out, "", key, depth)?;
                push_difference(out, &old[*key], &new[*key], depth + 1)?;
                out.extend_from_slice(end.as_bytes());
            }
            (Some(old), Some(new)) if old == new => push_line(out, "", key, old, end, depth)?,
            (Some(old), Some(new)) => {
                push_line(out, "<> ", key, old, end, depth)?;
                push_line(out, "** ", key, new, end, depth)?;
            }
            (Some(old), None) => push_line(out, "-- ", key, old, end, depth)?,
            (None, Some(new)) => push_line(out, "++ ", key, new, end, depth)?,
            (None, None) => {}
        }
    }
    out.extend_from_slice("    ".repeat(depth).as_bytes());
    out.push(b'}');
    Ok(())
}

fn push_key(out: &mut Vec<u8>, mark: &str, key: &str, depth: usize) -> Result<(), Failure> {
    out.extend_from_slice("    ".repeat(depth).as_bytes());
    out.extend_from_slice(mark.as_bytes());
    go_json(out, key)?;
    out.extend_from_slice(b": ");
    Ok(())
}

fn push_line(
    out: &mut Vec<u8>,
    mark: &str,
    key: &str,
    value: &Value,
    end: &str,
    depth: usize,
) -> Result<(), Failure> {
    push_key(out, mark, key, depth)?;
    go_json(out, value)?;
    out.extend_from_slice(end.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences() {
        let mut out = Vec::new();
        let before = json!({"A": {"x": 1, "y": 2}, "B": [1], "C": 0});
        let after = json!({"A": {"x": 1, "y": 3}, "B": [1], "D": 0});
        push_difference(&mut out, &before, &after, 0).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\n\"A\": {\n    \"x\": 1,\n    <> \"y\": 2\n    ** \"y\": 3\n    },\n\"B\": [1],\n\
             -- \"C\": 0,\n++ \"D\": 0\n}"
        );
    }
}
