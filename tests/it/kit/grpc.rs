//! gRPC peers that are not ours: a server in plain text, and a client over TLS of the proxy.
//!
//! tonic makes and reads messages, metadata and statuses; hyper carries them. The messages are bytes:
//! what is in them is nobody's business between the two.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Buf;
use bytes::BufMut;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use hyper::body::Incoming;
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::client::GrpcService;
use tonic::codec::Codec;
use tonic::codec::DecodeBuf;
use tonic::codec::Decoder;
use tonic::codec::EncodeBuf;
use tonic::codec::Encoder;
use tonic::metadata::MetadataMap;
use tonic::server::StreamingService;

use super::client::Client;
use super::within;

/// A server on a free port of 127.0.0.1; gone with its value.
///
/// | method | answer |
/// |---|---|
/// | `/calls/Join` | once the client has ended, all its messages as one |
/// | `/calls/Split` | each byte of the first message as one |
/// | `/calls/Chat` | each message, as it comes |
/// | `/calls/Refuse` | `FAILED_PRECONDITION`, a message and metadata, and no head before them |
/// | `/calls/Break` | one message, then `ABORTED` in the trailers |
/// | `/calls/Wait` | nothing, until the deadline of the call |
/// | `/calls/Hang` | a head, and nothing after it |
///
/// The metadata `x-there` and `x-there-bin` come back in the head as `x-back` and `x-back-bin`. What
/// ends well says in the trailer `x-messages` how many messages the client sent.
pub(crate) struct GrpcOrigin {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<MetadataMap>>,
    under_way: AtomicUsize,
}

impl GrpcOrigin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, Arc::clone(&serving)));
            }
        });
        Self { address, shared, accepting }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// The metadata of the newest call.
    pub(crate) fn last(&self) -> MetadataMap {
        self.shared.seen.lock().expect("never poisoned").pop().expect("a call")
    }

    /// How many calls there are whose handlers were neither finished nor dropped.
    pub(crate) fn under_way(&self) -> usize {
        self.shared.under_way.load(Ordering::SeqCst)
    }
}

impl Drop for GrpcOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A client of gRPC on one connection through the proxy.
pub(crate) type Calls = Grpc<Connection>;

/// Connects with TLS, ALPN `h2` alone.
pub(crate) async fn calls(client: &Client) -> Calls {
    let session = client.clone().alpn(&["h2"]).handshake().await.expect("a handshake");
    let handshake = client::handshake(TokioExecutor::new(), TokioIo::new(session.stream));
    let (sender, connection) = within("HTTP/2 start", handshake).await.expect("HTTP/2");
    tokio::spawn(connection);
    let origin = format!("https://{}", client.server_name_text());
    Grpc::with_origin(Connection(sender), origin.parse().expect("an origin"))
}

/// hyper's side of an HTTP/2 connection, for tonic.
pub(crate) struct Connection(client::SendRequest<Body>);

impl GrpcService<Body> for Connection {
    type ResponseBody = Incoming;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<http::Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// Messages as they are.
#[derive(Clone, Copy)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

async fn serve(tcp: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let method = Method { path: request.uri().path().to_owned(), shared: Arc::clone(&shared) };
        async move {
            let response = tonic::server::Grpc::new(Raw).streaming(method, request).await;
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    // How a connection ends is what the client's side of a test looks at.
    let server = server::Builder::new(TokioExecutor::new());
    drop(server.serve_connection(TokioIo::new(tcp), service).await);
}

/// One call. A method of any of the four kinds is one of two streams on the wire.
struct Method {
    path: String,
    shared: Arc<Shared>,
}

type Replies = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

impl StreamingService<Bytes> for Method {
    type Response = Bytes;
    type ResponseStream = Replies;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Replies>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let metadata = request.metadata().clone();
        self.shared.seen.lock().expect("never poisoned").push(metadata.clone());
        let under_way = UnderWay::begin(&self.shared);
        let path = self.path.clone();
        Box::pin(async move {
            let replies = replies(&path, request, under_way).await?;
            let mut response = Response::new(replies);
            if let Some(value) = metadata.get("x-there") {
                response.metadata_mut().insert("x-back", value.clone());
            }
            if let Some(value) = metadata.get_bin("x-there-bin") {
                response.metadata_mut().insert_bin("x-back-bin", value.clone());
            }
            Ok(response)
        })
    }
}

async fn replies(
    path: &str,
    request: Request<Streaming<Bytes>>,
    under_way: UnderWay,
) -> Result<Replies, Status> {
    let deadline = request.metadata().get("grpc-timeout").and_then(|value| value.to_str().ok());
    let deadline = deadline.and_then(timeout);
    let mut messages = request.into_inner();
    let made: Vec<Result<Bytes, Status>> = match path {
        "/calls/Join" => {
            let mut joined = Vec::new();
            let mut count = 0;
            while let Some(message) = messages.message().await? {
                joined.extend_from_slice(&message);
                count += 1;
            }
            vec![Ok(joined.into()), Err(well(count))]
        }
        "/calls/Split" => {
            let first = messages.message().await?.unwrap_or_default();
            let bytes = (0..first.len()).map(|at| Ok(first.slice(at..=at)));
            bytes.chain([Err(well(1))]).collect()
        }
        "/calls/Chat" => return Ok(chat(messages, under_way)),
        "/calls/Refuse" => {
            let mut metadata = MetadataMap::new();
            metadata.insert("x-why", "because".parse().expect("a value"));
            let text = "not today: 100 % of Grüße are gone";
            return Err(Status::with_metadata(Code::FailedPrecondition, text, metadata));
        }
        "/calls/Break" => {
            vec![Ok(Bytes::from_static(b"the first")), Err(Status::aborted("half-way"))]
        }
        "/calls/Wait" => {
            let forever = std::future::pending::<()>();
            tokio::time::timeout(deadline.unwrap_or(Duration::MAX), forever).await.ok();
            return Err(Status::deadline_exceeded("too late"));
        }
        "/calls/Hang" => {
            // Neither the request nor the call is over.
            let held = (messages, under_way);
            return Ok(Box::pin(stream::once(async move {
                let _held = held;
                std::future::pending().await
            })));
        }
        _ => return Err(Status::unimplemented(path)),
    };
    Ok(Box::pin(stream::iter(made).map(move |reply| {
        let _until_the_last = &under_way;
        reply
    })))
}

/// Each message as it comes, and how many there were.
fn chat(messages: Streaming<Bytes>, under_way: UnderWay) -> Replies {
    Box::pin(stream::unfold(Some((messages, 0, under_way)), |state| async {
        let (mut messages, count, under_way) = state?;
        match messages.message().await {
            Ok(Some(message)) => Some((Ok(message), Some((messages, count + 1, under_way)))),
            Ok(None) => Some((Err(well(count)), None)),
            Err(status) => Some((Err(status), None)),
        }
    }))
}

/// How tonic is told the trailers of what ends well.
fn well(messages: usize) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert("x-messages", messages.to_string().parse().expect("a value"));
    Status::with_metadata(Code::Ok, "", metadata)
}

/// Up to eight digits and a unit, of those that clients use for short times.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number = digits.parse().ok()?;
    match unit {
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Counts a call until its handler and its stream are gone.
struct UnderWay(Arc<Shared>);

impl UnderWay {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.under_way.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}
