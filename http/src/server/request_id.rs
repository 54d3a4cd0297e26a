//! What tells one request from all others, in its answer and in the log.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// The header with the id, of a request and of its answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The same by the name that the Python kit has for it.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// Longest id that is taken from a client, in bytes.
const LENGTH_MAX: usize = 128;

/// The id of one request: the client's own, or one that was made for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id that a request brings, if it is one: letters, digits, `-`, `_`, `.`, so that it can be written
    /// anywhere; else a new one.
    pub fn of(headers: &HeaderMap) -> RequestId {
        let given = headers
            .get(REQUEST_ID)
            .or_else(|| headers.get(CORRELATION_ID));
        let given = given.and_then(|id| id.to_str().ok());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        match given {
            Some(id) if (1..=LENGTH_MAX).contains(&id.len()) && id.bytes().all(plain) => {
                RequestId(id.into())
            }
            _ => RequestId::made(),
        }
    }

    /// One that no other request of this process has, and hardly one of another.
    fn made() -> RequestId {
        static PROCESS: OnceLock<u64> = OnceLock::new();
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // The state is random; what is hashed does not matter.
        let process = *PROCESS.get_or_init(|| RandomState::new().hash_one(0));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        RequestId(format!("{process:016x}-{number:x}").into())
    }

    /// As text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// As the value of a header.
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static(""))
    }

    /// What everything that is logged for the request stands in.
    pub fn span(&self, command: &'static str) -> tracing::Span {
        tracing::error_span!("request", request_id = &*self.0, command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_when_they_are_plain_and_made_else() {
        let of = |text: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(text).unwrap());
            RequestId::of(&headers)
        };
        assert_eq!(&*of(b"a-B_1.2").0, "a-B_1.2");
        let long = vec![b'a'; LENGTH_MAX + 1];
        for bad in [&b""[..], b"a b", b"\"", "\u{e4}".as_bytes(), &long] {
            let id = of(bad);
            assert!(id.0.len() >= 18 && id.0.is_ascii(), "{id:?}");
        }
        assert_ne!(
            RequestId::of(&HeaderMap::new()),
            RequestId::of(&HeaderMap::new())
        );
    }
}
