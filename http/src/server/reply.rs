//! From the output of a command, which blocks, to a response.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{HeaderName, HeaderValue};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::waiting::{For, Waiting};
use crate::command::{Command, Reply};
use crate::failure::Failure;
use crate::output::{Content, Encoding, Sink};
use crate::value::{Value, Values};

/// Pieces of output that wait for the client.
pub const QUEUE: usize = 8;
/// Most bytes in one piece.
const PIECE: usize = 1 << 20;

/// Trailer with the error that came after the first byte; Kubo's name.
pub const STREAM_ERROR: HeaderName = HeaderName::from_static("x-stream-error");
/// Trailer for our own command line: the command answered, and the answer is no.
pub const NEGATIVE: HeaderName = HeaderName::from_static("x-negative");
/// Trailer for our own command line: lines for standard error, escaped.
pub const NOTES: HeaderName = HeaderName::from_static("x-notes");

/// What a command sends.
#[derive(Debug)]
pub enum Message {
    /// Once, before the first data.
    Head(Head),
    /// Some of the result.
    Data(Bytes),
    /// Once, at the end.
    End(Result<(), Failure>, String),
}

/// What is known about a result before its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// `Content-Type`.
    pub media_type: &'static str,
    /// `Content-Type`, as the command itself says it, where Kubo says something else.
    pub told: Option<&'static str>,
    /// Records that come one after the other.
    pub chunked: bool,
    /// Bytes as they are.
    pub raw: bool,
    /// How many of them, and of how many they are a part.
    pub length: Option<(u64, u64)>,
}

impl Head {
    /// The head of a result that is empty.
    pub fn new(command: &Command, encoding: Encoding, options: &Values) -> Head {
        Head {
            media_type: media_type(encoding),
            told: None,
            chunked: match command.reply {
                Reply::One | Reply::Bytes(_) => false,
                Reply::Many => true,
                Reply::ManyIf(flag) => options.get(flag) == Some(&Value::Bool(true)),
            },
            raw: false,
            length: None,
        }
    }
}

fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Text | Encoding::Table => "text/plain",
        Encoding::Json => "application/json",
        Encoding::Xml => "application/xml",
        Encoding::Yaml => "application/yaml",
    }
}

/// The way of a command's messages to the response.
pub trait Outlet {
    /// Sends a message.
    ///
    /// # Errors
    /// When nobody takes it any more.
    fn send(&self, message: Message) -> io::Result<()>;
}

/// To a response that is on its way. It blocks while the client takes nothing, until that is stopped.
#[derive(Clone)]
pub struct Pipe {
    send: mpsc::Sender<Message>,
    stop: CancellationToken,
    runtime: Handle,
}

impl Pipe {
    /// Made within the runtime, used by a thread that may block.
    pub fn new(send: mpsc::Sender<Message>, stop: CancellationToken) -> Pipe {
        let runtime = Handle::current();
        Pipe {
            send,
            stop,
            runtime,
        }
    }
}

impl Outlet for Pipe {
    fn send(&self, message: Message) -> io::Result<()> {
        let message = match self.send.try_send(message) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Full(message)) => message,
            Err(mpsc::error::TrySendError::Closed(_)) => {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        };
        let sent = self.runtime.block_on(async {
            tokio::select! {
                sent = self.send.send(message) => sent.is_ok(),
                () = self.stop.cancelled() => false,
            }
        });
        if sent {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
}

/// The sending end, in the thread of the command.
pub struct ReplySink<O> {
    outlet: O,
    head: Head,
    reply: Reply,
    begun: bool,
    sent: bool,
    terminal: bool,
}

impl<O: Outlet> ReplySink<O> {
    /// Nothing is sent yet.
    pub fn new(outlet: O, head: Head, reply: Reply, terminal: bool) -> ReplySink<O> {
        ReplySink {
            outlet,
            head,
            reply,
            begun: false,
            sent: false,
            terminal,
        }
    }
}

impl<O: Outlet> Sink for ReplySink<O> {
    fn begin(&mut self, content: Content) {
        self.begun = true;
        match (content, self.reply) {
            (Content::Raw, reply) => {
                self.head.raw = true;
                if let Reply::Bytes(media_type) = reply {
                    if self.head.media_type != "application/gzip" {
                        self.head.media_type = media_type;
                    }
                } else {
                    self.head.media_type = "text/plain";
                }
            }
            (Content::Records(encoding), _) => self.head.media_type = media_type(encoding),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.sent {
            self.sent = true;
            self.outlet.send(Message::Head(self.head))?;
        }
        bytes.chunks(PIECE).try_for_each(|piece| {
            self.outlet
                .send(Message::Data(Bytes::copy_from_slice(piece)))
        })
    }

    fn end(&mut self) -> io::Result<()> {
        // A result that began and has no bytes is one still.
        if self.begun && !self.sent {
            return self.write(&[]);
        }
        Ok(())
    }

    fn set_media_type(&mut self, media_type: &'static str) {
        self.head.media_type = media_type;
        self.head.told = Some(media_type);
    }

    fn set_length(&mut self, bytes: u64, whole: u64) {
        self.head.length = Some((bytes, whole));
    }

    fn is_terminal(&self) -> bool {
        self.terminal
    }
}

/// Lines beside the result, kept for the end. Bounded: who does not ask for them loses nothing.
#[derive(Debug, Clone, Default)]
pub struct Notes(Rc<RefCell<String>>);

impl Notes {
    /// Most bytes that are kept, escaped they have to fit into a trailer.
    const MAX: usize = 8 << 10;

    /// Keeps a line.
    pub fn push(&self, line: &str) {
        let mut notes = self.0.borrow_mut();
        if notes.len() + line.len() < Self::MAX {
            notes.push_str(line);
            notes.push('\n');
        }
    }

    /// All lines.
    pub fn take(&self) -> String {
        self.0.take()
    }
}

/// The body of a response. Dropped, it drops what it guards, which cancels the command.
pub struct ReplyBody {
    first: Option<Bytes>,
    pieces: Option<mpsc::Receiver<Message>>,
    end: Option<(Result<(), Failure>, String)>,
    /// What breaks the connection, once what came before it has left.
    breaking: Option<io::Error>,
    trailers: bool,
    waiting: Option<Arc<Waiting>>,
    _guard: Option<Box<dyn Send + Sync>>,
}

impl ReplyBody {
    /// A body that is all there.
    pub fn whole(text: impl Into<Bytes>) -> ReplyBody {
        ReplyBody {
            first: Some(text.into()).filter(|text| !text.is_empty()),
            pieces: None,
            end: None,
            breaking: None,
            trailers: false,
            waiting: None,
            _guard: None,
        }
    }

    /// What there is of a body that is all there.
    pub fn text(&self) -> Option<&[u8]> {
        let whole = self.pieces.is_none() && self.end.is_none();
        self.first.as_deref().filter(|_| whole)
    }

    /// A body whose command has ended: what there is of it, and its end.
    pub fn ended(
        data: Option<Bytes>,
        end: Result<(), Failure>,
        notes: String,
        trailers: bool,
    ) -> ReplyBody {
        ReplyBody {
            first: data.filter(|data| !data.is_empty()),
            pieces: None,
            end: Some((end, notes)),
            breaking: None,
            trailers,
            waiting: None,
            _guard: None,
        }
    }

    /// A body that comes. `trailers` says whether the client takes them: without, an error in the
    /// middle breaks the connection, so that nobody takes half a result for a whole one.
    pub fn stream(
        pieces: mpsc::Receiver<Message>,
        trailers: bool,
        waiting: Option<Arc<Waiting>>,
        guard: Box<dyn Send + Sync>,
    ) -> ReplyBody {
        if let Some(waiting) = &waiting {
            waiting.begin(For::Reply, Duration::ZERO);
        }
        ReplyBody {
            first: None,
            pieces: Some(pieces),
            end: None,
            breaking: None,
            trailers,
            waiting,
            _guard: Some(guard),
        }
    }
}

impl ReplyBody {
    fn poll_last(
        &mut self,
        context: &mut Context<'_>,
        end: Result<(), Failure>,
        notes: &str,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let failed = !end.as_ref().map_or_else(Failure::is_in_result, |()| true);
        if failed && !self.trailers {
            let reason = end.err().map(|failure| failure.to_string());
            return self.break_off(context, io::Error::other(reason.unwrap_or_default()));
        }
        let trailers = trailers(&end, notes);
        if trailers.is_empty() || !self.trailers {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    /// Breaks the connection the next time: an error makes hyper drop it at once, with the head and the
    /// lines that it has in its buffer. While the body has nothing, hyper writes that buffer out.
    fn break_off(
        &mut self,
        context: &mut Context<'_>,
        error: io::Error,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.breaking = Some(error);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The trailers that say how a command ended; none when it just ended.
pub fn trailers(end: &Result<(), Failure>, notes: &str) -> HeaderMap {
    let mut map = HeaderMap::new();
    match end {
        Ok(()) => {}
        Err(Failure::Reported) => {
            map.insert(NEGATIVE, HeaderValue::from_static("1"));
        }
        Err(failure) => {
            // As Go's server: a header is one line.
            let line: String = failure
                .to_string()
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            if let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) {
                map.insert(STREAM_ERROR, value);
            }
        }
    }
    if !notes.is_empty()
        && let Ok(value) = HeaderValue::from_str(&crate::client::escape(notes))
    {
        map.insert(NOTES, value);
    }
    map
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(error) = self.breaking.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if let Some((end, notes)) = self.end.take() {
            return self.poll_last(context, end, &notes);
        }
        // It is asked for more: the client has taken what there was.
        if let Some(waiting) = &self.waiting {
            waiting.end(For::Reply);
        }
        let Some(pieces) = &mut self.pieces else {
            return Poll::Ready(None);
        };
        match std::task::ready!(pieces.poll_recv(context)) {
            Some(Message::Data(data)) => {
                if let Some(waiting) = &self.waiting {
                    waiting.begin(For::Reply, Duration::ZERO);
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Message::Head(_)) => Poll::Ready(Some(Ok(Frame::data(Bytes::new())))),
            Some(Message::End(end, notes)) => {
                self.pieces = None;
                self.poll_last(context, end, &notes)
            }
            // The thread of the command is gone without a word: it has panicked.
            None => {
                self.pieces = None;
                self.break_off(context, io::Error::other("the command broke off"))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let known = self.pieces.is_none() && self.end.is_none() && self.breaking.is_none();
        match (&self.first, known) {
            (Some(first), true) => SizeHint::with_exact(first.len() as u64),
            (None, true) => SizeHint::with_exact(0),
            (_, false) => SizeHint::default(),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none()
            && self.pieces.is_none()
            && self.end.is_none()
            && self.breaking.is_none()
    }
}
