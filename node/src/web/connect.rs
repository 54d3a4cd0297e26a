//! Connections: the name is resolved, addresses that may not be dialled are left out, TLS lies around it for `https`.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{WebError, failed, tls};
use crate::net::is_public_ip;

/// Longest wait for one address.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Addresses of a name tried at most.
const ADDRESSES_MAX: usize = 4;

#[derive(Clone)]
pub struct Connector {
    public: bool,
    tls: Arc<ClientConfig>,
}

impl Connector {
    /// `public`: private addresses are not dialled.
    pub fn new(public: bool, verify: bool) -> Result<Self, WebError> {
        let tls = tls::config(verify).map_err(|error| failed(&error))?;
        Ok(Self {
            public,
            tls: Arc::new(tls),
        })
    }

    async fn connect(self, uri: Uri) -> io::Result<Link> {
        let encrypted = uri.scheme_str() == Some("https");
        let host = uri.host().ok_or_else(|| io::Error::other("no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let stream = self.dial(host, port).await?;
        stream.set_nodelay(true)?;
        if !encrypted {
            return Ok(Link::new(stream, false));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connecting = TlsConnector::from(self.tls).connect(name, stream);
        let stream = tokio::time::timeout(CONNECT_MAX, connecting).await??;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Link::new(stream, h2))
    }

    async fn dial(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(ip) => vec![(ip, port).into()],
            Err(_) => {
                let looking = tokio::net::lookup_host((host, port));
                tokio::time::timeout(CONNECT_MAX, looking).await??.collect()
            }
        };
        let mut last = io::Error::other(format!("{host} has no address that may be dialled"));
        let allowed = |address: &&SocketAddr| !self.public || is_public_ip(address.ip());
        for address in addresses.iter().filter(allowed).take(ADDRESSES_MAX) {
            let dial = tokio::time::timeout(CONNECT_MAX, TcpStream::connect(address));
            match dial.await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Link;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Link>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, with TLS or without.
pub struct Link {
    io: TokioIo<Box<dyn Duplex>>,
    h2: bool,
}

impl Link {
    fn new(stream: impl Duplex + 'static, h2: bool) -> Self {
        Self {
            io: TokioIo::new(Box::new(stream)),
            h2,
        }
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        if self.h2 {
            Connected::new().negotiated_h2()
        } else {
            Connected::new()
        }
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
