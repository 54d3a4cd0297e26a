//! Where the server listens: TCP and Unix sockets by multiaddress.

use std::fs::{self, File, Permissions};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::guard::Place;
use super::tls::{Tls, TlsError};

/// Why a listener could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is none that can be listened on.
    #[error(
        "{address:?} is no address to listen on: use /ip4/127.0.0.1/tcp/5001, with /https behind it for TLS, \
         or /unix/PATH"
    )]
    Address {
        /// As configured.
        address: String,
    },
    /// Others reach it, and nothing would ask them for a secret.
    #[error(
        "{address} is reached by others than this machine, and whoever reaches it owns this node: make a \
         token ('ipfs-kit auth token add NAME') or set API.Authorizations, so that a secret is asked for; \
         or listen on 127.0.0.1; or, where the network itself keeps others away, start the daemon with \
         --allow-unguarded or set API.AllowUnguarded"
    )]
    Unguarded {
        /// As configured.
        address: String,
    },
    /// The tokens of the repo cannot be read.
    #[error("cannot read the tokens: {0}")]
    Tokens(String),
    /// TLS is asked for, and there is none.
    #[error("cannot listen on {address}: {source}")]
    Tls {
        /// As configured.
        address: String,
        /// What is missing.
        source: TlsError,
    },
    /// The system refuses it.
    #[error("cannot listen on {address}: {source}")]
    Io {
        /// As configured.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A place to connect to or to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A host, by number or by name, and a port.
    Tcp(String, u16),
    /// The same with TLS.
    Tls(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// Reads `/ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT`, with an optional `/http`, `/https` or
    /// `/tls/http` behind it, or `/unix/PATH`.
    pub fn parse(address: &str) -> Option<Endpoint> {
        if let Some(path) = address.strip_prefix("/unix/") {
            return Some(Endpoint::Unix(Path::new("/").join(path)));
        }
        let mut parts = address.strip_prefix('/')?.split('/');
        let (kind, host) = (parts.next()?, parts.next()?);
        let fits = match kind {
            "ip4" => host.parse::<std::net::Ipv4Addr>().is_ok(),
            "ip6" => host.parse::<std::net::Ipv6Addr>().is_ok(),
            "dns" | "dns4" | "dns6" => !host.is_empty(),
            _ => false,
        };
        let tcp = parts.next() == Some("tcp");
        let port = parts.next()?.parse().ok()?;
        let rest: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        let host = (fits && tcp).then(|| host.to_owned())?;
        match rest.as_slice() {
            [] | ["http"] => Some(Endpoint::Tcp(host, port)),
            ["https"] | ["tls", "http"] => Some(Endpoint::Tls(host, port)),
            _ => None,
        }
    }
}

/// A bound listener.
pub struct Listener {
    socket: Socket,
    tls: Option<Arc<Tls>>,
}

enum Socket {
    Tcp(TcpListener),
    /// With the place it is at, and whether it is the repo's own.
    Unix(UnixListener, PathBuf, bool),
}

impl Listener {
    /// Binds an address; a name may have several. Unless `guarded`, only this machine may reach it.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(
        address: &str,
        guarded: bool,
        tls: impl FnOnce() -> Result<Tls, TlsError>,
    ) -> Result<Vec<Listener>, BindError> {
        let failed = |source| BindError::Io {
            address: address.to_owned(),
            source,
        };
        let endpoint = Endpoint::parse(address);
        let tls = match endpoint {
            Some(Endpoint::Tls(..)) => {
                let tls = tls().map_err(|source| BindError::Tls {
                    address: address.to_owned(),
                    source,
                })?;
                Some(Arc::new(tls))
            }
            _ => None,
        };
        match endpoint {
            None => Err(BindError::Address {
                address: address.to_owned(),
            }),
            Some(Endpoint::Unix(path)) => Ok(vec![Listener {
                socket: Socket::Unix(bind_unix(&path).map_err(failed)?, path, false),
                tls: None,
            }]),
            Some(Endpoint::Tcp(host, port) | Endpoint::Tls(host, port)) => {
                let found = (host.as_str(), port).to_socket_addrs().map_err(failed)?;
                let found: Vec<SocketAddr> = found.collect();
                let public = |at: &SocketAddr| !at.ip().to_canonical().is_loopback();
                if !guarded && found.iter().any(public) {
                    return Err(BindError::Unguarded {
                        address: address.to_owned(),
                    });
                }
                let bind = |at| {
                    let bound = bind_tcp(at).map_err(failed)?;
                    Ok(Listener {
                        socket: Socket::Tcp(bound),
                        tls: tls.clone(),
                    })
                };
                found.into_iter().map(bind).collect()
            }
        }
    }

    /// Binds the repo's own socket, which only its owner may use.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn own_socket(path: &Path) -> Result<Listener, BindError> {
        let bound = bind_unix(path).map_err(|source| BindError::Io {
            address: path.display().to_string(),
            source,
        })?;
        Ok(Listener {
            socket: Socket::Unix(bound, path.to_owned(), true),
            tls: None,
        })
    }

    /// The address as others write it; none for the repo's own socket, which they find by its place.
    pub fn address(&self) -> Option<String> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let at = listener.local_addr().ok()?;
                let kind = if at.is_ipv4() { "ip4" } else { "ip6" };
                let tls = if self.tls.is_some() { "/https" } else { "" };
                Some(format!("/{kind}/{}/tcp/{}{tls}", at.ip(), at.port()))
            }
            Socket::Unix(_, path, false) => Some(format!("/unix{}", path.display())),
            Socket::Unix(_, _, true) => None,
        }
    }

    /// Whether others than this machine may reach it.
    pub fn is_public(&self) -> bool {
        match &self.socket {
            Socket::Tcp(listener) => listener
                .local_addr()
                .is_ok_and(|at| !at.ip().to_canonical().is_loopback()),
            Socket::Unix(..) => false,
        }
    }

    /// The TLS that its connections begin with.
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// The next connection, and how it got here.
    ///
    /// # Errors
    /// When the system has no room for one.
    pub async fn accept(&self) -> io::Result<(Connection, Place)> {
        Ok(match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let place = Place::Tcp(stream.local_addr()?);
                (Connection::Tcp(stream), place)
            }
            Socket::Unix(listener, _, own) => {
                let (stream, _) = listener.accept().await?;
                let place = if *own { Place::OwnSocket } else { Place::Unix };
                (Connection::Unix(stream), place)
            }
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Socket::Unix(_, path, _) = &self.socket {
            // One that is gone already is as good.
            let _ = fs::remove_file(path);
        }
    }
}

fn bind_tcp(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = match at.ip() {
        IpAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        IpAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    // A port that a daemon before this one left a moment ago is free.
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(1024)
}

/// Binds a Unix socket that only its owner may connect to. One that a killed process left is replaced;
/// one that somebody answers at is not.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok() {
        if connect_unix(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        fs::remove_file(path)?;
    }
    let listener = short(path, |path| std::os::unix::net::UnixListener::bind(path))?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Connects to a Unix socket.
///
/// # Errors
/// When nobody listens there.
pub fn connect_unix(path: &Path) -> io::Result<StdUnixStream> {
    short(path, |path| StdUnixStream::connect(path))
}

/// Addresses of Unix sockets have little room: a long path is reached through the descriptor of its
/// directory.
fn short<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    const ROOM: usize = 100;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return act(path);
    };
    if path.as_os_str().len() <= ROOM {
        return act(path);
    }
    let directory = File::open(parent)?;
    let place = format!("/proc/self/fd/{}", directory.as_raw_fd());
    act(&Path::new(&place).join(name))
}

/// A connection of either kind.
pub enum Connection {
    /// From the network.
    Tcp(TcpStream),
    /// From this machine.
    Unix(UnixStream),
    /// To a server with TLS.
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

macro_rules! each {
    ($self:ident, $stream:ident => $act:expr) => {
        match $self.get_mut() {
            Connection::Tcp($stream) => $act,
            Connection::Unix($stream) => $act,
            Connection::Tls($stream) => $act,
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tcp = |host: &str, port| Some(Endpoint::Tcp(host.to_owned(), port));
        assert_eq!(
            Endpoint::parse("/ip4/127.0.0.1/tcp/5001"),
            tcp("127.0.0.1", 5001)
        );
        assert_eq!(Endpoint::parse("/ip6/::1/tcp/0/http"), tcp("::1", 0));
        assert_eq!(
            Endpoint::parse("/dns4/localhost/tcp/1"),
            tcp("localhost", 1)
        );
        let tls = Some(Endpoint::Tls("::1".to_owned(), 5001));
        assert_eq!(Endpoint::parse("/ip6/::1/tcp/5001/https"), tls);
        assert_eq!(Endpoint::parse("/ip6/::1/tcp/5001/tls/http"), tls);
        let unix = Endpoint::Unix(PathBuf::from("/a/b.sock"));
        assert_eq!(Endpoint::parse("/unix/a/b.sock"), Some(unix));
        for bad in [
            "",
            "127.0.0.1:5001",
            "/ip4/::1/tcp/1",
            "/ip4/127.0.0.1/udp/1",
            "/ip4/127.0.0.1/tcp/70000",
            "/ip4/127.0.0.1/tcp/1/ws",
            "/ip4/127.0.0.1",
        ] {
            assert_eq!(Endpoint::parse(bad), None, "{bad}");
        }
    }
}
