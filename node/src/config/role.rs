//! Roles and their presets.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use super::ConfigError;

/// What the node is for; each role is a preset of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Orchestrates a cluster.
    Master,
    /// Follows a cluster's pins and works on its tasks.
    Worker,
    /// Few resources, fetches what it needs.
    #[default]
    Leecher,
    /// Serves HTTP.
    Gateway,
    /// Watches only.
    Observer,
}

impl Role {
    /// The values that this role lays over the defaults.
    pub(super) fn preset(self) -> Value {
        let (storage, watermark, period, connections, grace) = match self {
            Role::Master => ("1TB", 80, "12h", (200, 1000), "30s"),
            Role::Worker => ("100GB", 90, "1h", (100, 400), "20s"),
            Role::Leecher => ("10GB", 95, "30m", (20, 100), "10s"),
            Role::Gateway => return json!({"Addresses": {"Gateway": "/ip4/0.0.0.0/tcp/8080"}}),
            Role::Observer => {
                return json!({"Routing": {"Type": "none"}, "Provide": {"Enabled": false},
                    "Swarm": {"ConnMgr": {"LowWater": 10, "HighWater": 50, "GracePeriod": "10s"}}});
            }
        };
        let routing = if self == Role::Master {
            "dht"
        } else {
            "dhtclient"
        };
        let (low, high) = connections;
        let mut preset = json!({
            "Datastore": {"StorageMax": storage, "StorageGCWatermark": watermark, "GCPeriod": period},
            "Routing": {"Type": routing},
            "Swarm": {"ConnMgr": {"LowWater": low, "HighWater": high, "GracePeriod": grace}},
        });
        if self == Role::Leecher {
            preset["Provide"] = json!({"Enabled": false});
        }
        preset
    }
}

impl FromStr for Role {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        [
            Role::Master,
            Role::Worker,
            Role::Leecher,
            Role::Gateway,
            Role::Observer,
        ]
        .into_iter()
        .find(|role| role.to_string() == text)
        .ok_or_else(|| ConfigError::NoRole(text.to_owned()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Master => "master",
            Role::Worker => "worker",
            Role::Leecher => "leecher",
            Role::Gateway => "gateway",
            Role::Observer => "observer",
        })
    }
}
