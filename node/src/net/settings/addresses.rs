//! The keys that hold addresses: where to listen, what to announce, what to refuse, and whom to connect to.

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use serde_json::Value;

use super::super::NetError;
use super::super::filter::IpRange;
use super::Transports;
use crate::config::Config;

/// One entry of `Addresses.NoAnnounce`.
#[derive(Clone, Debug)]
pub enum NoAnnounce {
    Exact(Multiaddr),
    Range(IpRange),
}

/// Where a node without `Bootstrap` of its own begins: the public network's well-known peers.
pub(super) const BOOTSTRAP: &[&str] = &[
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
    "/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
    "/ip4/104.131.131.82/udp/4001/quic-v1/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
];

fn texts<'a>(config: &'a Config, key: &str) -> impl Iterator<Item = &'a str> {
    let list = config.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

fn parse(key: &'static str, text: &str) -> Result<Multiaddr, NetError> {
    text.parse()
        .map_err(|error: libp2p::multiaddr::Error| NetError::BadSetting {
            key,
            reason: format!("{text:?} is no address: {error}"),
        })
}

pub(super) fn addresses(config: &Config, key: &'static str) -> Result<Vec<Multiaddr>, NetError> {
    texts(config, key).map(|text| parse(key, text)).collect()
}

/// Addresses of kinds that this node does not have are left out with a warning: Kubo's configuration names more.
pub(super) fn listen_addresses(
    config: &Config,
    transports: &Transports,
    public: bool,
    warnings: &mut Vec<String>,
) -> Result<Vec<Multiaddr>, NetError> {
    let mut listen = Vec::new();
    for text in texts(config, "Addresses.Swarm") {
        // A kind that the address library does not know is one that this node does not have.
        let address = match text.parse::<Multiaddr>() {
            Ok(address) => address,
            Err(_)
                if ["webtransport", "webrtc"]
                    .iter()
                    .any(|kind| text.contains(kind)) =>
            {
                warnings.push(format!("not listening on {text}: no such transport here"));
                continue;
            }
            Err(_) => parse("Addresses.Swarm", text)?,
        };
        match kind_of(&address) {
            Some(Kind::Tcp) if transports.tcp => listen.push(address),
            Some(Kind::WebSocket) if transports.websocket => listen.push(address),
            Some(Kind::Quic) if transports.quic && public => listen.push(address),
            Some(Kind::Relay) if transports.relay => listen.push(address),
            Some(Kind::Quic) if !public => {
                warnings.push(format!(
                    "not listening on {text}: a private network has no QUIC"
                ));
            }
            Some(kind) => {
                warnings.push(format!("not listening on {text}: {kind:?} is switched off"))
            }
            None => warnings.push(format!("not listening on {text}: no such transport here")),
        }
    }
    Ok(listen)
}

/// What carries an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tcp,
    WebSocket,
    Quic,
    Relay,
}

/// The transport of an address; `None` when this node has none for it.
pub fn kind_of(address: &Multiaddr) -> Option<Kind> {
    let mut kind = None;
    for part in address {
        kind = match part {
            Protocol::Tcp(_) => Some(Kind::Tcp),
            Protocol::QuicV1 => Some(Kind::Quic),
            Protocol::Ws(_) | Protocol::Wss(_) => Some(Kind::WebSocket),
            Protocol::P2pCircuit => Some(Kind::Relay),
            Protocol::WebTransport | Protocol::WebRTCDirect | Protocol::Quic => return None,
            _ => kind,
        };
    }
    kind
}

pub(super) fn no_announce(config: &Config) -> Result<Vec<NoAnnounce>, NetError> {
    const KEY: &str = "Addresses.NoAnnounce";
    texts(config, KEY)
        .map(|text| match IpRange::parse(text) {
            Some(range) => Ok(NoAnnounce::Range(range)),
            None => parse(KEY, text).map(NoAnnounce::Exact),
        })
        .collect()
}

pub(super) fn filters(config: &Config) -> Result<Vec<IpRange>, NetError> {
    texts(config, "Swarm.AddrFilters")
        .map(|text| {
            IpRange::parse(text).ok_or_else(|| NetError::BadSetting {
                key: "Swarm.AddrFilters",
                reason: format!("{text:?} is no range such as /ip4/10.0.0.0/ipcidr/8"),
            })
        })
        .collect()
}

pub(super) fn bootstrap(config: &Config, public: bool) -> Result<Vec<Multiaddr>, NetError> {
    let mut peers = Vec::new();
    for text in texts(config, "Bootstrap") {
        match text {
            // The public peers have no business in a private network and would not answer.
            "auto" if !public => {}
            "auto" => {
                for text in BOOTSTRAP {
                    peers.push(parse("Bootstrap", text)?);
                }
            }
            text => {
                let address = parse("Bootstrap", text)?;
                if super::super::peers::split_peer(&address).1.is_none() {
                    return Err(NetError::BadSetting {
                        key: "Bootstrap",
                        reason: format!("{text} names no peer: it must end with /p2p/ID"),
                    });
                }
                peers.push(address);
            }
        }
    }
    Ok(peers)
}

pub(super) fn ignored(config: &Config) -> Result<Vec<PeerId>, NetError> {
    const KEY: &str = "Routing.IgnoreProviders";
    let each = texts(config, KEY).map(|text| {
        super::super::parse_peer(text).map_err(|error| NetError::BadSetting {
            key: KEY,
            reason: error.to_string(),
        })
    });
    each.collect()
}

pub(super) fn peering(config: &Config) -> Result<Vec<(PeerId, Vec<Multiaddr>)>, NetError> {
    const KEY: &str = "Peering.Peers";
    let bad = |reason: String| NetError::BadSetting { key: KEY, reason };
    let list = config.get(KEY).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|entry| {
            let id = entry.get("ID").and_then(Value::as_str).unwrap_or_default();
            let peer = id
                .parse()
                .map_err(|error| bad(format!("{id:?} is no peer id: {error}")))?;
            let addrs = entry.get("Addrs").and_then(Value::as_array);
            let addrs = addrs.into_iter().flatten().filter_map(Value::as_str);
            let addrs: Result<Vec<_>, _> = addrs.map(|text| parse(KEY, text)).collect();
            Ok((peer, addrs?))
        })
        .collect()
}
