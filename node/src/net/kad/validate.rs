//! Which records are taken, kept and believed. A key of a namespace without a validator is refused.

use std::sync::Arc;

use libp2p::PeerId;
use libp2p::identity::PublicKey;

/// Judges the records of one namespace.
pub trait RecordValidator: Send + Sync {
    /// Whether `value` may stand under `key` (the whole key, with its namespace).
    ///
    /// # Errors
    /// Why not.
    fn validate(&self, key: &[u8], value: &[u8]) -> Result<(), String>;

    /// Whether `new` is to be preferred to `old`; both are valid.
    fn is_better(&self, key: &[u8], new: &[u8], old: &[u8]) -> bool;
}

/// The validators by namespace, as `/ipns/`.
#[derive(Clone)]
pub struct Validators(Vec<(&'static str, Arc<dyn RecordValidator>)>);

impl Default for Validators {
    fn default() -> Self {
        Self(vec![("/pk/", Arc::new(PublicKeys))])
    }
}

impl Validators {
    /// Adds one; it replaces an older one of the same namespace.
    pub fn add(&mut self, namespace: &'static str, validator: Arc<dyn RecordValidator>) {
        self.0.retain(|(name, _)| *name != namespace);
        self.0.push((namespace, validator));
    }

    /// See [`RecordValidator::validate`].
    pub fn validate(&self, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.of(key)?.validate(key, value)
    }

    /// See [`RecordValidator::is_better`].
    pub fn is_better(&self, key: &[u8], new: &[u8], old: &[u8]) -> bool {
        self.of(key)
            .is_ok_and(|validator| validator.is_better(key, new, old))
    }

    fn of(&self, key: &[u8]) -> Result<&dyn RecordValidator, String> {
        let found = self
            .0
            .iter()
            .find(|(namespace, _)| key.starts_with(namespace.as_bytes()));
        found
            .map(|(_, validator)| validator.as_ref())
            .ok_or_else(|| "no validator for keys of this namespace".to_owned())
    }
}

/// `/pk/`: public keys under the multihash that is their peer id.
struct PublicKeys;

impl RecordValidator for PublicKeys {
    fn validate(&self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let public = PublicKey::try_decode_protobuf(value).map_err(|error| error.to_string())?;
        let peer = PeerId::from_bytes(&key[b"/pk/".len()..]).map_err(|error| error.to_string())?;
        if public.to_peer_id() == peer {
            Ok(())
        } else {
            Err("the public key is another peer's".to_owned())
        }
    }

    fn is_better(&self, _: &[u8], _: &[u8], _: &[u8]) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;

    #[test]
    fn public_keys_stand_under_their_own_id_and_unknown_namespaces_are_refused() {
        let validators = Validators::default();
        let public = Keypair::generate_ed25519().public();
        let key = |peer: PeerId| [b"/pk/".as_slice(), &peer.to_bytes()].concat();
        let value = public.encode_protobuf();
        validators
            .validate(&key(public.to_peer_id()), &value)
            .unwrap();
        assert!(validators.validate(&key(PeerId::random()), &value).is_err());
        assert!(
            validators
                .validate(&key(public.to_peer_id()), b"x")
                .is_err()
        );
        assert!(validators.validate(b"/other/x", &value).is_err());
        assert!(validators.validate(b"/pk/", &value).is_err());
    }
}
