//! Private keys in memory: generating, libp2p's encoding, signing.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa;
use ipfs_kit_blockstore::varint;
use libp2p::PeerId;
use libp2p::identity::{Keypair, PublicKey};
use pkcs8::PrivateKeyInfoRef;
use zeroize::Zeroizing;

use super::{KeyError, KeyFormat};

/// The largest encoding of a private key: RSA with 8,192 bits takes about 4.6 KiB.
pub(super) const MAX_ENCODED_LEN: usize = 16 << 10;

/// The types of keys that are made and read; the numbers are those of libp2p's protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// RSA with PKCS #1 v1.5 signatures over SHA-256.
    Rsa = 0,
    /// Ed25519.
    Ed25519 = 1,
    /// ECDSA over secp256k1 with SHA-256.
    Secp256k1 = 2,
}

impl KeyType {
    /// The name, as in `--type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
            Self::Secp256k1 => "secp256k1",
        }
    }
}

impl FromStr for KeyType {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        [Self::Rsa, Self::Ed25519, Self::Secp256k1]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| KeyError::Algorithm(text.to_owned()))
    }
}

/// A private key. Its bytes are wiped when it is dropped and shown by no `Debug`.
#[derive(Clone)]
pub struct PrivateKey {
    kind: KeyType,
    /// The key data inside the protobuf, which is canonical: RSA PKCS #1, Ed25519 seed and public key, a scalar.
    data: Zeroizing<Vec<u8>>,
    keypair: Keypair,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("type", &self.kind.name())
            .field("peer_id", &self.peer_id())
            .finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Makes a key. RSA keys have 2,048 bits unless `bits` says 3,072, 4,096 or 8,192.
    ///
    /// # Errors
    /// [`KeyError::Size`] for a size that the type does not have, [`KeyError::Generation`].
    pub fn generate(kind: KeyType, bits: Option<u32>) -> Result<Self, KeyError> {
        match (kind, bits) {
            (KeyType::Rsa, bits) => generate_rsa(bits.unwrap_or(2048)),
            (KeyType::Ed25519, Some(bits)) if bits != 256 => Err(KeyError::Size {
                bits,
                reason: "ed25519 keys are always 256 bits",
            }),
            (KeyType::Secp256k1, Some(bits)) if bits != 256 => Err(KeyError::Size {
                bits,
                reason: "secp256k1 keys are always 256 bits",
            }),
            // Nearly every 32 bytes are a scalar of the curve; a second failure means something else.
            (kind, _) => generate_from_seed(kind).or_else(|_| generate_from_seed(kind)),
        }
    }

    /// Reads libp2p's protobuf of a private key.
    ///
    /// # Errors
    /// [`KeyError::Format`].
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, KeyError> {
        let format = KeyFormat::Protobuf.name();
        let bad = |reason: String| KeyError::Format { format, reason };
        if bytes.starts_with(b"-----BEGIN") {
            let reason = "this is PEM, try again with format=pem-pkcs8-cleartext".to_owned();
            return Err(bad(reason));
        }
        let (kind, data) = read_protobuf(bytes).map_err(|reason| bad(reason.to_owned()))?;
        Self::from_data(kind, data).map_err(bad)
    }

    /// libp2p's protobuf of the key.
    pub fn to_protobuf(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.data.len() + 8));
        bytes.extend_from_slice(&[0x08, self.kind as u8, 0x12]);
        varint::write(self.data.len() as u64, &mut bytes);
        bytes.extend_from_slice(&self.data);
        bytes
    }

    /// The type of the key.
    pub fn kind(&self) -> KeyType {
        self.kind
    }

    /// The key in libp2p's form, for a swarm.
    pub fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        self.keypair.public()
    }

    /// The peer id, which is also the IPNS name.
    pub fn peer_id(&self) -> PeerId {
        self.public().to_peer_id()
    }

    /// Signs bytes as they are.
    ///
    /// # Errors
    /// [`KeyError::Signing`].
    pub fn sign_raw(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.keypair
            .sign(message)
            .map_err(|error| KeyError::Signing(error.to_string()))
    }

    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    /// The error says what is wrong without the bytes.
    pub(super) fn from_data(kind: KeyType, data: &[u8]) -> Result<Self, String> {
        let data = Zeroizing::new(match (kind, data.len()) {
            // An old form has the public key a second time at the end.
            (KeyType::Ed25519, 96) if data[32..64] == data[64..] => data[..64].to_vec(),
            _ => data.to_vec(),
        });
        let mut encoded = Zeroizing::new(vec![0x08, kind as u8, 0x12]);
        varint::write(data.len() as u64, &mut encoded);
        encoded.extend_from_slice(&data);
        // The decoder's own error may quote what it read.
        let keypair = Keypair::from_protobuf_encoding(&encoded)
            .map_err(|_| format!("this is no {} key", kind.name()))?;
        Ok(Self {
            kind,
            data,
            keypair,
        })
    }

    /// libp2p keeps the public key behind the seed.
    pub(super) fn ed25519_from_seed(seed: &[u8]) -> Result<Self, String> {
        let pair = Keypair::ed25519_from_bytes(Zeroizing::new(seed.to_vec()).as_mut_slice())
            .ok()
            .and_then(|pair| pair.try_into_ed25519().ok())
            .ok_or_else(|| "an Ed25519 seed has 32 bytes".to_owned())?;
        let data = Zeroizing::new(pair.to_bytes());
        Self::from_data(KeyType::Ed25519, data.as_slice())
    }
}

impl ipfs_kit_ipns::Signer for PrivateKey {
    fn public(&self) -> PublicKey {
        PrivateKey::public(self)
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.sign_raw(message).ok()
    }
}

fn generate_from_seed(kind: KeyType) -> Result<PrivateKey, KeyError> {
    let failed = || KeyError::Generation(kind.name());
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|_| failed())?;
    match kind {
        KeyType::Ed25519 => PrivateKey::ed25519_from_seed(seed.as_slice()),
        _ => PrivateKey::from_data(kind, seed.as_slice()),
    }
    .map_err(|_| failed())
}

fn generate_rsa(bits: u32) -> Result<PrivateKey, KeyError> {
    let failed = || KeyError::Generation("rsa");
    let size = match bits {
        2048 => rsa::KeySize::Rsa2048,
        3072 => rsa::KeySize::Rsa3072,
        4096 => rsa::KeySize::Rsa4096,
        8192 => rsa::KeySize::Rsa8192,
        _ => {
            return Err(KeyError::Size {
                bits,
                reason: "rsa keys have 2048, 3072, 4096 or 8192 bits",
            });
        }
    };
    let pair = rsa::KeyPair::generate(size).map_err(|_| failed())?;
    let der: Pkcs8V1Der<'static> = pair.as_der().map_err(|_| failed())?;
    let info = PrivateKeyInfoRef::try_from(der.as_ref()).map_err(|_| failed())?;
    PrivateKey::from_data(KeyType::Rsa, info.private_key.as_bytes()).map_err(|_| failed())
}

/// The type and data of a protobuf that holds exactly these two fields, in any order.
fn read_protobuf(bytes: &[u8]) -> Result<(KeyType, &[u8]), &'static str> {
    const BROKEN: &str = "these bytes are no protobuf of a private key";
    if bytes.len() > MAX_ENCODED_LEN {
        return Err("it is longer than any key");
    }
    let (mut kind, mut data, mut rest) = (None, None, bytes);
    while let Some((tag, after)) = rest.split_first() {
        let (number, used) = varint::read(after).map_err(|_| BROKEN)?;
        rest = &after[used..];
        match tag {
            0x08 => kind = Some(number),
            0x12 => {
                let len = usize::try_from(number).map_err(|_| BROKEN)?;
                data = Some(rest.get(..len).ok_or(BROKEN)?);
                rest = &rest[len..];
            }
            _ => return Err(BROKEN),
        }
    }
    let kind = match kind {
        Some(0) => KeyType::Rsa,
        Some(1) => KeyType::Ed25519,
        Some(2) => KeyType::Secp256k1,
        Some(_) => return Err("the type of this key is not supported"),
        None => return Err(BROKEN),
    };
    data.map(|data| (kind, data)).ok_or(BROKEN)
}
