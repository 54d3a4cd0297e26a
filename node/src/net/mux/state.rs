//! What the streams of a connection and whoever moves its bytes share. No IO.

use std::collections::VecDeque;
use std::io;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::MuxError;
use super::entry::{Entry, TOGETHER};
use super::frame::{ACK, FIN, HEADER, Header, Kind, RST, SYN};
use super::window::{Budget, FIRST};

/// Frames wait to be written up to this length; then streams wait.
pub const OUT_MAX: usize = 128 << 10;

/// Longest body that is sent: with its header, four records of TLS.
const BODY_MAX: usize = (64 << 10) - HEADER;

/// Answers to pings and the like that may wait. With more of them nothing is read: the peer has to take some first.
const CONTROL_MAX: usize = 16 << 10;

/// How often the round trip is measured while the connection is used.
const PING_EVERY: Duration = Duration::from_secs(10);

/// After this an answer is taken for lost: go-yamux throws some away when it has many to give.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// The number of no stream.
const NOBODY: u32 = 0;

#[derive(Debug, Clone, Copy)]
enum Ping {
    Due(Instant),
    Sent(Instant),
}

/// The body that comes behind a header.
#[derive(Debug, Clone, Copy)]
pub struct Body {
    /// Of this stream, which may be gone; 0 when it never was here.
    pub stream: u32,
    /// Bytes that are still to come.
    pub left: u32,
    /// The stream ends behind it.
    pub last: bool,
}

/// A connection.
#[derive(Debug)]
pub struct State {
    streams: FxHashMap<u32, Entry>,
    streams_max: usize,
    /// The number of the next stream that is opened here.
    next: u32,
    /// Opened by the peer and not yet taken.
    accepted: VecDeque<u32>,
    /// Waits for such a one.
    acceptor: Option<Waker>,
    /// Waits for room for one stream more.
    opener: Option<Waker>,
    /// Frames to be written.
    out: VecDeque<Vec<u8>>,
    /// Their length, with frames that are being made.
    out_len: usize,
    /// How much of them are answers.
    control: usize,
    /// Streams that wait for room in `out`.
    crowded: Vec<u32>,
    /// Whoever moves the bytes.
    driver: Option<Waker>,
    over: bool,
    ping: Ping,
    pings: u32,
    round_trip: Option<Duration>,
    budget: Budget,
}

impl State {
    pub fn new(dialer: bool, streams_max: usize, budget: Budget, now: Instant) -> Self {
        Self {
            streams: FxHashMap::default(),
            streams_max,
            next: if dialer { 1 } else { 2 },
            accepted: VecDeque::new(),
            acceptor: None,
            opener: None,
            out: VecDeque::new(),
            out_len: 0,
            control: 0,
            crowded: Vec::new(),
            driver: None,
            over: false,
            ping: Ping::Due(now),
            pings: 0,
            round_trip: None,
            budget,
        }
    }

    /// A whole frame that [`State::reserve`] gave the header of.
    pub fn push(&mut self, frame: Vec<u8>) {
        self.out.push_back(frame);
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    /// A small frame: it lies behind others.
    pub fn put(&mut self, header: Header, body: &[u8]) {
        let length = HEADER + body.len();
        match self.out.back_mut() {
            Some(last) if last.len() + length <= TOGETHER => {
                last.extend_from_slice(&header.encode());
                last.extend_from_slice(body);
                if let Some(driver) = self.driver.take() {
                    driver.wake();
                }
            }
            _ => self.push([&header.encode(), body].concat()),
        }
    }

    /// An answer to what the peer may send as often as it likes.
    fn put_answer(&mut self, kind: Kind, flags: u16, stream: u32, length: u32) {
        self.control += HEADER;
        self.put_control(kind, flags, stream, length);
    }

    fn put_control(&mut self, kind: Kind, flags: u16, stream: u32, length: u32) {
        self.out_len += HEADER;
        let header = Header {
            kind,
            flags,
            stream,
            length,
        };
        self.put(header, &[]);
    }
}

/// For streams.
impl State {
    /// The header of the next frame with up to `bytes` bytes, which must be put or pushed.
    pub fn reserve(&mut self, id: u32, bytes: usize, waker: &Waker) -> Poll<io::Result<Header>> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if stream.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if self.over || stream.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let is_crowded = self.out_len >= OUT_MAX;
        if stream.credit == 0 || is_crowded {
            stream.writer = Some(waker.clone());
            if is_crowded && !self.crowded.contains(&id) {
                self.crowded.push(id);
            }
            return Poll::Pending;
        }
        let count = bytes.min(BODY_MAX).min(stream.credit as usize);
        // At most the credit.
        stream.credit -= count as u32;
        self.out_len += HEADER + count;
        Poll::Ready(Ok(Header {
            kind: Kind::Data,
            flags: std::mem::take(&mut stream.flags),
            stream: id,
            length: count as u32,
        }))
    }

    /// Moves what came to `chunks`, about as much as `wanted`; nothing at the end of the stream.
    pub fn read(
        &mut self,
        id: u32,
        wanted: usize,
        chunks: &mut VecDeque<Vec<u8>>,
        waker: &Waker,
    ) -> Poll<io::Result<()>> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let taken = stream.take(wanted, chunks);
        if taken > 0 {
            if !stream.ended && !stream.reset && !self.over {
                let (now, trip) = (Instant::now(), self.round_trip);
                // No more than the window.
                let read = taken as u32;
                let grant = stream.window.handle_read(read, now, trip, &mut self.budget);
                if let Some(grant) = grant {
                    let flags = std::mem::take(&mut stream.flags);
                    self.put_control(Kind::Window, flags, id, grant);
                }
            }
            return Poll::Ready(Ok(()));
        }
        if stream.ended {
            return Poll::Ready(Ok(()));
        }
        if stream.reset || self.over {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        stream.reader = Some(waker.clone());
        Poll::Pending
    }

    /// Nothing more is sent.
    pub fn close(&mut self, id: u32) -> io::Result<()> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        if std::mem::replace(&mut stream.closed, true) || stream.reset {
            return Ok(());
        }
        if self.over {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let flags = std::mem::take(&mut stream.flags) | FIN;
        self.put_control(Kind::Data, flags, id, 0);
        Ok(())
    }

    /// Nobody reads or writes it any more.
    pub fn forget(&mut self, id: u32) {
        let Some(mut stream) = self.streams.remove(&id) else {
            return;
        };
        stream.window.end(&mut self.budget);
        self.crowded.retain(|crowded| *crowded != id);
        if let Some(opener) = self.opener.take() {
            opener.wake();
        }
        // What the peer has never heard of needs no end, and one that was closed has it: what still comes is passed over.
        if self.over || stream.reset || stream.closed || stream.flags & SYN != 0 {
            return;
        }
        let end = if stream.ended { FIN } else { RST };
        let flags = stream.flags | end;
        match id % 2 == self.next % 2 {
            true => self.put_control(Kind::Data, flags, id, 0),
            // The peer opens and ends as many as it likes.
            false => self.put_answer(Kind::Data, flags, id, 0),
        }
    }
}

/// For the connection.
impl State {
    /// Opens a stream, once there is room for one more.
    pub fn open(&mut self, now: Instant, waker: &Waker) -> Poll<Result<u32, MuxError>> {
        if self.streams.len() >= self.streams_max {
            self.opener = Some(waker.clone());
            return Poll::Pending;
        }
        let id = self.next;
        let Some(next) = id.checked_add(2) else {
            return Poll::Ready(Err(MuxError::NoNumbers));
        };
        self.next = next;
        self.streams.insert(id, Entry::new(SYN, FIRST, now));
        Poll::Ready(Ok(id))
    }

    /// The next stream that the peer opened.
    pub fn take_accepted(&mut self, waker: &Waker) -> Option<u32> {
        let taken = self.accepted.pop_front();
        if taken.is_none() {
            self.acceptor = Some(waker.clone());
        }
        taken
    }

    /// Whether the peer has to take something before more of it is read.
    pub fn is_flooded(&self) -> bool {
        self.control > CONTROL_MAX
    }

    /// The next frames to be written. If there are none, `waker` is woken for the next one.
    pub fn take_out(&mut self, now: Instant, waker: &Waker) -> Option<Vec<u8>> {
        let due = match self.ping {
            Ping::Due(at) => at,
            Ping::Sent(at) => at + ANSWER_MAX,
        };
        if due <= now && !self.over {
            self.ping = Ping::Sent(now);
            self.pings = self.pings.wrapping_add(1);
            self.put_control(Kind::Ping, SYN, 0, self.pings);
        }
        let Some(frames) = self.out.pop_front() else {
            match &mut self.driver {
                Some(driver) => driver.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
            return None;
        };
        self.out_len -= frames.len();
        self.control = self.control.saturating_sub(frames.len());
        if self.out_len < OUT_MAX / 2 {
            for id in self.crowded.drain(..) {
                let stream = self.streams.get_mut(&id);
                if let Some(writer) = stream.and_then(|stream| stream.writer.take()) {
                    writer.wake();
                }
            }
        }
        Some(frames)
    }

    /// A header came. Returns the body that comes behind it.
    ///
    /// # Errors
    /// What ends the connection.
    pub fn handle_header(
        &mut self,
        header: Header,
        now: Instant,
    ) -> Result<Option<Body>, MuxError> {
        match header.kind {
            Kind::Data | Kind::Window => self.handle_stream(header, now),
            Kind::Ping if header.flags & SYN != 0 => {
                self.put_answer(Kind::Ping, ACK, 0, header.length);
                Ok(None)
            }
            Kind::Ping => {
                if let Ping::Sent(at) = self.ping
                    && header.length == self.pings
                {
                    self.round_trip = Some(now.saturating_duration_since(at));
                    self.ping = Ping::Due(now + PING_EVERY);
                }
                Ok(None)
            }
            Kind::GoAway => Err(MuxError::Closed),
        }
    }

    fn handle_stream(&mut self, header: Header, now: Instant) -> Result<Option<Body>, MuxError> {
        let (id, has_body) = (header.stream, header.kind == Kind::Data);
        if header.flags & SYN != 0 {
            self.accept(id, now)?;
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            if has_body && !stream.window.handle_received(header.length) {
                return Err(MuxError::Protocol("more than a window allows"));
            }
            // What a reset says besides is its reason.
            if !has_body && header.flags & RST == 0 {
                let credit = stream.credit.checked_add(header.length);
                stream.credit = credit.ok_or(MuxError::Protocol("too wide a window"))?;
                if let Some(writer) = stream.writer.take() {
                    writer.wake();
                }
            }
            if header.flags & RST != 0 {
                stream.reset = true;
                stream.wake();
            }
        }
        // One that is not here now could be opened while the body comes, and its window knows nothing of that.
        let is_here = self.streams.contains_key(&id);
        let body = Body {
            stream: if is_here { id } else { NOBODY },
            left: if has_body { header.length } else { 0 },
            last: header.flags & FIN != 0,
        };
        if body.left == 0 {
            self.handle_end(body);
            return Ok(None);
        }
        Ok(Some(body))
    }

    fn accept(&mut self, id: u32, now: Instant) -> Result<(), MuxError> {
        if id == 0 || id % 2 == self.next % 2 {
            return Err(MuxError::Protocol(
                "a number that is not the peer's to give",
            ));
        }
        if self.streams.contains_key(&id) {
            return Err(MuxError::Protocol("a stream that is there"));
        }
        if self.over || self.streams.len() >= self.streams_max {
            self.put_answer(Kind::Data, RST, id, 0);
            return Ok(());
        }
        self.streams.insert(id, Entry::new(ACK, FIRST, now));
        self.accepted.push_back(id);
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.wake();
        }
        Ok(())
    }

    /// A piece of a body came; those of streams that are gone are passed over.
    pub fn handle_piece(&mut self, id: u32, piece: Vec<u8>) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.push(piece);
        }
    }

    /// A body came to its end.
    pub fn handle_end(&mut self, body: Body) {
        if body.last
            && let Some(stream) = self.streams.get_mut(&body.stream)
        {
            stream.ended = true;
            if let Some(reader) = stream.reader.take() {
                reader.wake();
            }
        }
    }

    /// Tells the peer that the connection ends, in good order or not.
    pub fn go_away(&mut self, why: u32) {
        if !self.over {
            self.put_control(Kind::GoAway, 0, 0, why);
            self.end();
        }
    }

    /// The connection is over: nothing comes or goes any more.
    pub fn end(&mut self) {
        self.over = true;
        self.streams.values_mut().for_each(Entry::wake);
        if let Some(opener) = self.opener.take() {
            opener.wake();
        }
    }

    /// [`State::end`], and what was not written will not be.
    pub fn abandon(&mut self) {
        self.end();
        self.out = VecDeque::new();
    }

    #[cfg(test)]
    pub fn held(&self) -> usize {
        let chunks = |stream: &Entry| {
            let data = stream.chunks.iter().map(Vec::capacity).sum::<usize>();
            data + stream.chunks.capacity() * size_of::<Vec<u8>>()
        };
        self.out.iter().map(Vec::capacity).sum::<usize>()
            + self.streams.values().map(chunks).sum::<usize>()
    }
}
