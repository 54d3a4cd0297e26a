//! Why a configuration value or file was refused.

use std::io;
use std::path::PathBuf;

/// Why a configuration value or file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No such key to read.
    #[error("failed to get config value: \"{0} not found\"")]
    NoKey(String),
    /// No such key to write.
    #[error("failed to set config value: {0} not found (maybe use --json?)")]
    UnknownKey(String),
    /// A dotted key runs through something that is no object.
    #[error("failed to set config value: {0} key is not a map (maybe use --json?)")]
    NotAMap(String),
    /// The private key is never shown, set or replaced.
    #[error("cannot show or change private key through API")]
    PrivateKey,
    /// A replacement document brings its own private key.
    #[error("setting private key with API is not supported")]
    PrivateKeyInReplacement,
    /// The peer id belongs to the private key.
    #[error("cannot set Identity.PeerID to a value that does not match the node's private key")]
    ForeignPeerId,
    /// Credentials of pinning services are never shown or set.
    #[error("cannot show or change pinning services credentials")]
    PinningCredentials,
    /// Secrets of the RPC are never shown.
    #[error(
        "cannot show API.Authorizations, which holds secrets: they are in the config file of the repo"
    )]
    ApiSecrets,
    /// A value of the wrong kind or out of range.
    #[error("config {key}: {reason} (maybe use --json?)")]
    BadValue {
        /// The dotted key.
        key: String,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// An environment variable holds something unusable.
    #[error("environment variable {name}: {reason}")]
    BadVariable {
        /// Its name.
        name: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// No such profile.
    #[error("{0} is not a profile")]
    NoProfile(String),
    /// A profile that does not fit this store.
    #[error("profile {name} cannot be applied: {reason}")]
    ProfileRefused {
        /// Its name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// No such role.
    #[error("unknown role {0:?}: use master, worker, leecher, gateway or observer")]
    NoRole(String),
    /// A file that is neither JSON nor YAML of the right form.
    #[error("configuration {path:?}: {reason}")]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Text that should be a configuration document is none.
    #[error("failed to decode file as config: {0}")]
    BadDocument(String),
    /// A file that could not be read or written.
    #[error("{action} configuration {path:?}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}
