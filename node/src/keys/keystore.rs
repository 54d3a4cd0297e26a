//! Where private keys are kept: one file per key, named and filled as Kubo does it.
//!
//! A file is called `key_` and the name in lower-case base32 without padding (RFC 4648); it holds libp2p's protobuf.
//! It is written under another name, synced and renamed, so a kill leaves the old key or the new one.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use multibase::Base;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::private::MAX_ENCODED_LEN;
use super::{KeyError, PrivateKey};

/// Most keys that are kept.
pub(super) const MAX_KEYS: usize = 10_000;
/// Longest name in bytes: as a file name it is 255 bytes long, and no file system takes more.
pub(super) const MAX_NAME_LEN: usize = 156;

const PREFIX: &str = "key_";
const UNFINISHED: &str = ".unfinished";

/// The keys of one repo. Everything it reports done is durable.
pub(crate) struct Keystore {
    place: Place,
    /// Held while something changes: names are checked and then taken.
    changing: Mutex<()>,
}

enum Place {
    Directory(PathBuf),
    Memory(Mutex<BTreeMap<String, PrivateKey>>),
}

impl Keystore {
    /// The keystore of a repo, or one that ends with the process.
    pub(crate) fn new(repo: Option<&Path>) -> Self {
        Self {
            place: match repo {
                Some(repo) => Place::Directory(repo.join("keystore")),
                None => Place::Memory(Mutex::default()),
            },
            changing: Mutex::new(()),
        }
    }

    /// The names, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>, KeyError> {
        let directory = match &self.place {
            Place::Memory(keys) => return Ok(keys.lock().keys().cloned().collect()),
            Place::Directory(directory) => directory,
        };
        let failed = |source| KeyError::Io {
            action: "read the directory",
            path: directory.clone(),
            source,
        };
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let file_name = entry.map_err(failed)?.file_name();
            // What is not ours, an editor's backup perhaps, is left alone.
            names.extend(file_name.to_str().and_then(name_of_file));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The key of that name.
    pub(crate) fn get(&self, name: &str) -> Result<Option<PrivateKey>, KeyError> {
        let directory = match &self.place {
            Place::Memory(keys) => return Ok(keys.lock().get(name).cloned()),
            Place::Directory(directory) => directory,
        };
        let path = directory.join(file_of_name(name));
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_ENCODED_LEN + 2));
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => return Ok(None),
            file => file,
        };
        file.and_then(|file| {
            file.take(MAX_ENCODED_LEN as u64 + 1)
                .read_to_end(&mut bytes)
        })
        .map_err(|source| KeyError::Io {
            action: "read",
            path,
            source,
        })?;
        let key = PrivateKey::from_protobuf(&bytes).map_err(|error| KeyError::Damaged {
            name: name.to_owned(),
            reason: match error {
                KeyError::Format { reason, .. } => reason,
                other => other.to_string(),
            },
        })?;
        Ok(Some(key))
    }

    /// Keeps a key under a name that is not taken yet.
    pub(super) fn add(&self, name: &str, key: &PrivateKey) -> Result<(), KeyError> {
        let _one_at_a_time = self.changing.lock();
        let names = self.names()?;
        if names.iter().any(|taken| taken == name) {
            return Err(KeyError::Exists(name.to_owned()));
        }
        if names.len() >= MAX_KEYS {
            return Err(KeyError::TooMany(names.len()));
        }
        match &self.place {
            Place::Memory(keys) => {
                keys.lock().insert(name.to_owned(), key.clone());
                Ok(())
            }
            Place::Directory(directory) => {
                let path = directory.join(file_of_name(name));
                write_whole(directory, &path, &key.to_protobuf()).map_err(|source| KeyError::Io {
                    action: "write",
                    path,
                    source,
                })
            }
        }
    }

    /// Gives a key another name. Returns whether another key was replaced, which only happens with `force`.
    pub(super) fn rename(&self, old: &str, new: &str, force: bool) -> Result<bool, KeyError> {
        let _one_at_a_time = self.changing.lock();
        let names = self.names()?;
        let has = |name: &str| names.iter().any(|taken| taken == name);
        if !has(old) {
            return Err(KeyError::NotFound(old.to_owned()));
        }
        if old == new {
            return Ok(false);
        }
        if has(new) && !force {
            return Err(KeyError::Exists(new.to_owned()));
        }
        match &self.place {
            Place::Memory(keys) => {
                let mut keys = keys.lock();
                if let Some(key) = keys.remove(old) {
                    keys.insert(new.to_owned(), key);
                }
            }
            Place::Directory(directory) => {
                let path = directory.join(file_of_name(old));
                fs::rename(&path, directory.join(file_of_name(new)))
                    .and_then(|()| File::open(directory)?.sync_all())
                    .map_err(|source| KeyError::Io {
                        action: "rename",
                        path,
                        source,
                    })?;
            }
        }
        Ok(has(new))
    }

    /// Removes keys; nothing is removed when one of them is not there.
    pub(super) fn remove(&self, removed: &[String]) -> Result<(), KeyError> {
        let _one_at_a_time = self.changing.lock();
        let names = self.names()?;
        if let Some(missing) = removed.iter().find(|name| !names.contains(name)) {
            return Err(KeyError::NotFound(missing.clone()));
        }
        match &self.place {
            Place::Memory(keys) => keys.lock().retain(|name, _| !removed.contains(name)),
            Place::Directory(directory) => {
                let failed = |path: PathBuf| {
                    move |source| KeyError::Io {
                        action: "remove",
                        path,
                        source,
                    }
                };
                for name in removed {
                    let path = directory.join(file_of_name(name));
                    match fs::remove_file(&path) {
                        // Named twice in the list.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        done => done.map_err(failed(path))?,
                    }
                }
                File::open(directory)
                    .and_then(|directory| directory.sync_all())
                    .map_err(failed(directory.clone()))?;
            }
        }
        Ok(())
    }
}

fn file_of_name(name: &str) -> String {
    format!("{PREFIX}{}", Base::Base32Lower.encode(name))
}

fn name_of_file(file: &str) -> Option<String> {
    let bytes = Base::Base32Lower.decode(file.strip_prefix(PREFIX)?).ok()?;
    String::from_utf8(bytes)
        .ok()
        .filter(|name| !name.is_empty())
}

/// Writes, syncs, renames, syncs the directory. The unfinished file is always the same one, so that a kill leaves no
/// trail of secrets.
fn write_whole(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let unfinished = directory.join(UNFINISHED);
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        File::open(directory)?.sync_all()
    };
    write().inspect_err(|_| {
        // The first error is the one to tell.
        drop(fs::remove_file(&unfinished));
    })
}
