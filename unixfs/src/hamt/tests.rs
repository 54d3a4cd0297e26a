use bytes::Bytes;
use ipfs_kit_blockstore::codec::dag_pb::{PbLink, PbNode};
use ipfs_kit_blockstore::{Cid, HashSpec, codec};
use proptest::prelude::*;

use super::*;
use crate::node::{Kind, UnixFs};

fn cid() -> Cid {
    Cid::v1(codec::RAW, HashSpec::SHA2_256.digest(b"x").unwrap())
}

/// A shard with the given Data field and link names.
fn shard(fanout: u64, bitfield: &[u8], names: &[&str]) -> (PbNode, UnixFs) {
    let links = names
        .iter()
        .map(|name| PbLink {
            cid: cid(),
            name: Some(Bytes::copy_from_slice(name.as_bytes())),
            tsize: Some(1),
        })
        .collect();
    let mut unixfs = UnixFs::new(Kind::HamtShard);
    unixfs.fanout = Some(fanout);
    unixfs.hash_type = Some(HASH_MURMUR3_X64_64);
    unixfs.data = Some(Bytes::copy_from_slice(bitfield));
    (PbNode { links, data: None }, unixfs)
}

fn decode((node, unixfs): (PbNode, UnixFs)) -> Result<Shard, HamtError> {
    Shard::decode(&node, &unixfs)
}

#[test]
fn only_powers_of_two_from_8_to_1024_are_fanouts() {
    for slots in 0..5000 {
        let valid = [8, 16, 32, 64, 128, 256, 512, 1024].contains(&slots);
        assert_eq!(Fanout::new(slots).is_ok(), valid, "{slots}");
    }
    assert_eq!(Fanout::new(1 << 63), Err(HamtError::Fanout(1 << 63)));
}

#[test]
fn slots_take_the_hash_from_its_top() {
    let fanout = Fanout::DEFAULT;
    let slots: Vec<_> = (0..9)
        .map(|depth| fanout.slot(0x0123_4567_89ab_cdef, depth))
        .collect();
    let bytes = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].map(Some);
    assert_eq!(slots, [&bytes[..], &[None]].concat());

    let fanout = Fanout::new(1024).unwrap();
    assert_eq!(fanout.slot(u64::MAX, 5), Some(1023));
    assert_eq!(fanout.slot(u64::MAX, 6), None);
}

#[test]
fn prefixes_are_upper_case_and_padded() {
    for (fanout, slot, expected) in [
        (8, 7, "7"),
        (16, 15, "F"),
        (32, 31, "1F"),
        (256, 10, "0A"),
        (1024, 1023, "3FF"),
    ] {
        let mut prefix = Vec::new();
        Fanout::new(fanout).unwrap().put_prefix(slot, &mut prefix);
        assert_eq!(prefix, expected.as_bytes());
    }
}

#[test]
fn a_well_formed_shard_is_read() {
    let shard = decode(shard(256, &[0x01, 0x02], &["01name", "08"])).unwrap();
    assert_eq!(shard.children().len(), 2);
    assert_eq!(shard.child(1).unwrap().name.as_deref(), Some(&b"name"[..]));
    assert_eq!(shard.child(8).unwrap().name, None);
    assert_eq!(shard.child(2), None);
}

/// CVE-2023-23625, -23626 and -23631: fan-outs and bitfields that made other readers panic.
#[test]
fn malformed_shards_are_refused() {
    for fanout in [0, 1, 7, 12, 100, 2048, 1 << 40, u64::MAX] {
        assert_eq!(
            decode(shard(fanout, &[1], &["0a"])),
            Err(HamtError::Fanout(fanout))
        );
    }
    let too_long = HamtError::BitfieldTooLong {
        bytes: 2,
        fanout: 8,
    };
    assert_eq!(decode(shard(8, &[0, 1], &["0a"])), Err(too_long));
    let count = HamtError::LinkCount { bits: 2, links: 1 };
    assert_eq!(decode(shard(8, &[3], &["0a"])), Err(count));
    for name in ["", "1a", "0", "0a"] {
        let result = decode(shard(256, &[1], &[name]));
        assert!(matches!(result, Err(HamtError::LinkName { .. })), "{name}");
    }
    let (node, mut unixfs) = shard(8, &[1], &["0a"]);
    unixfs.hash_type = Some(0x12);
    assert_eq!(
        Shard::decode(&node, &unixfs),
        Err(HamtError::HashFunction(0x12))
    );
    unixfs.hash_type = Some(HASH_MURMUR3_X64_64);
    unixfs.fanout = None;
    assert_eq!(Shard::decode(&node, &unixfs), Err(HamtError::NoFanout));
}

proptest! {
    #[test]
    fn bitfields_round_trip(slots in prop::collection::btree_set(0usize..1024, 0..60)) {
        let fanout = Fanout::new(1024).unwrap();
        let mut field = Bitfield::empty();
        slots.iter().for_each(|&slot| field.set(slot));
        let mut bytes = Vec::new();
        field.write_to(&mut bytes);
        prop_assert_eq!(Bitfield::from_bytes(&bytes, fanout), Ok(field));
        prop_assert_ne!(bytes.first(), Some(&0));
        prop_assert_eq!(field.count(), slots.len());
        prop_assert_eq!(field.slots().collect::<Vec<_>>(), Vec::from_iter(slots.iter().copied()));
        for slot in 0..1024 {
            prop_assert_eq!(field.contains(slot), slots.contains(&slot));
            prop_assert_eq!(field.count_below(slot), slots.range(..slot).count());
        }
    }

    #[test]
    fn no_shard_makes_the_decoder_panic(
        fanout in prop_oneof![Just(8u64), Just(256), Just(1024), any::<u64>()],
        bitfield in prop::collection::vec(any::<u8>(), 0..200),
        names in prop::collection::vec("[0-9A-F]{0,5}", 0..20),
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let _ = decode(shard(fanout, &bitfield, &names));
    }
}
