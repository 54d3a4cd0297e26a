//! What routers answer: records in a JSON document or a line each (IPIP-337, IPIP-417). One that cannot be read, or is of
//! a schema that is not known here, does not spoil the others.

use bytes::{Buf, Bytes, BytesMut};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use serde::Deserialize;
use serde_json::Value;

use crate::net::parse_peer;

/// Longest line of a stream. A longer one is skipped as a bad record.
pub const LINE_MAX: usize = 64 << 10;

/// Addresses kept of one record.
const ADDRESSES_MAX: usize = 32;

/// The protocol of those who give blocks over HTTP.
const GATEWAY: &str = "transport-ipfs-gateway-http";

/// The protocols of those who give blocks over libp2p.
const LIBP2P: [&str; 2] = ["transport-bitswap", "transport-graphsync-filecoinv1"];

/// A peer with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    pub peer: PeerId,
    pub addresses: Vec<Multiaddr>,
}

/// The fields of schema `peer`, and of `bitswap`, which it replaced.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Fields {
    schema: String,
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    addrs: Option<Vec<Value>>,
    #[serde(default)]
    protocols: Option<Vec<Value>>,
}

/// A record, if it is one of a peer.
fn of_value(value: &Value) -> Option<PeerRecord> {
    let fields = Fields::deserialize(value).ok()?;
    if !matches!(fields.schema.as_str(), "peer" | "bitswap") {
        return None;
    }
    let peer = parse_peer(&fields.id).ok()?;
    let protocols = fields.protocols.unwrap_or_default();
    let speaks = |name: &str| protocols.iter().any(|protocol| protocol == name);
    let gateway = speaks(GATEWAY) && !LIBP2P.into_iter().any(speaks);
    let addresses = fields.addrs.unwrap_or_default();
    let addresses = addresses.iter().filter_map(Value::as_str);
    let addresses = addresses.filter_map(|text| text.parse::<Multiaddr>().ok());
    let addresses = addresses.map(|address| if gateway { as_http(address) } else { address });
    Some(PeerRecord {
        peer,
        addresses: addresses.take(ADDRESSES_MAX).collect(),
    })
}

/// Says in the address what the protocol said: some tell only the port.
fn as_http(address: Multiaddr) -> Multiaddr {
    match address.iter().last() {
        Some(Protocol::Tcp(443)) => address.with(Protocol::Https),
        Some(Protocol::Tcp(_)) => address.with(Protocol::Http),
        _ => address,
    }
}

/// The records of a document: `{"Providers": [...]}` or `{"Peers": [...]}`.
pub fn of_document(bytes: &[u8]) -> Vec<PeerRecord> {
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else {
        return Vec::new();
    };
    let lists = ["Providers", "Peers"].map(|name| document.get(name).and_then(Value::as_array));
    let records = lists.into_iter().flatten().flatten();
    records.filter_map(of_value).collect()
}

/// Cuts a stream of lines as it comes.
#[derive(Debug, Default)]
pub struct Lines {
    rest: BytesMut,
    /// The line under way is too long: it ends unread.
    skips: bool,
}

impl Lines {
    /// More of the stream; gives the records that are complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<PeerRecord> {
        let mut records = Vec::new();
        let mut bytes = Bytes::copy_from_slice(bytes);
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes.split_to(end));
            bytes.advance(1);
            records.extend(self.finish());
        }
        self.keep(&bytes);
        records
    }

    /// The stream is over, or the line is: what there is of it is a record or nothing.
    pub fn finish(&mut self) -> Option<PeerRecord> {
        let line = self.rest.split();
        if std::mem::take(&mut self.skips) {
            return None;
        }
        of_value(&serde_json::from_slice(&line).ok()?)
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.rest.len() + bytes.len() > LINE_MAX {
            self.skips = true;
            self.rest.clear();
        }
        if !self.skips {
            self.rest.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PEER: &str = "12D3KooWM8sovaEGU1bmiWGWAzvs47DEcXKZZTuJnpQyVTkRs2Vn";

    fn good() -> String {
        format!(
            r#"{{"Schema":"peer","ID":"{PEER}","Addrs":["/dns/a.example/tcp/443/https","nonsense",7],"Protocols":["transport-ipfs-gateway-http"],"More":{{}}}}"#
        )
    }

    #[test]
    fn a_bad_record_does_not_spoil_the_others() {
        let bad = [
            r#"{"Schema":"peer","ID":"nobody"}"#.to_owned(),
            r#"{"Schema":"peer"}"#.to_owned(),
            "7".to_owned(),
            "null".to_owned(),
            good().replace("\"peer\"", "\"magic\""),
        ];
        let list: Vec<String> = bad.iter().cloned().chain([good()]).collect();
        let document = format!(r#"{{"Providers":[{}],"Peers":null}}"#, list.join(","));
        let records = of_document(document.as_bytes());
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].peer.to_string(), PEER);
        assert_eq!(records[0].addresses.len(), 1);
        let stream = format!("{}\n\n{{broken\n{}", list.join("\n"), good());
        let mut lines = Lines::default();
        let mut got = Vec::new();
        for piece in stream.as_bytes().chunks(7) {
            got.extend(lines.push(piece));
        }
        got.extend(lines.finish());
        assert_eq!(got, [records[0].clone(), records[0].clone()]);
    }

    #[test]
    fn the_protocol_tells_that_a_bare_port_speaks_http() {
        for (port, protocols, expected) in [
            (
                443,
                r#"["transport-ipfs-gateway-http"]"#,
                "/ip4/1.2.3.4/tcp/443/https",
            ),
            (
                80,
                r#"["transport-ipfs-gateway-http"]"#,
                "/ip4/1.2.3.4/tcp/80/http",
            ),
            (
                443,
                r#"["transport-bitswap","transport-ipfs-gateway-http"]"#,
                "/ip4/1.2.3.4/tcp/443",
            ),
            (443, "null", "/ip4/1.2.3.4/tcp/443"),
        ] {
            let record = format!(
                r#"{{"Schema":"peer","ID":"{PEER}","Addrs":["/ip4/1.2.3.4/tcp/{port}"],"Protocols":{protocols}}}"#
            );
            let document = format!(r#"{{"Peers":[{record}]}}"#);
            assert_eq!(
                of_document(document.as_bytes())[0].addresses[0].to_string(),
                expected
            );
        }
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            assert!(lines.push(&[b'x'; 10_000]).is_empty());
            assert!(lines.rest.len() <= LINE_MAX);
        }
        let next = format!("\n{}\n", good());
        assert_eq!(
            lines.push(next.as_bytes()).len(),
            1,
            "the next line is read"
        );
    }

    proptest! {
        #[test]
        fn no_input_panics_and_pieces_do_not_matter(
            parts in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..80),
                Just(good().into_bytes()),
                Just(b"\n".to_vec()),
                Just(br#"{"Providers":["#.to_vec()),
                "[\\[\\]{}\",:a-zA-Z0-9\\\\]{0,40}".prop_map(String::into_bytes),
            ], 0..12),
            size in 1_usize..50,
        ) {
            let bytes = parts.concat();
            let _ = of_document(&bytes);
            let mut whole = Lines::default();
            let mut at_once = whole.push(&bytes);
            at_once.extend(whole.finish());
            let mut lines = Lines::default();
            let mut piecewise: Vec<_> = bytes.chunks(size).flat_map(|piece| lines.push(piece)).collect();
            piecewise.extend(lines.finish());
            prop_assert_eq!(at_once, piecewise);
        }
    }
}
