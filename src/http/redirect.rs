//! The plain listener that sends everybody to HTTPS.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::http::activity::Activity;
use crate::http::admit;
use crate::http::answer;
use crate::http::error::ForwardError;
use crate::http::error::Rejection;
use crate::http::http1;
use crate::http::http1::Finish;
use crate::service::VirtualService;
use crate::service::settings::Settings;

/// Where a plain listener sends its clients.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// The parent; when it is retired, connections leave.
    pub service: Arc<VirtualService>,
    /// The port of the parent's TLS listener; 443 is left out of the location.
    pub https_port: u16,
    /// The same bounds as on the TLS side.
    pub settings: Arc<Settings>,
}

/// Serves a plain connection until it closes: `308 Permanent Redirect`, or 301 for GET and HEAD, to
/// the same host and path over HTTPS; 400 without a valid host. Says how it ended.
pub async fn serve<IO>(io: IO, redirect: Redirect) -> Finish
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let activity = Arc::new(Activity::new());
    let retirement = &redirect.service.retirement;
    let bounds = http1::Bounds { activity: &activity, settings: &redirect.settings, retirement };
    let on_request = |request: Request<Incoming>| {
        activity.exchange_began();
        let has_body = !http_body::Body::is_end_stream(request.body());
        let closes = has_body || retirement.is_retired();
        let response = respond(request, redirect.https_port, closes);
        activity.exchange_ended(has_body);
        ready(Ok::<_, Infallible>(response.map(Full::new)))
    };
    http1::serve(io, bounds, on_request).await
}

fn respond<B>(mut request: Request<B>, https_port: u16, closes: bool) -> Response<Bytes> {
    let mut response = match location(&mut request, https_port) {
        Ok(location) => {
            let status = match *request.method() {
                Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
                // Keeps the method and the body.
                _ => StatusCode::PERMANENT_REDIRECT,
            };
            answer::redirect(status, &location)
        }
        Err(rejection) => answer::error(&ForwardError::Rejected(rejection)),
    };
    if closes || response.status() == StatusCode::BAD_REQUEST {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn location<B>(request: &mut Request<B>, https_port: u16) -> Result<String, Rejection> {
    let host = admit::admit(request)?;
    let host = admit::host(&host).ok_or(Rejection::Host)?;
    let port = match https_port {
        443 => String::new(),
        other => format!(":{other}"),
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    Ok(format!("https://{}{port}{path}", host.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirected(method: Method, host: &'static str, target: &str, port: u16) -> Response<Bytes> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().expect("a target");
        request.headers_mut().insert(header::HOST, HeaderValue::from_static(host));
        respond(request, port, false)
    }

    #[test]
    fn the_location_has_host_path_query_and_the_port_of_the_tls_listener() {
        let response = redirected(Method::GET, "a.example.com:8080", "/p?q=1", 8443);
        assert_eq!(response.status(), StatusCode::MOVED_PERMANENTLY);
        assert_eq!(response.headers()["location"], "https://a.example.com:8443/p?q=1");
        let response = redirected(Method::POST, "a.example.com", "/", 443);
        assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
        assert_eq!(response.headers()["location"], "https://a.example.com/");
    }

    #[test]
    fn a_host_that_is_none_is_not_redirected_to() {
        let response = redirected(Method::GET, "evil@example.com", "/", 443);
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(!response.headers().contains_key("location"));
    }
}
