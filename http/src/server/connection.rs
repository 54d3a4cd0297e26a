//! One connection: HTTP/1.1 or HTTP/2 over any stream, with deadlines that hold.
//!
//! Between requests it has [`Limits::idle`]; from the first byte of a head on, and before its first request,
//! [`Limits::header`]. What a client brings or takes within a request is looked after by
//! [`super::running`]. The repo's own socket has no deadlines but that for heads: its owner's pipes may
//! wait.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Version;
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, watch};

use super::guard::{Door, Place};
use super::limits::Limits;
use super::reply::ReplyBody;
use super::service::Service;

/// Bytes of a connection that are read ahead. Heads have to fit.
const READ_BUFFER: usize = 128 << 10;
/// Longest time between two looks at the deadlines.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a connection is doing.
#[derive(Debug)]
pub struct Pulse {
    state: Mutex<State>,
    evicted: Notify,
}

#[derive(Debug)]
struct State {
    /// Requests under way.
    running: usize,
    /// Whether there ever was one.
    asked: bool,
    http2: bool,
    /// Since when there is none.
    idle_since: Instant,
    /// When the first byte of the next head came.
    head_since: Option<Instant>,
    /// Since when the client takes nothing of what is there for it.
    blocked_since: Option<Instant>,
    /// The same for each stream of HTTP/2: since when it has a piece of its reply that nobody takes.
    handed: BTreeMap<u64, Instant>,
    /// Number of the next request.
    next: u64,
    /// The owner's own pipes may take their time.
    is_own: bool,
}

impl State {
    /// Since when nothing is taken, where that counts.
    fn blocked(&self) -> Option<Instant> {
        let waits = self.handed.values().chain(&self.blocked_since);
        waits.min().copied().filter(|_| !self.is_own)
    }
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse {
            state: Mutex::new(State {
                running: 0,
                asked: false,
                http2: false,
                idle_since: Instant::now(),
                head_since: None,
                blocked_since: None,
                handed: BTreeMap::new(),
                next: 0,
                is_own: false,
            }),
            evicted: Notify::new(),
        }
    }
}

impl Pulse {
    /// Whether something is asked that the client takes nothing of, and since when that or nothing is asked: the least is
    /// missed least. `None` while the client is served, or was within the time `pressed`.
    pub fn spare(&self, pressed: Duration) -> Option<(bool, Instant)> {
        let state = self.state.lock();
        match state.running {
            0 => Some((false, state.idle_since)),
            _ => state
                .blocked()
                .filter(|since| since.elapsed() >= pressed)
                .map(|since| (true, since)),
        }
    }

    fn at(&self, place: Place) {
        self.state.lock().is_own = place == Place::OwnSocket;
    }

    /// Ends the connection, for one that needs the room more.
    pub fn evict(&self) {
        self.evicted.notify_one();
    }

    fn has_asked(&self) -> bool {
        self.state.lock().asked
    }

    fn read(&self) {
        let mut state = self.state.lock();
        if state.running == 0 && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    fn wrote(&self, pending: bool) {
        let mut state = self.state.lock();
        match pending {
            true => drop(state.blocked_since.get_or_insert_with(Instant::now)),
            false => state.blocked_since = None,
        }
    }

    fn begin(self: &Arc<Pulse>, version: Version) -> InFlight {
        let mut state = self.state.lock();
        state.running += 1;
        state.asked = true;
        state.http2 = version == Version::HTTP_2;
        let number = state.next;
        state.next += 1;
        InFlight {
            pulse: Arc::clone(self),
            number,
            is_stream: version == Version::HTTP_2,
        }
    }

    /// When the connection has to end if nothing happens. A command has a look at its client itself; a reply that is all
    /// there has nobody else to do so.
    fn due(&self, limits: &Limits) -> Option<Instant> {
        let state = self.state.lock();
        if state.running > 0 {
            return state.blocked().map(|since| since + limits.reply);
        }
        let idle = state.idle_since + limits.idle;
        Some(match state.head_since {
            _ if !state.asked => state.idle_since + limits.header,
            // Frames are no heads: a client may ask whether we are still there.
            Some(_) if state.http2 => idle,
            Some(head) => head + limits.header,
            None => idle,
        })
    }
}

/// A request under way.
struct InFlight {
    pulse: Arc<Pulse>,
    number: u64,
    /// Of HTTP/2: the connection goes on while nobody takes this reply.
    is_stream: bool,
}

impl InFlight {
    /// A piece of the reply was handed out, or the next one is asked for.
    fn handed(&self, is_out: bool) {
        if !self.is_stream {
            return;
        }
        let handed = &mut self.pulse.state.lock().handed;
        match is_out {
            true => drop(handed.insert(self.number, Instant::now())),
            false => drop(handed.remove(&self.number)),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.handed(false);
        let mut state = self.pulse.state.lock();
        state.running -= 1;
        state.idle_since = Instant::now();
        state.head_since = None;
    }
}

/// Serves one connection to its end.
pub async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    service: Service,
    door: Door,
    pulse: Arc<Pulse>,
    mut stop: watch::Receiver<bool>,
) {
    let limits = service.limits();
    pulse.at(door.place);
    let stream = Watched {
        stream,
        pulse: Arc::clone(&pulse),
    };
    let asking = Arc::clone(&pulse);
    let answer = hyper::service::service_fn(move |request: hyper::Request<_>| {
        let service = service.clone();
        let in_flight = asking.begin(request.version());
        async move {
            let response = service.answer(request, door).await;
            Ok::<_, io::Error>(response.map(|body| Tracked { body, in_flight }))
        }
    });
    let builder = builder(&limits);
    let connection = builder.serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    let mut stopping = false;
    loop {
        let now = Instant::now();
        let due = pulse.due(&limits);
        if due.is_some_and(|due| due <= now) {
            return;
        }
        let look_every = LOOK_EVERY.min(limits.reply);
        let next = due.map_or(look_every, |due| look_every.min(due - now));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = tokio::time::sleep(next) => {}
            () = pulse.evicted.notified() => {
                if pulse.spare(limits.pressed()).is_some() {
                    return;
                }
            }
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
                if !pulse.has_asked() {
                    return;
                }
            }
        }
    }
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The deadlines are ours.
        .header_read_timeout(None)
        .title_case_headers(true)
        .max_buf_size(READ_BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.header)
        .keep_alive_timeout(limits.header)
        .max_concurrent_streams(128)
        .max_header_list_size(READ_BUFFER as u32)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    builder
}

/// A reply's body. While it lasts the request is under way.
struct Tracked {
    body: ReplyBody,
    in_flight: InFlight,
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.in_flight.handed(false);
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(Some(_))) {
            self.in_flight.handed(true);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that tells when something came.
struct Watched<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.pulse.read();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.pulse.wrote(polled.is_pending());
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.pulse.wrote(polled.is_pending());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_is_not_taken_has_a_deadline() {
        let (pulse, limits) = (Arc::new(Pulse::default()), Limits::default());
        let request = pulse.begin(Version::HTTP_11);
        assert_eq!(pulse.due(&limits), None);
        pulse.wrote(true);
        let due = pulse.due(&limits);
        assert!(due.is_some_and(|due| due <= Instant::now() + limits.reply));
        pulse.wrote(true);
        assert_eq!(pulse.due(&limits), due, "the first wait counts");
        assert!(
            pulse
                .spare(Duration::ZERO)
                .is_some_and(|(blocked, _)| blocked)
        );
        assert_eq!(pulse.spare(limits.reply), None);
        pulse.wrote(false);
        assert_eq!(pulse.due(&limits), None);
        assert_eq!(pulse.spare(Duration::ZERO), None);
        drop(request);
        assert!(
            pulse
                .spare(limits.reply)
                .is_some_and(|(blocked, _)| !blocked)
        );
    }
    #[test]
    fn a_stream_whose_piece_nobody_takes_blocks_and_the_owners_does_not() {
        let (pulse, limits) = (Arc::new(Pulse::default()), Limits::default());
        let first = pulse.begin(Version::HTTP_2);
        let second = pulse.begin(Version::HTTP_2);
        first.handed(true);
        let due = pulse.due(&limits);
        assert!(due.is_some_and(|due| due <= Instant::now() + limits.reply));
        second.handed(true);
        second.handed(false);
        assert_eq!(pulse.due(&limits), due, "the other one still waits");
        pulse.at(Place::OwnSocket);
        assert_eq!(pulse.due(&limits), None);
        assert_eq!(pulse.spare(Duration::ZERO), None);
        pulse.at(Place::Unix);
        drop(first);
        assert_eq!(pulse.due(&limits), None);
        drop(second);
        assert!(
            pulse
                .spare(Duration::ZERO)
                .is_some_and(|(blocked, _)| !blocked)
        );
    }
}
