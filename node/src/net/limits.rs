//! Caps of connections, memory and bandwidth, as the configuration says.

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use serde_json::Value;

use super::NetError;
use super::filter::{IpRange, ip_of};
use super::memory;
use crate::config::Config;

/// Inbound connections that there is room for in any case (Kubo's least).
const INBOUND_LEAST: u32 = 800;

/// Inbound connections where the memory of the machine is not known.
const INBOUND_UNKNOWN: u32 = 4096;

/// Connections from one IP address, and from one /24 or IPv6 /56.
const PER_IP: u32 = 64;
const PER_SUBNET: u32 = 256;

/// The least that a bandwidth may be limited to: below, handshakes would not end in time.
const BANDWIDTH_MIN: u64 = 4096;

/// What no cap is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Connections from and to here.
    pub range: IpRange,
    /// Only of this peer, if any.
    pub peer: Option<PeerId>,
}

/// `Swarm.ResourceMgr`; `None` has no cap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of memory in use above which no connection begins.
    pub memory: Option<u64>,
    /// File descriptors of connections.
    pub descriptors: Option<u32>,
    /// Inbound connections.
    pub inbound: Option<u32>,
    /// Inbound connections and handshakes of one IP address.
    pub per_ip: Option<u32>,
    /// Inbound connections and handshakes of one /24, or IPv6 /56.
    pub per_subnet: Option<u32>,
    /// `Allowlist`.
    pub allowlist: Vec<Allowed>,
}

/// `Swarm.Bandwidth`: bytes in a second; `None` has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BandwidthLimits {
    /// To peers.
    pub up: Option<u64>,
    /// From peers.
    pub down: Option<u64>,
}

/// Reads the caps. `high` is the connection manager's high water, if it trims.
pub fn caps(
    config: &Config,
    high: Option<usize>,
    warnings: &mut Vec<String>,
) -> Result<Caps, NetError> {
    if config.flag("Swarm.ResourceMgr.Enabled") == Some(false) {
        return Ok(Caps::default());
    }
    if config.get("Swarm.ResourceMgr.Limits").is_some() {
        warnings.push(
            "Swarm.ResourceMgr.Limits has no effect: use MaxMemory, MaxFileDescriptors and the caps of connections"
                .to_owned(),
        );
    }
    let memory = match config.size("Swarm.ResourceMgr.MaxMemory") {
        Some(0) => return Err(nothing("Swarm.ResourceMgr.MaxMemory")),
        Some(bytes) => Some(bytes),
        None => memory::total().map(|bytes| bytes / 2),
    };
    let descriptors = match count(config, "Swarm.ResourceMgr.MaxFileDescriptors")? {
        Some(0) => return Err(nothing("Swarm.ResourceMgr.MaxFileDescriptors")),
        Some(count) => Some(count),
        None => descriptor_limit().map(|limit| limit / 2),
    };
    // No cap where 0 is given.
    let cap = |key, default| {
        let given = count(config, key)?.unwrap_or(default);
        Ok((given > 0).then_some(given))
    };
    Ok(Caps {
        memory,
        descriptors,
        inbound: Some(inbound(memory, high)),
        per_ip: cap("Swarm.ResourceMgr.MaxConnsPerIP", PER_IP)?,
        per_subnet: cap("Swarm.ResourceMgr.MaxConnsPerSubnet", PER_SUBNET)?,
        allowlist: allowlist(config)?,
    })
}

/// As Kubo has it: one for each MiB of memory, yet more than the connection manager trims at.
fn inbound(memory: Option<u64>, high: Option<usize>) -> u32 {
    let Some(memory) = memory else {
        return INBOUND_UNKNOWN;
    };
    let by_memory = u32::try_from(memory >> 20).unwrap_or(u32::MAX);
    match high {
        None => by_memory.max(1),
        Some(high) => {
            let twice = u32::try_from(high.saturating_mul(2)).unwrap_or(u32::MAX);
            by_memory.max(twice).max(INBOUND_LEAST)
        }
    }
}

fn descriptor_limit() -> Option<u32> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current?;
    Some(u32::try_from(limit).unwrap_or(u32::MAX))
}

fn nothing(key: &'static str) -> NetError {
    NetError::BadSetting {
        key,
        reason: "0 leaves no room for any connection: leave it out for the default".to_owned(),
    }
}

fn count(config: &Config, key: &'static str) -> Result<Option<u32>, NetError> {
    let Some(value) = config.get(key) else {
        return Ok(None);
    };
    let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
    count.map(Some).ok_or_else(|| NetError::BadSetting {
        key,
        reason: format!("{value} is no number of connections"),
    })
}

fn allowlist(config: &Config) -> Result<Vec<Allowed>, NetError> {
    const KEY: &str = "Swarm.ResourceMgr.Allowlist";
    let list = config.get(KEY).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts
        .map(|text| {
            allowed(text).ok_or_else(|| NetError::BadSetting {
                key: KEY,
                reason: format!(
                    "{text:?} is no address or range such as /ip4/1.2.3.4/ipcidr/32/p2p/ID"
                ),
            })
        })
        .collect()
}

fn allowed(text: &str) -> Option<Allowed> {
    let (place, peer) = match text.split_once("/p2p/") {
        Some((place, id)) => (place, Some(id.parse().ok()?)),
        None => (text, None),
    };
    if let Some(range) = IpRange::parse(place) {
        return Some(Allowed { range, peer });
    }
    let address: Multiaddr = place.parse().ok()?;
    let alone = address.iter().count() == 1
        && matches!(
            address.iter().next(),
            Some(Protocol::Ip4(_) | Protocol::Ip6(_))
        );
    let range = IpRange::one(ip_of(&address).filter(|_| alone)?);
    Some(Allowed { range, peer })
}

/// Reads the limits of bandwidth.
pub fn bandwidth(config: &Config) -> Result<BandwidthLimits, NetError> {
    let limit = |key: &'static str| match config.size(key) {
        None | Some(0) => Ok(None),
        Some(rate) if rate < BANDWIDTH_MIN => Err(NetError::BadSetting {
            key,
            reason: format!(
                "{rate} bytes in a second are too few to connect: at least {BANDWIDTH_MIN}, or 0 for no limit"
            ),
        }),
        Some(rate) => Ok(Some(rate)),
    };
    Ok(BandwidthLimits {
        up: limit("Swarm.Bandwidth.Up")?,
        down: limit("Swarm.Bandwidth.Down")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;
    use serde_json::json;

    fn config(values: &[(&str, Value)]) -> Config {
        let values = values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()));
        let layers = Layers {
            values: values.collect(),
            ..Layers::default()
        };
        Config::merged(&json!({}), &layers).unwrap()
    }

    #[test]
    fn caps_follow_memory_and_high_water_as_in_kubo() {
        let gib = json!("1GiB");
        let config = config(&[("Swarm.ResourceMgr.MaxMemory", gib)]);
        let caps = caps(&config, Some(96), &mut Vec::new()).unwrap();
        assert_eq!((caps.memory, caps.inbound), (Some(1 << 30), Some(1024)));
        assert_eq!((caps.per_ip, caps.per_subnet), (Some(64), Some(256)));
        assert!(caps.descriptors.is_some_and(|count| count > 0));
        assert_eq!(inbound(Some(100 << 20), Some(96)), 800);
        assert_eq!(inbound(Some(100 << 20), Some(1000)), 2000);
        assert_eq!(inbound(Some(100 << 20), None), 100);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn half_of_the_memory_is_the_default() {
        let caps = caps(&config(&[]), Some(96), &mut Vec::new()).unwrap();
        assert_eq!(caps.memory, memory::total().map(|bytes| bytes / 2));
        assert!(caps.memory.is_some());
    }

    #[test]
    fn switched_off_there_are_none() {
        let off = config(&[
            ("Swarm.ResourceMgr.Enabled", json!(false)),
            ("Swarm.ResourceMgr.MaxMemory", json!("1MB")),
        ]);
        assert_eq!(
            caps(&off, Some(96), &mut Vec::new()).unwrap(),
            Caps::default()
        );
        let some = config(&[
            ("Swarm.ResourceMgr.MaxConnsPerIP", json!(0)),
            ("Swarm.ResourceMgr.MaxConnsPerSubnet", json!(9)),
            ("Swarm.ResourceMgr.Limits", json!({"System": {}})),
        ]);
        let mut warnings = Vec::new();
        let some = caps(&some, Some(96), &mut warnings).unwrap();
        assert_eq!((some.per_ip, some.per_subnet), (None, Some(9)));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }

    #[test]
    fn the_allowlist_takes_addresses_ranges_and_peers() {
        let peer = PeerId::random();
        for (text, bits, named) in [
            ("/ip4/9.1.2.3".to_owned(), "32", false),
            ("/ip4/9.1.2.3/ipcidr/24".to_owned(), "24", false),
            (format!("/ip4/9.1.2.3/ipcidr/24/p2p/{peer}"), "24", true),
            (format!("/ip6/2001:db8::1/p2p/{peer}"), "128", true),
        ] {
            let allowed = allowed(&text).unwrap();
            assert!(allowed.range.to_string().ends_with(bits), "{text}");
            assert_eq!(allowed.peer, named.then_some(peer));
        }
        for text in [
            "",
            "9.1.2.3",
            "/ip4/9.1.2.3/tcp/1",
            "/ip4/9.1.2.3/p2p/x",
            "/p2p/x",
        ] {
            assert_eq!(allowed(text), None, "{text}");
        }
    }

    #[test]
    fn bad_values_name_their_key() {
        for (key, value) in [
            ("Swarm.ResourceMgr.MaxMemory", json!(0)),
            ("Swarm.ResourceMgr.MaxFileDescriptors", json!(0)),
            ("Swarm.ResourceMgr.MaxFileDescriptors", json!(-1)),
            ("Swarm.ResourceMgr.MaxConnsPerIP", json!(-1)),
            ("Swarm.ResourceMgr.Allowlist", json!(["10.0.0.0/8"])),
        ] {
            let config = config(&[(key, value)]);
            let error = caps(&config, None, &mut Vec::new()).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
        let few = config(&[("Swarm.Bandwidth.Up", json!("1kB"))]);
        let error = bandwidth(&few).unwrap_err().to_string();
        assert!(error.contains("Swarm.Bandwidth.Up"), "{error}");
        let some = config(&[
            ("Swarm.Bandwidth.Up", json!("1.5MB")),
            ("Swarm.Bandwidth.Down", json!(0)),
        ]);
        let limits = BandwidthLimits {
            up: Some(1_500_000),
            down: None,
        };
        assert_eq!(bandwidth(&some).unwrap(), limits);
    }
}
