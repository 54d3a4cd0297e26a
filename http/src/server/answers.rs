//! Responses that are all there: refusals, errors, and the heads of results.

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRAILER};
use hyper::{Response, StatusCode, header};
use serde::Serialize;

use super::guard::EXPOSED;
use super::reply::{Head, ReplyBody};
use crate::failure::Failure;
use crate::invocation::OFFLINE;
use crate::output::{Encoding, go_json, xml};

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
    if let Some((bytes, whole)) = head.length {
        response.extensions_mut().insert(Length { bytes, whole });
    }
    let headers = response.headers_mut();
    common(headers, head.media_type, trailers);
    let yes = HeaderValue::from_static("1");
    if head.raw {
        headers.insert(STREAM_OUTPUT, yes);
        if let Some((length, _)) = head.length {
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

/// The response of a command that failed, in the encoding that was asked for, as Kubo gives it.
pub fn error(failure: &Failure, encoding: Encoding) -> Response<ReplyBody> {
    // 1 is the client's mistake, 0 any other.
    let (status, code) = match failure {
        Failure::Usage(_) | Failure::Help => (StatusCode::BAD_REQUEST, 1),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, 0),
    };
    let message = failure.to_string();
    let (media_type, body) = match encoding {
        Encoding::Text => ("text/plain", message.into_bytes()),
        Encoding::Xml => {
            let value = serde_json::json!({"message": message, "code": code});
            let mut body = Vec::new();
            // These names are names in XML too.
            let _ = xml::push(&mut body, "Error", &value);
            ("application/xml", body)
        }
        _ => {
            let record = ErrorBody {
                message: &message,
                code,
                r#type: "error",
            };
            let mut body = Vec::new();
            // Text cannot fail to become JSON.
            let _ = go_json(&mut body, &record);
            body.push(b'\n');
            ("application/json", body)
        }
    };
    let mut response = Response::new(ReplyBody::whole(body));
    *response.status_mut() = status;
    common(response.headers_mut(), media_type, false);
    response.extensions_mut().insert(Cause::of(failure));
    response
}

/// What kind of failure a response tells, for faces that have more kinds than Kubo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The request is wrong.
    Request,
    /// Something is not there.
    Missing,
    /// It did not come in time.
    Time,
    /// There is no network.
    Offline,
    /// Anything else.
    Other,
}

impl Cause {
    /// The kind of this failure.
    pub fn of(failure: &Failure) -> Cause {
        match failure {
            Failure::Usage(_) | Failure::Help => Cause::Request,
            Failure::Missing(_) => Cause::Missing,
            Failure::TimedOut | Failure::Late(_) => Cause::Time,
            Failure::Failed(text) if text == OFFLINE => Cause::Offline,
            _ => Cause::Other,
        }
    }
}

/// Of how many bytes a response has a part, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// What there is.
    pub bytes: u64,
    /// What there would be without limits.
    pub whole: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_in_the_encoding_that_was_asked_for() {
        let failure = Failure::failed("no <x>");
        for (encoding, media_type) in [
            (Encoding::Json, "application/json"),
            (Encoding::Text, "text/plain"),
            (Encoding::Xml, "application/xml"),
        ] {
            let response = error(&failure, encoding);
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(response.headers()[CONTENT_TYPE], media_type);
        }
    }
}
