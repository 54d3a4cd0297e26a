//! The node's key and the peer id that follows from it, as they stand in the configuration.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::keys::{KeyError, PrivateKey};

/// A new key pair as it stands in the configuration.
pub struct Identity {
    /// Base58 text of the peer id.
    pub peer_id: String,
    /// Base64 of the protobuf that libp2p keeps private keys in.
    pub private_key: Zeroizing<String>,
}

/// Makes a key pair.
///
/// # Errors
/// [`KeyError::Algorithm`], [`KeyError::Size`], [`KeyError::Generation`].
pub fn generate(algorithm: &str, bits: Option<u32>) -> Result<Identity, KeyError> {
    Ok(encode(&PrivateKey::generate(algorithm.parse()?, bits)?))
}

/// The form of the configuration.
pub fn encode(key: &PrivateKey) -> Identity {
    Identity {
        peer_id: key.peer_id().to_base58(),
        private_key: Zeroizing::new(STANDARD.encode(&*key.to_protobuf())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_agree_with_a_kubo_repo() {
        // Identity of a throw-away repo made by Kubo 0.43.0.
        let kubo = "CAESQIngRQSSMZIybeVIEowqcSayts/hTocvc6rSVIe0RDGnfM9tqvj/zYMVVmPeo1gc8J7V8mvL8L98Avhbt9v+c2c=";
        let identity = encode(&crate::keys::read_identity(kubo).unwrap());
        assert_eq!(*identity.private_key, kubo);
        assert_eq!(
            identity.peer_id,
            "12D3KooWJDaB3mP92GVoaEhwd9Yyf33NLBHN5o9eZ3F1gXcCzvoG"
        );
    }

    #[test]
    fn every_algorithm_makes_an_identity() {
        for (algorithm, prefix) in [("ed25519", "12D3"), ("secp256k1", "16Uiu2"), ("rsa", "Qm")] {
            let identity = generate(algorithm, None).unwrap();
            assert!(identity.peer_id.starts_with(prefix), "{algorithm}");
            let read = crate::keys::read_identity(&identity.private_key).unwrap();
            assert_eq!(read.peer_id().to_base58(), identity.peer_id);
        }
        assert!(matches!(generate("dsa", None), Err(KeyError::Algorithm(name)) if name == "dsa"));
        assert_ne!(
            generate("ed25519", None).unwrap().peer_id,
            generate("ed25519", None).unwrap().peer_id
        );
    }
}
