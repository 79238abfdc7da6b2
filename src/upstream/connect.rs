//! A new connection to an endpoint: name, TCP, TLS, and the first words of HTTP.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use rustls::pki_types;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::pool::PoolProtocol;
use crate::names::EndpointAddr;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::error::UpstreamError;
use crate::upstream::lease::Sender;

/// How the endpoints of a pool are spoken to.
#[derive(Clone, Debug)]
pub struct Connecting {
    /// Over all of it: name, TCP, TLS.
    pub connect_timeout: Duration,
    /// HTTP/1.1, HTTP/2, or what TLS agrees on.
    pub protocol: PoolProtocol,
    /// `None`: plain text. Offers by ALPN what `protocol` says.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// What TLS sends and verifies, if not the endpoint's own host.
    pub server_name: Option<String>,
    /// Bytes of a response head.
    pub response_head: usize,
}

impl Connecting {
    /// Opens a connection and leaves it to a task of this worker, which tells the endpoint when it
    /// has ended.
    pub async fn open(&self, endpoint: &Arc<Endpoint>) -> Result<Sender, UpstreamError> {
        tokio::time::timeout(self.connect_timeout, self.open_at_leisure(endpoint))
            .await
            .unwrap_or(Err(UpstreamError::ConnectTimeout(self.connect_timeout)))
    }

    /// The first half of [`open`](Self::open): a connection that nothing has been said on.
    pub async fn dial(&self, address: &EndpointAddr) -> Result<TcpStream, UpstreamError> {
        tokio::time::timeout(self.connect_timeout, dial(address))
            .await
            .unwrap_or(Err(UpstreamError::ConnectTimeout(self.connect_timeout)))
    }

    async fn open_at_leisure(&self, endpoint: &Arc<Endpoint>) -> Result<Sender, UpstreamError> {
        let tcp = dial(&endpoint.address).await?;
        let Some(tls) = &self.tls else {
            return match self.protocol {
                PoolProtocol::Auto | PoolProtocol::Http1 => self.speak_http1(tcp, endpoint).await,
                PoolProtocol::Http2 => self.speak_http2(tcp, endpoint).await,
            };
        };
        let name = self.server_name.clone().unwrap_or_else(|| endpoint.address.host());
        let name = pki_types::ServerName::try_from(name).map_err(|_| UpstreamError::TlsName)?;
        let connector = TlsConnector::from(Arc::clone(tls));
        let stream = connector.connect(name, tcp).await.map_err(UpstreamError::Tls)?;
        match (stream.get_ref().1.alpn_protocol(), self.protocol) {
            (Some(b"h2"), _) => self.speak_http2(stream, endpoint).await,
            (_, PoolProtocol::Http2) => Err(UpstreamError::Protocol(None)),
            _ => self.speak_http1(stream, endpoint).await,
        }
    }

    async fn speak_http1<IO>(
        &self,
        io: IO,
        endpoint: &Arc<Endpoint>,
    ) -> Result<Sender, UpstreamError>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_header_size(self.response_head)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| UpstreamError::Protocol(Some(error)))?;
        tokio::spawn(run(connection, Arc::downgrade(endpoint)));
        Ok(Sender::Http1(sender))
    }

    async fn speak_http2<IO>(
        &self,
        io: IO,
        endpoint: &Arc<Endpoint>,
    ) -> Result<Sender, UpstreamError>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(HTTP2_STREAM_WINDOW)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(self.response_head).unwrap_or(u32::MAX))
            .keep_alive_interval(HTTP2_PING)
            .keep_alive_timeout(HTTP2_PONG)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| UpstreamError::Protocol(Some(error)))?;
        tokio::spawn(run(connection, Arc::downgrade(endpoint)));
        Ok(Sender::Http2(sender))
    }
}

/// The life of a connection. What ends it is told to the request that is under way; without one it is
/// of no interest, except that the connection is not there any more.
async fn run(connection: impl Future<Output = hyper::Result<()>>, endpoint: Weak<Endpoint>) {
    drop(connection.await);
    if let Some(endpoint) = endpoint.upgrade() {
        endpoint.forget_closed();
    }
}

/// The first address that answers, in the resolver's order.
async fn dial(address: &EndpointAddr) -> Result<TcpStream, UpstreamError> {
    let tcp = match address {
        EndpointAddr::Socket(address) => TcpStream::connect(address).await,
        EndpointAddr::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        EndpointAddr::Name(name, port) => {
            let addresses =
                tokio::net::lookup_host((&**name, *port)).await.map_err(UpstreamError::Resolve)?;
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            for address in addresses {
                match TcpStream::connect(address).await {
                    Ok(tcp) => return ready_for_http(tcp),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
    };
    tcp.map_err(UpstreamError::Connect).and_then(ready_for_http)
}

/// Heads and short bodies must not wait for the acknowledgement of the packet before.
fn ready_for_http(tcp: TcpStream) -> Result<TcpStream, UpstreamError> {
    tcp.set_nodelay(true).map_err(UpstreamError::Connect)?;
    Ok(tcp)
}

/// Enough for a fast download over a few milliseconds, little enough to hold for a slow client.
const HTTP2_STREAM_WINDOW: u32 = 1 << 20;

/// Several streams at full window.
const HTTP2_CONNECTION_WINDOW: u32 = 4 << 20;

/// A connection with open streams that is silent for this long is asked whether it lives.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// And is given up after this.
const HTTP2_PONG: Duration = Duration::from_secs(10);
