//! What the configuration says about who may ask.

use hyper::header::{HeaderName, HeaderValue};
use ipfs_kit_node::config::Config;
use serde_json::Value;

use super::origin::Origins;
use super::secret::Authorization;

/// The rules of one server.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Pages of other origins.
    pub origins: Origins,
    /// Names by which this node is called, besides those that are always its own.
    pub hosts: Vec<String>,
    /// Headers of every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    authorizations: Vec<Authorization>,
}

impl Policy {
    /// The policy of `API.HTTPHeaders`, `API.Authorizations` and `API.AllowedHosts`.
    pub fn of(config: &Config) -> Policy {
        let hosts = config.get("API.AllowedHosts");
        Policy::new(
            config.get("API.HTTPHeaders"),
            config.get("API.Authorizations"),
        )
        .with_hosts(texts(hosts).into_iter().map(str::to_owned))
    }

    /// The policy of these headers and authorizations.
    pub fn new(headers: Option<&Value>, authorizations: Option<&Value>) -> Policy {
        let mut policy = Policy {
            authorizations: Authorization::all(authorizations),
            ..Policy::default()
        };
        for (name, values) in headers.and_then(Value::as_object).into_iter().flatten() {
            let values = texts(Some(values));
            let owned = values.iter().map(|value| (*value).to_owned());
            match name.to_ascii_lowercase().as_str() {
                "access-control-allow-origin" => policy.origins.known.extend(owned),
                "access-control-allow-methods" => policy.origins.methods = Some(values.join(", ")),
                "access-control-allow-credentials" => {
                    policy.origins.credentials = values.contains(&"true");
                }
                // One that HTTP does not allow is none.
                _ => policy.headers.extend(
                    owned.filter_map(|value| Some((name.parse().ok()?, value.parse().ok()?))),
                ),
            }
        }
        policy
    }

    /// The same policy with more names by which this node is called.
    pub fn with_hosts(mut self, hosts: impl IntoIterator<Item = String>) -> Policy {
        self.hosts.extend(hosts);
        self
    }

    /// Whether it has secrets, so that one is asked for.
    pub fn asks(&self) -> bool {
        !self.authorizations.is_empty()
    }

    /// Whether the header `Authorization` has a secret that opens the path.
    pub fn opens(&self, given: &str, path: &str) -> bool {
        // All are compared, so that the time tells nothing about which one was near.
        let all = self.authorizations.iter();
        all.fold(false, |passes, known| passes | known.opens(given, path))
    }
}

/// One text or several.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
