//! Where a redirect leads: a template with parts of the request in it. Pure; must not know hyper.
//!
//! What a client sends ends up in a field of the response and in the address bar of a browser, so
//! two things are ruled out here: bytes that would end the field, and a path that would turn into a
//! host (`//evil.example`, which browsers also read out of `/\evil.example`).

use std::ops::Range;

use http::HeaderValue;
use thiserror::Error;

/// A compiled `location`, such as `https://www.example.com{uri}`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Location {
    text: Box<str>,
    pieces: Box<[Piece]>,
    kind: Kind,
}

/// Why a text is no location.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum LocationError {
    /// A brace that is not part of one of the names.
    #[error("the names are {{host}}, {{path}} and {{uri}}; no other brace may stand here")]
    Brace,
    /// Control characters, spaces, non-ASCII.
    #[error("only visible ASCII may stand here: write other characters as %XX")]
    Character,
    /// Neither `http://`, `https://` nor a path; or nothing that could be a host after it.
    #[error("it begins with https://HOST, http://HOST, / or {{path}} or {{uri}}")]
    Start,
}

/// What a template is put together from.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    /// As it was written.
    Literal(Range<usize>),
    /// Without the port.
    Host,
    /// Begins with a slash.
    Path,
    /// The path, and `?` with the query where there is one.
    Uri,
}

/// Where the host of a location comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// From the template: nothing that follows can change it.
    Absolute,
    /// It is a path on the host that was asked.
    Path,
}

impl Location {
    /// Compiles a template. `{host}` is the host of the request without its port, `{path}` its path,
    /// `{uri}` its path and query.
    ///
    /// # Errors
    /// Where nothing good could be made of it, whatever the request is.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(LocationError::Character);
        }
        let pieces = pieces(text)?;
        let kind = kind(text, &pieces).ok_or(LocationError::Start)?;
        Ok(Self { text: text.into(), pieces: pieces.into(), kind })
    }

    /// The same host, path and query over HTTPS at a port; the default one, 443, is left out.
    pub fn same_host(port: u16) -> Self {
        let text = match port {
            443 => "https://{host}{uri}".to_owned(),
            other => format!("https://{{host}}:{other}{{uri}}"),
        };
        let (scheme, name) = ("https://".len(), "{host}".len());
        let after = scheme + name;
        let end = text.len() - "{uri}".len();
        let pieces = Box::new([
            Piece::Literal(0..scheme),
            Piece::Host,
            Piece::Literal(after..end),
            Piece::Uri,
        ]);
        Self { text: text.into(), pieces, kind: Kind::Absolute }
    }

    /// The value of the field `location` for one request. Whatever the parts are, it is a field value,
    /// and on a host that the template or the request names.
    ///
    /// `host` is without port, `path` is `/` where it does not begin with a slash (`OPTIONS *`).
    pub fn render(&self, host: &str, path: &str, query: Option<&str>) -> HeaderValue {
        let path = if path.starts_with('/') { path } else { "/" };
        let more = host.len() + path.len() + query.map_or(0, |query| query.len() + 1);
        let mut out = Vec::with_capacity(self.text.len() + more);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(at) => out.extend_from_slice(self.text[at.clone()].as_bytes()),
                Piece::Host => push(&mut out, host),
                Piece::Path => push(&mut out, path),
                Piece::Uri => {
                    push(&mut out, path);
                    if let Some(query) = query {
                        out.push(b'?');
                        push(&mut out, query);
                    }
                }
            }
        }
        if self.kind == Kind::Path {
            let slashes = out.iter().take_while(|byte| **byte == b'/').count();
            out.drain(1..slashes.max(1));
        }
        // Every byte is visible ASCII by now, so that the other case is never met.
        HeaderValue::from_maybe_shared(bytes::Bytes::from(out))
            .unwrap_or_else(|_| HeaderValue::from_static("/"))
    }
}

impl LocationError {
    /// One stable word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Brace => "bad_template",
            Self::Character => "bad_character",
            Self::Start => "bad_start",
        }
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, LocationError> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if let Some((name, piece)) = NAMES.iter().find(|(name, _)| rest.starts_with(name)) {
            pieces.push(piece.clone());
            at += name.len();
            continue;
        }
        let end = rest.find('{').map_or(text.len(), |brace| at + brace);
        if end == at || text[at..end].contains('}') {
            return Err(LocationError::Brace);
        }
        pieces.push(Piece::Literal(at..end));
        at = end;
    }
    Ok(pieces)
}

/// None where the request's path would be read as the host, or there is none at all.
fn kind(text: &str, pieces: &[Piece]) -> Option<Kind> {
    match pieces.first()? {
        Piece::Host => None,
        Piece::Path | Piece::Uri => Some(Kind::Path),
        Piece::Literal(_) if text.starts_with('/') => {
            (!text.starts_with("//") && !text.starts_with("/\\")).then_some(Kind::Path)
        }
        Piece::Literal(_) => {
            let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme))?;
            let names_host = rest.starts_with("{host}")
                || rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[');
            names_host.then_some(Kind::Absolute)
        }
    }
}

/// What may not stand in a URI as it is (RFC 3986, section 2) goes in as %XX.
fn push(out: &mut Vec<u8>, part: &str) {
    for byte in part.bytes() {
        if byte.is_ascii_graphic() && !NOT_IN_URIS.contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        }
    }
}

const NAMES: &[(&str, Piece)] =
    &[("{host}", Piece::Host), ("{path}", Piece::Path), ("{uri}", Piece::Uri)];

const SCHEMES: &[&str] = &["https://", "http://"];

const NOT_IN_URIS: &[u8] = b"\"<>\\^`{|}";

const HEX: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(template: &str, host: &str, path: &str, query: Option<&str>) -> String {
        let location = Location::parse(template).expect("a template");
        location.render(host, path, query).to_str().expect("visible ASCII").to_owned()
    }

    #[test]
    fn names_stand_for_parts_of_the_request() {
        let at = |template| rendered(template, "a.example.com", "/p", Some("q=1"));
        assert_eq!(at("https://www.example.com{uri}"), "https://www.example.com/p?q=1");
        assert_eq!(at("https://www.example.com{path}"), "https://www.example.com/p");
        assert_eq!(
            at("https://www.{host}:8443/x{uri}#y"),
            "https://www.a.example.com:8443/x/p?q=1#y"
        );
        assert_eq!(at("https://{host}/"), "https://a.example.com/");
        assert_eq!(at("/moved{uri}"), "/moved/p?q=1");
        assert_eq!(at("{path}?from={host}"), "/p?from=a.example.com");
        assert_eq!(rendered("https://a.example{uri}", "", "/", None), "https://a.example/");
        assert_eq!(rendered("https://a.example{uri}", "", "/", Some("")), "https://a.example/?");
    }

    #[test]
    fn a_target_that_is_no_path_leads_to_the_root() {
        assert_eq!(rendered("https://a.example{uri}", "h", "*", None), "https://a.example/");
    }

    #[test]
    fn a_path_never_becomes_a_host() {
        for template in ["{uri}", "{path}", "/{path}", "/{uri}"] {
            assert_eq!(rendered(template, "h", "//evil.example/x", None), "/evil.example/x");
            let backslash = rendered(template, "h", "/\\evil.example", None);
            assert_eq!(backslash.trim_start_matches('/'), "%5Cevil.example");
        }
        let absolute = rendered("https://a.example{uri}", "h", "//evil.example", None);
        assert_eq!(absolute, "https://a.example//evil.example");
    }

    #[test]
    fn what_would_end_the_field_is_encoded() {
        let path = "/a\r\nset-cookie: b=c\0é\"";
        let expected = "https://a.example/a%0D%0Aset-cookie:%20b=c%00%C3%A9%22";
        assert_eq!(rendered("https://a.example{path}", "h", path, None), expected);
    }

    #[test]
    fn what_has_no_scheme_no_host_or_other_names_is_refused() {
        for (template, error) in [
            ("", LocationError::Start),
            ("{host}/x", LocationError::Start),
            ("www.example.com", LocationError::Start),
            ("//www.example.com", LocationError::Start),
            ("/\\www.example.com", LocationError::Start),
            ("https://", LocationError::Start),
            ("https:{uri}", LocationError::Start),
            ("https:/{uri}", LocationError::Start),
            ("https://{uri}", LocationError::Start),
            ("https:///x", LocationError::Start),
            ("javascript:alert(1)", LocationError::Start),
            ("https://a.example/{other}", LocationError::Brace),
            ("https://a.example/{", LocationError::Brace),
            ("https://a.example/}", LocationError::Brace),
            ("https://a.example/{path", LocationError::Brace),
            ("https://a.example/ b", LocationError::Character),
            ("https://a.example/\n", LocationError::Character),
            ("https://é.example/", LocationError::Character),
        ] {
            assert_eq!(Location::parse(template), Err(error), "{template:?}");
        }
    }

    proptest! {
        #[test]
        fn any_request_renders_to_a_uri_on_the_same_host(
            path in ".*", query in proptest::option::of(".*"), host in "[a-z0-9.-]{1,20}",
        ) {
            let absolute = rendered("https://a.example{uri}", &host, &path, query.as_deref());
            prop_assert!(absolute.starts_with("https://a.example/"));
            let relative = rendered("{uri}", &host, &path, query.as_deref());
            prop_assert!(relative.starts_with('/') && !relative.starts_with("//"));
            prop_assert!(relative.bytes().all(|b| b.is_ascii_graphic() && b != b'\\'));
        }
    }
}
