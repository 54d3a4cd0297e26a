//! The methods as an OpenAPI 3.1 document.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::Method;
use super::listing::default_of;
use crate::command::{Argument, Command, Kind, Opt, Reply};
use crate::methods::version::VERSION;
use crate::server::{ApiVersion, GLOBALS};

/// What every method has in common.
const ABOUT: &str = "The RPC of Kubo, as this node serves it. Arguments are given as `arg`, in order and \
    repeated; options as query parameters; files as the parts of a `multipart/form-data` body. \
    Every call is a POST. Below `/api/v0` it answers as Kubo does; below `/api/v1` always with one JSON document: \
    an array where there may be many records, `null` where there is nothing to report, an object with a status that \
    fits where something is wrong. Every answer says which it is in `X-API-Version`.";

/// Statuses of refusals at `/api/v1`.
const STATUSES: &[&str] = &["400", "401", "403", "404", "429", "500", "503", "504"];

/// What makes schemas of records: those that have a name lie among the document's own.
fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    settings.for_serialize().into_generator()
}

/// A field that may be missing is left out where it has no value, and never null.
fn tell_what_is_left_out(record: &mut Value) {
    let required: Vec<String> = match record["required"].as_array() {
        Some(names) => names
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect(),
        None => Vec::new(),
    };
    let Some(properties) = record.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (_, property) in properties
        .iter_mut()
        .filter(|(name, _)| !required.contains(name))
    {
        if let Some(types) = property.get_mut("type").and_then(Value::as_array_mut) {
            types.retain(|kind| kind != "null");
            if let [kind] = types.as_slice() {
                property["type"] = kind.clone();
            }
        }
        if let Some(any) = property.get_mut("anyOf").and_then(Value::as_array_mut) {
            any.retain(|kind| *kind != json!({"type": "null"}));
        }
    }
}

/// The document.
pub fn openapi() -> Value {
    let methods = Method::all();
    let mut generator = generator();
    let mut paths: Map<String, Value> = Map::new();
    for method in &methods {
        let operation = operation(method, ApiVersion::V0, &mut generator);
        paths.insert(method.path(), json!({"post": operation}));
    }
    for method in &methods {
        let operation = operation(method, ApiVersion::V1, &mut generator);
        paths.insert(method.path_in(ApiVersion::V1), json!({"post": operation}));
    }
    let mut schemas = generator.take_definitions(true);
    schemas.values_mut().for_each(tell_what_is_left_out);
    schemas.insert("Error".to_owned(), error_schema());
    schemas.insert("Refusal".to_owned(), refusal_schema());
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": "ipfs-kit RPC",
            "version": VERSION,
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:5001"}],
        // None is asked unless API.Authorizations says so.
        "security": [{}, {"bearer": []}, {"basic": []}],
        "tags": tags(&methods),
        "paths": paths,
        "components": {
            "parameters": GLOBALS.iter().map(|option| (global_name(option), query(option))).collect::<Map<_, _>>(),
            "responses": responses(),
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    })
}

fn tags(methods: &[Method]) -> Value {
    let mut names: Vec<&str> = methods.iter().map(|method| method.words[0]).collect();
    names.dedup();
    let about = |name: &str| {
        crate::methods::ROOT
            .subcommand(name)
            .map(|group| group.tagline)
    };
    let tag = |name: &&str| json!({"name": name, "description": about(name)});
    names.iter().map(tag).collect()
}

fn operation(method: &Method, version: ApiVersion, generator: &mut SchemaGenerator) -> Value {
    let command = method.command;
    let own = command
        .options
        .iter()
        .filter(|option| option.kind != Kind::Path);
    let mut parameters: Vec<Value> = arguments(method).into_iter().collect();
    parameters.extend(own.map(query));
    // A command's own option hides the global one of that name.
    let strict = version == ApiVersion::V1;
    let shared = GLOBALS.iter().filter(|global| {
        let encoding = strict && global.name() == "encoding";
        !encoding
            && global
                .names
                .iter()
                .all(|name| command.option(name).is_none())
    });
    parameters.extend(
        shared.map(
            |option| json!({"$ref": format!("#/components/parameters/{}", global_name(option))}),
        ),
    );
    let mut operation = Map::new();
    let id = method.words.join("_");
    let id = if strict { format!("v1_{id}") } else { id };
    operation.insert("operationId".to_owned(), json!(id));
    operation.insert("tags".to_owned(), json!([method.words[0]]));
    operation.insert("summary".to_owned(), json!(command.tagline));
    if !command.about.is_empty() {
        operation.insert("description".to_owned(), json!(command.about));
    }
    operation.insert("parameters".to_owned(), json!(parameters));
    if let Some(argument) = method.body() {
        operation.insert("requestBody".to_owned(), body(argument));
    }
    let responses = match version {
        ApiVersion::V0 => json!({
            "200": success(command, generator),
            "400": {"$ref": "#/components/responses/BadRequest"},
            "403": {"$ref": "#/components/responses/Forbidden"},
            "429": {"$ref": "#/components/responses/TooMany"},
            "500": {"$ref": "#/components/responses/Failed"},
        }),
        ApiVersion::V1 => {
            let refused = json!({"$ref": "#/components/responses/Refused"});
            let mut responses = Map::new();
            responses.insert("200".to_owned(), document(command, generator));
            let statuses = STATUSES
                .iter()
                .map(|status| ((*status).to_owned(), refused.clone()));
            responses.extend(statuses);
            Value::Object(responses)
        }
    };
    operation.insert("responses".to_owned(), responses);
    Value::Object(operation)
}

/// One parameter stands for all arguments: in a query they have one name.
fn arguments(method: &Method) -> Option<Value> {
    let words: Vec<&Argument> = method.words_taken().collect();
    let last = words.last()?;
    // What may come as the body need not be here.
    let least = words
        .iter()
        .filter(|argument| argument.required && !argument.reads_stdin());
    let least = least.count();
    let about: Vec<String> = words
        .iter()
        .map(|argument| format!("{}: {}", argument.name, argument.about))
        .collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("array"));
    schema.insert("items".to_owned(), json!({"type": "string"}));
    schema.insert("minItems".to_owned(), json!(least));
    if !last.variadic {
        schema.insert("maxItems".to_owned(), json!(words.len()));
    }
    Some(json!({
        "name": "arg",
        "in": "query",
        "required": least > 0,
        "description": about.join("\n"),
        "schema": schema,
    }))
}

fn global_name(option: &Opt) -> String {
    option.name().to_owned()
}

fn query(option: &Opt) -> Value {
    let mut about = option.about.to_owned();
    if option.names.len() > 1 {
        about = format!("{about}. Also: {}", option.names[1..].join(", "));
    }
    json!({
        "name": option.name(),
        "in": "query",
        "description": about,
        "schema": schema(option),
    })
}

fn schema(option: &Opt) -> Value {
    let mut schema = match option.kind {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Int => json!({"type": "integer", "format": "int64"}),
        Kind::Uint => json!({"type": "integer", "format": "int64", "minimum": 0}),
        Kind::Text | Kind::Path => json!({"type": "string"}),
        Kind::List => json!({"type": "array", "items": {"type": "string"}}),
    };
    if let Some(default) = default_of(option) {
        schema["default"] = default;
    }
    schema
}

fn body(argument: &Argument) -> Value {
    let about = if argument.is_file() {
        format!(
            "{}. Each part is a file (application/octet-stream), a directory \
             (application/x-directory) or a symbolic link (application/symlink); its file name is \
             the escaped path from the top.",
            argument.about
        )
    } else {
        format!(
            "{}: one value a line, where no `arg` is given.",
            argument.about
        )
    };
    let file = json!({"type": "array", "items": {"contentMediaType": "application/octet-stream"}});
    json!({
        "description": about,
        "required": argument.is_file() && argument.required,
        "content": {"multipart/form-data": {"schema": {
            "type": "object",
            "properties": {"file": file},
        }}},
    })
}

/// The schema of one record of a method.
fn record(command: &Command, generator: &mut SchemaGenerator) -> Value {
    let shapes = command.records.iter();
    let mut shapes: Vec<Value> = shapes
        .map(|shape| shape.schema(generator).to_value())
        .collect();
    match shapes.len() {
        0 => json!({}),
        1 => shapes.remove(0),
        _ => json!({ "anyOf": shapes }),
    }
}

fn success(command: &Command, generator: &mut SchemaGenerator) -> Value {
    let header = |about: &str| json!({"description": about, "schema": {"const": "1"}});
    if let Reply::Bytes(media_type) = command.reply {
        return json!({
            "description": "The bytes.",
            "headers": {"X-Stream-Output": header("The result is a stream of bytes.")},
            "content": {media_type: {}},
        });
    }
    if command.records.is_empty() {
        return json!({"description": "Done; there is nothing to report."});
    }
    let record = record(command, generator);
    let content = json!({"application/json": {"schema": record}});
    let about = match command.reply {
        Reply::Many => {
            "Records, one JSON document a line, as they come. The schema is that of one.".to_owned()
        }
        Reply::ManyIf(flag) => format!(
            "One record; with {flag} records, one JSON document a line, as they come. The schema is that of one."
        ),
        _ => return json!({"description": "One record.", "content": content}),
    };
    json!({
        "description": about,
        "headers": {"X-Chunked-Output": header("The result is a stream of records.")},
        "content": content,
    })
}

/// What a method answers at `/api/v1`.
fn document(command: &Command, generator: &mut SchemaGenerator) -> Value {
    if let Reply::Bytes(media_type) = command.reply {
        let media_type = match media_type {
            "text/plain" => "application/octet-stream",
            other => other,
        };
        return json!({"description": "The bytes.", "content": {media_type: {}}});
    }
    let record = record(command, generator);
    let many = json!({"type": "array", "items": record});
    let (about, schema) = match command.reply {
        _ if command.records.is_empty() => {
            ("Nothing.".to_owned(), json!({"type": ["null", "string"]}))
        }
        Reply::Many => ("Records.".to_owned(), many),
        Reply::ManyIf(flag) => (
            format!("One record; with {flag} an array of them."),
            json!({"anyOf": [record, many]}),
        ),
        _ => ("One record.".to_owned(), record),
    };
    json!({"description": about, "content": {"application/json": {"schema": schema}}})
}

fn responses() -> Value {
    let text = json!({"text/plain": {"schema": {"type": "string"}}});
    let failure = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}});
    let both = json!({
        "text/plain": text["text/plain"],
        "application/json": failure["application/json"],
    });
    json!({
        "BadRequest": {"description": "An argument or option is wrong.", "content": both},
        "Forbidden": {"description": "Who asks may not.", "content": text},
        "TooMany": {
            "description": "Too many commands run.",
            "headers": {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
            "content": text,
        },
        "Failed": {"description": "The command failed.", "content": failure},
        "Refused": {
            "description": "Refused or failed; the status is also in the body.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}},
        },
    })
}

/// What is wrong, at `/api/v1` and at the routes of the Python kit.
fn refusal_schema() -> Value {
    json!({
        "type": "object",
        "required": ["success", "error", "error_type", "status_code"],
        "properties": {
            "success": {"const": false},
            "error": {"type": "string"},
            "error_type": {"type": "string"},
            "status_code": {"type": "integer"},
            "timestamp": {"type": "number"},
            "recoverable": {"type": "boolean"},
            "timeout": {"type": "boolean"},
            "not_found": {"type": "boolean"},
        },
    })
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["Message", "Code", "Type"],
        "properties": {
            "Message": {"type": "string"},
            "Code": {
                "type": "integer",
                "enum": [0, 1, 2, 3, 4],
                "description": "0 an ordinary failure, 1 the client's mistake, 2 the node's, \
                    3 too many requests, 4 forbidden",
            },
            "Type": {"const": "error"},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_their_types_once() {
        let document = openapi();
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), 2 * Method::all().len());
        for (path, item) in paths {
            let parameters = item["post"]["parameters"].as_array().unwrap();
            let mut names: Vec<&str> = parameters
                .iter()
                .map(|parameter| match parameter["$ref"].as_str() {
                    Some(reference) => reference.rsplit('/').next().unwrap(),
                    None => parameter["name"].as_str().unwrap(),
                })
                .collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{path}");
        }
        let cat = &paths["/api/v0/cat"]["post"]["parameters"];
        assert_eq!(cat[0]["schema"]["minItems"], 0, "it may come as the body");
        let show = &paths["/api/v0/job/show"]["post"]["parameters"];
        assert_eq!(show[0]["schema"]["minItems"], 1);
        assert_eq!(
            cat[1]["schema"],
            json!({"type": "integer", "format": "int64"})
        );
        let add = &paths["/api/v0/add"]["post"];
        assert_eq!(add["requestBody"]["required"], true);
    }

    #[test]
    fn every_record_has_a_schema_of_its_own_name() {
        let document = openapi();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in schemas.keys() {
            // The generator numbers what has one name: such a name moves when a method comes.
            let numbered = name.ends_with(|c: char| c.is_ascii_digit());
            assert!(!numbered, "{name}: give the type another schemars(rename)");
        }
        for method in Method::all() {
            let content = &document["paths"][method.path()]["post"]["responses"]["200"]["content"];
            let schema = &content["application/json"]["schema"];
            let silent = method.command.records.is_empty();
            assert_eq!(schema.is_object(), !silent, "{}", method.path());
        }
        let added = &schemas["Added"];
        assert_eq!(added["properties"]["Hash"]["type"], "string");
        assert_eq!(added["required"], json!(["Name"]));
    }

    #[test]
    fn references_lead_somewhere() {
        fn walk(root: &Value, value: &Value) {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(reference)) = map.get("$ref") {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(root.pointer(pointer).is_some(), "{reference}");
                    }
                    map.values().for_each(|value| walk(root, value));
                }
                Value::Array(all) => all.iter().for_each(|value| walk(root, value)),
                _ => {}
            }
        }
        let document = openapi();
        walk(&document, &document);
    }
}
