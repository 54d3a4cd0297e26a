use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ipfs_kit_blockstore::varint;
use libp2p::PeerId;

use crate::keys::{KeyFormat, KeyType, PrivateKey, parse_peer_id};
use crate::names::record::{MAX_RECORD_LEN, NewRecord, Record, RecordError, Unverified, better};

/// 2026-11-26, a day on which the records of Kubo were valid.
fn today() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_651_200)
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name)
}

fn read(path: &Path) -> Bytes {
    std::fs::read(path).unwrap().into()
}

#[test]
fn the_specifications_vectors_have_their_verdicts() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder("ipns_records")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (name, case) = stem.split_once('_').unwrap();
        let verdict = Record::validate(read(&path), &parse_peer_id(name).unwrap(), today());
        match case {
            "v1" => assert_eq!(verdict.unwrap_err(), RecordError::NoSignature),
            "v1-v2-broken-v1-value" => {
                assert_eq!(verdict.unwrap_err(), RecordError::Mismatch("Value"));
            }
            "v1-v2-broken-signature-v2" => assert_eq!(verdict.unwrap_err(), RecordError::Signature),
            "v1-v2" => {
                let value = "/ipfs/bafkqaddwgevxmmraojswg33smq";
                assert_eq!(verdict.unwrap().value(), value);
            }
            "v1-v2-broken-signature-v1" => {
                let value = "/ipfs/bafkqahtwgevxmmrao5uxi2bamjzg623fnyqhg2lhnzqxi5lsmuqhmmi";
                assert_eq!(verdict.unwrap().value(), value);
            }
            "v2" => assert!(!verdict.unwrap().v1_compatible()),
            other => panic!("{other}"),
        }
        count += 1;
    }
    assert_eq!(count, 6);
}

#[test]
fn records_of_the_gateway_suite_are_valid() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder("gateway-conformance")).unwrap() {
        let path = entry.unwrap().path();
        let name = parse_peer_id(path.file_stem().unwrap().to_str().unwrap()).unwrap();
        let record = Record::validate(read(&path), &name, today()).unwrap();
        assert!(record.value().starts_with("/ip"), "{}", record.value());
        count += 1;
    }
    assert_eq!(count, 6);
}

#[test]
fn records_of_kubo_are_read_and_made_again_byte_by_byte() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder("kubo-0.43.0")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().unwrap() != "ipns-record" {
            continue;
        }
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (kind, form) = stem.split_once('-').unwrap();
        let key = read(&folder("kubo-0.43.0").join(format!("{kind}.key")));
        let key = KeyFormat::Protobuf.read(&key).unwrap();
        let theirs = Record::validate(read(&path), &key.peer_id(), today()).unwrap();
        assert_eq!(theirs.v1_compatible(), form == "v1-v2");
        let ours = NewRecord {
            value: theirs.value().to_owned(),
            sequence: theirs.sequence(),
            eol: theirs.eol(),
            ttl: theirs.ttl().unwrap(),
            v1_compatible: theirs.v1_compatible(),
        };
        assert_eq!(Record::create(&key, &ours).unwrap(), theirs, "{stem}");
        let later = today() + Duration::from_secs(3 * 86_400);
        let expired = Record::validate(read(&path), &key.peer_id(), later);
        assert!(matches!(expired, Err(RecordError::Expired(_))));
        Record::validate_expired(read(&path), &key.peer_id()).unwrap();
        count += 1;
    }
    assert_eq!(count, 4);
}

/// What can be wrong with a record, in the order in which it must be found. Some hide others: a bit is only looked at
/// when those before are not set.
const FAULTS: [&str; 16] = [
    "size",
    "protobuf",
    "no-signature",
    "no-data",
    "bad-key",
    "foreign-key",
    "cbor",
    "signature",
    "value",
    "validity",
    "type-field",
    "sequence",
    "ttl-field",
    "type",
    "time",
    "expired",
];

/// Writers of their own, so that the expectation does not rest on the code under test.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint::write(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    let mut value = value;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn cbor_head(out: &mut Vec<u8>, major: u8, value: u64) {
    let major = major << 5;
    match value {
        0..=23 => out.push(major | value as u8),
        24..=0xff => out.extend([major | 24, value as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend((value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend((value as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend(value.to_be_bytes());
        }
    }
}

struct Keys {
    own: PrivateKey,
    foreign: PrivateKey,
}

fn is_set(faults: u32, name: &str) -> bool {
    let bit = FAULTS.iter().position(|fault| *fault == name).unwrap();
    faults >> bit & 1 == 1
}

fn document(faults: u32, value: &[u8], validity: &[u8], sequence: u64) -> Vec<u8> {
    let validity_type = u64::from(is_set(faults, "type"));
    let mut data = Vec::new();
    cbor_head(&mut data, 5, 5);
    let mut entry = |name: &str, major: u8, value: u64, bytes: &[u8]| {
        cbor_head(&mut data, 3, name.len() as u64);
        data.extend_from_slice(name.as_bytes());
        cbor_head(&mut data, major, value);
        data.extend_from_slice(bytes);
    };
    entry("TTL", 0, 300_000_000_000, &[]);
    entry("Value", 2, value.len() as u64, value);
    entry("Sequence", 0, sequence, &[]);
    entry("Validity", 2, validity.len() as u64, validity);
    entry("ValidityType", 0, validity_type, &[]);
    if is_set(faults, "cbor") {
        data.push(0);
    }
    data
}

fn mutated(keys: &Keys, faults: u32, v1: bool, sequence: u64) -> Vec<u8> {
    let has = |name: &str| is_set(faults, name);
    let value = b"/ipfs/bafkqaaa".as_slice();
    let validity = match (has("time"), has("expired")) {
        (true, _) => b"tomorrow".as_slice(),
        (_, true) => b"2026-11-25T23:59:59.999999999Z",
        _ => b"2026-11-26T00:00:00.000000001Z",
    };
    let validity_type = u64::from(has("type"));
    let data = document(faults, value, validity, sequence);
    let signer = if has("signature") {
        &keys.foreign
    } else {
        &keys.own
    };
    let signature = signer
        .sign_raw(&[b"ipns-signature:", &data[..]].concat())
        .unwrap();

    let mut out = Vec::new();
    if v1 {
        field(
            &mut out,
            1,
            if has("value") { b"/ipfs/other" } else { value },
        );
        field(&mut out, 2, b"any signature of version 1");
        number(&mut out, 3, validity_type ^ u64::from(has("type-field")));
        field(
            &mut out,
            4,
            if has("validity") { b"other" } else { validity },
        );
        number(&mut out, 5, sequence ^ u64::from(has("sequence")));
        number(&mut out, 6, 300_000_000_000 + u64::from(has("ttl-field")));
    }
    if has("bad-key") {
        field(&mut out, 7, b"no key");
    } else if has("foreign-key") {
        field(&mut out, 7, &keys.foreign.public().encode_protobuf());
    } else if sequence.is_multiple_of(2) || keys.own.kind() == KeyType::Rsa {
        field(&mut out, 7, &keys.own.public().encode_protobuf());
    }
    if !has("no-signature") {
        field(&mut out, 8, &signature);
    }
    if !has("no-data") {
        field(&mut out, 9, &data);
    }
    // Unknown fields do not count, up to the last byte that is allowed.
    let whole = MAX_RECORD_LEN - out.len() - 5 + usize::from(has("size"));
    if has("size") || sequence.is_multiple_of(5) {
        field(&mut out, 15, &vec![7; whole + 2]);
    }
    if has("protobuf") {
        let last = out.len() - 1;
        out.truncate(last);
        out.splice(0..0, [0xff; 1]);
    }
    out
}

fn expected(faults: u32, v1: bool) -> Option<&'static str> {
    let v1_only = ["value", "validity", "type-field", "sequence", "ttl-field"];
    FAULTS.into_iter().enumerate().find_map(|(bit, fault)| {
        (faults >> bit & 1 == 1 && (v1 || !v1_only.contains(&fault))).then_some(fault)
    })
}

fn fault_of(error: &RecordError) -> &'static str {
    match error {
        RecordError::TooLarge(_) => "size",
        RecordError::Protobuf(_) => "protobuf",
        RecordError::NoSignature => "no-signature",
        RecordError::NoData => "no-data",
        RecordError::BadPublicKey(_) => "bad-key",
        RecordError::ForeignPublicKey => "foreign-key",
        RecordError::Cbor(_) => "cbor",
        RecordError::Signature => "signature",
        RecordError::Mismatch("Value") => "value",
        RecordError::Mismatch("Validity") => "validity",
        RecordError::Mismatch("ValidityType") => "type-field",
        RecordError::Mismatch("Sequence") => "sequence",
        RecordError::Mismatch("TTL") => "ttl-field",
        RecordError::ValidityType => "type",
        RecordError::Validity(_) => "time",
        RecordError::Expired(_) => "expired",
        other => panic!("{other:?}"),
    }
}

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn check_mutations(kind: KeyType, rounds: u32) {
    let make = || PrivateKey::generate(kind, None).unwrap();
    let keys = Keys {
        own: make(),
        foreign: make(),
    };
    let mut rng = Rng(0x1234_5678_9abc_def1);
    let mut seen = std::collections::BTreeMap::new();
    for round in 0..rounds {
        // None, one or two faults at a time: with more, the late ones would never be reached.
        let mut faults = 0_u32;
        for _ in 0..rng.next() % 3 {
            faults |= 1 << (rng.next() % FAULTS.len() as u64);
        }
        let (v1, sequence) = (
            rng.next().is_multiple_of(2),
            rng.next() >> (rng.next() % 64),
        );
        let bytes = Bytes::from(mutated(&keys, faults, v1, sequence));
        let verdict = Record::validate(bytes, &keys.own.peer_id(), today());
        let expected = expected(faults, v1);
        let got = verdict.as_ref().err().map(fault_of);
        assert_eq!(
            got, expected,
            "round {round}, faults {faults:016b}, v1 {v1}"
        );
        if let Ok(record) = verdict {
            assert_eq!(
                (record.sequence(), record.value()),
                (sequence, "/ipfs/bafkqaaa")
            );
        }
        *seen.entry(expected).or_insert(0) += 1;
    }
    assert_eq!(
        seen.len(),
        FAULTS.len() + 1,
        "every fault was seen: {seen:?}"
    );
}

#[test]
fn ten_thousand_mutated_records_fail_at_the_right_step() {
    check_mutations(KeyType::Ed25519, 10_000);
}

#[test]
fn mutated_records_of_the_other_key_types_fail_at_the_right_step() {
    check_mutations(KeyType::Secp256k1, 1_000);
    check_mutations(KeyType::Rsa, 1_000);
}

#[test]
fn flipped_bytes_never_change_what_a_valid_record_says() {
    let key = PrivateKey::generate(KeyType::Ed25519, None).unwrap();
    let keys = Keys {
        foreign: key.clone(),
        own: key,
    };
    let name = keys.own.peer_id();
    let bytes = mutated(&keys, 0, true, 7);
    let original = Record::validate(bytes.clone().into(), &name, today()).unwrap();
    let mut rng = Rng(99);
    let mut valid = 0;
    for _ in 0..10_000 {
        let mut bytes = bytes.clone();
        for _ in 0..=rng.next() % 2 {
            let at = (rng.next() % bytes.len() as u64) as usize;
            bytes[at] ^= 1 << (rng.next() % 8);
        }
        if let Ok(record) = Record::validate(bytes.into(), &name, today()) {
            valid += 1;
            let said = |record: &Record| {
                (
                    record.value().to_owned(),
                    record.sequence(),
                    record.eol(),
                    record.ttl(),
                )
            };
            assert_eq!(said(&record), said(&original));
        }
    }
    assert!(valid > 100, "signatures of version 1 do not count: {valid}");
    for len in 0..bytes.len() {
        assert!(Record::validate(bytes[..len].to_vec().into(), &name, today()).is_err());
    }
}

fn record(key: &PrivateKey, sequence: u64, seconds: u64, value: &str) -> Record {
    let new = NewRecord {
        value: value.to_owned(),
        sequence,
        eol: today() + Duration::from_secs(seconds),
        ttl: Duration::ZERO,
        v1_compatible: false,
    };
    Record::create(key, &new).unwrap()
}

#[test]
fn the_better_record_is_the_same_for_everybody() {
    let key = PrivateKey::generate(KeyType::Ed25519, None).unwrap();
    let make = |sequence, seconds, value| record(&key, sequence, seconds, value);
    let (a, b) = (make(1, 9, "/ipfs/a"), make(2, 1, "/ipfs/a"));
    assert!(better(&b, &a).is_gt() && better(&a, &b).is_lt());
    let (a, b) = (make(2, 1, "/ipfs/b"), make(2, 2, "/ipfs/a"));
    assert!(better(&b, &a).is_gt());
    let (a, b) = (make(2, 1, "/ipfs/a"), make(2, 1, "/ipfs/b"));
    assert_eq!(better(&a, &b), a.bytes().cmp(b.bytes()));
    assert!(better(&a, &a).is_eq());
}

#[test]
fn limits_of_what_is_made() {
    let key = PrivateKey::generate(KeyType::Ed25519, None).unwrap();
    let name: PeerId = key.peer_id();
    let new = |value: String, eol| NewRecord {
        value,
        sequence: u64::MAX,
        eol,
        ttl: Duration::MAX,
        v1_compatible: true,
    };
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let made = Record::create(&key, &new("/ipfs/bafkqaaa".to_owned(), far)).unwrap();
    let read = Record::validate(made.bytes().clone(), &name, today()).unwrap();
    assert_eq!((read.sequence(), read.eol()), (u64::MAX, far));
    assert_eq!(read.ttl(), Some(Duration::from_nanos(i64::MAX as u64)));
    let later = far + Duration::from_secs(1);
    let error = Record::create(&key, &new(String::new(), later)).unwrap_err();
    assert!(matches!(error, RecordError::Validity(_)), "{error}");
    let long = "x".repeat(MAX_RECORD_LEN);
    let error = Record::create(&key, &new(long, far)).unwrap_err();
    assert!(matches!(error, RecordError::TooLarge(_)), "{error}");

    let fields = Unverified::decode(made.bytes().clone())
        .unwrap()
        .fields()
        .unwrap();
    assert_eq!(fields.validity.as_deref(), Some("9999-12-31T23:59:59Z"));
    assert_eq!(
        (fields.signatures, fields.validity_type),
        ("V1+V2", Some(0))
    );
}
