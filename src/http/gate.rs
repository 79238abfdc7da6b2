//! The gate: what is no proper request goes no further, and nothing looks at a request before it.
//! Pure functions on a request's head.
//!
//! The parsers before it refuse much of this as well. It relies on none of them: all that can be seen
//! in a head's parts is looked at here, in one way for both protocols. What cannot is what they read
//! away: line ends, folded lines, a fragment of the target.

use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Version;
use http::header;
use http::uri::PathAndQuery;
use http::uri::Scheme;

use crate::config::virtual_service::UnderscoreFields;
use crate::http::error::Rejection;
use crate::http::fields;
use crate::http::websocket;
use crate::message;
use crate::message::Fields;
use crate::message::Request;
use crate::service::host::Host;

/// A request that may be looked at.
#[derive(Debug, Eq, PartialEq)]
pub struct Admitted {
    /// The host that it is for.
    pub host: AdmittedHost,
    /// It has fields that [`settle_underscores`] is to look at, once it is clear whose it is.
    pub has_underscores: bool,
}

/// A host that was checked, with the port if one was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AdmittedHost {
    value: HeaderValue,
    /// Bytes of the name.
    name: usize,
    port: Option<u16>,
}

impl AdmittedHost {
    /// Checks a host; `None` if it is none.
    pub fn new(value: HeaderValue) -> Option<Self> {
        let Host { name, port } = host(&value)?;
        Some(Self { name: name.len(), port, value })
    }

    /// As a field has it.
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// What it says.
    pub fn host(&self) -> Host<'_> {
        // It was text when it was checked.
        let name = str::from_utf8(&self.value.as_bytes()[..self.name]).unwrap_or_default();
        Host { name, port: self.port }
    }
}

/// Checks a request and brings its target into one shape: HTTP/1.1 in origin form with one Host
/// field, HTTP/2 with `:authority` and no Host field.
///
/// # Errors
///
/// The first thing that is wrong with it. Of an HTTP/1.1 connection nothing that follows can be
/// trusted then.
pub fn admit<B>(request: &mut Request<B>) -> Result<Admitted, Rejection> {
    check_method(request)?;
    let fields = Marks::read(request)?;
    fields.check_body(request.version())?;
    check_target(request)?;
    let has_underscores = fields.has_underscores;
    let host = match request.version() {
        Version::HTTP_2 => host_of_http2(request)?,
        _ => host_of_http1(request)?,
    };
    Ok(Admitted { host, has_underscores })
}

/// Does what the service wants done with fields that have an underscore in their names.
///
/// # Errors
///
/// It wants none of them, and there is one.
pub fn settle_underscores(fields: &mut Fields, wanted: UnderscoreFields) -> Result<(), Rejection> {
    let is_dropped = match wanted {
        UnderscoreFields::Refuse => return Err(Rejection::UnderscoreField),
        UnderscoreFields::Drop => |name: &HeaderName| name.as_str().contains('_'),
        UnderscoreFields::Pass => fields::is_look_alike,
    };
    fields.retain(|name, _| !is_dropped(name));
    Ok(())
}

fn host(value: &HeaderValue) -> Option<Host<'_>> {
    Host::parse(str::from_utf8(value.as_bytes()).ok()?)
}

/// CONNECT makes a tunnel to anywhere, except the one of RFC 8441; TRACE tells what was added to a
/// request. In any spelling: some servers look at methods without regard to case.
fn check_method<B>(request: &Request<B>) -> Result<(), Rejection> {
    let method = request.method();
    if *method == Method::CONNECT && request.version() == Version::HTTP_2 {
        return match request.protocol() {
            Some(_) if websocket::is_extended_connect(request) => Ok(()),
            Some(_) => Err(Rejection::Protocol),
            None => Err(Rejection::Method),
        };
    }
    let is_one = |refused: &str| method.as_str().eq_ignore_ascii_case(refused);
    match is_one("CONNECT") || is_one("TRACE") {
        true => Err(Rejection::Method),
        false => Ok(()),
    }
}

/// What is of interest among the fields.
#[derive(Debug, Default)]
struct Marks<'a> {
    length: Option<&'a HeaderValue>,
    coding: Option<&'a HeaderValue>,
    upgrades: bool,
    has_underscores: bool,
}

impl<'a> Marks<'a> {
    fn read<B>(request: &'a Request<B>) -> Result<Self, Rejection> {
        let is_http2 = request.version() == Version::HTTP_2;
        let mut this = Self::default();
        let mut hosts = 0;
        for (name, value) in request.fields() {
            match name.as_str() {
                "host" if hosts > 0 => return Err(Rejection::Host),
                "host" => hosts += 1,
                // RFC 9113, section 8.2.2. Those of a client have been refused before.
                _ if is_http2 && message::is_of_a_connection(name) => {
                    return Err(Rejection::ConnectionField);
                }
                "te" if is_http2 && value != "trailers" => return Err(Rejection::ConnectionField),
                // An endpoint might look at the first, the last, or both of them.
                "content-length" if this.length.replace(value).is_some() => {
                    return Err(Rejection::Length);
                }
                "transfer-encoding" if this.coding.replace(value).is_some() => {
                    return Err(Rejection::TransferCoding);
                }
                "content-length" | "transfer-encoding" => {}
                "upgrade" => this.upgrades = true,
                name => this.has_underscores |= name.contains('_'),
            }
            if is_http2 && is_padded(value) {
                return Err(Rejection::FieldValue);
            }
        }
        if request.method() == Method::CONNECT {
            this.upgrades = true;
        }
        Ok(this)
    }

    /// RFC 9112, section 6.3, without its leniency: a length that is one number, or exactly `chunked`,
    /// and never both. An upgrade has no body: where its end is taken for a tunnel's begin, a request
    /// is smuggled in it.
    fn check_body(&self, version: Version) -> Result<(), Rejection> {
        if let Some(coding) = self.coding {
            let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
            if !is_chunked || self.length.is_some() || version != Version::HTTP_11 {
                return Err(Rejection::TransferCoding);
            }
        }
        let length = match self.length {
            Some(value) => length(value).ok_or(Rejection::Length)?,
            None => 0,
        };
        match self.upgrades && (length > 0 || self.coding.is_some()) {
            true => Err(Rejection::UpgradeWithBody),
            false => Ok(()),
        }
    }
}

/// The length that a field says: digits alone. No zero before others, because that is octal for some.
pub fn length(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_octal = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| is_plain && !is_octal)
}

/// RFC 9113, section 8.2.1. Over HTTP/1.1 blanks around a value are no part of it.
fn is_padded(value: &HeaderValue) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_blank(value.as_bytes().first()) || is_blank(value.as_bytes().last())
}

/// A path (RFC 9112, section 3.2.1), the same behind `http://` or `https://` and an authority, or `*`
/// with OPTIONS. `//` at its begin is a path with an empty segment, and nothing else.
///
/// Of what RFC 3986 keeps out of a target, `"`, `[`, `]`, `^`, `{`, `|` and `}` are let
/// through, because browsers and old programs send them as they are. Not so a backslash in the path:
/// no browser sends it, and some servers take it for a slash. What is not ASCII has no encoding that
/// the two sides have agreed on.
fn check_target<B>(request: &Request<B>) -> Result<(), Rejection> {
    let uri = request.uri();
    if uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Rejection::Target);
    }
    let target = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let is_asterisk = target == "*" && *request.method() == Method::OPTIONS;
    let is_path = target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic());
    let is_misread = |byte| matches!(byte, b'\\' | b'#' | b'<' | b'>');
    match is_asterisk || (is_path && !uri.path().bytes().any(is_misread)) {
        true => Ok(()),
        false => Err(Rejection::Target),
    }
}

/// RFC 9112, section 3.2: exactly one Host; the target's authority, where there is one, is the same.
fn host_of_http1<B>(request: &mut Request<B>) -> Result<AdmittedHost, Rejection> {
    let value = request.fields().get(header::HOST).ok_or(Rejection::Host)?;
    let admitted = AdmittedHost::new(value.clone()).ok_or(Rejection::Host)?;
    if let Some(authority) = request.uri().authority() {
        let target = Host::parse(authority.as_str()).ok_or(Rejection::Target)?;
        if !is_same(target, admitted.host()) {
            return Err(Rejection::HostConflict);
        }
        if request.uri().scheme().is_none() {
            // Authority form belongs to CONNECT.
            return Err(Rejection::Target);
        }
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    }
    Ok(admitted)
}

/// RFC 9113, section 8.3.1: `:authority`, or Host in its place; both only if they agree.
fn host_of_http2<B>(request: &mut Request<B>) -> Result<AdmittedHost, Rejection> {
    let field = request.fields().get(header::HOST);
    let Some(authority) = request.uri().authority() else {
        // Host stays where it is: it becomes the authority of an HTTP/2 endpoint.
        return field.cloned().and_then(AdmittedHost::new).ok_or(Rejection::Host);
    };
    let value = HeaderValue::from_str(authority.as_str()).map_err(|_| Rejection::Host)?;
    let admitted = AdmittedHost::new(value).ok_or(Rejection::Host)?;
    if let Some(field) = field
        && !host(field).is_some_and(|named| is_same(admitted.host(), named))
    {
        return Err(Rejection::HostConflict);
    }
    if field.is_some() {
        request.fields_mut().remove(header::HOST);
    }
    Ok(admitted)
}

fn is_same(one: Host<'_>, other: Host<'_>) -> bool {
    one.port == other.port && one.normalised() == other.normalised()
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
