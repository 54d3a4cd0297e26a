//! From the path and the query of a request to a command with its options and arguments. No IO.

use std::ffi::OsString;
use std::time::Duration;

use crate::cid_style::CidStyle;
use crate::command::{Command, Kind, Opt, Source};
use crate::duration;
use crate::failure::Failure;
use crate::output::Encoding;
use crate::request::{Common, Request};
use crate::value::{Value, Values, parse_value};

use super::version::{self, ApiVersion};

/// Why the strict version does not write what is asked for.
pub const OTHER_ENCODING: &str =
    "records of this version are JSON: give no other encoding, or call the method at /api/v0";

/// Options of every command that mean something to the daemon. Others are ignored, as in Kubo.
pub const GLOBALS: &[Opt] = &[
    Opt::text(
        &["encoding", "enc"],
        "How records are written: json, xml, text, yaml or table",
    )
    .default("json"),
    Opt::text(
        &["timeout"],
        "How long the call may take, as seconds or as 1m30s",
    ),
    Opt::text(
        &["cid-base"],
        "Multibase for CIDs in the reply; other than base58btc means CIDv1",
    ),
    Opt::flag(
        &["upgrade-cidv0-in-output"],
        "Upgrade version 0 CIDs in the reply (deprecated)",
    ),
    Opt::flag(&["offline"], "Fetch nothing for this call"),
    Opt::flag(
        &["quiet", "q"],
        "Reply with nothing but the essential result",
    ),
];

/// Options for command lines: they have to be what they should, and mean nothing here.
const IGNORED: &[Opt] = &[
    Opt::flag(&["stream-channels"], ""),
    Opt::flag(&["debug", "D"], ""),
    Opt::flag(&["local", "L"], ""),
    Opt::flag(&["help"], ""),
    Opt::flag(&["h"], ""),
    Opt::text(&["api"], ""),
    Opt::text(&["api-auth"], ""),
    Opt::text(&["repo-dir"], ""),
    Opt::text(&["config-file"], ""),
    Opt::text(&["config", "c"], ""),
];

/// A request that makes sense.
#[derive(Debug)]
pub struct Call {
    /// What to run.
    pub request: Request,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// A request that makes none.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such command: 404.
    NotFound,
    /// An option or argument is wrong: 400 with this text.
    Bad(String),
}

/// Reads a request for a method below `root`. `has_body` says whether files came with it.
///
/// # Errors
/// [`Refusal`].
pub fn parse(
    root: &'static Command,
    path: &str,
    query: &str,
    has_body: bool,
) -> Result<Call, Refusal> {
    let (version, method) = version::method(path).ok_or(Refusal::NotFound)?;
    let (path, mut words) = select(root, method)?;
    let command = path[path.len() - 1];
    // In Kubo's order: of several mistakes the same one is told.
    let mut given = Vec::new();
    for (name, texts) in parameters(query)? {
        if name == "arg" {
            words.extend(texts.into_iter().map(OsString::from));
            continue;
        }
        let own = command.option(&name);
        let global = || {
            GLOBALS
                .iter()
                .chain(IGNORED)
                .find(|option| option.names.contains(&&*name))
        };
        if let Some(option) = own.or_else(global) {
            check_single(option, &texts)?;
            given.push((own.is_some(), option, texts));
        }
    }
    check_files(command, words.len(), has_body)?;
    let mut options = Values::new();
    let mut globals = Values::new();
    for (own, option, texts) in given {
        // A path means a file of the client, which is none of ours.
        if option.kind != Kind::Path {
            let values = if own { &mut options } else { &mut globals };
            set(values, option, &texts)?;
        }
    }
    check_words(command, words.len(), has_body)?;
    if !command.arguments.iter().any(|argument| argument.variadic) {
        words.truncate(
            command
                .arguments
                .iter()
                .filter(|argument| !argument.is_file())
                .count(),
        );
    }
    let timeout = match globals.get("timeout") {
        Some(Value::Text(text)) if !text.is_empty() => {
            Some(duration::parse(text).map_err(Refusal::Bad)?)
        }
        _ => None,
    };
    let common = common(&globals)?;
    if version == ApiVersion::V1 && common.encoding != Encoding::Json {
        return Err(Refusal::Bad(OTHER_ENCODING.to_owned()));
    }
    Ok(Call {
        request: Request {
            path,
            options,
            words,
            common,
        },
        timeout,
    })
}

/// The command that the words of a path name, from the root down, and the words behind it: a last word that names
/// no command is an argument of the one before it.
fn select(
    root: &'static Command,
    method: &str,
) -> Result<(Vec<&'static Command>, Vec<OsString>), Refusal> {
    let mut found = vec![root];
    let mut rest = Vec::new();
    let words: Vec<&str> = method.split('/').collect();
    for (index, word) in words.iter().enumerate() {
        let parent = found[found.len() - 1];
        match parent.subcommand(word) {
            Some(command) => found.push(command),
            None if parent.run.is_some() && index + 1 == words.len() => {
                // Only in a query is a plus a space.
                rest.push(OsString::from(decode(&word.replace('+', "%2B"))?));
            }
            None => return Err(Refusal::NotFound),
        }
    }
    match found[found.len() - 1].run {
        Some(run) if run.function().is_none() => Err(Refusal::NotFound),
        _ => Ok((found, rest)),
    }
}

/// The names of a query with all their values, in the order in which they come first.
fn parameters(query: &str) -> Result<Vec<(String, Vec<String>)>, Refusal> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, text) = (decode(name)?, decode(text)?);
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, texts)) => texts.push(text),
            None => found.push((name, vec![text])),
        }
    }
    Ok(found)
}

fn check_single(option: &Opt, texts: &[String]) -> Result<(), Refusal> {
    if option.kind == Kind::List || texts.len() == 1 {
        return Ok(());
    }
    Err(Refusal::Bad(format!(
        "expected key {} to have only a single value, received [{}]",
        option.name(),
        texts.join(" ")
    )))
}

fn set(values: &mut Values, option: &Opt, texts: &[String]) -> Result<(), Refusal> {
    for text in texts {
        let value = parse_value(option, text.as_ref()).map_err(|_| {
            let value = match text.is_empty() {
                true => "empty value".to_owned(),
                false => format!("value {text:?}"),
            };
            Refusal::Bad(format!(
                "could not convert {value} to type {:?} (for option \"-{}\")",
                option.type_name(),
                option.name()
            ))
        })?;
        match (values.get_mut(option.name()), value) {
            (Some(Value::List(list)), Value::List(more)) => list.extend(more),
            (_, value) => {
                values.insert(option.name(), value);
            }
        }
    }
    Ok(())
}

/// A required file is missed, unless a word before it is missing already.
fn check_files(command: &Command, words: usize, has_body: bool) -> Result<(), Refusal> {
    let mut left = words;
    for argument in command.arguments {
        if argument.is_file() {
            if argument.required && !has_body {
                return Err(Refusal::Bad(format!(
                    "file argument '{}' is required",
                    argument.name
                )));
            }
        } else if left == 0 {
            break;
        } else {
            left -= 1;
        }
    }
    Ok(())
}

fn check_words(command: &Command, words: usize, has_body: bool) -> Result<(), Refusal> {
    let mut left = words;
    for argument in command
        .arguments
        .iter()
        .filter(|argument| !argument.is_file())
    {
        let given = left > 0 || argument.source == Source::Lines && has_body;
        if argument.required && !given {
            return Err(Refusal::Bad(format!(
                "argument {:?} is required",
                argument.name
            )));
        }
        left = left.saturating_sub(1);
    }
    Ok(())
}

fn common(globals: &Values) -> Result<Common, Refusal> {
    let text = |name| match globals.get(name) {
        Some(Value::Text(text)) if !text.is_empty() => Some(text.as_str()),
        _ => None,
    };
    let flag = |name| match globals.get(name) {
        Some(Value::Bool(flag)) => Some(*flag),
        _ => None,
    };
    let encoding = match globals.get("encoding") {
        Some(Value::Text(name)) => Encoding::from_name(name)
            .ok_or_else(|| Refusal::Bad(format!("invalid encoding: {name}")))?,
        _ => Encoding::Json,
    };
    let style = CidStyle::new(text("cid-base"), flag("upgrade-cidv0-in-output"));
    Ok(Common {
        encoding,
        cid_style: style.map_err(|failure: Failure| Refusal::Bad(failure.to_string()))?,
        quiet: flag("quiet").unwrap_or_default(),
        offline: flag("offline").unwrap_or_default(),
        online_asked: flag("offline") == Some(false),
    })
}

/// A part of a query without its escapes.
fn decode(text: &str) -> Result<String, Refusal> {
    let bad = || Refusal::Bad(format!("the query has an escape that is none: {text:?}"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || {
                    let digit = char::from(rest.next()?).to_digit(16)?;
                    u8::try_from(digit).ok()
                };
                let (high, low) = (digit().ok_or_else(bad)?, digit().ok_or_else(bad)?);
                high << 4 | low
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::ROOT;

    fn ok(path: &str, query: &str) -> Call {
        parse(&ROOT, path, query, false).unwrap()
    }

    fn refused(path: &str, query: &str) -> Refusal {
        parse(&ROOT, path, query, false).unwrap_err()
    }

    #[test]
    fn commands_options_and_arguments() {
        let call = ok(
            "/api/v0/cat",
            "arg=%2Fipfs%2FQm+x&offset=0x10&l=3&foo=bar&arg=y",
        );
        assert_eq!(call.request.words, ["/ipfs/Qm x", "y"]);
        assert_eq!(call.request.options["offset"], Value::Int(16));
        assert_eq!(call.request.options["length"], Value::Int(3));
        assert_eq!(call.request.common.encoding, Encoding::Json);
        let call = ok("/api/v0/pin/ls", "stream&enc=text&timeout=1m&quiet=false");
        assert_eq!(call.request.options["stream"], Value::Bool(true));
        assert_eq!(call.request.common.encoding, Encoding::Text);
        assert_eq!(call.timeout, Some(Duration::from_secs(60)));
        let strict = ok("/api/v1/pin/ls", "encoding=json");
        assert_eq!(strict.request.name(), "pin/ls");
        assert!(matches!(
            refused("/api/v1/pin/ls", "enc=text"),
            Refusal::Bad(_)
        ));
    }

    #[test]
    fn what_kubo_refuses() {
        for path in [
            "/api/v0/nosuch",
            "/api/v0/",
            "/api/v0",
            "/x",
            "/api/v0/config/edit",
        ] {
            assert_eq!(refused(path, ""), Refusal::NotFound, "{path}");
        }
        let bad = |path, query| match refused(path, query) {
            Refusal::Bad(text) => text,
            Refusal::NotFound => String::new(),
        };
        assert_eq!(bad("/api/v0/cat", ""), "argument \"ipfs-path\" is required");
        assert_eq!(bad("/api/v0/add", ""), "file argument 'path' is required");
        assert_eq!(
            bad("/api/v0/cat", "arg=Qm&offset=x"),
            "could not convert value \"x\" to type \"int64\" (for option \"-offset\")"
        );
        assert_eq!(
            bad("/api/v0/version", "encoding=bad"),
            "invalid encoding: bad"
        );
        for query in ["arg=%", "arg=%f", "arg=%zz", "arg=%ff"] {
            assert!(bad("/api/v0/cat", query).contains("escape"), "{query}");
        }
    }

    #[test]
    fn paths_of_the_client_are_not_ours() {
        let call = parse(&ROOT, "/api/v0/add", "ignore-rules-path=/etc/passwd", true).unwrap();
        assert!(call.request.options.is_empty());
    }
}
