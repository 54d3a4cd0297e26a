//! What of the `config` file nobody is shown, and nobody changes by replacing the file.

use serde_json::Value;

use super::{ConfigError, document};

/// Refuses keys whose values are never shown.
pub(super) fn refuse_secrets(key: &str) -> Result<(), ConfigError> {
    let lower = key.to_ascii_lowercase();
    let parts: Vec<&str> = lower.split('.').collect();
    match parts.as_slice() {
        ["identity"] | ["identity", "privkey", ..] => Err(ConfigError::PrivateKey),
        ["pinning", "remoteservices", _, "api", "key", ..] => Err(ConfigError::PinningCredentials),
        ["pinning"] | ["pinning", "remoteservices"] | ["pinning", "remoteservices", _] => {
            Err(ConfigError::PinningCredentials)
        }
        ["pinning", "remoteservices", _, "api"] => Err(ConfigError::PinningCredentials),
        _ => Ok(()),
    }
}

/// Whether the value at the key is among those of `API.Authorizations`. They can be set and not seen.
pub(super) fn holds_api_secrets(key: &str) -> bool {
    const SECTION: &str = "api.authorizations";
    let lower = key.to_ascii_lowercase();
    lower
        .strip_prefix(SECTION)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The set of pinning services may not change by replacement, nor their keys.
pub(super) fn keep_service_credentials(
    document: &Value,
    new: &mut Value,
) -> Result<(), ConfigError> {
    const SERVICES: &str = "Pinning.RemoteServices";
    let names = |of: &Value| -> Vec<String> {
        let mut names: Vec<String> = document::get(of, SERVICES)
            .ok()
            .and_then(Value::as_object)
            .map(|map| map.keys().cloned().collect())
            .unwrap_or_default();
        names.sort();
        names
    };
    let (old_names, new_names) = (names(document), names(new));
    if old_names != new_names {
        let reason =
            "cannot add or remove remote pinning services with 'config replace'".to_owned();
        return Err(ConfigError::BadValue {
            key: SERVICES.to_owned(),
            reason,
        });
    }
    for name in old_names {
        let old = &document["Pinning"]["RemoteServices"][&name]["API"];
        let new_api = &mut new["Pinning"]["RemoteServices"][&name]["API"];
        let changed = |field: &str| {
            let given = new_api
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default();
            !given.is_empty() && Some(given) != old.get(field).and_then(Value::as_str)
        };
        if changed("Key") || changed("Endpoint") {
            let reason =
                "cannot change remote pinning services api info with 'config replace'".to_owned();
            return Err(ConfigError::BadValue {
                key: SERVICES.to_owned(),
                reason,
            });
        }
        *new_api = old.clone();
    }
    Ok(())
}
