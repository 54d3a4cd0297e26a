//! The RPC client of the command line. It blocks, as its caller does; what is sent and what is received
//! streams.

mod multipart;
mod tls;

use std::io::{self, Read};
use std::net::{TcpStream as StdTcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, TE, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

pub use multipart::BodyWriter;

use crate::failure::Failure;
use crate::methods::id;
use crate::server::{
    Connection, Endpoint, NEGATIVE, NOTES, ROOT_PATH, STREAM_ERROR, TERMINAL, connect_unix,
};

/// Begins TLS on a connection to `host`, who has to be who the web or `SSL_CERT_FILE` says.
///
/// # Errors
/// When it is not, or does not answer.
pub(crate) async fn secured(host: &str, stream: TcpStream) -> io::Result<Connection> {
    tls::handshake(host, stream).await
}

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Pieces of a request's body that wait.
const QUEUE: usize = 8;
/// Longest error that is read.
const MAX_ERROR: u64 = 1 << 20;

/// A daemon to ask.
#[derive(Clone)]
pub struct Client {
    endpoint: Endpoint,
    authorization: Option<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the secret.
        out.debug_struct("Client")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// What is asked.
pub struct Call<'c> {
    /// The words of the command.
    pub path: &'c [&'c str],
    /// Options and arguments, in order.
    pub query: Vec<(String, String)>,
    /// Whether the result is read by people.
    pub terminal: bool,
    /// Writes the files that go along.
    pub body: Option<WriteBody>,
}

/// Writes a body, in a thread of its own.
pub type WriteBody = Box<dyn FnOnce(&mut BodyWriter) -> Result<(), Failure> + Send>;

/// A result that comes.
pub struct Reply {
    runtime: Runtime,
    body: Incoming,
    piece: Bytes,
    trailers: HeaderMap,
    /// How many bytes there will be, if that was said.
    pub length: Option<u64>,
    /// What went wrong with the body of the request.
    written: Option<std::sync::mpsc::Receiver<Failure>>,
}

impl Client {
    /// A client of the daemon at `address`: a multiaddress, `http(s)://HOST:PORT` or `unix:///PATH`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn new(address: &str, secret: Option<&str>) -> Result<Client, Failure> {
        let endpoint = Endpoint::parse(address).or_else(|| of_url(address));
        let endpoint = endpoint.ok_or_else(|| {
            Failure::failed(format_args!(
                "{address:?} is no address of a daemon: use /ip4/127.0.0.1/tcp/5001, \
                 http://127.0.0.1:5001 or unix:///PATH"
            ))
        })?;
        Ok(Client {
            endpoint,
            authorization: secret.map(crate::server::authorization),
        })
    }

    /// A client of the socket at `path`, if somebody answers there.
    pub fn at_socket(path: &Path) -> Option<Client> {
        connect_unix(path).ok()?;
        Some(Client {
            endpoint: Endpoint::Unix(path.to_owned()),
            authorization: None,
        })
    }

    /// Whether somebody answers.
    pub fn answers(&self) -> bool {
        match &self.endpoint {
            Endpoint::Unix(path) => connect_unix(path).is_ok(),
            Endpoint::Tcp(host, port) | Endpoint::Tls(host, port) => {
                connect_tcp(host, *port).is_ok()
            }
        }
    }

    /// Asks, and waits for the first byte of the answer.
    ///
    /// # Errors
    /// When nobody answers, and what the daemon answers with if it is an error.
    pub fn send(&self, call: Call<'_>) -> Result<Reply, Failure> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::failed)?;
        let (request, written) = self.request(call)?;
        let answer = runtime.block_on(async {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(self.connect().await?))
                    .await
                    .map_err(lost)?;
            tokio::spawn(connection);
            sender.send_request(request).await.map_err(lost)
        });
        let response = match answer {
            Ok(response) => response,
            Err(failure) => return Err(first_cause(written.as_ref()).unwrap_or(failure)),
        };
        let (head, body) = response.into_parts();
        let length = head.headers.get("x-content-length");
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let mut reply = Reply {
            runtime,
            body,
            piece: Bytes::new(),
            trailers: HeaderMap::new(),
            length,
            written,
        };
        match head.status {
            StatusCode::OK => Ok(reply),
            status => Err(reply.refusal(status)),
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let unreachable = |error: io::Error| {
            let place = match &self.endpoint {
                Endpoint::Tcp(host, port) | Endpoint::Tls(host, port) => {
                    format!("{host} port {port}")
                }
                Endpoint::Unix(path) => path.display().to_string(),
            };
            Failure::failed(format_args!("cannot reach a daemon at {place}: {error}"))
        };
        let connected = match &self.endpoint {
            Endpoint::Unix(path) => connect_unix(path).and_then(|stream| {
                stream.set_nonblocking(true)?;
                Ok(Connection::Unix(UnixStream::from_std(stream)?))
            }),
            Endpoint::Tcp(host, port) => stream(host, *port).map(Connection::Tcp),
            Endpoint::Tls(host, port) => match stream(host, *port) {
                Ok(stream) => tls::handshake(host, stream).await,
                Err(error) => Err(error),
            },
        };
        connected.map_err(unreachable)
    }

    #[expect(
        clippy::type_complexity,
        reason = "a request and who tells about its body"
    )]
    fn request(
        &self,
        call: Call<'_>,
    ) -> Result<
        (
            Request<UnsyncBoxBody<Bytes, io::Error>>,
            Option<std::sync::mpsc::Receiver<Failure>>,
        ),
        Failure,
    > {
        let query: Vec<String> = call
            .query
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect();
        let target = format!("{ROOT_PATH}/{}?{}", call.path.join("/"), query.join("&"));
        if target.len() > u16::MAX as usize - 1 {
            return Err(Failure::failed(
                "the arguments are too many for one request to the daemon: give them in several \
                 runs, or on standard input where the command takes them there",
            ));
        }
        let host = match &self.endpoint {
            Endpoint::Tcp(host, port) | Endpoint::Tls(host, port) if host.contains(':') => {
                format!("[{host}]:{port}")
            }
            Endpoint::Tcp(host, port) | Endpoint::Tls(host, port) => format!("{host}:{port}"),
            Endpoint::Unix(_) => "localhost".to_owned(),
        };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(target)
            .header(HOST, host)
            .header(USER_AGENT, id::AGENT)
            .header(TE, "trailers");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if call.terminal {
            request = request.header(TERMINAL, "1");
        }
        let Some(write) = call.body else {
            let body = Full::default()
                .map_err(|never| match never {})
                .boxed_unsync();
            return Ok((request.body(body).map_err(Failure::failed)?, None));
        };
        let (send, pieces) = mpsc::channel(QUEUE);
        let mut writer = BodyWriter::new(send);
        request = request.header(CONTENT_TYPE, writer.media_type());
        let (tell, written) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            if let Err(failure) = write(&mut writer).and_then(|()| writer.finish()) {
                // Told before the body breaks off, so that whoever notices that finds the reason.
                let _ = tell.send(failure);
                writer.abort();
            }
        });
        let pieces = futures::stream::unfold(pieces, |mut pieces| async move {
            let piece = pieces.recv().await?;
            Some((piece, pieces))
        });
        let frames = pieces.map(|piece: io::Result<Bytes>| piece.map(Frame::data));
        let body = BodyExt::boxed_unsync(StreamBody::new(frames));
        Ok((request.body(body).map_err(Failure::failed)?, Some(written)))
    }
}

fn stream(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = connect_tcp(host, port)?;
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    TcpStream::from_std(stream)
}

fn connect_tcp(host: &str, port: u16) -> io::Result<StdTcpStream> {
    let mut last = io::ErrorKind::NotFound.into();
    for at in (host, port).to_socket_addrs()? {
        match StdTcpStream::connect_timeout(&at, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The place that a URL names.
fn of_url(url: &str) -> Option<Endpoint> {
    if let Some(path) = url.strip_prefix("unix://") {
        return path.starts_with('/').then(|| Endpoint::Unix(path.into()));
    }
    let (rest, usual, endpoint): (_, _, fn(String, u16) -> Endpoint) =
        match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (rest, 80, Endpoint::Tcp),
            (None, Some(rest)) => (rest, 443, Endpoint::Tls),
            (None, None) => return None,
        };
    let authority = rest.trim_end_matches('/').trim_end_matches(ROOT_PATH);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, usual),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let fits = !host.is_empty() && !host.contains('/');
    fits.then(|| endpoint(host.to_owned(), port))
}

fn lost(error: impl std::fmt::Display) -> Failure {
    Failure::failed(format_args!(
        "the connection to the daemon broke off: {error}"
    ))
}

fn first_cause(written: Option<&std::sync::mpsc::Receiver<Failure>>) -> Option<Failure> {
    written?.try_recv().ok()
}

/// Kubo's error.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody {
    message: String,
    code: u8,
}

impl Reply {
    /// The error that the daemon answered with.
    fn refusal(&mut self, status: StatusCode) -> Failure {
        let mut body = Vec::new();
        let read = self.by_ref().take(MAX_ERROR).read_to_end(&mut body);
        if let Some(failure) = first_cause(self.written.as_ref()) {
            return failure;
        }
        if let Err(error) = read {
            return lost(error);
        }
        if let Ok(error) = serde_json::from_slice::<ErrorBody>(&body) {
            return match error.code {
                1 => Failure::Usage(error.message),
                _ => Failure::Failed(error.message),
            };
        }
        let text = String::from_utf8_lossy(&body).trim().to_owned();
        match status {
            StatusCode::BAD_REQUEST => Failure::Usage(text),
            StatusCode::NOT_FOUND => Failure::failed("the daemon does not have this command"),
            StatusCode::FORBIDDEN => Failure::failed(
                "the daemon refuses this request: give its secret with --api-auth, or ask for \
                 the path to be allowed",
            ),
            StatusCode::TOO_MANY_REQUESTS => {
                Failure::failed("the daemon is busy with other requests: try again")
            }
            // An error in text says no more than its words.
            StatusCode::INTERNAL_SERVER_ERROR if !text.is_empty() => Failure::Failed(text),
            status => Failure::failed(format_args!("the daemon answered {status}: {text}")),
        }
    }

    /// What the daemon said at the end, once all has been read: lines for standard error, and how it
    /// went.
    pub fn end(&self) -> (Vec<String>, Result<(), Failure>) {
        let text = |name| {
            let value = self.trailers.get(name);
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let notes = text(NOTES)
            .map(|notes| unescape(&notes))
            .unwrap_or_default();
        let end = match text(STREAM_ERROR) {
            Some(error) => Err(Failure::Failed(error)),
            None if self.trailers.contains_key(NEGATIVE) => Err(Failure::Reported),
            None => Ok(()),
        };
        (notes.lines().map(str::to_owned).collect(), end)
    }

    /// The next piece; nothing at the end.
    ///
    /// # Errors
    /// When the connection breaks off.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if !self.piece.is_empty() {
                return Ok(Some(std::mem::take(&mut self.piece)));
            }
            let frame = match self.runtime.block_on(self.body.frame()) {
                None => return Ok(None),
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    return Err(first_cause(self.written.as_ref()).unwrap_or_else(|| lost(error)));
                }
            };
            match frame.into_data() {
                Ok(data) => self.piece = data,
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.trailers = trailers;
                    }
                }
            }
        }
    }
}

impl Read for Reply {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(mut piece) = self
            .next_piece()
            .map_err(|failure| io::Error::other(failure.to_string()))?
        else {
            return Ok(0);
        };
        let len = buffer.len().min(piece.len());
        piece.copy_to_slice(&mut buffer[..len]);
        self.piece = piece;
        Ok(len)
    }
}

/// Text for a query or a trailer: everything but letters, digits and `-._~` escaped.
pub fn escape(text: impl AsRef<[u8]>) -> String {
    let text = text.as_ref();
    let mut escaped = String::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// What [`escape`] made, or a browser.
pub fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        match part.get(..2).map(|digits| u8::from_str_radix(digits, 16)) {
            Some(Ok(byte)) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            _ => bytes.extend_from_slice(part.as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_come_back() {
        let text = "a b/ü%\n\"";
        assert_eq!(escape("a b/"), "a%20b%2F");
        assert_eq!(unescape(&escape(text)), text);
    }

    #[test]
    fn urls() {
        let tcp = |host: &str, port| Some(Endpoint::Tcp(host.to_owned(), port));
        assert_eq!(of_url("http://127.0.0.1:5001"), tcp("127.0.0.1", 5001));
        assert_eq!(of_url("http://[::1]:1/api/v0/"), tcp("::1", 1));
        assert_eq!(of_url("http://host/"), tcp("host", 80));
        assert_eq!(of_url("unix:///a/b"), Some(Endpoint::Unix("/a/b".into())));
        let tls = Some(Endpoint::Tls("a".to_owned(), 443));
        assert_eq!(of_url("https://a"), tls);
        for bad in [
            "https://",
            "ftp://a",
            "http://",
            "unix://a",
            "a:1",
            "http://a:x",
        ] {
            assert_eq!(of_url(bad), None, "{bad}");
        }
    }
}
