//! The textual forms of a peer id, which is also the IPNS name of its key.
//!
//! Spec: <https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md#string-representation>.

use std::str::FromStr;

use ipfs_kit_blockstore::cid::{base_from_name, decode_multibase, encode_multibase};
use ipfs_kit_blockstore::codec::LIBP2P_KEY;
use ipfs_kit_blockstore::varint;
use libp2p::PeerId;
use multibase::Base;

use super::KeyError;

/// Longer texts are no peer id; decoding base58 costs the square of the length.
const MAX_TEXT_LEN: usize = 512;

const SHA2_256: u64 = 0x12;

/// How a key id is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdBase {
    /// Base58btc of the bare multihash: `12D3Koo…`, `Qm…`.
    Multihash,
    /// A CIDv1 of codec `libp2p-key` in a multibase: `k51…` in base36.
    Cid(Base),
}

impl Default for IdBase {
    fn default() -> Self {
        Self::Cid(Base::Base36Lower)
    }
}

impl FromStr for IdBase {
    type Err = KeyError;

    /// Reads `b58mh`, the name of a multibase such as `base36`, or its prefix such as `k`.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut letters = text.chars();
        match (text, letters.next(), letters.next()) {
            ("b58mh", _, _) => Some(Self::Multihash),
            (_, Some(letter), None) => Base::from_code(letter).ok().map(Self::Cid),
            _ => base_from_name(text).map(Self::Cid),
        }
        .ok_or_else(|| KeyError::Base(text.to_owned()))
    }
}

/// The text of a peer id in a base.
pub fn format_peer_id(peer: &PeerId, base: IdBase) -> String {
    match base {
        IdBase::Multihash => peer.to_base58(),
        IdBase::Cid(base) => {
            let mut cid = vec![1];
            varint::write(LIBP2P_KEY, &mut cid);
            cid.extend_from_slice(&peer.to_bytes());
            encode_multibase(base, &cid)
        }
    }
}

/// Reads a peer id in any of its forms: base58 multihash, or CIDv1 of codec `libp2p-key` in any multibase.
///
/// # Errors
/// [`KeyError::PeerId`].
pub fn parse_peer_id(text: &str) -> Result<PeerId, KeyError> {
    let bad = |reason: String| KeyError::PeerId {
        text: text.chars().take(80).collect(),
        reason,
    };
    if text.is_empty() || text.len() > MAX_TEXT_LEN {
        return Err(bad("it is empty or too long".to_owned()));
    }
    let peer = if text.starts_with("Qm") || text.starts_with('1') {
        text.parse::<PeerId>()
            .map_err(|error| bad(error.to_string()))?
    } else {
        let (_, bytes) = decode_multibase(text).map_err(|error| bad(error.to_string()))?;
        from_cid(&bytes).map_err(|reason| bad(reason.to_owned()))?
    };
    check(&peer).map_err(|reason| bad(reason.to_owned()))?;
    Ok(peer)
}

/// Reads the multihash of a peer id.
///
/// # Errors
/// [`KeyError::PeerId`].
pub fn peer_id_from_bytes(bytes: &[u8]) -> Result<PeerId, KeyError> {
    let bad = |reason: String| KeyError::PeerId {
        text: multibase::encode(Base::Base16Lower, &bytes[..bytes.len().min(40)]),
        reason,
    };
    let peer = PeerId::from_bytes(bytes).map_err(|error| bad(error.to_string()))?;
    check(&peer).map_err(|reason| bad(reason.to_owned()))?;
    Ok(peer)
}

fn from_cid(bytes: &[u8]) -> Result<PeerId, &'static str> {
    const NO_CID: &str = "it is no CID";
    let (version, used) = varint::read(bytes).map_err(|_| NO_CID)?;
    let (codec, more) = varint::read(&bytes[used..]).map_err(|_| NO_CID)?;
    if version != 1 || codec != LIBP2P_KEY {
        return Err("it is no CIDv1 of codec libp2p-key");
    }
    PeerId::from_bytes(&bytes[used + more..]).map_err(|_| "its multihash is not that of a key")
}

/// libp2p takes a SHA-256 multihash of any length.
fn check(peer: &PeerId) -> Result<(), &'static str> {
    let hash = peer.as_ref();
    match hash.code() == SHA2_256 && hash.digest().len() != 32 {
        true => Err("its SHA-256 digest is not 32 bytes long"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written() {
        // Key ids that Kubo 0.43.0 printed for one key with different values of --ipns-base.
        let forms = [
            (
                "b58mh",
                "12D3KooWJJRi5gDdLernFAjDWn5XQmr73PwDFy5Xg6N5S5rJh9bt",
            ),
            (
                "base36",
                "k51qzi5uqu5djboxgo9gzkx726m5qd54h4eeczrploxo6ila6jw1qbj2u0rkvr",
            ),
            (
                "base32",
                "bafzaajaiaejca7qnylljparbscjgmrahtdcedexcp43fc75phgfwbipa2vf3fotx",
            ),
        ];
        let peer = parse_peer_id(forms[0].1).unwrap();
        for (base, text) in forms {
            assert_eq!(parse_peer_id(text).unwrap(), peer);
            assert_eq!(format_peer_id(&peer, base.parse().unwrap()), text);
        }
        assert_eq!("k".parse::<IdBase>().unwrap(), IdBase::default());
        assert!("nope".parse::<IdBase>().is_err());
        for (base, _) in ipfs_kit_blockstore::cid::bases() {
            if *base != Base::Identity {
                let text = format_peer_id(&peer, IdBase::Cid(*base));
                assert_eq!(parse_peer_id(&text).unwrap(), peer, "{text}");
            }
        }
        assert_eq!(peer_id_from_bytes(&peer.to_bytes()).unwrap(), peer);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "Qm",
            "1",
            "foo",
            "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e",
            "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3N",
            &"1".repeat(600),
        ] {
            assert!(parse_peer_id(text).is_err(), "{text}");
        }
    }
}
