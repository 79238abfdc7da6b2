//! What the proxy answers by itself: short, in plain text, and never cached by accident.

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header;

use crate::http::error::ForwardError;
use crate::message::Fields;
use crate::message::Response;
use crate::upstream::UpstreamError;

/// The answer to a request that was not served.
pub fn error(error: &ForwardError) -> Response<Bytes> {
    let status = error.status();
    let text = match error {
        // Says what is wrong with the request, to whom it concerns.
        ForwardError::HostMismatch | ForwardError::Refused(_) | ForwardError::Rejected(_) => {
            format!("{status}: {error}\n")
        }
        ForwardError::Upstream(UpstreamError::ClientBody(fault)) => format!("{status}: {fault}\n"),
        // What goes on behind the proxy is for its log, not for clients.
        ForwardError::NoPool | ForwardError::Upstream(_) => format!("{status}\n"),
    };
    let mut response = fixed(status, Bytes::from(text));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        // RFC 9110, section 15.5.6.
        let allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        response.fields_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    if let Some(seconds) = error.retry_after() {
        response.fields_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    no_store(response.fields_mut());
    response
}

/// The same for a gRPC call: clients look at `grpc-status` alone, and take other content for a broken
/// server. The codes are those of gRPC's own table for statuses of HTTP.
pub fn to_grpc(status: StatusCode) -> Response<Bytes> {
    let code = match status.as_u16() {
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        429 | 502..=504 => "14",
        _ => "2",
    };
    let mut response = Response::new(Bytes::new());
    let fields = response.fields_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    fields.insert(GRPC_STATUS, HeaderValue::from_static(code));
    if let Some(reason) = status.canonical_reason() {
        fields.insert(GRPC_MESSAGE, HeaderValue::from_static(reason));
    }
    response
}

/// A fixed text.
pub fn fixed(status: StatusCode, text: Bytes) -> Response<Bytes> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response
        .fields_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The answer to what is no request, so that there is nothing to say about one.
pub fn no_request(status: StatusCode) -> Response<Bytes> {
    let mut response = fixed(status, Bytes::from(format!("{status}\n")));
    no_store(response.fields_mut());
    response
}

/// There is nothing here.
pub fn not_found() -> Response<Bytes> {
    let mut response = fixed(StatusCode::NOT_FOUND, Bytes::from_static(b"404 Not Found\n"));
    no_store(response.fields_mut());
    response
}

/// A redirect. A location that is no field value is answered as the mistake that it is.
pub fn redirect(status: StatusCode, location: &str) -> Response<Bytes> {
    let Ok(location) = HeaderValue::from_str(location) else {
        return fixed(StatusCode::INTERNAL_SERVER_ERROR, Bytes::from_static(b"no location\n"));
    };
    redirect_to(status, location)
}

/// A redirect to a location that is a field value.
pub fn redirect_to(status: StatusCode, location: HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response.fields_mut().insert(header::LOCATION, location);
    response
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

fn no_store(fields: &mut Fields) {
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
