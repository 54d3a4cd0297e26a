//! Pages of the server itself.

use futures::FutureExt;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};

use super::body::RequestBody;
use super::reply::ReplyBody;
use super::route::Answer;
use super::service::Service;
use crate::methods::id;

/// `/version`, as Kubo has it.
pub fn version(_: Service, _: Request<RequestBody>) -> Answer {
    let text = format!("Commit: \nClient Version: {}\n", id::AGENT);
    let mut response = Response::new(ReplyBody::whole(text));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    async { response }.boxed()
}
