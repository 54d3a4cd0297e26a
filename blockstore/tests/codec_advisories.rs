//! One test for each known bug of other IPFS implementations in these decoders: what the bytes did
//! there, and that they do nothing here. A counting allocator watches what a refusal costs.

#![allow(unsafe_code)]
// The functions that tests share are tests too.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ipfs_kit_blockstore::car::{CarError, CarLimits, CarReader, header_v1};
use ipfs_kit_blockstore::cid::{Cid, CidError, Multihash};
use ipfs_kit_blockstore::codec::dag_cbor::CborError;
use ipfs_kit_blockstore::codec::dag_json::JsonError;
use ipfs_kit_blockstore::codec::dag_pb::{self, DagPbError, PbNode};
use ipfs_kit_blockstore::codec::{self, CodecError, DAG_CBOR, DAG_JSON, DAG_PB, RAW, dag_cbor};
use ipfs_kit_blockstore::hash::{HashError, HashFunction, HashSpec};
use ipfs_kit_blockstore::{Block, BlockError};

struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no counter any more; what it allocates then is not of interest.
        let _ = ALLOCATED.try_with(|sum| sum.set(sum.get() + layout.size()));
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The bytes that `work` allocates, those that it frees included.
fn allocated<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATED.get();
    let result = work();
    (result, ALLOCATED.get() - before)
}

/// Decodes and walks `data`, and asserts that it costs little.
fn refused(codec: u64, data: Vec<u8>) -> CodecError {
    let data = Bytes::from(data);
    let started = Instant::now();
    let (result, bytes) = allocated(|| codec::decode(codec, &data));
    assert!(
        bytes <= 4 * data.len() + (64 << 10),
        "{bytes} bytes allocated"
    );
    let (_, bytes) = allocated(|| codec::links(codec, &data, &mut |_| ()));
    assert!(
        bytes <= 4 * data.len() + (64 << 10),
        "{bytes} bytes allocated by links"
    );
    assert!(started.elapsed() < Duration::from_secs(1));
    result.unwrap_err()
}

/// CVE-2022-2584: go-codec-dagpb panicked on blocks that end inside a field.
#[test]
fn cve_2022_2584_dag_pb_that_ends_early() {
    let whole = PbNode {
        links: vec![dag_pb::PbLink {
            cid: "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
                .parse()
                .unwrap(),
            name: Some(Bytes::from_static(b"name")),
            tsize: Some(300),
        }],
        data: Some(Bytes::from_static(b"data")),
    }
    .encode();
    let mut accepted = 0;
    for cut in 0..whole.len() {
        let data = Bytes::copy_from_slice(&whole[..cut]);
        let (decoded, links) = (
            PbNode::decode(&data),
            dag_pb::links(&data).collect::<Result<Vec<_>, _>>(),
        );
        assert_eq!(decoded.is_ok(), links.is_ok());
        accepted += usize::from(decoded.is_ok());
    }
    // The empty node, and the one that ends after its link.
    assert_eq!(accepted, 2);
    for bytes in [
        &b"\x0a"[..],
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x12\x05\x0a\x22",
    ] {
        let error = refused(DAG_PB, bytes.to_vec());
        assert_eq!(error, CodecError::DagPb(DagPbError::Truncated));
    }
}

/// A second Data field: `ipld-dagpb` kept the last one, go-codec-dagpb refuses the block.
#[test]
fn dag_pb_with_data_twice() {
    let error = refused(DAG_PB, b"\x0a\x01a\x0a\x01b".to_vec());
    assert_eq!(error, CodecError::DagPb(DagPbError::Duplicate("Data")));
    assert!(dag_pb::data(b"\x0a\x01a\x0a\x01b").is_err());
}

#[test]
fn dag_pb_fields_out_of_place() {
    let cid = "\x0a\x22\x12\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let link = |fields: String| [&[0x12, fields.len() as u8], fields.as_bytes()].concat();
    let cases = [
        (link(format!("{cid}{cid}")), DagPbError::Duplicate("Hash")),
        (
            link(format!("{cid}\x12\x01a\x12\x01b")),
            DagPbError::Duplicate("Name"),
        ),
        (
            link(format!("{cid}\x18\x01\x18\x01")),
            DagPbError::Duplicate("Tsize"),
        ),
        (
            link(format!("\x12\x01a{cid}")),
            DagPbError::Order {
                found: "Name",
                missing: "Hash",
            },
        ),
        (
            link(format!("{cid}\x18\x01\x12\x01a")),
            DagPbError::Order {
                found: "Tsize",
                missing: "Name",
            },
        ),
        (link(format!("{cid}\x20\x01")), DagPbError::LinkField(4)),
        (
            link(format!("{cid}\x1a\x01a")),
            DagPbError::WireType {
                field: "Tsize",
                wire: 2,
            },
        ),
        (b"\x1a\x01a".to_vec(), DagPbError::NodeField(3)),
        (
            b"\x08\x01".to_vec(),
            DagPbError::WireType {
                field: "the node",
                wire: 0,
            },
        ),
        (b"\x02\x01a".to_vec(), DagPbError::FieldNumber(0)),
        (
            link("\x0a\x23\x12\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab".to_owned()),
            DagPbError::Hash(CidError::TrailingBytes(1)),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(refused(DAG_PB, bytes), CodecError::DagPb(expected));
    }
    // Data before the links is the form of old nodes.
    let old = Bytes::from([b"\x0a\x01a".to_vec(), link(cid.to_owned())].concat());
    let node = PbNode::decode(&old).unwrap();
    assert_eq!(
        (node.links.len(), node.data.as_deref()),
        (1, Some(&b"a"[..]))
    );
}

/// CVE-2026-42328: about 2 MB of `0x81` overflowed the stack of go-ipld-prime.
#[test]
fn cve_2026_42328_cbor_depth_bomb() {
    for (byte, len) in [(0x81_u8, 2 << 20), (0xa1, 2 << 20), (0x81, 1025)] {
        let error = refused(DAG_CBOR, vec![byte; len]);
        let deep = error == CodecError::Cbor(CborError::TooDeep);
        assert!(
            deep || error == CodecError::Cbor(CborError::KeyKind),
            "{error}"
        );
    }
    // A map in a map in a map, with empty keys.
    let error = refused(DAG_CBOR, b"\xa1\x60".repeat(1 << 20));
    assert_eq!(error, CodecError::Cbor(CborError::TooDeep));
    let deepest = Bytes::from([vec![0x81; 1024], vec![0x00]].concat());
    let value = codec::decode(DAG_CBOR, &deepest).unwrap();
    assert_eq!(codec::encode(DAG_CBOR, &value).unwrap(), deepest);
    codec::links(DAG_CBOR, &deepest, &mut |_| ()).unwrap();
    codec::encode(DAG_JSON, &value).unwrap();
}

/// The same in dag-json.
#[test]
fn cve_2026_42328_json_depth_bomb() {
    for (text, len) in [
        ("[", 2 << 20),
        (r#"{"":"#, 1 << 19),
        (r#"{"/":"#, 1 << 19),
        ("[", 1025),
    ] {
        let error = refused(DAG_JSON, text.repeat(len).into_bytes());
        assert_eq!(error, CodecError::Json(JsonError::TooDeep));
    }
    let deepest = Bytes::from(format!("{}{}", "[".repeat(1024), "]".repeat(1024)));
    let value = codec::decode(DAG_JSON, &deepest).unwrap();
    assert_eq!(codec::encode(DAG_JSON, &value).unwrap(), deepest);
}

/// CVE-2026-35480: go-ipld-prime allocated what a cbor header announced.
#[test]
fn cve_2026_35480_cbor_header_allocation() {
    for head in [0x5b_u8, 0x7b, 0x9b, 0xbb] {
        for announced in [u64::MAX, 1 << 62, 1 << 40, u64::from(u32::MAX) + 1] {
            let error = refused(DAG_CBOR, [&[head][..], &announced.to_be_bytes()].concat());
            let cheap = [CborError::Truncated, CborError::TooLarge].map(CodecError::Cbor);
            assert!(cheap.contains(&error), "{error}");
        }
    }
    // Lists in lists that each announce what could just be there.
    let nested = [0x9a, 0x00, 0x08, 0x00, 0x00].repeat(1 << 17);
    let data = Bytes::from(nested);
    let (result, bytes) = allocated(|| codec::decode(DAG_CBOR, &data));
    assert!(result.is_err() && bytes < 64 << 20, "{bytes}");
}

/// A block of small values must not grow without bound in memory.
#[test]
fn cbor_of_many_small_values_is_bounded() {
    let mut data = vec![0x9a, 0x00, 0x3f, 0xff, 0xf0];
    data.resize(4 << 20, 0x00);
    let (result, bytes) = allocated(|| codec::decode(DAG_CBOR, &Bytes::from(data)));
    assert_eq!(result, Err(CodecError::Cbor(CborError::TooLarge)));
    assert!(bytes < 256 << 20, "{bytes}");
}

#[test]
fn cbor_forms_that_dag_cbor_does_not_have() {
    for (bytes, error) in [
        (&b"\x18\x17"[..], CborError::NotMinimal),
        (b"\x19\x00\xff", CborError::NotMinimal),
        (
            b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff",
            CborError::NotMinimal,
        ),
        (b"\x78\x01a", CborError::NotMinimal),
        (b"\x5f\x41a\xff", CborError::Indefinite),
        (b"\x9f\xff", CborError::Indefinite),
        (b"\xbf\xff", CborError::Indefinite),
        (b"\xff", CborError::Indefinite),
        (b"\xc0\x60", CborError::Tag(0)),
        (b"\xd8\x2a\x41\x01", CborError::LinkForm),
        (b"\xd8\x2a\x40", CborError::LinkForm),
        (b"\xd8\x2a\x61a", CborError::LinkForm),
        (b"\xf9\x7e\x00", CborError::NotFinite),
        (
            b"\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00",
            CborError::NotFinite,
        ),
        (b"\xf8\x20", CborError::Invalid(0xf8)),
        (b"\x1c", CborError::Invalid(0x1c)),
        (b"\xa1\x00\x00", CborError::KeyKind),
        (b"\x61\xff", CborError::Utf8),
        (
            b"\xa2\x61a\x00\x61a\x01",
            CborError::DuplicateKey("a".to_owned()),
        ),
        (b"\x00\x00", CborError::TrailingBytes),
        (b"", CborError::Truncated),
    ] {
        assert_eq!(dag_cbor::decode(bytes), Err(error.clone()), "{bytes:x?}");
        assert_eq!(dag_cbor::decode_canonical(bytes), Err(error), "{bytes:x?}");
    }
    for (bytes, error) in [
        (&b"\xa2\x61b\x00\x61a\x01"[..], CborError::KeyOrder),
        (b"\xa2\x62aa\x00\x61b\x01", CborError::KeyOrder),
        (b"\xf7", CborError::NotCanonical),
        (b"\xf9\x3c\x00", CborError::NotCanonical),
        (b"\xfa\x3f\x80\x00\x00", CborError::NotCanonical),
    ] {
        assert!(dag_cbor::decode(bytes).is_ok(), "{bytes:x?}");
        assert_eq!(dag_cbor::decode_canonical(bytes), Err(error), "{bytes:x?}");
    }
    let link = b"\xd8\x2a\x45\x00\x01\x55\x00\x00";
    assert!(dag_cbor::decode(link).is_ok());
    assert_eq!(dag_cbor::decode_plain(link), Err(CborError::Tag(42)));
}

/// GHSA-9x4h-8wgm-8xfg: go-car panicked on malformed files and allocated what they announced.
#[test]
fn ghsa_9x4h_8wgm_8xfg_malformed_car() {
    let open = |bytes: &[u8]| CarReader::new(bytes, CarLimits::default()).map(drop);
    let (result, bytes) = allocated(|| open(b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"));
    assert!(matches!(result, Err(CarError::TooLong { .. })) && bytes < 4096);
    let (result, bytes) = allocated(|| open(b"\x80\x80\x41"));
    assert!(matches!(result, Err(CarError::TooLong { .. })) && bytes < 4096);
    assert!(matches!(
        open(b"\x00"),
        Err(CarError::ZeroLength { offset: 0 })
    ));
    assert!(matches!(open(b"\x01\xf6"), Err(CarError::Header(_))));
    assert!(matches!(
        open(b"\x0a\xa1gversion\x03"),
        Err(CarError::Header(_))
    ));
    assert!(matches!(
        open(b"\x0a\xa1gversion\x01"),
        Err(CarError::Header(_))
    ));
    assert!(matches!(open(b""), Err(CarError::Empty)));

    let section = |bytes: &[u8]| {
        let car = [header_v1(&[]), bytes.to_vec()].concat();
        let mut reader = CarReader::new(car.as_slice(), CarLimits::default()).unwrap();
        let first = reader.next().unwrap().unwrap_err();
        assert!(reader.next().is_none(), "an error ends the file");
        first
    };
    assert!(matches!(
        section(b"\x00"),
        CarError::ZeroLength { offset: 18 }
    ));
    assert!(matches!(
        section(b"\x80\x80\x80\x02"),
        CarError::Truncated { .. }
    ));
    assert!(matches!(
        section(b"\x81\x80\x80\x02"),
        CarError::TooLong { .. }
    ));
    assert!(matches!(
        section(b"\x05\x01\x55"),
        CarError::Truncated { .. }
    ));
    assert!(matches!(section(b"\x03\x01\x55\x12"), CarError::Cid { .. }));
    assert!(matches!(section(b"\x80\x00"), CarError::Length { .. }));
    assert!(matches!(section(b"\x80"), CarError::Truncated { .. }));
}

/// boxo#1018, IPIP-512: identity CIDs of any size.
#[test]
fn boxo_1018_identity_cid_over_128_bytes() {
    let spec = HashSpec::from(HashFunction::IDENTITY);
    assert_eq!(spec.digest(&[7; 128]).unwrap().digest(), [7; 128]);
    assert_eq!(spec.digest(&[7; 129]), Err(HashError::IdentityTooLong(129)));
    assert!(Multihash::new(0, &[7; 128]).is_ok());
    assert!(matches!(
        Multihash::new(0, &[7; 129]),
        Err(CidError::DigestTooLarge { .. })
    ));
    let cid = |len: usize| {
        [
            &[0x01, 0x55, 0x00, (len % 128) as u8 | 0x80, 0x01][..],
            &vec![7; len],
        ]
        .concat()
    };
    assert!(Cid::try_from(cid(128).as_slice()).unwrap().check().is_ok());
    assert!(matches!(
        Cid::try_from(cid(129).as_slice()),
        Err(CidError::DigestTooLarge { .. })
    ));
}

/// The `cid` crate took bytes after a CID for part of it.
#[test]
fn cid_with_trailing_bytes() {
    let cid = Cid::v1(RAW, HashSpec::default().digest(b"x").unwrap());
    for cid in [cid.clone(), Cid::v0(cid.into_hash()).unwrap()] {
        let mut bytes = cid.to_bytes();
        bytes.push(0);
        assert_eq!(
            Cid::try_from(bytes.as_slice()),
            Err(CidError::TrailingBytes(1))
        );
        assert_eq!(Cid::read(&bytes), Ok((cid, bytes.len() - 1)));
        let text = ipfs_kit_blockstore::cid::Base::Base16Lower.encode(&bytes);
        assert_eq!(
            format!("f{text}").parse::<Cid>(),
            Err(CidError::TrailingBytes(1))
        );
    }
}

/// The `cid` crate took sha2-256 with a digest of two bytes: a collision is found at once.
#[test]
fn sha2_256_with_two_byte_digest() {
    let short = Cid::try_from(&b"\x01\x55\x12\x02\xe3\xb0"[..]).unwrap();
    assert!(matches!(
        short.check(),
        Err(CidError::DigestTooSmall { .. })
    ));
    assert!(matches!(
        Multihash::new(0x12, b"\xe3\xb0"),
        Err(CidError::DigestTooSmall { .. })
    ));
    // The digest of nothing does begin with these bytes.
    let block = Block::verified(short, Bytes::new());
    assert!(matches!(
        block,
        Err(BlockError::Cid(CidError::DigestTooSmall { .. }))
    ));
    assert!(HashSpec::new(HashFunction::SHA2_256, Some(2)).is_err());
    assert!(HashSpec::new(HashFunction::SHA2_256, Some(33)).is_err());
}

#[test]
fn hash_functions_that_may_not_name_data() {
    for (code, name) in [
        (0xd5, "md5"),
        (0x18, "shake-128"),
        (0x22, "murmur3-x64-64"),
        (0xb201 + 18, "blake2b-152"),
    ] {
        let hash = Multihash::new(code, &[0; 20]);
        assert_eq!(hash, Err(CidError::HashNotAllowed(name.to_owned())));
        assert!(HashFunction::from_name(name).is_err());
    }
}

#[test]
fn overlong_varints_in_a_cid() {
    for bytes in [
        &b"\x81\x00\x55\x00\x00"[..],
        b"\x01\xd5\x00\x00\x00",
        b"\x01\x55\x80\x00\x00",
        b"\x01\x55\x00\x80\x00",
    ] {
        assert!(
            matches!(Cid::try_from(bytes), Err(CidError::Varint(_))),
            "{bytes:x?}"
        );
    }
    assert!(matches!(
        Cid::try_from(&b"\x02\x55\x00\x00"[..]),
        Err(CidError::Version(2))
    ));
}

/// Text of a base that is no power of two costs the square of its length.
#[test]
fn very_long_cid_text() {
    let started = Instant::now();
    for prefix in ["z", "k", "9", "b", "0"] {
        let text = format!("{prefix}{}", "1".repeat(1 << 20));
        assert!(matches!(text.parse::<Cid>(), Err(CidError::TextTooLong(_))));
    }
    assert!(started.elapsed() < Duration::from_secs(1));
}

/// Links of a dag-pb block are visited without an allocation.
#[test]
fn links_of_dag_pb_and_dag_cbor_allocate_nothing() {
    let cid: Cid = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
        .parse()
        .unwrap();
    let link = dag_pb::PbLink {
        cid: cid.clone(),
        name: Some(Bytes::new()),
        tsize: Some(262_158),
    };
    let node = PbNode {
        links: vec![link; 174],
        data: Some(Bytes::from(vec![8; 900])),
    }
    .encode();
    let list = codec::Value::List(vec![codec::Value::link(cid); 174]);
    for (codec, data) in [(DAG_PB, node), (DAG_CBOR, dag_cbor::encode(&list).unwrap())] {
        let mut count = 0;
        let (result, bytes) = allocated(|| codec::links(codec, &data, &mut |_| count += 1));
        assert_eq!((result, count, bytes), (Ok(()), 174, 0));
    }
}
