//! The formats that keys are exported and imported in.
//!
//! PEM holds PKCS #8 as Kubo writes it: version 1, Ed25519 without the public key (RFC 8410), secp256k1 as an
//! `ECPrivateKey` with it (RFC 5915), RSA as PKCS #1.

use std::str::FromStr;

use pkcs8::der::asn1::{AnyRef, OctetStringRef};
use pkcs8::der::{Decode, Encode};
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{LineEnding, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument};
use sec1::EcPrivateKey;
use zeroize::Zeroizing;

use super::private::MAX_ENCODED_LEN;
use super::{KeyError, KeyType, PrivateKey};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256K1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.10");

const PEM_LABEL: &str = "PRIVATE KEY";

/// How a private key is written to a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyFormat {
    /// libp2p's protobuf.
    #[default]
    Protobuf,
    /// PEM of an unencrypted PKCS #8 key.
    Pem,
}

impl KeyFormat {
    /// The name, as in `--format`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Protobuf => "libp2p-protobuf-cleartext",
            Self::Pem => "pem-pkcs8-cleartext",
        }
    }

    /// Writes a key.
    ///
    /// # Errors
    /// [`KeyError::Format`] when the key has no such form.
    pub fn write(self, key: &PrivateKey) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        match self {
            Self::Protobuf => Ok(key.to_protobuf()),
            Self::Pem => write_pem(key).map_err(|error| KeyError::Format {
                format: self.name(),
                reason: error.to_string(),
            }),
        }
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`KeyError::Format`].
    pub fn read(self, bytes: &[u8]) -> Result<PrivateKey, KeyError> {
        match self {
            Self::Protobuf => PrivateKey::from_protobuf(bytes),
            Self::Pem => read_pem(bytes).map_err(|reason| KeyError::Format {
                format: self.name(),
                reason,
            }),
        }
    }
}

impl FromStr for KeyFormat {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        [Self::Protobuf, Self::Pem]
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| KeyError::UnknownFormat(text.to_owned()))
    }
}

fn write_pem(key: &PrivateKey) -> pkcs8::der::Result<Zeroizing<Vec<u8>>> {
    let (oid, parameters, inner) = match key.kind() {
        KeyType::Rsa => (RSA, Some(AnyRef::NULL), Zeroizing::new(key.data().to_vec())),
        KeyType::Ed25519 => {
            let seed = OctetStringRef::new(&key.data()[..32])?;
            (ED25519, None, Zeroizing::new(seed.to_der()?))
        }
        KeyType::Secp256k1 => {
            let public = key.public().try_into_secp256k1().ok();
            let public = public.map(|public| public.to_bytes_uncompressed());
            let inner = EcPrivateKey {
                private_key: key.data(),
                parameters: None,
                public_key: public.as_ref().map(<[u8; 65]>::as_slice),
            };
            let curve = AnyRef::from(&SECP256K1);
            (EC_PUBLIC_KEY, Some(curve), Zeroizing::new(inner.to_der()?))
        }
    };
    let algorithm = AlgorithmIdentifierRef { oid, parameters };
    let info = PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(&inner)?);
    let text = SecretDocument::encode_msg(&info)?.to_pem(PEM_LABEL, LineEnding::LF)?;
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

/// The error says what is wrong without the bytes.
fn read_pem(bytes: &[u8]) -> Result<PrivateKey, String> {
    const BROKEN: &str = "the PEM block holds no PKCS #8 private key";
    let broken = |_: pkcs8::der::Error| BROKEN.to_owned();
    if bytes.len() > 2 * MAX_ENCODED_LEN {
        return Err("it is longer than any key".to_owned());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    let (label, document) =
        SecretDocument::from_pem(text).map_err(|_| "no PEM block was found in it".to_owned())?;
    if label != PEM_LABEL {
        return Err(format!("its PEM block is a {label:?}, not a {PEM_LABEL:?}"));
    }
    let info: PrivateKeyInfoRef<'_> = document.decode_msg().map_err(broken)?;
    let inner = info.private_key.as_bytes();
    let algorithm = &info.algorithm;
    if algorithm.oid == RSA {
        PrivateKey::from_data(KeyType::Rsa, inner)
    } else if algorithm.oid == ED25519 {
        let seed = <&OctetStringRef>::from_der(inner).map_err(broken)?;
        PrivateKey::ed25519_from_seed(seed.as_bytes())
    } else if algorithm.oid == EC_PUBLIC_KEY {
        let curve = algorithm
            .parameters_oid()
            .map_err(|_| "it names no curve".to_owned())?;
        if curve != SECP256K1 {
            return Err(format!("curve {curve} is not supported, only secp256k1"));
        }
        let inner = EcPrivateKey::try_from(inner).map_err(|_| BROKEN.to_owned())?;
        PrivateKey::from_data(KeyType::Secp256k1, inner.private_key)
    } else {
        let oid = algorithm.oid;
        Err(format!(
            "key type {oid} is not supported: use ed25519, rsa or secp256k1"
        ))
    }
}
