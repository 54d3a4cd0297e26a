//! Ranges of IP addresses and what of an address they look at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// A range such as `/ip4/10.0.0.0/ipcidr/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    base: IpAddr,
    bits: u8,
}

impl IpRange {
    /// Reads the form of Kubo's `Swarm.AddrFilters`; `None` when it is another one.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let ["", family, base, "ipcidr", bits] = parts[..] else {
            return None;
        };
        let base: IpAddr = match family {
            "ip4" => base.parse::<Ipv4Addr>().ok()?.into(),
            "ip6" => base.parse::<Ipv6Addr>().ok()?.into(),
            _ => return None,
        };
        let bits: u8 = bits.parse().ok()?;
        (u32::from(bits) <= width(base)).then(|| Self {
            base: network(base, bits),
            bits,
        })
    }

    /// Just this address.
    pub fn one(ip: IpAddr) -> Self {
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        Self { base: ip, bits }
    }

    /// Whether the address lies in the range.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.base.is_ipv4() == ip.is_ipv4() && self.base == network(ip, self.bits)
    }
}

impl std::fmt::Display for IpRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = if self.base.is_ipv4() { "ip4" } else { "ip6" };
        write!(f, "/{family}/{}/ipcidr/{}", self.base, self.bits)
    }
}

/// The first address of the network that an address lies in.
pub fn network(ip: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits).min(width(ip));
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            Ipv4Addr::from(u32::from(ip) & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            Ipv6Addr::from(u128::from(ip) & mask).into()
        }
    }
}

fn width(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The first IP address of a multiaddress.
pub fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    })
}

/// Goes through a relay.
pub fn is_relayed(address: &Multiaddr) -> bool {
    address
        .iter()
        .any(|part| matches!(part, Protocol::P2pCircuit))
}

/// Reachable only from the same machine.
pub fn is_loopback(address: &Multiaddr) -> bool {
    ip_of(address).is_some_and(|ip| ip.is_loopback())
}

/// Reachable from the public internet: a DNS name or an IP address outside of the private and special ranges.
pub fn is_public(address: &Multiaddr) -> bool {
    match ip_of(address) {
        None => address.iter().any(|part| {
            matches!(
                part,
                Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)
            )
        }),
        Some(ip) => is_public_ip(ip),
    }
}

/// Outside of the private and special ranges.
pub fn is_public_ip(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.is_documentation()
                || a == 0
                // Carrier-grade NAT, RFC 6598.
                || (a == 100 && (64..128).contains(&b)))
        }
        IpAddr::V6(ip) => {
            let first = ip.segments()[0];
            // Global unicast, without the documentation range of RFC 3849.
            first & 0xe000 == 0x2000 && !(first == 0x2001 && ip.segments()[1] == 0x0db8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let range = IpRange::parse("/ip4/10.0.0.0/ipcidr/8").unwrap();
        assert!(range.contains("10.255.1.2".parse().unwrap()));
        assert!(!range.contains("11.0.0.1".parse().unwrap()));
        assert!(!range.contains("::1".parse().unwrap()));
        assert_eq!(range.to_string(), "/ip4/10.0.0.0/ipcidr/8");
        let loose = IpRange::parse("/ip4/10.1.2.3/ipcidr/8").unwrap();
        assert_eq!(loose, range, "the bits behind the mask mean nothing");
        let six = IpRange::parse("/ip6/2001:db8:ffff::/ipcidr/32").unwrap();
        assert_eq!(six.to_string(), "/ip6/2001:db8::/ipcidr/32");
        assert!(!six.contains("2001:db9::".parse().unwrap()));
        let all = IpRange::parse("/ip6/::/ipcidr/0").unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()));
        for bad in [
            "/ip4/10.0.0.0/ipcidr/33",
            "/ip4/10.0.0.0/tcp/1",
            "10.0.0.0/8",
            "",
        ] {
            assert_eq!(IpRange::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn public_and_private() {
        let address = |text: &str| text.parse::<Multiaddr>().unwrap();
        for text in [
            "/ip4/8.8.8.8/tcp/1",
            "/dns4/example.com/tcp/1",
            "/ip6/2606:4700::1/tcp/1",
        ] {
            assert!(is_public(&address(text)), "{text}");
        }
        for text in [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/192.168.1.1/tcp/1",
            "/ip4/100.64.0.1/tcp/1",
            "/ip4/0.0.0.0/tcp/1",
            "/ip6/::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/fd00::1/tcp/1",
            "/memory/1",
        ] {
            assert!(!is_public(&address(text)), "{text}");
        }
    }
}
