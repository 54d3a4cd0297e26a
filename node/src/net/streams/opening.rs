//! Opens streams to connected peers.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::iter;
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::core::upgrade::{OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::{ConnectionId, StreamUpgradeError};
use libp2p::{PeerId, Stream, StreamProtocol};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot};

/// Requests for streams that wait for one connection; who asks for more waits for its turn.
const WAITING_MAX: usize = 16;

/// How a negotiation ended.
type Outcome = Result<Stream, StreamUpgradeError<Infallible>>;

/// Who asked for a stream.
pub type Answer = oneshot::Sender<Outcome>;

type Request = (One, Answer);

/// Why a stream could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// There is no connection to the peer.
    NotConnected,
    /// The peer does not speak the protocol.
    NoProtocol,
    /// What happened on the last connection that was tried.
    Failed(String),
}

/// A connection that streams can be opened on.
struct Route {
    connection: ConnectionId,
    relayed: bool,
    requests: mpsc::Sender<Request>,
}

/// The open connections of every peer. Clones are the same.
#[derive(Clone, Default)]
pub struct Opener(Arc<Mutex<FxHashMap<PeerId, Vec<Route>>>>);

impl Opener {
    /// Opens a stream on a direct connection if there is one, else on a relayed one, and of equals on the oldest: when there
    /// are too many, the newest is the one that is closed. One that ends meanwhile is no failure while there is another.
    pub async fn open(&self, peer: PeerId, protocol: StreamProtocol) -> Result<Stream, OpenError> {
        let mut tried = Vec::new();
        let mut failure = OpenError::NotConnected;
        while let Some((connection, requests)) = self.route(&peer, &tried) {
            tried.push(connection);
            let (answer, outcome) = oneshot::channel();
            if requests
                .send((One(protocol.clone()), answer))
                .await
                .is_err()
            {
                continue;
            }
            match outcome.await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(StreamUpgradeError::NegotiationFailed)) => {
                    return Err(OpenError::NoProtocol);
                }
                Ok(Err(error)) => failure = OpenError::Failed(error.to_string()),
                Err(_) => failure = OpenError::Failed("the connection was closed".to_owned()),
            }
        }
        Err(failure)
    }

    /// A new connection.
    pub(super) fn enter(&self, peer: PeerId, connection: ConnectionId, relayed: bool) -> Lane {
        let (requests, waiting) = mpsc::channel(WAITING_MAX);
        self.0.lock().entry(peer).or_default().push(Route {
            connection,
            relayed,
            requests,
        });
        Lane {
            opener: self.clone(),
            peer,
            connection,
            waiting,
        }
    }

    fn leave(&self, peer: &PeerId, connection: ConnectionId) {
        let mut peers = self.0.lock();
        if let Some(routes) = peers.get_mut(peer) {
            routes.retain(|route| route.connection != connection);
            if routes.is_empty() {
                peers.remove(peer);
            }
        }
    }

    fn route(
        &self,
        peer: &PeerId,
        tried: &[ConnectionId],
    ) -> Option<(ConnectionId, mpsc::Sender<Request>)> {
        let peers = self.0.lock();
        let routes = peers.get(peer)?.iter();
        let best = routes
            .filter(|route| !tried.contains(&route.connection))
            .min_by_key(|route| route.relayed)?;
        Some((best.connection, best.requests.clone()))
    }

    #[cfg(test)]
    pub(super) fn best(
        &self,
        peer: &PeerId,
        tried: &[ConnectionId],
    ) -> Option<(ConnectionId, bool)> {
        let (connection, _) = self.route(peer, tried)?;
        let peers = self.0.lock();
        let mut routes = peers.get(peer)?.iter();
        let route = routes.find(|route| route.connection == connection)?;
        Some((connection, route.relayed))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

/// What a connection's handler has: it leaves with it, however that ends.
pub struct Lane {
    opener: Opener,
    peer: PeerId,
    connection: ConnectionId,
    waiting: mpsc::Receiver<Request>,
}

impl Lane {
    /// The next stream that somebody still wants.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Request> {
        loop {
            match self.waiting.poll_recv(cx) {
                Poll::Ready(Some((_, answer))) if answer.is_closed() => {}
                Poll::Ready(Some(request)) => return Poll::Ready(request),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.opener.leave(&self.peer, self.connection);
    }
}

/// One protocol.
pub struct One(StreamProtocol);

impl UpgradeInfo for One {
    type Info = StreamProtocol;
    type InfoIter = iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once(self.0.clone())
    }
}

impl OutboundUpgrade<Stream> for One {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[tokio::test]
    async fn a_connection_that_ends_is_followed_by_the_next() {
        let (opener, peer) = (Opener::default(), PeerId::random());
        let first = opener.enter(peer, id(1), false);
        let mut second = opener.enter(peer, id(2), false);
        let name = StreamProtocol::new("/x/a");
        let asked = tokio::spawn({
            let (opener, name) = (opener.clone(), name.clone());
            async move { opener.open(peer, name).await.map(|_| ()) }
        });
        tokio::task::yield_now().await;
        // It holds the request, and ends.
        drop(first);
        let (protocol, answer) = std::future::poll_fn(|cx| second.poll(cx)).await;
        assert_eq!(protocol.0, name);
        assert!(answer.send(Err(StreamUpgradeError::Timeout)).is_ok());
        let outcome = asked.await.unwrap();
        assert!(matches!(&outcome, Err(OpenError::Failed(_))), "{outcome:?}");
        drop(second);
        let outcome = opener.open(peer, name).await.map(|_| ());
        assert!(
            matches!(&outcome, Err(OpenError::NotConnected)),
            "{outcome:?}"
        );
        assert!(opener.is_empty());
    }

    #[tokio::test]
    async fn a_stream_that_nobody_waits_for_is_not_opened() {
        let (opener, peer) = (Opener::default(), PeerId::random());
        let mut lane = opener.enter(peer, id(1), true);
        let name = StreamProtocol::new("/x/a");
        let route = opener.route(&peer, &[]).unwrap().1;
        let (gone, _) = oneshot::channel();
        assert!(route.send((One(name.clone()), gone)).await.is_ok());
        let (kept, _outcome) = oneshot::channel();
        let last = StreamProtocol::new("/x/b");
        assert!(route.send((One(last.clone()), kept)).await.is_ok());
        let (next, _) = std::future::poll_fn(|cx| lane.poll(cx)).await;
        assert_eq!(next.0, last);
    }
}
