//! Brief commands, answered where the request came in: without a thread, and in one write.
//!
//! Most calls of most clients ask for something that is in memory. A thread for each, with queues there and back, would
//! cost many times what the command does. So these are tried first with a node that does not wait; what is not at hand
//! is asked again in a thread. They take no place among the commands, so that they are answered also while slow clients
//! have all of them.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::body::Body as _;
use hyper::{Request, Response, Version};
use ipfs_kit_node::{AtOnce, CancelToken};

use super::answers::success;
use super::body::RequestBody;
use super::call::{TERMINAL, execute, nothing, takes_trailers};
use super::host::RpcHost;
use super::parse::Call;
use super::reply::{Head, Message, Notes, Outlet, ReplyBody, ReplySink};
use super::request_id::RequestId;
use super::service::Service;
use crate::traces;

/// The longest result that is kept whole, a block of the usual length; a longer one is streamed by a thread.
const MAX: usize = 320 << 10;

/// The response, if the command is a brief one and everything that it asks for is at hand.
pub fn answer(
    service: &Service,
    call: &Call,
    request: &Request<RequestBody>,
    both_names: bool,
) -> Option<Response<ReplyBody>> {
    let command = call.request.command();
    // A body has to be waited for; a span is made by a thread; a stream of HTTP/2 whose reply nobody takes leaves no trace
    // at its connection.
    if !command.brief
        || !request.body().is_end_stream()
        || traces::are_sent()
        || request.version() == Version::HTTP_2
    {
        return None;
    }
    let encoding = call.request.common.encoding;
    let head = Head::new(command, encoding, &call.request.options);
    let trailers = takes_trailers(request);
    let id = request.extensions().get::<RequestId>();
    let _span = id.map(|id| id.span(command.name).entered());
    let watched = service.observed().begin(&call.request);
    let (at_once, kept, notes) = (AtOnce::default(), Kept::new(), Notes::default());
    let terminal = request.headers().contains_key(TERMINAL);
    let sink = ReplySink::new(kept.clone(), head, command.reply, terminal);
    let host = host(service, call, &at_once, &notes);
    let request = call.request.clone();
    let ran = catch_unwind(AssertUnwindSafe(|| {
        execute(request, host, sink, both_names)
    }));
    let answered = match ran {
        Ok(end) if !at_once.missed() && !kept.overflows() => {
            let notes = notes.take();
            Some(match kept.take() {
                Some((head, data)) => {
                    let body = ReplyBody::ended(Some(data), end, notes, trailers);
                    success(head, body, trailers)
                }
                None => nothing(end, notes, head, encoding, trailers),
            })
        }
        // A thread finds out again.
        _ => None,
    };
    match answered {
        Some(_) => watched.end(),
        None => watched.forget(),
    }
    answered
}

fn host(service: &Service, call: &Call, at_once: &AtOnce, notes: &Notes) -> RpcHost {
    let deadline = call
        .timeout
        .and_then(|limit| Instant::now().checked_add(limit));
    let cancel = CancelToken::new();
    let cancel = deadline.map_or(cancel.clone(), |deadline| cancel.with_deadline(deadline));
    let mut node = service.node().with_cancel(cancel.clone()).at_once(at_once);
    if call.request.common.offline {
        node = node.offline();
    }
    RpcHost {
        node,
        cancel,
        upload: None,
        notes: notes.clone(),
        at_once: Some(at_once.clone()),
        observed: Arc::clone(service.observed()),
        stop: service.stopper(),
    }
}

/// Keeps what a command sends.
#[derive(Clone)]
struct Kept(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    head: Option<Head>,
    data: Vec<u8>,
    overflows: bool,
}

impl Kept {
    fn new() -> Kept {
        Kept(Rc::default())
    }

    fn overflows(&self) -> bool {
        self.0.borrow().overflows
    }

    /// What was sent, if anything was.
    fn take(&self) -> Option<(Head, Bytes)> {
        let mut state = self.0.borrow_mut();
        let head = state.head.take()?;
        Some((head, std::mem::take(&mut state.data).into()))
    }
}

impl Outlet for Kept {
    fn send(&self, message: Message) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        match message {
            Message::Head(head) => state.head = Some(head),
            Message::Data(data) if state.data.len() + data.len() > MAX => {
                state.overflows = true;
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Message::Data(data) => state.data.extend_from_slice(&data),
            Message::End(..) => {}
        }
        Ok(())
    }
}
