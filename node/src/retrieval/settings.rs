//! `HTTPRetrieval`, with Kubo's keys and defaults, and `Gateways`, which is our own.

use serde_json::Value;

use super::endpoint::Endpoint;
use crate::config::Config;
use crate::net::NetError;

const GATEWAYS: &str = "HTTPRetrieval.Gateways";

/// Kubo's values.
const WORKERS: u64 = 16;
const BLOCK_MAX: u64 = 2 << 20;

/// What retrieval over HTTP is told.
#[derive(Clone, Debug)]
pub struct RetrievalSettings {
    pub enabled: bool,
    /// Requests at the same time.
    pub workers: usize,
    /// Largest block, in bytes.
    pub block_max: usize,
    /// The servers' certificates are checked.
    pub verify: bool,
    pub hosts: Hosts,
    /// Asked for every block that nobody is found for.
    pub gateways: Vec<Endpoint>,
}

/// `Allowlist` and `Denylist`.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// Empty: all.
    allowed: Vec<String>,
    denied: Vec<String>,
}

impl Hosts {
    pub fn allow(&self, host: &str) -> bool {
        let is_in = |list: &[String]| list.iter().any(|name| name.eq_ignore_ascii_case(host));
        !is_in(&self.denied) && (self.allowed.is_empty() || is_in(&self.allowed))
    }
}

impl RetrievalSettings {
    pub fn read(config: &Config) -> Result<Self, NetError> {
        let list = |key: &str| {
            let list = config.get(key).and_then(Value::as_array);
            let list = list.into_iter().flatten().filter_map(Value::as_str);
            list.map(str::to_owned).collect::<Vec<_>>()
        };
        let gateways = list(GATEWAYS).into_iter().map(|text| {
            Endpoint::of_url(&text).ok_or_else(|| NetError::BadSetting {
                key: GATEWAYS,
                reason: format!("{text:?} is no address such as https://gateway.example"),
            })
        });
        let workers = config.integer("HTTPRetrieval.NumWorkers");
        let block_max = config.size("HTTPRetrieval.MaxBlockSize");
        let size = |value: Option<u64>, default: u64| {
            let value = value.filter(|value| *value > 0).unwrap_or(default);
            usize::try_from(value).unwrap_or(usize::MAX)
        };
        Ok(Self {
            enabled: config.flag("HTTPRetrieval.Enabled").unwrap_or(true),
            workers: size(workers, WORKERS).min(1024),
            // What is larger could not be given to peers.
            block_max: size(block_max, BLOCK_MAX).min(4 << 20),
            verify: config.flag("HTTPRetrieval.TLSInsecureSkipVerify") != Some(true),
            hosts: Hosts {
                allowed: list("HTTPRetrieval.Allowlist"),
                denied: list("HTTPRetrieval.Denylist"),
            },
            gateways: gateways.collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denied_hosts_are_out_even_when_allowed() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let hosts = |allowed: &[&str], denied: &[&str]| Hosts {
            allowed: list(allowed),
            denied: list(denied),
        };
        assert!(hosts(&[], &[]).allow("a.example"));
        assert!(!hosts(&[], &["A.example"]).allow("a.example"));
        assert!(hosts(&["a.example"], &[]).allow("A.example"));
        assert!(!hosts(&["a.example"], &[]).allow("b.example"));
        assert!(!hosts(&["a.example"], &["a.example"]).allow("a.example"));
    }
}
