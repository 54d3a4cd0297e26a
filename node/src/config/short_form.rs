//! The short YAML or JSON form of the configuration: `role`, `resources`, `cache`, `timeouts`, `logging`, `plugins`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{ConfigError, document, keys};

/// Where the short form is looked for, in this order; the first found wins.
pub const SEARCH_PATH: [&str; 6] = [
    "./ipfs_config.yaml",
    "./ipfs_config.json",
    "~/.ipfs_kit/config.yaml",
    "~/.ipfs_kit/config.json",
    "/etc/ipfs_kit/config.yaml",
    "/etc/ipfs_kit/config.json",
];

/// No configuration of this form comes near; a larger file is refused before it is read.
const MAX_BYTES: u64 = 1 << 20;

/// The first file of [`SEARCH_PATH`] that exists.
pub fn find() -> Option<PathBuf> {
    SEARCH_PATH
        .iter()
        .map(|place| expand_home(place))
        .find(|path| path.is_file())
}

/// A file of the short form, as a document with the node's own keys.
pub struct ShortForm {
    /// What it sets.
    pub overlay: Value,
    /// Keys in it that mean nothing here.
    pub unknown: Vec<String>,
}

/// Reads a file of the short form: JSON when it starts like a JSON object, YAML otherwise.
pub fn load(path: &Path) -> Result<ShortForm, ConfigError> {
    let io = |source| ConfigError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let bad = |reason: String| ConfigError::BadFile {
        path: path.to_owned(),
        reason,
    };
    if std::fs::metadata(path).map_err(io)?.len() > MAX_BYTES {
        return Err(bad(format!("is larger than {MAX_BYTES} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    let value: Value = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?
    } else if text.trim().is_empty() {
        Value::Object(Map::new())
    } else {
        serde_saphyr::from_str(&text).map_err(|error| bad(error.to_string()))?
    };
    translate(&value).map_err(|error| bad(error.to_string()))
}

/// Reads a file of the short form and gives what it sets, under the node's own keys.
///
/// # Errors
/// [`ConfigError::Io`], [`ConfigError::BadFile`].
pub fn read(path: &Path) -> Result<Value, ConfigError> {
    load(path).map(|form| form.overlay)
}

/// Translates the short form. Sections that already have the node's own names are taken as they are.
pub fn translate(value: &Value) -> Result<ShortForm, ConfigError> {
    let map = value
        .as_object()
        .ok_or_else(|| ConfigError::BadDocument("it is no mapping of keys".to_owned()))?;
    let mut overlay = Value::Object(Map::new());
    let mut unknown = Vec::new();
    let mut own = Map::new();
    for (section, value) in map {
        if section.starts_with(|c: char| c.is_ascii_uppercase()) {
            own.insert(section.clone(), value.clone());
            continue;
        }
        match (KEYS.iter().find(|(name, _)| name == section), value) {
            (Some((_, target)), value) => place(&mut overlay, target, section, value)?,
            (None, Value::Object(entries))
                if KEYS.iter().any(|(name, _)| in_section(name, section)) =>
            {
                for (name, value) in entries {
                    let dotted = format!("{section}.{name}");
                    match KEYS.iter().find(|(known, _)| *known == dotted) {
                        Some((_, target)) => place(&mut overlay, target, &dotted, value)?,
                        None => unknown.push(dotted),
                    }
                }
            }
            (None, _) => unknown.push(section.clone()),
        }
    }
    let own = Value::Object(own);
    unknown.extend(keys::check_document(&own)?);
    document::merge(&mut overlay, &own);
    Ok(ShortForm { overlay, unknown })
}

fn in_section(name: &str, section: &str) -> bool {
    name.strip_prefix(section)
        .is_some_and(|rest| rest.starts_with('.'))
}

fn place(overlay: &mut Value, target: &str, given: &str, value: &Value) -> Result<(), ConfigError> {
    let value = match value {
        Value::String(text) if target.ends_with("Path") || target.ends_with("File") => {
            Value::String(expand_home(text).to_string_lossy().into_owned())
        }
        value => value.clone(),
    };
    keys::check(target, &value).map_err(|error| match error {
        ConfigError::BadValue { reason, .. } => ConfigError::BadValue {
            key: given.to_owned(),
            reason,
        },
        error => error,
    })?;
    document::set(overlay, target, value)
}

/// Replaces a leading `~/` by the home directory.
pub fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// Keys of the short form and where they go.
const KEYS: &[(&str, &str)] = &[
    ("role", "Role"),
    ("resources.max_memory", "Resources.MaxMemory"),
    ("resources.max_storage", "Datastore.StorageMax"),
    ("cache.memory_size", "Cache.MemorySize"),
    ("cache.disk_size", "Cache.DiskSize"),
    ("cache.disk_path", "Cache.DiskPath"),
    ("timeouts.api", "Timeouts.API"),
    ("timeouts.gateway", "Timeouts.Gateway"),
    ("timeouts.peer_connect", "Timeouts.PeerConnect"),
    ("logging.level", "Logging.Level"),
    ("logging.file", "Logging.File"),
    ("plugins", "Extensions"),
    ("metadata", "Metadata"),
    ("format", "CommandLine.Format"),
    ("timeout", "CommandLine.Timeout"),
    ("api_url", "CommandLine.APIURL"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const YAML: &str = "role: worker\nresources:\n  max_storage: 5GB\n  colour: red\ncache:\n  memory_size: 1000\n\
                        Swarm:\n  DisableNatPortMap: true\nsurprise: 1\n";

    #[test]
    fn yaml_and_json_say_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let expected = json!({"Role": "worker", "Datastore": {"StorageMax": "5GB"}, "Cache": {"MemorySize": 1000},
            "Swarm": {"DisableNatPortMap": true}});
        let yaml = dir.path().join("c.yaml");
        std::fs::write(&yaml, YAML).unwrap();
        let form = load(&yaml).unwrap();
        assert_eq!(form.overlay, expected);
        assert_eq!(form.unknown, ["resources.colour", "surprise"]);

        let value: Value = serde_saphyr::from_str(YAML).unwrap();
        let json = dir.path().join("c.json");
        std::fs::write(&json, value.to_string()).unwrap();
        assert_eq!(load(&json).unwrap().overlay, expected);
    }

    #[test]
    fn bad_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        assert!(
            matches!(load(&path), Err(ConfigError::Io { .. })),
            "a missing file is an error"
        );
        for text in [
            "a: [1\n",
            "{\"role\": 3}",
            "- 1\n",
            "resources:\n  max_storage: lots\n",
        ] {
            std::fs::write(&path, text).unwrap();
            let error = load(&path).err().unwrap().to_string();
            assert!(error.contains("c.yaml"), "{text:?}: {error}");
        }
        std::fs::write(&path, "").unwrap();
        assert_eq!(load(&path).unwrap().overlay, json!({}));
    }
}
