//! Whom the generator talks to, and how it connects.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use anyhow::Context;
use anyhow::Result;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::HandshakeKind;
use rustls::NamedGroup;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::load::tickets::Tickets;
use crate::load::tls;
use crate::load::tls::Offer;

/// A TLS stream to a proxy.
pub type Stream = TlsStream<TcpStream>;

/// A site behind a proxy, and the TLS that is used towards it.
#[derive(Clone)]
pub struct Target {
    pub domain: String,
    pub protocol: Protocol,
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
        Self::build(port, domain, protocol, tls::client(Offer::Tls13)?)
    }

    /// Handshakes are always full, with what is offered.
    pub fn offering(port: u16, domain: &str, offer: Offer) -> Result<Self> {
        Self::build(port, domain, Protocol::Http1, tls::client(offer)?)
    }

    /// Handshakes resume as long as there are tickets.
    pub fn resuming(port: u16, domain: &str, tickets: Arc<Tickets>) -> Result<Self> {
        let mut config = tls::client(Offer::Tls13)?;
        config.resumption = Resumption::store(tickets);
        Self::build(port, domain, Protocol::Http1, config)
    }

    fn build(
        port: u16,
        domain: &str,
        protocol: Protocol,
        mut config: ClientConfig,
    ) -> Result<Self> {
        config.alpn_protocols = match protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![b"h2".to_vec()],
        };
        Ok(Self {
            domain: domain.to_owned(),
            protocol,
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

/// Whether the handshake agreed on the hybrid with a post-quantum half.
pub fn is_post_quantum(stream: &Stream) -> bool {
    let group = stream.get_ref().1.negotiated_key_exchange_group();
    group.is_some_and(|group| group.name() == NamedGroup::X25519MLKEM768)
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

const SOURCES: u32 = 64;
