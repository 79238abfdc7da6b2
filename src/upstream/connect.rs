//! A new connection to an endpoint: name, TCP, TLS, and the first words of HTTP.

use std::future::Future;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use rustls::pki_types;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsConnector;

use crate::config::pool::PoolProtocol;
use crate::names::EndpointAddr;
use crate::upstream::dial::dial;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::error::UpstreamError;
use crate::upstream::http1;
use crate::upstream::lease::Sender;
use crate::upstream::opening;
use crate::upstream::source::Source;
use crate::upstream::stream_io::StreamIo;

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
    /// Each connection begins by saying who it is from, and so is used once.
    pub proxy_protocol: bool,
}

/// What is wanted of one connection.
#[derive(Clone, Debug)]
pub struct Call {
    /// Where to.
    pub address: EndpointAddr,
    /// What ALPN offers, if not what the pool's TLS offers.
    pub alpn: Option<Vec<Vec<u8>>>,
    /// What the connection begins with, before TLS.
    pub opening: Option<Vec<u8>>,
}

impl Connecting {
    /// Opens a connection for HTTP. One of HTTP/2 is left to a task of this worker, which tells the
    /// endpoint when it has ended.
    pub async fn open(
        &self,
        endpoint: &Arc<Endpoint>,
        call: Call,
    ) -> Result<Sender, UpstreamError> {
        self.in_time(async {
            let io = self.reach(endpoint, call).await?;
            let is_plain = !matches!(io, StreamIo::Tls(_));
            match (io.alpn(), self.protocol) {
                (Some(b"h2"), _) => self.speak_http2(io, endpoint).await,
                // Offered by the pool, or for a request that asks to switch protocols.
                (Some(b"http/1.1"), _) => Ok(self.speak_http1(io)),
                (_, PoolProtocol::Http2) if is_plain => self.speak_http2(io, endpoint).await,
                (_, PoolProtocol::Http2) => Err(UpstreamError::Protocol(None)),
                _ => Ok(self.speak_http1(io)),
            }
        })
        .await
    }

    /// Whether a connection can be HTTP/1.1: not where HTTP/2 is spoken without being agreed on.
    pub fn can_speak_http1(&self) -> bool {
        self.tls.is_some() || self.protocol != PoolProtocol::Http2
    }

    /// Opens a connection and says nothing on it beside the opening and TLS.
    pub async fn open_bare(
        &self,
        endpoint: &Endpoint,
        call: Call,
    ) -> Result<StreamIo, UpstreamError> {
        self.in_time(self.reach(endpoint, call)).await
    }

    /// What a client's request or stream is opened with: where the pool's endpoints want to know, who
    /// it is from.
    pub fn call_for(&self, endpoint: &Endpoint, source: &Source<'_>) -> Call {
        Call {
            address: endpoint.place.address.clone(),
            alpn: None,
            opening: self.proxy_protocol.then(|| opening::for_client(source)),
        }
    }

    async fn in_time<T>(
        &self,
        connecting: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, UpstreamError> {
        tokio::time::timeout(self.connect_timeout, connecting)
            .await
            .unwrap_or(Err(UpstreamError::ConnectTimeout(self.connect_timeout)))
    }

    async fn reach(&self, endpoint: &Endpoint, call: Call) -> Result<StreamIo, UpstreamError> {
        let mut dialed = dial(&call.address).await?;
        if let Some(opening) = &call.opening {
            dialed.write_all(opening).await.map_err(UpstreamError::Connect)?;
        }
        let Some(tls) = &self.tls else {
            return Ok(dialed.into());
        };
        let name = self.server_name.clone().unwrap_or_else(|| endpoint.place.host());
        let name = pki_types::ServerName::try_from(name).map_err(|_| UpstreamError::TlsName)?;
        let connector = TlsConnector::from(Arc::clone(tls));
        let handshake = match call.alpn {
            Some(alpn) => connector.with_alpn(alpn).connect(name, dialed),
            None => connector.connect(name, dialed),
        };
        // Boxed: what a handshake needs is gone after it.
        let stream = Box::pin(handshake).await.map_err(UpstreamError::Tls)?;
        Ok(StreamIo::Tls(Box::new(stream)))
    }

    fn speak_http1(&self, io: StreamIo) -> Sender {
        Sender::Http1(Box::new(http1::Connection::new(io, self.response_head)))
    }

    async fn speak_http2(
        &self,
        io: StreamIo,
        endpoint: &Arc<Endpoint>,
    ) -> Result<Sender, UpstreamError> {
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

/// Enough for a fast download over a few milliseconds, little enough to hold for a slow client.
const HTTP2_STREAM_WINDOW: u32 = 1 << 20;

/// Several streams at full window.
const HTTP2_CONNECTION_WINDOW: u32 = 4 << 20;

/// A connection with open streams that is silent for this long is asked whether it lives.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// And is given up after this.
const HTTP2_PONG: Duration = Duration::from_secs(10);
