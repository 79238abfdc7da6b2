//! An origin behind the proxy: answers by path, records what it saw, waits where a test says so.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Channel;
use hyper::HeaderMap;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::Version;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use portcullis::proxy_protocol::Header;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::http::Body;
use super::http::Broken;
use super::http::empty;
use super::http::full;
use super::proxied::Proxied;
use super::proxied::proxy_header;

/// A server on a free port of 127.0.0.1; gone with its value.
///
/// | path | answer |
/// |---|---|
/// | `/echo` | the body and the trailers of the request, piece by piece |
/// | `/bytes/N` | N bytes; to HEAD, their number |
/// | `/count` | how many bytes the request's body has, once it is there |
/// | `/status/N` | that status, no body |
/// | `/gate` | `first`, and `second` once [`Origin::release`] was called |
/// | `/held` | nothing until [`Origin::release`], then as everything else |
/// | `/trailers` | a body and the trailer `x-checksum: 42` |
/// | `/hop-by-hop` | fields that concern this connection alone |
/// | `/broken` | 1,000 bytes are promised, a few come, and the connection breaks |
/// | anything else | what the origin was told to say, the request's body read first |
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// A request as the origin saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    /// The authority of the request line or `:authority`.
    pub(crate) authority: Option<String>,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    /// What TLS said, if there was any.
    pub(crate) tls: Option<SeenTls>,
    /// What its connection began with, where the origin expects that.
    pub(crate) proxied: Option<Proxied>,
}

impl Seen {
    /// A field of the head; empty where it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or(""))
    }
}

/// What TLS told the origin.
#[derive(Clone, Debug)]
pub(crate) struct SeenTls {
    pub(crate) server_name: Option<String>,
    /// The certificate that the proxy presented.
    pub(crate) client_certificate: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Shared {
    says: String,
    seen: Mutex<Vec<Seen>>,
    /// Paths of requests that came to their end.
    whole: Mutex<Vec<String>>,
    connections: Mutex<usize>,
    headers: Mutex<Vec<Header>>,
    /// What is answered where nothing else is asked for.
    status: Mutex<StatusCode>,
    gate: Semaphore,
    open: Mutex<JoinSet<()>>,
}

impl Origin {
    /// HTTP/1.1 in plain text.
    pub(crate) async fn saying(text: &str) -> Self {
        Self::start(text, Speaks::Http1).await
    }

    /// HTTP/2 in plain text, with prior knowledge.
    pub(crate) async fn saying_over_http2(text: &str) -> Self {
        Self::start(text, Speaks::Http2).await
    }

    /// TLS; HTTP/2 where ALPN says so.
    pub(crate) async fn saying_over_tls(text: &str, config: rustls::ServerConfig) -> Self {
        Self::start(text, Speaks::Tls(TlsAcceptor::from(Arc::new(config)))).await
    }

    /// HTTP/1.1 in plain text at an address of this machine.
    pub(crate) async fn saying_at(text: &str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free address");
        Self::on(listener, text, Speaks::Http1, Opening::None)
    }

    /// HTTP/1.1 in plain text on a Unix socket.
    pub(crate) fn saying_on_unix(text: &str, path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a free path");
        let shared = Shared::new(text);
        let accepting = tokio::spawn(accept_on_unix(listener, Arc::clone(&shared)));
        Self { address: SocketAddr::from(([0; 4], 0)), shared, accepting }
    }

    /// Expects a PROXY protocol header before everything else.
    pub(crate) async fn behind_proxies(text: &str, tls: Option<rustls::ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let tls = tls.map(|config| Speaks::Tls(TlsAcceptor::from(Arc::new(config))));
        Self::on(listener, text, tls.unwrap_or(Speaks::Http1), Opening::ProxyHeader)
    }

    /// From now on answers have this status.
    pub(crate) fn answers_with(&self, status: u16) {
        let status = StatusCode::from_u16(status).expect("a status");
        *self.shared.status.lock().expect("never poisoned") = status;
    }

    /// The PROXY protocol headers so far, one for each connection.
    pub(crate) fn headers(&self) -> Vec<Header> {
        self.shared.headers.lock().expect("never poisoned").clone()
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("never poisoned").clone()
    }

    /// The newest request.
    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("a request")
    }

    /// The paths of requests that came to their end, bodies included; `/echo` is never among them.
    pub(crate) fn whole(&self) -> Vec<String> {
        self.shared.whole.lock().expect("never poisoned").clone()
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().expect("never poisoned")
    }

    /// Lets one waiting answer go on.
    pub(crate) fn release(&self) {
        self.shared.gate.add_permits(1);
    }

    /// Closes all connections that are open.
    pub(crate) fn hang_up(&self) {
        self.shared.open.lock().expect("never poisoned").abort_all();
    }

    /// Closes its socket and all connections, as if it were killed.
    pub(crate) fn stop(&self) {
        self.accepting.abort();
        self.hang_up();
    }

    async fn start(text: &str, speaks: Speaks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::on(listener, text, speaks, Opening::None)
    }

    fn on(listener: TcpListener, text: &str, speaks: Speaks, opening: Opening) -> Self {
        let address = listener.local_addr().expect("a bound socket");
        let shared = Shared::new(text);
        let accepting = tokio::spawn(accept(listener, speaks, opening, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }
}

impl Shared {
    fn new(text: &str) -> Arc<Self> {
        Arc::new(Self {
            says: text.to_owned(),
            seen: Mutex::default(),
            whole: Mutex::default(),
            connections: Mutex::default(),
            headers: Mutex::default(),
            status: Mutex::new(StatusCode::OK),
            gate: Semaphore::new(0),
            open: Mutex::default(),
        })
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Clone)]
enum Speaks {
    Http1,
    Http2,
    Tls(TlsAcceptor),
}

/// What a connection begins with.
#[derive(Clone, Copy)]
enum Opening {
    None,
    ProxyHeader,
}

async fn accept(listener: TcpListener, speaks: Speaks, opening: Opening, shared: Arc<Shared>) {
    while let Ok((tcp, _)) = listener.accept().await {
        let _ = tcp.set_nodelay(true);
        *shared.connections.lock().expect("never poisoned") += 1;
        let serving = serve(tcp, speaks.clone(), opening, Arc::clone(&shared));
        shared.open.lock().expect("never poisoned").spawn(serving);
    }
}

async fn accept_on_unix(listener: UnixListener, shared: Arc<Shared>) {
    while let Ok((unix, _)) = listener.accept().await {
        *shared.connections.lock().expect("never poisoned") += 1;
        let serving = serve(unix, Speaks::Http1, Opening::None, Arc::clone(&shared));
        shared.open.lock().expect("never poisoned").spawn(serving);
    }
}

async fn serve<IO>(mut io: IO, speaks: Speaks, opening: Opening, shared: Arc<Shared>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut told = Told::default();
    if let Opening::ProxyHeader = opening {
        let Some(proxied) = proxy_header(&mut io).await else { return };
        shared.headers.lock().expect("never poisoned").push(proxied.header.clone());
        told.proxied = Some(proxied);
    }
    match speaks {
        Speaks::Http1 => speak(io, false, told, shared).await,
        Speaks::Http2 => speak(io, true, told, shared).await,
        Speaks::Tls(acceptor) => {
            let Ok(stream) = acceptor.accept(io).await else { return };
            let (_, state) = stream.get_ref();
            told.tls = Some(SeenTls {
                server_name: state.server_name().map(str::to_owned),
                client_certificate: state
                    .peer_certificates()
                    .and_then(|chain| chain.first().map(|leaf| leaf.to_vec())),
            });
            let http2 = state.alpn_protocol() == Some(b"h2");
            speak(stream, http2, told, shared).await;
        }
    }
}

/// What a connection said before HTTP.
#[derive(Clone, Default)]
struct Told {
    tls: Option<SeenTls>,
    proxied: Option<Proxied>,
}

async fn speak<IO>(io: IO, http2: bool, told: Told, shared: Arc<Shared>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| answer(request, told.clone(), Arc::clone(&shared)));
    // How a connection ends is what the client's side of a test looks at.
    if http2 {
        let server = http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(TokioIo::new(io), service).await;
    } else {
        let _ = http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
    }
}

async fn answer(
    request: Request<Incoming>,
    told: Told,
    shared: Arc<Shared>,
) -> Result<Response<Body>, Broken> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    shared.seen.lock().expect("never poisoned").push(Seen {
        method: request.method().clone(),
        path,
        authority: request.uri().authority().map(ToString::to_string),
        version: request.version(),
        headers: request.headers().clone(),
        tls: told.tls,
        proxied: told.proxied,
    });
    let path = request.uri().path().to_owned();
    if path == "/echo" {
        return Ok(Response::new(request.into_body().map_err(Broken::from).boxed_unsync()));
    }
    let head = request.method() == Method::HEAD;
    let body = request.into_body().collect().await?.to_bytes();
    shared.whole.lock().expect("never poisoned").push(path.clone());
    if path == "/held" {
        shared.gate.acquire().await.expect("never closed").forget();
    }
    if let Some(count) = path.strip_prefix("/bytes/") {
        let body = if head { empty() } else { full(vec![b'x'; count.parse().expect("a number")]) };
        let response = Response::builder().header("content-length", count);
        return Ok(response.body(body).expect("a response"));
    }
    if let Some(code) = path.strip_prefix("/status/") {
        let code = code.parse::<StatusCode>().expect("a status");
        return Ok(Response::builder().status(code).body(empty()).expect("a response"));
    }
    Ok(match path.as_str() {
        "/count" => Response::new(full(body.len().to_string())),
        "/gate" => gated(shared),
        "/trailers" => with_trailers(),
        "/broken" => broken(),
        "/hop-by-hop" => Response::builder()
            .header("connection", "x-private")
            .header("x-private", "for the next hop only")
            .header("keep-alive", "timeout=5")
            .header("proxy-authenticate", "Basic")
            .header("x-public", "for everybody")
            .body(full("fields"))
            .expect("a response"),
        _ => {
            let status = *shared.status.lock().expect("never poisoned");
            let response = Response::builder().status(status);
            response.body(full(shared.says.clone())).expect("a response")
        }
    })
}

fn gated(shared: Arc<Shared>) -> Response<Body> {
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        let _ = sender.send_data(Bytes::from_static(b"first")).await;
        shared.gate.acquire().await.expect("never closed").forget();
        let _ = sender.send_data(Bytes::from_static(b"second")).await;
    });
    Response::new(body.boxed_unsync())
}

fn with_trailers() -> Response<Body> {
    let (mut sender, body) = Channel::<Bytes, Broken>::new(2);
    tokio::spawn(async move {
        let _ = sender.send_data(Bytes::from_static(b"with trailers")).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", hyper::header::HeaderValue::from_static("42"));
        let _ = sender.send(Frame::trailers(trailers)).await;
    });
    // HTTP/1.1 sends only the trailers that it has announced (RFC 9110, section 6.6.2).
    Response::builder()
        .header("trailer", "x-checksum")
        .body(body.boxed_unsync())
        .expect("a response")
}

fn broken() -> Response<Body> {
    let (mut sender, body) = Channel::<Bytes, Broken>::new(1);
    tokio::spawn(async move {
        let _ = sender.send_data(Bytes::from_static(b"only this")).await;
        sender.abort(Broken("broken on purpose".to_owned()));
    });
    Response::builder()
        .header("content-length", "1000")
        .body(body.boxed_unsync())
        .expect("a response")
}
