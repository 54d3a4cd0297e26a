//! Kubo's configuration profiles.

use serde_json::{Value, json};

use super::{ConfigError, defaults, document};

/// Names and descriptions of the profiles, sorted by name.
pub fn profiles() -> &'static [(&'static str, &'static str)] {
    PROFILES
}

/// Applies a profile to a document.
///
/// # Errors
/// [`ConfigError::NoProfile`], or [`ConfigError::ProfileRefused`] for those that choose another datastore.
pub fn apply(config: &mut Value, name: &str) -> Result<(), ConfigError> {
    let over = match name {
        "server" => {
            add_filters(config, "Addresses.NoAnnounce")?;
            add_filters(config, "Swarm.AddrFilters")?;
            json!({"Discovery": {"MDNS": {"Enabled": false}}, "Swarm": {"DisableNatPortMap": true}})
        }
        "local-discovery" => {
            remove_filters(config, "Addresses.NoAnnounce")?;
            remove_filters(config, "Swarm.AddrFilters")?;
            json!({"Discovery": {"MDNS": {"Enabled": true}}, "Swarm": {"DisableNatPortMap": false}})
        }
        "test" => test(),
        "default-networking" => json!({
            "Addresses": defaults::addresses(), "Bootstrap": ["auto"], "AutoConf": {"Enabled": null, "URL": null},
            "Swarm": {"DisableNatPortMap": false}, "Discovery": {"MDNS": {"Enabled": true}}, "AutoTLS": {"Enabled": null}
        }),
        "default-datastore" => {
            json!({"Datastore": {"Spec": {"type": "segments", "path": "blocks"}}})
        }
        "lowpower" => json!({
            "Routing": {"Type": "autoclient"}, "AutoNAT": {"ServiceMode": "disabled"},
            "Swarm": {
                "RelayService": {"Enabled": false},
                "ConnMgr": {"Type": "basic", "LowWater": 20, "HighWater": 40, "GracePeriod": "1m0s"}
            }
        }),
        "announce-off" => json!({"Provide": {"Enabled": false, "DHT": {"Interval": "0s"}}}),
        "announce-on" => json!({"Provide": {"Enabled": true, "DHT": {"Interval": "22h0m0s"}}}),
        "randomports" => random_ports()?,
        "unixfs-v0-2015" | "legacy-cid-v0" => import(0, false, 262_144, 174, "links"),
        "unixfs-v1-2025" => import(1, true, 1_048_576, 1024, "block"),
        "autoconf-on" => json!({
            "Bootstrap": ["auto"], "DNS": {"Resolvers": {".": "auto"}}, "Routing": {"DelegatedRouters": ["auto"]},
            "Ipns": {"DelegatedPublishers": ["auto"]}, "AutoConf": {"Enabled": true}
        }),
        "autoconf-off" => json!({
            "Bootstrap": null, "DNS": {"Resolvers": null}, "Routing": {"DelegatedRouters": null},
            "Ipns": {"DelegatedPublishers": null}, "AutoConf": {"Enabled": false}
        }),
        _ if OTHER_DATASTORES.contains(&name) => {
            let reason =
                "it chooses a datastore of Kubo's, and this repo stores blocks in segments only";
            return Err(ConfigError::ProfileRefused {
                name: name.to_owned(),
                reason,
            });
        }
        _ => return Err(ConfigError::NoProfile(name.to_owned())),
    };
    overlay(config, &over);
    Ok(())
}

/// As merging, but an empty object of the profile empties the one in the document.
fn overlay(config: &mut Value, over: &Value) {
    match (config, over) {
        (Value::Object(config), Value::Object(over)) if !over.is_empty() => {
            for (key, value) in over {
                overlay(config.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (config, over) => *config = over.clone(),
    }
}

fn test() -> Value {
    let any_port = "/ip4/127.0.0.1/tcp/0";
    json!({
        "Addresses": {"API": any_port, "Gateway": any_port, "Swarm": [any_port]},
        "Swarm": {"DisableNatPortMap": true},
        "Routing": {"LoopbackAddressesOnLanDHT": true, "DelegatedRouters": []},
        "Bootstrap": [],
        "Discovery": {"MDNS": {"Enabled": false}},
        "AutoTLS": {"Enabled": false},
        "AutoConf": {"Enabled": false},
        "DNS": {"Resolvers": {}},
        "Ipns": {"DelegatedPublishers": []}
    })
}

fn import(version: u8, raw_leaves: bool, chunk: u32, links: u32, estimation: &str) -> Value {
    json!({"Import": {
        "CidVersion": version, "UnixFSRawLeaves": raw_leaves, "UnixFSChunker": format!("size-{chunk}"),
        "HashFunction": "sha2-256", "UnixFSFileMaxLinks": links, "UnixFSDirectoryMaxLinks": 0,
        "UnixFSHAMTDirectoryMaxFanout": 256, "UnixFSHAMTDirectorySizeThreshold": "256KiB",
        "UnixFSHAMTDirectorySizeEstimation": estimation, "UnixFSDAGLayout": "balanced"
    }})
}

fn random_ports() -> Result<Value, ConfigError> {
    let port = std::net::TcpListener::bind(("::", 0))
        .or_else(|_| std::net::TcpListener::bind(("0.0.0.0", 0)))
        .and_then(|listener| listener.local_addr())
        .map_err(|source| ConfigError::Io {
            action: "finding a free port for",
            path: "Addresses.Swarm".into(),
            source,
        })?
        .port();
    Ok(
        json!({"Addresses": {"Swarm": [format!("/ip4/0.0.0.0/tcp/{port}"), format!("/ip6/::/tcp/{port}")]}}),
    )
}

fn add_filters(config: &mut Value, key: &str) -> Result<(), ConfigError> {
    let mut list = list_at(config, key);
    for filter in SERVER_FILTERS.iter().map(|filter| json!(filter)) {
        if !list.contains(&filter) {
            list.push(filter);
        }
    }
    document::set(config, key, Value::Array(list))
}

fn remove_filters(config: &mut Value, key: &str) -> Result<(), ConfigError> {
    let mut list = list_at(config, key);
    list.retain(|entry| {
        !entry
            .as_str()
            .is_some_and(|text| SERVER_FILTERS.contains(&text))
    });
    document::set(config, key, Value::Array(list))
}

fn list_at(config: &Value, key: &str) -> Vec<Value> {
    document::get(config, key)
        .ok()
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

const OTHER_DATASTORES: &[&str] = &[
    "flatfs",
    "flatfs-measure",
    "pebbleds",
    "pebbleds-measure",
    "badgerds",
    "badgerds-measure",
];

/// Ranges that are not globally reachable (RFC 6890), which a server neither announces nor dials.
const SERVER_FILTERS: &[&str] = &[
    "/ip4/10.0.0.0/ipcidr/8",
    "/ip4/100.64.0.0/ipcidr/10",
    "/ip4/127.0.0.0/ipcidr/8",
    "/ip4/169.254.0.0/ipcidr/16",
    "/ip4/172.16.0.0/ipcidr/12",
    "/ip4/192.0.0.0/ipcidr/24",
    "/ip4/192.0.2.0/ipcidr/24",
    "/ip4/192.168.0.0/ipcidr/16",
    "/ip4/198.18.0.0/ipcidr/15",
    "/ip4/198.51.100.0/ipcidr/24",
    "/ip4/203.0.113.0/ipcidr/24",
    "/ip4/240.0.0.0/ipcidr/4",
    "/ip6/::/ipcidr/3",
    "/ip6/::1/ipcidr/128",
    "/ip6/100::/ipcidr/64",
    "/ip6/2001:2::/ipcidr/48",
    "/ip6/2001:db8::/ipcidr/32",
    "/ip6/fc00::/ipcidr/7",
    "/ip6/fe80::/ipcidr/10",
];

const PROFILES: &[(&str, &str)] = &[
    (
        "announce-off",
        "Announces nothing: others find this node's data only when they are connected to it.",
    ),
    ("announce-on", "Announces again (undoes announce-off)."),
    (
        "autoconf-off",
        "Empties bootstrap peers, DNS resolvers, delegated routers and publishers.",
    ),
    (
        "autoconf-on",
        "Sets bootstrap peers, DNS resolvers, delegated routers and publishers to \"auto\".",
    ),
    (
        "default-datastore",
        "Keeps blocks in segments, the only datastore there is.",
    ),
    (
        "default-networking",
        "Restores the default network settings (undoes test).",
    ),
    ("legacy-cid-v0", "Another name for unixfs-v0-2015."),
    (
        "local-discovery",
        "Finds peers in local networks (undoes server).",
    ),
    (
        "lowpower",
        "Keeps few connections and serves no DHT queries, relays or AutoNAT requests.",
    ),
    ("randomports", "Listens for peers on a random port."),
    (
        "server",
        "For machines with a public address: no local discovery, no private ranges announced or dialled.",
    ),
    (
        "test",
        "For tests: loopback, random ports, no bootstrap, no discovery, nothing fetched.",
    ),
    (
        "unixfs-v0-2015",
        "CIDv0, dag-pb leaves, 256 KiB chunks, 174 links: the CIDs of older programs (IPIP-499).",
    ),
    (
        "unixfs-v1-2025",
        "CIDv1, raw leaves, 1 MiB chunks, 1024 links: the recommended profile (IPIP-499).",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_profile_applies_and_gives_a_well_formed_document() {
        for (name, _) in profiles() {
            let mut config = defaults::document();
            apply(&mut config, name).unwrap();
            assert_eq!(
                super::super::keys::check_document(&config).unwrap(),
                Vec::<String>::new(),
                "{name}"
            );
        }
    }

    #[test]
    fn inverse_profiles_undo_each_other() {
        let mut config = defaults::document();
        apply(&mut config, "server").unwrap();
        assert_eq!(
            config["Swarm"]["AddrFilters"].as_array().unwrap().len(),
            SERVER_FILTERS.len()
        );
        apply(&mut config, "server").unwrap();
        assert_eq!(
            config["Swarm"]["AddrFilters"].as_array().unwrap().len(),
            SERVER_FILTERS.len(),
            "no duplicates"
        );
        apply(&mut config, "local-discovery").unwrap();
        assert_eq!(config["Swarm"]["AddrFilters"], json!([]));
        apply(&mut config, "test").unwrap();
        assert_eq!(config["DNS"]["Resolvers"], json!({}));
    }

    #[test]
    fn other_datastores_are_refused_by_name() {
        let mut config = defaults::document();
        assert!(matches!(
            apply(&mut config, "pebbleds"),
            Err(ConfigError::ProfileRefused { .. })
        ));
        assert!(matches!(
            apply(&mut config, "nope"),
            Err(ConfigError::NoProfile(_))
        ));
        assert_eq!(config, defaults::document());
    }
}
