//! The repo's own `config` file.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::secrets::{holds_api_secrets, keep_service_credentials, refuse_secrets};
use super::{ConfigError, defaults, document, keys, profile};

/// One change at a time, so that none is lost and none takes the temporary file of another.
static CHANGES: Mutex<()> = Mutex::new(());

/// The `config` file of one repo, for reading and changing it without opening the repo.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    path: PathBuf,
    document: Value,
}

/// What [`ConfigFile::apply_profile`] changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileChange {
    /// The document before, without secrets.
    pub before: Value,
    /// The document after, without secrets.
    pub after: Value,
}

/// Answer of [`ConfigFile::take_over`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TakenOver {
    /// Keys that were set.
    pub set: u64,
    /// Keys that had the value before.
    pub same: u64,
    /// Keys that have another value, which stays.
    pub own: Vec<String>,
}

/// The document that `init` writes: the defaults, what `given` (JSON text) says over them, the profiles.
///
/// # Errors
/// As [`ConfigFile::replace`] and [`ConfigFile::apply_profile`].
pub(crate) fn initial_document(
    given: Option<&str>,
    profiles: &[String],
) -> Result<Value, ConfigError> {
    let mut config = Value::Object(Map::from_iter([(
        "Identity".to_owned(),
        Value::Object(Map::new()),
    )]));
    document::merge(&mut config, &defaults::document());
    if let Some(text) = given {
        document::merge(&mut config, &parse(text)?);
    }
    for name in profiles {
        profile::apply(&mut config, name)?;
    }
    keys::check_document(&config)?;
    Ok(config)
}

impl ConfigFile {
    /// Reads the `config` of the repo at `repo`.
    ///
    /// # Errors
    /// [`ConfigError::Io`] when it cannot be read, [`ConfigError::BadFile`] when it is no JSON object.
    pub fn load(repo: &Path) -> Result<Self, ConfigError> {
        let path = repo.join("config");
        let text = fs::read_to_string(&path).map_err(|source| ConfigError::Io {
            action: "read",
            path: path.clone(),
            source,
        })?;
        let document = parse(&text).map_err(|error| ConfigError::BadFile {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        Ok(Self { path, document })
    }

    /// Writes a new file; there must be none yet.
    pub(crate) fn create(repo: &Path, document: Value) -> Result<Self, ConfigError> {
        let file = Self {
            path: repo.join("config"),
            document,
        };
        file.save()?;
        Ok(file)
    }

    /// Where the file is, for an editor.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The document with everything in it, the private key too.
    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    /// A value by dotted key.
    ///
    /// # Errors
    /// [`ConfigError::NoKey`] with the part of the key that is not there; [`ConfigError::PrivateKey`],
    /// [`ConfigError::ApiSecrets`].
    pub fn get(&self, key: &str) -> Result<Value, ConfigError> {
        refuse_secrets(key)?;
        if holds_api_secrets(key) {
            return Err(ConfigError::ApiSecrets);
        }
        let value = document::get(&self.document, key).map_err(ConfigError::NoKey)?;
        let whole = Value::Object(Map::from_iter([(key.to_owned(), value.clone())]));
        Ok(match document::scrubbed(&whole) {
            Value::Object(map) => map
                .into_iter()
                .next()
                .map(|(_, value)| value)
                .unwrap_or(Value::Null),
            value => value,
        })
    }

    /// Sets a value by dotted key and saves the file whole or not at all. Returns the value as stored.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`], [`ConfigError::BadValue`] or [`ConfigError::PrivateKey`]; nothing is saved then.
    pub fn set(&mut self, key: &str, value: Value) -> Result<Value, ConfigError> {
        refuse_secrets(key)?;
        if key.eq_ignore_ascii_case("Identity.PeerID") {
            let own = document::get(&self.document, "Identity.PeerID").ok();
            return if own == Some(&value) {
                Ok(value)
            } else {
                Err(ConfigError::ForeignPeerId)
            };
        }
        keys::check(key, &value)?;
        let _one = CHANGES.lock();
        let mut changed = self.reloaded()?;
        document::set(&mut changed, key, value)?;
        self.store(changed)?;
        if holds_api_secrets(key) {
            return Ok(Value::Null);
        }
        self.get(key)
    }

    /// Sets those of the keys that do not have a value of their own, that is, another than the default.
    pub(crate) fn take_over(
        &mut self,
        values: Vec<(String, Value)>,
    ) -> Result<TakenOver, ConfigError> {
        let defaults = defaults::document();
        let mut changed = self.document.clone();
        let mut taken = TakenOver::default();
        for (key, value) in values {
            let own = document::get(&self.document, &key).unwrap_or(&Value::Null);
            let default = document::get(&defaults, &key).unwrap_or(&Value::Null);
            if *own == value {
                taken.same += 1;
            } else if own.is_null() || own == default {
                document::set(&mut changed, &key, value)?;
                taken.set += 1;
            } else {
                taken.own.push(key);
            }
        }
        if taken.set > 0 {
            self.store(changed)?;
        }
        Ok(taken)
    }

    /// Keeps a pinning service under a name, or removes it. The name is one part of a key, whatever is in it.
    pub(crate) fn set_remote_service(
        &mut self,
        name: &str,
        service: Option<Value>,
    ) -> Result<(), ConfigError> {
        const SERVICES: &str = "Pinning.RemoteServices";
        let mut changed = self.document.clone();
        let known = document::get(&changed, SERVICES).ok();
        let mut services = known
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        match service {
            Some(service) => drop(services.insert(name.to_owned(), service)),
            None => drop(services.remove(name)),
        }
        document::set(&mut changed, SERVICES, Value::Object(services))?;
        self.store(changed)
    }

    /// Gives the node another identity; only a rotation of keys and a migration do that.
    pub(crate) fn set_identity(&mut self, peer_id: &str, private: &str) -> Result<(), ConfigError> {
        let _one = CHANGES.lock();
        let mut changed = self.reloaded()?;
        document::set(&mut changed, "Identity.PeerID", peer_id.into())?;
        document::set(&mut changed, "Identity.PrivKey", private.into())?;
        self.store(changed)
    }

    /// The document without secrets.
    pub fn show(&self) -> Value {
        document::scrubbed(&self.document)
    }

    /// Replaces the document by another, keeping the identity and the credentials.
    ///
    /// # Errors
    /// [`ConfigError::BadDocument`], [`ConfigError::BadValue`], [`ConfigError::PrivateKeyInReplacement`]; nothing is
    /// saved then.
    pub fn replace(&mut self, text: &str) -> Result<(), ConfigError> {
        let mut new = parse(text)?;
        if document::get(&new, "Identity.PrivKey")
            .is_ok_and(|key| key.as_str().is_none_or(|text| !text.is_empty()))
        {
            return Err(ConfigError::PrivateKeyInReplacement);
        }
        keys::check_document(&new)?;
        let _one = CHANGES.lock();
        self.document = self.reloaded()?;
        for kept in ["Identity", "API.Authorizations"] {
            if let Ok(value) = document::get(&self.document, kept) {
                document::set(&mut new, kept, value.clone())?;
            }
        }
        keep_service_credentials(&self.document, &mut new)?;
        self.store(new)
    }

    /// Applies a profile; with `dry_run` nothing is saved. The file before is kept beside it as
    /// `config-pre-NAME-TIME`.
    ///
    /// # Errors
    /// [`ConfigError::NoProfile`], [`ConfigError::ProfileRefused`].
    pub fn apply_profile(
        &mut self,
        name: &str,
        dry_run: bool,
    ) -> Result<ProfileChange, ConfigError> {
        let _one = CHANGES.lock();
        self.document = self.reloaded()?;
        let mut changed = self.document.clone();
        profile::apply(&mut changed, name)?;
        let change = ProfileChange {
            before: self.show(),
            after: document::scrubbed(&changed),
        };
        if !dry_run {
            let seconds = std::time::SystemTime::UNIX_EPOCH
                .elapsed()
                .map_or(0, |elapsed| elapsed.as_nanos());
            let backup = self
                .path
                .with_file_name(format!("config-pre-{name}-{seconds}"));
            write_whole(&backup, &self.document)?;
            self.store(changed)?;
        }
        Ok(change)
    }

    /// The document as others may have changed it.
    fn reloaded(&self) -> Result<Value, ConfigError> {
        let repo = self.path.parent().unwrap_or(Path::new("."));
        Ok(Self::load(repo)?.document)
    }

    fn store(&mut self, document: Value) -> Result<(), ConfigError> {
        write_whole(&self.path, &document)?;
        self.document = document;
        Ok(())
    }

    fn save(&self) -> Result<(), ConfigError> {
        write_whole(&self.path, &self.document)
    }
}

fn parse(text: &str) -> Result<Value, ConfigError> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(ConfigError::BadDocument("it is no JSON object".to_owned())),
        Err(error) => Err(ConfigError::BadDocument(error.to_string())),
    }
}

/// Writes beside the file, syncs, renames over it, syncs the directory: after a crash the file is the old or the new.
fn write_whole(path: &Path, document: &Value) -> Result<(), ConfigError> {
    let io = |source| ConfigError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let mut text =
        serde_json::to_string_pretty(document).map_err(|error| io(io::Error::other(error)))?;
    text.push('\n');
    let directory = path.parent().unwrap_or(Path::new("."));
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        fs::File::open(directory)?.sync_all()
    };
    write().map_err(|source| {
        // The temporary file may not even exist; the write error is what matters.
        let _ = fs::remove_file(&temporary);
        io(source)
    })
}

#[cfg(test)]
mod tests;
