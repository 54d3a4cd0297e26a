//! The way to the collector: a connection for each batch, with limits.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::client;
use crate::server::Connection;

/// How long one batch may take.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Longest answer that is read, in bytes.
const ANSWER_MAX: usize = 64 << 10;

/// A collector of OpenTelemetry.
#[derive(Debug)]
pub struct Collector {
    runtime: Handle,
    /// Whether the last try failed: it is told once until one does not.
    fails: AtomicBool,
}

impl Collector {
    /// One that is asked on this runtime.
    pub fn new(runtime: Handle) -> Collector {
        Collector {
            runtime,
            fails: AtomicBool::new(false),
        }
    }

    /// Tells how sending went, when that has changed. Addresses and headers may hold secrets.
    fn tell(&self, sent: &Result<Response<Bytes>, HttpError>) {
        let reason = match sent {
            Ok(answer) if answer.status().is_success() => {
                self.fails.store(false, Ordering::Relaxed);
                return;
            }
            Ok(answer) => format!("it answered {}", answer.status()),
            Err(error) => error.to_string(),
        };
        if !self.fails.swap(true, Ordering::Relaxed) {
            tracing::warn!(reason, "the collector takes no traces");
        }
    }
}

impl HttpClient for Collector {
    // As `async_trait` has it.
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        // Who waits has a thread without a runtime.
        let sent = async move { tokio::time::timeout(TIME_MAX, send(request)).await };
        let sent = self.runtime.spawn(sent);
        Box::pin(async move {
            let sent = match sent.await {
                Ok(Ok(sent)) => sent,
                Ok(Err(late)) => Err(late.into()),
                Err(broken) => Err(broken.into()),
            };
            self.tell(&sent);
            sent
        })
    }
}

async fn send(request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (mut parts, body) = request.into_parts();
    let uri = parts.uri;
    let secure = uri.scheme_str() == Some("https");
    let host = uri.host().ok_or("the collector's address has no host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await?;
    let connection = match secure {
        true => client::secured(host, stream).await?,
        false => Connection::Tcp(stream),
    };
    if let Some(authority) = uri.authority() {
        parts
            .headers
            .insert(HOST, HeaderValue::from_str(authority.as_str())?);
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse::<Uri>()?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
    // It ends with the answer, or when the time is up and the sender goes.
    tokio::spawn(connection);
    let request = Request::from_parts(parts, Full::new(body));
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, ANSWER_MAX).collect().await;
    let body = body.map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}
