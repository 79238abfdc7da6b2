//! An origin behind the proxy: answers by path, records what it saw, waits where a test says so.

use std::net::SocketAddr;
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
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::http::Body;
use super::http::Broken;
use super::http::empty;
use super::http::full;

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
    connections: Mutex<usize>,
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

    async fn start(text: &str, speaks: Speaks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared {
            says: text.to_owned(),
            seen: Mutex::default(),
            connections: Mutex::default(),
            gate: Semaphore::new(0),
            open: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, speaks, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
        self.hang_up();
    }
}

#[derive(Clone)]
enum Speaks {
    Http1,
    Http2,
    Tls(TlsAcceptor),
}

async fn accept(listener: TcpListener, speaks: Speaks, shared: Arc<Shared>) {
    while let Ok((tcp, _)) = listener.accept().await {
        let _ = tcp.set_nodelay(true);
        *shared.connections.lock().expect("never poisoned") += 1;
        let serving = serve(tcp, speaks.clone(), Arc::clone(&shared));
        shared.open.lock().expect("never poisoned").spawn(serving);
    }
}

async fn serve(tcp: TcpStream, speaks: Speaks, shared: Arc<Shared>) {
    match speaks {
        Speaks::Http1 => speak(tcp, false, None, shared).await,
        Speaks::Http2 => speak(tcp, true, None, shared).await,
        Speaks::Tls(acceptor) => {
            let Ok(stream) = acceptor.accept(tcp).await else { return };
            let (_, state) = stream.get_ref();
            let tls = SeenTls {
                server_name: state.server_name().map(str::to_owned),
                client_certificate: state
                    .peer_certificates()
                    .and_then(|chain| chain.first().map(|leaf| leaf.to_vec())),
            };
            let http2 = state.alpn_protocol() == Some(b"h2");
            speak(stream, http2, Some(tls), shared).await;
        }
    }
}

async fn speak<IO>(io: IO, http2: bool, tls: Option<SeenTls>, shared: Arc<Shared>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| answer(request, tls.clone(), Arc::clone(&shared)));
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
    tls: Option<SeenTls>,
    shared: Arc<Shared>,
) -> Result<Response<Body>, Broken> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    shared.seen.lock().expect("never poisoned").push(Seen {
        method: request.method().clone(),
        path,
        authority: request.uri().authority().map(ToString::to_string),
        version: request.version(),
        headers: request.headers().clone(),
        tls,
    });
    let path = request.uri().path().to_owned();
    if path == "/echo" {
        return Ok(Response::new(request.into_body().map_err(Broken::from).boxed_unsync()));
    }
    let head = request.method() == Method::HEAD;
    let body = request.into_body().collect().await?.to_bytes();
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
        _ => Response::new(full(shared.says.clone())),
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
