//! Routes of the port of `serve`, as the Python kit had them.

mod call;
mod cluster;
mod docs;
mod download;
mod names;
mod range;
mod refusal;
mod result;
mod upload;

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

pub use call::{CALL, call};
pub use cluster::{CLUSTER, cluster};
#[cfg(test)]
pub use docs::document;
pub use docs::{DOCS, FILES as DOCS_FILES, files as docs_files, openapi, page as docs};
pub use download::{DOWNLOAD, download};
pub use refusal::{Refusal, shape};
pub use result::{Made, is_result, make, response as result_response};
pub use upload::{UPLOAD, upload};

use super::body::RequestBody;
use super::reply::ReplyBody;
use super::route::Answer;
use super::service::Service;
use crate::documents::Method;
use crate::methods::version;
use crate::observed::Condition;

/// Content, whole or a part.
pub fn cat(service: Service, request: Request<RequestBody>) -> Answer {
    async move { range::cat(&service, request).await }.boxed()
}

/// `/health`: the process lives, and whether it does what it is for.
pub fn health(service: Service, _: Request<RequestBody>) -> Answer {
    let ready = service.observed().condition() == Condition::Ready;
    let body = json!({"status": "ok", "version": version::VERSION, "ready": ready});
    now(json_response(StatusCode::OK, &body))
}

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
    let found: Vec<MethodInfo> = Method::all()
        .into_iter()
        .map(|method| MethodInfo {
            name: method.words.join("/"),
            doc: method.command.tagline,
            r#type: "method",
        })
        .collect();
    now(json_response(StatusCode::OK, &json!({ "methods": found })))
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
