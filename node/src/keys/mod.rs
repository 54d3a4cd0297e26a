//! Keys: the node's identity, called `self`, and the named keys of the keystore.
//!
//! ```
//! use ipfs_kit_node::{KeyFormat, KeyType, Node};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::builder().in_memory().open()?;
//! let key = node.keys().generate("site", KeyType::Ed25519, None)?;
//! assert!(key.id_text().starts_with("k51"));
//! let backup = node.keys().export("site", KeyFormat::Pem)?;
//! node.keys().import("copy", &backup, KeyFormat::Pem)?;
//! let (_, signature) = node.keys().sign("site", b"hello")?;
//! assert!(node.keys().verify("copy", &signature, b"hello")?.valid);
//! # Ok(())
//! # }
//! ```

mod error;
mod format;
mod id;
mod keystore;
mod private;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipfs_kit_blockstore::cid::{decode_multibase, encode_multibase};
use libp2p::PeerId;
use libp2p::identity::PublicKey;
use multibase::Base;
use parking_lot::Mutex;
use zeroize::Zeroizing;

pub use error::KeyError;
pub use format::KeyFormat;
pub use id::{IdBase, format_peer_id, parse_peer_id, peer_id_from_bytes};
pub use private::{KeyType, PrivateKey};

use crate::config::ConfigFile;
use crate::error::Result;
use crate::node::Node;
pub(crate) use keystore::Keystore;
use keystore::MAX_NAME_LEN;

/// The name of the node's identity.
pub const SELF: &str = "self";

/// What Kubo puts before data in `key sign`, so that no signature passes for that of another protocol.
const SIGN_PREFIX: &[u8] = b"libp2p-key signed message:";

/// Longest signature text that is read; RSA with 8,192 bits has 1,366 characters in base64.
const MAX_SIGNATURE_TEXT: usize = 8 << 10;

/// A key as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name, or the text it was named by when it is not in the keystore.
    pub name: String,
    /// Its id: the peer id, and the IPNS name.
    pub id: PeerId,
}

impl KeyInfo {
    /// The id as `k51…`: CIDv1, base36.
    pub fn id_text(&self) -> String {
        format_peer_id(&self.id, IdBase::default())
    }
}

/// Answer of [`Keys::rename`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRenamed {
    /// The name before.
    pub was: String,
    /// The key with its new name.
    pub now: KeyInfo,
    /// Another key of that name was replaced.
    pub overwritten: bool,
}

/// Answer of [`Keys::rotate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRotated {
    /// The old identity, now in the keystore.
    pub old: KeyInfo,
    /// The new identity.
    pub new: KeyInfo,
}

/// Answer of [`Keys::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVerified {
    /// The key that the signature was checked against.
    pub key: KeyInfo,
    /// The signature is this key's, for exactly this data.
    pub valid: bool,
}

/// What the clones of a node share about keys.
pub(crate) struct KeysState {
    store: Keystore,
    /// Read from the configuration when first needed; a node in memory makes one up.
    identity: Mutex<Option<Own>>,
}

/// The node's own key, and what everybody asks of it.
#[derive(Clone)]
struct Own {
    key: PrivateKey,
    identity: Arc<OwnIdentity>,
}

impl Own {
    fn new(key: PrivateKey) -> Self {
        let (id, public_key) = (key.peer_id(), key.public().encode_protobuf());
        let text = id.to_base58();
        let identity = Arc::new(OwnIdentity {
            id,
            text,
            public_key,
        });
        Self { key, identity }
    }
}

/// Who a node is, from [`Keys::own`].
#[derive(Debug, PartialEq, Eq)]
pub struct OwnIdentity {
    /// Its peer id.
    pub id: PeerId,
    /// The id in base58.
    pub text: String,
    /// Its public key in libp2p's protobuf form.
    pub public_key: Vec<u8>,
}

impl KeysState {
    pub(crate) fn new(repo: Option<&Path>) -> Self {
        Self {
            store: Keystore::new(repo),
            identity: Mutex::new(None),
        }
    }
}

/// Verbs on keys, from [`Node::keys`].
pub struct Keys<'a> {
    pub(crate) node: &'a Node,
}

impl Keys<'_> {
    /// Makes a key and keeps it under a name.
    ///
    /// # Errors
    /// [`KeyError::BadName`], [`KeyError::OwnIdentity`], [`KeyError::Exists`], [`KeyError::Size`].
    pub fn generate(&self, name: &str, kind: KeyType, bits: Option<u32>) -> Result<KeyInfo> {
        check_new_name(name, "create")?;
        // RSA takes a while to make; a taken name is better told before.
        if self.store().get(name)?.is_some() {
            return Err(KeyError::Exists(name.to_owned()).into());
        }
        self.add(name, &PrivateKey::generate(kind, bits)?)
    }

    /// Every key, `self` first, then by name.
    ///
    /// # Errors
    /// [`KeyError::Damaged`], [`KeyError::Identity`], [`KeyError::Io`].
    pub fn list(&self) -> Result<Vec<KeyInfo>> {
        let own = info(SELF, &self.identity()?);
        let mut keys = vec![own];
        for name in self.store().names()? {
            if let Some(key) = self.store().get(&name)? {
                keys.push(info(&name, &key));
            }
        }
        Ok(keys)
    }

    /// Gives a key another name; with `force` it takes the place of a key that has it.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::Exists`], [`KeyError::BadName`], [`KeyError::OwnIdentity`].
    pub fn rename(&self, old: &str, new: &str, force: bool) -> Result<KeyRenamed> {
        refuse_self(
            old,
            "rename",
            ": 'key rotate' gives the node another identity",
        )?;
        check_new_name(new, "overwrite")?;
        self.node.check_writable()?;
        let key = self.stored(old)?;
        let overwritten = self.store().rename(old, new, force)?;
        Ok(KeyRenamed {
            was: old.to_owned(),
            now: info(new, &key),
            overwritten,
        })
    }

    /// Removes keys; nothing is removed when one of them is not there. Their published sequence numbers are kept, so
    /// that a key that is imported again goes on where it was.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::OwnIdentity`].
    pub fn remove(&self, names: &[String]) -> Result<Vec<KeyInfo>> {
        self.node.check_writable()?;
        let mut removed = Vec::new();
        for name in names {
            refuse_self(name, "remove", "")?;
            removed.push(info(name, &self.stored(name)?));
        }
        self.store().remove(names)?;
        Ok(removed)
    }

    /// The private key in a format for files.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::OwnIdentity`].
    pub fn export(&self, name: &str, format: KeyFormat) -> Result<Zeroizing<Vec<u8>>> {
        refuse_self(name, "export", ": it is in the repo's config file")?;
        Ok(format.write(&self.stored(name)?)?)
    }

    /// Keeps a private key under a name.
    ///
    /// # Errors
    /// [`KeyError::Format`], and as [`Keys::generate`].
    pub fn import(&self, name: &str, bytes: &[u8], format: KeyFormat) -> Result<KeyInfo> {
        check_new_name(name, "import")?;
        self.add(name, &format.read(bytes)?)
    }

    /// Gives the node a new identity and keeps the old one under a name. Only for a node that is not on the network;
    /// it takes effect for good when the node is opened again. A rotation that was killed in between is repeated with
    /// the same name.
    ///
    /// # Errors
    /// [`KeyError::RotateOnline`], and as [`Keys::generate`].
    pub fn rotate(&self, old_name: &str, kind: KeyType, bits: Option<u32>) -> Result<KeyRotated> {
        check_new_name(old_name, "back up")?;
        if self.node.names().routing().is_some() {
            return Err(KeyError::RotateOnline.into());
        }
        let old = self.identity()?;
        let new = PrivateKey::generate(kind, bits)?;
        let kept = self.store().get(old_name)?.map(|key| key.peer_id());
        if kept != Some(old.peer_id()) {
            self.add(old_name, &old)?;
        }
        if let Some(repo) = self.node.path() {
            let identity = crate::repo::encode_identity(&new);
            ConfigFile::load(repo)?.set_identity(&identity.peer_id, &identity.private_key)?;
        }
        *self.node.keys_state().identity.lock() = Some(Own::new(new.clone()));
        Ok(KeyRotated {
            old: info(old_name, &old),
            new: info(SELF, &new),
        })
    }

    /// Signs data with a key, given by name or id, as `key sign` of Kubo. The signature is base64url in multibase.
    ///
    /// # Errors
    /// [`KeyError::Unknown`], [`KeyError::Signing`].
    pub fn sign(&self, key: &str, data: &[u8]) -> Result<(KeyInfo, String)> {
        let (info, key) = self.find(key)?;
        let signature = key.sign_raw(&message(data))?;
        Ok((info, encode_multibase(Base::Base64Url, &signature)))
    }

    /// Checks a signature of [`Keys::sign`] against a key, given by name, or by an id that holds the public key.
    ///
    /// # Errors
    /// [`KeyError::Unknown`], [`KeyError::NoPublicKey`], [`KeyError::Signature`].
    pub fn verify(&self, key: &str, signature: &str, data: &[u8]) -> Result<KeyVerified> {
        if signature.len() > MAX_SIGNATURE_TEXT {
            return Err(KeyError::Signature("it is too long".to_owned()).into());
        }
        let (_, signature) =
            decode_multibase(signature).map_err(|error| KeyError::Signature(error.to_string()))?;
        let (key, public) = match self.find(key) {
            Ok((info, private)) => (info, private.public()),
            Err(unknown) => {
                let Ok(id) = parse_peer_id(key) else {
                    return Err(unknown);
                };
                let name = String::new();
                (KeyInfo { name, id }, inlined_public_key(&id)?)
            }
        };
        let valid = public.verify(&message(data), &signature);
        Ok(KeyVerified { key, valid })
    }

    /// The node's own key.
    ///
    /// # Errors
    /// [`KeyError::Identity`].
    pub fn identity(&self) -> Result<PrivateKey> {
        self.with_own(|own| own.key.clone())
    }

    /// Who the node is; cheap.
    ///
    /// # Errors
    /// [`KeyError::Identity`].
    pub fn own(&self) -> Result<Arc<OwnIdentity>> {
        self.with_own(|own| Arc::clone(&own.identity))
    }

    fn with_own<T>(&self, take: impl FnOnce(&Own) -> T) -> Result<T> {
        let mut known = self.node.keys_state().identity.lock();
        if let Some(own) = &*known {
            return Ok(take(own));
        }
        let key = match self.node.config().text("Identity.PrivKey") {
            Some(text) => read_identity(text)?,
            None if self.node.path().is_none() => PrivateKey::generate(KeyType::Ed25519, None)?,
            None => return Err(KeyError::Identity("it is missing".to_owned()).into()),
        };
        Ok(take(known.insert(Own::new(key))))
    }

    /// A key by name (`self` too) or id in any form.
    ///
    /// # Errors
    /// [`KeyError::Unknown`].
    pub fn find(&self, key: &str) -> Result<(KeyInfo, PrivateKey)> {
        if key == SELF {
            let own = self.identity()?;
            return Ok((info(SELF, &own), own));
        }
        if let Some(found) = self.store().get(key)? {
            return Ok((info(key, &found), found));
        }
        let unknown = || KeyError::Unknown(key.to_owned());
        let id = parse_peer_id(key).map_err(|_| unknown())?;
        Ok(self.find_id(&id)?.ok_or_else(unknown)?)
    }

    /// The private key of an id, when the node has it.
    pub(crate) fn find_id(&self, id: &PeerId) -> Result<Option<(KeyInfo, PrivateKey)>> {
        let own = self.identity()?;
        if own.peer_id() == *id {
            return Ok(Some((info(SELF, &own), own)));
        }
        for name in self.store().names()? {
            if let Some(key) = self.store().get(&name)?
                && key.peer_id() == *id
            {
                return Ok(Some((info(&name, &key), key)));
            }
        }
        Ok(None)
    }

    /// The key of exactly this name in the keystore.
    pub(crate) fn find_named(&self, name: &str) -> Result<Option<PrivateKey>> {
        Ok(self.store().get(name)?)
    }

    /// Keeps a key that Kubo had under a name.
    pub(crate) fn keep(&self, name: &str, key: &PrivateKey) -> Result<KeyInfo> {
        check_new_name(name, "import")?;
        self.add(name, key)
    }

    fn add(&self, name: &str, key: &PrivateKey) -> Result<KeyInfo> {
        self.node.check_writable()?;
        self.store().add(name, key)?;
        Ok(info(name, key))
    }

    fn stored(&self, name: &str) -> Result<PrivateKey> {
        let key = self.store().get(name)?;
        Ok(key.ok_or_else(|| KeyError::NotFound(name.to_owned()))?)
    }

    fn store(&self) -> &Keystore {
        &self.node.keys_state().store
    }
}

/// The public key inside a peer id; only short keys are.
///
/// # Errors
/// [`KeyError::NoPublicKey`].
pub fn inlined_public_key(id: &PeerId) -> Result<PublicKey, KeyError> {
    ipfs_kit_ipns::inlined_public_key(id).ok_or_else(|| KeyError::NoPublicKey(id.to_base58()))
}

/// Reads the base64 text of the configuration.
pub(crate) fn read_identity(text: &str) -> Result<PrivateKey, KeyError> {
    let bytes = STANDARD
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|_| KeyError::Identity("it is no base64 text".to_owned()))?;
    PrivateKey::from_protobuf(&bytes).map_err(|error| KeyError::Identity(error.to_string()))
}

fn info(name: &str, key: &PrivateKey) -> KeyInfo {
    KeyInfo {
        name: name.to_owned(),
        id: key.peer_id(),
    }
}

fn message(data: &[u8]) -> Vec<u8> {
    [SIGN_PREFIX, data].concat()
}

fn refuse_self(name: &str, action: &'static str, hint: &'static str) -> Result<(), KeyError> {
    if name == SELF {
        return Err(KeyError::OwnIdentity { action, hint });
    }
    Ok(())
}

/// Names that are there already, perhaps copied from Kubo, may break these rules and are still found.
fn check_new_name(name: &str, action: &'static str) -> Result<(), KeyError> {
    refuse_self(
        name,
        action,
        ": it is the node's identity, choose another name",
    )?;
    let reason = if name.is_empty() {
        "it must have at least one character"
    } else if name.len() > MAX_NAME_LEN {
        "it may have 156 bytes at most"
    } else if name.contains('/') {
        "a '/' would make it a path"
    } else if name.chars().any(char::is_control) {
        "it has a control character"
    } else {
        return Ok(());
    };
    Err(KeyError::BadName {
        name: name.chars().take(200).collect(),
        reason,
    })
}
