//! TLS of listeners: a certificate and its key from PEM files, read again when they change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ipfs_kit_node::config::Config;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The files are not named.
    #[error("set API.TLS.Certificate and API.TLS.Key to PEM files")]
    NotConfigured,
    /// A file cannot be used.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not fit.
    #[error("the certificate and the key cannot be used: {0}")]
    Refused(rustls::Error),
}

/// The certificate and the key of a listener.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    stamps: [Option<Stamp>; 2],
    looked: Instant,
}

type Stamp = (SystemTime, u64);

impl Tls {
    /// The TLS of the configuration.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn of(config: &Config) -> Result<Tls, TlsError> {
        let path = |key| config.text(key).filter(|path| !path.is_empty());
        let certificate = path("API.TLS.Certificate").ok_or(TlsError::NotConfigured)?;
        let key = path("API.TLS.Key").ok_or(TlsError::NotConfigured)?;
        Tls::load(Path::new(certificate), Path::new(key))
    }

    fn load(certificate: &Path, key: &Path) -> Result<Tls, TlsError> {
        let stamps = [stamp(certificate), stamp(key)];
        Ok(Tls {
            current: Mutex::new(Current {
                acceptor: acceptor(certificate, key)?,
                stamps,
                looked: Instant::now(),
            }),
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        })
    }

    /// What accepts the next connection. Files that were renewed are taken; while they do not fit, as between
    /// the writing of one and the other, those before serve on.
    pub fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock();
        if current.looked.elapsed() >= LOOK_EVERY {
            current.looked = Instant::now();
            let stamps = [stamp(&self.certificate), stamp(&self.key)];
            if stamps != current.stamps
                && let Ok(acceptor) = acceptor(&self.certificate, &self.key)
            {
                current.acceptor = acceptor;
                current.stamps = stamps;
            }
        }
        current.acceptor.clone()
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let failed = |path: &Path, reason: String| TlsError::File {
        path: path.to_owned(),
        reason,
    };
    let chain =
        certificates(certificate).map_err(|error| failed(certificate, error.to_string()))?;
    // What is wrong with a key is told by kind; its text may have parts of it.
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|_| failed(key, "holds no private key in PEM".to_owned()))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Refused)?;
    let mut config = config
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(TlsError::Refused)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificates in a PEM file.
///
/// # Errors
/// When it cannot be read, or has none.
pub fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let text = fs::read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(io::Error::other("holds no certificate in PEM")),
        Err(error) => Err(io::Error::other(format!("is no PEM: {error}"))),
    }
}
