//! Where blocks can be had over HTTP.

use hyper::Uri;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use crate::net::is_public;

/// A gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// What `/ipfs/` is appended to.
    pub base: String,
    pub host: String,
    /// It may have a private address: the configuration, or a router on this machine, named it.
    pub private: bool,
    /// It may be asked for whole DAGs: the configuration named it.
    pub cars: bool,
}

impl Endpoint {
    /// A gateway of the configuration.
    pub fn of_url(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?;
        if !matches!(scheme, "http" | "https") || uri.query().is_some() {
            return None;
        }
        Some(Self {
            base: text.trim_end_matches('/').to_owned(),
            host: bare(uri.host()?),
            private: true,
            cars: true,
        })
    }

    /// A provider's address that ends with `/http`, `/https` or `/tls/http`. `near`: it may be private.
    pub fn of_address(address: &Multiaddr, near: bool) -> Option<Self> {
        let mut parts = address.iter().peekable();
        let mut host = match parts.next()? {
            Protocol::Ip4(ip) => ip.to_string(),
            Protocol::Ip6(ip) => format!("[{ip}]"),
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => name.into_owned(),
            _ => return None,
        };
        let Some(Protocol::Tcp(port)) = parts.next() else {
            return None;
        };
        let mut scheme = "http";
        if parts.next_if_eq(&Protocol::Tls).is_some() {
            scheme = "https";
            if let Some(Protocol::Sni(name)) = parts.peek() {
                host = name.to_string();
                parts.next();
            }
        }
        match parts.next()? {
            Protocol::Http => {}
            Protocol::Https => scheme = "https",
            _ => return None,
        }
        // A peer id may follow; a path is not understood.
        if !matches!(parts.next(), None | Some(Protocol::P2p(_))) {
            return None;
        }
        if !near && !is_public(address) {
            return None;
        }
        let base = format!("{scheme}://{host}:{port}");
        let uri: Uri = base.parse().ok()?;
        Some(Self {
            host: bare(uri.host()?),
            base,
            private: near,
            cars: false,
        })
    }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> String {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_gateways() {
        for (text, expected) in [
            (
                "/dns/a.example/tcp/443/https",
                Some("https://a.example:443"),
            ),
            (
                "/dns4/a.example/tcp/8443/tls/http",
                Some("https://a.example:8443"),
            ),
            (
                "/ip4/8.8.8.8/tcp/443/tls/sni/b.example/http",
                Some("https://b.example:443"),
            ),
            (
                "/ip6/2001:4860::8/tcp/80/http",
                Some("http://[2001:4860::8]:80"),
            ),
            ("/ip4/127.0.0.1/tcp/80/http", None),
            ("/ip4/8.8.8.8/tcp/4001", None),
            ("/ip4/8.8.8.8/tcp/4001/ws", None),
            ("/ip4/8.8.8.8/udp/443/quic-v1", None),
            ("/dns/a.example/tcp/443/https/http-path/x", None),
        ] {
            let address: Multiaddr = text.parse().unwrap();
            let endpoint = Endpoint::of_address(&address, false);
            assert_eq!(endpoint.map(|at| at.base).as_deref(), expected, "{text}");
        }
        let near = "/ip4/127.0.0.1/tcp/80/http".parse().unwrap();
        assert!(Endpoint::of_address(&near, true).unwrap().private);
        assert_eq!(Endpoint::of_url("http://[::1]:80/x/").unwrap().host, "::1");
        assert!(Endpoint::of_url("a.example").is_none());
    }
}
