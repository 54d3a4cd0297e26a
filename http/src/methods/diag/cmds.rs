//! `diag cmds`: the calls that run and ran.

use std::time::SystemTime;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::columns;
use crate::command::{Argument, Command, Opt, Run, Shape};
use crate::duration;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::observed::Call;
use crate::output::Record;

/// `ipfs-kit diag cmds`
pub const COMMAND: Command = Command {
    name: "cmds",
    tagline: "List commands run on this IPFS node",
    about: "Lists running and recently run commands. Values of the configuration and secrets are not\n\
            shown.",
    options: &[Opt::flag(&["verbose", "v"], "Print extra information")],
    subcommands: &[&CLEAR, &SET_TIME],
    records: &[Shape::of::<Vec<Entry>>()],
    run: Some(Run::Node(list)),
    ..Command::EMPTY
};

const CLEAR: Command = Command {
    name: "clear",
    tagline: "Clear inactive requests from the log",
    run: Some(Run::Node(clear)),
    ..Command::EMPTY
};

const SET_TIME: Command = Command {
    name: "set-time",
    tagline: "Set how long to keep inactive requests in the log",
    arguments: &[Argument::word(
        "time",
        "Time to keep inactive requests in log",
    )],
    run: Some(Run::Node(set_time)),
    ..Command::EMPTY
};

/// Go's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RunningCommand")]
#[serde(rename_all = "PascalCase")]
struct Entry {
    start_time: String,
    end_time: String,
    active: bool,
    command: String,
    options: Map<String, Value>,
    args: Vec<String>,
    #[serde(rename = "ID")]
    id: u64,
}

impl Record for Entry {
    const NAME: &'static str = "ReqLogEntry";
}

impl Entry {
    fn new(call: &Call) -> Entry {
        let options = call.options.iter();
        Entry {
            start_time: rfc3339(call.began),
            end_time: call
                .ended
                .map_or_else(|| NEVER.to_owned(), |(at, _)| rfc3339(at)),
            active: call.ended.is_none(),
            command: call.command.clone(),
            options: options
                .map(|(name, text)| ((*name).to_owned(), json!(text)))
                .collect(),
            args: call.arguments.clone(),
            id: call.number,
        }
    }
}

fn rfc3339(at: SystemTime) -> String {
    OffsetDateTime::from(at)
        .format(&Rfc3339)
        .unwrap_or_default()
}

/// As Go's `time.Stamp`.
fn stamp(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let month = at.month().to_string();
    let (hour, minute, second) = at.to_hms();
    format!(
        "{} {:>2} {hour:02}:{minute:02}:{second:02}",
        &month[..3],
        at.day()
    )
}

fn list(invocation: &mut Invocation) -> Result<(), Failure> {
    let calls = invocation.watched()?.calls.list();
    let verbose = invocation.flag("verbose");
    let text = table(&calls, verbose);
    invocation.out.emit(
        || calls.iter().map(Entry::new).collect::<Vec<_>>(),
        |out| out.extend_from_slice(text.as_bytes()),
    )
}

fn table(calls: &[Call], verbose: bool) -> String {
    let head: &[&str] = match verbose {
        true => &[
            "ID",
            "Command",
            "Arguments",
            "Options",
            "Active",
            "StartTime",
            "RunTime",
        ],
        false => &["Command", "Active", "StartTime", "RunTime"],
    };
    let mut rows = vec![head.iter().map(|name| (*name).to_owned()).collect()];
    for call in calls {
        let nanos = i64::try_from(call.time().as_nanos()).unwrap_or(i64::MAX);
        let mut row = vec![call.command.clone()];
        if verbose {
            let options = call
                .options
                .iter()
                .map(|(name, text)| format!("{name}={text},"));
            row.insert(0, call.number.to_string());
            row.push(format!("[{}]", call.arguments.join(" ")));
            row.push(format!("[{}]", options.collect::<String>()));
        }
        row.extend([
            call.ended.is_none().to_string(),
            stamp(call.began),
            duration::go(nanos),
        ]);
        rows.push(row);
    }
    columns::aligned(&rows, 4, 2)
}

fn clear(invocation: &mut Invocation) -> Result<(), Failure> {
    invocation.watched()?.calls.clear();
    Ok(())
}

fn set_time(invocation: &mut Invocation) -> Result<(), Failure> {
    let text = invocation.argument()?;
    let time = duration::parse(&text).map_err(Failure::failed)?;
    invocation.watched()?.calls.keep(time);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_written_as_go_does() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * 3 + 3661);
        assert_eq!(stamp(at), "Jan  4 01:01:01");
        assert_eq!(rfc3339(at), "1970-01-04T01:01:01Z");
    }
}
