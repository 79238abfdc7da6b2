//! Fields of a block, one after the other, and what they make: a request, or the trailers of one (RFC 9113,
//! sections 8.2 and 8.3). Pure.

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Uri;
use http::Version;
use http::header;
use http::uri::Authority;
use http::uri::PathAndQuery;
use http::uri::Scheme;

use crate::http2::hpack::Field;
use crate::http2::hpack::Pseudo;
use crate::message;
use crate::message::Fields;
use crate::message::RequestHead;

/// What has come of a block.
#[derive(Debug)]
pub struct Gathered {
    head: RequestHead,
    has_method: bool,
    scheme: Option<Bytes>,
    authority: Option<Bytes>,
    path: Option<Bytes>,
    length: Option<u64>,
    has_pseudo: bool,
    bounds: Bounds,
    size: usize,
    count: usize,
    is_malformed: bool,
    is_too_large: bool,
}

/// What a head may have.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes, as SETTINGS_MAX_HEADER_LIST_SIZE counts them.
    pub size: usize,
    /// Fields; a cookie may come in any number of crumbs.
    pub fields: usize,
}

/// Why a head is not served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is against the rules: the stream is reset.
    Malformed,
    /// It is larger than it may be, which can be answered.
    TooLarge,
}

/// A request's head, and how long its body is said to be.
#[derive(Debug)]
pub struct Gained {
    /// The head.
    pub head: RequestHead,
    /// What its Content-Length says.
    pub length: Option<u64>,
}

impl Gathered {
    /// Nothing has come.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            head: RequestHead { version: Version::HTTP_2, ..RequestHead::default() },
            has_method: false,
            scheme: None,
            authority: None,
            path: None,
            length: None,
            has_pseudo: false,
            bounds,
            size: 0,
            count: 0,
            is_malformed: false,
            is_too_large: false,
        }
    }

    /// One more field. What is too much is counted, and not kept.
    pub fn add(&mut self, field: Field, size: usize) {
        self.size = self.size.saturating_add(size);
        self.is_too_large |= self.size > self.bounds.size;
        match field {
            Field::Pseudo(name, value) => self.pseudo(name, value),
            Field::Regular(name, value) => self.regular(name, value),
            Field::Malformed(_) => self.is_malformed = true,
        }
    }

    /// Whether it is more than anybody could mean (CVE-2016-6581).
    pub fn is_absurd(&self) -> bool {
        self.size > self.bounds.size.saturating_mul(ABSURD)
    }

    fn pseudo(&mut self, name: Pseudo, value: Bytes) {
        self.has_pseudo = true;
        if self.is_too_large {
            return;
        }
        let is_late = self.count > 0;
        let place = match name {
            Pseudo::Method => {
                let method = Method::from_bytes(&value);
                self.is_malformed |= is_late || self.has_method || method.is_err();
                self.has_method = true;
                self.head.method = method.unwrap_or_default();
                return;
            }
            Pseudo::Authority => &mut self.authority,
            Pseudo::Path => &mut self.path,
            Pseudo::Protocol => &mut self.head.protocol,
            Pseudo::Scheme => &mut self.scheme,
            Pseudo::Status => {
                self.is_malformed = true;
                return;
            }
        };
        self.is_malformed |= is_late || place.replace(value).is_some();
    }

    fn regular(&mut self, name: HeaderName, value: HeaderValue) {
        self.is_malformed |= is_foreign(&name, &value);
        if name == header::CONTENT_LENGTH {
            let length = length(value.as_bytes());
            let is_other = self.length.is_some() && self.length != length;
            self.is_malformed |= length.is_none() || is_other;
            self.length = length;
        }
        if name != header::COOKIE || self.count == 0 {
            self.count += 1;
        }
        self.is_too_large |= self.count > self.bounds.fields;
        if !self.is_too_large {
            self.head.fields.append(name, value);
        }
    }

    /// All of a request's fields have come; `ends` if that is all of the request.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn request(mut self, ends: bool) -> Result<Gained, Refusal> {
        if self.is_malformed || (ends && self.length.is_some_and(|length| length > 0)) {
            return Err(Refusal::Malformed);
        }
        if self.is_too_large {
            return Err(Refusal::TooLarge);
        }
        self.head.uri = self.target().ok_or(Refusal::Malformed)?;
        Ok(Gained { head: self.head, length: self.length })
    }

    /// All of a body's trailers have come.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn trailers(self) -> Result<Fields, Refusal> {
        if self.is_malformed || self.has_pseudo {
            return Err(Refusal::Malformed);
        }
        if self.is_too_large {
            return Err(Refusal::TooLarge);
        }
        Ok(self.head.fields)
    }

    /// Section 8.3.1, and RFC 8441, section 4. What it must be beyond that is the gate's to judge.
    fn target(&mut self) -> Option<Uri> {
        let is_connect = self.head.method == Method::CONNECT;
        let is_plain_connect = is_connect && self.head.protocol.is_none();
        if !self.has_method || (!is_connect && self.head.protocol.is_some()) {
            return None;
        }
        let mut parts = http::uri::Parts::default();
        if let Some(authority) = self.authority.take() {
            parts.authority = Some(Authority::from_maybe_shared(authority).ok()?);
        }
        if is_plain_connect {
            let is_bare = self.scheme.is_none() && self.path.is_none();
            return if is_bare { Uri::from_parts(parts).ok() } else { None };
        }
        let scheme = scheme(self.scheme.as_deref()?)?;
        // A URI with a scheme has an authority.
        parts.scheme = parts.authority.is_some().then_some(scheme);
        let path = self.path.take().filter(|path| !path.is_empty())?;
        parts.path_and_query = Some(PathAndQuery::from_maybe_shared(path).ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// Section 8.2.2.
fn is_foreign(name: &HeaderName, value: &HeaderValue) -> bool {
    message::is_of_a_connection(name) || (*name == header::TE && *value != "trailers")
}

fn length(text: &[u8]) -> Option<u64> {
    let is_digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_digits)?.parse().ok()
}

fn scheme(text: &[u8]) -> Option<Scheme> {
    match text {
        b"https" => Some(Scheme::HTTPS),
        b"http" => Some(Scheme::HTTP),
        other => Scheme::try_from(other).ok(),
    }
}

/// So many times what a head may have is no head.
const ABSURD: usize = 4;
