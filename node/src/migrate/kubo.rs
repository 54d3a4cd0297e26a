//! A repo of Kubo's: whether it can be read now, and where its parts are.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use serde_json::Value;

use super::MigrateError;
use super::leveldb::LevelDb;
use crate::keys::{KeyError, Keystore, PrivateKey};
use crate::repo::{self, Kind};

/// Versions whose blocks are known by multihash and whose pins are records.
const OLDEST: u64 = 12;
/// What Kubo 0.43 writes.
const NEWEST: u64 = 18;

/// Longest file that is read whole.
const MAX_FILE: u64 = 4 << 20;
/// How long a daemon that may be there has to take a connection on this machine.
const API_PATIENCE: Duration = Duration::from_millis(500);

/// A repo of Kubo's that no Kubo runs on. While this lives none can be started on it, where the repo has a file to lock.
pub struct KuboRepo {
    path: PathBuf,
    blocks: PathBuf,
    records: LevelDb,
    config: Value,
    lock: Option<File>,
}

/// A name, and what was found under it.
pub(super) type NamedKey = (String, Result<Option<PrivateKey>, KeyError>);

impl KuboRepo {
    /// Looks whether the repo can be read, and reads its configuration and the list of its records.
    ///
    /// # Errors
    /// [`MigrateError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, MigrateError> {
        let path = path.as_ref();
        check_version(path)?;
        let lock = lock(path)?;
        check_api(path)?;
        let (blocks, records) = datastores(path)?;
        check_sharding(&blocks)?;
        let config = read_text(&path.join("config"))?;
        let config = serde_json::from_str(&config).map_err(|error| MigrateError::File {
            path: path.join("config"),
            reason: format!("it is no JSON: {error}"),
        })?;
        Ok(Self {
            path: path.to_owned(),
            records: LevelDb::open(&records)?,
            blocks,
            config,
            lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of its blocks.
    pub(super) fn blocks(&self) -> &Path {
        &self.blocks
    }

    /// Everything that is no block.
    pub(super) fn records(&self) -> &LevelDb {
        &self.records
    }

    pub(super) fn config(&self) -> &Value {
        &self.config
    }

    /// The named keys.
    pub(super) fn keys(&self) -> Result<Vec<NamedKey>, KeyError> {
        let store = Keystore::new(Some(&self.path));
        let names = store.names()?.into_iter();
        Ok(names
            .map(|name| {
                let key = store.get(&name);
                (name, key)
            })
            .collect())
    }

    /// Fails when a Kubo was started meanwhile, which there may be no lock to prevent.
    pub(super) fn check_untouched(&self) -> Result<(), MigrateError> {
        if self.lock.is_none() && self.path.join("repo.lock").exists() {
            return Err(MigrateError::StartedMeanwhile(self.path.clone()));
        }
        Ok(())
    }
}

fn check_version(path: &Path) -> Result<(), MigrateError> {
    let not_kubo = |reason: String| MigrateError::NotKubo {
        path: path.to_owned(),
        reason,
    };
    match repo::kind(path).map_err(|error| not_kubo(error.to_string()))? {
        Kind::Ours(_) => {
            return Err(not_kubo(
                "it is a repo of ipfs-kit, which needs no migration".to_owned(),
            ));
        }
        Kind::Absent => return Err(not_kubo("nothing is there".to_owned())),
        Kind::Unknown(_) | Kind::Kubo => {}
    }
    let version = read_text(&path.join("version"))?;
    let found = version.trim().parse().map_err(|_| {
        not_kubo(format!(
            "its file 'version' holds {:?}, which is no number",
            version.trim().chars().take(40).collect::<String>()
        ))
    })?;
    let remedy = match found {
        OLDEST..=NEWEST => return Ok(()),
        ..OLDEST => "bring it up to date with 'ipfs repo migrate' of a current Kubo first",
        _ => "it was written by a newer Kubo; a newer ipfs-kit may read it",
    };
    Err(MigrateError::Version {
        path: path.to_owned(),
        found,
        oldest: OLDEST,
        newest: NEWEST,
        remedy,
    })
}

/// Takes the lock that keeps a Kubo out, for reading: the file is not written. `None` when there is no such file, which
/// Kubo makes when it starts and removes when it ends.
fn lock(path: &Path) -> Result<Option<File>, MigrateError> {
    let file = path.join("repo.lock");
    let opened = match File::open(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| MigrateError::io(&file, error))?,
    };
    match fcntl_lock(&opened, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Some(opened)),
        Err(Errno::AGAIN | Errno::ACCESS) => Err(MigrateError::Running {
            path: path.to_owned(),
            sign: "it holds repo.lock".to_owned(),
        }),
        Err(error) => Err(MigrateError::io(file, error.into())),
    }
}

/// Looks whether a daemon answers where the repo says that one is. A killed one leaves the file behind.
fn check_api(path: &Path) -> Result<(), MigrateError> {
    let file = path.join("api");
    if !file.exists() {
        return Ok(());
    }
    let text = read_text(&file)?;
    let Some(address) = text.trim().parse().ok().and_then(|at| socket_address(&at)) else {
        return Ok(());
    };
    if TcpStream::connect_timeout(&address, API_PATIENCE).is_ok() {
        return Err(MigrateError::Running {
            path: path.to_owned(),
            sign: format!("its file 'api' names {address}, which answers"),
        });
    }
    Ok(())
}

fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let host = match parts.next()? {
        Protocol::Ip4(host) => host.into(),
        Protocol::Ip6(host) => host.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(host, port)),
        _ => None,
    }
}

/// The directories of the blocks and of the records.
fn datastores(path: &Path) -> Result<(PathBuf, PathBuf), MigrateError> {
    let file = path.join("datastore_spec");
    let text = read_text(&file)?;
    let spec: Value = serde_json::from_str(&text).map_err(|error| MigrateError::File {
        path: file.clone(),
        reason: format!("it is no JSON: {error}"),
    })?;
    let unread = |kind: &str| MigrateError::Datastore {
        path: path.to_owned(),
        kind: kind.to_owned(),
    };
    let kind_of = |spec: &Value| {
        spec["type"]
            .as_str()
            .unwrap_or("something unnamed")
            .to_owned()
    };
    let Some(mounts) = spec["mounts"]
        .as_array()
        .filter(|_| spec["type"] == "mount")
    else {
        return Err(unread(&kind_of(&spec)));
    };
    let at = |point: &str, kind: &str| {
        let mount = mounts.iter().find(|mount| mount["mountpoint"] == point);
        let mount = mount.ok_or_else(|| unread("something that is not mounted at /blocks"))?;
        match mount["path"].as_str().filter(|_| mount["type"] == kind) {
            Some(below) => Ok(path.join(below)),
            None => Err(unread(&kind_of(mount))),
        }
    };
    if mounts.len() != 2 {
        return Err(unread("more datastores than two"));
    }
    Ok((at("/blocks", "flatfs")?, at("/", "levelds")?))
}

/// The function that spreads blocks over directories, such as `/repo/flatfs/shard/v1/next-to-last/2`.
fn check_sharding(blocks: &Path) -> Result<(), MigrateError> {
    let path = blocks.join("SHARDING");
    let refused = |reason: String| MigrateError::Sharding {
        path: path.clone(),
        reason,
    };
    let text = match read_text(&path) {
        Err(MigrateError::Io { source, .. }) => return Err(refused(source.to_string())),
        text => text?,
    };
    let text = text.trim();
    let known = text
        .strip_prefix("/repo/flatfs/shard/v1/")
        .and_then(|function| {
            let (kind, count) = function.split_once('/')?;
            let known = matches!(kind, "prefix" | "suffix" | "next-to-last");
            (known && count.parse::<u32>().is_ok()).then_some(())
        });
    known.ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        refused(format!(
            "it names a way of spreading that is not known: {shown:?}"
        ))
    })
}

fn read_text(path: &Path) -> Result<String, MigrateError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    match read {
        Ok(read) if read as u64 > MAX_FILE => Err(MigrateError::File {
            path: path.to_owned(),
            reason: "it is larger than 4 MiB".to_owned(),
        }),
        Ok(_) => Ok(text),
        Err(error) => Err(MigrateError::io(path, error)),
    }
}

/// Every directory that may hold blocks.
pub(super) fn shards(blocks: &Path) -> Result<Vec<PathBuf>, MigrateError> {
    let io = |error| MigrateError::io(blocks, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(blocks).map_err(io)? {
        let entry = entry.map_err(io)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if entry.file_type().map_err(io)?.is_dir() && !hidden {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
