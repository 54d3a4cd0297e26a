//! From a request to a response: guard, parse, run, stream.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER, SERVER, TE,
    TRAILER, VARY,
};
use hyper::{Method, Request, Response, StatusCode, Version, header};
use ipfs_kit_node::{CancelToken, Node};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::MAX_COMMANDS;
use super::guard::{EXPOSED, Policy, Verdict};
use super::host::RpcHost;
use super::parse::{self, Call, Refusal};
use super::reply::{self, Head, Message, Notes, ReplyBody, ReplySink};
use super::upload::{self, Upload};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::methods::{ROOT, id};
use crate::observed::{Observed, UNKNOWN, Watched};
use crate::output::{Output, go_json};

/// Longest sum of a request's headers, in bytes, its address apart.
const MAX_HEADERS: usize = 16 << 10;

/// Asks the daemon to tell commands that their output is read by people.
pub const TERMINAL: HeaderName = HeaderName::from_static("x-terminal");

const STREAM_OUTPUT: HeaderName = HeaderName::from_static("x-stream-output");
const CHUNKED_OUTPUT: HeaderName = HeaderName::from_static("x-chunked-output");
const CONTENT_LENGTH: HeaderName = HeaderName::from_static("x-content-length");

/// Answers requests. Clones share everything.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

struct Shared {
    node: Node,
    policy: Policy,
    room: Arc<Semaphore>,
    running: Mutex<HashMap<u64, Stops>>,
    next: AtomicU64,
    observed: Arc<Observed>,
    stop: Arc<dyn Fn() + Send + Sync>,
}

/// What stops one command: its work, and the reading of its input.
#[derive(Clone)]
struct Stops {
    work: CancelToken,
    input: CancellationToken,
}

impl Stops {
    fn stop(&self) {
        self.work.cancel();
        self.input.cancel();
    }
}

/// The method that was asked, for the counts.
#[derive(Clone)]
struct Asked(Arc<str>);

/// Cancels a command when its response is dropped, and forgets it.
struct Running {
    shared: Arc<Shared>,
    number: u64,
    stops: Stops,
    watched: Watched,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stops.stop();
        self.watched.end();
        self.shared.running.lock().remove(&self.number);
    }
}

impl Service {
    /// A service of the node. `stop` ends the daemon.
    pub fn new(node: Node, policy: Policy, stop: Arc<dyn Fn() + Send + Sync>) -> Service {
        Service {
            shared: Arc::new(Shared {
                node,
                policy,
                room: Arc::new(Semaphore::new(MAX_COMMANDS)),
                running: Mutex::default(),
                next: AtomicU64::new(0),
                observed: Observed::new(),
                stop,
            }),
        }
    }

    /// What the daemon knows of itself.
    pub fn observed(&self) -> Arc<Observed> {
        Arc::clone(&self.shared.observed)
    }

    /// Tells every running command to stop.
    pub fn cancel_all(&self) {
        self.shared.running.lock().values().for_each(Stops::stop);
    }

    /// Answers one request that came in at `port`.
    pub async fn answer(
        &self,
        request: Request<Incoming>,
        port: Option<u16>,
    ) -> Response<ReplyBody> {
        let policy = &self.shared.policy;
        let origin = request.headers().get(ORIGIN).cloned();
        let known = origin
            .as_ref()
            .and_then(|origin| origin.to_str().ok())
            .is_some_and(|origin| policy.knows(origin, port));
        let mut response = self.judge(request, port).await;
        let asked = response.extensions_mut().remove::<Asked>();
        let method = asked.map_or(UNKNOWN.into(), |Asked(method)| method);
        let status = response.status().as_u16();
        self.shared.observed.requests.answered(method, status);
        let headers = response.headers_mut();
        for (name, value) in &policy.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                headers.insert(name, value);
            }
        }
        headers.insert(SERVER, HeaderValue::from_static(id::AGENT));
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin.filter(|_| known) {
            headers
                .entry(header::ACCESS_CONTROL_ALLOW_ORIGIN)
                .or_insert(origin);
        }
        response
    }

    async fn judge(&self, request: Request<Incoming>, port: Option<u16>) -> Response<ReplyBody> {
        let headers = request.headers();
        let size: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        if size > MAX_HEADERS {
            return plain(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "431 - Request Header Fields Too Large",
            );
        }
        let path = request.uri().path();
        if !path.starts_with(parse::ROOT_PATH) {
            return plain(StatusCode::NOT_FOUND, "404 page not found");
        }
        match self
            .shared
            .policy
            .judge(request.method(), path, headers, port)
        {
            Verdict::Pass => self.call(request).await,
            Verdict::Forbidden => plain(StatusCode::FORBIDDEN, "403 - Forbidden"),
            Verdict::WrongMethod => {
                let mut response =
                    plain(StatusCode::METHOD_NOT_ALLOWED, "405 - Method Not Allowed");
                let allow = HeaderValue::from_static("OPTIONS, POST");
                response.headers_mut().insert(ALLOW, allow);
                response
            }
            Verdict::Preflight => {
                let answer = self.shared.policy.preflight(headers, port);
                let mut response = Response::new(ReplyBody::whole(""));
                *response.status_mut() = StatusCode::NO_CONTENT;
                for (name, value) in answer {
                    if let Ok(value) = value.parse() {
                        response.headers_mut().insert(name, value);
                    }
                }
                response
            }
        }
    }

    async fn call(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        debug_assert_eq!(*request.method(), Method::POST);
        let boundary = boundary(request.headers());
        let query = request.uri().query().unwrap_or_default();
        let call = parse::parse(&ROOT, request.uri().path(), query, boundary.is_some());
        let call = match call {
            Ok(call) => call,
            Err(Refusal::NotFound) => return plain(StatusCode::NOT_FOUND, "404 page not found"),
            Err(Refusal::Bad(reason)) => return plain(StatusCode::BAD_REQUEST, &reason),
        };
        let Ok(permit) = Arc::clone(&self.shared.room).try_acquire_owned() else {
            let mut response = plain(StatusCode::TOO_MANY_REQUESTS, "429 - Too Many Requests");
            let soon = HeaderValue::from_static("1");
            response.headers_mut().insert(RETRY_AFTER, soon);
            return response;
        };
        let method = Asked(call.request.name().into());
        let mut response = self.run(call, request, boundary, permit).await;
        response.extensions_mut().insert(method);
        response
    }

    async fn run(
        &self,
        call: Call,
        request: Request<Incoming>,
        boundary: Option<String>,
        permit: OwnedSemaphorePermit,
    ) -> Response<ReplyBody> {
        let token = CancelToken::new();
        let deadline = call
            .timeout
            .and_then(|limit| Instant::now().checked_add(limit));
        let token = deadline.map_or(token.clone(), |deadline| token.with_deadline(deadline));
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let stops = Stops {
            work: token.clone(),
            input: CancellationToken::new(),
        };
        let input = stops.input.clone();
        self.shared.running.lock().insert(number, stops.clone());
        let running = Running {
            shared: Arc::clone(&self.shared),
            number,
            stops,
            watched: self.shared.observed.begin(&call.request),
        };
        let terminal = request.headers().contains_key(TERMINAL);
        let trailers = request.version() == Version::HTTP_2
            || request
                .headers()
                .get(TE)
                .is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
        let upload = boundary.map(|boundary| {
            let (upload, read) = Upload::new(request.into_body(), boundary);
            let time = call.timeout.unwrap_or(Duration::MAX);
            tokio::spawn(async move {
                // The command notices its end by itself, unless it waits for input.
                tokio::select! {
                    _ = tokio::time::timeout(time, read) => {}
                    () = input.cancelled() => {}
                }
            });
            upload
        });
        let command = call.request.command();
        let streamed = call.request.options.contains_key("stream");
        let head = Head::new(command, call.request.common.encoding, streamed);
        let (send, pieces) = mpsc::channel(reply::QUEUE);
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || {
            let notes = Notes::default();
            let sink = ReplySink::new(send.clone(), head, command.reply, terminal);
            let mut node = shared.node.with_cancel(token.clone());
            if call.request.common.offline {
                node = node.offline();
            }
            let host = RpcHost {
                node,
                cancel: token,
                upload,
                notes: notes.clone(),
                observed: Arc::clone(&shared.observed),
                stop: Arc::clone(&shared.stop),
            };
            let end = execute(call, host, sink);
            // Who asked may be gone; then nobody wants to know.
            let _ = send.blocking_send(Message::End(end, notes.take()));
            drop(permit);
        });
        respond(pieces, head, running, trailers).await
    }
}

/// Waits for the first that a command sends, which decides what kind of response it is.
async fn respond(
    mut pieces: mpsc::Receiver<Message>,
    head: Head,
    running: Running,
    trailers: bool,
) -> Response<ReplyBody> {
    match pieces.recv().await {
        Some(Message::Head(head)) => {
            let body = ReplyBody::stream(pieces, trailers, Box::new(running));
            success(head, body, trailers)
        }
        Some(Message::End(Ok(()), notes)) if notes.is_empty() => {
            success(head, ReplyBody::whole(""), trailers)
        }
        // Nothing was sent yet, so an error can be told as one; notes need trailers.
        Some(Message::End(Err(failure), notes))
            if (notes.is_empty() || !trailers) && !negative(&failure) =>
        {
            error(&failure)
        }
        Some(Message::End(end, notes)) => {
            // Only trailers can tell of notes.
            let body = ReplyBody::ended(end, notes, trailers);
            success(head, body, trailers)
        }
        Some(Message::Data(_)) | None => error(&Failure::failed("the command broke off")),
    }
}

fn negative(failure: &Failure) -> bool {
    matches!(failure, Failure::Reported)
}

/// Runs a command in this thread.
fn execute(call: Call, host: RpcHost, sink: ReplySink) -> Result<(), Failure> {
    let command = call.request.command();
    let Some(function) = command.run.and_then(crate::command::Run::function) else {
        // A group by itself: Kubo answers with nothing.
        return Ok(());
    };
    let cancel = host.cancel.clone();
    let out = Output::new(call.request.common.encoding, Box::new(sink));
    let mut invocation = Invocation::new(call.request, Box::new(host), out);
    let result = function(&mut invocation);
    // What was emitted before a failure is true and belongs to the output.
    let written = invocation.out.finish();
    match (result.and(written), cancel.check()) {
        (Err(told @ (Failure::Reported | Failure::Late(_))), _) => Err(told),
        (Err(_), Err(ipfs_kit_node::Cancelled::TimedOut)) => Err(Failure::TimedOut),
        (result, _) => result,
    }
}

/// The boundary of a multipart body.
fn boundary(headers: &HeaderMap) -> Option<String> {
    let media_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (kind, _) = media_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = upload::parameter(media_type, "boundary")?;
    // RFC 2046: up to 70 characters.
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

/// An answer in words, as Go's server gives it.
fn plain(status: StatusCode, text: &str) -> Response<ReplyBody> {
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

fn success(head: Head, body: ReplyBody, trailers: bool) -> Response<ReplyBody> {
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

fn error(failure: &Failure) -> Response<ReplyBody> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Reply;
    use crate::output::Encoding;

    #[test]
    fn an_empty_result_has_a_type() {
        let head = Head::new(&ROOT, Encoding::Json, false);
        assert_eq!(head.media_type, "application/json");
        assert!(!head.chunked && matches!(ROOT.reply, Reply::One));
    }
}
