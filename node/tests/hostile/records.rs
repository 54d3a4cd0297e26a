//! What broken bytes of an IPNS record cost.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ipfs_kit_node::names::record::{MAX_RECORD_LEN, NewRecord, Record, RecordError, Unverified};
use ipfs_kit_node::{KeyType, PrivateKey};

use crate::ALONE;
use crate::memory::allocated;

/// For messages of errors and what the libraries of the keys need.
const ROOM: usize = 64 << 10;

fn samples() -> Vec<(PrivateKey, Record)> {
    let mut samples = Vec::new();
    for kind in [KeyType::Ed25519, KeyType::Secp256k1] {
        for v1_compatible in [true, false] {
            let key = PrivateKey::generate(kind, None).unwrap();
            let new = NewRecord {
                value: "/ipfs/bafkqaaa".to_owned(),
                sequence: u64::from(u32::MAX) + 1,
                eol: SystemTime::now() + Duration::from_secs(3600),
                ttl: Duration::from_secs(300),
                v1_compatible,
            };
            let record = Record::create(&key, &new).unwrap();
            samples.push((key, record));
        }
    }
    samples
}

/// Validates and asserts what it costs, everything that is freed again included.
fn validate(key: &PrivateKey, bytes: &[u8]) -> Result<Record, RecordError> {
    let copy = Bytes::copy_from_slice(bytes);
    let name = key.peer_id();
    let ((fields, verdict), cost) = allocated(|| {
        let read = Unverified::decode(copy.clone());
        let fields = read.and_then(|read| read.fields());
        (fields, Record::validate(copy, &name, SystemTime::now()))
    });
    assert!(
        cost <= 8 * bytes.len() + ROOM,
        "{cost} bytes allocated for {}",
        bytes.len()
    );
    // Whatever is valid can be shown.
    assert!(verdict.is_err() || fields.is_ok());
    verdict
}

#[test]
fn records_are_cut_at_every_byte() {
    let _alone = ALONE.blocking_lock();
    let mut cases = 0;
    for (key, record) in samples() {
        let whole = record.bytes();
        assert_eq!(validate(&key, whole).unwrap(), record);
        for cut in 0..whole.len() {
            let verdict = validate(&key, &whole[..cut]);
            assert!(verdict.is_err(), "{cut} of {}: {verdict:?}", whole.len());
            cases += 1;
        }
    }
    assert!(cases > 800, "{cases}");
}

/// A byte that is another one, or a number that is written longer, never says something else.
#[test]
fn records_are_changed_at_every_byte() {
    let _alone = ALONE.blocking_lock();
    let overlong: [&[u8]; 4] = [&[0xff; 10], &[0x80; 11], &[0xff; 11], &[0x80, 0x80, 0x00]];
    let mut refused = 0;
    for (key, record) in samples() {
        let whole = record.bytes();
        for at in 0..whole.len() {
            let mut all = Vec::new();
            for change in [1, 0x80, 0xff] {
                let mut changed = whole.to_vec();
                changed[at] ^= change;
                all.push(changed);
            }
            for with in overlong {
                all.push([&whole[..at], with, &whole[at + 1..]].concat());
            }
            for changed in all {
                match validate(&key, &changed) {
                    // What repeats the content for old readers may be missing, and nothing else.
                    Ok(other) => {
                        assert_eq!(other.value(), record.value(), "{at}");
                        assert_eq!(other.sequence(), record.sequence(), "{at}");
                        assert_eq!(other.eol(), record.eol(), "{at}");
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(refused > 4000, "{refused}");
}

#[test]
fn records_that_are_too_long_are_not_read() {
    let _alone = ALONE.blocking_lock();
    let (key, record) = samples().remove(0);
    for len in [MAX_RECORD_LEN + 1, 1 << 20] {
        let mut long = record.bytes().to_vec();
        long.resize(len, 0);
        let (verdict, cost) = allocated(|| {
            let bytes = Bytes::from(std::mem::take(&mut long));
            Record::validate(bytes, &key.peer_id(), SystemTime::now())
        });
        assert!(matches!(verdict, Err(RecordError::TooLarge(_))));
        assert!(cost <= 1 << 10, "{cost}");
    }
}
