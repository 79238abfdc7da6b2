//! A request on its way to a pool, and whether it can be sent again.

use http::Request;

use crate::upstream::body::RequestBody;
use crate::upstream::interim::Hearing;

/// A request in one place: the futures that it passes through hold a reference to it, where each would
/// otherwise hold a copy of its 272 bytes, or two.
#[derive(Debug)]
pub struct Outgoing {
    /// `None` while a connection has it, and after it was sent.
    request: Option<Request<RequestBody>>,
    /// The same request once more, if it may be sent twice.
    copy: Option<Request<RequestBody>>,
    /// Who is told of interim responses; `None` if nobody could be.
    pub hearing: Option<Hearing>,
    /// How it is to be sent.
    pub manner: Manner,
}

/// How a request is to be sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Manner {
    /// As requests are, over any connection.
    #[default]
    Plain,
    /// A gRPC call: a client that streams may pause.
    Grpc,
    /// It asks to switch to WebSocket: over an HTTP/1.1 connection of its own.
    WebSocket,
}

impl Outgoing {
    /// A request that was not sent yet.
    pub fn new(request: Request<RequestBody>) -> Self {
        Self { request: Some(request), copy: None, hearing: None, manner: Manner::Plain }
    }

    /// The request, unless it is gone.
    pub fn request(&mut self) -> Option<&mut Request<RequestBody>> {
        self.request.as_mut()
    }

    /// Whether it can be sent, for the first time or again.
    pub fn is_here(&self) -> bool {
        self.request.is_some()
    }

    /// Gives it to a connection. A request that may be sent twice leaves a copy: an idempotent method
    /// (RFC 9110, section 9.2.2) and no body.
    pub fn take(&mut self) -> Option<Request<RequestBody>> {
        let request = self.request.take()?;
        self.copy = (request.body().is_empty() && request.method().is_idempotent()).then(|| {
            let mut copy = Request::new(RequestBody::Empty);
            *copy.method_mut() = request.method().clone();
            *copy.uri_mut() = request.uri().clone();
            *copy.headers_mut() = request.headers().clone();
            copy
        });
        Some(request)
    }

    /// The connection did not send it.
    pub fn put_back(&mut self, unsent: Option<Request<RequestBody>>) {
        self.request = unsent;
    }

    /// It was sent, and may be sent once more if there is a copy.
    pub fn repeat(&mut self) {
        if self.request.is_none() {
            self.request = self.copy.take();
        }
    }
}
