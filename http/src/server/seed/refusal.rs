//! What was refused or failed, as the Python kit tells it: one shape, and a status that fits.

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::result::now;
use crate::server::answers::Cause;
use crate::server::reply::ReplyBody;

/// A refusal in the shape of the kit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the response, which is also in the body.
    pub status: StatusCode,
    /// The class of the kit's errors.
    pub class: &'static str,
    /// What is wrong and what to change.
    pub text: String,
}

/// What Kubo's errors say.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    message: String,
}

impl Refusal {
    /// A request that makes no sense.
    pub fn bad(text: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, text)
    }

    /// A refusal with the class that belongs to its status.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Refusal {
        Refusal {
            status,
            class: class(status),
            text: text.into(),
        }
    }

    /// What a failed command comes to.
    pub fn of(cause: Cause, text: impl Into<String>) -> Refusal {
        let status = match cause {
            Cause::Request => StatusCode::BAD_REQUEST,
            Cause::Missing => StatusCode::NOT_FOUND,
            Cause::Time => StatusCode::GATEWAY_TIMEOUT,
            Cause::Offline => StatusCode::SERVICE_UNAVAILABLE,
            Cause::Other => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let class = match cause {
            Cause::Missing => "IPFSContentNotFoundError",
            _ => class(status),
        };
        Refusal {
            class,
            ..Refusal::new(status, text)
        }
    }

    /// The response.
    pub fn response(&self) -> Response<ReplyBody> {
        let recoverable = matches!(
            self.status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        let body = json!({
            "success": false,
            "error": self.text,
            "error_type": self.class,
            "status_code": self.status.as_u16(),
            "timestamp": now(),
            "recoverable": recoverable,
            "timeout": self.status == StatusCode::GATEWAY_TIMEOUT,
            "not_found": self.class == "IPFSContentNotFoundError",
        });
        let mut response = Response::new(ReplyBody::whole(format!("{body}\n")));
        *response.status_mut() = self.status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response.extensions_mut().insert(Shaped);
        response
    }
}

/// The response of what went well or was refused.
pub fn settled(answer: Result<Response<ReplyBody>, Refusal>) -> Response<ReplyBody> {
    answer.unwrap_or_else(|refusal| refusal.response())
}

/// The kit's class for a status.
fn class(status: StatusCode) -> &'static str {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => "IPFSConnectionError",
        StatusCode::GATEWAY_TIMEOUT => "IPFSTimeoutError",
        StatusCode::NOT_IMPLEMENTED => "IPFSConfigurationError",
        StatusCode::BAD_REQUEST
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::RANGE_NOT_SATISFIABLE
        | StatusCode::PAYLOAD_TOO_LARGE => "IPFSValidationError",
        _ => "IPFSError",
    }
}

/// Marks a response that has the shape already.
#[derive(Debug, Clone, Copy)]
struct Shaped;

/// Gives a refusal of any part of the server the shape of the kit; its headers stay.
pub fn shape(response: Response<ReplyBody>) -> Response<ReplyBody> {
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    if !failed || response.extensions().get::<Shaped>().is_some() {
        return response;
    }
    let Some(text) = response.body().text() else {
        return response;
    };
    let text = match serde_json::from_slice::<Told>(text) {
        Ok(told) => told.message,
        Err(_) => String::from_utf8_lossy(text).trim().to_owned(),
    };
    let refusal = match response.extensions().get::<Cause>() {
        Some(cause) => Refusal::of(*cause, text),
        None => Refusal::new(status, text),
    };
    let (mut parts, _) = response.into_parts();
    let (shaped, body) = refusal.response().into_parts();
    parts.status = shaped.status;
    parts.headers.extend(shaped.headers);
    parts.extensions.extend(shaped.extensions);
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::output::Encoding;
    use crate::server::answers::{error, plain};
    use serde_json::Value;

    fn told(response: &Response<ReplyBody>) -> Value {
        serde_json::from_slice(response.body().text().unwrap()).unwrap()
    }

    #[test]
    fn every_refusal_gets_the_shape_and_keeps_its_headers() {
        let mut refused = plain(StatusCode::TOO_MANY_REQUESTS, "429 - Too Many Requests");
        let seconds = HeaderValue::from_static("1");
        refused.headers_mut().insert("retry-after", seconds);
        let shaped = shape(refused);
        assert_eq!(shaped.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(shaped.headers()["retry-after"], "1");
        assert_eq!(shaped.headers()[CONTENT_TYPE], "application/json");
        let body = told(&shaped);
        assert_eq!(body["success"], false);
        assert_eq!(body["error"], "429 - Too Many Requests");
        assert_eq!(
            (&body["status_code"], &body["recoverable"]),
            (&429.into(), &true.into())
        );
    }

    #[test]
    fn failures_have_their_classes_and_statuses() {
        for (failure, status, class) in [
            (Failure::usage("x"), 400, "IPFSValidationError"),
            (
                Failure::Missing("x".to_owned()),
                404,
                "IPFSContentNotFoundError",
            ),
            (Failure::TimedOut, 504, "IPFSTimeoutError"),
            (Failure::Late("x".to_owned()), 504, "IPFSTimeoutError"),
            (Failure::failed("x"), 500, "IPFSError"),
        ] {
            let shaped = shape(error(&failure, Encoding::Json));
            assert_eq!(shaped.status().as_u16(), status, "{failure:?}");
            let body = told(&shaped);
            assert_eq!(body["error_type"], class);
            assert_eq!(body["status_code"], status);
            assert_eq!(body["error"], failure.to_string());
        }
    }

    #[test]
    fn what_went_well_is_left_alone() {
        let response = Response::new(ReplyBody::whole("x"));
        assert_eq!(shape(response).body().text(), Some(&b"x"[..]));
    }
}
