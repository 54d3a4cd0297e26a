//! `/docs`: Swagger UI, which is in this program, over the OpenAPI document of this port.

use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;
use futures::FutureExt;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, VARY,
};
use hyper::{Request, Response};
use serde_json::{Value, json};

use super::json_response;
use crate::documents::{self, Method};
use crate::output::add_both_names;
use crate::server::answers::not_found;
use crate::server::body::RequestBody;
use crate::server::reads;
use crate::server::reply::ReplyBody;
use crate::server::route::Answer;
use crate::server::service::Service;

/// Where the page is, and the files that it is made of.
pub const DOCS: &str = "/docs";
/// Everything below the page.
pub const FILES: &str = "/docs/";

const PAGE: &str = r##"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>ipfs-kit API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"##;

const START: &str = r##"window.onload = () => SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "none",
});
"##;

/// Nothing is loaded from elsewhere.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      frame-ancestors 'none'";

/// Swagger UI 5.35.0, under the Apache License 2.0.
const BUNDLE: &[u8] = include_bytes!("../../../assets/swagger-ui-bundle.js.gz");
const STYLE: &[u8] = include_bytes!("../../../assets/swagger-ui.css.gz");

/// The page.
pub fn page(_: Service, _: Request<RequestBody>) -> Answer {
    let mut response = file(
        "text/html; charset=utf-8",
        Bytes::from_static(PAGE.as_bytes()),
    );
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    async { response }.boxed()
}

/// A file of the page.
pub fn files(_: Service, request: Request<RequestBody>) -> Answer {
    let name = request.uri().path().strip_prefix(FILES).unwrap_or_default();
    let headers = request.headers();
    let response = match name {
        "start.js" => file("text/javascript", Bytes::from_static(START.as_bytes())),
        "swagger-ui-bundle.js" => packed("text/javascript", BUNDLE, headers),
        "swagger-ui.css" => packed("text/css", STYLE, headers),
        _ => not_found(),
    };
    async { response }.boxed()
}

fn file(media_type: &'static str, content: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(content));
    let mut set = |name: HeaderName, value| {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    };
    set(CONTENT_TYPE, media_type);
    set(CACHE_CONTROL, "no-cache");
    response
}

/// A file that is kept compressed, for those who take it so and for those who do not.
fn packed(
    media_type: &'static str,
    packed: &'static [u8],
    asked: &HeaderMap,
) -> Response<ReplyBody> {
    let mut response = match takes_gzip(asked) {
        true => {
            let mut response = file(media_type, Bytes::from_static(packed));
            let gzip = HeaderValue::from_static("gzip");
            response.headers_mut().insert(CONTENT_ENCODING, gzip);
            response
        }
        false => {
            let mut content = Vec::new();
            // What is in this program is whole; a test reads it.
            let _ = GzDecoder::new(packed).read_to_end(&mut content);
            file(media_type, content.into())
        }
    };
    let by = HeaderValue::from_static("Accept-Encoding");
    response.headers_mut().append(VARY, by);
    response
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let given = asked.get_all(ACCEPT_ENCODING).iter();
    let mut words = given
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','));
    words.any(|word| {
        let (name, quality) = word.split_once(';').unwrap_or((word, ""));
        let refused = matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// The OpenAPI document of this port.
pub fn openapi(_: Service, _: Request<RequestBody>) -> Answer {
    async { json_response(hyper::StatusCode::OK, &document()) }.boxed()
}

/// The methods of the RPC, those that read by `GET` too, and the routes of the kit.
pub fn document() -> Value {
    let mut document = documents::openapi();
    document["info"]["title"] = json!("ipfs-kit API");
    document["info"]["description"] = json!(ABOUT);
    document["servers"] = json!([{"url": "/"}]);
    let names: Vec<String> = Method::all()
        .iter()
        .map(|method| method.words.join("/"))
        .collect();
    if let Some(paths) = document["paths"].as_object_mut() {
        for (_, item) in paths.iter_mut().filter(|(path, _)| reads::is_read(path)) {
            let mut get = item["post"].clone();
            let id = get["operationId"].as_str().unwrap_or_default();
            get["operationId"] = json!(format!("get_{id}"));
            if let Some(fields) = get.as_object_mut() {
                fields.shift_remove("requestBody");
            }
            item["get"] = get;
        }
        for (path, item) in routes(&names) {
            paths.insert(path.to_owned(), item);
        }
    }
    name_twice(&mut document);
    document["components"]["schemas"]["Result"] = json!({
        "type": "object",
        "required": ["success", "operation", "timestamp"],
        "properties": {
            "success": {"const": true},
            "operation": {"type": "string"},
            "timestamp": {"type": "number"},
        },
        "description": "And the fields of the record; `items` and `count` where there may be many; `data` and \
            `encoding` for bytes.",
    });
    document
}

/// What a record has by two names at this port is told by both.
fn name_twice(document: &mut Value) {
    let paths = document["paths"].as_object();
    let operations = paths.into_iter().flatten().map(|(_, item)| &item["post"]);
    let mut records: Vec<String> = Vec::new();
    for operation in operations {
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        let several = schema["anyOf"].as_array().into_iter().flatten();
        let references = several.chain([schema]);
        records.extend(references.filter_map(|schema| schema["$ref"].as_str().map(str::to_owned)));
    }
    for record in records {
        let record = document.pointer_mut(record.trim_start_matches('#'));
        if let Some(properties) = record.and_then(|record| record.get_mut("properties")) {
            add_both_names(properties);
        }
    }
}

const ABOUT: &str = "The RPC of Kubo below /api/v0, the same always in JSON below /api/v1, reading methods by GET \
    too, and the routes of the Python kit: any method as POST /api/METHOD with its arguments in JSON, uploads, downloads.";

/// The routes of the kit.
fn routes(methods: &[String]) -> Vec<(&'static str, Value)> {
    vec![
        ("/api/{method}", call_route(methods)),
        (super::UPLOAD, upload_route()),
        ("/api/download/{cid}", download_route()),
        (
            "/api/config",
            page_route("What this node is", "application/json"),
        ),
        (
            "/api/methods",
            page_route("The methods", "application/json"),
        ),
        (
            "/health",
            page_route("Whether the node lives", "application/json"),
        ),
        (
            "/ready",
            page_route("Whether the node does what it is for", "application/json"),
        ),
        (
            "/metrics",
            page_route("Figures for Prometheus", "application/openmetrics-text"),
        ),
        ("/version", page_route("The version", "text/plain")),
    ]
}

fn refused() -> Value {
    json!({"$ref": "#/components/responses/Refused"})
}

fn done(about: &str) -> Value {
    let result = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Result"}}});
    json!({"200": {"description": about, "content": result}, "default": refused()})
}

fn in_path(name: &str, about: &str, schema: &Value) -> Value {
    json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema})
}

fn page_route(about: &str, media_type: &str) -> Value {
    json!({"get": {
        "tags": ["kit"],
        "summary": about,
        "responses": {"200": {"description": about, "content": {media_type: {}}}, "default": refused()},
    }})
}

fn call_route(methods: &[String]) -> Value {
    let call = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "args": {"type": "array"},
            "kwargs": {"type": "object"},
        },
    });
    let method = json!({"type": "string", "enum": methods});
    json!({"post": {
        "operationId": "kit_call",
        "tags": ["kit"],
        "summary": "Call a method with its arguments in JSON",
        "parameters": [in_path("method", "The method", &method)],
        "requestBody": {"content": {"application/json": {"schema": call}}},
        "responses": done("The result."),
    }})
}

fn upload_route() -> Value {
    let form = json!({
        "type": "object",
        "required": ["file"],
        "properties": {
            "pin": {"type": "boolean", "default": true},
            "wrap_with_directory": {"type": "boolean", "default": false},
            "file": {"contentMediaType": "application/octet-stream"},
        },
    });
    json!({"post": {
        "operationId": "kit_upload",
        "tags": ["kit"],
        "summary": "Add a file; the other fields come before it",
        "requestBody": {"required": true, "content": {"multipart/form-data": {"schema": form}}},
        "responses": done("What was added."),
    }})
}

fn download_route() -> Value {
    let name = json!({"name": "filename", "in": "query", "schema": {"type": "string"}});
    json!({"get": {
        "operationId": "kit_download",
        "tags": ["kit"],
        "summary": "A file to be saved",
        "parameters": [in_path("cid", "The file", &json!({"type": "string"})), name],
        "responses": {
            "200": {"description": "The content.", "content": {"application/octet-stream": {}}},
            "206": {"description": "A part of it.", "content": {"application/octet-stream": {}}},
            "default": refused(),
        },
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(packed: &[u8]) -> String {
        let mut text = String::new();
        GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn the_page_and_its_files_fit_together() {
        assert!(unpacked(BUNDLE).contains("SwaggerUIBundle"));
        assert!(unpacked(STYLE).contains(".swagger-ui"));
        assert!(START.contains("/openapi.json"));
        let gzip = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(text));
            takes_gzip(&headers)
        };
        assert!(gzip("gzip, deflate, br") && gzip("br;q=1.0, GZIP;q=0.8"));
        assert!(!gzip("gzip;q=0") && !gzip("identity") && !takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn reads_are_there_by_get_and_no_operation_twice() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        assert!(paths["/api/v0/cat"]["get"].is_object());
        assert!(paths["/api/v0/add"]["get"].is_null());
        let operations = paths
            .values()
            .flat_map(|item| item.as_object().unwrap().values());
        let mut ids: Vec<&str> = operations
            .filter_map(|operation| operation["operationId"].as_str())
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
