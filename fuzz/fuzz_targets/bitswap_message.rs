//! Bitswap messages: no panic, and what is read and sent on is read again as the same.
#![no_main]
use bytes::Bytes;
use ipfs_kit_bitswap::wire::{Message, Outgoing, Protocol, read_len};
use ipfs_kit_blockstore::hash;
use ipfs_kit_blockstore::{Cid, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = read_len(data);
    let Ok(message) = Message::decode(&Bytes::copy_from_slice(data)) else {
        return;
    };
    // Blocks are sent by their CIDs, which those with hashes that are not computed here do not have.
    let named = message.blocks.iter().filter_map(|block| {
        let prefix = &block.prefix;
        let digest = hash::digest(prefix.hash, prefix.digest_len.into(), &block.data).ok()?;
        let cid = match prefix.version {
            Version::V0 => Cid::v0(digest).ok()?,
            Version::V1 => Cid::v1(prefix.codec, digest),
        };
        Some((cid, block.data.clone()))
    });
    let outgoing = Outgoing {
        full: message.full,
        wants: message.wants.clone(),
        blocks: named.collect(),
        presences: message.presences.clone(),
        pending_bytes: message.pending_bytes,
    };
    let framed = Bytes::from(outgoing.encode(Protocol::V1_2).concat());
    let Ok(Some((len, head))) = read_len(&framed) else {
        // Only what does not fit in a message has no length.
        assert!(framed.len() > 4 << 20);
        return;
    };
    assert_eq!(framed.len(), head + len);
    let again = Message::decode(&framed.slice(head..)).expect("own encoding");
    assert_eq!(again.wants, message.wants);
    assert_eq!(again.presences, message.presences);
    assert_eq!(again.pending_bytes, message.pending_bytes);
    assert_eq!(again.blocks.len(), outgoing.blocks.len());
    for protocol in [Protocol::V1_1, Protocol::V1_0] {
        let framed = Bytes::from(outgoing.encode(protocol).concat());
        if let Ok(Some((_, head))) = read_len(&framed) {
            // What they leave out may have been what tiny blocks are measured by.
            let _ = Message::decode(&framed.slice(head..));
        }
    }
});
