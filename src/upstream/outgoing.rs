//! A request on its way to a pool, and whether it can be sent again.

use crate::message::Request;
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
    /// A connection has written it from here, and how.
    lent: Option<Lent>,
    /// Who is told of interim responses; `None` if nobody could be.
    pub hearing: Option<Hearing>,
    /// How it is to be sent.
    pub manner: Manner,
}

/// A request that was written from its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Lent {
    /// It had no body, or still has it.
    is_whole: bool,
    /// It may be sent twice.
    may_repeat: bool,
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
        Self {
            request: Some(request),
            copy: None,
            lent: None,
            hearing: None,
            manner: Manner::Plain,
        }
    }

    /// The request, unless it is gone.
    pub fn request(&mut self) -> Option<&mut Request<RequestBody>> {
        self.request.as_mut()
    }

    /// Whether it can be sent, for the first time or again.
    pub fn is_here(&self) -> bool {
        self.request.is_some() && self.lent.is_none()
    }

    /// Lets a connection write it from here, and take its body; and who is told of interim responses.
    pub fn lend(&mut self) -> Option<(&mut Request<RequestBody>, Option<&Hearing>)> {
        let request = self.request.as_mut().filter(|_| self.lent.is_none())?;
        let is_whole = request.body().is_empty();
        self.lent = Some(Lent { is_whole, may_repeat: may_repeat(request) });
        Some((request, self.hearing.as_ref()))
    }

    /// Nothing of it was written. What was taken of a body is gone.
    pub fn take_back(&mut self) {
        self.lent.take_if(|lent| lent.is_whole);
    }

    /// Gives it to a connection. A request that may be sent twice leaves a copy.
    pub fn take(&mut self) -> Option<Request<RequestBody>> {
        let request = self.request.take().filter(|_| self.lent.is_none())?;
        self.copy = may_repeat(&request).then(|| {
            let mut copy = Request::new(RequestBody::Empty);
            *copy.method_mut() = request.method().clone();
            *copy.uri_mut() = request.uri().clone();
            *copy.fields_mut() = request.fields().clone();
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
        self.lent.take_if(|lent| lent.may_repeat);
        if self.request.is_none() {
            self.request = self.copy.take();
        }
    }
}

/// An idempotent method (RFC 9110, section 9.2.2) and no body.
fn may_repeat(request: &Request<RequestBody>) -> bool {
    request.body().is_empty() && request.method().is_idempotent()
}
