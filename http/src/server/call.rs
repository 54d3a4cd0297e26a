//! A request for a method: parse, run, stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TE};
use hyper::{Request, Response, StatusCode, Version};
use ipfs_kit_node::CancelToken;
use opentelemetry::Context;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::answers::{error, not_found, plain, success};
use super::at_once;
use super::body::RequestBody;
use super::guard::{Door, Face, Place};
use super::host::RpcHost;
use super::parse::{self, Call, Refusal};
use super::reply::{self, Head, Message, Notes, Outlet, Pipe, ReplyBody, ReplySink};
use super::request_id::RequestId;
use super::running::{Running, Stops};
use super::service::Service;
use super::strict;
use super::upload::{self, Parts, Upload};
use super::version::ApiVersion;
use super::waiting::Waiting;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::methods::ROOT;
use crate::observed::Asked;
use crate::output::{Encoding, Output, Sink};
use crate::request::Request as CommandRequest;
use crate::traces::{self, Trace};

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
        Err(Refusal::Bad(reason)) => {
            tokio::spawn(upload::discard(request.into_body()));
            return plain(StatusCode::BAD_REQUEST, &reason);
        }
    };
    let asked = Asked(call.request.name().into());
    let both_names = door.face == Face::Seed;
    let strict = ApiVersion::of(request.uri().path()) == Some(ApiVersion::V1);
    let at_once = match strict {
        true => None,
        false => at_once::answer(service, &call, &request, both_names),
    };
    let mut response = match at_once {
        Some(response) => response,
        None => begin(service, call, request, boundary, door, strict).await,
    };
    response.extensions_mut().insert(asked);
    response
}

/// Begins a command once there is something to begin with.
async fn begin(
    service: &Service,
    call: Call,
    mut request: Request<RequestBody>,
    boundary: Option<String>,
    door: Door,
    strict: bool,
) -> Response<ReplyBody> {
    // Who brings a body slowly takes nobody's place: he gets one while there are some left, and has waited long enough by
    // then to lose it to the next who does not. The owner's own pipes may take their time.
    let patience = service.limits().pressed();
    let slow = boundary.is_some()
        && door.place != Place::OwnSocket
        && !request.body_mut().begin(patience).await;
    let waiting = Arc::clone(request.body().waiting());
    let waiting = (door.place != Place::OwnSocket).then_some(waiting);
    let came = Came {
        id: request.extensions().get::<RequestId>().cloned(),
        terminal: request.headers().contains_key(TERMINAL),
        trailers: takes_trailers(&request),
        both_names: door.face == Face::Seed,
        slow,
        parent: traces::parent(request.headers()),
        waiting,
        parts: boundary.map(|boundary| Parts::of(request.into_body(), &boundary)),
    };
    let command = call.request.command();
    match admit(service, call, came).await {
        Ok(started) if strict => strict::respond(started, command).await,
        Ok(started) => started.respond().await,
        Err(refusal) => refusal,
    }
}

/// What comes with a call.
pub struct Came {
    /// The request's id.
    pub id: Option<RequestId>,
    /// Whether the output is read by people.
    pub terminal: bool,
    /// Whether the client takes trailers.
    pub trailers: bool,
    /// Whether records have the names of the Python kit, too.
    pub both_names: bool,
    /// Whether it brings its body so slowly that it takes nobody's place.
    pub slow: bool,
    /// The client's span, where somebody wants to know.
    pub parent: Option<Context>,
    /// How long the client has been waited for; `None` for who may take any time.
    pub waiting: Option<Arc<Waiting>>,
    /// Files.
    pub parts: Option<Parts>,
}

/// A command that runs.
pub struct Started {
    /// What it sends.
    pub pieces: mpsc::Receiver<Message>,
    /// The head of a result that is empty.
    pub head: Head,
    /// Cancels it when it is dropped.
    pub running: Running,
    /// Whether the client takes trailers.
    pub trailers: bool,
    /// How long the client has been waited for.
    pub waiting: Option<Arc<Waiting>>,
    encoding: Encoding,
}

/// Starts a command, if there is room.
///
/// # Errors
/// 429.
pub async fn admit(
    service: &Service,
    call: Call,
    came: Came,
) -> Result<Started, Response<ReplyBody>> {
    match room(service, came.slow).await {
        Some(permit) => Ok(start(service, call, came, permit)),
        None => Err(busy(Duration::from_secs(1))),
    }
}

/// 429: try again after a while.
pub fn busy(after: Duration) -> Response<ReplyBody> {
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS, "429 - Too Many Requests");
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    let seconds = HeaderValue::from(seconds.max(1));
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

/// Room for one command; where there is none, a client that keeps us waiting loses his, but not for one that is `slow`.
async fn room(service: &Service, slow: bool) -> Option<OwnedSemaphorePermit> {
    let room = service.room();
    if let Ok(permit) = Arc::clone(room).try_acquire_owned() {
        return Some(permit);
    }
    if slow || !service.running().stop_slowest(service.limits().pressed()) {
        return None;
    }
    let freed = tokio::time::timeout(FREED, Arc::clone(room).acquire_owned());
    freed.await.ok()?.ok()
}

fn start(service: &Service, call: Call, came: Came, permit: OwnedSemaphorePermit) -> Started {
    let token = CancelToken::new();
    let deadline = call
        .timeout
        .and_then(|limit| Instant::now().checked_add(limit));
    let token = deadline.map_or(token.clone(), |deadline| token.with_deadline(deadline));
    let io = CancellationToken::new();
    let watched = service.observed().begin(&call.request);
    let stops = Stops {
        work: token.clone(),
        io: io.clone(),
        waiting: came.waiting.clone(),
    };
    let running = service.running().enter(stops, Some(watched));
    let upload = came.parts.map(|parts| {
        let (io, time) = (io.clone(), call.timeout.unwrap_or(Duration::MAX));
        // The command notices its end by itself, unless it waits for input.
        let stop = async move {
            let _ = tokio::time::timeout(time, io.cancelled()).await;
        };
        let (upload, read) = Upload::new(parts, stop);
        tokio::spawn(read);
        upload
    });
    let command = call.request.command();
    let encoding = call.request.common.encoding;
    let head = Head::new(command, encoding, &call.request.options);
    let (send, pieces) = mpsc::channel(reply::QUEUE);
    let outlet = Pipe::new(send, io);
    let service = service.clone();
    let (id, terminal, both_names) = (came.id, came.terminal, came.both_names);
    let parent = came.parent;
    tokio::task::spawn_blocking(move || {
        // Whatever is logged in here belongs to the request.
        let _span = id.as_ref().map(|id| id.span(command.name).entered());
        let trace = Trace::begin(
            &call.request,
            parent.as_ref(),
            id.as_ref().map(RequestId::text),
        );
        let notes = Notes::default();
        let sink = ReplySink::new(outlet.clone(), head, command.reply, terminal);
        let mut node = service.node().with_cancel(token.clone()).patient();
        if call.request.common.offline {
            node = node.offline();
        }
        let host = RpcHost {
            node,
            cancel: token,
            upload,
            notes: notes.clone(),
            at_once: None,
            observed: Arc::clone(service.observed()),
            stop: service.stopper(),
        };
        let end = execute(call.request, host, sink, both_names);
        if let Some(trace) = trace {
            trace.end(&end);
        }
        // Who asked may be gone; then nobody wants to know.
        let _ = outlet.send(Message::End(end, notes.take()));
        drop(permit);
    });
    Started {
        pieces,
        head,
        running,
        trailers: came.trailers,
        waiting: came.waiting,
        encoding,
    }
}

/// Whether the client wants to hear what comes behind a body.
pub fn takes_trailers(request: &Request<RequestBody>) -> bool {
    request.version() == Version::HTTP_2
        || request
            .headers()
            .get(TE)
            .is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"))
}

impl Started {
    /// Waits for the first that a command sends, which decides what kind of response it is.
    async fn respond(self) -> Response<ReplyBody> {
        let Started {
            mut pieces,
            head,
            running,
            trailers,
            waiting,
            encoding,
        } = self;
        match pieces.recv().await {
            Some(Message::Head(head)) => {
                let body = ReplyBody::stream(pieces, trailers, waiting, Box::new(running));
                success(head, body, trailers)
            }
            Some(Message::End(end, notes)) => nothing(end, notes, head, encoding, trailers),
            Some(Message::Data(_)) | None => {
                error(&Failure::failed("the command broke off"), encoding)
            }
        }
    }
}

/// The response of a command that ended before it sent anything.
pub fn nothing(
    end: Result<(), Failure>,
    notes: String,
    head: Head,
    encoding: Encoding,
    trailers: bool,
) -> Response<ReplyBody> {
    match end {
        Ok(()) if notes.is_empty() => {
            // A result of no records is a list of them.
            let head = Head {
                chunked: true,
                ..head
            };
            success(head, ReplyBody::whole(""), trailers)
        }
        // An error can be told as one; notes need trailers.
        Err(failure) if (notes.is_empty() || !trailers) && !negative(&failure) => {
            error(&failure, encoding)
        }
        end => success(head, ReplyBody::ended(None, end, notes, trailers), trailers),
    }
}

fn negative(failure: &Failure) -> bool {
    matches!(failure, Failure::Reported)
}

/// Runs a command in this thread.
pub fn execute(
    request: CommandRequest,
    host: RpcHost,
    sink: impl Sink + 'static,
    both_names: bool,
) -> Result<(), Failure> {
    let command = request.command();
    let Some(function) = command.run.and_then(crate::command::Run::function) else {
        // A group by itself: Kubo answers with nothing.
        return Ok(());
    };
    let cancel = host.cancel.clone();
    let out = Output::new(request.common.encoding, Box::new(sink)).with_both_names(both_names);
    let mut invocation = Invocation::new(request, Box::new(host), out);
    let result = function(&mut invocation);
    // What was emitted before a failure is true and belongs to the output.
    let written = match result {
        Ok(()) => invocation.out.end(),
        Err(_) => invocation.out.finish(),
    };
    match (result.and(written), cancel.check()) {
        (Err(told @ (Failure::Reported | Failure::Told(_) | Failure::Late(_))), _) => Err(told),
        (Err(_), Err(ipfs_kit_node::Cancelled::TimedOut)) => Err(Failure::TimedOut),
        (result, _) => result,
    }
}

/// The boundary of a multipart body.
pub fn boundary(headers: &HeaderMap) -> Option<String> {
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
    use crate::value::Values;

    #[test]
    fn an_empty_result_has_a_type() {
        let head = Head::new(&ROOT, Encoding::Json, &Values::new());
        assert_eq!(head.media_type, "application/json");
        assert!(!head.chunked && matches!(ROOT.reply, Reply::One));
    }
}
