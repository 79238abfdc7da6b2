//! Header fields on their way through: what concerns one connection only stays behind, and what the
//! proxy knows better than the client is set. The map is edited in place, never rebuilt.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::http::client_side::ClientSide;

/// Prepares a request's fields for an endpoint.
///
/// What a client says about forwarding is not believed: its copies are replaced or removed.
/// `Expect` is answered by the proxy (see the module's page). Upgrades are not passed on.
pub fn prepare_request(fields: &mut HeaderMap, client: &ClientSide, host: HeaderValue) {
    let wants_trailers = fields.contains_key(header::TE) && accepts_trailers(fields);
    remove_hop_by_hop(fields);
    if wants_trailers {
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    for name in [header::EXPECT, header::FORWARDED, PROXY] {
        fields.remove(name);
    }
    fields.insert(X_FORWARDED_FOR, client.address().clone());
    fields.insert(X_REAL_IP, client.address().clone());
    fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    fields.insert(X_FORWARDED_HOST, host);
    fields.insert(X_FORWARDED_PORT, client.port().clone());
}

/// Prepares a response's fields for the client. The length of a body that was sent in chunks is
/// known by its chunks alone (RFC 9112, section 6.3).
pub fn prepare_response(fields: &mut HeaderMap) {
    if fields.contains_key(header::TRANSFER_ENCODING) {
        fields.remove(header::CONTENT_LENGTH);
    }
    remove_hop_by_hop(fields);
}

/// Prepares the fields of an interim response (1xx): it has no body whose length could be said.
pub fn prepare_interim(fields: &mut HeaderMap) {
    fields.remove(header::CONTENT_LENGTH);
    remove_hop_by_hop(fields);
}

/// RFC 9110, section 7.6.1.
fn remove_hop_by_hop(fields: &mut HeaderMap) {
    if let Some(connection) = fields.remove(header::CONNECTION) {
        remove_named(fields, &connection);
    }
    for name in
        [header::TE, header::TRANSFER_ENCODING, header::UPGRADE, KEEP_ALIVE, PROXY_CONNECTION]
    {
        fields.remove(name);
    }
}

/// Removes the fields that a Connection field names, except those that say where a message goes and
/// where it ends.
fn remove_named(fields: &mut HeaderMap, connection: &HeaderValue) {
    let Ok(names) = connection.to_str() else { return };
    if names.eq_ignore_ascii_case("keep-alive") || names.eq_ignore_ascii_case("close") {
        return;
    }
    for name in names.split(',').map(str::trim) {
        if !name.eq_ignore_ascii_case("host") && !name.eq_ignore_ascii_case("content-length") {
            fields.remove(name);
        }
    }
}

fn accepts_trailers(fields: &HeaderMap) -> bool {
    let values = fields.get_all(header::TE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|it| it.trim().eq_ignore_ascii_case("trailers"))
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// Read as `HTTP_PROXY` by CGI programs ("httpoxy").
const PROXY: HeaderName = HeaderName::from_static("proxy");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
