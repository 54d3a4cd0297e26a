//! Events wait here until the blocks they speak of are durable.

use std::time::{Duration, Instant};

use super::AddEvent;
use super::sink::Sink;
use crate::error::{Emit, Error, Result};

/// Waiting events are told at latest when they take this much memory...
const MAX_WAITING_BYTES: usize = 4 << 20;

/// ...or when the first of them has waited this long.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// Events in order, those of finished files held back until the next sync.
pub struct Events<'a> {
    emit: Emit<'a, AddEvent>,
    waiting: Vec<AddEvent>,
    bytes: usize,
    since: Option<Instant>,
}

impl<'a> Events<'a> {
    /// No event yet.
    pub fn new(emit: Emit<'a, AddEvent>) -> Self {
        Self {
            emit,
            waiting: Vec::new(),
            bytes: 0,
            since: None,
        }
    }

    /// Tells of progress at once: it promises nothing.
    pub fn progress(&mut self, name: &str, bytes: u64) -> Result<()> {
        (self.emit)(AddEvent::Progress {
            name: name.to_owned(),
            bytes,
        })
        .map_err(Error::Output)
    }

    /// Takes an event that may only be told when all blocks put before are durable.
    pub fn finished(&mut self, event: AddEvent) {
        if let AddEvent::Added { name, .. } = &event {
            self.bytes += name.len() + size_of::<AddEvent>();
        }
        self.since.get_or_insert_with(Instant::now);
        self.waiting.push(event);
    }

    /// Whether it is time for a sync.
    pub fn due(&self) -> bool {
        self.bytes >= MAX_WAITING_BYTES
            || self.since.is_some_and(|since| since.elapsed() >= MAX_WAIT)
    }

    /// Syncs, then tells what waited.
    pub fn flush(&mut self, sink: &Sink<'_>) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        sink.sync()?;
        self.tell()
    }

    /// Tells what waited; everything is durable already.
    pub fn tell(&mut self) -> Result<()> {
        self.bytes = 0;
        self.since = None;
        self.waiting
            .drain(..)
            .try_for_each(|event| (self.emit)(event))
            .map_err(Error::Output)
    }
}
