//! One connection: HTTP/1.1 or HTTP/2 over any stream, with deadlines that hold.
//!
//! Between requests it has [`Limits::idle`]; from the first byte of a head on, and before its first request,
//! [`Limits::header`]. What a client brings or takes within a request is looked after by
//! [`super::running`]. The repo's own socket has no deadlines but that for heads: its owner's pipes may
//! wait.

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
            }),
            evicted: Notify::new(),
        }
    }
}

impl Pulse {
    /// Since when nothing is asked, or nothing taken for `pressed` and longer; `None` while the client is served.
    pub fn idle_since(&self, pressed: Duration) -> Option<Instant> {
        let state = self.state.lock();
        match state.running {
            0 => Some(state.idle_since),
            _ => state
                .blocked_since
                .filter(|since| since.elapsed() >= pressed),
        }
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
        InFlight(Arc::clone(self))
    }

    /// When the connection has to end if nothing happens. A command has a look at its client itself; a reply that is all
    /// there has nobody else to do so. The owner's own pipes may take their time.
    fn due(&self, limits: &Limits, place: Place) -> Option<Instant> {
        let state = self.state.lock();
        if state.running > 0 {
            let blocked = state.blocked_since.filter(|_| place != Place::OwnSocket);
            return blocked.map(|since| since + limits.reply);
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
struct InFlight(Arc<Pulse>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
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
            Ok::<_, io::Error>(response.map(|body| Tracked {
                body,
                _in_flight: in_flight,
            }))
        }
    });
    let builder = builder(&limits);
    let connection = builder.serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    let mut stopping = false;
    loop {
        let now = Instant::now();
        let due = pulse.due(&limits, door.place);
        if due.is_some_and(|due| due <= now) {
            return;
        }
        let look_every = LOOK_EVERY.min(limits.reply);
        let next = due.map_or(look_every, |due| look_every.min(due - now));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = tokio::time::sleep(next) => {}
            () = pulse.evicted.notified() => {
                if pulse.idle_since(limits.pressed()).is_some() {
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
    _in_flight: InFlight,
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
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
        let at = Place::Tcp(([127, 0, 0, 1], 5001).into());
        let request = pulse.begin(Version::HTTP_11);
        assert_eq!(pulse.due(&limits, at), None);
        pulse.wrote(true);
        let due = pulse.due(&limits, at);
        assert!(due.is_some_and(|due| due <= Instant::now() + limits.reply));
        pulse.wrote(true);
        assert_eq!(pulse.due(&limits, at), due, "the first wait counts");
        assert_eq!(pulse.due(&limits, Place::OwnSocket), None);
        assert!(pulse.idle_since(Duration::ZERO).is_some());
        assert_eq!(pulse.idle_since(limits.reply), None);
        pulse.wrote(false);
        assert_eq!(pulse.due(&limits, at), None);
        assert_eq!(pulse.idle_since(Duration::ZERO), None);
        drop(request);
        assert!(pulse.idle_since(limits.reply).is_some());
    }
}
