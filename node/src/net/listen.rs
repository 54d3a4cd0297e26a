//! Which addresses peers are told.

use libp2p::Multiaddr;

use super::filter::ip_of;
use super::settings::{NoAnnounce, Settings};

/// What to tell peers about where this node listens: `Addresses.Announce` in place of the listen addresses when there is
/// any, else those without `Addresses.NoAnnounce`; `Addresses.AppendAnnounce` in any case.
pub fn announced(settings: &Settings, listening: &[Multiaddr]) -> Vec<Multiaddr> {
    let base = if settings.announce.is_empty() {
        listening
    } else {
        &settings.announce
    };
    let mut told: Vec<Multiaddr> = Vec::new();
    for address in base.iter().chain(&settings.append_announce) {
        if !told.contains(address) && !is_held_back(settings, address) {
            told.push(address.clone());
        }
    }
    told
}

fn is_held_back(settings: &Settings, address: &Multiaddr) -> bool {
    settings.no_announce.iter().any(|rule| match rule {
        NoAnnounce::Exact(exact) => exact == address,
        NoAnnounce::Range(range) => ip_of(address).is_some_and(|ip| range.contains(ip)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Layers};
    use serde_json::{Value, json};

    fn told(values: &[(&str, Value)]) -> Vec<String> {
        let values = values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        let layers = Layers {
            values,
            ..Layers::default()
        };
        let config = Config::merged(&json!({}), &layers).unwrap();
        let settings = Settings::read(&config, None).unwrap();
        let listening = ["/ip4/10.0.0.1/tcp/1", "/ip4/8.8.8.8/tcp/1"];
        let listening: Vec<Multiaddr> =
            listening.iter().map(|text| text.parse().unwrap()).collect();
        announced(&settings, &listening)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn announce_replaces_append_adds_and_no_announce_holds_back() {
        assert_eq!(told(&[]), ["/ip4/10.0.0.1/tcp/1", "/ip4/8.8.8.8/tcp/1"]);
        assert_eq!(
            told(&[("Addresses.Announce", json!(["/dns4/a.example/tcp/1"]))]),
            ["/dns4/a.example/tcp/1"]
        );
        assert_eq!(
            told(&[
                ("Addresses.NoAnnounce", json!(["/ip4/10.0.0.0/ipcidr/8"])),
                ("Addresses.AppendAnnounce", json!(["/ip4/9.9.9.9/tcp/2"])),
            ]),
            ["/ip4/8.8.8.8/tcp/1", "/ip4/9.9.9.9/tcp/2"]
        );
    }
}
