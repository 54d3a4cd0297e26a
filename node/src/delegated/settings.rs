//! Which routers are asked: `Routing.Type`, `Routing.DelegatedRouters`, `Ipns.DelegatedPublishers`.

use std::net::IpAddr;

use hyper::Uri;
use serde_json::Value;

use crate::config::Config;
use crate::net::NetError;

/// What `auto` stands for beside a DHT, and what it takes to do without one.
const INDEXER: &str = "https://cid.contact/routing/v1/providers";
const FOR_THE_DHT: &str = "https://delegated-ipfs.dev";

/// What a router is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Providers,
    Peers,
    Ipns,
}

impl Topic {
    /// Its place below the router's address.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Providers => "/routing/v1/providers",
            Self::Peers => "/routing/v1/peers",
            Self::Ipns => "/routing/v1/ipns",
        }
    }
}

/// Where a router is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterAddress {
    /// What the topics' paths are appended to.
    pub base: String,
    /// It is on this machine, so what it tells may be as well.
    pub loopback: bool,
    /// It is asked for nothing else.
    pub only: Option<Topic>,
}

/// The routers of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DelegatedSettings {
    /// Those who are asked.
    pub routers: Vec<RouterAddress>,
    /// Those who are given IPNS records.
    pub publishers: Vec<RouterAddress>,
}

impl DelegatedSettings {
    /// `public`: the node is on the public network. Others do not tell public routers what they look for, unless these
    /// are named.
    pub fn read(config: &Config, public: bool) -> Result<Self, NetError> {
        let native = match config.text("Routing.Type").unwrap_or("auto") {
            "auto" | "autoclient" | "" => true,
            "delegated" => false,
            _ => return Ok(Self::default()),
        };
        let (routers, publishers): (&[&str], &[&str]) = match (public, native) {
            (false, _) => (&[], &[]),
            (true, true) => (&[INDEXER], &[]),
            (true, false) => (&[INDEXER, FOR_THE_DHT], &[FOR_THE_DHT]),
        };
        Ok(Self {
            routers: addresses(config, "Routing.DelegatedRouters", routers)?,
            publishers: addresses(config, "Ipns.DelegatedPublishers", publishers)?,
        })
    }
}

fn addresses(
    config: &Config,
    key: &'static str,
    auto: &[&str],
) -> Result<Vec<RouterAddress>, NetError> {
    let list = config.get(key).and_then(Value::as_array);
    let mut addresses = Vec::new();
    for text in list.into_iter().flatten().filter_map(Value::as_str) {
        let texts = if text == "auto" { auto } else { &[text][..] };
        for text in texts {
            let address = RouterAddress::parse(key, text)?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    Ok(addresses)
}

impl RouterAddress {
    /// Reads the value of a key.
    pub fn parse(key: &'static str, text: &str) -> Result<Self, NetError> {
        let bad = || NetError::BadSetting {
            key,
            reason: format!(
                "{text:?} is neither auto nor an address such as https://router.example"
            ),
        };
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let host = uri
            .host()
            .filter(|_| matches!(uri.scheme_str(), Some("http" | "https")));
        let host = host.ok_or_else(bad)?;
        if uri.query().is_some() {
            return Err(bad());
        }
        let base = text.trim_end_matches('/');
        let mut address = Self {
            base: base.to_owned(),
            loopback: is_loopback(host),
            only: None,
        };
        for topic in [Topic::Providers, Topic::Peers, Topic::Ipns] {
            if let Some(base) = base.strip_suffix(topic.path()) {
                address.base = base.to_owned();
                address.only = Some(topic);
            }
        }
        if let Some(base) = base.strip_suffix("/routing/v1") {
            address.base = base.to_owned();
        }
        Ok(address)
    }
}

/// Whether a host of an address is this machine.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;
    use serde_json::json;

    fn read(kind: &str, routers: &Value, public: bool) -> Result<DelegatedSettings, NetError> {
        let values = [
            ("Routing.Type".to_owned(), json!(kind)),
            ("Routing.DelegatedRouters".to_owned(), routers.clone()),
        ];
        let layers = Layers {
            values: values.into_iter().collect(),
            ..Layers::default()
        };
        DelegatedSettings::read(&Config::merged(&json!({}), &layers).unwrap(), public)
    }

    #[test]
    fn the_type_and_the_network_say_what_auto_is() {
        let auto = json!(["auto"]);
        let of = |kind, public| read(kind, &auto, public).unwrap();
        assert_eq!(of("auto", true).routers.len(), 1);
        assert_eq!(of("auto", true).routers[0].only, Some(Topic::Providers));
        assert!(
            of("auto", true).publishers.is_empty(),
            "the DHT takes records"
        );
        let delegated = of("delegated", true);
        assert_eq!(
            (delegated.routers.len(), delegated.publishers.len()),
            (2, 1)
        );
        for (kind, public) in [
            ("auto", false),
            ("delegated", false),
            ("dht", true),
            ("none", true),
        ] {
            assert_eq!(
                of(kind, public),
                DelegatedSettings::default(),
                "{kind} {public}"
            );
        }
    }

    #[test]
    fn addresses_are_read_with_and_without_their_path() {
        let list = json!([
            "http://127.0.0.1:8080/",
            "https://a.example/x/routing/v1/ipns",
            "http://[::1]/routing/v1"
        ]);
        let routers = read("auto", &list, false).unwrap().routers;
        let told: Vec<_> = routers
            .iter()
            .map(|at| (at.base.as_str(), at.loopback, at.only))
            .collect();
        let expected = [
            ("http://127.0.0.1:8080", true, None),
            ("https://a.example/x", false, Some(Topic::Ipns)),
            ("http://[::1]", true, None),
        ];
        assert_eq!(told, expected);
        for bad in [
            "router.example",
            "ftp://a.example",
            "https://a.example/?x=1",
            "",
        ] {
            let error = read("auto", &json!([bad]), true).unwrap_err().to_string();
            assert!(error.contains("Routing.DelegatedRouters"), "{error}");
        }
    }
}
