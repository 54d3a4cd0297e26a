//! The handle on peers: who is connected, connecting and disconnecting, pings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::AsyncWriteExt;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use super::command::{Command, FilterChange, PeeringChange};
use super::filter::IpRange;
use super::routing::PeerAddresses;
use super::traffic::{Bandwidth, Traffic};
use super::{Net, NetError, ping};

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The peer did.
    Inbound,
    /// This node did.
    Outbound,
}

/// One open connection.
#[derive(Clone, Debug)]
pub struct PeerConnection {
    /// The peer.
    pub peer: PeerId,
    /// Its end of the connection, without the peer id.
    pub address: Multiaddr,
    /// Who opened it.
    pub direction: Direction,
    /// Round trip time of the last ping.
    pub latency: Option<Duration>,
    /// Since when it is open.
    pub opened: Instant,
    /// What the peer calls its program, once it has told.
    pub agent_version: Option<String>,
    /// Protocols of the peer, once it has told.
    pub protocols: Vec<String>,
}

impl PeerConnection {
    /// What carries the streams: QUIC's own or yamux.
    pub fn muxer(&self) -> &'static str {
        let quic = self.address.iter().any(|part| part == Protocol::QuicV1);
        if quic { "quic" } else { "/yamux/1.0.0" }
    }
}

/// Who a peer is, as `ipfs id` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The peer's id.
    pub id: PeerId,
    /// Its public key in libp2p's protobuf form.
    pub public_key: Vec<u8>,
    /// Where it can be reached, each address with `/p2p/ID`.
    pub addresses: Vec<Multiaddr>,
    /// The program, as `kubo/0.43.0`.
    pub agent_version: String,
    /// The family of protocols, as `ipfs/0.1.0`.
    pub protocol_version: String,
    /// Protocols it takes streams for.
    pub protocols: Vec<String>,
}

/// Verbs on peers, from [`crate::Node::peers`]. Clones are cheap.
#[derive(Clone)]
pub struct Peers {
    pub(crate) net: Arc<Net>,
}

/// Longest search for a peer's addresses.
const LOOKUP_MAX: Duration = Duration::from_secs(20);

impl Peers {
    /// Who this node is.
    ///
    /// # Errors
    /// [`NetError::Stopped`].
    pub async fn id(&self) -> Result<PeerIdentity, NetError> {
        self.net
            .ask(|reply| Command::Identity { peer: None, reply })
            .await?
    }

    /// Who this node is, if that was asked within the last second and nothing is known to have changed since.
    #[must_use]
    pub fn id_at_hand(&self) -> Option<PeerIdentity> {
        self.net.told.get()
    }

    /// What a peer tells about itself; connects to it when it is not connected.
    ///
    /// # Errors
    /// As [`Peers::connect`]; [`NetError::TimedOut`] when it does not tell.
    pub async fn identity_of(&self, peer: PeerId) -> Result<PeerIdentity, NetError> {
        const PATIENCE: Duration = Duration::from_secs(10);
        self.connect_to(peer, Vec::new()).await?;
        let started = Instant::now();
        loop {
            let asked = self.net.ask(|reply| Command::Identity {
                peer: Some(peer),
                reply,
            });
            match asked.await? {
                Err(NetError::TimedOut(_)) if started.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                answer => return answer,
            }
        }
    }

    /// Connects to the peer at a multiaddress, as `/ip4/1.2.3.4/tcp/4001/p2p/ID`, or to a peer id alone, whose addresses
    /// are looked up. Without `/p2p/ID` whoever answers is taken. Returns the peer; being connected already is success.
    ///
    /// # Errors
    /// [`NetError::BadAddress`], [`NetError::NoAddresses`], [`NetError::Dial`], [`NetError::WrongPeer`].
    pub async fn connect(&self, address: &str) -> Result<PeerId, NetError> {
        let (addresses, peer) = parse_target(address)?;
        match peer {
            Some(peer) => {
                self.connect_to(peer, addresses).await?;
                Ok(peer)
            }
            None => {
                self.net
                    .ask(|reply| Command::Connect {
                        peer: None,
                        addresses,
                        reply,
                    })
                    .await?
            }
        }
    }

    /// Connects to a peer at any of these addresses and those known otherwise.
    ///
    /// # Errors
    /// As [`Peers::connect`].
    pub async fn connect_to(
        &self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) -> Result<(), NetError> {
        let dial = |addresses| {
            self.net.ask(|reply| Command::Connect {
                peer: Some(peer),
                addresses,
                reply,
            })
        };
        match dial(addresses).await? {
            Err(NetError::NoAddresses(_)) => {
                let routing = super::Routing {
                    net: Arc::clone(&self.net),
                };
                // Without routing, or when it knows nothing either, the first error says what to do.
                let found = tokio::time::timeout(LOOKUP_MAX, routing.find_peer(peer)).await;
                match found {
                    Ok(Ok(found)) => dial(found).await?.map(|_| ()),
                    _ => Err(NetError::NoAddresses(peer)),
                }
            }
            outcome => outcome.map(|_| ()),
        }
    }

    /// Closes every connection to the peer, or with a full address the one there.
    ///
    /// # Errors
    /// [`NetError::BadAddress`], [`NetError::NotConnected`].
    pub async fn disconnect(&self, address: &str) -> Result<PeerId, NetError> {
        let (peer, addresses) = parse_peer_address(address)?;
        self.net
            .ask(|reply| Command::Disconnect {
                peer,
                address: addresses.into_iter().next(),
                reply,
            })
            .await??;
        Ok(peer)
    }

    /// Every open connection.
    ///
    /// # Errors
    /// [`NetError::Stopped`].
    pub async fn list(&self) -> Result<Vec<PeerConnection>, NetError> {
        self.net.ask(|reply| Command::Peers { reply }).await
    }

    /// Every known peer with its addresses.
    ///
    /// # Errors
    /// [`NetError::Stopped`].
    pub async fn addrs(&self) -> Result<PeerAddresses, NetError> {
        self.net.ask(|reply| Command::Known { reply }).await
    }

    /// The protocol of each stream that is open over a connection; empty for one that has not agreed on a protocol yet.
    pub fn streams(&self, connection: &PeerConnection) -> Vec<String> {
        let open = &self.net.traffic.open;
        open.of(connection.peer, &connection.address)
    }

    /// The addresses this node listens on.
    ///
    /// # Errors
    /// [`NetError::Stopped`].
    pub async fn listen_addrs(&self) -> Result<Vec<Multiaddr>, NetError> {
        self.net.ask(|reply| Command::Listening { reply }).await
    }

    /// Sends `count` pings one after the other, connecting first when needed; each comes back as its round trip time.
    ///
    /// # Errors
    /// As [`Peers::connect`]; [`NetError::NoProtocol`], [`NetError::Stream`], [`NetError::TimedOut`].
    pub async fn ping(&self, peer: PeerId, count: usize) -> Result<Vec<Duration>, NetError> {
        self.connect_to(peer, Vec::new()).await?;
        let mut stream = self.net.open_stream(peer, ping::PROTOCOL).await?;
        let mut times = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            let latency = ping::round_trip(&mut stream, peer).await?;
            self.net.tell(Command::Latency { peer, latency }).await;
            times.push(latency);
        }
        // A failed close harms nobody: every ping was answered.
        let _ = stream.close().await;
        Ok(times)
    }

    /// Address ranges that are refused.
    ///
    /// # Errors
    /// [`NetError::Stopped`].
    pub async fn filters(&self) -> Result<Vec<String>, NetError> {
        self.change_filters(FilterChange::None).await
    }

    /// Refuses an address range, as `/ip4/10.0.0.0/ipcidr/8`, until the node stops.
    ///
    /// # Errors
    /// [`NetError::BadAddress`].
    pub async fn add_filter(&self, range: &str) -> Result<Vec<String>, NetError> {
        self.change_filters(FilterChange::Add(parse_range(range)?))
            .await
    }

    /// No longer refuses an address range.
    ///
    /// # Errors
    /// [`NetError::BadAddress`].
    pub async fn remove_filter(&self, range: &str) -> Result<Vec<String>, NetError> {
        self.change_filters(FilterChange::Remove(parse_range(range)?))
            .await
    }

    async fn change_filters(&self, change: FilterChange) -> Result<Vec<String>, NetError> {
        let asked = self.net.ask(|reply| Command::Filters { change, reply });
        Ok(asked.await??.iter().map(ToString::to_string).collect())
    }

    /// Peers that are kept connected, with the addresses given for them.
    ///
    /// # Errors
    /// [`NetError::Stopped`].
    pub async fn peering(&self) -> Result<PeerAddresses, NetError> {
        self.net
            .ask(|reply| Command::Peering {
                change: PeeringChange::None,
                reply,
            })
            .await?
    }

    /// Keeps a peer connected, until the node stops.
    ///
    /// # Errors
    /// [`NetError::BadAddress`].
    pub async fn add_peering(&self, address: &str) -> Result<PeerId, NetError> {
        let (peer, addresses) = parse_peer_address(address)?;
        let change = PeeringChange::Add(peer, addresses);
        self.net
            .ask(|reply| Command::Peering { change, reply })
            .await??;
        Ok(peer)
    }

    /// No longer keeps a peer connected.
    ///
    /// # Errors
    /// [`NetError::Stopped`].
    pub async fn remove_peering(&self, peer: PeerId) -> Result<(), NetError> {
        let change = PeeringChange::Remove(peer);
        self.net
            .ask(|reply| Command::Peering { change, reply })
            .await??;
        Ok(())
    }

    /// What went over all connections.
    ///
    /// # Errors
    /// [`NetError::NoBandwidth`].
    pub fn bandwidth(&self) -> Result<Bandwidth, NetError> {
        Ok(self.traffic()?.total())
    }

    /// What went to and came from a peer in the last hour or longer; nothing when it was not connected.
    ///
    /// # Errors
    /// [`NetError::NoBandwidth`].
    pub fn bandwidth_of_peer(&self, peer: &PeerId) -> Result<Bandwidth, NetError> {
        Ok(self.traffic()?.of_peer(peer))
    }

    /// What streams of a protocol carried, by its full name; nothing when there was none.
    ///
    /// # Errors
    /// [`NetError::NoBandwidth`].
    pub fn bandwidth_of_protocol(&self, name: &str) -> Result<Bandwidth, NetError> {
        Ok(self.traffic()?.of_protocol(name))
    }

    fn traffic(&self) -> Result<&Traffic, NetError> {
        let traffic = &self.net.traffic;
        if traffic.is_told() {
            Ok(traffic)
        } else {
            Err(NetError::NoBandwidth)
        }
    }

    /// Which of this node's addresses others could dial.
    ///
    /// # Errors
    /// [`NetError::Stopped`].
    pub async fn reachability(&self) -> Result<super::Reachability, NetError> {
        self.net.ask(|reply| Command::Reachability { reply }).await
    }

    /// What is used of connections, streams, memory and file descriptors, with the limits.
    ///
    /// # Errors
    /// [`NetError::Stopped`].
    pub async fn resources(&self) -> Result<super::Resources, NetError> {
        self.net.ask(|reply| Command::Resources { reply }).await
    }
}

/// Reads an address range; the text that comes back is the one form of it, as `/ip4/10.0.0.0/ipcidr/8`.
///
/// # Errors
/// [`NetError::BadAddress`].
pub fn address_range(text: &str) -> Result<String, NetError> {
    parse_range(text).map(|range| range.to_string())
}

/// Reads a peer id, or an address that ends with `/p2p/ID`.
///
/// # Errors
/// [`NetError::BadAddress`], [`NetError::BadPeerId`].
pub fn parse_peer_address(text: &str) -> Result<(PeerId, Vec<Multiaddr>), NetError> {
    let (addresses, peer) = parse_target(text)?;
    let peer = peer.ok_or_else(|| NetError::BadAddress {
        text: text.to_owned(),
        reason: "it names no peer: end it with /p2p/ID".to_owned(),
    })?;
    Ok((peer, addresses))
}

fn parse_range(text: &str) -> Result<IpRange, NetError> {
    IpRange::parse(text).ok_or_else(|| NetError::BadAddress {
        text: text.to_owned(),
        reason: "a range looks like /ip4/10.0.0.0/ipcidr/8".to_owned(),
    })
}

/// Reads a peer id.
///
/// # Errors
/// [`NetError::BadPeerId`].
pub fn parse_peer(text: &str) -> Result<PeerId, NetError> {
    let plain = text.strip_prefix("/p2p/").unwrap_or(text);
    let bad = |reason: String| NetError::BadPeerId {
        text: text.to_owned(),
        reason,
    };
    if let Ok(peer) = plain.parse::<PeerId>() {
        return Ok(peer);
    }
    // The form of a CID with the codec libp2p-key.
    let cid: crate::Cid = plain
        .parse()
        .map_err(|error: crate::cid::CidError| bad(error.to_string()))?;
    PeerId::from_bytes(&cid.hash().to_bytes()).map_err(|error| bad(error.to_string()))
}

/// Reads an address with or without `/p2p/ID`, or a peer id.
fn parse_target(text: &str) -> Result<(Vec<Multiaddr>, Option<PeerId>), NetError> {
    if !text.starts_with('/') {
        return Ok((Vec::new(), Some(parse_peer(text)?)));
    }
    let address: Multiaddr =
        text.parse()
            .map_err(|error: libp2p::multiaddr::Error| NetError::BadAddress {
                text: text.to_owned(),
                reason: error.to_string(),
            })?;
    let (address, peer) = split_peer(&address);
    Ok((
        if address.is_empty() {
            Vec::new()
        } else {
            vec![address]
        },
        peer,
    ))
}

/// An address without its trailing `/p2p/ID`, and that id.
pub fn split_peer(address: &Multiaddr) -> (Multiaddr, Option<PeerId>) {
    let mut rest = address.clone();
    match rest.pop() {
        Some(Protocol::P2p(peer)) => (rest, Some(peer)),
        _ => (address.clone(), None),
    }
}

/// An address that ends with `/p2p/ID`.
pub fn with_peer(address: &Multiaddr, peer: PeerId) -> Multiaddr {
    let (address, _) = split_peer(address);
    address.with(Protocol::P2p(peer))
}
