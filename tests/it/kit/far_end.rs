//! An endpoint of a relayed stream: a plain socket that the test itself accepts and speaks on.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::ca::Issued;
use super::within;

/// A listener on a free port of 127.0.0.1.
pub(crate) struct FarEnd {
    listener: TcpListener,
}

impl FarEnd {
    /// Accepts nothing until it is asked to.
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a free port") }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        self.listener.local_addr().expect("a bound socket").to_string()
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> TcpStream {
        within("a connection to the endpoint", self.listener.accept()).await.expect("one").0
    }

    /// The next connection, with TLS ended here.
    pub(crate) async fn accept_tls(&self, issued: &Issued) -> TlsStream<TcpStream> {
        let acceptor = TlsAcceptor::from(std::sync::Arc::new(server_config(issued)));
        let tcp = self.accept().await;
        within("TLS at the endpoint", acceptor.accept(tcp)).await.expect("a handshake")
    }
}

/// TLS of a server that has this certificate and offers `stream/1` by ALPN.
pub(crate) fn server_config(issued: &Issued) -> rustls::ServerConfig {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("suites for the versions")
        .with_no_client_auth()
        .with_single_cert(issued.chain_der(), issued.key_der())
        .expect("a certificate of our own");
    config.alpn_protocols = vec![b"stream/1".to_vec()];
    config
}

/// Sends all of this and then finishes; what the other side sends until it has finished.
pub(crate) async fn exchange<IO>(io: IO, sent: &[u8]) -> Vec<u8>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reads, mut writes) = tokio::io::split(io);
    let mut received = Vec::new();
    let both = async {
        tokio::join!(
            async {
                writes.write_all(sent).await?;
                writes.shutdown().await
            },
            reads.read_to_end(&mut received)
        )
    };
    let (wrote, read) = within("an exchange", both).await;
    wrote.expect("all sent");
    read.expect("all received");
    received
}

/// Reads exactly as many bytes as are expected, and they are those.
pub(crate) async fn reads<IO: AsyncRead + Unpin>(io: &mut IO, expected: &[u8]) {
    let mut received = vec![0; expected.len()];
    within("bytes", io.read_exact(&mut received)).await.expect("as many bytes");
    assert_eq!(String::from_utf8_lossy(&received), String::from_utf8_lossy(expected));
}

/// Waits for the end of a stream, however it comes.
pub(crate) async fn ends<IO: AsyncRead + Unpin>(io: &mut IO) -> std::io::Result<()> {
    let mut rest = Vec::new();
    within("the end of a stream", io.read_to_end(&mut rest)).await.map(|_| ())
}

/// Closes a socket with a reset.
pub(crate) fn reset(tcp: TcpStream) {
    socket2::SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).expect("a live socket");
    drop(tcp);
}

/// Bytes without a period that a lost block could hide in.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// An address that nobody listens on.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("a bound socket")
}
