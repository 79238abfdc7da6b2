//! What an origin says about its own address and its cookies, put right for clients over TLS.

use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderValue;
use http::header;

use crate::config::policy::CookieEdits;
use crate::config::policy::SameSite;
use crate::message::Fields;
use crate::service::host::Host;

/// Makes `https://` of `http://` where Location names the host that was asked for: an origin behind a
/// TLS proxy often believes that it is reached in plain text. A port is the client's: that of the
/// request takes the place of 80 or none; any other port is another server and stays.
pub fn secure_location(fields: &mut Fields, asked: &HeaderValue) {
    let location = fields.get(header::LOCATION).and_then(|value| value.to_str().ok());
    if let Some(secured) = location.and_then(|location| secured(location, asked)) {
        fields.insert(header::LOCATION, secured);
    }
}

/// Gives every cookie the attributes that it lacks.
pub fn edit_cookies(fields: &mut Fields, edits: CookieEdits) {
    for cookie in fields.get_all_mut(header::SET_COOKIE) {
        if let Some(edited) = edited(cookie, edits) {
            *cookie = edited;
        }
    }
}

fn secured(location: &str, asked: &HeaderValue) -> Option<HeaderValue> {
    let scheme = location.get(..HTTP.len())?;
    if !scheme.eq_ignore_ascii_case(HTTP) {
        return None;
    }
    let rest = &location[HTTP.len()..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let named = Host::parse(&rest[..end])?;
    let asked_text = asked.to_str().ok()?;
    let wanted = Host::parse(asked_text)?;
    let is_same_port = matches!(named.port, None | Some(80)) || named.port == wanted.port;
    if !is_same_port || named.normalised() != wanted.normalised() {
        return None;
    }
    HeaderValue::from_maybe_shared(Bytes::from(format!("https://{asked_text}{}", &rest[end..])))
        .ok()
}

/// The cookie with its edits; `None` where nothing changes.
fn edited(cookie: &HeaderValue, edits: CookieEdits) -> Option<HeaderValue> {
    let bytes = cookie.as_bytes();
    let end = end_of_pair(bytes);
    let mut out = BytesMut::with_capacity(bytes.len() + 40);
    out.extend_from_slice(&bytes[..end]);
    let (mut secure, mut http_only, mut same_site) = (false, false, false);
    for attribute in bytes[end..].split(|byte| *byte == b';').skip(1) {
        let name = attribute.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        secure |= name.eq_ignore_ascii_case(b"secure");
        http_only |= name.eq_ignore_ascii_case(b"httponly");
        if name.eq_ignore_ascii_case(b"samesite") {
            same_site = true;
            if edits.same_site.is_some() {
                continue;
            }
        }
        out.extend_from_slice(b";");
        out.extend_from_slice(attribute);
    }
    let mut append = |wanted: bool, text: &str| {
        if wanted {
            out.extend_from_slice(text.as_bytes());
        }
    };
    append(edits.secure && !secure, "; Secure");
    append(edits.http_only && !http_only, "; HttpOnly");
    append(edits.same_site.is_some(), same_site_text(edits.same_site));
    let is_changed =
        (edits.secure && !secure) || (edits.http_only && !http_only) || edits.same_site.is_some();
    let is_empty = bytes.trim_ascii().is_empty() && !same_site;
    (is_changed && !is_empty).then(|| HeaderValue::from_maybe_shared(out.freeze()).ok()).flatten()
}

/// Where name and value end and attributes begin. A semicolon in a quoted value is part of the value
/// for whoever wrote it; browsers end the value there. So nothing in quotes is changed, and what is
/// in there does not count as there: an attribute more than needed does no harm.
fn end_of_pair(bytes: &[u8]) -> usize {
    let find = |from: usize, wanted: u8| {
        bytes[from..].iter().position(|byte| *byte == wanted).map(|at| from + at)
    };
    let plain = find(0, b';').unwrap_or(bytes.len());
    let Some(value) = find(0, b'=').filter(|at| *at < plain).map(|at| at + 1) else { return plain };
    let spaces = bytes[value..].len() - bytes[value..].trim_ascii_start().len();
    let quote = value + spaces;
    if bytes.get(quote) != Some(&b'"') {
        return plain;
    }
    match find(quote + 1, b'"') {
        Some(closing) => find(closing, b';').unwrap_or(bytes.len()),
        None => plain,
    }
}

fn same_site_text(same_site: Option<SameSite>) -> &'static str {
    match same_site {
        Some(SameSite::Lax) => "; SameSite=Lax",
        Some(SameSite::Strict) => "; SameSite=Strict",
        Some(SameSite::None) => "; SameSite=None",
        None => "",
    }
}

const HTTP: &str = "http://";

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &'static str, asked: &'static str) -> String {
        let mut fields = Fields::new();
        fields.insert(header::LOCATION, HeaderValue::from_static(text));
        secure_location(&mut fields, &HeaderValue::from_static(asked));
        fields.get(header::LOCATION).expect("kept").to_str().expect("text").to_owned()
    }

    #[test]
    fn a_location_of_this_host_becomes_https() {
        for (text, asked, expected) in [
            ("http://a.example.com/p?q#f", "a.example.com", "https://a.example.com/p?q#f"),
            ("HTTP://A.Example.COM./p", "a.example.com", "https://a.example.com/p"),
            ("http://a.example.com", "a.example.com", "https://a.example.com"),
            ("http://a.example.com?q", "a.example.com", "https://a.example.com?q"),
            ("http://a.example.com:80/p", "a.example.com", "https://a.example.com/p"),
            ("http://a.example.com/p", "a.example.com:8443", "https://a.example.com:8443/p"),
            ("http://a.example.com:8443/", "a.example.com:8443", "https://a.example.com:8443/"),
        ] {
            assert_eq!(location(text, asked), expected, "{text}");
        }
    }

    #[test]
    fn any_other_location_stays() {
        for text in [
            "http://b.example.com/",
            "http://a.example.com.evil.example/",
            "http://a.example.com:8080/",
            "http://user@a.example.com/",
            "http://a.example.com@evil.example/",
            "https://a.example.com/",
            "/path",
            "//a.example.com/",
            "http://",
            "httpx",
            "",
        ] {
            assert_eq!(location(text, "a.example.com"), text);
        }
    }

    const ALL: CookieEdits =
        CookieEdits { secure: true, http_only: true, same_site: Some(SameSite::Lax) };

    fn cookie(text: &str, edits: CookieEdits) -> String {
        let mut fields = Fields::new();
        fields.append(header::SET_COOKIE, text.parse().expect("a value"));
        edit_cookies(&mut fields, edits);
        fields.get(header::SET_COOKIE).expect("kept").to_str().expect("text").to_owned()
    }

    #[test]
    fn cookies_get_what_they_lack_and_nothing_twice() {
        for (text, expected) in [
            ("a=1", "a=1; Secure; HttpOnly; SameSite=Lax"),
            ("a=1; Path=/; secure", "a=1; Path=/; secure; HttpOnly; SameSite=Lax"),
            ("a=1;HTTPONLY ;Secure=x", "a=1;HTTPONLY ;Secure=x; SameSite=Lax"),
            ("a=1; samesite=None; Path=/", "a=1; Path=/; Secure; HttpOnly; SameSite=Lax"),
            (
                "a=secure; Path=/httponly",
                "a=secure; Path=/httponly; Secure; HttpOnly; SameSite=Lax",
            ),
            ("a=\"x; Secure\"; Path=/", "a=\"x; Secure\"; Path=/; Secure; HttpOnly; SameSite=Lax"),
            ("a= \"b;c\"", "a= \"b;c\"; Secure; HttpOnly; SameSite=Lax"),
            ("a=\"open; Secure", "a=\"open; Secure; HttpOnly; SameSite=Lax"),
            ("a=b=c;", "a=b=c;; Secure; HttpOnly; SameSite=Lax"),
            ("novalue; Path=\"/\"", "novalue; Path=\"/\"; Secure; HttpOnly; SameSite=Lax"),
            ("", ""),
        ] {
            assert_eq!(cookie(text, ALL), expected, "{text}");
        }
    }

    #[test]
    fn only_what_was_asked_for_is_changed() {
        let edits = |same_site| CookieEdits { secure: false, http_only: false, same_site };
        assert_eq!(cookie("a=1; SameSite=Lax", edits(None)), "a=1; SameSite=Lax");
        let strict = edits(Some(SameSite::Strict));
        assert_eq!(cookie("a=1; SameSite=Lax", strict), "a=1; SameSite=Strict");
        let secure = CookieEdits { secure: true, ..edits(None) };
        assert_eq!(cookie("a=1; SameSite=Lax; Secure", secure), "a=1; SameSite=Lax; Secure");
    }

    #[test]
    fn every_cookie_of_a_response_is_edited_in_its_place() {
        let mut fields = Fields::new();
        for text in ["a=1", "b=2; Secure", "c=\u{e9}"] {
            let value = HeaderValue::from_bytes(text.as_bytes()).expect("a value");
            fields.append(header::SET_COOKIE, value);
        }
        edit_cookies(&mut fields, CookieEdits { secure: true, ..CookieEdits::default() });
        let cookies: Vec<_> = fields.get_all(header::SET_COOKIE).collect();
        let expected = ["a=1; Secure", "b=2; Secure", "c=\u{e9}; Secure"];
        assert_eq!(cookies, expected.map(str::as_bytes));
    }
}
