//! Header fields on their way through: what concerns one connection only stays behind, and what the
//! proxy knows better than the client is set. The map is edited in place, never rebuilt.

use bytes::BytesMut;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::http::client_certificate;
use crate::http::client_side::ClientSide;
use crate::http::forwarding;
use crate::http::forwarding::Forwarding;
use crate::message;
use crate::message::Fields;
use crate::service::VirtualService;

/// Prepares a request's fields for an endpoint.
///
/// What a client says about forwarding, or about a certificate of its own, is not believed: its copies
/// are replaced or removed. `said` is what a trusted proxy said. `Expect` is answered by the proxy (see
/// the module's page). Upgrades are not passed on.
pub fn prepare_request(
    fields: &mut Fields,
    client: &ClientSide,
    service: &VirtualService,
    said: Option<&Forwarding>,
    host: &HeaderValue,
) {
    join_cookies(fields);
    let wants_trailers = fields.contains(header::TE) && accepts_trailers(fields);
    remove_hop_by_hop(fields, is_not_from_clients);
    if wants_trailers {
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if service.client_certificate_headers {
        client_certificate::tell(fields, client.certificate());
    }
    forwarding::tell(fields, client, service, said, host);
}

/// Prepares a response's fields for the client.
pub fn prepare_response(fields: &mut Fields) {
    remove_hop_by_hop(fields, |_| false);
}

/// Prepares the fields of an interim response (1xx): it has no body whose length could be said.
pub fn prepare_interim(fields: &mut Fields) {
    remove_hop_by_hop(fields, |name| *name == header::CONTENT_LENGTH);
}

/// Whether the client waits for `100 Continue` before it sends a body (RFC 9110, section 10.1.1).
pub fn expects_continue(fields: &Fields) -> bool {
    fields.get(header::EXPECT).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Whether a name with underscores is read as one of ours by CGI, and by all that does as it does:
/// `x_real_ip` as `x-real-ip`.
pub fn is_look_alike(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.contains('_') && OURS.iter().any(|ours| begins_alike(name, ours))
}

fn begins_alike(name: &str, ours: &str) -> bool {
    let dashed = name.bytes().map(|byte| if byte == b'_' { b'-' } else { byte });
    name.len() >= ours.len() && dashed.zip(ours.bytes()).all(|(theirs, ours)| theirs == ours)
}

/// RFC 9110, section 7.6.1, and other fields that stay behind. One look at each field rather than a search
/// for each name, because hardly any of them is ever there.
fn remove_hop_by_hop(fields: &mut Fields, is_left_too: fn(&HeaderName) -> bool) {
    if fields.contains(header::CONNECTION) {
        let named: Vec<_> = fields.get_all(header::CONNECTION).cloned().collect();
        named.iter().for_each(|value| remove_named(fields, value));
    }
    let is_left = |name: &HeaderName| *name == header::TE || message::is_of_a_connection(name);
    fields.retain(|name, _| !is_left(name) && !is_left_too(name));
}

/// What a client says that is not passed on: it is answered here, or only we could know it. `proxy` is
/// read as `HTTP_PROXY` by CGI programs ("httpoxy").
fn is_not_from_clients(name: &HeaderName) -> bool {
    matches!(name.as_str(), "expect" | "forwarded" | "proxy") || client_certificate::is_ours(name)
}

/// Removes the fields that a Connection field names, except those that say where a message goes and
/// where it ends. What the proxy knows better is set afterwards, whatever was named.
fn remove_named(fields: &mut Fields, connection: &HeaderValue) {
    let names = connection.as_bytes();
    if names.eq_ignore_ascii_case(b"keep-alive") || names.eq_ignore_ascii_case(b"close") {
        return;
    }
    for name in names.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        match HeaderName::from_bytes(name) {
            Ok(header::HOST | header::CONTENT_LENGTH) | Err(_) => {}
            Ok(name) => drop(fields.remove(name)),
        }
    }
}

/// HTTP/2 clients may send a cookie in crumbs; HTTP/1.1 knows one field, and so do rules (RFC 9113,
/// section 8.2.3).
fn join_cookies(fields: &mut Fields) {
    let cookies = fields.get_all(header::COOKIE);
    if cookies.clone().nth(1).is_none() {
        return;
    }
    let mut joined = BytesMut::new();
    for crumb in cookies {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_maybe_shared(joined.freeze()) {
        fields.insert(header::COOKIE, joined);
    }
}

fn accepts_trailers(fields: &Fields) -> bool {
    let values = fields.get_all(header::TE).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|it| it.trim().eq_ignore_ascii_case("trailers"))
}

/// What the names begin with that an endpoint takes from us alone, or that say where a message ends.
const OURS: [&str; 6] = [
    "content-length",
    "transfer-encoding",
    "x-client-cert",
    "x-forwarded-",
    "x-real-ip",
    "x-request-id",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::testing::fields as map;

    fn names(fields: &Fields) -> Vec<&str> {
        let mut names: Vec<_> = fields.names().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn every_connection_field_is_read_to_its_end() {
        let mut fields = map(&[
            ("connection", "close"),
            ("connection", ",X-One , x-two,, bad name,"),
            ("Connection", "x-three"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("x-four", "4"),
            ("upgrade", "h2c"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("te", "gzip"),
        ]);
        let odd = HeaderValue::from_bytes(b"x-four, \xff").expect("a value");
        fields.append(header::CONNECTION, odd);
        remove_hop_by_hop(&mut fields, |_| false);
        assert!(fields.is_empty(), "{fields:?}");
    }

    #[test]
    fn what_says_where_a_message_goes_and_ends_cannot_be_named_away() {
        let mut fields = map(&[
            ("connection", "Host, content-length, connection, :authority"),
            ("host", "a"),
            ("content-length", "5"),
        ]);
        remove_hop_by_hop(&mut fields, |_| false);
        assert_eq!(names(&fields), ["content-length", "host"]);
    }

    #[test]
    fn cookie_crumbs_are_one_cookie() {
        let mut fields = map(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c")]);
        join_cookies(&mut fields);
        assert_eq!(fields.get_all("cookie").collect::<Vec<_>>(), ["a=1; b=2; c"]);
    }

    #[test]
    fn names_that_cgi_takes_for_ours_are_known() {
        for name in ["x_forwarded_for", "x-forwarded_host", "x_real-ip", "x_client_cert_verify"] {
            assert!(is_look_alike(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["x-forwarded-for", "x_other", "x-real-ip", "x_forwarded"] {
            assert!(!is_look_alike(&HeaderName::from_static(name)), "{name}");
        }
    }
}
