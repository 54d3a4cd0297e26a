//! What gossipsub is given of what a peer sends it. The library reads topics as text and ends the stream at one that is
//! none, though to Kubo a topic is any bytes; and it keeps what IDONTWANT names whatever its length and for seconds. So
//! such fields get a number that no message has, and are skipped by whoever reads on. No byte is added or taken away.

use std::ops::Range;
use std::time::{Duration, Instant};

/// Bytes of a topic's name that are looked at; longer ones are nobody's (they are not noted either).
pub const TOPIC_LEN_MAX: usize = 512;

/// Bytes of a message's id: a peer id and a number are 46, a hash is less.
const ID_LEN_MAX: u64 = 128;

/// Ids that IDONTWANT may name in a span; the library keeps each for three of them.
const IDS_MAX: u32 = 1_000;
const IDS_SPAN: Duration = Duration::from_secs(1);

/// A field that no message has, as bytes with a length.
const NO_FIELD: u8 = 15 << 3 | 2;

/// Messages within messages: the exchange, its control part, one kind of control.
const DEPTH_MAX: usize = 3;

/// What a stretch of bytes is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rpc,
    Subscription,
    Publish,
    Control,
    Have,
    Graft,
    Prune,
    DontWant,
    Topic,
    Unwanted,
    Other,
}

impl Kind {
    /// What a field with a length is, by its number.
    fn of(self, field: u64) -> Self {
        match (self, field) {
            (Self::Rpc, 1) => Self::Subscription,
            (Self::Rpc, 2) => Self::Publish,
            (Self::Rpc, 3) => Self::Control,
            (Self::Control, 1) => Self::Have,
            (Self::Control, 3) => Self::Graft,
            (Self::Control, 4) => Self::Prune,
            (Self::Control, 5) => Self::DontWant,
            (Self::Subscription, 2)
            | (Self::Publish, 4)
            | (Self::Have | Self::Graft | Self::Prune, 1) => Self::Topic,
            (Self::DontWant, 1) => Self::Unwanted,
            _ => Self::Other,
        }
    }

    fn is_message(self) -> bool {
        !matches!(self, Self::Topic | Self::Unwanted | Self::Other)
    }
}

/// What comes next.
#[derive(Clone, Copy)]
enum Place {
    /// The length of an exchange.
    Start,
    /// A field's number and type.
    Tag,
    /// A number.
    Number,
    /// The length of a field.
    Length(Kind),
    /// So many bytes that are handed on as they are.
    Pass(u64),
    /// A topic of so many bytes.
    Topic(u64),
    /// These are no exchanges, or the stream has ended: nothing is looked at any more.
    Lost,
}

/// Reads along one stream.
pub struct Sieve {
    place: Place,
    /// The messages that the next byte is in, and how many bytes are left of each.
    within: Vec<(Kind, u64)>,
    /// A field from its number on, until it is known whether it may stay.
    held: Vec<u8>,
    /// Where in `held` the number begins that is being read.
    number: usize,
    /// What may be handed on, and how much of that has been.
    ready: Vec<u8>,
    handed: usize,
    ids: u32,
    since: Instant,
    lost: bool,
}

impl Sieve {
    /// At the start of a stream, behind the negotiation.
    pub fn new(now: Instant) -> Self {
        Self {
            place: Place::Start,
            within: Vec::new(),
            held: Vec::new(),
            number: 0,
            ready: Vec::new(),
            handed: 0,
            ids: 0,
            since: now,
            lost: false,
        }
    }

    /// Whether what came are no exchanges. The stream has to end: behind what this cannot read, the library might read on.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether the protocol is gossipsub's.
    pub fn is_for(protocol: &str) -> bool {
        protocol.starts_with("/meshsub/") || protocol.starts_with("/floodsub/")
    }

    /// Hands on into `buffer`; 0 when there is nothing.
    pub fn take(&mut self, buffer: &mut [u8]) -> usize {
        let rest = self.ready.get(self.handed..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.handed += count;
        if self.handed == self.ready.len() {
            self.ready.clear();
            self.handed = 0;
        }
        count
    }

    /// The stream has ended: what is held back goes on as it is.
    pub fn handle_end(&mut self) {
        self.place = Place::Lost;
        self.ready.append(&mut self.held);
    }

    /// Takes what the peer sent.
    pub fn feed(&mut self, mut bytes: &[u8], now: Instant) {
        while !bytes.is_empty() {
            let used = match self.place {
                Place::Lost => self.pass(bytes, u64::MAX),
                Place::Pass(left) => {
                    let used = self.pass(bytes, left);
                    self.place = Place::Pass(left - used as u64);
                    used
                }
                Place::Topic(left) => {
                    let used = self.hold(bytes, left);
                    self.place = Place::Topic(left - used as u64);
                    used
                }
                Place::Start | Place::Tag | Place::Number | Place::Length(_) => {
                    let used = self.hold(bytes, 1);
                    self.handle_digit(now);
                    used
                }
            };
            bytes = &bytes[used..];
            self.settle();
        }
    }

    fn pass(&mut self, bytes: &[u8], most: u64) -> usize {
        let count = within(bytes.len(), most);
        self.ready.extend_from_slice(&bytes[..count]);
        self.consume(count);
        count
    }

    fn hold(&mut self, bytes: &[u8], most: u64) -> usize {
        let count = within(bytes.len(), most);
        self.held.extend_from_slice(&bytes[..count]);
        // The length of an exchange is in front of it.
        self.consume(count);
        count
    }

    fn consume(&mut self, count: usize) {
        for (_, left) in &mut self.within {
            *left = left.saturating_sub(count as u64);
        }
    }

    /// One byte of a number was read.
    fn handle_digit(&mut self, now: Instant) {
        let digits = self.held.get(self.number..).unwrap_or_default();
        if digits.last().is_some_and(|digit| digit & 0x80 != 0) {
            if digits.len() >= 10 || self.is_over() {
                self.lose();
            }
            return;
        }
        let value = digits
            .iter()
            .rev()
            .fold(0_u64, |value, digit| value << 7 | u64::from(digit & 0x7f));
        match self.place {
            Place::Start => self.enter(Kind::Rpc, value),
            Place::Tag => self.handle_tag(value),
            Place::Number => self.release(),
            Place::Length(kind) => self.handle_length(kind, value, now),
            Place::Pass(_) | Place::Topic(_) | Place::Lost => {}
        }
    }

    fn handle_tag(&mut self, tag: u64) {
        let kind = self.within.last().map_or(Kind::Other, |(kind, _)| *kind);
        self.number = self.held.len();
        self.place = match tag & 7 {
            0 => Place::Number,
            1 => return self.release_with(8),
            2 => Place::Length(kind.of(tag >> 3)),
            5 => return self.release_with(4),
            _ => return self.lose(),
        };
        if self.is_over() {
            self.lose();
        }
    }

    fn handle_length(&mut self, kind: Kind, length: u64, now: Instant) {
        let room = self.within.last().map_or(0, |(_, left)| *left);
        if length > room {
            return self.lose();
        }
        match kind {
            Kind::Topic if length <= TOPIC_LEN_MAX as u64 => {
                self.number = self.held.len();
                self.place = Place::Topic(length);
            }
            Kind::Topic => self.drop_field(length),
            Kind::Unwanted if length > ID_LEN_MAX || !self.has_room(now) => self.drop_field(length),
            kind if kind.is_message() && self.within.len() < DEPTH_MAX => self.enter(kind, length),
            _ => self.release_with(length),
        }
    }

    /// Whether one more id may be named.
    fn has_room(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= IDS_SPAN {
            (self.ids, self.since) = (0, now);
        }
        self.ids = self.ids.saturating_add(1);
        self.ids <= IDS_MAX
    }

    /// A message begins.
    fn enter(&mut self, kind: Kind, length: u64) {
        self.within.push((kind, length));
        self.release();
    }

    /// What is held stays, and so many bytes behind it.
    fn release_with(&mut self, length: u64) {
        self.release();
        let room = self.within.last().map_or(0, |(_, left)| *left);
        if length > room {
            self.lose();
        } else {
            self.place = Place::Pass(length);
        }
    }

    fn release(&mut self) {
        self.ready.append(&mut self.held);
        self.number = 0;
        self.place = Place::Tag;
    }

    /// The field that is held gets a number that means nothing, and so do many bytes behind it.
    fn drop_field(&mut self, length: u64) {
        // A number may have more digits than it needs.
        if let Some(first) = self.held.first_mut() {
            *first = *first & 0x80 | NO_FIELD;
        }
        self.release_with(length);
    }

    fn lose(&mut self) {
        self.ready.append(&mut self.held);
        self.place = Place::Lost;
        self.lost = true;
    }

    /// The message is at its end, in the middle of something.
    fn is_over(&self) -> bool {
        self.within.last().is_some_and(|(_, left)| *left == 0)
    }

    /// Ends what has no bytes left.
    fn settle(&mut self) {
        if let Place::Topic(0) = self.place {
            let name: Range<usize> = self.number..self.held.len();
            let name = self.held.get(name).unwrap_or_default();
            if std::str::from_utf8(name).is_ok() {
                self.release();
            } else {
                self.drop_field(0);
            }
        }
        if let Place::Pass(0) = self.place {
            self.release();
        }
        if let Place::Tag = self.place
            && self.held.is_empty()
        {
            while self.is_over() {
                self.within.pop();
            }
            if self.within.is_empty() {
                self.place = Place::Start;
            }
        }
    }
}

/// As many of so many bytes as there may be.
fn within(have: usize, most: u64) -> usize {
    usize::try_from(most).map_or(have, |most| have.min(most))
}

#[cfg(test)]
mod tests;
