//! The body of a request: counted, and with an eye on how fast it comes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::waiting::{For, Waiting};

/// A client that brings less than this has brought nothing.
const STEP: u64 = 1 << 10;

/// What has to have come of a body before a command begins with it.
const START: usize = 8 << 10;

/// A body that is no longer than it may be. How long the client takes for the next [`STEP`] bytes is in its
/// [`Waiting`]; time that we take ourselves does not count.
pub struct RequestBody<B = Incoming> {
    inner: B,
    left: u64,
    waiting: Arc<Waiting>,
    /// Bytes of the current step, and how long it has taken so far.
    step: (u64, Duration),
    /// What has come and was not taken yet.
    ahead: VecDeque<Result<Frame<Bytes>, io::Error>>,
    ended: bool,
}

impl<B: Body> RequestBody<B> {
    /// The body, of which no more than `max` bytes are taken.
    pub fn new(inner: B, max: u64) -> RequestBody<B> {
        RequestBody {
            inner,
            left: max,
            waiting: Arc::default(),
            step: (0, Duration::ZERO),
            ahead: VecDeque::new(),
            ended: false,
        }
    }

    /// Who waits for it.
    pub fn waiting(&self) -> &Arc<Waiting> {
        &self.waiting
    }

    /// Whether it is known to be longer than it may be.
    pub fn is_too_long(&self) -> bool {
        self.inner.size_hint().lower() > self.left
    }
}

impl<B> Drop for RequestBody<B> {
    fn drop(&mut self) {
        self.waiting.end(For::Body);
    }
}

impl<B> RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    /// Waits for the first [`START`] bytes, or for all if there are less, but no longer than `patience`. Whether they came.
    pub async fn begin(&mut self, patience: Duration) -> bool {
        let came = async {
            let mut bytes = 0;
            while bytes < START {
                let next = poll_fn(|context| Pin::new(&mut *self).poll_next(context));
                let Some(frame) = next.await else {
                    self.ended = true;
                    return;
                };
                let length = frame.as_ref().ok().and_then(Frame::data_ref);
                bytes += length.map_or(START, Bytes::len);
                self.ahead.push_back(frame);
            }
        };
        tokio::time::timeout(patience, came).await.is_ok()
    }

    /// The next frame of what has not come yet.
    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if polled.is_pending() {
            self.waiting.begin(For::Body, self.step.1);
            return Poll::Pending;
        }
        let took = self.waiting.end(For::Body);
        let frame = match ready!(polled) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error.to_string())))),
            Some(Ok(frame)) => frame,
        };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        let bytes = self.step.0 + length;
        self.step = if bytes >= STEP {
            (0, Duration::ZERO)
        } else {
            (bytes, took.max(self.step.1))
        };
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                self.left = 0;
                let reason = "the body is longer than this token allows";
                Poll::Ready(Some(Err(io::Error::other(reason))))
            }
        }
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.ahead.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None if self.ended => Poll::Ready(None),
            None => self.poll_next(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && (self.ended || self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match self.ahead.is_empty() {
            true => self.inner.size_hint(),
            false => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use http_body_util::{BodyExt, Full, StreamBody};

    #[test]
    fn no_more_than_the_limit_passes() {
        let body = |max| RequestBody::new(Full::new(Bytes::from(vec![7; 100])), max);
        assert!(body(99).is_too_long() && !body(100).is_too_long());
        let whole = body(100).collect().now_or_never().unwrap().unwrap();
        assert_eq!(whole.to_bytes().len(), 100);
        let error = body(99).collect().now_or_never().unwrap().unwrap_err();
        assert!(error.to_string().contains("longer"), "{error}");
    }

    #[tokio::test]
    async fn a_body_begins_with_a_good_piece_or_all_of_it() {
        let (patience, short_patience) = (Duration::from_secs(60), Duration::from_millis(20));
        let (send, pieces) = futures::channel::mpsc::unbounded::<Result<_, io::Error>>();
        let mut body = RequestBody::new(StreamBody::new(pieces), u64::MAX);
        let piece = |length| Ok(Frame::data(Bytes::from(vec![0; length])));
        assert!(!body.begin(short_patience).await);
        send.unbounded_send(piece(1)).unwrap();
        assert!(!body.begin(short_patience).await);
        send.unbounded_send(piece(START)).unwrap();
        assert!(body.begin(patience).await && !body.is_end_stream());
        send.unbounded_send(piece(2)).unwrap();
        drop(send);
        let whole = body.collect().await.unwrap().to_bytes();
        assert_eq!(whole.len(), START + 3);
        let mut short = RequestBody::new(Full::new(Bytes::from_static(b"short")), 5);
        assert!(short.begin(patience).await);
        assert_eq!(short.collect().await.unwrap().to_bytes(), "short");
        let mut long = RequestBody::new(Full::new(Bytes::from_static(b"longer")), 5);
        assert!(long.begin(patience).await);
        assert!(long.collect().await.is_err());
    }

    #[test]
    fn small_pieces_do_not_end_a_wait_and_a_step_does() {
        let (send, pieces) = futures::channel::mpsc::unbounded::<Result<_, io::Error>>();
        let mut body = RequestBody::new(StreamBody::new(pieces), u64::MAX);
        let waiting = Arc::clone(body.waiting());
        assert!(body.frame().now_or_never().is_none());
        let long_ago = Duration::from_secs(100);
        waiting.end(For::Body);
        waiting.begin(For::Body, Duration::ZERO);
        body.step.1 = long_ago;
        let piece = |length| Ok(Frame::data(Bytes::from(vec![0; length])));
        send.unbounded_send(piece(1)).unwrap();
        assert!(body.frame().now_or_never().is_some());
        assert_eq!(body.step, (1, long_ago));
        send.unbounded_send(piece(STEP as usize)).unwrap();
        assert!(body.frame().now_or_never().is_some());
        assert_eq!(body.step, (0, Duration::ZERO));
        assert!(body.frame().now_or_never().is_none());
        drop(body);
        assert_eq!(waiting.waits(For::Body), Duration::ZERO);
    }
}
