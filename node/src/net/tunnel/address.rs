//! TCP endpoints as multiaddresses.

use std::net::IpAddr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::net::{TcpListener, TcpStream};

use crate::net::NetError;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    /// As it was given.
    pub address: Multiaddr,
}

impl Endpoint {
    /// Reads `/ip4/1.2.3.4/tcp/80`, `/ip6/::1/tcp/80` or `/dns/example.com/tcp/80`.
    pub fn parse(text: &str) -> Result<Self, NetError> {
        let bad = |reason: String| NetError::BadAddress {
            text: text.to_owned(),
            reason,
        };
        let address: Multiaddr = text
            .parse()
            .map_err(|error: libp2p::multiaddr::Error| bad(error.to_string()))?;
        let parts: Vec<Protocol<'_>> = address.iter().collect();
        let (host, port) = match parts.as_slice() {
            [Protocol::Ip4(ip), Protocol::Tcp(port)] => (ip.to_string(), *port),
            [Protocol::Ip6(ip), Protocol::Tcp(port)] => (ip.to_string(), *port),
            [
                Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name),
                Protocol::Tcp(port),
            ] => (name.to_string(), *port),
            _ => {
                let reason = "tunnels end at TCP: use a form such as /ip4/127.0.0.1/tcp/3000";
                return Err(bad(reason.to_owned()));
            }
        };
        Ok(Self {
            host,
            port,
            address,
        })
    }

    /// What is connected to has a port.
    pub fn check_port(&self) -> Result<(), NetError> {
        if self.port == 0 {
            return Err(NetError::BadTunnel("port can not be 0".to_owned()));
        }
        Ok(())
    }

    /// Connects.
    pub async fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Listens; the address that comes back has the port.
    pub async fn listen(&self) -> std::io::Result<(TcpListener, Multiaddr)> {
        let listener = TcpListener::bind((self.host.as_str(), self.port)).await?;
        let local = listener.local_addr()?;
        Ok((listener, tcp_address(local.ip(), local.port())))
    }
}

/// The multiaddress of one end of a TCP connection.
pub fn tcp_address(ip: IpAddr, port: u16) -> Multiaddr {
    Multiaddr::from(ip).with(Protocol::Tcp(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for text in [
            "/ip4/127.0.0.1/tcp/80",
            "/ip6/::1/tcp/80",
            "/dns4/localhost/tcp/80",
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(
                (endpoint.port, endpoint.address.to_string()),
                (80, text.to_owned())
            );
            endpoint.check_port().unwrap();
        }
        let any = Endpoint::parse("/ip4/127.0.0.1/tcp/0").unwrap();
        let error = any.check_port().unwrap_err().to_string();
        assert_eq!(error, "port can not be 0");
        for bad in [
            "",
            "127.0.0.1:80",
            "/ip4/127.0.0.1",
            "/ip4/127.0.0.1/udp/80",
            "/ip4/127.0.0.1/tcp/80/ws",
            "/ip4/127.0.0.1/tcp/99999",
        ] {
            let error = Endpoint::parse(bad);
            assert!(matches!(error, Err(NetError::BadAddress { .. })), "{bad}");
        }
    }
}
