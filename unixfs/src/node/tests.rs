use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn decode(message: &[u8]) -> Result<UnixFs, NodeError> {
    UnixFs::decode(&Bytes::copy_from_slice(message))
}

#[test]
fn an_empty_file_is_four_bytes() {
    let mut node = UnixFs::new(Kind::File);
    node.file_size = Some(0);
    assert_eq!(node.encode(), [0x08, 0x02, 0x18, 0x00]);
    assert_eq!(decode(&[0x08, 0x02, 0x18, 0x00]), Ok(node));
}

#[test]
fn an_empty_directory_is_two_bytes() {
    assert_eq!(UnixFs::new(Kind::Directory).encode(), [0x08, 0x01]);
}

#[test]
fn packed_block_sizes_are_accepted() {
    let node = decode(&[0x08, 0x02, 0x20, 0x01, 0x22, 0x03, 0x02, 0x80, 0x01]).unwrap();
    assert_eq!(node.block_sizes, [1, 2, 128]);
}

#[test]
fn a_time_before_1970_takes_ten_bytes() {
    let mut node = UnixFs::new(Kind::File);
    node.mtime = Some(Mtime {
        seconds: -1,
        nanos: 1,
    });
    let bytes = node.encode();
    assert_eq!(bytes.len(), 2 + 2 + 11 + 5);
    assert_eq!(bytes.len(), 2 + attributes_len(node.mode, node.mtime));
    assert_eq!(decode(&bytes), Ok(node));
}

#[test]
fn ambiguous_messages_are_refused() {
    let cases: [(&[u8], NodeError); 8] = [
        (&[], NodeError::NoType),
        (&[0x18, 0x00], NodeError::NoType),
        (&[0x08, 0x06], NodeError::UnknownType(6)),
        (&[0x08, 0x02, 0x08, 0x02], NodeError::Repeated("Type")),
        (
            &[0x08, 0x02, 0x12, 0x00, 0x12, 0x00],
            NodeError::Repeated("Data"),
        ),
        (&[0x08, 0x02, 0x10, 0x00], NodeError::WrongWireType("Data")),
        (&[0x08, 0x02, 0x42, 0x00], NodeError::OutOfRange("mtime")),
        (
            &[0x08, 0x02, 0x38, 0x80, 0x80, 0x80, 0x80, 0x10],
            NodeError::OutOfRange("mode"),
        ),
    ];
    for (message, error) in cases {
        assert_eq!(decode(message), Err(error), "{message:x?}");
    }
}

#[test]
fn unknown_fields_are_skipped() {
    assert_eq!(
        decode(&[0x08, 0x01, 0x7a, 0x02, 1, 2]),
        Ok(UnixFs::new(Kind::Directory))
    );
}

fn any_node() -> impl Strategy<Value = UnixFs> {
    (
        0u64..6,
        prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        any::<(Option<u64>, Option<u64>, Option<u64>, Option<u32>)>(),
        prop::collection::vec(any::<u64>(), 0..5),
        prop::option::of((any::<i64>(), 0u32..1_000_000_000)),
    )
        .prop_map(
            |(kind, data, (file_size, hash_type, fanout, mode), block_sizes, mtime)| UnixFs {
                kind: Kind::from_number(kind).unwrap(),
                data: data.map(Bytes::from),
                file_size,
                block_sizes,
                hash_type,
                fanout,
                mode,
                mtime: mtime.map(|(seconds, nanos)| Mtime { seconds, nanos }),
            },
        )
}

proptest! {
    #[test]
    fn every_message_round_trips(node in any_node()) {
        let bytes = node.encode();
        prop_assert_eq!(decode(&bytes), Ok(node));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode(&bytes);
    }
}
