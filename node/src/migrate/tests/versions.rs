//! Repos of every version since 12. Migrations from one to the next change the configuration alone: blocks, records
//! and keys lie where they lay, so each is this repo with the configuration that a Kubo of that time wrote.

use serde_json::{Value, json};

use super::*;

/// What a Kubo that wrote this version put into its configuration and later ones do not.
fn written_by(version: u64) -> Value {
    match version {
        // Kubo 0.12 to 0.17: the draft of QUIC, and relays by booleans.
        12 => json!({
            "Addresses": {"Swarm": ["/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic"]},
            "Reprovider": {"Interval": "12h", "Strategy": "all"},
            "Routing": {"Type": "dht", "Routers": null, "Methods": null},
            "Experimental": {"AcceleratedDHTClient": false, "GraphsyncEnabled": false},
            "Swarm": {"ConnMgr": {"Type": "basic", "LowWater": 600, "HighWater": 900, "GracePeriod": "20s"}},
        }),
        // 0.18: both kinds of QUIC.
        13 => json!({
            "Addresses": {"Swarm": [
                "/ip4/0.0.0.0/udp/4001/quic",
                "/ip4/0.0.0.0/udp/4001/quic-v1",
                "/ip4/0.0.0.0/udp/4001/quic-v1/webtransport",
            ]},
            "Reprovider": {"Interval": "22h"},
            "Swarm": {"ConnMgr": {}, "ResourceMgr": {"Limits": {}}},
        }),
        // 0.21: the accelerated client has its own place.
        14 => json!({
            "Routing": {"AcceleratedDHTClient": false, "Methods": null, "Routers": null},
            "Reprovider": {},
            "Gateway": {"HTTPHeaders": {"Access-Control-Allow-Headers": ["X-Requested-With"]}, "PathPrefixes": []},
        }),
        // 0.25: no draft of QUIC any more.
        15 => json!({
            "Addresses": {"Swarm": ["/ip4/0.0.0.0/udp/4001/quic-v1", "/ip6/::/udp/4001/quic-v1/webtransport"]},
            "Gateway": {"DeserializedResponses": null, "PublicGateways": null, "Writable": null},
        }),
        // 0.30: WebRTC.
        16 => json!({
            "Addresses": {"Swarm": ["/ip4/0.0.0.0/udp/4001/webrtc-direct", "/ip4/0.0.0.0/tcp/4001"]},
            "Version": {},
            "Reprovider": {"Strategy": "pinned"},
        }),
        // 0.37: placeholders that are filled in at run time.
        17 => json!({
            "AutoConf": {},
            "Bootstrap": ["auto"],
            "DNS": {"Resolvers": {".": "auto"}},
            "Routing": {"DelegatedRouters": ["auto"]},
            "Ipns": {"DelegatedPublishers": ["auto"]},
        }),
        _ => json!({"Provide": {"Strategy": "all", "DHT": {}}}),
    }
}

#[test]
fn every_version_since_12_is_taken_whole() {
    for version in 12..=18 {
        let place = Place::new();
        let kubo = place.kubo();
        fs::write(kubo.join("version"), format!("{version}\n")).unwrap();
        let path = kubo.join("config");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for (section, keys) in written_by(version).as_object().unwrap() {
            for (key, value) in keys.as_object().cloned().into_iter().flatten() {
                config[section][key] = value;
            }
            if !keys.is_object() {
                config[section] = keys.clone();
            }
        }
        fs::write(&path, config.to_string()).unwrap();
        let before = everything(&kubo);
        let mut report = place.migrate();
        assert!(report.is_complete(), "{version}: {report:?}");
        assert_eq!(report.blocks.taken + report.blocks.present, BLOCKS);
        assert_eq!((report.keys.taken, report.mfs.taken), (2, 1), "{version}");
        let node = place.open();
        assert_eq!(pins(&node), expected_pins(), "{version}");
        let repo = KuboRepo::open(&kubo).unwrap();
        take_config(&node, &repo, true, true, &mut report).unwrap();
        assert_eq!(report.identity.taken, 1, "{version}");
        node.close().unwrap();
        // What was taken is a configuration that a node opens with.
        let node = place.open();
        assert_eq!(node.config().storage_max(), 3_000_000_000, "{version}");
        node.close().unwrap();
        drop(repo);
        assert_eq!(everything(&kubo), before, "{version}");
    }
}
