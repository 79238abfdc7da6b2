//! Whom the generator talks to, and how it connects: TLS 1.3, AES-128-GCM, X25519, nothing verified.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use anyhow::Context;
use anyhow::Result;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::DigitallySignedStruct;
use rustls::HandshakeKind;
use rustls::SignatureScheme;
use rustls::client::Resumption;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::load::key_share::SHARED_X25519;
use crate::load::tickets::Tickets;

/// A TLS stream to a proxy.
pub type Stream = TlsStream<TcpStream>;

/// A site behind a proxy, and the TLS that is used towards it.
#[derive(Clone)]
pub struct Target {
    pub domain: String,
    address: SocketAddr,
    server_name: ServerName<'static>,
    connector: TlsConnector,
}

/// What is offered in ALPN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    Http1,
    Http2,
}

impl Target {
    /// Handshakes are always full.
    pub fn new(port: u16, domain: &str, protocol: Protocol) -> Result<Self> {
        Self::build(port, domain, protocol, Resumption::disabled())
    }

    /// Handshakes resume as long as there are tickets.
    pub fn resuming(port: u16, domain: &str, tickets: Arc<Tickets>) -> Result<Self> {
        Self::build(port, domain, Protocol::Http1, Resumption::store(tickets))
    }

    fn build(port: u16, domain: &str, protocol: Protocol, resumption: Resumption) -> Result<Self> {
        let mut config = client_config()?;
        config.resumption = resumption;
        config.alpn_protocols = match protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![b"h2".to_vec()],
        };
        Ok(Self {
            domain: domain.to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            server_name: ServerName::try_from(domain.to_owned())?,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Connects and finishes the handshake.
    pub async fn connect(&self) -> Result<Stream> {
        self.connect_over(TcpSocket::new_v4()?).await
    }

    /// The same over a socket whose options are set.
    pub async fn connect_over(&self, socket: TcpSocket) -> Result<Stream> {
        let stream = self.dial_over(socket).await?;
        self.connector.connect(self.server_name.clone(), stream).await.context("handshake failed")
    }

    /// The ClientHello that a handshake would begin with.
    pub fn client_hello(&self) -> Result<Vec<u8>> {
        let config = Arc::clone(self.connector.config());
        let mut client = ClientConnection::new(config, self.server_name.clone())?;
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes)?;
        Ok(bytes)
    }

    /// Connects without TLS.
    pub async fn dial(&self) -> Result<TcpStream> {
        self.dial_over(TcpSocket::new_v4()?).await
    }

    async fn dial_over(&self, socket: TcpSocket) -> Result<TcpStream> {
        socket.set_reuseaddr(true)?;
        socket.set_nodelay(true)?;
        socket.bind(next_source()).context("cannot bind a source address")?;
        socket.connect(self.address).await.context("cannot connect")
    }

    /// The certificate that a new handshake is answered with.
    pub async fn served_certificate(&self) -> Result<CertificateDer<'static>> {
        let stream = self.connect().await?;
        let (_, session) = stream.get_ref();
        let leaf = session
            .peer_certificates()
            .and_then(|chain| chain.first())
            .context("no certificate in the handshake")?
            .clone()
            .into_owned();
        close(stream).await?;
        Ok(leaf)
    }
}

/// Whether the handshake resumed an earlier session.
pub fn is_resumed(stream: &Stream) -> bool {
    stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// Closes as a client should: close_notify and FIN, then whatever the proxy still has to say.
///
/// Without reading to the end, a ticket in the receive buffer would make the kernel send a reset.
pub async fn close(mut stream: Stream) -> Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; 2048];
    // An end without close_notify is an error of TLS, and of no interest here.
    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
    Ok(())
}

/// Source addresses in turn, so that ports of closed connections are not missed.
fn next_source() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let turn = NEXT.fetch_add(1, Ordering::Relaxed) % SOURCES;
    let [_, _, _, last] = turn.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(127, 0, 1, last), 0))
}

fn client_config() -> Result<ClientConfig> {
    let provider = CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![SHARED_X25519],
        ..aws_lc_rs::default_provider()
    };
    Ok(ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAll))
        .with_no_client_auth())
}

/// Verifies nothing: that work is the client's, not the proxy's.
#[derive(Debug)]
struct TrustAll;

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256]
    }
}

const SOURCES: u32 = 64;
