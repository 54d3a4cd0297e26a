//! libp2p's TLS 1.3 over byte streams: certificates as the library makes and checks them, with ciphers in an order of our
//! own. The library puts ChaCha20 first, which costs several times what AES does where the processor has it.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures::{AsyncRead, AsyncWrite};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use libp2p::PeerId;
use libp2p::identity::Keypair;
use libp2p::tls::certificate;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::aws_lc_rs::{default_provider, sign};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, ServerConfig,
    SignatureScheme, SupportedCipherSuite,
};

/// The application protocol that libp2p names in handshakes.
const ALPN: &[u8] = b"libp2p";

/// Schemes that the certificates of peers may have, as the library offers them.
const SCHEMES: [SignatureScheme; 9] = [
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// Both sides of handshakes, with a certificate for the node's key.
#[derive(Clone)]
pub struct Tls {
    client: TlsConnector,
    server: TlsAcceptor,
}

impl Tls {
    /// Makes a certificate.
    ///
    /// # Errors
    /// What the libraries say; text, since their types differ.
    pub fn new(key: &Keypair) -> Result<Self, String> {
        Self::with_ciphers(key, &ciphers(has_aes()))
    }

    fn with_ciphers(key: &Keypair, ciphers: &[SupportedCipherSuite]) -> Result<Self, String> {
        let (client, server) = configs_with(key, ciphers)?;
        Ok(Self {
            client: Arc::new(client).into(),
            server: Arc::new(server).into(),
        })
    }

    /// Opens a connection; whose it is, is known then.
    pub async fn connect<C>(self, socket: C) -> io::Result<(PeerId, TlsStream<C>)>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        // No name is sent for an address, as the specification demands.
        let nobody = ServerName::from(std::net::IpAddr::from(Ipv4Addr::UNSPECIFIED));
        let stream = self.client.connect(nobody, socket).await?;
        Ok((peer_of(stream.get_ref().1)?, stream.into()))
    }

    /// Takes a connection; whose it is, is known then.
    pub async fn accept<C>(self, socket: C) -> io::Result<(PeerId, TlsStream<C>)>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.server.accept(socket).await?;
        Ok((peer_of(stream.get_ref().1)?, stream.into()))
    }
}

/// Both sides' configurations with a certificate for the key, for QUIC.
///
/// # Errors
/// As of [`Tls::new`].
pub fn configs_for(key: &Keypair) -> Result<(ClientConfig, ServerConfig), String> {
    configs_with(key, &ciphers(has_aes()))
}

fn configs_with(
    key: &Keypair,
    ciphers: &[SupportedCipherSuite],
) -> Result<(ClientConfig, ServerConfig), String> {
    let (certificate, private) = certificate::generate(key).map_err(|error| error.to_string())?;
    let provider = Arc::new(CryptoProvider {
        cipher_suites: ciphers.to_vec(),
        ..default_provider()
    });
    configs(certificate, &private, provider).map_err(|error| error.to_string())
}

fn configs(
    certificate: CertificateDer<'static>,
    private: &PrivateKeyDer<'_>,
    provider: Arc<CryptoProvider>,
) -> Result<(ClientConfig, ServerConfig), rustls::Error> {
    let signing = sign::any_ecdsa_type(private)?;
    let own = CertifiedKey::new(vec![certificate], signing);
    let own = Arc::new(SingleCertAndKey::from(own));
    let verifier = Arc::new(Verifier);
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
        .with_client_cert_resolver(Arc::clone(&own) as _);
    client.alpn_protocols = vec![ALPN.to_vec()];
    // Sessions are kept by the name of the server, and peers have none.
    client.resumption = Resumption::disabled();
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(own);
    server.alpn_protocols = vec![ALPN.to_vec()];
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok((client, server))
}

/// The best first, as a client offers them; the server's side takes the first of the client's that it has.
fn ciphers(aes: bool) -> [SupportedCipherSuite; 3] {
    if aes {
        [
            TLS13_AES_128_GCM_SHA256,
            TLS13_AES_256_GCM_SHA384,
            TLS13_CHACHA20_POLY1305_SHA256,
        ]
    } else {
        [
            TLS13_CHACHA20_POLY1305_SHA256,
            TLS13_AES_128_GCM_SHA256,
            TLS13_AES_256_GCM_SHA384,
        ]
    }
}

/// Whether the processor has instructions for AES-GCM.
fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let has = is_x86_feature_detected!("aes") && is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let has = std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let has = false;
    has
}

fn peer_of(state: &CommonState) -> io::Result<PeerId> {
    let presented = state.peer_certificates().and_then(<[_]>::first);
    let presented = presented
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the peer has no certificate"))?;
    let certificate = certificate::parse(presented).map_err(io::Error::other)?;
    Ok(certificate.peer_id())
}

/// Takes a single certificate that its libp2p key has signed. Whose key that may be is checked by who connects.
#[derive(Debug)]
struct Verifier;

impl Verifier {
    fn check(
        presented: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
    ) -> Result<(), rustls::Error> {
        if !more.is_empty() {
            let reason = "libp2p takes one certificate, and there are more";
            return Err(rustls::Error::General(reason.to_owned()));
        }
        certificate::parse(presented)?;
        Ok(())
    }

    fn check_signature(
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let certificate = certificate::parse(certificate)?;
        certificate.verify_signature(signed.scheme, message, signed.signature())?;
        Ok(HandshakeSignatureValid::assertion())
    }
}

/// Nothing but TLS 1.3 is offered or taken.
fn too_old() -> rustls::Error {
    rustls::Error::General("libp2p takes TLS 1.3 only".to_owned())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        presented: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Self::check(presented, more)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Self::check_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        presented: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Self::check(presented, more)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Self::check_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use futures::{AsyncReadExt, AsyncWriteExt};
    use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};
    use rustls::{CipherSuite, ProtocolVersion};
    use tokio_util::compat::TokioAsyncReadCompatExt;

    const NAME: &str = "/tls/1.0.0";

    fn wire() -> (
        impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) {
        let (one, two) = tokio::io::duplex(64 << 10);
        (one.compat(), two.compat())
    }

    fn agreed<C>(stream: &TlsStream<C>) -> (ProtocolVersion, CipherSuite) {
        let state = stream.get_ref().1;
        let suite = state.negotiated_cipher_suite().unwrap().suite();
        (state.protocol_version().unwrap(), suite)
    }

    async fn carries(
        one: &mut (impl AsyncRead + AsyncWrite + Unpin),
        two: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) {
        let data: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        let mut got = vec![0; data.len()];
        let send = async {
            one.write_all(&data).await.unwrap();
            one.flush().await.unwrap();
        };
        let (_, read) = tokio::join!(send, two.read_exact(&mut got));
        read.unwrap();
        assert!(data == got);
    }

    #[tokio::test]
    async fn both_learn_who_the_other_is_and_aes_is_taken_where_the_processor_has_it() {
        let (one, two) = (Keypair::generate_ed25519(), Keypair::generate_secp256k1());
        for aes in [true, false] {
            let client = Tls::with_ciphers(&one, &ciphers(aes)).unwrap();
            let server = Tls::new(&two).unwrap();
            let (near, far) = wire();
            let (opened, taken) = tokio::join!(client.connect(near), server.accept(far));
            let ((is_two, mut opened), (is_one, mut taken)) = (opened.unwrap(), taken.unwrap());
            assert_eq!(is_two, two.public().to_peer_id());
            assert_eq!(is_one, one.public().to_peer_id());
            let cipher = if aes {
                CipherSuite::TLS13_AES_128_GCM_SHA256
            } else {
                CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            };
            assert_eq!(agreed(&opened), (ProtocolVersion::TLSv1_3, cipher));
            assert_eq!(agreed(&taken), agreed(&opened));
            carries(&mut opened, &mut taken).await;
            carries(&mut taken, &mut opened).await;
        }
    }

    #[tokio::test]
    async fn the_librarys_own_handshakes_are_understood() {
        let (one, two) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let (ids, theirs) = (
            (one.public().to_peer_id(), two.public().to_peer_id()),
            libp2p::tls::Config::new(&two).unwrap(),
        );
        let ours = Tls::new(&one).unwrap();
        let (near, far) = wire();
        let there = theirs.clone().upgrade_inbound(far, NAME);
        let (opened, taken) = tokio::join!(ours.clone().connect(near), there);
        let ((is_two, mut opened), (is_one, mut taken)) = (opened.unwrap(), taken.unwrap());
        assert_eq!((is_one, is_two), ids);
        carries(&mut opened, &mut taken).await;

        let (near, far) = wire();
        let there = theirs.upgrade_outbound(far, NAME);
        let (taken, opened) = tokio::join!(ours.accept(near), there);
        let ((is_two, mut taken), (is_one, mut opened)) = (taken.unwrap(), opened.unwrap());
        assert_eq!((is_one, is_two), ids);
        carries(&mut opened, &mut taken).await;
    }

    /// A peer with these certificates and the key of the first, on the side that dials.
    fn peer_with(
        certificates: Vec<CertificateDer<'static>>,
        private: &PrivateKeyDer<'_>,
    ) -> TlsConnector {
        let own = CertifiedKey::new(certificates, sign::any_ecdsa_type(private).unwrap());
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
        config.alpn_protocols = vec![ALPN.to_vec()];
        TlsConnector::from(Arc::new(config))
    }

    async fn is_refused(peer: TlsConnector) -> String {
        let server = Tls::new(&Keypair::generate_ed25519()).unwrap();
        let (near, far) = wire();
        let nobody = ServerName::from(std::net::IpAddr::from(Ipv4Addr::UNSPECIFIED));
        let (_, taken) = tokio::join!(peer.connect(nobody, near), server.accept(far));
        taken.map(|_| ()).unwrap_err().to_string()
    }

    #[tokio::test]
    async fn other_certificates_are_refused() {
        let (certificate, private) = certificate::generate(&Keypair::generate_ed25519()).unwrap();
        let (other, others) = certificate::generate(&Keypair::generate_ed25519()).unwrap();
        let two = vec![certificate.clone(), other.clone()];
        let said = is_refused(peer_with(two, &private)).await;
        assert!(said.contains("there are more"), "{said}");
        // Somebody else's certificate: the handshake is not signed by its key.
        let said = is_refused(peer_with(vec![certificate.clone()], &others)).await;
        assert!(said.contains("BadSignature"), "{said}");
        // Every byte counts. What is not the certificate's own structure is covered by its signatures.
        let bytes = certificate.to_vec();
        for at in (0..bytes.len()).step_by(7) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = CertificateDer::from(changed);
            let parsed = certificate::parse(&changed).map(|parsed| parsed.peer_id());
            assert!(parsed.is_err(), "byte {at} of {}", bytes.len());
        }
        for cut in 0..bytes.len() {
            let cut = CertificateDer::from(bytes[..cut].to_vec());
            assert!(certificate::parse(&cut).is_err());
        }
    }

    #[tokio::test]
    async fn who_has_no_certificate_is_refused() {
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        let said = is_refused(TlsConnector::from(Arc::new(config))).await;
        assert!(said.contains("certificate"), "{said}");
    }
}
