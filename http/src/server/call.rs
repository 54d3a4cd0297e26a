//! A request for a method: parse, run, stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TE};
use hyper::{Request, Response, StatusCode, Version};
use ipfs_kit_node::CancelToken;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::answers::{error, not_found, plain, success};
use super::body::RequestBody;
use super::guard::{Door, Place};
use super::host::RpcHost;
use super::parse::{self, Call, Refusal};
use super::reply::{self, Head, Message, Notes, Outlet, ReplyBody, ReplySink};
use super::running::{Running, Stops};
use super::service::Service;
use super::upload::{self, Upload};
use super::waiting::Waiting;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::methods::ROOT;
use crate::output::Output;

/// Asks the daemon to tell commands that their output is read by people.
pub const TERMINAL: HeaderName = HeaderName::from_static("x-terminal");

/// How long a request waits for the room that a slow client was told to give.
const FREED: Duration = Duration::from_secs(1);

/// Answers a request for a method, that came in at `door`.
pub async fn call(
    service: &Service,
    request: Request<RequestBody>,
    door: Door,
) -> Response<ReplyBody> {
    let boundary = boundary(request.headers());
    let query = request.uri().query().unwrap_or_default();
    let call = parse::parse(&ROOT, request.uri().path(), query, boundary.is_some());
    let call = match call {
        Ok(call) => call,
        Err(Refusal::NotFound) => return not_found(),
        Err(Refusal::Bad(reason)) => return plain(StatusCode::BAD_REQUEST, &reason),
    };
    let Some(permit) = room(service).await else {
        return busy(Duration::from_secs(1));
    };
    // The owner's own pipes may take their time.
    let waiting = Arc::clone(request.body().waiting());
    let waiting = (door.place != Place::OwnSocket).then_some(waiting);
    run(service, call, request, boundary, waiting, permit).await
}

/// 429: try again after a while.
pub fn busy(after: Duration) -> Response<ReplyBody> {
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS, "429 - Too Many Requests");
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    let seconds = HeaderValue::from(seconds.max(1));
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

/// Room for one command; where there is none, a client that keeps us waiting loses his.
async fn room(service: &Service) -> Option<OwnedSemaphorePermit> {
    let room = service.room();
    if let Ok(permit) = Arc::clone(room).try_acquire_owned() {
        return Some(permit);
    }
    if !service.running().stop_slowest(service.limits().pressed()) {
        return None;
    }
    let freed = tokio::time::timeout(FREED, Arc::clone(room).acquire_owned());
    freed.await.ok()?.ok()
}

async fn run(
    service: &Service,
    call: Call,
    request: Request<RequestBody>,
    boundary: Option<String>,
    waiting: Option<Arc<Waiting>>,
    permit: OwnedSemaphorePermit,
) -> Response<ReplyBody> {
    let token = CancelToken::new();
    let deadline = call
        .timeout
        .and_then(|limit| Instant::now().checked_add(limit));
    let token = deadline.map_or(token.clone(), |deadline| token.with_deadline(deadline));
    let io = CancellationToken::new();
    let running = service.running().enter(Stops {
        work: token.clone(),
        io: io.clone(),
        waiting: waiting.clone(),
    });
    let terminal = request.headers().contains_key(TERMINAL);
    let trailers = takes_trailers(&request);
    let upload = boundary.map(|boundary| {
        let (upload, read) = Upload::new(request.into_body(), boundary);
        let (io, time) = (io.clone(), call.timeout.unwrap_or(Duration::MAX));
        tokio::spawn(async move {
            // The command notices its end by itself, unless it waits for input.
            tokio::select! {
                _ = tokio::time::timeout(time, read) => {}
                () = io.cancelled() => {}
            }
        });
        upload
    });
    let command = call.request.command();
    let streamed = call.request.options.contains_key("stream");
    let head = Head::new(command, call.request.common.encoding, streamed);
    let (send, pieces) = mpsc::channel(reply::QUEUE);
    let outlet = Outlet::new(send, io);
    let service = service.clone();
    tokio::task::spawn_blocking(move || {
        let notes = Notes::default();
        let sink = ReplySink::new(outlet.clone(), head, command.reply, terminal);
        let mut node = service.node().with_cancel(token.clone());
        if call.request.common.offline {
            node = node.offline();
        }
        let host = RpcHost {
            node,
            cancel: token,
            upload,
            notes: notes.clone(),
            stop: service.stopper(),
        };
        let end = execute(call, host, sink);
        // Who asked may be gone; then nobody wants to know.
        let _ = outlet.send(Message::End(end, notes.take()));
        drop(permit);
    });
    respond(pieces, head, running, trailers, waiting).await
}

fn takes_trailers(request: &Request<RequestBody>) -> bool {
    request.version() == Version::HTTP_2
        || request
            .headers()
            .get(TE)
            .is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"))
}

/// Waits for the first that a command sends, which decides what kind of response it is.
async fn respond(
    mut pieces: mpsc::Receiver<Message>,
    head: Head,
    running: Running,
    trailers: bool,
    waiting: Option<Arc<Waiting>>,
) -> Response<ReplyBody> {
    match pieces.recv().await {
        Some(Message::Head(head)) => {
            let body = ReplyBody::stream(pieces, trailers, waiting, Box::new(running));
            success(head, body, trailers)
        }
        Some(Message::End(Ok(()), notes)) if notes.is_empty() => {
            success(head, ReplyBody::whole(""), trailers)
        }
        Some(Message::End(Err(failure), notes)) if notes.is_empty() && !negative(&failure) => {
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
