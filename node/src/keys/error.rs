//! Why a key could not be made, read, kept or used. No variant carries key material.

use std::io;
use std::path::PathBuf;

/// Why a key operation was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A name that no key can have.
    #[error("invalid key name {name:?}: {reason}")]
    BadName {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// `self` is the node's identity and not in the keystore.
    #[error("cannot {action} key with name 'self'{hint}")]
    OwnIdentity {
        /// What was to be done, as "create".
        action: &'static str,
        /// What to do instead, with a leading ": ", or nothing.
        hint: &'static str,
    },
    /// The name is taken.
    #[error("key with name '{0}' already exists: choose another name or remove that key")]
    Exists(String),
    /// There is no such key.
    #[error("no key named {0} was found: 'key ls' shows the names")]
    NotFound(String),
    /// Neither a key's name nor the id of a known key.
    #[error("no key by the given name or id was found: {0:?}")]
    Unknown(String),
    /// The keystore is full.
    #[error("the keystore holds {0} keys, which is the limit: remove some first")]
    TooMany(usize),
    /// A key type that is not known.
    #[error("unrecognized key type: {0:?}: use ed25519, rsa or secp256k1")]
    Algorithm(String),
    /// A key size that the type does not have.
    #[error("invalid key size {bits}: {reason}")]
    Size {
        /// The size as given, in bits.
        bits: u32,
        /// What is allowed.
        reason: &'static str,
    },
    /// No key could be generated.
    #[error("generating a {0} key failed: the operating system gives no random numbers")]
    Generation(&'static str),
    /// Bytes that are no private key of the named format.
    #[error("cannot read a private key as {format}: {reason}")]
    Format {
        /// The format, as in `--format`.
        format: &'static str,
        /// What is wrong, without the bytes.
        reason: String,
    },
    /// A format that is not known.
    #[error(
        "unrecognized export format {0:?}: use libp2p-protobuf-cleartext or pem-pkcs8-cleartext"
    )]
    UnknownFormat(String),
    /// Text that is no peer id.
    #[error("invalid peer id {text:?}: {reason}")]
    PeerId {
        /// The text, cut to a line.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A base in which no id is written.
    #[error("unknown base {0:?} for key ids: use b58mh, base36 or another multibase")]
    Base(String),
    /// A signature that is no multibase text.
    #[error("the signature is no multibase text: {0}")]
    Signature(String),
    /// The public key is needed and only its hash is known.
    #[error(
        "public key is not embedded in peer ID {0}: only the owner of the key can verify with it"
    )]
    NoPublicKey(String),
    /// The key refused to sign.
    #[error("signing failed: {0}")]
    Signing(String),
    /// A file of the keystore that holds no key.
    #[error(
        "the keystore's file of key {name:?} is damaged: {reason}: restore it from a backup or remove the key"
    )]
    Damaged {
        /// The key's name.
        name: String,
        /// What is wrong, without the bytes.
        reason: String,
    },
    /// The identity in the configuration is missing or damaged.
    #[error("Identity.PrivKey in the configuration cannot be used: {0}")]
    Identity(String),
    /// The identity is in use by running connections.
    #[error("cannot rotate the identity while the node is on the network: stop the daemon first")]
    RotateOnline,
    /// A file of the keystore could not be read or written.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}
