//! WebSocket peers that are not ours: an origin that echoes, and what a client says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::StreamExt;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::Request;
use tokio_tungstenite::tungstenite::handshake::server::Response;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::Http;
use super::client::Client;
use super::within;

/// A server on a free port of 127.0.0.1 that echoes messages, and hangs up when it is told `hang up`.
/// What is no WebSocket gets `400`.
pub(crate) struct WebSocketOrigin {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
    agreed: Arc<Mutex<Vec<Option<Vec<u8>>>>>,
    accepting: JoinHandle<()>,
}

impl WebSocketOrigin {
    /// In plain text.
    pub(crate) async fn start() -> Self {
        Self::with(None).await
    }

    /// Over TLS. It speaks no HTTP/2, whatever ALPN says.
    pub(crate) async fn start_tls(config: rustls::ServerConfig) -> Self {
        Self::with(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let asked = Arc::<Mutex<Vec<Request>>>::default();
        let agreed = Arc::<Mutex<Vec<Option<Vec<u8>>>>>::default();
        let (recorded, alpn) = (Arc::clone(&asked), Arc::clone(&agreed));
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (recorded, alpn, tls) = (Arc::clone(&recorded), Arc::clone(&alpn), tls.clone());
                tokio::spawn(async move {
                    let Some(tls) = tls else { return echo(tcp, recorded).await };
                    let Ok(stream) = tls.accept(tcp).await else { return };
                    let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
                    alpn.lock().expect("never poisoned").push(protocol);
                    echo(stream, recorded).await;
                });
            }
        });
        Self { address, asked, agreed, accepting }
    }

    /// What each connection with TLS agreed on by ALPN.
    pub(crate) fn agreed(&self) -> Vec<Option<Vec<u8>>> {
        self.agreed.lock().expect("never poisoned").clone()
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// The heads of the handshakes so far.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().expect("never poisoned").clone()
    }
}

impl Drop for WebSocketOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn echo<IO: AsyncRead + AsyncWrite + Unpin>(io: IO, asked: Arc<Mutex<Vec<Request>>>) {
    #[expect(clippy::result_large_err, reason = "tungstenite's signature")]
    let record = |request: &Request, mut response: Response| {
        asked.lock().expect("never poisoned").push(request.clone());
        if request.headers().contains_key("sec-websocket-protocol") {
            let chosen = http::HeaderValue::from_static("chat");
            response.headers_mut().insert("sec-websocket-protocol", chosen);
        }
        Ok(response)
    };
    let config = Some(large_messages());
    let accepted = tokio_tungstenite::accept_hdr_async_with_config(io, record, config).await;
    let Ok(mut socket) = accepted else { return };
    while let Some(Ok(message)) = socket.next().await {
        if message.to_text().is_ok_and(|text| text == "hang up") {
            return;
        }
        // A farewell is answered by tungstenite, with the next read.
        if !message.is_close() && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// A WebSocket through the proxy.
pub(crate) struct Socket<IO> {
    stream: WebSocketStream<IO>,
    /// The head of the answer.
    pub(crate) answer: http::Response<()>,
}

/// Over HTTP/1.1; the status, where the answer is another.
pub(crate) async fn open(
    client: &Client,
    path: &str,
) -> Result<Socket<impl AsyncRead + AsyncWrite + Unpin + use<>>, u16> {
    use tokio_tungstenite::tungstenite::Error;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    let session = client.handshake().await.expect("a handshake");
    let url = format!("wss://{}{path}", client.server_name_text());
    let mut request = url.into_client_request().expect("a request");
    let protocol = http::HeaderValue::from_static("chat, superchat");
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    // On the heap: it is larger than a test's stack should carry.
    let opening = Box::pin(tokio_tungstenite::client_async_with_config(
        request,
        session.stream,
        Some(large_messages()),
    ));
    match within("a WebSocket", opening).await {
        Ok((stream, answer)) => Ok(Socket { stream, answer: answer.map(|_| ()) }),
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("no WebSocket: {error}"),
    }
}

/// Over a stream of HTTP/2 (RFC 8441); the status, where the answer is another than 200.
pub(crate) async fn open_over_http2(
    http: &mut Http,
    path: &str,
) -> Result<Socket<impl AsyncRead + AsyncWrite + Unpin + use<>>, u16> {
    let mut response = http.connect(path, "websocket").await;
    if response.status() != 200 {
        return Err(response.status().as_u16());
    }
    let io = hyper::upgrade::on(&mut response).await.expect("a stream");
    let config = Some(large_messages());
    let stream = WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Client, config).await;
    Ok(Socket { stream, answer: response.map(|_| ()) })
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Socket<IO> {
    /// Says something and hears the echo.
    pub(crate) async fn echo(&mut self, text: &str) -> String {
        self.say(text).await;
        let message = within("an echo", self.stream.next()).await;
        let message = message.expect("not the end").expect("a message");
        message.into_text().expect("text").as_str().to_owned()
    }

    /// Says something.
    pub(crate) async fn say(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("sent");
    }

    /// Sends and receives this many bytes as one message.
    pub(crate) async fn echo_bytes(&mut self, bytes: Bytes) -> Bytes {
        let exchange = async {
            self.stream.send(Message::binary(bytes)).await.expect("sent");
            self.stream.next().await.expect("not the end").expect("a message").into_data()
        };
        within("a large echo", exchange).await
    }

    /// Says farewell as WebSocket does, and waits for the end.
    pub(crate) async fn close(mut self) {
        let closing = async {
            self.stream.close(None).await.expect("sent");
            while let Some(Ok(_)) = self.stream.next().await {}
        };
        within("the end of a WebSocket", closing).await;
    }

    /// Waits until the other side is gone.
    pub(crate) async fn ended(&mut self) {
        let ended = async { while let Some(Ok(_)) = self.stream.next().await {} };
        within("the end of a WebSocket", ended).await;
    }
}

fn large_messages() -> WebSocketConfig {
    WebSocketConfig::default().max_frame_size(None).max_message_size(None)
}
