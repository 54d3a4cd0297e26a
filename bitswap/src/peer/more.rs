//! More streams to a peer that is far away.
//!
//! A stream of Yamux begins with a window of 256 KiB, which the reader doubles once a round trip. So one stream needs
//! seven round trips until it carries what a fast and long path holds. When a reply had to wait for the window and
//! others wait behind it, more streams are opened, each with a window of its own, and carry replies beside the first one.
//! Want lists stay on the first: their order matters.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Streams to one peer besides the first.
pub(crate) const MORE_MAX: usize = 7;

/// A piece that could not be written for so long waits for the peer's window.
pub(crate) const STALL: Duration = Duration::from_millis(10);

/// A stream on which nothing was sent for so long ends.
pub(crate) const IDLE: Duration = Duration::from_secs(10);

/// The additional streams of one peer.
#[derive(Debug, Default)]
pub(crate) struct More {
    /// Open or being opened.
    count: AtomicUsize,
    /// The streams that there are do not suffice.
    wanted: AtomicBool,
    /// The peer would not have another one.
    refused: AtomicBool,
    pub(crate) notify: Notify,
}

impl More {
    /// The streams that there are do not suffice; true when that is news.
    pub(crate) fn want(&self) -> bool {
        !self.refused.load(Ordering::Relaxed) && !self.wanted.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    pub(crate) fn is_any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// Whether the caller must open one.
    pub(crate) fn claim(&self) -> bool {
        self.is_wanted()
            && self
                .count
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                    (count < MORE_MAX).then_some(count + 1)
                })
                .is_ok()
    }

    /// One has ended; when it was the last, more are opened when they are wanted again.
    pub(crate) fn end(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.wanted.store(false, Ordering::Release);
        }
    }

    /// One could not be opened: no others are tried.
    pub(crate) fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
        self.wanted.store(false, Ordering::Release);
        self.end();
    }
}
