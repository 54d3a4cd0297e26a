//! `auth`: who may use the node's RPC.

use std::time::{Duration, SystemTime};

use ipfs_kit_node::config::{format_size, parse_duration, parse_size};
use ipfs_kit_node::tokens::{Rate, Scope, Token, seconds};
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Argument, Command, Opt, Run, Shape};
use crate::escape;
use crate::failure::Failure;
use crate::host::Need;
use crate::invocation::Invocation;
use crate::output::{Record, push_columns};
use crate::server::ROOT_PATH;

/// `ipfs-kit auth`
pub const COMMAND: Command = Command {
    name: "auth",
    tagline: "Manage who may use the RPC",
    subcommands: &[&TOKEN],
    ..Command::EMPTY
};

const TOKEN: Command = Command {
    name: "token",
    tagline: "Make, list and remove tokens",
    about: "A token is a secret for one client, with a scope. The client sends it as\n\
            'Authorization: Bearer SECRET', the command line with --api-auth. As soon as there is one,\n\
            every request needs a token or a secret of API.Authorizations, also those for metrics and\n\
            documents; only the socket in the repo, which none but its owner can open, does not.",
    subcommands: &[&ADD, &LS, &RM],
    ..Command::EMPTY
};

const ADD: Command = Command {
    name: "add",
    tagline: "Make a token and show its secret",
    about: "The secret is shown this once; the repo keeps its hash only. Without options the token opens\n\
            everything, without end.\n\
            \n\
            \x20 $ ipfs-kit auth token add ci --path add --path pin --max-bytes 1GB --expires 720h\n\
            \n\
            Whoever may use 'auth' or 'config' can give himself everything.",
    arguments: &[Argument::word("name", "What the token is called")],
    options: &[
        Opt::list(
            &["path", "p"],
            "An HTTP path that it opens with all below, as /metrics, or a method, as pin/add",
        ),
        Opt::list(&["method", "m"], "An HTTP method that it opens, as POST"),
        Opt::text(&["max-bytes"], "Most bytes in one request's body, as 10MB"),
        Opt::text(&["rate"], "Requests in a time, as 10/s, 100/m or 5000/h"),
        Opt::text(&["expires"], "How long it lives, as 720h"),
    ],
    records: &[Shape::of::<Shown>()],
    run: Some(Run::Node(add)),
    ..Command::EMPTY
};

const LS: Command = Command {
    name: "ls",
    tagline: "List tokens and what they open",
    records: &[Shape::of::<List>()],
    run: Some(Run::Node(list)),
    ..Command::EMPTY
};

const RM: Command = Command {
    name: "rm",
    tagline: "Remove tokens",
    about: "Takes effect at once: no new request is let in by them.",
    arguments: &[Argument::word("name", "The token to remove").many()],
    records: &[Shape::of::<List>()],
    run: Some(Run::Node(remove)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuthToken")]
#[serde(rename_all = "PascalCase")]
struct Shown {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    paths: Vec<String>,
    methods: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<String>,
    created: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
}

impl Record for Shown {
    const NAME: &'static str = "Token";
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuthTokens")]
#[serde(rename_all = "PascalCase")]
struct List {
    tokens: Vec<Shown>,
}

impl Record for List {
    const NAME: &'static str = "TokenList";
}

impl Shown {
    fn new(token: &Token) -> Shown {
        let scope = token.scope.clone();
        Shown {
            name: token.name.clone(),
            secret: None,
            paths: scope.paths,
            methods: scope.methods,
            max_bytes: scope.max_bytes,
            rate: scope.rate.map(show_rate),
            created: token.created,
            expires: scope.expires,
        }
    }

    fn row(&self, now: u64) -> Vec<String> {
        let all = |texts: &[String]| match texts {
            [] => "*".to_owned(),
            texts => texts.join(","),
        };
        let or = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let left = self.expires.map(|end| match end.checked_sub(now) {
            None | Some(0) => "ended".to_owned(),
            Some(left) => format!("{}h{}m", left / 3600, left / 60 % 60),
        });
        [
            self.name.clone(),
            all(&self.methods),
            all(&self.paths),
            or(self.max_bytes.map(format_size)),
            or(self.rate.clone()),
            or(left),
        ]
        .map(|text| escape::printable(text.as_bytes()))
        .to_vec()
    }
}

fn add(invocation: &mut Invocation) -> Result<(), Failure> {
    let name = invocation.argument()?;
    let scope = scope(invocation)?;
    let node = invocation.node_for(Need::Storage)?;
    let (token, secret) = node.tokens().add(&name, scope)?;
    invocation.close(node)?;
    let shown = Shown {
        secret: Some((*secret).clone()),
        ..Shown::new(&token)
    };
    let line = format!("{}\n", *secret);
    invocation
        .out
        .emit(|| shown, |out| out.extend_from_slice(line.as_bytes()))
}

fn list(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let tokens = node.tokens().list()?;
    invocation.close(node)?;
    let tokens: Vec<Shown> = tokens.all().iter().map(Shown::new).collect();
    let mut text = Vec::new();
    if !tokens.is_empty() {
        let now = seconds(SystemTime::now());
        let head = ["Name", "Methods", "Paths", "MaxBytes", "Rate", "Left"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(tokens.iter().map(|token| token.row(now)));
        push_columns(&mut text, &rows, 0);
    }
    invocation
        .out
        .emit(|| List { tokens }, |out| out.extend_from_slice(&text))
}

fn remove(invocation: &mut Invocation) -> Result<(), Failure> {
    let names = invocation.arguments()?;
    let node = invocation.node()?;
    let mut removed = Vec::new();
    let mut failed = Ok(());
    for name in &names {
        match node.tokens().remove(name) {
            Ok(token) => removed.push(token),
            Err(error) => {
                failed = Err(Failure::failed(error));
                break;
            }
        }
    }
    invocation.close(node)?;
    let tokens: Vec<Shown> = removed.iter().map(Shown::new).collect();
    let text: String = tokens
        .iter()
        .map(|token| format!("removed {}\n", escape::printable(token.name.as_bytes())))
        .collect();
    invocation.out.emit(
        || List { tokens },
        |out| out.extend_from_slice(text.as_bytes()),
    )?;
    failed
}

/// The scope that the options describe.
fn scope(invocation: &Invocation) -> Result<Scope, Failure> {
    let bad = |option: &str, text: &str, form: &str| {
        Failure::usage(format!("--{option} takes a form like {form}, not {text:?}"))
    };
    let max_bytes = invocation.text("max-bytes").map(|text| {
        let size = parse_size(&text);
        size.ok_or_else(|| bad("max-bytes", &text, "10MB"))
    });
    let rate = invocation.text("rate").map(|text| {
        let rate = parse_rate(&text);
        rate.ok_or_else(|| bad("rate", &text, "10/s"))
    });
    let expires = invocation.text("expires").map(|text| {
        let life = parse_duration(&text).filter(|life| *life >= Duration::from_secs(1));
        let end = life.and_then(|life| SystemTime::now().checked_add(life));
        end.map(seconds)
            .ok_or_else(|| bad("expires", &text, "720h"))
    });
    let methods = invocation.list("method");
    let paths = invocation.list("path");
    Ok(Scope {
        paths: paths.into_iter().map(path).collect::<Result<_, _>>()?,
        methods: methods
            .into_iter()
            .map(|method| method.to_ascii_uppercase())
            .collect(),
        max_bytes: max_bytes.transpose()?,
        rate: rate.transpose()?,
        expires: expires.transpose()?,
    })
}

/// A path, or that of a method of the table.
fn path(text: String) -> Result<String, Failure> {
    if text.starts_with('/') {
        return Ok(text);
    }
    let mut command = &super::ROOT;
    for word in text.split('/') {
        command = command.subcommand(word).ok_or_else(|| {
            Failure::usage(format!(
                "--path {text:?} is no method: use one such as pin/add, or a path that begins with /"
            ))
        })?;
    }
    Ok(format!("{ROOT_PATH}/{text}"))
}

fn parse_rate(text: &str) -> Option<Rate> {
    let (requests, time) = text.split_once('/')?;
    let seconds = match time {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let requests = requests.parse().ok().filter(|&requests| requests > 0)?;
    Some(Rate { requests, seconds })
}

fn show_rate(rate: Rate) -> String {
    let unit = match rate.seconds {
        1 => "s".to_owned(),
        60 => "m".to_owned(),
        3600 => "h".to_owned(),
        86_400 => "d".to_owned(),
        seconds => format!("{seconds}s"),
    };
    format!("{}/{unit}", rate.requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_paths() {
        for text in ["10/s", "1/m", "5000/h", "4294967295/d"] {
            assert_eq!(show_rate(parse_rate(text).unwrap()), text);
        }
        for bad in ["", "10", "/s", "0/s", "-1/s", "10/", "10/w", "4294967296/s"] {
            assert_eq!(parse_rate(bad), None, "{bad}");
        }
        assert_eq!(path("pin/add".to_owned()).unwrap(), "/api/v0/pin/add");
        assert_eq!(path("/metrics".to_owned()).unwrap(), "/metrics");
        assert!(path("nothing".to_owned()).is_err());
    }
}
