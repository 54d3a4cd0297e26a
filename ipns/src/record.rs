//! One record.

use std::cmp::Ordering;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ipfs_kit_blockstore::codec::{Value, dag_cbor};
use libp2p_identity::{PeerId, PublicKey};
use prost::Message;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Signer, inlined_public_key};

/// Largest record that is read or made, in bytes.
pub const MAX_RECORD_LEN: usize = 10 << 10;

const SIGNATURE_PREFIX: &[u8] = b"ipns-signature:";
/// The only validity type: the record is good until its end of life.
const EOL: i32 = 0;

/// Why bytes are no valid record, in the order in which it is found out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Step 1.
    #[error("record of {0} bytes exceeds the limit of {MAX_RECORD_LEN} bytes")]
    TooLarge(usize),
    /// The bytes are no protobuf.
    #[error("record is malformed: {0}")]
    Protobuf(String),
    /// Step 2.
    #[error("record has no V2 signature: records of version 1 alone are not valid")]
    NoSignature,
    /// Step 2.
    #[error("record is malformed: it is missing the dag-cbor data field")]
    NoData,
    /// Step 3.
    #[error("record has a public key that cannot be read: {0}")]
    BadPublicKey(String),
    /// Step 3.
    #[error("record public key does not match the name")]
    ForeignPublicKey,
    /// Step 3.
    #[error("public key is neither in the record nor in the name")]
    NoPublicKey,
    /// Step 4.
    #[error("record data is no dag-cbor map: {0}")]
    Cbor(String),
    /// Step 6.
    #[error("signature verification failed")]
    Signature,
    /// Step 7.
    #[error("field {0:?} did not match between protobuf and CBOR")]
    Mismatch(&'static str),
    /// A field of the document that is missing or of the wrong kind.
    #[error("record data has no usable field {0:?}")]
    Field(&'static str),
    /// Step 8.
    #[error("record has an unrecognized validity type")]
    ValidityType,
    /// Step 8.
    #[error("record validity {0:?} is no RFC 3339 time")]
    Validity(String),
    /// Step 8.
    #[error("record expired at {0}")]
    Expired(String),
    /// A time to live is a span, not a debt.
    #[error("record has a negative TTL")]
    NegativeTtl,
    /// The value of a record is a content path.
    #[error("record value is no text")]
    ValueText,
    /// The key refused to sign.
    #[error("signing the record failed")]
    Signing,
}

/// The message of the specification; all fields are optional on the wire.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(bytes = "bytes", optional, tag = "1")]
    value: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    signature_v1: Option<Bytes>,
    #[prost(int32, optional, tag = "3")]
    validity_type: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    validity: Option<Bytes>,
    #[prost(uint64, optional, tag = "5")]
    sequence: Option<u64>,
    #[prost(uint64, optional, tag = "6")]
    ttl: Option<u64>,
    #[prost(bytes = "bytes", optional, tag = "7")]
    public_key: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "8")]
    signature_v2: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "9")]
    data: Option<Bytes>,
}

/// What a new record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// The content path.
    pub value: String,
    /// Which version of the name this is.
    pub sequence: u64,
    /// When it ends to be valid.
    pub eol: SystemTime,
    /// For how long a reader may cache it.
    pub ttl: Duration,
    /// Repeat everything for readers of version 1, signed their way.
    pub v1_compatible: bool,
}

/// A record whose signature is that of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    bytes: Bytes,
    value: String,
    sequence: u64,
    eol: SystemTime,
    ttl: Option<Duration>,
    v1_compatible: bool,
}

impl Record {
    /// Makes and signs a record.
    ///
    /// # Errors
    /// [`RecordError::TooLarge`] for a value that does not fit, [`RecordError::Validity`] for a time past the year
    /// 9999, [`RecordError::Signing`].
    pub fn create(key: &impl Signer, new: &NewRecord) -> Result<Self, RecordError> {
        let sign = |message: &[u8]| match key.sign(message) {
            Some(signature) => Ok(Some(Bytes::from(signature))),
            None => Err(RecordError::Signing),
        };
        let public = key.public();
        let name = public.to_peer_id();
        let validity = Bytes::from(format_time(new.eol)?);
        let value = Bytes::copy_from_slice(new.value.as_bytes());
        let ttl = i64::try_from(new.ttl.as_nanos()).unwrap_or(i64::MAX);
        let data = encode_data(&value, &validity, new.sequence, ttl)?;
        let inlined = inlined_public_key(&name).is_some();
        let mut entry = Entry {
            public_key: (!inlined).then(|| public.encode_protobuf().into()),
            signature_v2: sign(&[SIGNATURE_PREFIX, &data].concat())?,
            data: Some(data),
            ..Entry::default()
        };
        if new.v1_compatible {
            entry.signature_v1 = sign(&[&value[..], &validity, b"EOL"].concat())?;
            entry.value = Some(value);
            entry.validity_type = Some(EOL);
            entry.validity = Some(validity);
            entry.sequence = Some(new.sequence);
            entry.ttl = u64::try_from(ttl).ok();
        }
        let bytes = Bytes::from(entry.encode_to_vec());
        // What we hand out is read back by the same rules as everybody else's.
        Unverified::decode(bytes)?.verify(&name, None)
    }

    /// Verifies the bytes of a record of `name` in the order of the specification.
    ///
    /// # Errors
    /// The first step that fails.
    pub fn validate(bytes: Bytes, name: &PeerId, now: SystemTime) -> Result<Self, RecordError> {
        Unverified::decode(bytes)?.verify(name, Some(now))
    }

    /// As [`Record::validate`], and a record that has expired is still a record.
    ///
    /// # Errors
    /// The first step that fails.
    pub fn validate_expired(bytes: Bytes, name: &PeerId) -> Result<Self, RecordError> {
        Unverified::decode(bytes)?.verify(name, None)
    }

    /// The record as it goes over the wire.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The content path that the name leads to.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Which version of the name this is.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When it ends to be valid.
    pub fn eol(&self) -> SystemTime {
        self.eol
    }

    /// For how long it may be cached; `None` when it does not say.
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// Whether it repeats its content for readers of version 1.
    pub fn v1_compatible(&self) -> bool {
        self.v1_compatible
    }

    /// Whether it has expired.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        now > self.eol
    }
}

/// Which of two verified records of one name counts: the higher sequence, then the later end of life, then the greater
/// bytes, so that everybody chooses the same one.
pub fn better(a: &Record, b: &Record) -> Ordering {
    (a.sequence, a.eol, &a.bytes).cmp(&(b.sequence, b.eol, &b.bytes))
}

/// A record that can be read and says nothing yet about who made it.
#[derive(Clone, Debug)]
pub struct Unverified {
    bytes: Bytes,
    entry: Entry,
}

/// What a record says about itself, for `name inspect`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFields {
    /// The content path.
    pub value: Option<String>,
    /// The kind of validity; 0 is the only one.
    pub validity_type: Option<i64>,
    /// The end of life as written in the record.
    pub validity: Option<String>,
    /// Which version of the name this is.
    pub sequence: Option<u64>,
    /// Time to live in nanoseconds; below zero in records that are not valid.
    pub ttl: Option<i64>,
    /// The public key in libp2p's protobuf.
    pub public_key: Option<Bytes>,
    /// Size of the record in bytes.
    pub size: usize,
    /// Which signatures it has: `V1+V2`, `V2`, `V1` or nothing.
    pub signatures: &'static str,
}

impl Unverified {
    /// Reads the outer message (step 1).
    ///
    /// # Errors
    /// [`RecordError::TooLarge`], [`RecordError::Protobuf`].
    pub fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD_LEN {
            return Err(RecordError::TooLarge(bytes.len()));
        }
        let entry = Entry::decode(bytes.clone())
            .map_err(|error| RecordError::Protobuf(error.to_string()))?;
        Ok(Self { bytes, entry })
    }

    /// What the record says, true or not.
    ///
    /// # Errors
    /// [`RecordError::NoData`], [`RecordError::Cbor`].
    pub fn fields(&self) -> Result<RecordFields, RecordError> {
        let data = Data::decode(present(&self.entry.data).ok_or(RecordError::NoData)?)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let has_v1 = present(&self.entry.signature_v1).is_some();
        let has_v2 = present(&self.entry.signature_v2).is_some();
        Ok(RecordFields {
            value: data.bytes("Value").ok().map(text),
            validity_type: data.int("ValidityType").ok(),
            validity: data.bytes("Validity").ok().map(text),
            sequence: data.int("Sequence").ok(),
            ttl: data.int("TTL").ok(),
            public_key: present(&self.entry.public_key).cloned(),
            size: self.bytes.len(),
            signatures: match (has_v1, has_v2) {
                (true, true) => "V1+V2",
                (false, true) => "V2",
                (true, false) => "V1",
                (false, false) => "",
            },
        })
    }

    /// Steps 2 to 8; without `now` an expired record passes.
    ///
    /// # Errors
    /// The first step that fails.
    pub fn verify(self, name: &PeerId, now: Option<SystemTime>) -> Result<Record, RecordError> {
        let entry = &self.entry;
        let signature = present(&entry.signature_v2).ok_or(RecordError::NoSignature)?;
        let encoded = present(&entry.data).ok_or(RecordError::NoData)?;
        let public = public_key(entry, name)?;
        let data = Data::decode(encoded)?;
        if !public.verify(&[SIGNATURE_PREFIX, encoded].concat(), signature) {
            return Err(RecordError::Signature);
        }
        let has_v1 = present(&entry.signature_v1).is_some() || present(&entry.value).is_some();
        if has_v1 {
            check_v1_fields(entry, &data)?;
        }
        let eol = data.end_of_life()?;
        if now.is_some_and(|now| now > eol) {
            let text = String::from_utf8_lossy(data.bytes("Validity")?).into_owned();
            return Err(RecordError::Expired(text));
        }
        let ttl = match data.0.get("TTL") {
            None => None,
            Some(Value::Int(nanoseconds)) if *nanoseconds < 0 => {
                return Err(RecordError::NegativeTtl);
            }
            Some(_) => Some(Duration::from_nanos(data.int("TTL")?)),
        };
        let value = data.bytes("Value")?.to_vec();
        Ok(Record {
            value: String::from_utf8(value).map_err(|_| RecordError::ValueText)?,
            sequence: data.int("Sequence")?,
            eol,
            ttl,
            v1_compatible: has_v1,
            bytes: self.bytes,
        })
    }
}

/// The signed document.
struct Data(Value);

impl Data {
    fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        match dag_cbor::decode(bytes) {
            Ok(map @ Value::Map(_)) => Ok(Self(map)),
            Ok(other) => Err(RecordError::Cbor(format!("it is a {}", other.kind()))),
            Err(error) => Err(RecordError::Cbor(error.to_string())),
        }
    }

    fn bytes(&self, name: &'static str) -> Result<&[u8], RecordError> {
        match self.0.get(name) {
            Some(Value::Bytes(bytes)) => Ok(bytes),
            _ => Err(RecordError::Field(name)),
        }
    }

    fn int<T: TryFrom<i128>>(&self, name: &'static str) -> Result<T, RecordError> {
        match self.0.get(name) {
            Some(Value::Int(number)) => T::try_from(*number).map_err(|_| RecordError::Field(name)),
            _ => Err(RecordError::Field(name)),
        }
    }

    fn end_of_life(&self) -> Result<SystemTime, RecordError> {
        if self.int::<i64>("ValidityType")? != i64::from(EOL) {
            return Err(RecordError::ValidityType);
        }
        let bytes = self.bytes("Validity")?;
        let bad = || RecordError::Validity(String::from_utf8_lossy(bytes).into_owned());
        let text = std::str::from_utf8(bytes).map_err(|_| bad())?;
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| bad())?;
        let nanoseconds = time.unix_timestamp_nanos();
        let span = u64::try_from(nanoseconds.unsigned_abs() / 1_000_000_000).map_err(|_| bad())?;
        let rest = (nanoseconds.unsigned_abs() % 1_000_000_000) as u32;
        let span = Duration::new(span, rest);
        match nanoseconds < 0 {
            true => SystemTime::UNIX_EPOCH.checked_sub(span),
            false => SystemTime::UNIX_EPOCH.checked_add(span),
        }
        .ok_or_else(bad)
    }
}

/// A field that is there and not empty.
fn present(field: &Option<Bytes>) -> Option<&Bytes> {
    field.as_ref().filter(|bytes| !bytes.is_empty())
}

/// Step 3.
fn public_key(entry: &Entry, name: &PeerId) -> Result<PublicKey, RecordError> {
    let Some(encoded) = present(&entry.public_key) else {
        return inlined_public_key(name).ok_or(RecordError::NoPublicKey);
    };
    let public = PublicKey::try_decode_protobuf(encoded)
        .map_err(|error| RecordError::BadPublicKey(error.to_string()))?;
    if public.to_peer_id() != *name {
        return Err(RecordError::ForeignPublicKey);
    }
    Ok(public)
}

/// Step 7.
fn check_v1_fields(entry: &Entry, data: &Data) -> Result<(), RecordError> {
    let bytes = |field: &Option<Bytes>| field.clone().unwrap_or_default();
    let same = |same: bool, name: &'static str| match same {
        true => Ok(()),
        false => Err(RecordError::Mismatch(name)),
    };
    same(bytes(&entry.value) == data.bytes("Value")?, "Value")?;
    same(
        bytes(&entry.validity) == data.bytes("Validity")?,
        "Validity",
    )?;
    let validity_type = i64::from(entry.validity_type.unwrap_or(EOL));
    same(
        validity_type == data.int::<i64>("ValidityType")?,
        "ValidityType",
    )?;
    same(
        entry.sequence.unwrap_or(0) == data.int::<u64>("Sequence")?,
        "Sequence",
    )?;
    let ttl: i128 = data.int("TTL")?;
    same(i128::from(entry.ttl.unwrap_or(0)) == ttl, "TTL")
}

fn encode_data(
    value: &[u8],
    validity: &[u8],
    sequence: u64,
    ttl: i64,
) -> Result<Bytes, RecordError> {
    let map = Value::Map(vec![
        ("TTL".to_owned(), Value::Int(ttl.into())),
        ("Value".to_owned(), Value::Bytes(value.to_vec())),
        ("Sequence".to_owned(), Value::Int(sequence.into())),
        ("Validity".to_owned(), Value::Bytes(validity.to_vec())),
        ("ValidityType".to_owned(), Value::Int(EOL.into())),
    ]);
    dag_cbor::encode(&map)
        .map(Bytes::from)
        .map_err(|error| RecordError::Cbor(error.to_string()))
}

/// As Go writes it: UTC, no more digits of the second than needed.
fn format_time(time: SystemTime) -> Result<String, RecordError> {
    let bad = || RecordError::Validity("after the year 9999".to_owned());
    // The conversion of the crate panics outside of its range.
    let year_ten_thousand = Duration::from_secs(253_402_300_800);
    if time >= SystemTime::UNIX_EPOCH + year_ten_thousand {
        return Err(bad());
    }
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(|_| bad())?;
    OffsetDateTime::UNIX_EPOCH
        .checked_add(time::Duration::try_from(since).map_err(|_| bad())?)
        .and_then(|time| time.format(&Rfc3339).ok())
        .ok_or_else(bad)
}
