//! IPNS records: no panic; what is valid can be shown, and comes from its key.
//!
//! The first byte chooses what the bytes are. Nobody guesses a signature, so the rules behind it are reached by records
//! that the target signs itself, with the bytes as their document.
#![no_main]
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ipfs_kit_ipns::{NewRecord, Record, RecordError, Signer, Unverified, better};
use libfuzzer_sys::fuzz_target;
use libp2p_identity::{Keypair, PublicKey};

struct Key(Keypair);

impl Signer for Key {
    fn public(&self) -> PublicKey {
        self.0.public()
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.0.sign(message).ok()
    }
}

/// The same in every run.
static KEY: LazyLock<Key> =
    LazyLock::new(|| Key(Keypair::ed25519_from_bytes([7; 32]).expect("32 bytes are a key")));

/// A protobuf field of bytes.
fn field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    let mut len = bytes.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(bytes);
}

/// A record whose document is `data`, signed, with `rest` as it is.
fn signed(data: &[u8], rest: &[u8]) -> Vec<u8> {
    let signature = KEY.sign(&[b"ipns-signature:", data].concat());
    let mut record = Vec::new();
    field(8, &signature.expect("ed25519 signs"), &mut record);
    field(9, data, &mut record);
    record.extend_from_slice(rest);
    record
}

fn check(bytes: Vec<u8>) {
    let (bytes, name) = (Bytes::from(bytes), KEY.public().to_peer_id());
    let shown = Unverified::decode(bytes.clone()).and_then(|record| record.fields());
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let Ok(record) = Record::validate_expired(bytes.clone(), &name) else {
        assert!(Record::validate(bytes, &name, now).is_err());
        return;
    };
    let shown = shown.expect("a valid record has fields");
    assert_eq!(shown.value.as_deref(), Some(record.value()));
    assert_eq!(record.bytes(), &bytes);
    assert!(better(&record, &record).is_eq());
    match Record::validate(bytes, &name, now) {
        Ok(same) => assert_eq!(same, record),
        Err(error) => {
            assert!(matches!(error, RecordError::Expired(_)), "{error}");
            assert!(record.is_expired(now));
        }
    }
    let again = NewRecord {
        value: record.value().to_owned(),
        sequence: record.sequence(),
        eol: record.eol(),
        ttl: record.ttl().unwrap_or_default(),
        v1_compatible: record.v1_compatible(),
    };
    // Times before 1970 and after 9999 are read and not written.
    if let Ok(made) = Record::create(&*KEY, &again) {
        assert_eq!(made.value(), record.value());
        assert_eq!(made.sequence(), record.sequence());
        assert_eq!(made.eol(), record.eol());
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 3 {
        0 => check(data.to_vec()),
        1 => check(signed(data, &[])),
        _ => {
            let Some((at, data)) = data.split_first() else {
                return;
            };
            let (rest, document) = data.split_at(usize::from(*at).min(data.len()));
            check(signed(document, rest));
        }
    }
});
