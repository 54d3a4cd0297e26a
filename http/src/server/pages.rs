//! Pages of the server itself: figures, health, what the methods are.

use std::sync::LazyLock;

use bytes::Bytes;
use futures::FutureExt;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::body::RequestBody;
use super::reply::ReplyBody;
use super::route::Answer;
use super::service::Service;
use crate::documents;
use crate::methods::id;
use crate::observed::{Condition, MEDIA_TYPE};

const JSON: &str = "application/json";

fn page(
    status: StatusCode,
    media_type: &'static str,
    text: impl Into<Bytes>,
) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn json_page(status: StatusCode, value: &Value) -> Response<ReplyBody> {
    page(status, JSON, format!("{value}\n"))
}

/// Everything that is counted, for Prometheus.
pub fn metrics(service: Service, _: Request<RequestBody>) -> Answer {
    async move {
        let text = service.observed().prometheus(service.node()).await;
        page(StatusCode::OK, MEDIA_TYPE, text)
    }
    .boxed()
}

/// Whether the process lives: who gets this answer knows.
pub fn health(_: Service, _: Request<RequestBody>) -> Answer {
    async { json_page(StatusCode::OK, &json!({"status": "ok"})) }.boxed()
}

/// Whether the daemon does what it is for.
pub fn ready(service: Service, _: Request<RequestBody>) -> Answer {
    async move {
        let (status, word) = match service.observed().condition() {
            Condition::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
            Condition::Ready => (StatusCode::OK, "ready"),
            Condition::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        json_page(status, &json!({"status": word}))
    }
    .boxed()
}

/// The table of methods.
pub fn methods(_: Service, _: Request<RequestBody>) -> Answer {
    async { json_page(StatusCode::OK, &documents::listing()) }.boxed()
}

/// The same as OpenAPI.
pub fn openapi(_: Service, _: Request<RequestBody>) -> Answer {
    /// Long, and always the same.
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| format!("{}\n", documents::openapi()).into());
    async { page(StatusCode::OK, JSON, TEXT.clone()) }.boxed()
}

/// `/version`, as Kubo has it.
pub fn version(_: Service, _: Request<RequestBody>) -> Answer {
    let text = format!("Commit: \nClient Version: {}\n", id::AGENT);
    let mut response = Response::new(ReplyBody::whole(text));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    async { response }.boxed()
}
