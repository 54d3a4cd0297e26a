//! The HTTP client of the node: delegated routers, gateways and pinning services are asked through it.
//!
//! Who is asked may be named by strangers. So the client connects to public addresses only, whatever a name resolves to,
//! unless the caller says that the host is the configuration's own; every reply has a limit in bytes and in time, and
//! redirects are few, never from `https` to `http`, and only to hosts that the caller allows.

mod backoff;
mod connect;
mod tls;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

pub use backoff::Backoff;
use connect::Connector;

/// Redirects followed at most.
const REDIRECTS_MAX: usize = 3;

/// Idle connections kept to one host, and how long.
const IDLE_MAX: usize = 16;
const IDLE: Duration = Duration::from_secs(60);

/// What a reply's head may have at most: hyper's own limits are wider.
const HEAD_MAX: usize = 64 << 10;

const AGENT: &str = concat!("ipfs-kit/", env!("CARGO_PKG_VERSION"));

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// No connection, or a broken one.
    #[error("{0}")]
    Failed(String),
    /// Nothing came in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// A status that is no success.
    #[error("status {0}")]
    Status(StatusCode),
    /// More bytes than allowed.
    #[error("the reply is larger than {0} bytes")]
    TooLarge(usize),
    /// A redirect that is not followed.
    #[error("redirected {0}")]
    Redirect(&'static str),
}

/// A request.
pub struct Ask<'a> {
    pub method: Method,
    pub uri: Uri,
    pub accept: &'static str,
    /// Who asks, for hosts that want to know. A redirect takes it along, so `allows` must say where to.
    pub authorization: Option<&'a HeaderValue>,
    /// What is sent, with its type.
    pub body: Option<(&'static str, Bytes)>,
    /// The host is the configuration's own: it may have a private address.
    pub private: bool,
    /// Hosts that a redirect may lead to.
    pub allows: &'a (dyn Fn(&str) -> bool + Sync),
}

/// The client. Clones share their connections.
#[derive(Clone)]
pub struct WebClient {
    /// Apart, so that a connection to a private address is never used for a stranger's name.
    public: Client<Connector, Full<Bytes>>,
    any: Client<Connector, Full<Bytes>>,
}

impl WebClient {
    /// `verify`: the servers' certificates are checked.
    pub fn new(verify: bool) -> Result<Self, WebError> {
        let client = |public| {
            let connector = Connector::new(public, verify)?;
            Ok(Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(IDLE_MAX)
                .http1_max_buf_size(HEAD_MAX)
                .build(connector))
        };
        Ok(Self {
            public: client(true)?,
            any: client(false)?,
        })
    }

    /// Sends a request and gives the reply once its head is there, whatever its status.
    pub async fn send(
        &self,
        ask: Ask<'_>,
        limit: Duration,
    ) -> Result<Response<Incoming>, WebError> {
        let sent = tokio::time::timeout(limit, self.follow(ask)).await;
        sent.map_err(|_| WebError::TimedOut(limit))?
    }

    async fn follow(&self, ask: Ask<'_>) -> Result<Response<Incoming>, WebError> {
        let client = if ask.private { &self.any } else { &self.public };
        let mut uri = ask.uri.clone();
        for _ in 0..=REDIRECTS_MAX {
            let request = request(&ask, &uri)?;
            let reply = client
                .request(request)
                .await
                .map_err(|error| failed(&error))?;
            let is_redirect =
                reply.status().is_redirection() && reply.status() != StatusCode::NOT_MODIFIED;
            if !is_redirect {
                return Ok(reply);
            }
            uri = target(&uri, reply.headers().get(LOCATION), ask.allows)?;
        }
        Err(WebError::Redirect("too often"))
    }
}

/// Where a redirect leads to.
fn target(
    from: &Uri,
    location: Option<&HeaderValue>,
    allows: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Uri, WebError> {
    let text = location.and_then(|value| value.to_str().ok());
    let text = text.ok_or(WebError::Redirect("to nowhere"))?;
    let to: Uri = if text.starts_with('/') && !text.starts_with("//") {
        let mut parts = from.clone().into_parts();
        parts.path_and_query = Some(
            text.parse()
                .map_err(|_| WebError::Redirect("to no address"))?,
        );
        Uri::from_parts(parts).map_err(|_| WebError::Redirect("to no address"))?
    } else {
        text.parse()
            .map_err(|_| WebError::Redirect("to no address"))?
    };
    let host = to.host().ok_or(WebError::Redirect("to no address"))?;
    let safe = matches!(
        (from.scheme_str(), to.scheme_str()),
        (Some("http"), Some("http" | "https")) | (Some("https"), Some("https"))
    );
    if !safe {
        return Err(WebError::Redirect("to an address without encryption"));
    }
    if !allows(host) {
        return Err(WebError::Redirect("to a host that is not allowed"));
    }
    Ok(to)
}

fn request(ask: &Ask<'_>, uri: &Uri) -> Result<Request<Full<Bytes>>, WebError> {
    let (kind, body) = match &ask.body {
        Some((kind, body)) => (Some(*kind), body.clone()),
        None => (None, Bytes::new()),
    };
    let mut request = Request::builder()
        .method(ask.method.clone())
        .uri(uri.clone())
        .header(ACCEPT, ask.accept)
        .header(USER_AGENT, AGENT);
    if let Some(authorization) = ask.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    if let Some(kind) = kind {
        request = request.header(CONTENT_TYPE, kind);
    }
    request
        .body(Full::new(body))
        .map_err(|error| WebError::Failed(error.to_string()))
}

/// The whole body, if it is no larger than `max`.
pub async fn read(mut body: Incoming, max: usize, limit: Duration) -> Result<Bytes, WebError> {
    // A length that is told beforehand spares the reading.
    if body.size_hint().lower() > max as u64 {
        return Err(WebError::TooLarge(max));
    }
    let reading = async {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| failed(&error))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if whole.len() + data.len() > max {
                return Err(WebError::TooLarge(max));
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    };
    let read = tokio::time::timeout(limit, reading).await;
    read.map_err(|_| WebError::TimedOut(limit))?
}

/// An error with its causes: the outer one alone says little.
pub fn failed(error: &dyn std::error::Error) -> WebError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    WebError::Failed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_encrypted_and_where_they_are_allowed() {
        let from: Uri = "https://gate.example/ipfs/x".parse().unwrap();
        let to = |text: &str| {
            let value = HeaderValue::from_str(text).unwrap();
            target(&from, Some(&value), &|host| host != "evil.example")
        };
        assert_eq!(
            to("/other?a=b").unwrap().to_string(),
            "https://gate.example/other?a=b"
        );
        assert_eq!(to("https://b.example/").unwrap().host(), Some("b.example"));
        for text in [
            "http://gate.example/",
            "https://evil.example/",
            "//b.example/x",
            "ftp://a/",
            "x",
        ] {
            assert!(matches!(to(text), Err(WebError::Redirect(_))), "{text}");
        }
        assert!(target(&from, None, &|_| true).is_err());
    }
}
