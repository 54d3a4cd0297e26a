//! Pages of the port of `serve`, as the Python kit had them.

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use ipfs_kit_node::Cid;
use serde::Serialize;
use serde_json::{Value, json};

use super::answers::plain;
use super::body::RequestBody;
use super::call;
use super::guard::{Door, Face, Place};
use super::reply::ReplyBody;
use super::route::Answer;
use super::service::Service;
use crate::client::{escape, unescape};
use crate::command::Command;
use crate::methods::{ROOT, version};

/// Where downloads are.
pub const DOWNLOAD: &str = "/api/download/";

/// `/api/config`: what this node is.
pub fn config(service: Service, _: Request<RequestBody>) -> Answer {
    let config = service.node().config();
    let seconds = |key: &str, usual: f64| config.get(key).and_then(Value::as_f64).unwrap_or(usual);
    let body = json!({
        "role": config.role().to_string(),
        "version": version::VERSION,
        "features": {
            "online": service.node().is_online(),
            "pubsub": config.flag("Pubsub.Enabled") == Some(true),
        },
        "timeouts": {
            "api": seconds("Timeouts.API", 30.0),
            "gateway": seconds("Timeouts.Gateway", 60.0),
            "peer_connect": seconds("Timeouts.PeerConnect", 30.0),
        },
    });
    now(json_response(StatusCode::OK, &body))
}

/// A method of the table.
#[derive(Serialize)]
struct MethodInfo {
    name: String,
    doc: &'static str,
    r#type: &'static str,
}

/// `/api/methods`: the table.
pub fn methods(_: Service, _: Request<RequestBody>) -> Answer {
    let mut found = Vec::new();
    collect(&ROOT, "", &mut found);
    now(json_response(StatusCode::OK, &json!({ "methods": found })))
}

fn collect(command: &'static Command, path: &str, found: &mut Vec<MethodInfo>) {
    for sub in command.subcommands {
        let path = match path {
            "" => sub.name.to_owned(),
            path => format!("{path}/{}", sub.name),
        };
        if sub.run.is_some_and(|run| run.function().is_some()) {
            found.push(MethodInfo {
                name: path.clone(),
                doc: sub.tagline,
                r#type: "method",
            });
        }
        collect(sub, &path, found);
    }
}

/// `/api/download/CID?filename=NAME`: a file to be saved.
pub fn download(service: Service, request: Request<RequestBody>) -> Answer {
    async move {
        let rest = request.uri().path().strip_prefix(DOWNLOAD);
        let rest = rest.map(str::to_owned).unwrap_or_default();
        let first = rest.split('/').next().unwrap_or_default();
        if first.parse::<Cid>().is_err() {
            return refusal(
                StatusCode::BAD_REQUEST,
                "ValueError",
                "no CID follows /api/download/",
            );
        }
        let name = file_name(request.uri().query().unwrap_or_default(), &rest);
        let target = format!(
            "/api/v0/cat?arg={}",
            escape(format!("/ipfs/{}", unescape(&rest)))
        );
        let Ok(target) = target.parse::<Uri>() else {
            return refusal(
                StatusCode::BAD_REQUEST,
                "ValueError",
                "the path is too long",
            );
        };
        let (mut parts, body) = request.into_parts();
        let head = parts.method == Method::HEAD;
        parts.uri = target;
        parts.headers.remove(CONTENT_TYPE);
        if head {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "405 - Method Not Allowed");
        }
        let door = Door {
            face: Face::Seed,
            place: Place::Unix,
        };
        let mut response = call::call(&service, Request::from_parts(parts, body), door).await;
        if response.status() == StatusCode::OK {
            let disposition = format!("attachment; filename*=UTF-8''{}", escape(&name));
            let headers = response.headers_mut();
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            );
            if let Ok(value) = disposition.parse() {
                headers.insert(CONTENT_DISPOSITION, value);
            }
        }
        response
    }
    .boxed()
}

/// The name to save under.
fn file_name(query: &str, path: &str) -> String {
    let given = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == "filename");
    let text = match given {
        Some((_, text)) if !text.is_empty() => text.replace('+', "%20"),
        _ => path.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    let name = unescape(&text);
    // A name, and no way out of the folder it is saved in.
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).collect()
}

fn refusal(status: StatusCode, kind: &str, error: &str) -> Response<ReplyBody> {
    let body = json!({
        "success": false,
        "error": error,
        "error_type": kind,
        "status_code": status.as_u16(),
    });
    json_response(status, &body)
}

fn json_response(status: StatusCode, body: &Value) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(format!("{body}\n")));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn now(response: Response<ReplyBody>) -> BoxFuture<'static, Response<ReplyBody>> {
    async { response }.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_are_named() {
        assert_eq!(file_name("", "bafy/a/b%20c"), "b c");
        assert_eq!(file_name("x=1&filename=a+b.txt", "bafy"), "a b.txt");
        assert_eq!(
            file_name("filename=..%2f..%2fetc%2fpasswd", "bafy"),
            "passwd"
        );
        assert_eq!(file_name("filename=a%0d%0ab", "bafy"), "ab");
        assert_eq!(file_name("filename=", "bafy"), "bafy");
    }
}
