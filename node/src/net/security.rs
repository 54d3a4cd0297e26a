//! Picks TLS or Noise, in the order of the configuration.

use std::io;

use futures::future::{BoxFuture, Either, FutureExt};
use futures::{AsyncRead, AsyncWrite};
use futures_rustls::TlsStream;
use libp2p::core::Negotiated;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use libp2p::identity::Keypair;
use libp2p::{PeerId, noise};

use super::NetError;
use super::settings::SecurityKind;
use super::tls::Tls;

/// Upgrade of a raw connection to an encrypted one that knows its peer.
#[derive(Clone)]
pub struct Security {
    order: Vec<SecurityKind>,
    tls: Tls,
    noise: noise::Config,
}

impl Security {
    /// Makes the certificate and the static key; `order` is how they are offered.
    pub fn new(key: &Keypair, order: &[SecurityKind]) -> Result<Self, NetError> {
        let failed = |what, reason: String| NetError::Transport { what, reason };
        Ok(Self {
            order: order.to_vec(),
            tls: Tls::new(key).map_err(|error| failed("TLS", error))?,
            noise: noise::Config::new(key).map_err(|error| failed("Noise", error.to_string()))?,
        })
    }
}

impl AsRef<str> for SecurityKind {
    fn as_ref(&self) -> &str {
        match self {
            Self::Tls => "/tls/1.0.0",
            Self::Noise => "/noise",
        }
    }
}

impl UpgradeInfo for Security {
    type Info = SecurityKind;
    type InfoIter = std::vec::IntoIter<SecurityKind>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.order.clone().into_iter()
    }
}

/// An encrypted connection.
pub type Encrypted<C> = Negotiated<Either<TlsStream<Negotiated<C>>, noise::Output<Negotiated<C>>>>;

type Secured<C> = (PeerId, Either<TlsStream<C>, noise::Output<C>>);

impl<C> InboundConnectionUpgrade<C> for Security
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Secured<C>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured<C>>>;

    fn upgrade_inbound(self, socket: C, kind: SecurityKind) -> Self::Future {
        async move {
            match kind {
                SecurityKind::Tls => {
                    let (peer, stream) = self.tls.accept(socket).await?;
                    Ok((peer, Either::Left(stream)))
                }
                SecurityKind::Noise => {
                    let upgrade = self.noise.upgrade_inbound(socket, "/noise");
                    let (peer, stream) = upgrade.await.map_err(io::Error::other)?;
                    Ok((peer, Either::Right(stream)))
                }
            }
        }
        .boxed()
    }
}

impl<C> OutboundConnectionUpgrade<C> for Security
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Secured<C>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured<C>>>;

    fn upgrade_outbound(self, socket: C, kind: SecurityKind) -> Self::Future {
        async move {
            match kind {
                SecurityKind::Tls => {
                    let (peer, stream) = self.tls.connect(socket).await?;
                    Ok((peer, Either::Left(stream)))
                }
                SecurityKind::Noise => {
                    let upgrade = self.noise.upgrade_outbound(socket, "/noise");
                    let (peer, stream) = upgrade.await.map_err(io::Error::other)?;
                    Ok((peer, Either::Right(stream)))
                }
            }
        }
        .boxed()
    }
}
