//! TLS towards a daemon. Its certificate has to be trusted as any on the web, or by the file that the
//! environment variable `SSL_CERT_FILE` names.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::server::{Connection, certificates};

/// How long the handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Begins TLS on a connection to `host`.
///
/// # Errors
/// When the server is not who it should be, or does not answer.
pub async fn handshake(host: &str, stream: TcpStream) -> io::Result<Connection> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(config()?));
    let connected = tokio::time::timeout(HANDSHAKE, connector.connect(name, stream));
    let stream = connected.await.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok(Connection::Tls(Box::new(stream)))
}

fn config() -> io::Result<ClientConfig> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) {
        let shown = Path::new(&file).display();
        let failed = |error| io::Error::other(format!("SSL_CERT_FILE {shown}: {error}"));
        for certificate in certificates(Path::new(&file)).map_err(failed)? {
            roots.add(certificate).map_err(io::Error::other)?;
        }
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
