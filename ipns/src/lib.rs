//! IPNS records: made, read, verified and compared. No IO, no clock, and nothing of libp2p but its keys, so that a fuzzer
//! can build it.
//!
//! Spec: <https://specs.ipfs.tech/ipns/ipns-record/>. A record is a protobuf whose field `data` holds the signed
//! dag-cbor document; the other fields repeat it for readers of version 1.

mod record;

use libp2p_identity::{PeerId, PublicKey};

pub use record::{
    MAX_RECORD_LEN, NewRecord, Record, RecordError, RecordFields, Unverified, better,
};

/// A key that records are signed with.
pub trait Signer {
    /// Its public half.
    fn public(&self) -> PublicKey;

    /// Signs a message; `None` when the key refuses.
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>>;
}

/// The public key inside a peer id; only short keys are.
#[must_use]
pub fn inlined_public_key(id: &PeerId) -> Option<PublicKey> {
    const IDENTITY: u64 = 0;
    let hash = id.as_ref();
    (hash.code() == IDENTITY)
        .then(|| PublicKey::try_decode_protobuf(hash.digest()).ok())
        .flatten()
}
