//! A request and a response on their way through, whichever version of HTTP they came over.
//!
//! As those of the `http` crate, whose names for things these have, with one difference: fields are a
//! list ([`Fields`]), not a map. Most fields of most messages are only passed on, and what is only passed
//! on need not be hashed. Pure; must not know connections.

mod fields;
#[cfg(test)]
pub mod testing;

use bytes::Bytes;
use http::HeaderName;
use http::Method;
use http::StatusCode;
use http::Uri;
use http::Version;

pub use fields::Fields;

/// A head of one of two kinds, and a body of whatever type.
#[derive(Debug, Default)]
pub struct Message<H, B> {
    head: H,
    body: B,
}

/// A request; a new one is `GET /` over HTTP/1.1, without fields.
pub type Request<B> = Message<RequestHead, B>;

/// A response; a new one is `200 OK` over HTTP/1.1, without fields.
pub type Response<B> = Message<ResponseHead, B>;

/// What a request begins with.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// What is to be done.
    pub method: Method,
    /// With what: a path, an address, a host with a port, or `*` (RFC 9112, section 3.2).
    pub uri: Uri,
    /// Which version of HTTP it came over.
    pub version: Version,
    /// Its fields.
    pub fields: Fields,
    /// `:protocol` of an extended CONNECT (RFC 8441, section 4): which protocol the stream is to speak.
    pub protocol: Option<Bytes>,
}

/// What a response begins with.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// What became of the request.
    pub status: StatusCode,
    /// Which version of HTTP it came over.
    pub version: Version,
    /// Its fields.
    pub fields: Fields,
    /// The words beside the status, if they came and are not the usual ones: passed on over HTTP/1.1.
    pub reason: Option<Bytes>,
}

impl<H, B> Message<H, B> {
    /// A new one.
    pub fn new(body: B) -> Self
    where
        H: Default,
    {
        Self { head: H::default(), body }
    }

    /// One of its two parts.
    pub fn from_parts(head: H, body: B) -> Self {
        Self { head, body }
    }

    /// Its two parts.
    pub fn into_parts(self) -> (H, B) {
        (self.head, self.body)
    }

    /// The same with another body, made of this one.
    pub fn map<C>(self, change: impl FnOnce(B) -> C) -> Message<H, C> {
        Message { head: self.head, body: change(self.body) }
    }

    /// All but its body.
    pub fn head(&self) -> &H {
        &self.head
    }

    /// Its body.
    pub fn body(&self) -> &B {
        &self.body
    }

    /// Its body, to be changed.
    pub fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }
}

impl<B> Request<B> {
    /// What is to be done.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// What is to be done, to be changed.
    pub fn method_mut(&mut self) -> &mut Method {
        &mut self.head.method
    }

    /// With what.
    pub fn uri(&self) -> &Uri {
        &self.head.uri
    }

    /// With what, to be changed.
    pub fn uri_mut(&mut self) -> &mut Uri {
        &mut self.head.uri
    }

    /// Which version of HTTP it came over.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// Which version of HTTP, to be changed.
    pub fn version_mut(&mut self) -> &mut Version {
        &mut self.head.version
    }

    /// Its fields.
    pub fn fields(&self) -> &Fields {
        &self.head.fields
    }

    /// Its fields, to be changed.
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.head.fields
    }

    /// Which protocol an extended CONNECT asks for.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.head.protocol.as_deref()
    }

    /// Which protocol an extended CONNECT asks for, to be changed.
    pub fn protocol_mut(&mut self) -> &mut Option<Bytes> {
        &mut self.head.protocol
    }
}

impl<B> Response<B> {
    /// What became of the request.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// What became of the request, to be changed.
    pub fn status_mut(&mut self) -> &mut StatusCode {
        &mut self.head.status
    }

    /// Which version of HTTP it came over.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// Which version of HTTP, to be changed.
    pub fn version_mut(&mut self) -> &mut Version {
        &mut self.head.version
    }

    /// Its fields.
    pub fn fields(&self) -> &Fields {
        &self.head.fields
    }

    /// Its fields, to be changed.
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.head.fields
    }

    /// The words beside the status, to be changed.
    pub fn reason_mut(&mut self) -> &mut Option<Bytes> {
        &mut self.head.reason
    }
}

/// Whether a field concerns one connection of HTTP/1.1, and so no message over HTTP/2 (RFC 9110, section
/// 7.6.1; RFC 9113, section 8.2.2). TE is another matter: over HTTP/2 it may say `trailers`.
pub fn is_of_a_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade"
    )
}

/// To libraries that know maps alone.
impl<B> From<Request<B>> for http::Request<B> {
    fn from(request: Request<B>) -> Self {
        let mut other = Self::new(request.body);
        *other.method_mut() = request.head.method;
        *other.uri_mut() = request.head.uri;
        *other.version_mut() = request.head.version;
        *other.headers_mut() = request.head.fields.into();
        other
    }
}

/// From libraries that know maps alone.
impl<B> From<http::Request<B>> for Request<B> {
    fn from(request: http::Request<B>) -> Self {
        let (parts, body) = request.into_parts();
        let head = RequestHead {
            method: parts.method,
            uri: parts.uri,
            version: parts.version,
            fields: parts.headers.into(),
            protocol: None,
        };
        Self { head, body }
    }
}

/// From libraries that know maps alone.
impl<B> From<http::Response<B>> for Response<B> {
    fn from(response: http::Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        let head = ResponseHead {
            status: parts.status,
            version: parts.version,
            fields: parts.headers.into(),
            reason: None,
        };
        Self { head, body }
    }
}
