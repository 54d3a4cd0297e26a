//! The configuration in force: every layer merged.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::short_form::{self, ShortForm};
use super::{ConfigError, Role, defaults, document, keys, parse_duration};

/// What lies over the repo's own file.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// Let the environment and the search path of the short form take part.
    pub environment: bool,
    /// A file of the short form; wins over one found by search.
    pub config_file: Option<PathBuf>,
    /// A role; wins over one named in a file or the environment.
    pub role: Option<Role>,
    /// Single values by dotted key; they win over everything.
    pub values: Vec<(String, Value)>,
}

impl Layers {
    /// The file of the short form that is read now, if there is one.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        if self.config_file.is_some() || !self.environment {
            return self.config_file.clone();
        }
        let variable = std::env::var_os("IPFS_KIT_CONFIG").filter(|value| !value.is_empty());
        variable.map(PathBuf::from).or_else(short_form::find)
    }
}

/// The configuration in force: every layer merged, read only.
#[derive(Clone, Debug)]
pub struct Config {
    document: Value,
    warnings: Vec<String>,
    role: Role,
}

impl Config {
    /// Merges the layers over `repo`, the document of the repo's own file.
    ///
    /// # Errors
    /// The first value, file or variable that cannot be used, by name.
    pub fn merged(repo: &Value, layers: &Layers) -> Result<Self, ConfigError> {
        let mut warnings: Vec<String> = keys::check_document(repo)?
            .into_iter()
            .map(|key| format!("config key {key} is not known and has no effect"))
            .collect();
        let short = read_short_form(layers)?;
        if let Some((path, form)) = &short {
            warnings.extend(form.unknown.iter().map(|key| {
                format!(
                    "{}: key {key} is not known and has no effect",
                    path.display()
                )
            }));
        }
        let overlay = short.as_ref().map(|(_, form)| &form.overlay);
        let role = role(repo, overlay, layers)?;

        let base = defaults::document();
        let mut merged = base.clone();
        if let Some(role) = role {
            document::merge(&mut merged, &role.preset());
        }
        if let Some(own) = document::difference(repo, &base) {
            document::merge(&mut merged, &own);
        }
        if let Some(overlay) = overlay {
            document::merge(&mut merged, overlay);
        }
        if layers.environment
            && let Some(text) = std::env::var_os("IPFS_HTTP_ROUTERS")
            && let Some(routers) = routers(&text.to_string_lossy())
        {
            document::set(&mut merged, "Routing.DelegatedRouters", routers)?;
        }
        for (key, value) in &layers.values {
            keys::check(key, value)?;
            document::set(&mut merged, key, value.clone())?;
        }
        let role = role.unwrap_or_default();
        document::set(&mut merged, "Role", Value::String(role.to_string()))?;
        Ok(Self {
            document: merged,
            warnings,
            role,
        })
    }

    /// A value by dotted key; `None` when it is not there or null.
    pub fn get(&self, key: &str) -> Option<&Value> {
        document::get(&self.document, key)
            .ok()
            .filter(|value| !value.is_null())
    }

    /// The dotted keys that have another value, or none, in `other`.
    pub fn differences(&self, other: &Config) -> Vec<String> {
        let mut found = Vec::new();
        differences(&self.document, &other.document, "", &mut found);
        found
    }

    /// The whole document without secrets.
    pub fn show(&self) -> Value {
        document::scrubbed(&self.document)
    }

    /// Keys that are kept but mean nothing to this program, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The role in force.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Most bytes the store may use (`Datastore.StorageMax`).
    pub fn storage_max(&self) -> u64 {
        self.size("Datastore.StorageMax")
            .unwrap_or(DEFAULT_STORAGE_MAX)
    }

    /// A size by dotted key, in bytes.
    pub fn size(&self, key: &str) -> Option<u64> {
        keys::size_at(&self.document, key)
    }

    /// A string by dotted key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    /// A duration by dotted key.
    pub fn duration(&self, key: &str) -> Option<Duration> {
        self.text(key).and_then(parse_duration)
    }

    /// A whole number by dotted key; negative ones are not given.
    pub fn integer(&self, key: &str) -> Option<u64> {
        self.get(key).and_then(Value::as_u64)
    }

    /// A whole number by dotted key, which may be negative.
    pub fn signed(&self, key: &str) -> Option<i64> {
        self.get(key).and_then(Value::as_i64)
    }

    /// A switch by dotted key.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(Value::as_bool)
    }
}

fn differences(a: &Value, b: &Value, key: &str, found: &mut Vec<String>) {
    if a == b {
        return;
    }
    let empty = serde_json::Map::new();
    let (a, b) = match (a, b) {
        (Value::Object(a), Value::Object(b)) => (a, b),
        // What was not there had none of what is in it.
        (Value::Object(a), Value::Null) => (a, &empty),
        (Value::Null, Value::Object(b)) => (&empty, b),
        _ => return found.push(key.to_owned()),
    };
    let added = b.keys().filter(|name| !a.contains_key(*name));
    for name in a.keys().chain(added) {
        let below = match key {
            "" => name.clone(),
            key => format!("{key}.{name}"),
        };
        let value = |map: &serde_json::Map<String, Value>| map.get(name).cloned();
        let (a, b) = (value(a).unwrap_or_default(), value(b).unwrap_or_default());
        differences(&a, &b, &below, found);
    }
}

const DEFAULT_STORAGE_MAX: u64 = 10_000_000_000;

fn read_short_form(layers: &Layers) -> Result<Option<(PathBuf, ShortForm)>, ConfigError> {
    let path = layers.file();
    if let Some(path) = path.as_deref().filter(|path| !path.is_file())
        && layers.config_file.is_none()
    {
        return Err(ConfigError::BadVariable {
            name: "IPFS_KIT_CONFIG",
            reason: format!("there is no file {path:?}"),
        });
    }
    path.map(|path| short_form::load(&path).map(|form| (path, form)))
        .transpose()
}

/// Reads `IPFS_HTTP_ROUTERS`, which replaces the routers that are configured: addresses with spaces or commas between them.
fn routers(text: &str) -> Option<Value> {
    let parts = text.split(|sign: char| sign == ',' || sign.is_whitespace());
    let routers: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    (!routers.is_empty()).then(|| routers.into())
}

/// The role that is asked for anywhere, the strongest layer first.
fn role(
    repo: &Value,
    overlay: Option<&Value>,
    layers: &Layers,
) -> Result<Option<Role>, ConfigError> {
    let given = layers
        .values
        .iter()
        .rev()
        .find(|(key, _)| key == "Role")
        .and_then(|(_, value)| value.as_str());
    if let Some(text) = given {
        return text.parse().map(Some);
    }
    if layers.role.is_some() {
        return Ok(layers.role);
    }
    if layers.environment
        && let Some(text) = std::env::var_os("IPFS_KIT_ROLE").filter(|value| !value.is_empty())
    {
        let text = text.to_string_lossy();
        return text
            .parse()
            .map(Some)
            .map_err(|error: ConfigError| ConfigError::BadVariable {
                name: "IPFS_KIT_ROLE",
                reason: error.to_string(),
            });
    }
    let named = overlay
        .into_iter()
        .chain([repo])
        .find_map(|layer| layer.get("Role").and_then(Value::as_str));
    named.map(str::parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_are_told_by_their_keys() {
        let config = |key: &str, value: Value| {
            let values = vec![(key.to_owned(), value)];
            let layers = Layers {
                values,
                ..Layers::default()
            };
            Config::merged(&json!({}), &layers).unwrap()
        };
        let plain = Config::merged(&json!({}), &Layers::default()).unwrap();
        assert!(plain.differences(&plain.clone()).is_empty());
        let limits = config("API.Limits", json!({"IdleTimeout": "5s"}));
        assert_eq!(plain.differences(&limits), ["API.Limits.IdleTimeout"]);
        assert_eq!(limits.differences(&plain), ["API.Limits.IdleTimeout"]);
        let pubsub = config("Pubsub.Enabled", json!(true));
        assert_eq!(
            limits.differences(&pubsub),
            ["API.Limits.IdleTimeout", "Pubsub.Enabled"]
        );
    }

    #[test]
    fn layers_win_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.yaml");
        std::fs::write(&file, "role: worker\ntimeouts:\n  api: 7\nodd: 1\n").unwrap();
        let mut repo = defaults::document();
        let plain = Config::merged(&repo, &Layers::default()).unwrap();
        assert_eq!(
            (plain.storage_max(), plain.role()),
            (10_000_000_000, Role::Leecher)
        );

        let layers = Layers {
            config_file: Some(file.clone()),
            ..Layers::default()
        };
        let preset = Config::merged(&repo, &layers).unwrap();
        assert_eq!(
            (preset.storage_max(), preset.role()),
            (100_000_000_000, Role::Worker)
        );
        assert_eq!(preset.warnings().len(), 1, "{:?}", preset.warnings());

        repo["Datastore"]["StorageMax"] = json!("3GB");
        repo["Custom"] = json!({"x": 1});
        let repo_wins = Config::merged(&repo, &layers).unwrap();
        assert_eq!(repo_wins.storage_max(), 3_000_000_000);
        assert_eq!(
            repo_wins.get("Custom.x"),
            Some(&json!(1)),
            "unknown keys are kept"
        );

        std::fs::write(&file, "resources:\n  max_storage: 4GB\n").unwrap();
        assert_eq!(
            Config::merged(&repo, &layers).unwrap().storage_max(),
            4_000_000_000
        );

        let values = vec![("Datastore.StorageMax".to_owned(), json!("5GB"))];
        let layers = Layers {
            values,
            role: Some(Role::Master),
            ..layers
        };
        let flags_win = Config::merged(&repo, &layers).unwrap();
        assert_eq!(
            (flags_win.storage_max(), flags_win.role()),
            (5_000_000_000, Role::Master)
        );
    }

    #[test]
    fn routers_have_spaces_or_commas_between_them() {
        let two = json!(["http://a.example", "https://b.example/x"]);
        for text in [
            "http://a.example https://b.example/x",
            " http://a.example,\thttps://b.example/x, ",
        ] {
            assert_eq!(routers(text), Some(two.clone()), "{text:?}");
        }
        assert_eq!((routers(""), routers(" , ")), (None, None));
    }

    #[test]
    fn bad_values_are_named() {
        let mut repo = defaults::document();
        repo["Import"]["CidVersion"] = json!("one");
        let error = Config::merged(&repo, &Layers::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("Import.CidVersion"), "{error}");
        let layers = Layers {
            values: vec![("Role".to_owned(), json!("king"))],
            ..Layers::default()
        };
        assert!(matches!(
            Config::merged(&defaults::document(), &layers),
            Err(ConfigError::NoRole(_))
        ));
    }
}
