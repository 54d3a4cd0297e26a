//! Dials, and who waits for them. Everybody who wants a peer that is being dialled waits for that dial: peers take few
//! connections from one another, and close those that are too many with everything on them.

use std::error::Error;
use std::io::{self, ErrorKind};

use libp2p::core::transport::TransportError;
use libp2p::core::upgrade::ProtocolError;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId};
use rustc_hash::FxHashMap;

use super::NetError;
use super::book::{Entry, without_peer};
use super::command::Reply;
use super::task::SwarmTask;

/// Callers that wait for a dial at most.
const WAITING_MAX: usize = 1024;

/// Somebody who wants to hear how a dial ends.
struct Waiter {
    /// What was asked for, for messages.
    target: String,
    /// Whether it said where to try.
    told: bool,
    reply: Reply<Result<PeerId, NetError>>,
}

/// A dial that is under way.
struct Dial {
    peer: Option<PeerId>,
    /// Where the peer is tried. The swarm may know of more.
    addresses: Vec<Multiaddr>,
    /// Whether a caller said so, or this node remembered.
    told: bool,
    waiting: Vec<Waiter>,
}

/// Every dial that somebody waited for, until the swarm tells how it ended.
#[derive(Default)]
pub struct Dials(FxHashMap<ConnectionId, Dial>);

impl Dials {
    /// Callers that still wait.
    fn waiting(&mut self) -> usize {
        let dials = self.0.values_mut();
        dials
            .map(|dial| {
                dial.waiting.retain(|waiter| !waiter.reply.is_closed());
                dial.waiting.len()
            })
            .sum()
    }

    /// A dial to the peer, or to whoever is there, that tries all of these addresses.
    fn under_way(&mut self, peer: Option<PeerId>, addresses: &[Multiaddr]) -> Option<&mut Dial> {
        self.0.values_mut().find(|dial| {
            dial.peer == peer && addresses.iter().all(|one| dial.addresses.contains(one))
        })
    }

    /// Everyone who waits for this connection or peer. Other dials to the peer go on without them.
    fn connected(&mut self, connection: ConnectionId, peer: PeerId) -> Vec<Waiter> {
        let this = self.0.remove(&connection);
        let mut waiting = this.map(|dial| dial.waiting).unwrap_or_default();
        for dial in self.0.values_mut().filter(|dial| dial.peer == Some(peer)) {
            waiting.append(&mut dial.waiting);
        }
        waiting
    }
}

impl SwarmTask {
    pub(super) fn connect(
        &mut self,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        reply: Reply<Result<PeerId, NetError>>,
    ) {
        let reached = match (peer, addresses.first()) {
            (Some(peer), _) => Some(peer).filter(|peer| self.is_reached(peer, &addresses)),
            (None, address) => address.and_then(|address| self.book.dialled_at(address)),
        };
        if let Some(peer) = reached {
            let _ = reply.send(Ok(peer));
            return;
        }
        if peer.as_ref() == Some(self.swarm.local_peer_id()) {
            let _ = reply.send(Err(NetError::DialSelf));
            return;
        }
        let target = match (&peer, addresses.first()) {
            (Some(peer), _) => peer.to_string(),
            (None, Some(address)) => address.to_string(),
            (None, None) => {
                let _ = reply.send(Err(NetError::BadAddress {
                    text: String::new(),
                    reason: "it is empty".to_owned(),
                }));
                return;
            }
        };
        if self.dials.waiting() >= WAITING_MAX {
            let reason = "too many dials are under way: try again later".to_owned();
            let _ = reply.send(Err(NetError::Dial {
                peer: target,
                reason,
            }));
            return;
        }
        let told = !addresses.is_empty();
        let waiter = Waiter {
            target,
            told,
            reply,
        };
        self.wait(peer, addresses, vec![waiter]);
    }

    /// Whether there is nothing to dial for: the peer is connected, and not only through a relay where the caller knows
    /// another way.
    fn is_reached(&self, peer: &PeerId, told: &[Multiaddr]) -> bool {
        let is_direct = |entry: &Entry| {
            let mut all = entry.connections.iter();
            all.any(|connection| !is_relayed(&connection.address))
        };
        self.swarm.is_connected(peer)
            && (told.iter().all(is_relayed) || self.book.get(peer).is_none_or(is_direct))
    }

    /// Waits for a dial that is under way, or for a new one.
    fn wait(&mut self, peer: Option<PeerId>, addresses: Vec<Multiaddr>, mut waiting: Vec<Waiter>) {
        let told = !addresses.is_empty();
        let addresses = match peer {
            Some(peer) => self.places(peer, addresses),
            None => addresses,
        };
        if let Some(dial) = self.dials.under_way(peer, &addresses) {
            dial.waiting.append(&mut waiting);
        } else {
            self.dial(Dial {
                peer,
                addresses,
                told,
                waiting,
            });
        }
    }

    /// Where to try. Where somebody says where the peer is, stale addresses from before would only cost time.
    fn places(&self, peer: PeerId, told: Vec<Multiaddr>) -> Vec<Multiaddr> {
        if told.is_empty() {
            self.book.addresses(&peer)
        } else {
            told.iter().map(without_peer).collect()
        }
    }

    fn dial(&mut self, dial: Dial) {
        let options = match (dial.peer, dial.addresses.first()) {
            (Some(peer), _) => options(peer, dial.addresses.clone(), PeerCondition::Always),
            (None, Some(address)) => DialOpts::unknown_peer_id().address(address.clone()).build(),
            (None, None) => return,
        };
        let id = options.connection_id();
        self.dials.0.insert(id, dial);
        if let Err(error) = self.swarm.dial(options) {
            self.dial_failed(id, &error);
        }
    }

    /// Dials where nobody waits for the outcome.
    pub(super) fn dial_quietly(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let addresses = self.places(peer, addresses);
        let options = options(peer, addresses, PeerCondition::DisconnectedAndNotDialing);
        // It is tried again when it is due; what is wrong shows in the peer's absence.
        let _ = self.swarm.dial(options);
    }

    /// Answers everyone who waits for this connection or peer.
    pub(super) fn dial_succeeded(&mut self, connection: ConnectionId, peer: PeerId) {
        for waiter in self.dials.connected(connection, peer) {
            let _ = waiter.reply.send(Ok(peer));
        }
    }

    /// Answers everyone who waited for this dial. Those who left it to this node where to try wait on when it was tried
    /// where another caller said.
    pub(super) fn dial_failed(&mut self, connection: ConnectionId, error: &DialError) {
        let Some(dial) = self.dials.0.remove(&connection) else {
            return;
        };
        if let Some(peer) = dial.peer.filter(|peer| self.swarm.is_connected(peer)) {
            // Another way was found, or there was one before.
            for waiter in dial.waiting {
                let _ = waiter.reply.send(Ok(peer));
            }
            return;
        }
        let private = self.settings.private_network.is_some();
        let (mut again, ended): (Vec<Waiter>, Vec<Waiter>) = dial
            .waiting
            .into_iter()
            .partition(|waiter| dial.told && !waiter.told);
        for waiter in ended {
            let error = net_error(error, dial.peer, waiter.target, private);
            let _ = waiter.reply.send(Err(error));
        }
        again.retain(|waiter| !waiter.reply.is_closed());
        if !again.is_empty() {
            self.wait(dial.peer, Vec::new(), again);
        }
    }
}

fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

fn options(peer: PeerId, addresses: Vec<Multiaddr>, condition: PeerCondition) -> DialOpts {
    DialOpts::peer_id(peer)
        .condition(condition)
        .addresses(addresses)
        .extend_addresses_through_behaviour()
        .build()
}

fn net_error(error: &DialError, peer: Option<PeerId>, target: String, private: bool) -> NetError {
    match (error, peer) {
        (DialError::NoAddresses, Some(peer)) => NetError::NoAddresses(peer),
        (DialError::LocalPeerId { .. }, _) => NetError::DialSelf,
        (DialError::WrongPeerId { obtained, address }, Some(expected)) => NetError::WrongPeer {
            expected: expected.to_string(),
            obtained: obtained.to_string(),
            address: address.to_string(),
        },
        (error, _) => NetError::Dial {
            peer: target,
            reason: dial_text(error, private),
        },
    }
}

/// Every address that was tried, with what happened. `private`: this node is in a private network.
fn dial_text(error: &DialError, private: bool) -> String {
    match error {
        DialError::Transport(tried) if !tried.is_empty() => {
            let each = tried.iter().map(|(address, error)| {
                let reason = match error {
                    TransportError::MultiaddrNotSupported(_) => {
                        "no transport for this kind of address".to_owned()
                    }
                    TransportError::Other(error) => {
                        causes(error) + private_network_hint(innermost(error), private)
                    }
                };
                format!("[{address}] {reason}")
            });
            format!("all dials failed: {}", each.collect::<Vec<_>>().join("; "))
        }
        DialError::Denied { cause } => causes(cause),
        error => causes(error),
    }
}

/// What libp2p says when a dial or its handshake took too long. The type of that error is generic over the whole transport.
const TIMEOUT: &str = "Timeout has been reached";

/// A private network's key garbles every byte for whoever has another one or none, and the handshake then fails with
/// errors that do not say so.
fn private_network_hint(cause: &(dyn Error + 'static), private: bool) -> &'static str {
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    let not_there = matches!(
        kind,
        Some(
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
        )
    );
    let cut_off = matches!(
        kind,
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
    );
    // What the system did not say, the handshake says of bytes that it cannot read.
    let unreadable = cause
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.raw_os_error().is_none())
        || cause.is::<ProtocolError>();
    if private && !not_there {
        " (this node is in a private network: the peer must have the same swarm.key)"
    } else if !private && (cut_off || unreadable) {
        " (the handshake failed: if the peer is in a private network, its swarm.key is needed)"
    } else if !private && cause.to_string() == TIMEOUT {
        " (nothing answered, or nothing that could be read: if the peer is in a private network, its swarm.key is needed)"
    } else {
        ""
    }
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost
}

/// The innermost cause says most: the outer ones name library layers.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = innermost(error).to_string();
    text.truncate(text.floor_char_boundary(300));
    text
}
