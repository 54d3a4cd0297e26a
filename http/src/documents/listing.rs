//! The methods as JSON, for programs that ask what there is.

use serde_json::{Map, Value, json};

use super::Method;
use crate::command::{Argument, Kind, Opt, Reply, Source};

/// All methods, with everything the table says about them.
pub fn listing() -> Value {
    Method::all().iter().map(entry).collect()
}

fn entry(method: &Method) -> Value {
    let command = method.command;
    json!({
        "name": method.words.join(" "),
        "method": "POST",
        "path": method.path(),
        "summary": command.tagline,
        "description": command.about,
        "arguments": command.arguments.iter().map(argument).collect::<Value>(),
        "options": command.options.iter().filter(|option| option.kind != Kind::Path).map(option).collect::<Value>(),
        "reply": reply(command.reply),
    })
}

fn argument(argument: &Argument) -> Value {
    json!({
        "name": argument.name,
        "description": argument.about,
        "required": argument.required,
        "variadic": argument.variadic,
        "multibase": argument.multibase,
        "source": match argument.source {
            Source::Words => "query",
            Source::Lines => "query or body",
            Source::Files | Source::FilesOnly => "body",
        },
    })
}

fn option(option: &Opt) -> Value {
    let mut entry = Map::new();
    entry.insert("names".to_owned(), json!(option.names));
    entry.insert("type".to_owned(), json!(option.type_name()));
    if let Some(default) = default_of(option) {
        entry.insert("default".to_owned(), default);
    }
    entry.insert("description".to_owned(), json!(option.about));
    Value::Object(entry)
}

fn reply(reply: Reply) -> Value {
    match reply {
        Reply::One => json!({"kind": "one", "mediaType": "application/json"}),
        Reply::Many => json!({"kind": "many", "mediaType": "application/json"}),
        Reply::ManyIf(flag) => {
            json!({"kind": "many", "if": flag, "mediaType": "application/json"})
        }
        Reply::Bytes(media_type) => json!({"kind": "bytes", "mediaType": media_type}),
    }
}

/// The default of an option, in its type.
pub(super) fn default_of(option: &Opt) -> Option<Value> {
    let text = option.default;
    if text.is_empty() {
        return None;
    }
    Some(match option.kind {
        Kind::Bool => json!(text == "true"),
        Kind::Int => text
            .parse::<i64>()
            .map_or_else(|_| json!(text), |number| json!(number)),
        Kind::Uint => text
            .parse::<u64>()
            .map_or_else(|_| json!(text), |number| json!(number)),
        Kind::Text | Kind::Path => json!(text),
        Kind::List => json!([text]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_tells_everything() {
        let all = listing();
        let all = all.as_array().unwrap();
        let cat = all.iter().find(|entry| entry["name"] == "cat").unwrap();
        assert_eq!(cat["path"], "/api/v0/cat");
        assert_eq!(cat["reply"]["kind"], "bytes");
        let offset = &cat["options"][0];
        assert_eq!(
            (&offset["names"], &offset["type"]),
            (&json!(["offset", "o"]), &json!("int64"))
        );
        let add = all.iter().find(|entry| entry["name"] == "add").unwrap();
        assert_eq!(add["arguments"][0]["source"], "body");
        // A file of the client is none of the daemon's.
        let options = add["options"].as_array().unwrap();
        assert!(
            options
                .iter()
                .all(|option| option["names"][0] != "ignore-rules-path")
        );
    }
}
