//! Pages that are asked for with GET: figures, health, and what the methods are.

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::reply::ReplyBody;
use super::service::Service;
use crate::documents;
use crate::observed::{Condition, MEDIA_TYPE};

const JSON: &str = "application/json";

fn page(status: StatusCode, media_type: &'static str, text: String) -> Response<ReplyBody> {
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
pub fn metrics(service: Service, _: Request<Incoming>) -> BoxFuture<'static, Response<ReplyBody>> {
    async move {
        let text = service.observed().prometheus(service.node()).await;
        page(StatusCode::OK, MEDIA_TYPE, text)
    }
    .boxed()
}

/// Whether the process lives: who gets this answer knows.
pub fn health(_: Service, _: Request<Incoming>) -> BoxFuture<'static, Response<ReplyBody>> {
    async { json_page(StatusCode::OK, &json!({"status": "ok"})) }.boxed()
}

/// Whether the daemon does what it is for.
pub fn ready(service: Service, _: Request<Incoming>) -> BoxFuture<'static, Response<ReplyBody>> {
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
pub fn methods(_: Service, _: Request<Incoming>) -> BoxFuture<'static, Response<ReplyBody>> {
    async { json_page(StatusCode::OK, &documents::listing()) }.boxed()
}

/// The same as OpenAPI.
pub fn openapi(_: Service, _: Request<Incoming>) -> BoxFuture<'static, Response<ReplyBody>> {
    async { json_page(StatusCode::OK, &documents::openapi()) }.boxed()
}
