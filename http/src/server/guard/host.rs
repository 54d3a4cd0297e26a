//! Names by which a listener may be called.
//!
//! A browser takes a page's name from its owner, who may bind it to any address, also to this one; then
//! the page and this listener are of one origin. But the name stands in `Host`. Names that cannot be
//! bound by others are allowed: those of loopback, addresses at which this listener is reached, and what
//! the configuration lists.

use std::net::{IpAddr, SocketAddr};

use hyper::Version;
use hyper::header::HOST;
use hyper::http::request::Parts;

/// What the `Host` of a request is.
#[derive(Debug, PartialEq, Eq)]
pub enum Host {
    /// A name of this listener.
    Own,
    /// Another name.
    Foreign,
    /// Missing, there twice, or no host at all.
    Bad(&'static str),
}

/// Judges the host of a request that reached this machine at `at`; `names` are allowed besides.
pub fn judge(parts: &Parts, at: SocketAddr, names: &[String]) -> Host {
    let mut given = parts.headers.get_all(HOST).iter();
    let header = given.next();
    if given.next().is_some() {
        return Host::Bad("too many Host headers");
    }
    // In HTTP/2, and where the target is a whole URL, it stands there.
    let authority = parts.uri.authority();
    let mut found = Host::Bad("missing required Host header");
    for text in authority
        .map(|authority| authority.as_str().as_bytes())
        .into_iter()
        .chain(header.map(|header| header.as_bytes()))
    {
        let Some(name) = std::str::from_utf8(text).ok().and_then(split) else {
            return Host::Bad("malformed Host header");
        };
        if !is_own(name, at.ip(), names) {
            return Host::Foreign;
        }
        found = Host::Own;
    }
    if authority.is_none() && header.is_none() && parts.version < Version::HTTP_11 {
        // No browser speaks it.
        return Host::Own;
    }
    found
}

/// The host of an authority.
fn split(authority: &str) -> Option<&str> {
    let (name, rest) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (name, rest) = inner.split_once(']')?;
            name.parse::<std::net::Ipv6Addr>().ok()?;
            (name, rest)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => port,
        None if rest.is_empty() => rest,
        None => return None,
    };
    let number =
        port.is_empty() || port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    (!name.is_empty() && number).then_some(name)
}

fn is_own(name: &str, at: IpAddr, names: &[String]) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    if let Ok(address) = name.parse::<IpAddr>() {
        let (address, at) = (address.to_canonical(), at.to_canonical());
        if address.is_loopback() || address == at {
            return true;
        }
    }
    let loopback = |name: &str| {
        let lower = name.to_ascii_lowercase();
        // RFC 6761: nobody else can be called so.
        lower == "localhost" || lower.ends_with(".localhost")
    };
    loopback(name)
        || names
            .iter()
            .any(|known| known == "*" || known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn judged(version: Version, hosts: &[&[u8]], at: &str) -> Host {
        let mut request = Request::builder().version(version).uri("/api/v0/id");
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let at: IpAddr = at.parse().unwrap();
        judge(
            &parts,
            SocketAddr::new(at, 5001),
            &["node.example".to_owned()],
        )
    }

    #[test]
    fn names_of_this_listener() {
        for own in [
            "localhost",
            "LOCALHOST:5001",
            "localhost.:1",
            "webui.localhost:5001",
            "127.0.0.1:5001",
            "127.8.9.1",
            "[::1]:5001",
            "192.0.2.7",
            "Node.Example:80",
            "node.example:",
        ] {
            let judged = judged(Version::HTTP_11, &[own.as_bytes()], "192.0.2.7");
            assert_eq!(judged, Host::Own, "{own}");
        }
    }

    #[test]
    fn names_of_others() {
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.nip.io:5001",
            "192.0.2.8",
            "[2001:db8::1]:5001",
            "node.example.evil",
            "sub.node.example",
            "0.0.0.0:5001",
            "2130706433",
        ] {
            let judged = judged(Version::HTTP_11, &[foreign.as_bytes()], "192.0.2.7");
            assert_eq!(judged, Host::Foreign, "{foreign}");
        }
    }

    #[test]
    fn hosts_that_are_none() {
        for bad in [
            "", ":5001", "[::1", "[x]:1", "a:b", "a:1:2", "a:99999", "\u{e9}:x",
        ] {
            let judged = judged(Version::HTTP_11, &[bad.as_bytes()], "127.0.0.1");
            assert_eq!(judged, Host::Bad("malformed Host header"), "{bad}");
        }
        let two = judged(Version::HTTP_11, &[b"localhost", b"localhost"], "127.0.0.1");
        assert_eq!(two, Host::Bad("too many Host headers"));
        let none = judged(Version::HTTP_11, &[], "127.0.0.1");
        assert_eq!(none, Host::Bad("missing required Host header"));
        assert_eq!(judged(Version::HTTP_10, &[], "127.0.0.1"), Host::Own);
    }
}
