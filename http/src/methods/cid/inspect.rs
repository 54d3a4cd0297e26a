//! `cid inspect`: the parts of a CID.

use std::fmt::Write as _;

use ipfs_kit_node::cid::{Base, Cid, Multihash, Version, base_name};
use ipfs_kit_node::{codec, hash};
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Argument, Command, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit cid inspect`
pub const COMMAND: Command = Command {
    name: "inspect",
    tagline: "Inspect and display detailed information about a CID",
    about: "Breaks down a CID and displays its version, multibase encoding, multicodec, multihash,\n\
            and the equivalent CIDv0 and CIDv1. For CIDv0 multibase, multicodec and multihash are\n\
            implicit.\n\
            \n\
            If a PeerID string is provided instead of a CID, a helpful error with the equivalent CID\n\
            representation is returned.",
    arguments: &[Argument::line("cid", "CID to inspect")],
    records: &[Shape::of::<Inspected>()],
    run: Some(Run::Anywhere(run)),
    ..Command::EMPTY
};

#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Inspected {
    cid: String,
    version: u8,
    multibase: InspectedBase,
    multicodec: InspectedCodec,
    multihash: InspectedHash,
    #[serde(skip_serializing_if = "String::is_empty")]
    cid_v0: String,
    cid_v1: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    error_msg: String,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
struct InspectedBase {
    prefix: String,
    name: &'static str,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
struct InspectedCodec {
    code: u64,
    name: &'static str,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
struct InspectedHash {
    code: u64,
    name: &'static str,
    length: usize,
    digest: String,
}

impl Record for Inspected {
    const NAME: &'static str = "CidInspectRes";
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let text = invocation.argument()?;
    let inspected = match Cid::parse_with_base(&text) {
        Ok((cid, base)) => inspect(&text, &cid, base),
        Err(error) => {
            let mut error_msg = format!("invalid CID: {error}");
            if let Some(peer) = peer_cid(&text) {
                error_msg.push_str(&format!(
                    "\nNote: the value is a PeerID; inspect its CID representation instead:\n  {peer}"
                ));
            }
            if invocation.is_text() {
                return Err(Failure::failed(error_msg));
            }
            Inspected {
                cid: text,
                error_msg,
                ..Inspected::default()
            }
        }
    };
    let lines = lines(&inspected);
    invocation
        .out
        .emit(|| inspected, |out| out.extend_from_slice(lines.as_bytes()))
}

fn inspect(text: &str, cid: &Cid, base: Base) -> Inspected {
    let v0 = cid.version() == Version::V0;
    let v1 = cid.to_v1();
    let v1_base = if cid.codec() == codec::LIBP2P_KEY {
        Base::Base36Lower
    } else {
        Base::Base32Lower
    };
    Inspected {
        cid: text.to_owned(),
        version: u8::from(!v0),
        multibase: InspectedBase {
            prefix: base.code().to_string(),
            name: base_name(base),
        },
        multicodec: InspectedCodec {
            code: cid.codec(),
            name: codec::name(cid.codec()).unwrap_or("unknown"),
        },
        multihash: InspectedHash {
            code: cid.hash().code(),
            name: hash::name(cid.hash().code()).unwrap_or("unknown"),
            length: cid.hash().digest().len(),
            digest: Base::Base16Lower.encode(cid.hash().digest()),
        },
        cid_v0: cid.to_v0().map(|cid| cid.to_string()).unwrap_or_default(),
        cid_v1: v1.to_string_of_base(v1_base),
        error_msg: String::new(),
    }
}

fn lines(inspected: &Inspected) -> String {
    let v0 = inspected.version == 0;
    let implicit = if v0 { ", implicit" } else { "" };
    let prefix = if v0 {
        "implicit"
    } else {
        &inspected.multibase.prefix
    };
    let Inspected {
        multibase,
        multicodec,
        multihash,
        ..
    } = inspected;
    let mut text = format!(
        "CID:        {}\nVersion:    {}\nMultibase:  {} ({prefix})\n\
         Multicodec: {} (0x{:x}{implicit})\nMultihash:  {} (0x{:x}{implicit})\n  \
         Length:   {} bytes\n  Digest:   {}\n",
        inspected.cid,
        inspected.version,
        multibase.name,
        multicodec.name,
        multicodec.code,
        multihash.name,
        multihash.code,
        multihash.length,
        multihash.digest,
    );
    text.push_str("CIDv0:      ");
    let _ = if !inspected.cid_v0.is_empty() {
        writeln!(text, "{}", inspected.cid_v0)
    } else if multicodec.code != codec::DAG_PB {
        let (name, code) = (multicodec.name, multicodec.code);
        writeln!(
            text,
            "not possible, requires dag-pb (0x70), got {name} (0x{code:x})"
        )
    } else if multihash.code != hash::HashFunction::SHA2_256.code() {
        let (name, code) = (multihash.name, multihash.code);
        writeln!(
            text,
            "not possible, requires sha2-256 (0x12), got {name} (0x{code:x})"
        )
    } else {
        writeln!(
            text,
            "not possible, requires 32-byte digest, got {}",
            multihash.length
        )
    };
    let _ = writeln!(text, "CIDv1:      {}", inspected.cid_v1);
    text
}

/// The CID of a peer, if `text` is the bare base58 form of a peer id.
fn peer_cid(text: &str) -> Option<String> {
    if text.len() > 128
        || !(text.starts_with("12D3") || text.starts_with("16Uiu") || text.starts_with("Qm"))
    {
        return None;
    }
    let bytes = Base::Base58Btc.decode(text).ok()?;
    let hash = Multihash::from_bytes(&bytes).ok()?;
    Some(Cid::v1(codec::LIBP2P_KEY, hash).to_string_of_base(Base::Base36Lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_id_is_told() {
        assert_eq!(
            peer_cid("12D3KooWRvwBSE8xoo9MSQFcXXhzZVz4i2wnbpdE4MYBMfAxEdKj").unwrap(),
            "k51qzi5uqu5dm5elnp30pd4f29ywjq5q6rjwvphpokfa0wvowgo7e9f0tnpmna"
        );
        assert_eq!(peer_cid("bogus"), None);
    }
}
