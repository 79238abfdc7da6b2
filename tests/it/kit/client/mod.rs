//! A TLS client that can be made as narrow as a test needs, and that says what it was served.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::OnceLock;

use rustls::AlertDescription;
use rustls::CipherSuite;
use rustls::ClientConfig;
use rustls::HandshakeKind;
use rustls::NamedGroup;
use rustls::SignatureScheme;
use rustls::SupportedProtocolVersion;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ca::Issued;
use super::http::Http;
use super::tickets::Tickets;
use super::within;
use verifier::Trusting;

mod verifier;

/// How to connect, and what to offer. Every change makes a narrower (or another) client.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    name: Option<String>,
    host: Option<String>,
    versions: Vec<&'static SupportedProtocolVersion>,
    provider: CryptoProvider,
    schemes: Vec<SignatureScheme>,
    alpn: Vec<Vec<u8>>,
    /// Sent before the ClientHello, one packet each.
    before: Vec<Vec<u8>>,
    identity: Option<Issued>,
    tickets: Option<Arc<Tickets>>,
    /// Made at the first connection and shared by clones: rustls presents a ticket only under the
    /// configuration that it was received under.
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Client {
    /// A client of everything modern that sends no server name yet.
    pub(crate) fn to(address: SocketAddr) -> Self {
        let provider = default_provider();
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        Self {
            address,
            name: None,
            host: None,
            versions: vec![&rustls::version::TLS13, &rustls::version::TLS12],
            provider,
            schemes,
            alpn: vec![b"http/1.1".to_vec()],
            before: Vec::new(),
            identity: None,
            tickets: None,
            config: Arc::default(),
        }
    }

    /// Asks for this server name.
    pub(crate) fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Asks for this host in HTTP, instead of the server name.
    pub(crate) fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// Connects there instead, with the same offer and the same tickets.
    pub(crate) fn instead_to(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Speaks TLS 1.2 only.
    pub(crate) fn tls12(self) -> Self {
        self.offering(|client| client.versions = vec![&rustls::version::TLS12])
    }

    /// Speaks TLS 1.3 only.
    pub(crate) fn tls13(self) -> Self {
        self.offering(|client| client.versions = vec![&rustls::version::TLS13])
    }

    /// Offers these suites, in this order.
    pub(crate) fn suites(self, suites: &[CipherSuite]) -> Self {
        let all = default_provider().cipher_suites;
        let find = |suite: &CipherSuite| *all.iter().find(|s| s.suite() == *suite).expect("known");
        self.offering(|client| client.provider.cipher_suites = suites.iter().map(find).collect())
    }

    /// Offers these groups, in this order; a key share for the first alone.
    pub(crate) fn groups(self, groups: &[NamedGroup]) -> Self {
        let all = rustls::crypto::aws_lc_rs::ALL_KX_GROUPS;
        let find = |group: &NamedGroup| *all.iter().find(|g| g.name() == *group).expect("known");
        self.offering(|client| client.provider.kx_groups = groups.iter().map(find).collect())
    }

    /// Offers these signature schemes, in this order.
    pub(crate) fn schemes(self, schemes: &[SignatureScheme]) -> Self {
        self.offering(|client| client.schemes = schemes.to_vec())
    }

    /// Offers these protocols; none: no ALPN extension at all.
    pub(crate) fn alpn(self, protocols: &[&str]) -> Self {
        let protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self.offering(|client| client.alpn = protocols)
    }

    /// Says this before the ClientHello, each part in a packet of its own: a PROXY header.
    pub(crate) fn saying_first(mut self, parts: &[&[u8]]) -> Self {
        self.before = parts.iter().map(|part| part.to_vec()).collect();
        self
    }

    /// Has a certificate to show.
    pub(crate) fn identity(self, issued: &Issued) -> Self {
        let issued = issued.clone();
        self.offering(|client| client.identity = Some(issued))
    }

    /// Keeps tickets and presents them, under any server name.
    pub(crate) fn resuming(self) -> Self {
        self.offering(|client| client.tickets = Some(Arc::default()))
    }

    /// The tickets of a client that is [`Client::resuming`].
    pub(crate) fn tickets(&self) -> &Tickets {
        self.tickets.as_ref().expect("a client that resumes")
    }

    /// The handshake alone.
    pub(crate) async fn handshake(&self) -> Result<Session, Refused> {
        let connecting = async {
            let mut tcp = TcpStream::connect(self.address).await?;
            tcp.set_nodelay(true)?;
            for part in &self.before {
                tcp.write_all(part).await?;
            }
            TlsConnector::from(self.rustls()).connect(self.server_name(), tcp).await
        };
        let stream = within("a handshake", connecting).await.map_err(|e| Refused::from(&e))?;
        let facts = Facts::of(&stream);
        Ok(Session { facts, stream })
    }

    /// Handshake, `GET /` over HTTP/1.1, and all that comes back: tickets, and alerts that a
    /// TLS 1.3 client sees only after its own side of the handshake.
    pub(crate) async fn visit(&self) -> Result<Visit, Refused> {
        let Session { facts, mut stream } = self.handshake().await?;
        let request =
            format!("GET / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.authority());
        let mut answer = Vec::new();
        let exchange = async {
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await?;
            stream.read_to_end(&mut answer).await
        };
        within("a visit", exchange).await.map_err(|e| Refused::from(&e))?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
        Ok(Visit { facts, status, body, answer })
    }

    /// Handshake, these bytes, and all that comes back until the proxy closes the connection.
    pub(crate) async fn say(&self, bytes: &[u8]) -> Result<String, Refused> {
        let Session { mut stream, .. } = self.handshake().await?;
        let mut answer = Vec::new();
        let exchange = async {
            stream.write_all(bytes).await?;
            stream.flush().await?;
            stream.read_to_end(&mut answer).await
        };
        let end = within("an answer to raw bytes", exchange).await;
        if let (Err(error), true) = (end, answer.is_empty()) {
            return Err(Refused::from(&error));
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// A connection for HTTP/1.1.
    pub(crate) async fn http1(&self) -> Http {
        let client = self.clone().alpn(&["http/1.1"]);
        let session = client.handshake().await.expect("a handshake for HTTP/1.1");
        Http::http1(session.stream, self.authority(), Some(session.facts)).await
    }

    /// A connection for HTTP/2.
    pub(crate) async fn http2(&self) -> Http {
        let client = self.clone().alpn(&["h2"]);
        let session = client.handshake().await.expect("a handshake for HTTP/2");
        assert_eq!(session.facts.alpn.as_deref(), Some("h2"), "the proxy speaks HTTP/2");
        Http::http2(session.stream, self.authority(), Some(session.facts)).await
    }

    /// The bytes of a ClientHello of this client.
    pub(crate) fn hello(&self) -> Vec<u8> {
        let mut connection = rustls::ClientConnection::new(self.rustls(), self.server_name())
            .expect("a client that can begin");
        let mut bytes = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut bytes).expect("a vector takes everything");
        }
        bytes
    }

    /// The server name that it asks for.
    pub(crate) fn server_name_text(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    fn offering(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.config = Arc::default();
        self
    }

    fn authority(&self) -> &str {
        self.host.as_deref().or(self.name.as_deref()).unwrap_or("no.name")
    }

    /// rustls sends no server name where it is told an address.
    fn server_name(&self) -> ServerName<'static> {
        match &self.name {
            Some(name) => ServerName::try_from(name.clone()).expect("a server name"),
            None => ServerName::from(self.address.ip()),
        }
    }

    fn rustls(&self) -> Arc<ClientConfig> {
        Arc::clone(self.config.get_or_init(|| Arc::new(self.compile())))
    }

    fn compile(&self) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::new(self.provider.clone()))
            .with_protocol_versions(&self.versions)
            .expect("suites for the versions")
            .dangerous()
            .with_custom_certificate_verifier(Trusting::offering(&self.schemes));
        let mut config = match &self.identity {
            Some(issued) => builder
                .with_client_auth_cert(issued.chain_der(), issued.key_der())
                .expect("a certificate of our own"),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.enable_secret_extraction = true;
        config.resumption = match &self.tickets {
            Some(tickets) => Resumption::store(Arc::<Tickets>::clone(tickets)),
            None => Resumption::disabled(),
        };
        config
    }
}

/// What a handshake agreed on.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// What the server sent, the leaf first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// `1.2` or `1.3`.
    pub(crate) version: &'static str,
    pub(crate) suite: CipherSuite,
    pub(crate) group: Option<NamedGroup>,
    pub(crate) resumed: bool,
    pub(crate) alpn: Option<String>,
}

impl Facts {
    fn of(stream: &TlsStream<TcpStream>) -> Self {
        let (_, connection) = stream.get_ref();
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
            Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
            other => panic!("not a version of ours: {other:?}"),
        };
        Self {
            chain: connection.peer_certificates().unwrap_or_default().to_vec(),
            version,
            suite: connection.negotiated_cipher_suite().expect("after the handshake").suite(),
            group: connection.negotiated_key_exchange_group().map(|group| group.name()),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            alpn: connection.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned()),
        }
    }

    /// Whether this certificate was served.
    pub(crate) fn served(&self, issued: &Issued) -> bool {
        self.chain.first() == Some(&issued.certificate)
    }
}

/// A TLS connection on which nothing has been said yet.
pub(crate) struct Session {
    pub(crate) facts: Facts,
    pub(crate) stream: TlsStream<TcpStream>,
}

/// One request over one connection, by hand.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) facts: Facts,
    /// 0 where the connection was closed without an answer.
    pub(crate) status: u16,
    pub(crate) body: String,
    /// The whole answer as it came.
    pub(crate) answer: String,
}

/// Why there was no connection, or no answer.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The alert that the server sent.
    pub(crate) alert: Option<AlertDescription>,
    /// The error in words, for the message of a failing test.
    pub(crate) error: String,
}

impl From<&io::Error> for Refused {
    fn from(error: &io::Error) -> Self {
        let mut cause = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
        while let Some(inner) = cause {
            if let Some(rustls::Error::AlertReceived(alert)) = inner.downcast_ref() {
                return Self { alert: Some(*alert), error: error.to_string() };
            }
            cause = inner.source();
        }
        Self { alert: None, error: error.to_string() }
    }
}
