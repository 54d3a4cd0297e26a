//! Responses that are all there: refusals, errors, and the heads of results.

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRAILER};
use hyper::{Response, StatusCode, header};
use serde::Serialize;

use super::guard::EXPOSED;
use super::reply::{Head, ReplyBody};
use crate::failure::Failure;
use crate::output::go_json;

const STREAM_OUTPUT: HeaderName = HeaderName::from_static("x-stream-output");
const CHUNKED_OUTPUT: HeaderName = HeaderName::from_static("x-chunked-output");
const CONTENT_LENGTH: HeaderName = HeaderName::from_static("x-content-length");

/// 404 as Go's server gives it.
pub fn not_found() -> Response<ReplyBody> {
    plain(StatusCode::NOT_FOUND, "404 page not found")
}

/// 204 with these headers.
pub fn no_content(headers: Vec<(HeaderName, String)>) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// An answer in words, as Go's server gives it.
pub fn plain(status: StatusCode, text: &str) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(format!("{text}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// The response of a command that went well, or goes well so far.
pub fn success(head: Head, body: ReplyBody, trailers: bool) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    common(headers, head.media_type, trailers);
    let yes = HeaderValue::from_static("1");
    if head.raw {
        headers.insert(STREAM_OUTPUT, yes);
        if let Some(length) = head.length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    } else if head.chunked {
        headers.insert(CHUNKED_OUTPUT, yes);
    }
    response
}

fn common(headers: &mut HeaderMap, media_type: &'static str, trailers: bool) {
    let exposed = HeaderValue::from_static(EXPOSED);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, exposed.clone());
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(
        TRAILER,
        HeaderValue::from_static(if trailers {
            "X-Stream-Error, X-Negative, X-Notes"
        } else {
            "X-Stream-Error"
        }),
    );
}

/// Kubo's error.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody<'a> {
    message: &'a str,
    code: u8,
    r#type: &'static str,
}

/// The response of a command that failed.
pub fn error(failure: &Failure) -> Response<ReplyBody> {
    // 1 is the client's mistake, 0 any other.
    let (status, code) = match failure {
        Failure::Usage(_) | Failure::Help => (StatusCode::BAD_REQUEST, 1),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, 0),
    };
    let mut body = Vec::new();
    let record = ErrorBody {
        message: &failure.to_string(),
        code,
        r#type: "error",
    };
    // Text cannot fail to become JSON.
    let _ = go_json(&mut body, &record);
    body.push(b'\n');
    let mut response = Response::new(ReplyBody::whole(body));
    *response.status_mut() = status;
    common(response.headers_mut(), "application/json", false);
    response
}
