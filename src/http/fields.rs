//! Header fields on their way through: what concerns one connection only stays behind, and what the
//! proxy knows better than the client is set. The map is edited in place, never rebuilt.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::http::client_certificate;
use crate::http::client_side::ClientSide;
use crate::http::forwarding;
use crate::http::forwarding::Forwarding;
use crate::service::VirtualService;

/// Prepares a request's fields for an endpoint.
///
/// What a client says about forwarding, or about a certificate of its own, is not believed: its copies
/// are replaced or removed. `said` is what a trusted proxy said. `Expect` is answered by the proxy (see
/// the module's page). Upgrades are not passed on.
pub fn prepare_request(
    fields: &mut HeaderMap,
    client: &ClientSide,
    service: &VirtualService,
    said: Option<&Forwarding>,
    host: HeaderValue,
) {
    let wants_trailers = fields.contains_key(header::TE) && accepts_trailers(fields);
    remove_hop_by_hop(fields);
    if wants_trailers {
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    for name in [header::EXPECT, PROXY] {
        fields.remove(name);
    }
    client_certificate::forget(fields);
    if service.client_certificate_headers {
        client_certificate::tell(fields, client.certificate());
    }
    forwarding::tell(fields, client, service, said, host);
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

/// What the names begin with that an endpoint takes from us alone, or that say where a message ends.
const OURS: [&str; 6] = [
    "content-length",
    "transfer-encoding",
    "x-client-cert",
    "x-forwarded-",
    "x-real-ip",
    "x-request-id",
];
