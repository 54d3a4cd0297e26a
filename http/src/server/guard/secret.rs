//! Secrets of `API.Authorizations`.

use serde_json::Value;

/// What every secret opens, so that a client can tell whether it has one.
pub const ALWAYS: &str = "/api/v0/version";

/// One entry: a secret and the paths that it opens.
#[derive(Clone)]
pub struct Authorization {
    header: String,
    paths: Vec<String>,
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Authorization")
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

impl Authorization {
    /// The entries of the configuration. One without a secret opens nothing.
    pub fn all(config: Option<&Value>) -> Vec<Authorization> {
        let entries = config.and_then(Value::as_object);
        let entries = entries.into_iter().flatten().map(|(_, entry)| {
            let paths = entry["AllowedPaths"].as_array();
            let paths = paths.into_iter().flatten().filter_map(Value::as_str);
            Authorization {
                header: match entry["AuthSecret"].as_str().unwrap_or_default() {
                    "" | "basic:" | "bearer:" => String::new(),
                    secret => authorization(secret),
                },
                paths: paths.map(str::to_owned).collect(),
            }
        });
        entries.collect()
    }

    /// Whether this is its header and it opens the path.
    pub fn opens(&self, header: &str, path: &str) -> bool {
        let open = path == ALWAYS || self.paths.iter().any(|known| covers(known, path));
        same(self.header.as_bytes(), header.as_bytes()) & open & !self.header.is_empty()
    }
}

/// The value of the header `Authorization` for a secret as the configuration and `--api-auth` have it.
pub fn authorization(secret: &str) -> String {
    use base64::Engine;
    if let Some(pair) = secret.strip_prefix("basic:") {
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        return format!("Basic {encoded}");
    }
    format!(
        "Bearer {}",
        secret.strip_prefix("bearer:").unwrap_or(secret)
    )
}

/// Whether an allowed path covers another: itself and what is below it.
pub fn covers(known: &str, path: &str) -> bool {
    let known = known.trim_end_matches('/');
    path.strip_prefix(known)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Compares in a time that depends on the lengths only.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_open_their_paths() {
        let config = json!({
            "alice": {"AuthSecret": "basic:alice:pw", "AllowedPaths": ["/api/v0/pin"]},
            "bob": {"AuthSecret": "tok", "AllowedPaths": ["/"]},
            "nobody": {"AllowedPaths": ["/"]},
            "empty": {"AuthSecret": "bearer:", "AllowedPaths": ["/"]},
        });
        let known = Authorization::all(Some(&config));
        let opens = |header: &str, path: &str| known.iter().any(|known| known.opens(header, path));
        let alice = "Basic YWxpY2U6cHc=";
        assert!(opens(alice, "/api/v0/pin/ls") && opens(alice, "/api/v0/version"));
        assert!(!opens(alice, "/api/v0/pinata") && !opens(alice, "/metrics"));
        assert!(opens("Bearer tok", "/api/v0/id") && opens("Bearer tok", "/metrics"));
        for wrong in [
            "Bearer to",
            "Bearer tokk",
            "bearer tok",
            "tok",
            "",
            "Bearer ",
        ] {
            assert!(!opens(wrong, "/api/v0/id"), "{wrong}");
        }
        assert!(!format!("{known:?}").contains("tok"));
    }
}
