//! `key export` and `key rotate`: what concerns private keys happens in this process only.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::invocation::Invocation;
use ipfs_kit_http::methods::key::{format, kind};
use ipfs_kit_http::output::os_reason;
use ipfs_kit_node::KeyFormat;

/// Writes a private key to a file that only its owner may read.
///
/// # Errors
/// When there is no such key, or a file is there already.
pub fn export(invocation: &mut Invocation) -> Result<(), Failure> {
    let name = invocation.argument()?;
    let format = format(invocation)?;
    let suffix = match format {
        KeyFormat::Protobuf => "key",
        KeyFormat::Pem => "pem",
    };
    let given = invocation.path("output");
    let given = given.filter(|path| !path.as_os_str().is_empty());
    let path = match given {
        Some(path) => path,
        None if name.contains('/') => {
            return Err(Failure::failed("say with -o where to store the key"));
        }
        None => PathBuf::from(format!("{name}.{suffix}")),
    };
    let node = invocation.node()?;
    let key = node.keys().export(&name, format)?;
    invocation.close(node)?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path);
    let written = file.and_then(|mut file| {
        file.write_all(&key)?;
        file.sync_all()
    });
    written.map_err(|error| {
        Failure::failed(format_args!(
            "write {}: {}",
            path.display(),
            os_reason(&error)
        ))
    })
}

/// Gives the node a new identity.
///
/// # Errors
/// When no name is given for the old one, or that name is taken.
pub fn rotate(invocation: &mut Invocation) -> Result<(), Failure> {
    let old = invocation.text("oldkey").filter(|name| !name.is_empty());
    let old = old.ok_or_else(|| {
        Failure::failed("keystore name for backing up old key must be provided with --oldkey")
    })?;
    let (kind, bits) = kind(invocation)?;
    let node = invocation.node()?;
    let rotated = node.keys().rotate(&old, kind, bits)?;
    invocation.close(node)?;
    invocation
        .out
        .line(&format!("peer identity: {}", rotated.new.id.to_base58()))
}
