//! HTTP as a client: one connection, HTTP/1.1 or HTTP/2, whole replies or streams.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Channel;
use http_body_util::Full;
use http_body_util::channel::Sender;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::HeaderMap;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::Version;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use super::client::Facts;
use super::within;

/// A request body: nothing, bytes, or pieces that a test sends one by one.
pub(crate) type Body = UnsyncBoxBody<Bytes, Broken>;

/// Why an exchange did not finish; also what a test breaks its own body off with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(pub(crate) String);

impl From<hyper::Error> for Broken {
    fn from(error: hyper::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        Self(text)
    }
}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// One connection on which requests are made.
pub(crate) struct Http {
    /// What the TLS handshake agreed on; nothing on a plain connection.
    facts: Option<Facts>,
    host: String,
    sender: Protocol,
}

enum Protocol {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Http {
    /// HTTP/1.1 over a stream.
    pub(crate) async fn http1<IO>(io: IO, host: &str, facts: Option<Facts>) -> Self
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = within("HTTP/1.1 start", http1::handshake(TokioIo::new(io))).await;
        let (sender, connection) = handshake.expect("HTTP/1.1 starts with a request");
        tokio::spawn(connection);
        Self { facts, host: host.to_owned(), sender: Protocol::Http1(sender) }
    }

    /// HTTP/2 over a stream.
    pub(crate) async fn http2<IO>(io: IO, host: &str, facts: Option<Facts>) -> Self
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(io));
        let (sender, connection) =
            within("HTTP/2 start", handshake).await.expect("HTTP/2 starts with a preface");
        tokio::spawn(connection);
        Self { facts, host: host.to_owned(), sender: Protocol::Http2(sender) }
    }

    /// What the TLS handshake of this connection agreed on.
    pub(crate) fn facts(&self) -> &Facts {
        self.facts.as_ref().expect("a TLS connection")
    }

    /// The head of a request to the host of this connection.
    pub(crate) fn head(&self, method: Method, path: &str) -> http::request::Builder {
        self.head_to(&self.host, method, path)
    }

    /// The head of a request to another host than the connection was made for.
    pub(crate) fn head_to(&self, host: &str, method: Method, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method);
        match self.sender {
            Protocol::Http1(_) => request.uri(path).header("host", host),
            Protocol::Http2(_) => {
                request.uri(format!("https://{host}{path}")).version(Version::HTTP_2)
            }
        }
    }

    /// GET, whole reply; a broken exchange fails the test.
    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.try_get(path).await.unwrap_or_else(|broken| panic!("GET {path}: {broken}"))
    }

    /// GET, whole reply.
    pub(crate) async fn try_get(&mut self, path: &str) -> Result<Reply, Broken> {
        let request = self.head(Method::GET, path).body(empty()).expect("a request");
        self.send(request).await
    }

    /// POST with this body, whole reply.
    pub(crate) async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Reply {
        let request = self.head(Method::POST, path).body(full(body)).expect("a request");
        self.send(request).await.unwrap_or_else(|broken| panic!("POST {path}: {broken}"))
    }

    /// Any request, whole reply.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> Result<Reply, Broken> {
        let response = self.start(request).await?;
        Reply::collect(response).await
    }

    /// Any request; the reply as soon as its head is there, the body still streaming.
    pub(crate) async fn start(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Broken> {
        let what = format!("{} {}", request.method(), request.uri());
        Ok(within(&what, self.begin(request)).await?)
    }

    /// Any request; a future of the head, so that others can be made on the connection meanwhile.
    pub(crate) fn begin(&mut self, request: Request<Body>) -> Sending {
        match &mut self.sender {
            Protocol::Http1(sender) => Box::pin(sender.send_request(request)),
            Protocol::Http2(sender) => Box::pin(sender.send_request(request)),
        }
    }

    /// A stream to `:protocol` by extended CONNECT (RFC 8441), and what it was answered.
    pub(crate) async fn connect(
        &mut self,
        path: &str,
        protocol: &'static str,
    ) -> Response<Incoming> {
        // The first answer comes after the settings that allow it.
        drop(self.try_get("/").await);
        let request = self
            .head(Method::CONNECT, path)
            .header("sec-websocket-version", "13")
            .extension(hyper::ext::Protocol::from_static(protocol));
        self.start(request.body(empty()).expect("a request")).await.expect("an answer")
    }

    /// Waits until the other side has closed the connection, or has said that it will.
    pub(crate) async fn closed(&mut self) {
        let closed = async || {
            let closed = match &self.sender {
                Protocol::Http1(sender) => sender.is_closed(),
                Protocol::Http2(sender) => sender.is_closed(),
            };
            closed.then_some(())
        };
        super::eventually("the end of a connection", closed).await;
    }
}

/// A request on its way.
type Sending = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

/// A whole response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Reply {
    /// Reads a response to its end.
    pub(crate) async fn collect(response: Response<Incoming>) -> Result<Self, Broken> {
        let (head, body) = response.into_parts();
        let collected = within("the end of a response", body.collect()).await?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Ok(Self {
            status: head.status,
            version: head.version,
            headers: head.headers,
            body: collected.to_bytes(),
            trailers,
        })
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A field of the head; empty where it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or(""))
    }
}

/// Reads the next piece of a streaming response.
pub(crate) async fn next_piece(response: &mut Response<Incoming>) -> Option<Bytes> {
    loop {
        let frame = within("a piece of a response", response.body_mut().frame()).await?;
        // An empty piece is how HTTP/2 ends what has ended: nothing to show.
        let data = frame.expect("an unbroken response").into_data().unwrap_or_default();
        if !data.is_empty() {
            return Some(data);
        }
    }
}

/// No body.
pub(crate) fn empty() -> Body {
    full(Bytes::new())
}

/// A body that is there at once.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(Broken::from).boxed_unsync()
}

/// A body that the test sends piece by piece.
pub(crate) fn pieces() -> (Sender<Bytes, Broken>, Body) {
    let (sender, body) = Channel::new(1);
    (sender, body.boxed_unsync())
}
