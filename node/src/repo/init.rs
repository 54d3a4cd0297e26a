//! Creating a repo.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipfs_kit_blockstore::cid::Cid;
use serde_json::json;

use super::place::{self, Kind, kind};
use super::{RepoError, RepoLock, identity};
use crate::config::{ConfigFile, initial_document};
use crate::files::{AddOptions, Source};
use crate::node::Node;

/// Options of [`init`].
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// Key algorithm: `ed25519`, `rsa` or `secp256k1`.
    pub algorithm: String,
    /// Key size for algorithms that have one.
    pub bits: Option<u32>,
    /// Leave out the welcome files.
    pub empty_repo: bool,
    /// Profiles to apply, in order.
    pub profiles: Vec<String>,
    /// A configuration to start from, as JSON text; its identity is not used.
    pub config: Option<String>,
}

impl Default for InitOptions {
    fn default() -> Self {
        Self {
            algorithm: "ed25519".to_owned(),
            bits: None,
            empty_repo: true,
            profiles: Vec::new(),
            config: None,
        }
    }
}

/// Answer of [`init`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialised {
    /// The repo directory.
    pub path: PathBuf,
    /// Peer id of the new identity.
    pub peer_id: String,
    /// Root of the welcome files, when they were added.
    pub welcome: Option<Cid>,
}

/// Creates a repo with a new identity and pins the empty directory, as Kubo does. The `config` file is written last, so
/// an interrupted `init` leaves nothing that passes for a repo.
///
/// # Errors
/// [`RepoError::AlreadyInitialised`], [`RepoError::KuboRepo`], [`crate::KeyError`] or a refused profile; nothing
/// is written then.
pub fn init(path: &Path, options: &InitOptions) -> crate::Result<Initialised> {
    match kind(path)? {
        Kind::Absent => {}
        Kind::Ours(_) => return Err(RepoError::AlreadyInitialised(path.to_owned()).into()),
        Kind::Kubo => return Err(RepoError::KuboRepo(path.to_owned()).into()),
        Kind::Unknown(text) => {
            return Err(RepoError::BadVersion {
                path: path.to_owned(),
                text,
            }
            .into());
        }
    }
    let identity = identity::generate(&options.algorithm, options.bits)?;
    let mut document = initial_document(options.config.as_deref(), &options.profiles)?;
    document["Identity"] =
        json!({"PeerID": identity.peer_id, "PrivKey": identity.private_key.as_str()});

    make_directory(path)?;
    sync_name(path)?;
    let lock = RepoLock::take(path, Duration::ZERO)?;
    make_directory(&path.join("keystore"))?;
    write_version(path)?;
    ConfigFile::create(path, document)?;
    drop(lock);

    match fill(path, options) {
        Ok(welcome) => Ok(Initialised {
            path: path.to_owned(),
            peer_id: identity.peer_id,
            welcome,
        }),
        Err(error) => {
            // Without it the directory is no repo, and `init` can be run again. The first error is the one to tell.
            let _ = fs::remove_file(path.join("config"));
            Err(error)
        }
    }
}

/// Adds and pins what a new repo holds.
fn fill(path: &Path, options: &InitOptions) -> crate::Result<Option<Cid>> {
    let node = Node::builder().repo(path).open()?;
    let empty = AddOptions {
        wrap: true,
        ..AddOptions::as_kubo_2015()
    };
    node.files().add(Vec::new(), &empty, &mut |_| Ok(()))?;
    let welcome = if options.empty_repo {
        None
    } else {
        Some(add_welcome(&node)?)
    };
    node.close()?;
    Ok(welcome)
}

fn add_welcome(node: &Node) -> crate::Result<Cid> {
    let files = vec![Source::bytes("readme", WELCOME)];
    let options = AddOptions {
        wrap: true,
        ..AddOptions::as_kubo_2015()
    };
    let report = node.files().add(files, &options, &mut |_| Ok(()))?;
    report
        .roots
        .into_iter()
        .next()
        .map(|root| root.cid)
        .ok_or(crate::Error::Internal("the welcome files have no root"))
}

const WELCOME: &str = "Welcome to ipfs-kit.\n\n\
    ipfs-kit add FILE      puts a file in and prints its CID\n\
    ipfs-kit cat CID       gets it back\n\
    ipfs-kit pin ls        shows what is kept\n\
    ipfs-kit repo gc       frees the rest\n\n\
    Everything you add can be read by anyone who connects to this node and knows its CID.\n";

fn make_directory(path: &Path) -> Result<(), RepoError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| RepoError::io("create directory", path, error))
}

/// Makes the name of a directory durable.
fn sync_name(path: &Path) -> Result<(), RepoError> {
    let absolute = std::path::absolute(path);
    absolute
        .and_then(|path| {
            path.parent()
                .map_or(Ok(()), |above| fs::File::open(above)?.sync_all())
        })
        .map_err(|error| RepoError::io("sync the directory of", path, error))
}

fn write_version(repo: &Path) -> Result<(), RepoError> {
    let path = repo.join("version");
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&path)?;
        file.write_all(place::version_text().as_bytes())?;
        file.sync_all()?;
        fs::File::open(repo)?.sync_all()
    };
    write().map_err(|error| RepoError::io("write", &path, error))
}
