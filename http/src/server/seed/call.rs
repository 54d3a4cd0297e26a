//! `POST /api/METHOD` with `{"args": [], "kwargs": {}}`: any method of the table, called as a function.
//!
//! Arguments come by position or by name, options by name, content as text or as bytes in base64. A text is
//! content wherever a file is expected, and never a path of this machine.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures::FutureExt;
use http_body_util::BodyExt;
use hyper::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;

use super::names;
use super::refusal::{Refusal, settled};
use super::result::{self, Caller};
use crate::client::{escape, unescape};
use crate::command::{Argument, Command, Kind, Opt};
use crate::documents::Method;
use crate::methods::ROOT;
use crate::server::body::RequestBody;
use crate::server::limits::Limits;
use crate::server::parse::{self, Call, GLOBALS};
use crate::server::reply::ReplyBody;
use crate::server::route::Answer;
use crate::server::service::Service;
use crate::server::upload::{Parts, discard};
use crate::server::waiting::For;

/// Where methods are called.
pub const CALL: &str = "/api/";

/// Longest body of a call, in bytes. What is longer is an upload.
const BODY_MAX: usize = 8 << 20;
/// A body up to here needs no room of its own.
const SMALL: usize = 64 << 10;

/// Global options that have a meaning here.
const OPTIONS: [&str; 4] = ["timeout", "cid-base", "upgrade-cidv0-in-output", "offline"];

/// Names of content, where a method takes a file.
const CONTENT: [&str; 2] = ["content", "data"];
/// Names of a path, where a method takes one.
const PATH: [&str; 2] = ["cid", "path"];

/// What a call brings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default)]
    args: Vec<Value>,
    #[serde(default)]
    kwargs: Map<String, Value>,
}

/// A call, and the files that come with it.
struct Read {
    call: Call,
    contents: Vec<Bytes>,
}

/// Answers a call.
pub fn call(service: Service, request: Request<RequestBody>) -> Answer {
    async move { settled(answer(&service, request).await) }.boxed()
}

async fn answer(
    service: &Service,
    request: Request<RequestBody>,
) -> Result<Response<ReplyBody>, Refusal> {
    let name = request.uri().path().strip_prefix(CALL);
    let name = name.map(unescape).unwrap_or_default();
    let Some(method) = names::find(&name) else {
        let text = format!("there is no method {name:?}; GET /api/methods lists them");
        return Err(Refusal::new(StatusCode::NOT_FOUND, text));
    };
    let caller = Caller::of(&request);
    let mut body = request.into_body();
    let (body, _room) = match whole(service, &mut body).await {
        Ok(whole) => whole,
        Err(refusal) => {
            tokio::spawn(discard(body));
            return Err(refusal);
        }
    };
    let Read { call, contents } = read(method, &body)?;
    let parts = (!contents.is_empty()).then(|| Parts::ready(contents));
    Ok(result::of(service, call, caller, parts).await)
}

/// The whole body, in bounded time, and the room that it takes if it is long, until the command has ended or its
/// result streams.
async fn whole(
    service: &Service,
    body: &mut RequestBody,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Refusal> {
    let waiting = Arc::clone(body.waiting());
    let Limits { body: limit, .. } = service.limits();
    let (mut whole, mut room) = (Vec::new(), None);
    let read = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Refusal::bad(error.to_string()))?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            if whole.len() + data.len() > BODY_MAX {
                let text = format!(
                    "a call is no longer than {BODY_MAX} bytes: send content to /api/upload or /api/v0/add"
                );
                return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text));
            }
            if whole.len() + data.len() > SMALL && room.is_none() {
                room = Some(service.long_bodies().map_err(|()| {
                    let text = "too many long calls at a time: try again";
                    Refusal::new(StatusCode::TOO_MANY_REQUESTS, text)
                })?);
            }
            whole.extend_from_slice(data);
        }
        Ok(())
    };
    let read = tokio::time::timeout(limit, read).await;
    waiting.end(For::Body);
    match read {
        Ok(read) => read?,
        Err(_) => {
            let text = "the body did not come in time";
            return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, text));
        }
    }
    Ok((whole, room))
}

/// Reads a call of this method.
fn read(method: &Method, body: &[u8]) -> Result<Read, Refusal> {
    let given: Given = match body.trim_ascii() {
        [] => Given::default(),
        // A list would be taken for the fields in their order.
        [b'{', ..] => serde_json::from_slice(body).map_err(|error| no_call(&error.to_string()))?,
        _ => return Err(no_call("it is no object")),
    };
    let command = method.command;
    let mut query = Query::default();
    let mut kwargs = given.kwargs;
    let mut values = given.args.into_iter();
    for (index, argument) in command.arguments.iter().enumerate() {
        let mut found: Vec<Value> = match argument.variadic {
            true => values.by_ref().collect(),
            false => values.next().into_iter().collect(),
        };
        if found.is_empty() {
            found.extend(named(&mut kwargs, argument));
        }
        // Words are told apart by their places: none can follow one that is missing.
        let later = &command.arguments[index + 1..];
        if found.is_empty() && later.iter().any(|later| has(&kwargs, later)) {
            return Err(Refusal::bad(format!(
                "argument {:?} is required",
                argument.name
            )));
        }
        for value in found {
            query.argument(argument, value)?;
        }
    }
    if values.next().is_some() {
        let most = command.arguments.len();
        return Err(Refusal::bad(format!(
            "{} takes {most} argument(s)",
            method.words.join("/")
        )));
    }
    for (name, value) in kwargs {
        query.option(command, &name, value)?;
    }
    let parsed = parse::parse(
        &ROOT,
        &method.path(),
        &query.text,
        !query.contents.is_empty(),
    );
    let call = parsed.map_err(|refusal| match refusal {
        parse::Refusal::Bad(text) => Refusal::bad(text),
        parse::Refusal::NotFound => Refusal::new(StatusCode::NOT_FOUND, "there is no such method"),
    })?;
    Ok(Read {
        call,
        contents: query.contents,
    })
}

fn no_call(reason: &str) -> Refusal {
    Refusal::bad(format!(
        "the body is no {{\"args\": [], \"kwargs\": {{}}}}: {reason}"
    ))
}

/// The names by which an argument may be given.
fn names_of(argument: &Argument) -> impl Iterator<Item = &'static str> {
    let more: &[&str] = match argument.name {
        _ if argument.is_file() => &CONTENT,
        "ipfs-path" => &PATH,
        _ => &[],
    };
    std::iter::once(argument.name).chain(more.iter().copied())
}

/// Whether a key of Python's is this name.
fn is_named(key: &str, name: &str) -> bool {
    key.replace('_', "-") == name.replace('_', "-")
}

fn has(kwargs: &Map<String, Value>, argument: &Argument) -> bool {
    let given = |name: &str| kwargs.keys().any(|key| is_named(key, name));
    names_of(argument).any(given)
}

/// Takes the values of an argument out of those that are given by name.
fn named(kwargs: &mut Map<String, Value>, argument: &Argument) -> Vec<Value> {
    for name in names_of(argument) {
        let key = kwargs.keys().find(|key| is_named(key, name));
        let Some(key) = key.cloned() else {
            continue;
        };
        return match kwargs.shift_remove(&key) {
            Some(Value::Array(values)) if argument.variadic => values,
            Some(Value::Null) | None => Vec::new(),
            Some(value) => vec![value],
        };
    }
    Vec::new()
}

/// A call, as it would be asked for at the RPC.
#[derive(Default)]
struct Query {
    text: String,
    contents: Vec<Bytes>,
}

impl Query {
    fn push(&mut self, name: &str, text: impl AsRef<[u8]>) {
        if !self.text.is_empty() {
            self.text.push('&');
        }
        self.text.push_str(name);
        self.text.push('=');
        self.text.push_str(&escape(text));
    }

    fn argument(&mut self, argument: &Argument, value: Value) -> Result<(), Refusal> {
        let bytes = bytes(value).ok_or_else(|| {
            Refusal::bad(format!(
                "argument {:?} is a text, a number, or bytes as {{\"data\": BASE64, \"encoding\": \"base64\"}}",
                argument.name
            ))
        })?;
        if argument.is_file() {
            self.contents.push(bytes.into());
        } else if argument.multibase {
            self.push("arg", format!("u{}", URL_SAFE_NO_PAD.encode(bytes)));
        } else {
            self.push("arg", bytes);
        }
        Ok(())
    }

    fn option(&mut self, command: &Command, name: &str, value: Value) -> Result<(), Refusal> {
        let dashed = name.replace('_', "-");
        let own = command.option(&dashed).or_else(|| command.option(name));
        let own = own.filter(|option| option.kind != Kind::Path);
        let global = || {
            let known = OPTIONS.contains(&&*dashed);
            GLOBALS
                .iter()
                .find(|option| known && option.names.contains(&&*dashed))
        };
        let Some(option) = own.or_else(global) else {
            return Err(Refusal::bad(format!(
                "there is no argument or option {name:?}"
            )));
        };
        let values = match value {
            // As if it were not given.
            Value::Null => return Ok(()),
            Value::Array(values) if option.kind == Kind::List => values,
            value => vec![value],
        };
        for value in values {
            let text = text(option, value).ok_or_else(|| {
                let wanted = option.type_name();
                Refusal::bad(format!("option {name:?} is of type {wanted}"))
            })?;
            self.push(option.name(), text);
        }
        Ok(())
    }
}

/// The bytes of an argument.
fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.into_bytes()),
        Value::Number(number) => Some(number.to_string().into_bytes()),
        Value::Bool(flag) => Some(flag.to_string().into_bytes()),
        Value::Object(fields) => {
            let known = fields
                .keys()
                .all(|key| matches!(&**key, "data" | "encoding"));
            let base64 = fields.get("encoding")? == "base64";
            let data = fields.get("data")?.as_str()?;
            STANDARD.decode(data).ok().filter(|_| known && base64)
        }
        Value::Null | Value::Array(_) => None,
    }
}

/// The text of an option's value, if it may be one.
fn text(option: &Opt, value: Value) -> Option<String> {
    match (option.kind, value) {
        (_, Value::String(text)) => Some(text),
        (Kind::Bool, Value::Bool(flag)) => Some(flag.to_string()),
        // A number of seconds is a time, too.
        (Kind::Int | Kind::Uint | Kind::Text, Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(name: &str, body: &Value) -> Result<Read, String> {
        let method = names::find(name).unwrap();
        super::read(method, body.to_string().as_bytes()).map_err(|refusal| refusal.text)
    }

    fn words(read: &Read) -> Vec<&str> {
        let words = read.call.request.words.iter();
        words.map(|word| word.to_str().unwrap()).collect()
    }

    #[test]
    fn arguments_come_by_place_and_by_name() {
        for body in [
            json!({"args": ["Qm x&y"]}),
            json!({"kwargs": {"cid": "Qm x&y"}}),
            json!({"kwargs": {"path": "Qm x&y"}}),
            json!({"kwargs": {"ipfs_path": ["Qm x&y"]}, "args": []}),
        ] {
            let read = read("get", &body).unwrap();
            assert_eq!(read.call.request.name(), "cat");
            assert_eq!(words(&read), ["Qm x&y"], "{body}");
        }
        let body = json!({"args": ["/a"], "kwargs": {"data": "text", "create": true, "offset": 3}});
        let written = read("files/write", &body).unwrap();
        assert_eq!(words(&written), ["/a"]);
        assert_eq!(written.contents, ["text"]);
        let body = json!({"kwargs": {"obj_b": "two", "obj_a": "one"}});
        assert_eq!(words(&read("object/diff", &body).unwrap()), ["one", "two"]);
        let options = &written.call.request.options;
        assert_eq!((options.len(), options.contains_key("create")), (2, true));
    }

    #[test]
    fn a_text_is_content_and_bytes_are_too() {
        let body = json!({"args": ["/etc/passwd", {"data": "AP8=", "encoding": "base64"}]});
        let added = read("add", &body).unwrap();
        assert_eq!(added.contents[0], "/etc/passwd");
        assert_eq!(added.contents[1][..], [0, 255]);
        assert!(words(&added).is_empty());
        let kwargs =
            json!({"wrap_with_directory": true, "pin": null, "cid_version": 1, "timeout": 5});
        let added = read("add", &json!({"args": [""], "kwargs": kwargs})).unwrap();
        assert_eq!(added.call.timeout, Some(std::time::Duration::from_secs(5)));
        assert_eq!(added.call.request.options.len(), 2);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (name, body, wanted) in [
            ("cat", json!([]), "kwargs"),
            ("cat", json!({"arg": []}), "unknown field"),
            ("cat", json!({}), "is required"),
            ("add", json!({}), "file argument 'path' is required"),
            ("add", json!({"args": [null]}), "argument \"path\""),
            (
                "add",
                json!({"args": [{"data": "%", "encoding": "base64"}]}),
                "base64",
            ),
            ("add", json!({"args": [["x"]]}), "argument \"path\""),
            (
                "cat",
                json!({"args": ["x"], "kwargs": {"offset": "x"}}),
                "could not convert",
            ),
            (
                "cat",
                json!({"args": ["x"], "kwargs": {"offset": true}}),
                "type int64",
            ),
            (
                "cat",
                json!({"args": ["x"], "kwargs": {"nothing": 1}}),
                "nothing",
            ),
            (
                "cat",
                json!({"args": ["x"], "kwargs": {"encoding": "xml"}}),
                "encoding",
            ),
            (
                "add",
                json!({"args": ["x"], "kwargs": {"ignore_rules_path": "/"}}),
                "ignore_rules_path",
            ),
            (
                "files/write",
                json!({"kwargs": {"data": "x"}}),
                "\"path\" is required",
            ),
            ("swarm/peers", json!({"args": [1]}), "takes 0"),
        ] {
            let text = read(name, &body).err().unwrap_or_default();
            assert!(text.contains(wanted), "{body}: {text:?}");
        }
    }
}
