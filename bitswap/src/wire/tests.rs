use bytes::{Bytes, BytesMut};
use ipfs_kit_blockstore::{Block, Cid, HashSpec, Version};
use proptest::prelude::*;

use super::{
    MAX_MESSAGE_LEN, MAX_WANTS, Message, Outgoing, Prefix, Protocol, RawBlock, WantEntry, WantKind,
    WireError, read_len,
};

fn block(version: Version, data: &[u8]) -> Block {
    let codec = if version == Version::V0 { 0x70 } else { 0x55 };
    Block::new(
        version,
        codec,
        HashSpec::SHA2_256,
        Bytes::copy_from_slice(data),
    )
    .unwrap()
}

fn want(cid: &Cid, kind: WantKind, cancel: bool) -> WantEntry {
    WantEntry {
        cid: cid.clone(),
        priority: 7,
        cancel,
        kind,
        send_dont_have: true,
    }
}

fn joined(outgoing: &Outgoing, protocol: Protocol) -> Bytes {
    let mut all = BytesMut::new();
    for piece in outgoing.encode(protocol) {
        all.extend_from_slice(&piece);
    }
    all.freeze()
}

fn body(framed: &Bytes) -> Bytes {
    let (len, read) = read_len(framed).unwrap().unwrap();
    assert_eq!(framed.len(), len + read);
    framed.slice(read..)
}

fn sample() -> Outgoing {
    let (v0, v1) = (block(Version::V0, b"zero"), block(Version::V1, b"one"));
    Outgoing {
        full: true,
        wants: vec![
            want(v0.cid(), WantKind::Block, false),
            want(v1.cid(), WantKind::Have, true),
        ],
        blocks: [&v0, &v1]
            .map(|block| (block.cid().clone(), block.data().clone()))
            .to_vec(),
        presences: vec![(v0.cid().clone(), true), (v1.cid().clone(), false)],
        pending_bytes: 300,
    }
}

#[test]
fn known_bytes() {
    let cid = block(Version::V1, b"").cid().clone();
    let outgoing = Outgoing {
        wants: vec![want(&cid, WantKind::Have, false)],
        blocks: vec![(cid.clone(), Bytes::from_static(b"xy"))],
        presences: vec![(cid.clone(), false)],
        pending_bytes: 5,
        ..Outgoing::default()
    };
    let cid = cid.to_bytes();
    let mut expected = vec![104, 0x0a, 46, 0x0a, 44, 0x0a, 36];
    expected.extend_from_slice(&cid);
    expected.extend_from_slice(&[0x10, 7, 0x20, 1, 0x28, 1]);
    expected.extend_from_slice(&[0x1a, 10, 0x0a, 4, 1, 0x55, 0x12, 32, 0x12, 2, b'x', b'y']);
    expected.extend_from_slice(&[0x22, 40, 0x0a, 36]);
    expected.extend_from_slice(&cid);
    expected.extend_from_slice(&[0x10, 1, 0x28, 5]);
    expected[0] = (expected.len() - 1) as u8;
    assert_eq!(joined(&outgoing, Protocol::V1_2), expected);
}

#[test]
fn what_is_encoded_is_decoded() {
    let sent = sample();
    let message = Message::decode(&body(&joined(&sent, Protocol::V1_2))).unwrap();
    assert!(message.full);
    assert_eq!(message.wants, sent.wants);
    assert_eq!(message.presences, sent.presences);
    assert_eq!(message.pending_bytes, 300);
    assert_eq!(message.blocks.len(), 2);
    assert_eq!(message.blocks[1].data, "one");
    assert_eq!(message.blocks[1].prefix.version, Version::V1);
}

#[test]
fn old_protocols_carry_what_they_can() {
    let sent = sample();
    let message = Message::decode(&body(&joined(&sent, Protocol::V1_1))).unwrap();
    assert_eq!((message.blocks.len(), message.presences.len()), (2, 0));
    assert_eq!(message.wants[1].kind, WantKind::Block);

    let message = Message::decode(&body(&joined(&sent, Protocol::V1_0))).unwrap();
    let prefix = Prefix {
        version: Version::V0,
        codec: 0x70,
        hash: 0x12,
        digest_len: 32,
    };
    let data = Bytes::from_static(b"zero");
    assert_eq!(message.blocks, [RawBlock { prefix, data }]);
}

#[test]
fn block_data_is_not_copied() {
    let framed = joined(&sample(), Protocol::V1_2);
    let body = body(&framed);
    let message = Message::decode(&body).unwrap();
    let within = body.as_ptr_range();
    assert!(within.contains(&message.blocks[0].data.as_ptr()));

    let sent = sample();
    let pieces = sent.encode(Protocol::V1_2);
    assert!(
        pieces
            .iter()
            .any(|piece| piece.as_ptr() == sent.blocks[0].1.as_ptr())
    );
}

#[test]
fn truncated_at_every_byte() {
    let framed = joined(&sample(), Protocol::V1_2);
    let body = body(&framed);
    for cut in 0..body.len() {
        // A cut between two fields leaves a valid shorter message, any other cut an error.
        if let Ok(message) = Message::decode(&body.slice(..cut)) {
            assert_ne!(message, Message::decode(&body).unwrap(), "{cut}");
        }
    }
    for cut in 0..2 {
        assert_eq!(read_len(&framed[..cut]), Ok(None));
    }
}

#[test]
fn overlong_varints_are_refused() {
    assert!(matches!(read_len(&[0x80, 0x00]), Err(WireError::Length(_))));
    assert!(matches!(read_len(&[0xff; 4]), Err(WireError::Length(_))));
    assert_eq!(
        read_len(&[0x81, 0x80, 0x80, 0x02]),
        Err(WireError::TooLong(MAX_MESSAGE_LEN as u64 + 1))
    );
    assert_eq!(
        read_len(&[0x80, 0x80, 0x80, 0x02]),
        Ok(Some((MAX_MESSAGE_LEN, 4)))
    );
    // Eleven bytes, and ten with more than 64 bits, in every place where a varint stands.
    for overlong in [&[0xff_u8; 11][..], &[0xff; 10]] {
        for field in [0x28, 0x0a, 0x12, 0x1a, 0x22] {
            let message = [&[field], overlong].concat();
            assert!(Message::decode(&message.into()).is_err());
        }
        assert!(Message::decode(&Bytes::copy_from_slice(overlong)).is_err());
    }
}

#[test]
fn negative_priority_and_missing_parts() {
    let mut sent = sample();
    sent.wants[0].priority = -3;
    let message = Message::decode(&body(&joined(&sent, Protocol::V1_2))).unwrap();
    assert_eq!(message.wants[0].priority, -3);

    // boxo 0.33 crashed on messages without a want list: every subset of fields must be readable.
    assert_eq!(Message::decode(&Bytes::new()), Ok(Message::default()));
    for empty in [&[0x0a_u8, 0][..], &[0x12, 0]] {
        assert!(Message::decode(&Bytes::copy_from_slice(empty)).is_ok());
    }
    for empty in [&[0x1a_u8, 0][..], &[0x22, 0], &[0x0a, 2, 0x0a, 0]] {
        let error = Message::decode(&Bytes::copy_from_slice(empty));
        assert_eq!(error, Err(WireError::Cid));
    }
}

#[test]
fn limits_of_entries() {
    let cid = block(Version::V1, b"a").cid().clone();
    let sent = Outgoing {
        wants: vec![want(&cid, WantKind::Block, false); MAX_WANTS + 10],
        ..Outgoing::default()
    };
    let message = Message::decode(&body(&joined(&sent, Protocol::V1_2))).unwrap();
    assert_eq!(message.wants.len(), MAX_WANTS);

    let sent = Outgoing {
        presences: vec![(cid.clone(), true); super::MAX_PRESENCES + 1],
        ..Outgoing::default()
    };
    let error = Message::decode(&body(&joined(&sent, Protocol::V1_2)));
    assert_eq!(error, Err(WireError::TooMany));

    let sent = Outgoing {
        blocks: vec![(cid, Bytes::from(vec![0; (2 << 20) + 1]))],
        ..Outgoing::default()
    };
    let error = Message::decode(&body(&joined(&sent, Protocol::V1_2)));
    assert_eq!(error, Err(WireError::BlockTooLong((2 << 20) + 1)));
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        drop(Message::decode(&bytes.clone().into()));
        prop_assert!(read_len(&bytes).is_ok() || !bytes.is_empty());
    }

    #[test]
    fn damaged_messages_decode_or_fail(at in 0_usize..200, with in any::<u8>()) {
        let framed = joined(&sample(), Protocol::V1_2);
        let mut bytes = body(&framed).to_vec();
        let at = at % bytes.len();
        bytes[at] = with;
        drop(Message::decode(&bytes.into()));
    }

    #[test]
    fn messages_survive_the_wire(
        data in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
        priority in any::<i32>(),
        full in any::<bool>(),
    ) {
        let blocks = data.iter().map(|data| block(Version::V1, data)).collect::<Vec<_>>();
        let sent = Outgoing {
            full,
            wants: blocks.iter().map(|block| WantEntry { priority, ..want(block.cid(), WantKind::Have, full) }).collect(),
            blocks: blocks.iter().map(|block| (block.cid().clone(), block.data().clone())).collect(),
            presences: blocks.iter().map(|block| (block.cid().clone(), full)).collect(),
            pending_bytes: priority,
        };
        let message = Message::decode(&body(&joined(&sent, Protocol::V1_2))).unwrap();
        if !sent.wants.is_empty() || full {
            prop_assert_eq!(message.full, full);
        }
        prop_assert_eq!(&message.wants, &sent.wants);
        prop_assert_eq!(&message.presences, &sent.presences);
        prop_assert_eq!(message.blocks.len(), blocks.len());
        for (got, block) in message.blocks.iter().zip(&blocks) {
            prop_assert_eq!(&got.data, block.data());
        }
    }
}
